"""Point-in-time insider features per session and ticker, from a transactions table.

What is counted is in `feeds.insider_events`, every column in `feeds.insider_columns`. Windows run
over the sessions in which filings became **known** (first session that closes strictly after the
SEC's acceptance), never over trade dates: late filings would otherwise change history. A value at t
uses the version of each row that was valid at t's close; an amendment corrects a trade in the window
in which its first version stands.

NaN and 0 differ. Outside the source's coverage (before its first acceptance, after its end, a ticker
that it does not know, or not yet: where filings alone name the tickers, each is known from the first
that names it) nothing is known: `ins_known` is 0 and the others are NaN. Inside, no filing is 0, or NaN
where a column asks for a share or an age of nothing. Where the stock did not trade every column is NaN,
`ins_known` too.

A source ends where it states so (`TransactionTable.complete_until`: the quarter of the SEC's sets, the
embedded market's last session; of single issuers `TransactionTable.issuer_coverage`: the window that
`download filings` has completed). Its last acceptance says nothing: at t nobody knows whether another
filing will follow. A source that states nothing is therefore taken to go on for `SILENT_SESSIONS`
sessions after any acceptance, of whatever issuer, and to have ended when it stays silent for longer;
the next acceptance opens it again. So the value at t depends on what was accepted by t alone. Companies
close their insiders' trading window for weeks around each quarter's end, which is why a source of few
issuers may be silent for most of a quarter and still be whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feeds.errors import InputError, unknown_name
from feeds.filed_prices import check_prices
from feeds.insider_columns import ALL_INSIDER_COLUMNS, COLUMNS, INSIDER_COLUMNS, LONG_SESSIONS, SHORT_SESSIONS, Column
from feeds.insider_events import Clock, Events, events_of, market_rows, of_large_holders
from feeds.insider_measures import LARGE_HOLDERS, Measures, average_dollar_volume
from feeds.insider_routine import CLASS_NAMES
from feeds.issuers import issuer_columns, listed_issuers
from feeds.panel import FeaturePanel, PricePanel
from feeds.sessions import NEW_YORK
from feeds.transaction_table import Coverage, TransactionTable

__all__ = [
    "ALL_INSIDER_COLUMNS",
    "INSIDER_COLUMNS",
    "average_dollar_volume",
    "explain",
    "filings_known",
    "insider_features",
]

SILENT_SESSIONS = 63
"""Sessions without any filing after which a source that does not state its end is taken to have ended."""
_KNOWN = INSIDER_COLUMNS[0]


@dataclass(frozen=True)
class _Source:
    """A table placed on a panel's sessions: what features and their explanation share."""

    rows: pd.DataFrame
    clock: Clock
    measures: Measures
    covered: np.ndarray

    @staticmethod
    def on(table: TransactionTable, panel: PricePanel) -> _Source:
        issuers, clock, owner = _placed(table, panel)
        rows = market_rows(check_prices(table, panel).rows, issuers)
        large = of_large_holders(rows)
        insiders, holders = (events_of(part, issuers, clock) for part in (rows[~large], rows[large]))
        shape = len(clock.sessions), len(issuers)
        covered = _covered_cells(table, issuers, clock, owner)
        return _Source(rows, clock, Measures(insiders, holders, shape, clock.offset, owner, panel), covered)


def insider_features(
    table: TransactionTable, panel: PricePanel, columns: Sequence[str] = INSIDER_COLUMNS
) -> FeaturePanel:
    """Return insider columns for every session and ticker of a panel.

    Parameters
    ----------
    table : TransactionTable
        From any source; prices are checked against the panel (`feeds.filed_prices`).
    panel : PricePanel
        Gives sessions, tickers, which stocks traded, and dollar volume.
    columns : sequence of str
        Any of `ALL_INSIDER_COLUMNS`; by default the model's seven inputs, `INSIDER_COLUMNS`.
        `feeds.insider_columns.COLUMNS` says what each is; only those asked for are computed.

    Returns
    -------
    FeaturePanel, values of float64, shape [T, N, len(columns)]
        ``ins_known`` is 1 inside the source's coverage of the ticker, else 0. Every listed class of an
        issuer gets the issuer's trades, against its own volume. NaN rule: see the module.

    Raises
    ------
    InputError
        For a column that does not exist.

    Notes
    -----
    **Known at** the session's close: filings accepted strictly before it, bars up to t.
    """
    for name in columns:
        if name not in ALL_INSIDER_COLUMNS:
            raise unknown_name("insider column", name, ALL_INSIDER_COLUMNS)
    source, declared = _Source.on(table, panel), {column.name: column for column in COLUMNS}
    # Column after column in memory: writing them side by side would cost more than computing them.
    values = np.empty((len(columns), *panel.close.shape))
    for i, name in enumerate(columns):
        if name == _KNOWN:
            values[i] = source.covered
        else:
            values[i] = np.where(source.covered, declared[name].compute(source.measures), np.nan)
        values[i][~panel.traded] = np.nan
    return FeaturePanel(panel.sessions, panel.tickers, tuple(columns), np.moveaxis(values, 0, 2))


def filings_known(table: TransactionTable, panel: PricePanel) -> np.ndarray:
    """Return where the source covers a ticker (``ins_known``, traded or not), bool, shape [T, N].

    **Known at** the session's close, as every column.
    """
    issuers, clock, owner = _placed(table, panel)
    return _covered_cells(table, issuers, clock, owner)


def explain(table: TransactionTable, panel: PricePanel, ticker: str, session: str | pd.Timestamp) -> pd.DataFrame:
    """List the filings behind a ticker's insider values at one session.

    Returns
    -------
    DataFrame
        One row per transaction row that counts in a window at `session`, and the last purchase and
        the last sale however old; newest first. Beside the table's own columns:

        - `known_session`: the first that may know the trade; `sessions_ago` from it to `session`.
        - `lag_days`: trade to acceptance, calendar days in New York.
        - `counted_usd`: 0 where the price is unusable.
        - `conviction`: shares / shares held before.
        - `in_21`, `in_63`: whether it is in these windows; `insider_class`: see `feeds.insider_routine`.
        - `columns`: names of all columns whose value it has a part in.

        Empty where nothing is behind the values (0) or nothing is known (NaN).

    Raises
    ------
    InputError
        If the panel lacks the ticker or the session.
    """
    if ticker not in panel.tickers:
        raise unknown_name("ticker", ticker, panel.tickers)
    at = _session_row(panel, session)
    source, column = _Source.on(table, panel), panel.tickers.index(ticker)
    issuer = source.measures.owner[at, column] if source.covered[at, column] else -1
    groups = source.measures.insiders, source.measures.large_holders
    parts = [_listed(source, events, issuer, source.clock.offset + at, large=events is groups[1]) for events in groups]
    listed = pd.concat([part for part in parts if len(part)] or parts[:1])
    newest_first = [False, True, True]
    return listed.sort_values(["accepted_at", "accession", "ordinal"], ascending=newest_first, ignore_index=True)


def _session_row(panel: PricePanel, session: str | pd.Timestamp) -> int:
    try:
        at = int(panel.sessions.get_indexer(pd.DatetimeIndex([pd.Timestamp(session)]))[0])
    except (TypeError, ValueError):  # no date at all, or one with a time zone
        at = -1
    if at < 0:
        raise InputError(
            f"`session`: expected one of the panel's sessions from {panel.sessions[0].date()} to "
            f"{panel.sessions[-1].date()}, received {session!s}"
        )
    return at


def _placed(table: TransactionTable, panel: PricePanel) -> tuple[pd.Index, Clock, np.ndarray]:
    """Return the source's issuers, the clock, and whose each ticker is at each session."""
    # Without any issuer one that nothing is about, so that the arrays keep their shapes.
    issuers = listed_issuers(table.tickers)
    issuers = issuers if len(issuers) else pd.Index([""], dtype=object)
    known = table.rows["accepted_at"].dropna()
    instants = [*([known.min()] if len(known) else []), *([table.coverage.first] if table.coverage else [])]
    clock = Clock.reaching_back(panel.sessions, min(instants, default=None))
    return issuers, clock, issuer_columns(table.tickers, panel.tickers, panel.sessions, issuers)


def _covered_cells(table: TransactionTable, issuers: pd.Index, clock: Clock, owner: np.ndarray) -> np.ndarray:
    return (owner >= 0) & _covered(table, issuers, clock)[np.arange(len(owner))[:, None], owner]


def _covered(table: TransactionTable, issuers: pd.Index, clock: Clock) -> np.ndarray:
    """Return whether the source covers each issuer at each panel session, shape [T, I]."""
    covered = np.repeat(_source_covered(table, clock)[:, None], len(issuers), axis=1)
    for cik, spans in table.issuer_coverage.items():
        stated = [_wholly_inside(clock, span) for span in spans]
        covered[:, issuers == cik] = np.logical_or.reduce([*stated, np.zeros(len(covered), dtype=bool)])[:, None]
    return covered[clock.offset :]


def _source_covered(table: TransactionTable, clock: Clock) -> np.ndarray:
    """Return whether the source as a whole covers each clock row, shape [E], from acceptances up to it."""
    if table.coverage is None:
        return np.zeros(len(clock.sessions), dtype=bool)
    if table.complete_until is not None:
        return _inside(clock, Coverage(table.coverage.first, table.complete_until))
    rows, never = np.arange(len(clock.sessions)), -SILENT_SESSIONS - 1
    heard = clock.rows(pd.concat([_instants(table.coverage.first), table.rows["accepted_at"]], ignore_index=True))
    latest = np.full(len(rows), never)
    latest[heard[heard < len(rows)]] = heard[heard < len(rows)]
    return rows - np.maximum.accumulate(latest) <= SILENT_SESSIONS


def _inside(clock: Clock, span: Coverage) -> np.ndarray:
    rows, (first, last) = np.arange(len(clock.sessions)), clock.rows(_instants(*span))
    return (rows >= first) & (rows <= last)


def _wholly_inside(clock: Clock, span: Coverage) -> np.ndarray:
    """Tell which sessions close inside a stated span, its end included: what is filed later is no part of them."""
    return (clock.closes > span.first) & (clock.closes <= span.last)


def _instants(*instants: pd.Timestamp) -> pd.Series:
    return pd.Series(instants, dtype="datetime64[ns, UTC]")


def _listed(source: _Source, events: Events, issuer: int, at: int, *, large: bool) -> pd.DataFrame:
    valid = (events.issuer == issuer) & (events.start <= at) & (at < events.stop)
    declared = [column for column in COLUMNS if (column.group == LARGE_HOLDERS) == large]
    parts = {column.name: _has_part(column, events, valid, at) for column in declared}
    shown = np.flatnonzero(np.logical_or.reduce(list(parts.values())))
    rows, ago = source.rows.loc[events.index[shown]], at - events.anchor[shown]
    accepted_on = rows["accepted_at"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    return rows.assign(
        known_session=source.clock.sessions[events.anchor[shown]],
        sessions_ago=ago,
        lag_days=(accepted_on - rows["transacted_on_checked"]).dt.days,
        counted_usd=events.cents[shown] / 100,
        conviction=events.conviction[shown],
        in_21=ago < SHORT_SESSIONS,
        in_63=ago < LONG_SESSIONS,
        insider_class=[CLASS_NAMES[number] for number in events.routine[shown]],
        columns=pd.Series(
            [tuple(name for name, has_part in parts.items() if has_part[i]) for i in shown], rows.index, dtype=object
        ),
    )


def _has_part(column: Column, events: Events, valid: np.ndarray, at: int) -> np.ndarray:
    """Tell which of the valid events a column's value at clock row `at` is made of."""
    counted = valid & column.counts(events)
    if column.latest is not None:
        moment = getattr(events, column.latest)
        return counted & (moment == moment[counted].max(initial=-1))
    since = events.reported if column.window == 1 else events.anchor
    return counted & (at - since < (column.window or 0))
