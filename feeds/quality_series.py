"""What a row shows only beside the rows before it: stale bars, gaps, false adjustments.

The functions take one ticker's `SourceBars` whose rows are bars: oldest first, one a session, prices
positive. A row is judged by itself and by earlier rows. `feeds.quality_jumps` has the wild prices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from feeds.price_table import PRICES, Severity, SourceBars
from feeds.quality_bars import session_days

Treatment = Literal["keep", "remove", "remove after", "hold", "exclude", "close"]

STALE_BARS, STALE_BARS_WARNED = 5, 10
GAP_SESSIONS_WARNED = 10
# A factor that moves by a fifth is acted on; by a twentieth, it is told.
FACTOR_JUMP, FACTOR_JUMP_TOLD = float(np.log(1.2)), float(np.log(1.05))
# An ex-date moves the price by what the factor takes back; below this share of it, nothing went ex.
ANSWERED_SHARE = 0.4
UNEXPLAINED_RETURN = float(np.log(1.5))
# Up to this multiple of its usual value, a traded value is an ordinary session's.
USUAL_VOLUME = 2.0
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
        What a safe repair does about it: ``remove`` takes its rows out, ``remove after`` all but the
        first; ``exclude`` ends the series before `row`, ``close`` with it, so that a position is closed
        at the price after; ``hold`` keeps the factor as it was.
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

    def share_ratio(self, k: int) -> float:
        """Return the shares traded at `k` over their median before; NaN where none were traded before."""
        rows = self.past(k)
        usual = float(np.median(self.bars.volume[rows])) if len(rows) else 0.0
        return float(self.bars.volume[k] / usual) if usual > 0 else float("nan")

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
        *(
            _adjustment(moves, int(k), "adjustment jump", "error", _ending(moves, int(k)))
            for k in np.flatnonzero(phantom)
        ),
        *(_adjustment(moves, int(k), "doubtful adjustment", "warning", "keep") for k in doubtful),
    ]


def _ending(moves: Moves, k: int) -> Treatment:
    """Return whether a fall beside a recorded distribution was one: at an ordinary day's trading, nothing was lost."""
    fell = moves.close[k] + moves.jump[k] < 0
    return "close" if fell and not moves.volume_ratio(k) <= USUAL_VOLUME else "exclude"


def _adjustment(moves: Moves, k: int, kind: str, severity: Severity, treatment: Treatment) -> Event:
    bars = moves.bars
    adjusted = bars.close if bars.adj_close is None else bars.adj_close
    told = (
        f"the adjustment factor changes by {np.expm1(moves.jump[k]):+.0%} and no price move explains it, `close` "
        f"{bars.close[k - 1]:.6g} then {bars.close[k]:.6g}, `adj_close` {adjusted[k - 1]:.6g} then {adjusted[k]:.6g}"
    )
    return Event(k, 1, kind, severity, told, treatment)


def _steps(values: np.ndarray) -> np.ndarray:
    return np.diff(values, prepend=values[:1])


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count} bars"
