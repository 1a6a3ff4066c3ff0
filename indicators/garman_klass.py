"""Garman-Klass volatility: what a day's open, high, low and close say of its variance.

Source of the formula: M. B. Garman and M. J. Klass, "On the Estimation of Security Price
Volatilities from Historical Data", Journal of Business 53 (1980), 67-78: the practical estimator
½ ln(H/L)² − (2 ln 2 − 1) ln(C/O)². It leaves out what happens overnight.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.panel import Bars
from indicators.column_indicator import ColumnIndicator, require_at_least


def garman_klass_variance(open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return the variance of each bar's log return from open to close, shape of the inputs.

    Never negative where low ≤ open, close ≤ high. **Known at** the bar's close.
    """
    return np.asarray(0.5 * np.log(high / low) ** 2 - (2 * np.log(2) - 1) * np.log(close / open_) ** 2)


def garman_klass_volatility(bars: Bars, period: int) -> np.ndarray:
    """Return the square root of the mean variance of the last `period` bars.

    Returns
    -------
    ndarray of float64, shape [K]
        Per bar, as a fraction (0.01 is 1 % a day); NaN for the first `period` - 1 bars.

    Notes
    -----
    **Known at** the close of each bar.
    """
    values = np.full(len(bars), np.nan)
    if len(bars) >= period:
        variance = garman_klass_variance(bars.open, bars.high, bars.low, bars.close)
        windows = np.lib.stride_tricks.sliding_window_view(variance, period)
        values[period - 1 :] = np.sqrt(windows.mean(axis=1))
    return values


class GarmanKlass(ColumnIndicator):
    """Line `volatility`: rolling Garman-Klass volatility per bar, as a fraction.

    Parameters
    ----------
    period : int
        Bars of the mean, default 21.
    """

    lines: Any = ("volatility",)
    params: Any = (("period", 21),)

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        super().__init__(*feeds, **unknown)
        require_at_least("GarmanKlass", "period", self.p.period, 1)

    def bars_needed(self) -> int:
        """Return the period."""
        return int(self.p.period)

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the volatility of each bar, shape [K, 1]."""
        return garman_klass_volatility(bars, self.p.period)[:, None]
