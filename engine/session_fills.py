"""What happens in one session: which orders fill, how much of each, and at what price.

```
every waiting order of a stock that trades now ── engine.fills ──► matches, sorted by moment, side, kind, number,
                                                                    within a stock by distance from the open
each match ── what is held ── what the volume leaves ── price with slippage ── what cash pays ──► booked
trailing stops that are left ──► moved
```
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import backtrader as bt

from engine import fills
from engine.account import Booking, affordable, book, position_value
from engine.costs import Slippage, StockCommission
from engine.lifecycle import Lifecycle
from engine.order_checks import TRAILING
from engine.stock import Stock

NOT_HELD, CASH, UNPAID, ON_CREDIT = "more than is held", "cash", "not enough cash", "covered on credit"
RESIZE, REFUSE, BORROW = "resize", "refuse", "borrow"
HIGH, CLOSE = "high", "close"
_STOPS = (bt.Order.Stop, bt.Order.StopTrail)


class SessionFills(Lifecycle):
    """The part of `engine.broker.SafeBroker` that fills orders."""

    cerebro: Any
    slippage: Slippage
    getcommissioninfo: Any
    _clock: Callable[[], float] | None
    _value: float
    _volume_frac: float | None

    def next(self) -> None:
        """Fill what can be filled in the session that has just ended (called before the strategy)."""
        last, self.session = self.session, self._clock() if self._clock else self._latest_session()
        self.book.activate()
        if self.p.borrow_rate or self.p.dividends:
            self._carry(last)
        if self.book.open or self.positions:
            self._leave_delisted()
            self._fill_all()
        total = 0.0
        for data, position in self.positions.items():
            total += position_value(position, self._stocks[data].mark())
        self._value = self.cash + total

    def _latest_session(self) -> float:
        return float(max(data.datetime[0] for data in self.cerebro.datas if len(data)))

    def _fill_all(self) -> None:
        session, waiting, matches, trailing = self.session, self.book.open, [], []
        turns: dict[Any, int] = {}
        for order in list(waiting.values()):
            if order.ref not in waiting:
                continue  # ended with one before it
            if order.valid is not None and self._has_expired(order):
                self._end(order, bt.Order.Expired)
            elif order.stock.dates[0] == session > order.created.dt and order.is_active:
                bar = order.stock.bar()
                match = _match(order, bar) if bar.is_traded else None
                if match is not None:
                    matches.append((*_turn(order, match, bar, turns), match, order))
                if order.exectype in TRAILING and bar.is_traded:
                    trailing.append((order, bar))
        for *_, match, order in sorted(matches):  # numbers of orders differ, so nothing behind them is compared
            if order.parent is not None and match.rank == fills.BY_STOP and match.moment == fills.IN_DAY:
                self._enter_before(order, match.price, matches)
            if order.ref in waiting:
                self._fill(order, match)
        for order, bar in trailing:
            self._trail(order, bar)

    def _enter_before(self, stop: Any, price: float, matches: list[Any]) -> None:
        """Fill what is left of a bracket's entry at a limit that the day comes by on its way to the stop."""
        for *_, match, order in matches:
            if order is not stop.parent or order not in self.book or match.rank != fills.BY_LIMIT:
                continue
            if match.price > price if order.isbuy() else match.price < price:
                self._fill(order, match)

    def _has_expired(self, order: Any) -> bool:
        # A market order has one chance whatever its validity, as in backtrader.
        waits_for_its_bar = order.exectype in (bt.Order.Market, bt.Order.Close) and not order.executed.size
        return bool(self.session > order.valid and not waits_for_its_bar)

    def _trail(self, order: Any, bar: fills.Bar) -> None:
        if order not in self.book or order.triggered:
            return
        created, is_buy = order.created, order.isbuy()
        reference = bar.close if self.p.trail_on == CLOSE else bar.low if is_buy else bar.high
        amount, percent = order.trailamount or 0.0, order.trailpercent or 0.0
        created.price = fills.trailed(is_buy, created.price, reference, amount, percent)
        if order.exectype == bt.Order.StopTrailLimit:
            created.pricelimit = created.price - order.limit_offset

    def _fill(self, order: Any, match: fills.Match) -> None:
        stock, left, most = order.stock, abs(order.executed.remsize), self._most(order)
        if most <= 0:
            self._end(order, bt.Order.Canceled, NOT_HELD)
            return
        if order.exectype in _STOPS:
            order.triggered = True  # what the volume leaves over is a market order
        shares = min(left, most)
        if self._volume_frac is not None:
            shares = min(shares, stock.budget(self.session, self._volume_frac))
        if shares <= 0:
            return
        if most < left:
            _resize(order, most, NOT_HELD)
        price = self._price(order, match, shares)
        if order.isbuy() and self.p.unaffordable != BORROW:
            shares = self._payable(order, match, shares, price)
            price = self._price(order, match, shares) if not self.slippage.is_fixed else price
        if shares > 0:
            stock.spend(shares)
            self._execute_fill(order, shares if order.isbuy() else -shares, price, abs(price - match.price))

    def _most(self, order: Any) -> float:
        """Return the most shares that an order may fill: a sale what is held, a bracket's child what is left to it."""
        most: float = math.inf
        if not self.p.allow_short and not order.isbuy():
            most = self.positions[order.data].size
        return most if order.parent is None else min(most, self.book.unprotected(order))

    def _price(self, order: Any, match: fills.Match, shares: float) -> float:
        slippage, is_buy = self.slippage, order.isbuy()
        lost = slippage.bps / 1e4 if slippage.is_fixed else slippage.frac(shares, order.stock.before)
        slipped = match.price * (1 + lost) if is_buy else match.price * (1 - lost)
        if match.limit == match.limit:
            return min(slipped, match.limit) if is_buy else max(slipped, match.limit)
        return slipped

    def _payable(self, order: Any, match: fills.Match, shares: float, price: float) -> float:
        """Return how many of the shares cash pays; the rest of the order is taken off, or all refused.

        What covers a short is bought whatever cash there is, as a broker would see to it.
        """
        info = self.getcommissioninfo(order.data)
        if self.cash >= shares * price + self._commission(info, order.stock, shares, price):
            return shares
        covering = min(shares, max(0.0, -self.positions[order.data].size))

        def cost(opening: float) -> float:
            part = covering + opening
            at = price if self.slippage.is_fixed else self._price(order, match, part)
            return part * at + self._commission(info, order.stock, part, at)

        if covering and cost(0.0) > self.cash:
            _note(order, ON_CREDIT)
        opening = affordable(shares - covering, self.cash, cost) if self.p.unaffordable == RESIZE else 0.0
        paid = covering + opening
        if paid < shares and (paid > 0 or order.executed.size):
            _resize(order, paid, CASH)
        if paid <= 0:
            was_filled = bool(order.executed.size)
            self._end(order, bt.Order.Completed if was_filled else bt.Order.Margin, "" if was_filled else UNPAID)
        return paid

    def _commission(self, info: Any, stock: Stock, shares: float, price: float) -> float:
        if isinstance(info, StockCommission):
            adjust = stock.adjust()
            return info.quote(shares * adjust, price / adjust, self._month())
        return float(info.getcommission(shares, price))

    def _month(self) -> tuple[int, int]:
        day = bt.num2date(self.session)
        return day.year, day.month

    def _execute_fill(self, order: Any, size: float, price: float, lost_per_share: float) -> None:
        stock, data = order.stock, order.data
        info = self.getcommissioninfo(data)
        commission = self._commission(info, stock, abs(size), price)
        if isinstance(info, StockCommission):
            info.count(abs(size) * stock.adjust(), self._month())
        position = self.positions[data]
        booking = book(position, size, price, commission, self.cash)
        self.cash = booking.cash
        if position.size:
            self.positions[data] = position
        else:
            self.positions.pop(data, None)
        order.info["slippage"] = order.info.get("slippage", 0.0) + abs(size) * lost_per_share
        self._record(order, size, price, booking)
        order.addcomminfo(info)
        if not order.alive():
            self.book.remove(order)
        self.notify(order)
        self.book.after_fill(order)

    def _record(self, order: Any, size: float, price: float, done: Booking) -> None:
        closed = (done.closed, done.closed_value, done.closed_commission)
        opened = (done.opened, done.opened_value, done.opened_commission)
        order.execute(self.session, size, price, *closed, *opened, None, done.pnl, done.held, done.average_price)


def _match(order: Any, bar: fills.Bar) -> fills.Match | None:
    """Return where an order can fill on a bar, None for nowhere."""
    kind, is_buy, created = order.exectype, order.isbuy(), order.created
    if kind == bt.Order.Market or (order.triggered and kind in _STOPS):
        return fills.market(bar)
    if kind == bt.Order.Close:
        return fills.on_close(bar)
    if kind == bt.Order.Limit:
        return fills.limit(is_buy, created.price, bar)
    if kind in _STOPS:
        return fills.stop(is_buy, created.price, bar)
    if order.triggered:
        return fills.limit(is_buy, created.pricelimit, bar)
    match, order.triggered = fills.stop_limit(is_buy, created.price, created.pricelimit, bar)
    return match


def _turn(order: Any, match: fills.Match, bar: fills.Bar, turns: dict[Any, int]) -> tuple[float, ...]:
    """Return a match's place in the session; the day comes by the nearer of a stock's prices first."""
    moment, is_buy, rank, number = match.moment, order.isbuy(), match.rank, order.ref
    if moment != fills.IN_DAY:
        return moment, is_buy, rank, number, 0.0, number
    first = turns.setdefault((order.data, is_buy, rank), number)  # of this stock, which was sent first
    return moment, is_buy, rank, first, abs(match.price - bar.open), number


def _resize(order: Any, shares: float, why: str) -> None:
    """Leave only so many more shares of an order, and say so."""
    asked, filled = abs(order.created.size), abs(order.executed.size)
    order.executed.remsize = shares if order.executed.remsize > 0 else -shares
    _note(order, f"resized from {asked:g} to {filled + shares:g}: {why}")


def _note(order: Any, text: str) -> None:
    earlier = order.info.get("note")
    order.info["note"] = f"{earlier}; {text}" if isinstance(earlier, str) and earlier else text
