"""The trade ledger: from executed fills to flat-to-flat trades, one at a time per ticker.

A trade begins when a ticker's position leaves zero and ends when it is zero again. Whatever is
bought or sold in between (scaling in, partial exits) belongs to it, so that its profit is the
money that came out less the money that went in. A fill that turns a long into a short ends one
trade and begins the next. Nothing here knows backtrader.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

TRADE_COLUMNS = (
    "ticker",
    "entry_session",
    "exit_session",
    "size",
    "entry_price",
    "exit_price",
    "entry_price_source",
    "exit_price_source",
    "pnl",
    "pnl_net",
    "return_net",
    "bars_held",
    "entry_reason",
    "exit_reason",
    "entry_score",
)
OPEN_AT_END = "open at end"
_FLAT = 1e-9  # shares; what rounding of fractional sizes may leave behind


class Fill(NamedTuple):
    """One execution.

    Attributes
    ----------
    ticker : str
    session : Timestamp
        Session of the bar that filled, a naive midnight.
    bar : int
        Number of that bar in the ticker's own feed, counted from 1.
    size : float
        Shares, negative for a sale.
    price : float
        USD per share of the traded series, slippage included.
    adjust : float
        Total-return factor of that bar; price / adjust is the price as the source quotes it.
    commission : float
        USD, never negative for what is paid.
    reason : str
        Why the order was sent, empty where the strategy does not say.
    score : float
        Predicted return at the decision, NaN where the strategy does not say.
    """

    ticker: str
    session: pd.Timestamp
    bar: int
    size: float
    price: float
    adjust: float = 1.0
    commission: float = 0.0
    reason: str = ""
    score: float = float("nan")

    def part(self, size: float) -> Fill:
        """Return the share of this fill that is `size`, with its part of the commission."""
        return self._replace(size=size, commission=self.commission * size / self.size)


@dataclass(frozen=True)
class Mark:
    """The last bar of a ticker that is still held: its number, close (USD) and adjustment."""

    bar: int
    close: float
    adjust: float = 1.0


@dataclass
class _Side:
    """Shares and money that went one way in a trade."""

    shares: float = 0.0
    value: float = 0.0
    value_source: float = 0.0

    def add(self, shares: float, price: float, adjust: float) -> None:
        self.shares += shares
        self.value += shares * price
        self.value_source += shares * price / adjust

    @property
    def price(self) -> float:
        return self.value / self.shares

    @property
    def price_source(self) -> float:
        return self.value_source / self.shares


class _OpenTrade:
    """A position that is not flat yet."""

    def __init__(self, first: Fill) -> None:
        self.first = first
        self.direction = 1.0 if first.size > 0 else -1.0
        self.entry, self.exit = _Side(), _Side()
        self.commission = 0.0
        self.add(first)

    @property
    def held(self) -> float:
        """Shares held, always positive."""
        return self.entry.shares - self.exit.shares

    @property
    def is_flat(self) -> bool:
        return self.held <= _FLAT

    def add(self, fill: Fill) -> None:
        side = self.entry if fill.size * self.direction > 0 else self.exit
        side.add(abs(fill.size), fill.price, fill.adjust)
        self.commission += fill.commission

    def row(self, last_bar: int, exit_session: pd.Timestamp | None, exit_reason: str) -> dict[str, object]:
        pnl = self.direction * (self.exit.value - self.entry.value)
        pnl_net = pnl - self.commission
        return {
            "ticker": self.first.ticker,
            "entry_session": self.first.session,
            "exit_session": pd.NaT if exit_session is None else exit_session,
            "size": self.direction * self.entry.shares,
            "entry_price": self.entry.price,
            "exit_price": self.exit.price,
            "entry_price_source": self.entry.price_source,
            "exit_price_source": self.exit.price_source,
            "pnl": pnl,
            "pnl_net": pnl_net,
            "return_net": pnl_net / self.entry.value if self.entry.value else float("nan"),
            "bars_held": last_bar - self.first.bar,
            "entry_reason": self.first.reason,
            "exit_reason": exit_reason,
            "entry_score": self.first.score,
        }


class TradeLedger:
    """Collects fills in the order of their execution and keeps the trades they make."""

    def __init__(self) -> None:
        self._open: dict[str, _OpenTrade] = {}
        self._rows: list[dict[str, object]] = []

    def add(self, fill: Fill) -> None:
        """Take one fill; closes, extends or begins the ticker's trade."""
        trade = self._open.get(fill.ticker)
        if trade is None:
            self._open[fill.ticker] = _OpenTrade(fill)
            return
        beyond = abs(fill.size) - trade.held if fill.size * trade.direction < 0 else 0.0
        if beyond <= _FLAT:
            trade.add(fill)
        else:
            sign = np.sign(fill.size)
            trade.add(fill.part(float(sign * trade.held)))
        if trade.is_flat:
            self._rows.append(trade.row(fill.bar, fill.session, fill.reason))
            del self._open[fill.ticker]
        if beyond > _FLAT:
            self._open[fill.ticker] = _OpenTrade(fill.part(float(np.sign(fill.size) * beyond)))

    def table(self, marks: Mapping[str, Mark]) -> pd.DataFrame:
        """Return every trade: closed ones in the order they ended, then those still open, by ticker.

        Parameters
        ----------
        marks : mapping of ticker to Mark
            Last bar of each ticker that is held. What is still held counts as sold at its close,
            without commission.

        Returns
        -------
        DataFrame with the columns `TRADE_COLUMNS`
            `size` is every share that entered, negative for a short; prices are averages weighted
            by shares; USD. `return_net` is `pnl_net` over the money that entered. `bars_held`
            counts the ticker's own bars from the entry's to the exit's. An open trade has no
            `exit_session` and the reason "open at end".
        """
        rows = [*self._rows, *(self._marked(ticker, marks[ticker]) for ticker in sorted(self._open))]
        table = pd.DataFrame(rows, columns=list(TRADE_COLUMNS))
        numbers = ["size", *(name for name in TRADE_COLUMNS if "price" in name), "pnl", "pnl_net", "return_net"]
        types: dict[str, str] = dict.fromkeys([*numbers, "entry_score"], "float64")
        sessions = dict.fromkeys(("entry_session", "exit_session"), "datetime64[ns]")
        return table.astype({**types, **sessions, "bars_held": "int64"})

    def _marked(self, ticker: str, mark: Mark) -> dict[str, object]:
        trade = copy.deepcopy(self._open[ticker])  # the ledger itself stays as it is
        trade.exit.add(trade.held, mark.close, mark.adjust)
        return trade.row(mark.bar, None, OPEN_AT_END)
