"""Relative strength index: the rises of a price as a share of all that it moved.

Source of the formula: J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.panel import Bars
from indicators.column_indicator import ColumnIndicator, require_at_least
from indicators.feed_bars import last_bars
from indicators.wilder_average import smooth, wilder_average


def relative_strength(close: np.ndarray, period: int) -> np.ndarray:
    """Return 100 - 100 / (1 + average rise / average fall), both smoothed as Wilder does.

    Parameters
    ----------
    close : ndarray of float64, shape [K]
        One stock's traded bars, oldest first, from its first bar.
    period : int
        The first value is that of the first `period` changes.

    Returns
    -------
    ndarray of float64, shape [K]
        From 0 to 100; 100 where nothing fell, 50 where nothing moved; NaN for the first `period` bars.

    Notes
    -----
    **Known at** the close of each bar.
    """
    changes = np.diff(close, prepend=np.nan)
    rises, falls = np.maximum(changes, 0.0), np.maximum(-changes, 0.0)
    return _index(wilder_average(rises, period), wilder_average(falls, period))


def _index(rise: np.ndarray, fall: np.ndarray) -> np.ndarray:
    moved = rise + fall
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(moved == 0, 50.0, 100.0 - 100.0 / (1.0 + rise / fall)))


class RelativeStrength(ColumnIndicator):
    """Line `rsi`: the same as ``bt.ind.RSI`` within 1e-9, and a number where that divides by 0.

    Parameters
    ----------
    period : int
        Default 14.
    """

    lines: Any = ("rsi",)
    params: Any = (("period", 14),)

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        super().__init__(*feeds, **unknown)
        require_at_least("RelativeStrength", "period", self.p.period, 1)
        self._averages: np.ndarray | None = None

    def bars_needed(self) -> int:
        """Return the bars of the first value; later ones build on the last."""
        return int(self.p.period) + 1

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the index of each bar, shape [K, 1]."""
        return relative_strength(bars.close, self.p.period)[:, None]

    def latest(self) -> np.ndarray:
        """Return the present value, from the averages of the bar before where there are any."""
        if len(self.data) < self.bars_needed():
            return np.array([np.nan])
        bars = last_bars(self.data, 2 if self._averages is not None else self.bars_needed())
        changes = np.diff(bars.close)
        moves = np.stack([np.maximum(changes, 0.0), np.maximum(-changes, 0.0)])
        if self._averages is None:
            self._averages = moves.mean(axis=1)
        else:
            self._averages = smooth(self._averages, moves[:, -1], self.p.period)
        return np.asarray(_index(*self._averages)).reshape(1)
