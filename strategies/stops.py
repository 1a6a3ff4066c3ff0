"""Where a stop lies and when time is up. A stop is a resting order: it fills at its price, or at the
open when the open is beyond it."""

from __future__ import annotations

import math


def atr_stop_price(price: float, average_true_range: float, multiple: float) -> float:
    """Return price less `multiple` average true ranges; NaN while the range is unknown."""
    return price - multiple * average_true_range


def stop_distance(price: float, stop_price: float | None) -> float | None:
    """Return how far a stop lies below the price; None without a stop, NaN where it is no stop.

    A stop at or above the price, at or below 0, or NaN protects nothing: its distance is NaN, and
    sizing by risk then buys nothing.
    """
    if stop_price is None:
        return None
    return price - stop_price if 0 < stop_price < price else math.nan


def time_is_up(bars_held: int, max_holding_bars: int) -> bool:
    """Tell whether a position has been held for `max_holding_bars` bars, its entry bar included.

    Decided at the close of the last of them and filled at the next open, the position lives from
    open(t+1) to open(t+1+h), which is the return that a model with horizon h is trained on.
    """
    return bars_held >= max_holding_bars
