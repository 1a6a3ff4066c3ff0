"""Whether prices can be trusted: findings, and the few repairs that need nothing from later.

One rule per kind. `safe` is the default repair; under ``--repair none`` nothing is changed and a
ticker with an error is refused.

======================== ======== ================================== ===============================================
kind                     severity what a safe repair does            why it is safe
======================== ======== ================================== ===============================================
empty file, no bars,     error    refused, the others are loaded     nothing in it can be used
missing column, ...
malformed row,           error    row removed                        a text that is no bar; beyond a twentieth of the
unreadable date                                                      rows the file is refused
unsorted rows            info     sorted                             the order of rows says nothing
not a session            error    row removed                        nothing was traded on that day
missing value,           error    row removed                        a row that is no bar is a session without one;
not a number                                                         no value is made up
all-zero bar,            error    row removed                        as above
non-positive price
impossible bar           error    row removed                        as above
negative volume          error    row removed                        as above
duplicated session       error    the one usable row stays; of       two prices for one session cannot both be right
                                  different ones none; equal ones
                                  are one (warning)
too many bad rows        error    excluded from the session          the judgement counts rows until that session
non-positive adjusted    error    0: row removed; negative:          a distribution above the price was recorded:
close                             excluded from the session          the factor's sign is lost from there on
bogus adjustment         error    factor held across it              no price went ex: open and close of the session
                                                                     say so
adjustment jump          error    excluded from the session, or      price and factor disagree; which is right is
                                  after it, see below                unknown
doubtful adjustment      warning  kept                               small enough to be true
unadjusted split         error    excluded from the session, or      a crash comes with trading, a split without; the
                                  after it, see below                holder's true return is unknown
spliced series           error    excluded from the session, or      another company from there on: a long gap, trading
                                  after it, see below                that vanishes, or another level at ordinary trading
price spike              error    rows removed                       such a move, back at its level within 5 bars
level jump               warning  kept                               beyond eightfold, or halved or doubled after a
                                                                     halt, and nothing else speaks against it
zero volume              info     copies of the last close removed   a session without a trade has no bar
stale run                warning  copies of the last close removed   as above; what is identical but traded is kept;
                                                                     info below 10 bars
missing sessions         warning  kept                               info up to 10 sessions; nothing is filled
outlier                  warning  kept                               prices reach the model as they are and are
                                                                     clipped there; info where trading confirms it
listed late, ends early  info     kept                               true events
======================== ======== ================================== ===============================================

**Known at.** What is done to a session's row uses that row and earlier ones, never later ones, and
changes no earlier row: a splice is recognised on the session on which it happens, and exclusion begins
there. Two things need hindsight and change no value in a row that they did not already take out: a
price spike is taken out on the session on which it appears, exactly as a splice is, and only its name,
and the rows after its end, come from its return; and a file is refused for its share of unreadable
rows as a whole. Under ``none`` a ticker is refused for an error anywhere in it.

**At which price an excluded stock leaves.** For a backtest it was delisted, and an open position is
closed at its last price. "Excluded from" a session means the price before it, "excluded after" a session
means that session's own. `feeds.quality_jumps` has the rule for price moves: after a rise the price before,
after a fall the price after, so the worse one for a holder, unless it is proven that a fall cost him
nothing. A fall beside a recorded distribution is taken for one where the traded value is up to twice the
usual one. Where the defect is no price move (bad rows, a negative adjusted close) there is no usable price after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from feeds.price_table import Finding, Reading, Severity, SourceBars, without_empty_rows
from feeds.quality_bars import ROW_CHECKS, Mark, session_days
from feeds.quality_jumps import price_events
from feeds.quality_series import (
    Event,
    Moves,
    adjustment_events,
    copies,
    gaps,
    runs,
    stale_runs,
    zero_volumes,
)

Repair = Literal["none", "safe"]
REPAIRS: tuple[Repair, ...] = ("none", "safe")
# From how many bad rows, and from which share of the rows so far, a ticker is no longer believed.
BAD_ROWS, BAD_ROWS_FRAC = 5, 0.05
# After its exclusion a ticker's findings are only told this often per kind; splices always are.
_TOLD_AFTER_EXCLUSION = 5


@dataclass(frozen=True)
class Checked:
    """One ticker's bars after the repair, and what was found.

    Attributes
    ----------
    bars : SourceBars
        Oldest first, and after a safe repair one row per session; without rows where it leaves none.
    findings : tuple of Finding
        In the order of their sessions.
    rows : int
        What the source holds, before any repair.
    last : datetime64[D] or None
        For a ticker that was excluded, the source's last bar; None for any other.
    """

    bars: SourceBars
    findings: tuple[Finding, ...]
    rows: int = 0
    last: np.datetime64 | None = None

    @property
    def refused(self) -> bool:
        """True where a defect leaves nothing that may be traded."""
        return any(finding.action == "refused" for finding in self.findings)


@dataclass(frozen=True, order=True)
class _Exclusion:
    """From which day on a ticker's rows are out, and the words for it."""

    start: np.datetime64
    action: str


def check_ticker(ticker: str, reading: Reading, repair: Repair = "safe") -> Checked:
    """Judge one ticker's bars and repair what can be repaired.

    Parameters
    ----------
    ticker : str
    reading : Reading
        What the source holds, in its own order, and what of it could not be read.
    repair : str
        ``safe`` or ``none``; see the table above.

    Notes
    -----
    **Known at** each session's close: cutting the reading after a session changes neither the bars
    nor the actions until there.
    """
    raw = without_empty_rows(reading.bars)
    if not len(raw):
        refusals = reading.findings or (Finding(ticker, None, "no bars", "holds no bars"),)
        return Checked(raw, tuple(refusals))
    safe = _safely(ticker, raw, reading.findings)
    if repair == "safe":
        return replace(safe, rows=len(raw))
    return Checked(_in_order(raw)[0], _unrepaired(safe.findings), rows=len(raw))


def _unrepaired(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings of a ticker that is left as it is, or refused whole for an error."""
    found = tuple(findings)
    refused = any(finding.severity == "error" for finding in found)
    actions = {"sorted": "sorted"}  # the order of rows is no value
    return tuple(
        replace(finding, action="refused" if refused else actions.get(finding.action, "kept")) for finding in found
    )


def _safely(ticker: str, raw: SourceBars, unread: Sequence[Finding]) -> Checked:
    """Take out the rows that are no bars, judge the rest as a series, cut at the first exclusion."""
    told, lost = _unreadable(unread, len(raw))
    if lost:
        return Checked(SourceBars.none(), tuple(told))
    bars, unsorted = _in_order(raw)
    found = [*told, *(_finding(ticker, bars, event) for event in unsorted)]
    marks, bad = _bad_rows(bars, numbers_told={finding.session for finding in told})
    found += [_finding(ticker, bars, event, "row") for event in marks]
    doubled, twice = _duplicates(bars, bad)
    found += [_finding(ticker, bars, event, "row") for event in doubled]
    bad |= twice
    series, series_found, exclusions = _series(ticker, _without(bars, bad))
    found += series_found
    found += _gap_findings(ticker, bars)
    too_many = _too_many(bars, bad)
    found += [_finding(ticker, bars, event) for event in too_many]
    exclusions += [_exclusion(bars, event) for event in too_many]
    return _cut(series, sorted(found, key=_session_order), min(exclusions, default=None))


def _unreadable(unread: Sequence[Finding], rows: int) -> tuple[list[Finding], bool]:
    """Return the source's own findings with their action, and whether they condemn the file."""
    undated = sum(finding.session is None for finding in unread)
    lost = undated > max(1.0, BAD_ROWS_FRAC * (rows + undated))
    return [replace(finding, action="refused" if lost else "row removed") for finding in unread], lost


def _without(bars: SourceBars, rows: np.ndarray) -> SourceBars:
    return bars.take(~rows) if rows.any() else bars


def _in_order(bars: SourceBars) -> tuple[SourceBars, list[Event]]:
    dated = bars.take(~np.isnat(bars.dates)) if np.isnat(bars.dates).any() else bars
    back = np.flatnonzero(dated.dates[1:] < dated.dates[:-1])
    if not len(back):
        return dated, []
    order = np.argsort(dated.dates, kind="stable")
    first = int(np.searchsorted(dated.dates[order], dated.dates[back + 1].min()))
    told = f"{len(back)} times a row stands below a later one, first {dated.dates[back[0] + 1]}"
    return dated.take(order), [Event(first, 1, "unsorted rows", "info", told)]


def _bad_rows(bars: SourceBars, numbers_told: set[pd.Timestamp | None]) -> tuple[list[Event], np.ndarray]:
    """Return the defects of single rows, each row under its first kind, and the rows."""
    bad = np.zeros(len(bars), dtype=bool)
    found: list[Event] = []
    for check in ROW_CHECKS:
        mark = check(bars)
        fresh = mark.rows & ~bad
        if fresh.any():
            found += _mark_events(bars, mark, fresh)
            bad |= fresh
    # A text in a number's place is a missing value whose finding the source has written already.
    told = [e for e in found if e.kind == "missing value" and pd.Timestamp(bars.dates[e.row]) in numbers_told]
    return [event for event in found if event not in told], bad


def _mark_events(bars: SourceBars, mark: Mark, rows: np.ndarray) -> list[Event]:
    return [
        Event(first, stop - first, mark.kind, "error", mark.describe(first) + _until(bars, first, stop), "remove")
        for first, stop in runs(rows)
    ]


def _until(bars: SourceBars, first: int, stop: int) -> str:
    return f" ({stop - first} rows until {bars.dates[stop - 1]})" if stop - first > 1 else ""


def _duplicates(bars: SourceBars, bad: np.ndarray) -> tuple[list[Event], np.ndarray]:
    """Return the sessions with more than one row, and the rows that go because of it."""
    drop = np.zeros(len(bars), dtype=bool)
    same = np.append(False, bars.dates[1:] == bars.dates[:-1])
    found = []
    for start, stop in runs(same):
        first = start - 1
        for day in np.unique(bars.dates[first:stop]):
            rows = first + np.flatnonzero(bars.dates[first:stop] == day)
            found.append(_duplicate(bars, rows, rows[~bad[rows]], drop))
    return found, drop


def _duplicate(bars: SourceBars, rows: np.ndarray, usable: np.ndarray, drop: np.ndarray) -> Event:
    columns = bars.numbers.values()
    equal = len(usable) > 1 and all((values[usable] == values[usable[0]]).all() for values in columns)
    drop[usable[1:] if equal else usable if len(usable) > 1 else rows[:0]] = True
    closes = " and ".join(f"{bars.close[row]:.6g}" for row in rows)
    severity: Severity = "warning" if equal and len(usable) == len(rows) else "error"
    told = f"the session appears {len(rows)} times, `close` {closes}"
    return Event(int(rows[0]), 1, "duplicated session", severity, told, "remove")


def _too_many(bars: SourceBars, bad: np.ndarray) -> list[Event]:
    """Return the row at which bad rows, counted from the first good one, became too many to believe the rest."""
    if bad.sum() <= BAD_ROWS:
        return []
    begun = np.logical_or.accumulate(~bad)
    count, rows = np.cumsum(bad & begun), np.cumsum(begun)
    too_many = np.flatnonzero(bad & (count > BAD_ROWS) & (count > BAD_ROWS_FRAC * rows))
    if not len(too_many):
        return []
    k = int(too_many[0])
    told = f"{count[k]} of the {rows[k]} rows until then are no bars"
    return [Event(k, 1, "too many bad rows", "error", told, "exclude")]


def _series(ticker: str, bars: SourceBars) -> tuple[SourceBars, list[Finding], list[_Exclusion]]:
    """Judge rows that are bars beside each other; return the repaired ones, findings, and every exclusion."""
    if not len(bars):
        return bars, [], []
    found = [_finding(ticker, bars, event) for event in (*zero_volumes(bars), *stale_runs(bars))]
    traded = _without(bars, copies(bars))
    moves = Moves(traded)
    jumps = price_events(moves)
    spliced = {event.row for event in jumps if event.kind == "spliced series"}
    adjustments = [event for event in adjustment_events(moves) if event.row not in spliced]
    events = [*_negative_adjusted_closes(traded), *adjustments, *jumps]
    found += [_finding(ticker, traded, event, "row") for event in events]
    wild = np.zeros(len(traded), dtype=bool)
    for event in events:
        if event.treatment in ("remove", "remove after"):
            wild[event.row + (event.treatment == "remove after") : event.row + event.bars] = True
    ends = [_exclusion(traded, event) for event in events if event.treatment in ("exclude", "close")]
    return _without(_held(traded, moves), wild), found, ends


def _exclusion(bars: SourceBars, event: Event) -> _Exclusion:
    day = bars.dates[event.row]
    if event.treatment == "close":
        return _Exclusion(day + 1, f"excluded after {day}")
    return _Exclusion(day, f"excluded from {day}")


def _negative_adjusted_closes(bars: SourceBars) -> list[Event]:
    if bars.adj_close is None:
        return []
    adjusted = bars.adj_close
    mark = Mark(
        "non-positive adjusted close", adjusted < 0, lambda k: f"`adj_close` is not positive, {adjusted[k]:.6g}"
    )
    return [replace(event, treatment="exclude") for event in _mark_events(bars, mark, mark.rows)]


def _held(bars: SourceBars, moves: Moves) -> SourceBars:
    """Return the bars with every false jump of the factor taken out, from its session on."""
    if bars.adj_close is None or not moves.held.any():
        return bars
    return replace(bars, adj_close=bars.adj_close * np.exp(-np.cumsum(np.where(moves.held, moves.jump, 0.0))))


def _gap_findings(ticker: str, bars: SourceBars) -> list[Finding]:
    """Return the gaps between any rows on sessions, each at its first missing session."""
    days = session_days()
    first, last = np.searchsorted(days, bars.dates[[0, -1]])
    if last - first + 1 == len(bars) and bool((bars.dates == days[first : last + 1]).all()):
        return []
    at = np.minimum(np.searchsorted(days, bars.dates), len(days) - 1)
    at = at[days[at] == bars.dates]
    at = at[np.append(True, np.diff(at) > 0)[: len(at)]]
    found = []
    for event in gaps(days[at]):
        session = pd.Timestamp(days[at[event.row - 1] + 1])
        found.append(Finding(ticker, session, event.kind, event.detail, event.severity, "kept"))
    return found


def _finding(ticker: str, bars: SourceBars, event: Event, removed: str = "") -> Finding:
    session = pd.Timestamp(bars.dates[event.row])
    rows = "row removed" if event.bars == 1 else "rows removed"
    actions = {
        "keep": "sorted" if event.kind == "unsorted rows" else "kept",
        "remove": rows if removed else "copies removed",
        "remove after": "later rows removed" if event.bars > 1 else "kept",
        "hold": "factor held",
        "exclude": f"excluded from {session.date()}",
        "close": f"excluded after {session.date()}",
    }
    return Finding(ticker, session, event.kind, event.detail, event.severity, actions[event.treatment])


def _session_order(finding: Finding) -> pd.Timestamp:
    return pd.Timestamp.min if finding.session is None else finding.session


def _cut(bars: SourceBars, found: list[Finding], exclusion: _Exclusion | None) -> Checked:
    """End the bars at the exclusion, which is then what was done about every later finding."""
    if exclusion is None:
        if len(bars):
            return Checked(bars, tuple(found))
        return Checked(bars, tuple(replace(finding, action="refused") for finding in found))
    kept = bars.take(bars.dates < exclusion.start)
    action = exclusion.action if len(kept) else "refused"
    start = pd.Timestamp(exclusion.start)
    before = [finding for finding in found if _session_order(finding) < start]
    after = [replace(finding, action=action) for finding in found if _session_order(finding) >= start]
    if not len(kept):
        before = [replace(finding, action=action) for finding in before]
    return Checked(kept, (*before, *_fewer(after)), last=bars.dates[-1] if len(bars) else None)


def _fewer(found: Sequence[Finding]) -> list[Finding]:
    """Tell a few findings of each kind; the last one told says how many more there are."""
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in found:
        by_kind[finding.kind].append(finding)
    told: list[Finding] = []
    for kind, group in by_kind.items():
        most = len(group) if kind == "spliced series" else _TOLD_AFTER_EXCLUSION
        told += group[:most]
        if len(group) > most:
            rest = f"{told[-1].detail}; and {len(group) - most} more until {_session_order(group[-1]).date()}"
            told[-1] = replace(told[-1], detail=rest)
    return sorted(told, key=_session_order)
