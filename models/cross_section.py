"""Columns that compare a stock with the others on the same session.

They are computed on the whole panel and reach a stock's indicator as lines of its own feed, so an
indicator never reads another stock's feed.

**Known at** the close of each session: row t uses sessions up to t, and of session t only stocks that traded.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from feeds.panel import FeaturePanel, PricePanel
from models.features import ewma_volatility

_RANKED = {"xs_return_5": "return_5", "xs_return_21": "return_21", "xs_dollar_volume": "dollar_volume"}
CROSS_SECTION_COLUMNS = (*_RANKED, "xs_market")


def cross_section_features(panel: PricePanel, price: FeaturePanel) -> FeaturePanel:
    """Return ranks within the session and the market's move.

    Parameters
    ----------
    panel : PricePanel
        T sessions, N tickers.
    price : FeaturePanel
        The price features of the same panel.

    Returns
    -------
    FeaturePanel
        Columns `CROSS_SECTION_COLUMNS`. ``xs_return_5``, ``xs_return_21``, ``xs_dollar_volume``: rank
        of that feature among the session's stocks, -1 lowest to 1 highest, ties averaged, 0 for a stock
        alone, NaN where the feature is. ``xs_market``: mean log return of the session's stocks over its
        own volatility up to the session before. All NaN where the stock did not trade.

    Notes
    -----
    **Known at** the close of each session.
    """
    blocks = [session_ranks(price.column(source)) for source in _RANKED.values()]
    blocks.append(np.where(panel.traded, _market_move(panel)[:, None], np.nan))
    return FeaturePanel(panel.sessions, panel.tickers, CROSS_SECTION_COLUMNS, np.stack(blocks, axis=2))


def session_ranks(values: np.ndarray) -> np.ndarray:
    """Return each row's ranks on [-1, 1], shape [T, N]; NaN stays NaN, ties share their mean, one alone is 0."""
    ranks = pd.DataFrame(values).rank(axis=1).to_numpy()
    others = np.isfinite(values).sum(axis=1, keepdims=True) - 1
    return np.where(others > 0, 2 * (ranks - 1) / np.maximum(others, 1) - 1, ranks * 0)


def _market_move(panel: PricePanel) -> np.ndarray:
    """Equal-weight log return over sigma of the session before, shape [T]; NaN where no stock has a return."""
    returns = _own_bar_returns(panel)
    count = np.isfinite(returns).sum(axis=1)
    rows = np.flatnonzero(count)
    market = np.nansum(returns[rows], axis=1) / count[rows]
    sigma = ewma_volatility(market, leading=0)
    move = np.full(len(count), np.nan)
    move[rows[1:]] = market[1:] / sigma[:-1]
    return move


def _own_bar_returns(panel: PricePanel) -> np.ndarray:
    """Log return since the stock's own last bar, shape [T, N]; NaN on its first bar and without a bar."""
    last = pd.DataFrame(panel.close).ffill().shift().to_numpy()
    return np.log(panel.close / last)
