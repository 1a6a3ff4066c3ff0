"""Prices and indicators in dollars, as the notebook before this project fed them to its network.

They are levels: a network that sees them can tell one stock from another, and a stock that doubles leaves the
range that the network was trained on. The preset ``source`` uses them; `models.features` has the ones to prefer.

**Known at** the close of the bar's session: row k uses bars 0 to k of the stock itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from feeds.panel import Bars, FeaturePanel, PricePanel
from models.features import garman_klass_variance, recursive_quantities, relative_strength

LEVEL_COLUMNS = (
    "open_price",
    "high_price",
    "low_price",
    "close_price",
    "adjusted_close_price",
    "volume_shares",
    "garman_klass_bar",
    "rsi_14",
    "atr_14_price",
    "macd_price",
    "ema_10_price",
    "ema_50_price",
)


def level_features(bars: Bars) -> np.ndarray:
    """Return every level column of one ticker's whole history.

    Returns
    -------
    ndarray of float64, shape [K, 12]
        In the order of `LEVEL_COLUMNS`; NaN until an average is full.

    Notes
    -----
    **Known at** the close of each bar. Open, high, low and adjusted close are the traded (total-return) series,
    from which all indicators follow, so that no bar mixes adjusted with unadjusted prices; ``close_price`` is
    the source's own close. ``garman_klass_bar`` is the bar's variance (Garman and Klass, J. of Business 53,
    1980), ``rsi_14`` on 0 to 100 and ``atr_14_price`` with Wilder's averages (1978), ``macd_price`` EMA12 less EMA26.
    """
    columns = level_columns(bars, recursive_quantities(bars))
    return np.column_stack([columns[name] for name in LEVEL_COLUMNS])


def level_columns(bars: Bars, quantity: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the level columns of `bars`, shape [K], by name; `quantity` are `recursive_quantities` of them."""
    return {
        "open_price": bars.open,
        "high_price": bars.high,
        "low_price": bars.low,
        "close_price": bars.close / bars.adjust,
        "adjusted_close_price": bars.close,
        "volume_shares": bars.volume,
        "garman_klass_bar": garman_klass_variance(bars.open, bars.high, bars.low, bars.close),
        "rsi_14": 50 + 50 * relative_strength(quantity["gain"], quantity["loss"]),
        "atr_14_price": quantity["atr"],
        "macd_price": quantity["ema_12"] - quantity["ema_26"],
        "ema_10_price": quantity["ema_10"],
        "ema_50_price": quantity["ema_50"],
    }


def panel_levels(panel: PricePanel, names: Sequence[str]) -> FeaturePanel:
    """Return some `level_features` of every ticker as one panel, NaN where a stock did not trade."""
    chosen = [LEVEL_COLUMNS.index(name) for name in names]
    values = np.full((*panel.close.shape, len(chosen)), np.nan)
    for column, ticker in enumerate(panel.tickers):
        bars = panel.bars(ticker)
        if len(bars):
            values[panel.traded[:, column], column] = level_features(bars)[:, chosen]
    return FeaturePanel(panel.sessions, panel.tickers, tuple(names), values)
