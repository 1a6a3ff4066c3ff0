"""How much insiders buy or sell a stock on the open market, in one number.

The pieces are the feed's insider lines, each timed by the filing's acceptance, never by the
transaction's date. Purchases say more than sales, which are often made for cash or by plan
(Lakonishok and Lee, "Are Insider Trades Informative?", Review of Financial Studies 14, 2001), and
purchases by several insiders or against their calendar habit say most (Cohen, Malloy and Pomorski,
"Decoding Inside Information", Journal of Finance 67, 2012).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.panel import Bars
from indicators.column_indicator import ColumnIndicator, require_lines

PRESSURE_COLUMNS = (
    "ins_known",
    "ins_buy_21",
    "ins_sell_21",
    "ins_net_63",
    "ins_cluster_21",
    "ins_opportunistic_21",
    "ins_recency_21",
)


def insider_pressure(bars: Bars) -> np.ndarray:
    """Combine the insider columns.

    With b, s the purchases and sales of 21 bars in ln(1 + USD / average daily USD), and n the net
    share of distinct buyers over 63 bars (from -1 to 1)::

        balance    = ½ n + ½ (b - s) / (b + s)           the fraction is 0 where nothing was traded
        conviction = ¼ (1 + cluster + opportunistic + recency)   where balance > 0, else ¼
        pressure   = balance × conviction

    so one insider's sale weighs at most ¼, fresh unroutine purchases by five insiders 1.

    Parameters
    ----------
    bars : Bars with the columns `PRESSURE_COLUMNS`, shape [K]

    Returns
    -------
    ndarray of float64, shape [K]
        From -¼ to 1; NaN where a column is NaN or `ins_known` is not 1.

    Notes
    -----
    **Known at** the close of each bar.
    """
    known, buy, sell, net, cluster, opportunistic, recency = (bars.columns[name] for name in PRESSURE_COLUMNS)
    traded = buy + sell
    dollars = np.divide(buy - sell, traded, out=np.zeros_like(traded), where=traded > 0)
    balance = 0.5 * net + 0.5 * np.where(np.isnan(traded), np.nan, dollars)
    conviction = 0.25 * (1 + np.where(balance > 0, cluster + opportunistic + recency, 0))
    complete = np.isfinite(cluster + opportunistic + recency) & (known == 1)
    return np.where(complete, balance * conviction, np.nan)


class InsiderPressure(ColumnIndicator):
    """Line `pressure`: see `insider_pressure`.

    Raises
    ------
    InputError
        For a feed without one of the insider lines.
    """

    lines: Any = ("pressure",)

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        super().__init__(*feeds, **unknown)
        advice = "run with --filings, or use a strategy without insiders (lstm_only)"
        require_lines(self.data, PRESSURE_COLUMNS, "InsiderPressure", advice)

    def bars_needed(self) -> int:
        """Return 1: the lines carry their own windows."""
        return 1

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the pressure of each bar, shape [K, 1]."""
        return insider_pressure(bars)[:, None]
