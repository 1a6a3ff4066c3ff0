"""Averages that reach back to a stock's first bar, over its whole history and bar by bar.

All are one recursion, ``average += share(k) (new - average)`` at the k-th value, and differ in the share alone:

- exponential of n bars: 1 at the first value, then 2 / (n + 1);
- Wilder's of n bars (1978): 1 / k until n values, whose plain mean it is then, and 1 / n after that;
- normalised with decay d (RiskMetrics 1996): (1 - d) / (1 - d^k), so that the weights of the values seen sum to 1.

**Known at** the close of the bar's session.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from feeds.panel import Bars

EMA_BARS = (10, 12, 26, 50)
WILDER_BARS = 14
DECAY = 0.94
VOLATILITY_BARS = 20
"""Returns needed before the volatility is trusted."""
NAMES = (*(f"ema_{n}" for n in EMA_BARS), "gain", "loss", "true_range", "variance")
_NEEDED = np.array([*EMA_BARS, WILDER_BARS + 1, WILDER_BARS + 1, WILDER_BARS + 1, VOLATILITY_BARS + 1])
"""Bars before each is told; the first bar has no change, range or return."""
_ALL_TOLD = max(_NEEDED)


def whole_averages(bars: Bars) -> dict[str, np.ndarray]:
    """Return every average of `NAMES` at every bar, shape [K], NaN until enough bars were seen."""
    close, change, previous = bars.close, np.diff(bars.close), bars.close[:-1]
    averages = {f"ema_{n}": _ema(close, n) for n in EMA_BARS}
    averages["gain"] = _wilder(np.maximum(change, 0))
    averages["loss"] = _wilder(np.maximum(-change, 0))
    averages["true_range"] = _wilder(np.maximum(bars.high[1:], previous) - np.minimum(bars.low[1:], previous))
    averages["variance"] = normalised_average(np.log(close[1:] / previous) ** 2, leading=1)
    return averages


def normalised_average(values: np.ndarray, leading: int) -> np.ndarray:
    """Return the normalised average of gapless `values`, after `leading` bars without one; shape [leading + len].

    NaN until 20 values were seen.
    """
    if not len(values):
        return np.full(leading, np.nan)
    weight = (1 - DECAY ** np.arange(1, len(values) + 1)) / (1 - DECAY)
    average = np.concatenate([np.full(leading, np.nan), lfilter([1.0], [1.0, -DECAY], values) / weight])
    average[: leading + VOLATILITY_BARS - 1] = np.nan
    return average


class RunningAverages:
    """The same averages of one stock, carried from bar to bar.

    The first bars of a long history are taken in one pass; after that a bar costs a few operations, however long
    the history is.
    """

    def __init__(self) -> None:
        self._averages = np.zeros(len(NAMES))
        self._seen = 0

    def __len__(self) -> int:
        return self._seen

    def follow(self, bars: Bars) -> None:
        """Take in the bars that were not seen yet; `bars` is the history so far, as long as before or longer."""
        if len(bars) - self._seen > _ALL_TOLD:
            whole = whole_averages(bars)
            self._averages, self._seen = np.array([whole[name][-1] for name in NAMES]), len(bars)
        for k in range(self._seen, len(bars)):
            self._take(bars, k)

    def told(self) -> dict[str, np.ndarray]:
        """Return the averages after the last bar, numbers by name, NaN where too few bars were seen."""
        return dict(zip(NAMES, np.where(self._seen >= _NEEDED, self._averages, np.nan), strict=True))

    def _take(self, bars: Bars, k: int) -> None:
        self._averages += _shares(k) * (_values(bars, k) - self._averages)
        self._seen = k + 1


def _values(bars: Bars, k: int) -> np.ndarray:
    """Return what each average takes in at bar k; the first bar has no change, range or return."""
    close, last = bars.close[k], bars.close[max(k - 1, 0)]
    change = close - last
    true_range = max(bars.high[k], last) - min(bars.low[k], last)
    return np.array([*(close,) * len(EMA_BARS), max(change, 0), max(-change, 0), true_range, np.log(close / last) ** 2])


def _shares(k: int) -> np.ndarray:
    """Return the share of bar k in each average; `k` changes came with it."""
    exponential = [2 / (n + 1) if k else 1.0 for n in EMA_BARS]
    wilder = 1 / min(max(k, 1), WILDER_BARS)
    variance = (1 - DECAY) / (1 - DECAY ** max(k, 1))
    return np.array([*exponential, wilder, wilder, wilder, variance])


def _ema(values: np.ndarray, bars: int) -> np.ndarray:
    """Exponential average from the first value on; NaN until `bars` values were seen."""
    alpha = 2 / (bars + 1)
    average, _ = lfilter([alpha], [1.0, alpha - 1], values, zi=(1 - alpha) * values[:1])
    average[: bars - 1] = np.nan
    return np.asarray(average)


def _wilder(changes: np.ndarray) -> np.ndarray:
    """Wilder's average of per-bar `changes` [K-1], seeded with the mean of the first 14; shape [K]."""
    n = WILDER_BARS
    average = np.full(len(changes) + 1, np.nan)
    if len(changes) < n:
        return average
    average[n] = changes[:n].mean()
    average[n + 1 :], _ = lfilter([1 / n], [1.0, 1 / n - 1], changes[n:], zi=[(1 - 1 / n) * average[n]])
    return average
