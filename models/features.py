"""The price features: pure, causal functions of one ticker's own traded bars.

The same function serves training, the whole panel and one bar. Recursive quantities (exponential
averages, Wilder averages) start at the ticker's first bar in every path; everything else looks back
over a fixed window of bars. Every feature is unchanged when all prices are multiplied by a constant.

**Known at** the close of the bar's session: row k uses bars 0 to k.

Why these: returns over five scales, where the bar closed, three measures of range, two of trend and
one of trading, each in units of the stock's own volatility, so that one network can serve all stocks.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from feeds.panel import Bars, FeaturePanel, PricePanel

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
VOLATILITY_BARS = 20
"""Returns needed before the volatility is trusted."""
LONGEST_LOOKBACK = 252
_DECAY = 0.94
_WILDER_BARS = 14
_VOLUME_BARS = 63
_FEWEST_VOLUMES = 32


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
    recursive = recursive_quantities(bars)
    start = max(0, len(bars) - count - LONGEST_LOOKBACK)
    tail = {name: values[start:] for name, values in recursive.items()}
    columns = _return_columns(tail) | _bar_columns(tail) | _trend_columns(tail)
    columns["dollar_volume"] = _volume_score(tail["close"] * tail["volume"])
    columns["warm"] = (np.arange(start, len(bars)) >= LONGEST_LOOKBACK).astype(float)
    features = np.column_stack([columns[name] for name in PRICE_COLUMNS])
    return features[max(len(features) - count, 0) :]


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
    return ewma_volatility(_log_return(bars.close, 1)[1:], leading=1)


def ewma_volatility(returns: np.ndarray, leading: int) -> np.ndarray:
    """Return sigma of gapless `returns`, after `leading` bars that have no return; shape [leading + len]."""
    if not len(returns):
        return np.full(leading, np.nan)
    weight = (1 - _DECAY ** np.arange(1, len(returns) + 1)) / (1 - _DECAY)
    variance = lfilter([1.0], [1.0, -_DECAY], returns**2) / weight
    sigma = np.concatenate([np.full(leading, np.nan), np.maximum(np.sqrt(variance), VOLATILITY_FLOOR)])
    sigma[: leading + VOLATILITY_BARS - 1] = np.nan
    return sigma


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
    moved = gain + loss
    # RSI = 100 gain / (gain + loss), so (RSI - 50) / 50 = (gain - loss) / (gain + loss).
    return np.divide(gain - loss, moved, out=np.where(np.isnan(moved), np.nan, 0.0), where=moved > 0)


def recursive_quantities(bars: Bars) -> dict[str, np.ndarray]:
    """Return the bars and whatever depends on the whole history, each of shape [K]."""
    close = bars.close
    change = np.diff(close)
    previous = close[:-1]
    true_range = np.maximum(bars.high[1:], previous) - np.minimum(bars.low[1:], previous)
    quantities = {"open": bars.open, "high": bars.high, "low": bars.low, "close": close, "volume": bars.volume}
    quantities |= {f"ema_{n}": _ema(close, n) for n in (10, 12, 26, 50)}
    quantities["gain"] = _wilder(np.maximum(change, 0))
    quantities["loss"] = _wilder(np.maximum(-change, 0))
    quantities["atr"] = np.maximum(_wilder(true_range), RANGE_FLOOR * close)
    quantities["sigma"] = volatility(bars)
    return quantities


def _return_columns(bar: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    close, sigma = bar["close"], bar["sigma"]
    squares = _log_return(close, 1) ** 2
    quick, slow = (np.sqrt(np.maximum(_rolling_mean(squares, n), VOLATILITY_FLOOR**2)) for n in (5, 63))
    return {
        "return_1": _log_return(close, 1) / _lag(sigma, 1),
        "return_5": _log_return(close, 5) / (sigma * np.sqrt(5)),
        "return_21": _log_return(close, 21) / (sigma * np.sqrt(21)),
        "momentum": _lag(_log_return(close, 231), 21) / (sigma * np.sqrt(231)),
        "overnight": np.log(bar["open"] / _lag(close, 1)) / sigma,
        "volatility_ratio": np.log(quick / slow),
    }


def _bar_columns(bar: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    open_, high, low, close, sigma = (bar[name] for name in ("open", "high", "low", "close", "sigma"))
    span = high - low
    body, height = np.log(close / open_), np.log(high / low)
    garman_klass = garman_klass_variance(open_, high, low, close)
    return {
        "intraday": body / sigma,
        "close_location": np.divide(2 * close - high - low, span, out=np.zeros_like(close), where=span > 0),
        "range": height / sigma,
        "garman_klass": 0.5 * np.log(_rolling_mean(garman_klass, 21) + 1e-12),
    }


def _trend_columns(bar: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    close, sigma = bar["close"], bar["sigma"]
    return {
        "rsi": relative_strength(bar["gain"], bar["loss"]),
        "atr": np.log(bar["atr"] / close),
        "macd": (bar["ema_12"] - bar["ema_26"]) / bar["atr"],
        "distance_ema_10": np.log(close / bar["ema_10"]) / sigma,
        "distance_ema_50": np.log(close / bar["ema_50"]) / (sigma * np.sqrt(50)),
    }


def _volume_score(dollars: np.ndarray) -> np.ndarray:
    """Return the z-score of the log dollar volume; bars without volume count in neither mean nor deviation."""
    known = dollars > 0
    logs = np.log(np.where(known, dollars, 1.0))
    windows, seen = _windows(logs, _VOLUME_BARS), _windows(known.astype(float), _VOLUME_BARS)
    count = np.maximum(seen.sum(axis=-1), 1.0)
    mean = (windows * seen).sum(axis=-1) / count
    deviation = np.sqrt(((windows - mean[:, None]) ** 2 * seen).sum(axis=-1) / count)
    distance = windows[:, -1] - mean
    # Below 1e-9 the volume is constant and what is left is rounding.
    score = np.divide(distance, deviation, out=np.zeros_like(mean), where=deviation > 1e-9)
    return _padded(np.where((count >= _FEWEST_VOLUMES) & (seen[:, -1] > 0), score, np.nan), len(dollars))


def _ema(values: np.ndarray, bars: int) -> np.ndarray:
    """Exponential average from the first value on; NaN until `bars` values were seen."""
    alpha = 2 / (bars + 1)
    average, _ = lfilter([alpha], [1.0, alpha - 1], values, zi=(1 - alpha) * values[:1])
    average[: bars - 1] = np.nan
    return np.asarray(average)


def _wilder(changes: np.ndarray) -> np.ndarray:
    """Wilder's average of per-bar `changes` [K-1], seeded with the mean of the first 14; shape [K]."""
    n = _WILDER_BARS
    average = np.full(len(changes) + 1, np.nan)
    if len(changes) < n:
        return average
    average[n] = changes[:n].mean()
    average[n + 1 :], _ = lfilter([1 / n], [1.0, 1 / n - 1], changes[n:], zi=[(1 - 1 / n) * average[n]])
    return average


def _log_return(close: np.ndarray, bars: int) -> np.ndarray:
    return np.log(close / _lag(close, bars))


def _lag(values: np.ndarray, bars: int) -> np.ndarray:
    lagged = np.full(len(values), np.nan)
    lagged[bars:] = values[: max(len(values) - bars, 0)]
    return lagged


def _rolling_mean(values: np.ndarray, bars: int) -> np.ndarray:
    return _padded(_windows(values, bars).mean(axis=-1), len(values))


def _windows(values: np.ndarray, bars: int) -> np.ndarray:
    """Every full window that ends at a bar, shape [max(K - bars + 1, 0), bars]."""
    if len(values) < bars:
        return np.empty((0, bars))
    return np.lib.stride_tricks.sliding_window_view(values, bars)


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([np.full(length - len(values), np.nan), values])
