"""Rows that cannot be bars: what no right file can hold, each found in one row alone.

Every check takes one ticker's `SourceBars` and returns the rows it means as a mask; none changes a
value, and none looks at a later row than the one it judges. A violent but real move is no defect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from feeds.price_table import PRICES, SourceBars
from feeds.sessions import EXCHANGE, known_sessions

# Prices that a source rounded after adjusting them can put an open this far outside high and low.
ROUNDING_TOLERANCE_FRAC = 1e-4


@dataclass(frozen=True)
class Mark:
    """Rows of one kind of defect.

    Attributes
    ----------
    kind : str
    rows : ndarray of bool, shape [K]
    describe : callable
        From a row's number to the values seen there.
    """

    kind: str
    rows: np.ndarray
    describe: Callable[[int], str]


RowCheck = Callable[[SourceBars], Mark]


@lru_cache(maxsize=1)
def session_days() -> np.ndarray:
    """Return the exchange's sessions as datetime64[D], past and near future."""
    return known_sessions().to_numpy().astype("datetime64[D]")


def strange_sessions(bars: SourceBars) -> Mark:
    """Find dates on which the exchange was closed, or that its calendar does not reach."""
    days = session_days()
    first = int(np.searchsorted(days, bars.dates[0]))
    stretch = days[first : first + len(bars)]
    if len(stretch) == len(bars) and bool((stretch == bars.dates).all()):
        strange = np.zeros(len(bars), dtype=bool)  # the usual file: session after session
    else:
        strange = days[np.minimum(np.searchsorted(days, bars.dates), len(days) - 1)] != bars.dates

    def describe(k: int) -> str:
        if days[0] <= bars.dates[k] <= days[-1]:
            return f"the date is no session of {EXCHANGE}"
        return f"the date is outside the known sessions of {EXCHANGE}, {days[0]} to {days[-1]}"

    return Mark("not a session", strange, describe)


def missing_values(bars: SourceBars) -> Mark:
    """Find bars with a value that is missing or infinite."""
    columns = bars.numbers

    def describe(k: int) -> str:
        name = next(name for name, values in columns.items() if not np.isfinite(values[k]))
        return f"`{name}` is {'missing' if np.isnan(columns[name][k]) else 'infinite'}"

    rows = ~np.logical_and.reduce([np.isfinite(values) for values in columns.values()])
    return Mark("missing value", rows, describe)


def all_zero_bars(bars: SourceBars) -> Mark:
    """Find bars of zeros only, with which some providers fill what they do not have."""
    return Mark("all-zero bar", _all_zero(bars), lambda k: "all four prices are 0")


def non_positive_prices(bars: SourceBars) -> Mark:
    """Find bars with a price of zero or less, unless all four are zero."""
    rows = np.logical_or.reduce([getattr(bars, name) <= 0 for name in PRICES]) & ~_all_zero(bars)
    return Mark("non-positive price", rows, lambda k: f"a price is not positive, {_quote(bars, k)}")


def impossible_bars(bars: SourceBars) -> Mark:
    """Find bars with a high below the low, or an open or close outside them by more than rounding explains."""
    crossed = bars.high < bars.low
    above = np.fmax(bars.open, bars.close) > bars.high * (1 + ROUNDING_TOLERANCE_FRAC)
    below = np.fmin(bars.open, bars.close) < bars.low * (1 - ROUNDING_TOLERANCE_FRAC)
    positive = (bars.open > 0) & (bars.close > 0) & (bars.low > 0) & (bars.high > 0)

    def describe(k: int) -> str:
        what = "`high` is below `low`" if crossed[k] else "open or close is outside low to high"
        return f"{what}, {_quote(bars, k)}"

    return Mark("impossible bar", (crossed | above | below) & positive, describe)


def negative_volumes(bars: SourceBars) -> Mark:
    """Find bars with a volume below zero; zero is no defect, a quiet stock has it."""
    return Mark("negative volume", bars.volume < 0, lambda k: f"`volume` is negative, {bars.volume[k]:g}")


def zero_adjusted_closes(bars: SourceBars) -> Mark:
    """Find bars whose adjusted close is 0 although they have prices; a negative one condemns more than its row."""
    adjusted = np.ones(len(bars)) if bars.adj_close is None else bars.adj_close
    return Mark("non-positive adjusted close", (adjusted == 0) & ~_all_zero(bars), lambda k: "`adj_close` is 0")


ROW_CHECKS: tuple[RowCheck, ...] = (
    strange_sessions,
    missing_values,
    all_zero_bars,
    non_positive_prices,
    impossible_bars,
    negative_volumes,
    zero_adjusted_closes,
)


def _all_zero(bars: SourceBars) -> np.ndarray:
    return np.logical_and.reduce([getattr(bars, name) == 0 for name in PRICES])


def _quote(bars: SourceBars, k: int) -> str:
    return ", ".join(f"`{name}` {getattr(bars, name)[k]:.6g}" for name in PRICES)
