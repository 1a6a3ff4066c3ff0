"""What happened in a run: equity of every session, every order with its fate, every trade.

Add it to any Cerebro, with any strategy::

    cerebro.addanalyzer(Recorder, _name="recorder")
    recorder = cerebro.run()[0].analyzers.recorder
    recorder.trades.to_csv("trades.csv", index=False)

Orders may say why they were sent (``self.buy(..., reason="score", score=0.012)``); a feed may
have the line `adjust` (total-return factor). Both are optional.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Real
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np
import pandas as pd

from analyzers.ledger import Fill, Mark, TradeLedger

EQUITY_COLUMNS = ("value", "cash", "exposure", "drawdown")
ORDER_COLUMNS = (
    "ref",
    "ticker",
    "side",
    "order_type",
    "size",
    "filled",
    "created_session",
    "created_price",
    "limit_price",
    "executed_session",
    "executed_price",
    "executed_price_source",
    "commission",
    "slippage",
    "value",
    "status",
    "reason",
    "note",
)
_TEXTS = ("ticker", "side", "order_type", "status", "reason", "note")
_STOP_LIMITS = (bt.Order.StopLimit, bt.Order.StopTrailLimit)
PENDING_AT_END, NEVER_SENT = "Pending at end", "Never sent"


class Recorder(bt.Analyzer):
    """Record equity, orders and trades of one strategy.

    Attributes
    ----------
    equity : DataFrame, index `session`
        One row per session on which the strategy was called, the sessions included on which
        backtrader still waits for the youngest feed (`prenext`). `value` and `cash` in USD at the
        close; `exposure` is the sum of absolute position values over `value`; `drawdown` is
        value over its highest so far, less 1 (never above 0).
    orders : DataFrame
        One row per order in the order of creation; `ref` counts from 1 in each run. `size` is
        what was asked and `filled` what was had, never negative. `created_price` is the stop or
        limit price, or the close at the decision for market orders; `limit_price` the limit of a stop-limit, else
        empty. `executed_price` is the average of the fills,
        `executed_price_source` the same as the source quotes it (price / adjust of the fill's
        bar), `value` the USD that changed hands; all three and `executed_session` (of the last
        fill) are empty where nothing was filled. `commission` and `slippage` are USD; slippage is
        empty where the broker does not say. `status` is Completed, Canceled, Margin, Rejected,
        Expired, "Pending at end" or "Never sent" (a bracket that lacked its last order). `note` is what
        the broker changed about the order, such as its size.
    trades : DataFrame
        Flat-to-flat trades, see `analyzers.ledger.TradeLedger.table`.

    Notes
    -----
    Filled when the run ends. Positions are those of this strategy's own orders.
    """

    def __init__(self) -> None:  # without it backtrader would swallow misspelt parameters
        super().__init__()
        self.equity = pd.DataFrame(columns=list(EQUITY_COLUMNS))
        self.orders = pd.DataFrame(columns=list(ORDER_COLUMNS))
        self.trades = pd.DataFrame()

    def start(self) -> None:
        self._stocks = {feed: _stock(feed, f"data{i}") for i, feed in enumerate(self.strategy.datas)}
        self._dates: Any = self.strategy.lines.datetime
        self._rows: dict[pd.Timestamp, tuple[float, float, float]] = {}
        self._orders: dict[int, _Fate] = {}
        self._held: dict[bt.feed.DataBase, float] = {}
        self._sessions: dict[float, pd.Timestamp] = {}
        self._days: dict[tuple[Any, float], pd.Timestamp] = {}
        self._ledger = TradeLedger()

    def notify_order(self, order: bt.Order) -> None:
        fate = self._orders.get(order.ref)
        if fate is None:
            fate = self._orders[order.ref] = _Fate(order, self._creation_session(order))
        fate.order = order
        for bit in islice(order.executed.exbits, fate.fills, None):
            fill = self._fill(order, bit)
            fate.add(fill)
            self._ledger.add(fill)
            self._held[order.data] = self._held.get(order.data, 0.0) + bit.size

    def next(self) -> None:
        broker = self.strategy.broker
        value = broker.getvalue()
        invested = self._invested()
        # The last call of a day counts, so intraday feeds give one row per session too.
        self._rows[self._present()] = (value, broker.getcash(), invested / value if value else float("nan"))

    def stop(self) -> None:
        # backtrader does not deliver what the last session's orders have to say.
        for order in getattr(self.strategy.broker, "notifs", ()):
            if order is not None and order.p.owner is self.strategy:
                self.notify_order(order)
        for order in getattr(self.strategy.broker, "unsent_orders", lambda: ())():
            if order.p.owner is self.strategy:
                self.notify_order(order)
                self._orders[order.ref].was_sent = False
        self.equity = self._equity_table()
        self.orders = self._order_table()
        traded = {fate.order.data for fate in self._orders.values() if fate.fills}
        self.trades = self._ledger.table({self._stocks[feed].ticker: self._mark(feed) for feed in traded})
        self.rets.update(equity=self.equity, orders=self.orders, trades=self.trades)
        # Optimisation sends analyzers between processes: keep no feed and no order alive.
        for kept in (self._stocks, self._rows, self._orders, self._held, self._sessions, self._days):
            kept.clear()
        self._dates = None

    def _creation_session(self, order: bt.Order) -> pd.Timestamp:
        """Return the session of the decision.

        The order's own date is that of its feed's bar: older when the stock was halted, and one of
        the future when it was not listed yet. News of an order comes one session late.
        """
        now = self._present()
        last_row = next(reversed(self._rows), now)
        if not math.isfinite(order.created.dt):
            return last_row
        feed_session = self._day(order.data, order.created.dt)
        return feed_session if last_row <= feed_session <= now else last_row

    def _fill(self, order: bt.Order, bit: Any) -> Fill:
        feed, info = order.data, order.info
        stock, back = self._stocks[feed], _bars_back(feed, bit.dt)
        return Fill(
            stock.ticker,
            self._day(feed, bit.dt),
            len(feed) - back,
            float(bit.size),
            float(bit.price),
            stock.factor(back),
            float(bit.comm),
            _text(info.get("reason")),
            _number(info.get("score")),
        )

    def _invested(self) -> float:
        """Return what is held at its close; forget what is flat."""
        for feed in [feed for feed, size in self._held.items() if not size]:
            del self._held[feed]
        return sum(abs(size) * self._stocks[feed].close[0] for feed, size in self._held.items())

    def _mark(self, feed: bt.feed.DataBase) -> Mark:
        return Mark(len(feed), float(feed.close[0]), self._stocks[feed].factor(0))

    def _present(self) -> pd.Timestamp:
        """Return the strategy's session, converted once."""
        number = self._dates[0]
        if number not in self._sessions:
            self._sessions[number] = pd.Timestamp(self._dates.date(0))
        return self._sessions[number]

    def _day(self, feed: bt.feed.DataBase, moment: float) -> pd.Timestamp:
        """Return the day of a moment of a feed, converted once for all feeds of a time zone."""
        key = (feed.p.tz, moment)
        if key not in self._days:
            self._days[key] = pd.Timestamp(feed.num2date(moment).date())
        return self._days[key]

    def _equity_table(self) -> pd.DataFrame:
        index = pd.DatetimeIndex(list(self._rows), name="session").as_unit("ns")
        table = pd.DataFrame(list(self._rows.values()), index=index, columns=list(EQUITY_COLUMNS[:-1]), dtype="float64")
        return table.assign(drawdown=table["value"] / table["value"].cummax() - 1.0)

    def _order_table(self) -> pd.DataFrame:
        fates = [self._orders[ref] for ref in sorted(self._orders)]
        rows = [fate.row(number, self._stocks[fate.order.data].ticker) for number, fate in enumerate(fates, start=1)]
        columns = zip(*rows, strict=True) if rows else [()] * len(ORDER_COLUMNS)
        # Column by column, each of its type: pandas would look at every value to guess it.
        return pd.DataFrame({name: _typed(name, values) for name, values in zip(ORDER_COLUMNS, columns, strict=True)})


class _Stock(NamedTuple):
    """What is asked of a feed at every fill and session."""

    ticker: str
    close: Any
    adjust: Any

    def factor(self, back: int) -> float:
        """Return the total-return factor `back` bars ago, 1 for feeds that have none."""
        return 1.0 if self.adjust is None else float(self.adjust[-back])


def _stock(feed: bt.feed.DataBase, otherwise: str) -> _Stock:
    lines = feed.lines
    return _Stock(feed._name or otherwise, lines.close, lines.adjust if "adjust" in feed.getlinealiases() else None)


@dataclass(slots=True)
class _Fate:
    """What became of one order so far."""

    order: bt.Order
    created: pd.Timestamp
    was_sent: bool = True
    fills: int = 0
    shares: float = 0.0
    value: float = 0.0
    value_source: float = 0.0
    commission: float = 0.0
    executed: Any = pd.NaT

    def add(self, fill: Fill) -> None:
        shares = abs(fill.size)
        self.fills += 1
        self.shares += shares
        self.value += shares * fill.price
        self.value_source += shares * fill.price / fill.adjust
        self.commission += fill.commission
        self.executed = fill.session

    def row(self, number: int, ticker: str) -> tuple[object, ...]:
        """Return a row of `ORDER_COLUMNS`."""
        order, shares, info = self.order, self.shares, self.order.info
        return (
            number,
            ticker,
            "buy" if order.isbuy() else "sell",
            order.getordername(),
            abs(float(order.created.size)),
            shares,
            self.created,
            float(order.created.price),
            float(order.created.pricelimit) if order.exectype in _STOP_LIMITS else math.nan,
            self.executed,
            self.value / shares if shares else math.nan,
            self.value_source / shares if shares else math.nan,
            self.commission,
            _number(info.get("slippage")) if shares else math.nan,
            self.value if shares else math.nan,
            self._status(),
            _text(info.get("reason")),
            _text(info.get("note")),
        )

    def _status(self) -> str:
        if not self.was_sent:
            return NEVER_SENT
        return PENDING_AT_END if self.order.alive() else str(self.order.getstatusname())


def _typed(name: str, values: Sequence[Any]) -> np.ndarray:
    """Return a column of the table of orders."""
    if name.endswith("_session"):
        return np.array([moment.value for moment in values], dtype=np.int64).view("datetime64[ns]")
    kinds = {"ref": np.int64, **dict.fromkeys(_TEXTS, object)}
    return np.array(values, dtype=kinds.get(name, np.float64))


def _bars_back(feed: bt.feed.DataBase, moment: float) -> int:
    """Return how many bars before the feed's present one `moment` lies (cheat-on-close fills look back)."""
    back = 0
    while back < len(feed) - 1 and feed.datetime[-back] > moment:
        back += 1
    return back


def _text(found: object) -> str:
    """Return a text that came with an order, empty where it is none."""
    return found if isinstance(found, str) else ""


def _number(found: object) -> float:
    return float(found) if isinstance(found, (float, Real)) else math.nan  # the abstract class alone is slow
