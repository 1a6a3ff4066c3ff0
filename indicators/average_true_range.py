"""Average true range, the usual distance of a stop.

Source of the formula: J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.panel import Bars
from indicators.column_indicator import ColumnIndicator, require_at_least
from indicators.feed_bars import last_bars
from indicators.wilder_average import smooth, wilder_average


def true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return max(high, previous close) less min(low, previous close), shape [K]; the first is NaN."""
    previous = np.concatenate([[np.nan], close[:-1]])
    ranges = np.maximum(high, previous) - np.minimum(low, previous)
    return np.asarray(ranges)


def average_true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int) -> np.ndarray:
    """Smooth the true range as Wilder does.

    Parameters
    ----------
    high, low, close : ndarray of float64, shape [K]
        One stock's traded bars, oldest first, from its first bar.
    period : int
        The first value is the mean of the first `period` true ranges; each later one is
        ((period - 1) × the last + the new) / period.

    Returns
    -------
    ndarray of float64, shape [K]
        In the unit of price; NaN for the first `period` bars (the first bar has no true range).

    Notes
    -----
    **Known at** the close of each bar.
    """
    return wilder_average(true_range(high, low, close), period)


class AverageTrueRange(ColumnIndicator):
    """Line `atr`: Wilder's average true range of the traded series, in the unit of price.

    Parameters
    ----------
    period : int
        Default 14.
    """

    lines: Any = ("atr",)
    params: Any = (("period", 14),)

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        super().__init__(*feeds, **unknown)
        require_at_least("AverageTrueRange", "period", self.p.period, 1)

    def bars_needed(self) -> int:
        """Return the bars of the first value; later ones build on the last."""
        return int(self.p.period) + 1

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the average true range of each bar, shape [K, 1]."""
        return average_true_range(bars.high, bars.low, bars.close, self.p.period)[:, None]

    def latest(self) -> np.ndarray:
        """Return the present value, from the one before where there is one."""
        if len(self.data) <= self.bars_needed():
            return super().latest()
        bars = last_bars(self.data, 2)
        new = float(true_range(bars.high, bars.low, bars.close)[-1])
        return np.array([smooth(self.lines.atr[-1], new, self.p.period)])
