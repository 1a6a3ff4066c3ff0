"""The price features: pure, causal functions of one ticker's own traded bars.

The same function serves training, the whole panel and one bar. Recursive quantities (exponential
averages, Wilder averages) start at the ticker's first bar in every path; everything else looks back
over a fixed window of bars. Every feature is unchanged when all prices are multiplied by a constant.

**Known at** the close of the bar's session: row k uses bars 0 to k.

Why these: returns over five scales, where the bar closed, three measures of range, two of trend and
one of trading, each in units of the stock's own volatility, so that one network can serve all stocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from feeds.panel import Bars, FeaturePanel, PricePanel
from models.running_averages import normalised_average, whole_averages

Measure = Callable[[np.ndarray], np.ndarray]
"""From windows, shape [M, B], to one number each, shape [M]."""

PRICE_COLUMNS = (
    "return_1",
    "return_5",
    "return_21",
    "momentum",
    "overnight",
    "intraday",
    "close_location",
    "range",
    "garman_klass",
    "volatility_ratio",
    "rsi",
    "atr",
    "macd",
    "distance_ema_10",
    "distance_ema_50",
    "dollar_volume",
    "warm",
)
VOLATILITY_FLOOR = 0.001
"""0.1 % a bar: below it a stale price would make every later move infinite."""
RANGE_FLOOR = 0.0001
"""Least average true range as a share of the close, for the same reason."""
LONGEST_LOOKBACK = 252
_VOLUME_BARS = 63
_FEWEST_VOLUMES = 32


class History(Protocol):
    """How a feature's formula looks at a stock's bars: at all of them, or at the newest alone.

    One formula serves both: `EveryBar` answers with arrays of shape [K], `models.newest_features` with numbers.
    """

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a quantity of `recursive_quantities`."""

    def before(self, name: str, bars: int) -> np.ndarray:
        """Return the quantity so many bars earlier, NaN before the first."""

    def rolling(self, name: str, bars: int, measure: Measure) -> np.ndarray:
        """Return `measure` of the last `bars` values, NaN until there are so many."""

    def age(self) -> np.ndarray:
        """Return how many bars of the stock came before."""


def price_features(bars: Bars) -> np.ndarray:
    """Return every price feature of one ticker's whole history.

    Parameters
    ----------
    bars : Bars
        The ticker's traded bars from its first in the source, length K.

    Returns
    -------
    ndarray of float64, shape [K, 17]
        In the order of `PRICE_COLUMNS`. A feature is NaN until its window is full; `warm` is 1 from
        the bar on which every window is full (the 253rd), 0 before. `dollar_volume` is NaN on a bar
        without volume or with fewer than 32 volumes in its 63 bars. A bar without range has
        `close_location` 0; prices without any change give `rsi` 0.

    Notes
    -----
    **Known at** the close of each bar.

    With sigma as in `volatility`, lags in bars: ``return_1`` r/sigma[-1]; ``return_5``, ``return_21``
    the log return over n bars / (sigma sqrt n); ``momentum`` from 252 to 21 bars ago / (sigma sqrt 231);
    ``overnight`` ln(O/C[-1])/sigma; ``intraday`` ln(C/O)/sigma; ``close_location`` (2C-H-L)/(H-L);
    ``range`` ln(H/L)/sigma; ``garman_klass`` half the log of the 21-bar mean of Garman and Klass's
    variance (J. of Business 53, 1980); ``volatility_ratio`` log of root-mean-square return over 5 bars
    to that over 63; ``rsi`` (RSI14-50)/50 and ``atr`` ln(ATR14/C) with Wilder's averages (1978);
    ``macd`` (EMA12-EMA26)/ATR14; ``distance_ema_n`` ln(C/EMA n)/sigma, for 50 also / sqrt 50;
    ``dollar_volume`` the z-score of the log over 63 bars.
    """
    return latest_price_features(bars, len(bars))


def latest_price_features(bars: Bars, count: int) -> np.ndarray:
    """Return the last `count` rows of `price_features(bars)`, shape [count, 17], at the cost of those rows."""
    if not len(bars):
        return np.empty((0, len(PRICE_COLUMNS)))
    start = max(0, len(bars) - count - LONGEST_LOOKBACK)
    tail = {name: values[start:] for name, values in recursive_quantities(bars).items()}
    columns = price_columns(EveryBar(tail, start))
    features = np.column_stack([columns[name] for name in PRICE_COLUMNS])
    return features[max(len(features) - count, 0) :]


def price_columns(history: History) -> dict[str, np.ndarray]:
    """Return every price feature by name, of all bars or of the newest, as `history` looks at them."""
    columns = _return_columns(history) | _bar_columns(history) | _trend_columns(history)
    columns["dollar_volume"] = history.rolling("dollars", _VOLUME_BARS, _volume_score)
    columns["warm"] = (history.age() >= LONGEST_LOOKBACK).astype(float)
    return columns


def volatility(bars: Bars) -> np.ndarray:
    """Return sigma_t, the stock's volatility per bar.

    The square root of the exponentially weighted mean of squared log returns, decay 0.94 (RiskMetrics
    1996), weights normalised over the returns seen, floor 0.1 %.

    Returns
    -------
    ndarray of float64, shape [K]
        NaN for the first 20 bars (fewer than 20 returns).

    Notes
    -----
    **Known at** the close of each bar.
    """
    return ewma_volatility(np.log(bars.close[1:] / bars.close[:-1]), leading=1)


def ewma_volatility(returns: np.ndarray, leading: int) -> np.ndarray:
    """Return sigma of gapless `returns`, after `leading` bars that have no return; shape [leading + len]."""
    return floored_volatility(normalised_average(returns**2, leading))


def panel_features(panel: PricePanel) -> FeaturePanel:
    """Return `price_features` of every ticker as one panel, NaN where a stock did not trade."""
    values = np.full((*panel.close.shape, len(PRICE_COLUMNS)), np.nan)
    for column, ticker in enumerate(panel.tickers):
        bars = panel.bars(ticker)
        if len(bars):
            values[panel.traded[:, column], column] = price_features(bars)
    return FeaturePanel(panel.sessions, panel.tickers, PRICE_COLUMNS, values)


def garman_klass_variance(open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return Garman and Klass's variance of each bar, never below 0, same shape."""
    body, height = np.log(close / open_), np.log(high / low)
    return np.maximum(0.5 * height**2 - (2 * np.log(2) - 1) * body**2, 0)


def relative_strength(gain: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return (RSI - 50) / 50 of average gains and losses, on [-1, 1]; 0 without any change."""
    # RSI = 100 gain / (gain + loss), so (RSI - 50) / 50 = (gain - loss) / (gain + loss).
    return _quotient(gain - loss, gain + loss)


def recursive_quantities(bars: Bars) -> dict[str, np.ndarray]:
    """Return the bars, what follows from a bar and the one before, and what depends on the whole history, each [K]."""
    averages = whole_averages(bars)
    return bar_quantities(bars) | told_quantities(averages, bars.close)


def bar_quantities(bars: Bars) -> dict[str, np.ndarray]:
    """Return the bars and what follows from a bar and the one before it, each of shape [K]."""
    quantities = {"open": bars.open, "high": bars.high, "low": bars.low, "close": bars.close, "volume": bars.volume}
    quantities["dollars"] = bars.close * bars.volume
    quantities["squared_return"] = np.log(bars.close / _lag(bars.close, 1)) ** 2
    quantities["garman_klass_variance"] = garman_klass_variance(bars.open, bars.high, bars.low, bars.close)
    return quantities


def told_quantities(averages: dict[str, np.ndarray], close: np.ndarray) -> dict[str, np.ndarray]:
    """Return the averages with the floors that keep a stale price from making every later move infinite."""
    return averages | {
        "atr": np.maximum(averages["true_range"], RANGE_FLOOR * close),
        "sigma": floored_volatility(averages["variance"]),
    }


def floored_volatility(variance: np.ndarray) -> np.ndarray:
    """Return the square root of `variance`, at least 0.1 %, same shape."""
    return np.maximum(np.sqrt(variance), VOLATILITY_FLOOR)


def _return_columns(bar: History) -> dict[str, np.ndarray]:
    close, sigma = bar["close"], bar["sigma"]
    quick, slow = (np.sqrt(np.maximum(_mean(bar, "squared_return", n), VOLATILITY_FLOOR**2)) for n in (5, 63))
    return {
        "return_1": np.log(close / bar.before("close", 1)) / bar.before("sigma", 1),
        "return_5": np.log(close / bar.before("close", 5)) / (sigma * np.sqrt(5)),
        "return_21": np.log(close / bar.before("close", 21)) / (sigma * np.sqrt(21)),
        "momentum": np.log(bar.before("close", 21) / bar.before("close", LONGEST_LOOKBACK)) / (sigma * np.sqrt(231)),
        "overnight": np.log(bar["open"] / bar.before("close", 1)) / sigma,
        "volatility_ratio": np.log(quick / slow),
    }


def _bar_columns(bar: History) -> dict[str, np.ndarray]:
    open_, high, low, close, sigma = (bar[name] for name in ("open", "high", "low", "close", "sigma"))
    return {
        "intraday": np.log(close / open_) / sigma,
        "close_location": _quotient(2 * close - high - low, high - low),
        "range": np.log(high / low) / sigma,
        "garman_klass": 0.5 * np.log(_mean(bar, "garman_klass_variance", 21) + 1e-12),
    }


def _trend_columns(bar: History) -> dict[str, np.ndarray]:
    close, sigma = bar["close"], bar["sigma"]
    return {
        "rsi": relative_strength(bar["gain"], bar["loss"]),
        "atr": np.log(bar["atr"] / close),
        "macd": (bar["ema_12"] - bar["ema_26"]) / bar["atr"],
        "distance_ema_10": np.log(close / bar["ema_10"]) / sigma,
        "distance_ema_50": np.log(close / bar["ema_50"]) / (sigma * np.sqrt(50)),
    }


def _volume_score(dollars: np.ndarray) -> np.ndarray:
    """Return the z-score of the last log dollar volume of each window [M, B]; bars without volume do not count."""
    known = dollars > 0
    logs = np.log(np.where(known, dollars, 1.0))
    seen = known.astype(float)
    count = np.maximum(seen.sum(axis=-1), 1.0)
    mean = logs.sum(axis=-1) / count  # the log of what does not count is 0
    deviation = np.sqrt(((logs - mean[:, None]) ** 2 * seen).sum(axis=-1) / count)
    # Below 1e-9 the volume is constant and what is left is rounding.
    score = _quotient(logs[:, -1] - mean, np.where(deviation > 1e-9, deviation, 0.0))
    return np.where((count >= _FEWEST_VOLUMES) & known[:, -1], score, np.nan)


def _mean(bar: History, name: str, bars: int) -> np.ndarray:
    return bar.rolling(name, bars, lambda windows: windows.sum(axis=-1) / bars)


def _quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, 0 where the whole is 0 and NaN where it is NaN."""
    empty = whole == 0
    return np.where(empty, 0.0, part / np.where(empty, 1.0, whole))


def _lag(values: np.ndarray, bars: int) -> np.ndarray:
    lagged = np.full(len(values), np.nan)
    lagged[bars:] = values[: max(len(values) - bars, 0)]
    return lagged


@dataclass(frozen=True)
class EveryBar:
    """All bars of a piece of history at once (see `History`): `quantities` of shape [K], from bar `first` on."""

    quantities: dict[str, np.ndarray]
    first: int = 0

    def __getitem__(self, name: str) -> np.ndarray:
        return self.quantities[name]

    def before(self, name: str, bars: int) -> np.ndarray:
        return _lag(self.quantities[name], bars)

    def rolling(self, name: str, bars: int, measure: Measure) -> np.ndarray:
        values = self.quantities[name]
        measured = np.full(len(values), np.nan)
        if len(values) >= bars:
            measured[bars - 1 :] = measure(np.lib.stride_tricks.sliding_window_view(values, bars))
        return measured

    def age(self) -> np.ndarray:
        return self.first + np.arange(len(self.quantities["close"]))
