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
from collections.abc import Iterator
from itertools import islice
from numbers import Real
from typing import Any

import backtrader as bt
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
        limit price, or the close at the decision for market orders. `executed_price` is the average of the fills,
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
        feeds = self.strategy.datas
        self._tickers = {feed: feed._name or f"data{i}" for i, feed in enumerate(feeds)}
        self._adjusts = {feed: feed.lines.adjust if "adjust" in feed.getlinealiases() else None for feed in feeds}
        self._rows: dict[pd.Timestamp, tuple[float, float, float]] = {}
        self._orders: dict[int, bt.Order] = {}
        self._created: dict[int, pd.Timestamp] = {}
        self._fills: dict[int, list[Fill]] = {}
        self._held: dict[bt.feed.DataBase, Any] = {}  # and the line of its closes
        self._sessions: dict[float, pd.Timestamp] = {}
        self._days: dict[tuple[Any, float], pd.Timestamp] = {}
        self._ledger = TradeLedger()
        self._never_sent: set[int] = set()

    def notify_order(self, order: bt.Order) -> None:
        if order.ref not in self._orders:
            self._created[order.ref] = self._creation_session(order)
            self._fills[order.ref] = []
        self._orders[order.ref] = order
        if len(order.executed.exbits) == len(self._fills[order.ref]):
            return
        for fill in self._new_fills(order):
            self._fills[order.ref].append(fill)
            self._ledger.add(fill)
            self._held[order.data] = order.data.lines.close

    def next(self) -> None:
        broker = self.strategy.broker
        value = broker.getvalue()
        invested = self._invested(broker)
        # The last call of a day counts, so intraday feeds give one row per session too.
        self._rows[self._present()] = (value, broker.getcash(), invested / value if value else float("nan"))

    def stop(self) -> None:
        # backtrader does not deliver what the last session's orders have to say.
        for order in getattr(self.strategy.broker, "notifs", ()):
            if order is not None and order.p.owner is self.strategy:
                self.notify_order(order)
        for order in getattr(self.strategy.broker, "unsent_orders", lambda: ())():
            self.notify_order(order)
            self._never_sent.add(order.ref)
        self.equity = self._equity_table()
        self.orders = self._order_table()
        traded = {order.data for ref, order in self._orders.items() if self._fills[ref]}
        self.trades = self._ledger.table({self._tickers[feed]: self._mark(feed) for feed in traded})
        self.rets.update(equity=self.equity, orders=self.orders, trades=self.trades)
        # Optimisation sends analyzers between processes: keep no feed and no order alive.
        for kept in (self._tickers, self._adjusts, self._rows, self._orders, self._created, self._fills, self._held):
            kept.clear()
        self._sessions.clear()
        self._days.clear()

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

    def _new_fills(self, order: bt.Order) -> Iterator[Fill]:
        seen = len(self._fills[order.ref])
        for bit in islice(order.executed.exbits, seen, None):
            back = _bars_back(order.data, bit.dt)
            yield Fill(
                ticker=self._tickers[order.data],
                session=self._day(order.data, bit.dt),
                bar=len(order.data) - back,
                size=float(bit.size),
                price=float(bit.price),
                adjust=self._adjust(order.data, back),
                commission=float(bit.comm),
                reason=_text(order, "reason"),
                score=_number(order, "score"),
            )

    def _invested(self, broker: Any) -> float:
        """Return what is held at its close; forget what is flat."""
        invested = 0.0
        for feed, close in list(self._held.items()):
            size = broker.getposition(feed).size
            if size:
                invested += abs(size) * close[0]
            else:
                del self._held[feed]
        return invested

    def _mark(self, feed: bt.feed.DataBase) -> Mark:
        return Mark(len(feed), float(feed.close[0]), self._adjust(feed, 0))

    def _adjust(self, feed: bt.feed.DataBase, back: int) -> float:
        """Return the total-return factor `back` bars ago, 1 for feeds that have none."""
        line = self._adjusts[feed]
        return 1.0 if line is None else float(line[-back])

    def _present(self) -> pd.Timestamp:
        """Return the strategy's session, converted once."""
        dates = self.strategy.lines.datetime
        number = dates[0]
        if number not in self._sessions:
            self._sessions[number] = pd.Timestamp(dates.date(0))
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
        rows = [self._order_row(ref, number) for number, ref in enumerate(sorted(self._orders), start=1)]
        table = pd.DataFrame(rows, columns=list(ORDER_COLUMNS))
        sessions = dict.fromkeys(("created_session", "executed_session"), "datetime64[ns]")
        prices = ("created_price", "executed_price", "executed_price_source")
        numbers = ("size", "filled", *prices, "commission", "slippage", "value")
        return table.astype({**sessions, **dict.fromkeys(numbers, "float64"), "ref": "int64"})

    def _order_row(self, ref: int, number: int) -> tuple[object, ...]:
        order, fills = self._orders[ref], self._fills[ref]
        shares = sum(abs(fill.size) for fill in fills)
        value = sum(abs(fill.size) * fill.price for fill in fills)
        value_source = sum(abs(fill.size) * fill.price / fill.adjust for fill in fills)
        filled = shares > 0
        empty = float("nan")
        return (
            number,
            self._tickers[order.data],
            "buy" if order.isbuy() else "sell",
            order.getordername(),
            abs(float(order.created.size)),
            shares,
            self._created[ref],
            float(order.created.price),
            fills[-1].session if filled else pd.NaT,
            value / shares if filled else empty,
            value_source / shares if filled else empty,
            sum(fill.commission for fill in fills),
            _number(order, "slippage") if filled else empty,
            value if filled else empty,
            self._fate(order),
            _text(order, "reason"),
            _text(order, "note"),
        )

    def _fate(self, order: bt.Order) -> str:
        if order.ref in self._never_sent:
            return NEVER_SENT
        return PENDING_AT_END if order.alive() else str(order.getstatusname())


def _bars_back(feed: bt.feed.DataBase, moment: float) -> int:
    """Return how many bars before the feed's present one `moment` lies (cheat-on-close fills look back)."""
    back = 0
    while back < len(feed) - 1 and feed.datetime[-back] > moment:
        back += 1
    return back


def _text(order: bt.Order, name: str) -> str:
    """Return a text that came with the order (backtrader invents an empty dict where there is none)."""
    text = order.info.get(name, "")
    return text if isinstance(text, str) else ""


def _number(order: bt.Order, name: str) -> float:
    number = order.info.get(name)
    return float(number) if number is not None and isinstance(number, Real) else math.nan
