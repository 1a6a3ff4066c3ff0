"""The life of a stock as the account sees it: before listing, after its end, dividends and fees on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import backtrader as bt

from engine.order_book import OrderBook
from engine.orders import ASKED, make_order
from engine.stock import Stock

NOT_LISTED, DELISTED = "not listed yet", "delisted"
NO_PARENT, NO_GRANDCHILD = "its parent has ended", "its parent is a bracket's exit"


class Lifecycle:
    """The part of `engine.broker.SafeBroker` that knows when a stock can be traded, and ends what outlives it."""

    p: Any
    session: float
    cash: float
    positions: Any
    book: OrderBook
    notify: Any
    _end: Any
    _execute_fill: Any
    _stocks: dict[Any, Stock]
    _returned: Callable[[str], float]

    def _refusal(self, order: Any, stock: Stock) -> str | None:
        if not (stock.is_listed and math.isfinite(self.session)):
            return NOT_LISTED
        if stock.dates[0] != self.session and stock.has_ended(self.session):
            return DELISTED
        if order.parent is not None:
            order.parent = self.book.parent_of(order)
            if order.parent is None:
                return NO_PARENT
            return None if order.parent.parent is None else NO_GRANDCHILD
        return None

    def _leave_delisted(self) -> None:
        session = self.session
        for order in list(self.book.open.values()):
            if order.stock.dates[0] != session and order.stock.has_ended(session) and order in self.book:
                self._end(order, bt.Order.Canceled, DELISTED)
        absent = [self._stocks[data] for data in self.positions if self._stocks[data].dates[0] != session]
        for stock in sorted((stock for stock in absent if stock.has_ended(session)), key=lambda stock: stock.name):
            self._sell_at_last_price(stock)

    def _sell_at_last_price(self, stock: Stock) -> None:
        size, returned = self.positions[stock.data].size, self._returned(stock.name)
        what = {
            **ASKED,
            "owner": stock.owner,
            "data": stock.data,
            "tradeid": stock.tradeid,
            "size": abs(size),
            "price": None,
            "pricelimit": None,
        }
        order = make_order(size < 0, self.session, what)
        order.stock = stock
        order.info.update(reason=DELISTED)
        if returned:
            order.info.update(note=f"at {returned:+.1%} of the last close")
        order.submit(self)
        order.accept(self)
        self.notify(order)
        self._execute_fill(order, -size, stock.last_close() * (1 + returned), 0.0)

    def _carry(self, last: float) -> None:
        """Pay dividends on what was held at the close before, and the fee on shorts since then."""
        days = self.session - last if math.isfinite(last) else 0.0
        paid: Mapping[str, Mapping[float, float]] = self.p.dividends or {}
        for data, position in self.positions.items():
            stock = self._stocks[data]
            due = (usd for day, usd in paid.get(stock.name, {}).items() if last < day <= self.session)
            self.cash += position.size * sum(due)
            if position.size < 0:
                self.cash += position.size * stock.marked * self.p.borrow_rate * days / 365


def explain(order: Any, why: str) -> None:
    """Add the broker's reason after the strategy's own."""
    reason = order.info.get("reason")
    order.info["reason"] = f"{reason}: {why}" if isinstance(reason, str) and reason else why
