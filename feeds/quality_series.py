"""What a row shows only beside the rows before it: stale bars, gaps, false adjustments, splits, splices.

The functions take one ticker's `SourceBars` whose rows are bars: oldest first, one a session, prices
positive. A row is judged by itself and by earlier rows. There is one exception, and it changes a name
only: whether a wild price is called a spike or a splice depends on whether it comes back, but in both
cases it is taken out from the session on which it appears.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from feeds.price_table import PRICES, Severity, SourceBars
from feeds.quality_bars import session_days

Treatment = Literal["keep", "remove", "hold", "exclude"]

STALE_BARS, STALE_BARS_WARNED = 5, 10
GAP_SESSIONS_WARNED = 10
# A factor that moves by a fifth is acted on; by a twentieth, it is told.
FACTOR_JUMP, FACTOR_JUMP_TOLD = float(np.log(1.2)), float(np.log(1.05))
# An ex-date moves the price by what the factor takes back; below this share of it, nothing went ex.
ANSWERED_SHARE = 0.4
UNEXPLAINED_RETURN = float(np.log(1.5))
# Moves that are looked at more closely, and what must then be true of them.
LARGE_MOVE, LEVEL_JUMP = float(np.log(1.3)), float(np.log(8.0))
SPLICE_GAP_SESSIONS, SPLICE_MIN_STEPS = 20, 10.0
VOLUME_COLLAPSE, VOLUME_EXPLOSION = 0.01, 1000.0
SPLIT_RATIOS = np.array([1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100])
SPLIT_MAX_VOLUME, SPLIT_MAX_RANGE, SPLIT_MIN_STEPS = 3.0, 3.0, 5.0
SPIKE_BARS, SPIKE_RETURN = 5, float(np.log(1.2))
WINDOW_BARS, MINIMUM_BARS = 63, 20
SMALLEST_RANGE = 0.005


@dataclass(frozen=True)
class Event:
    """Something that happened in a ticker's series at `row`, for `bars` rows.

    Attributes
    ----------
    row, bars : int
    kind : str
    severity : str
    detail : str
    treatment : str
        What a safe repair does about it, from `row` on.
    """

    row: int
    bars: int
    kind: str
    severity: Severity
    detail: str
    treatment: Treatment = "keep"


def runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first and one past the last row of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def copies(bars: SourceBars) -> np.ndarray:
    """Return where a row repeats the last close in all four prices and nothing was traded, shape [K].

    Such a row is how a source fills a session without a trade; the panel has no bar there.
    """
    found = np.zeros(len(bars), dtype=bool)
    same = np.logical_and.reduce([getattr(bars, name)[1:] == bars.close[:-1] for name in PRICES])
    found[1:] = same & (bars.volume[1:] == 0)
    return found


def zero_volumes(bars: SourceBars) -> list[Event]:
    """Find runs of bars without volume; those that copy the last close are no bars."""
    copied, found = copies(bars), []
    for first, stop in runs(bars.volume == 0):
        count = int(copied[first:stop].sum())
        told = (
            f"{_bars(stop - first)} with `volume` 0 until {bars.dates[stop - 1]}, {count} of them copy the last close"
        )
        found.append(Event(first, stop - first, "zero volume", "info", told, "remove" if count else "keep"))
    return found


def stale_runs(bars: SourceBars) -> list[Event]:
    """Find bars that repeat the one before in all four prices."""
    same = np.logical_and.reduce([np.diff(getattr(bars, name)) == 0 for name in PRICES])
    found = []
    for first, stop in runs(same):
        count = stop - first + 1
        if count < STALE_BARS:
            continue
        severity: Severity = "warning" if count >= STALE_BARS_WARNED else "info"
        unmoved = bool((bars.volume[first + 1 : stop + 1] == 0).any())
        told = f"{count} identical bars until {bars.dates[stop]}, `close` {bars.close[stop]:.6g}"
        found.append(Event(first, count, "stale run", severity, told, "remove" if unmoved else "keep"))
    return found


def gaps(dates: np.ndarray) -> list[Event]:
    """Find sessions missing between two of `dates`, which are sessions; the event stands at the one after them."""
    missed, days = missed_sessions(dates), session_days()
    found = []
    for k in np.flatnonzero(missed):
        severity: Severity = "warning" if missed[k] > GAP_SESSIONS_WARNED else "info"
        last = days[np.searchsorted(days, dates[k]) - 1]
        told = f"{missed[k]} {'session' if missed[k] == 1 else 'sessions'} without a bar until {last}"
        found.append(Event(int(k), int(missed[k]), "missing sessions", severity, told))
    return found


def missed_sessions(dates: np.ndarray) -> np.ndarray:
    """Return how many sessions of the exchange lie between each row and the one before, shape [K]."""
    at = np.searchsorted(session_days(), dates)
    return np.diff(at, prepend=at[:1] - 1) - 1


@dataclass
class Moves:
    """A ticker's steps from bar to bar in logarithms, 0 at the first bar, shape [K] each.

    Attributes
    ----------
    bars : SourceBars
    wild : ndarray of bool, shape [K]
        Bars that were found to be spikes: no later one is compared with them.
    """

    bars: SourceBars
    wild: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.wild = np.zeros(len(self.bars), dtype=bool)

    @cached_property
    def close(self) -> np.ndarray:
        """Source's close on its last close."""
        return _steps(np.log(self.bars.close))

    @cached_property
    def open(self) -> np.ndarray:
        """Source's open on its last close."""
        return np.append(0.0, np.log(self.bars.open[1:] / self.bars.close[:-1]))

    @cached_property
    def jump(self) -> np.ndarray:
        """Total-return factor adj_close / close on its last value; 0 beside an adjusted close below zero."""
        if self.bars.adj_close is None:
            return np.zeros(len(self.bars))
        factor = self.bars.adj_close / self.bars.close
        return np.nan_to_num(_steps(np.log(np.where(factor > 0, factor, np.nan))))

    @cached_property
    def unanswered(self) -> np.ndarray:
        """Where neither open nor close moves against the jump by a fair share of it."""
        against = np.fmax(-np.sign(self.jump) * self.close, -np.sign(self.jump) * self.open)
        return against < ANSWERED_SHARE * np.abs(self.jump)

    @cached_property
    def held(self) -> np.ndarray:
        """Where a jump of the factor is false: the price does not know of it."""
        large = np.abs(self.jump) > FACTOR_JUMP
        return large & self.unanswered if large.any() else large

    @cached_property
    def total(self) -> np.ndarray:
        """Total return, false jumps left out."""
        return self.close + np.where(self.held, 0.0, self.jump)

    @cached_property
    def level(self) -> np.ndarray:
        """Cumulated total return."""
        return np.cumsum(self.total)

    @cached_property
    def dollars(self) -> np.ndarray:
        """Traded value."""
        return self.bars.close * self.bars.volume

    def past(self, k: int) -> np.ndarray:
        """Return the rows that row `k` is compared with."""
        rows = np.arange(max(k - WINDOW_BARS, 0), k)
        return rows[~self.wild[rows]]

    def past_steps(self, k: int) -> np.ndarray:
        """Return the sizes of the steps before `k`, none to a wild bar or back from one."""
        rows = self.past(k)
        rows = rows[rows > 0]
        return np.asarray(np.abs(self.total[rows[~self.wild[rows - 1]]]))

    def volatility(self, k: int) -> float:
        """Return a robust standard deviation of the steps before `k`; 0 without any."""
        steps = self.past_steps(k)
        return float(1.4826 * np.median(steps)) if len(steps) else 0.0

    def usual_step(self, k: int) -> float:
        """Return the mean size of the steps before `k`; 0 without any."""
        steps = self.past_steps(k)
        return float(steps.mean()) if len(steps) else 0.0

    def volume_ratio(self, k: int) -> float:
        """Return the traded value at `k` over its median before; NaN where nothing was traded before."""
        rows = self.past(k)
        usual = float(np.median(self.dollars[rows])) if len(rows) else 0.0
        return float(self.dollars[k] / usual) if usual > 0 else float("nan")

    def range_ratio(self, k: int) -> float:
        """Return the range of the bar at `k` over its median before."""
        rows = np.append(self.past(k), k)
        ranges = np.log(self.bars.high[rows] / self.bars.low[rows])
        return float(ranges[-1] / max(np.median(ranges[:-1]), SMALLEST_RANGE))

    def beyond(self, k: int) -> float:
        """Return how far the level at `k` lies outside all levels of the bars before, 0 inside."""
        past = self.level[self.past(k)]
        return float(max(self.level[k] - past.max(), past.min() - self.level[k], 0.0))


def adjustment_events(moves: Moves) -> list[Event]:
    """Find jumps of the total-return factor that the price does not answer, or not by as much.

    On an ex-date the factor rises by what the price loses, so the total return stays a day's return.
    """
    jump = moves.jump
    if not (np.abs(jump) > FACTOR_JUMP_TOLD).any():
        return []
    total = moves.close + jump
    phantom = ~moves.unanswered & (np.abs(jump) > FACTOR_JUMP) & (np.abs(total) > UNEXPLAINED_RETURN)
    small = moves.unanswered & ~moves.held & (np.abs(jump) > FACTOR_JUMP_TOLD)
    doubtful = [k for k in np.flatnonzero(small) if abs(total[k]) > 5 * moves.volatility(int(k))]
    return [
        *(_adjustment(moves, int(k), "bogus adjustment", "error", "hold") for k in np.flatnonzero(moves.held)),
        *(_adjustment(moves, int(k), "adjustment jump", "error", "exclude") for k in np.flatnonzero(phantom)),
        *(_adjustment(moves, int(k), "doubtful adjustment", "warning", "keep") for k in doubtful),
    ]


def _adjustment(moves: Moves, k: int, kind: str, severity: Severity, treatment: Treatment) -> Event:
    bars = moves.bars
    adjusted = bars.close if bars.adj_close is None else bars.adj_close
    told = (
        f"the adjustment factor changes by {np.expm1(moves.jump[k]):+.0%} and no price move explains it, `close` "
        f"{bars.close[k - 1]:.6g} then {bars.close[k]:.6g}, `adj_close` {adjusted[k - 1]:.6g} then {adjusted[k]:.6g}"
    )
    return Event(k, 1, kind, severity, told, treatment)


def price_events(moves: Moves) -> list[Event]:
    """Find large moves that are none of one company's stock: splices, unadjusted splits, spikes.

    A true crash or jump comes with trading: it is left alone unless the traded value fell to a
    hundredth, or stayed as it was at a price that a split explains. Before 20 bars nothing is usual.
    """
    found: list[Event] = []
    large = np.flatnonzero(np.abs(moves.total) > LARGE_MOVE).tolist()
    missed = missed_sessions(moves.bars.dates) if large else np.zeros(0)
    resume = MINIMUM_BARS
    for k in large:
        if k < resume:
            continue
        reason = _splice(moves, k, int(missed[k])) or _false_level(moves, k)
        if reason is None:
            continue
        bars = _bars_until_back(moves, k)
        event = _spike(moves, k, bars) if bars else Event(k, 1, reason[0], "error", reason[1], "exclude")
        found.append(event)
        moves.wild[k : k + bars] = True
        resume = k + bars + 1  # the way back is no second event
    return found


def _bars_until_back(moves: Moves, k: int) -> int:
    """Return after how many bars the price is back at its level before `k`; 0 where it is not soon."""
    later = moves.level[k + 1 : k + 1 + SPIKE_BARS] - moves.level[k - 1]
    back = np.flatnonzero(np.abs(later) < SPIKE_RETURN)
    return int(back[0]) + 1 if len(back) else 0


def _spike(moves: Moves, k: int, bars: int) -> Event:
    told = f"{_step_text(moves, k)}, back at {moves.bars.close[k + bars]:.6g} after {_bars(bars)}"
    return Event(k, bars, "price spike", "error", told, "remove")


def _splice(moves: Moves, k: int, missed: int) -> tuple[str, str] | None:
    """Return kind and detail where another company's stock goes on under the ticker."""
    # A stock of a few cents jumps like this within its own range.
    if moves.beyond(k) < LARGE_MOVE / 2 and abs(moves.total[k]) < SPLICE_MIN_STEPS * moves.usual_step(k):
        return None
    ratio = moves.volume_ratio(k)
    if missed >= SPLICE_GAP_SESSIONS:
        why = f"after {missed} sessions without a bar"
    elif 0 < ratio < VOLUME_COLLAPSE or (ratio > VOLUME_EXPLOSION and abs(moves.total[k]) > np.log(2)):
        why = f"and the traded value is {ratio:.2g} times the usual one"
    else:
        return None
    return "spliced series", f"{_step_text(moves, k)} {why}"


def _false_level(moves: Moves, k: int) -> tuple[str, str] | None:
    """Return kind and detail of an unadjusted split, or of a level out of all bounds."""
    if abs(moves.jump[k]) > FACTOR_JUMP and not moves.held[k]:
        return None
    ratio = _split_ratio(moves, k)
    if ratio is not None:
        told = f"{_step_text(moves, k)}, a ratio of {ratio:g}, at its usual traded value and without an adjustment"
        return "unadjusted split", told
    if abs(moves.total[k]) < LEVEL_JUMP or moves.beyond(k) < LEVEL_JUMP / 2:
        return None
    return "spliced series", f"{_step_text(moves, k)} and it stays there"


def _split_ratio(moves: Moves, k: int) -> float | None:
    """Return the split that explains the move at `k`; None for a move with a trading day's marks."""
    size = abs(moves.total[k])
    ratio = float(SPLIT_RATIOS[np.argmin(np.abs(np.log(SPLIT_RATIOS) - size))])
    step = np.sign(moves.total[k]) * np.log(ratio)
    tolerance = float(np.clip(3 * moves.volatility(k), 0.03, 0.08))
    overnight = moves.open[k] + moves.total[k] - moves.close[k]
    # The open is nearer to the ratio than the close, after a day's trading.
    near = abs(overnight - step) < tolerance and abs(moves.total[k] - step) < tolerance + 0.02
    ordinary = (
        VOLUME_COLLAPSE < moves.volume_ratio(k) < SPLIT_MAX_VOLUME
        and moves.range_ratio(k) < SPLIT_MAX_RANGE
        and size > SPLIT_MIN_STEPS * moves.usual_step(k)
    )
    return ratio if near and ordinary else None


def _step_text(moves: Moves, k: int) -> str:
    close = moves.bars.close
    return f"`close` {close[k - 1]:.6g} then {close[k]:.6g}"


def _steps(values: np.ndarray) -> np.ndarray:
    return np.diff(values, prepend=values[:1])


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count} bars"
