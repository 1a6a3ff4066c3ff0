"""Simple moving average of the close."""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.panel import Bars
from indicators.column_indicator import ColumnIndicator, require_at_least


def simple_average(values: np.ndarray, period: int) -> np.ndarray:
    """Return the mean of the last `period` values, shape [K]; NaN for the first `period` - 1.

    Each window is summed by itself, so that nothing of an earlier bar is left in a later value.
    **Known at** the close of each bar.
    """
    means = np.full(len(values), np.nan)
    if len(values) >= period:
        means[period - 1 :] = np.lib.stride_tricks.sliding_window_view(values, period).mean(axis=1)
    return means


class SimpleAverage(ColumnIndicator):
    """Line `average`: the mean close of the last `period` bars; the same as ``bt.ind.SMA`` within 1e-9.

    Parameters
    ----------
    period : int
        Default 50.
    """

    lines: Any = ("average",)
    params: Any = (("period", 50),)

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        super().__init__(*feeds, **unknown)
        require_at_least("SimpleAverage", "period", self.p.period, 1)

    def bars_needed(self) -> int:
        """Return the period."""
        return int(self.p.period)

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the average of each bar, shape [K, 1]."""
        return simple_average(bars.close, self.p.period)[:, None]
