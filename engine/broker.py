"""A broker that fills only what could have been filled, and says what became of every order.

It stands in for backtrader's own broker, for feeds of daily bars of stocks:

- An order fills only on a bar that its stock has in this very session and that came after the
  order; a price that is NaN never fills. (Stock backtrader matches stops and limits of a halted
  stock against the bar that the strategy has already seen.) A halted day moves no trailing stop.
- A stock is listed from its first bar to its last. Orders before and after are rejected. A position
  whose feed has ended while the market goes on is sold on the next session at the last close times
  1 + `delisting_return`, with the reason "delisted" and commission but no slippage; its waiting orders
  are cancelled.
- Within a session the opens come first, then what a stop or a limit fills during the day, then the
  closes; in each, sales before purchases, then stops before limits, then what was sent first; of a stock's prices
  during the day, the nearest to the open, which the day comes by first. Where one bar holds the stop and the target
  of a position, the stop is taken.
- All orders of a stock share a part of the session's volume; what is left over waits for its next bar.
- Cash is checked when an order fills, at the price it fills at. What cannot be paid is bought as far as
  cash goes; where that is nothing, the order ends with the status Margin (`unaffordable`).
- A sale of more than is held sells what is held, or is cancelled where that is nothing, unless
  `allow_short`. What covers a short is bought even where cash does not pay for it, and cash goes below 0.
- Where a bracket's target fills in part, its stop stays for the rest; of linked (OCO) orders, the first fill of one
  cancels the others, as in backtrader.
- Commission and slippage are charged on every fill, per side. Slippage moves the price against the
  order, out of the bar's range if need be, but never beyond a limit.

```
engine/session_fills.py  one session: which orders fill, how much, at what price
engine/lifecycle.py      a stock's listing and end, dividends and fees on the way
engine/fills.py          where an order fills on a bar (pure)
engine/order_book.py     which orders depend on which
engine/orders.py         orders that are cheap to make and to copy
engine/order_checks.py   what an order may ask for
engine/stock.py          one feed: its bar, its life, the volume left
engine/account.py        cash, positions, value (pure)
engine/costs.py          commission and slippage (pure)
engine/broker_checks.py  what is refused where it is given
```

On a session it looks at open positions and waiting orders only, never at every feed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import backtrader as bt

from engine.account import Positions
from engine.broker_checks import (
    check_cash,
    check_commission,
    check_parameters,
    check_slippage_frac,
    is_number,
    refuse_other,
)
from engine.costs import Slippage, StockCommission, delisting_returns
from engine.lifecycle import DELISTED, NOT_LISTED, explain
from engine.order_book import OrderBook
from engine.order_checks import check_explained
from engine.orders import ASKED, make_order
from engine.session_fills import HIGH, NOT_HELD, RESIZE, SessionFills
from engine.stock import Stock
from feeds.adapter.lines import is_beside_finer
from feeds.adapter.naming import feed_name, parameter_values
from feeds.errors import InputError, unknown_name

_KNOWN = {*ASKED, "_checksubmit"}  # what else comes with an order is the strategy's own, for `order.info`
__all__ = ["DELISTED", "NOT_HELD", "NOT_LISTED", "SafeBroker"]


class SafeBroker(SessionFills, bt.brokers.BackBroker):
    """Backtrader's broker with the rules of this module.

    Parameters
    ----------
    cash : float
        USD at the start.
    commission_bps, slippage_bps : float
        Per side, in hundredths of a percent of the price.
    commission : Commission, optional
        A model of `engine.costs` in place of `commission_bps`.
    slippage : Slippage, optional
        A model of `engine.costs` in place of `slippage_bps`.
    volume_frac : float or None
        Part of a session's volume that all orders of a stock together may fill (default 0.025); None
        for no limit. The day's volume is not known at its open: this is a limit on what is believed,
        not something that a strategy sees.
    unaffordable : str
        What becomes of a purchase that cash cannot pay: "resize" (default) buys what it can, "refuse"
        ends the order with Margin, "borrow" lets cash go below 0, free of charge.
    allow_short : bool
        Let sales open short positions (default False); no margin is asked for.
    trail_on : str
        What a trailing stop follows: the "high" of each bar (the low for one that buys; default), or its
        "close". The level that a bar sets holds from the bar after.
    delisting_return : float or mapping of ticker to float
        Return on the last close at a delisting, such as -0.3; default 0, the last close itself.
    borrow_rate : float
        Annual fee on the value of short positions, per calendar day / 365.
    dividends : mapping of ticker to mapping of session (backtrader's day number) to USD per share
        Paid at the ex-date's open on what was held at the close before, and charged to shorts. Only for
        prices that do not contain them.
    halted_at_end : collection of str
        Tickers known to trade again after the data's end, which is then no delisting.

    Notes
    -----
    What the broker does on its own is written into ``order.info.reason``: "delisted" for the sale
    of a delisted position, and the broker's reason after that of an order it refused or cancelled
    ("score 0.0123: not listed yet"). What it made smaller is in ``order.info.note``.

    A feed that has ended cannot be told from one that is only halted when the data are cut inside
    the halt; name such stocks in `halted_at_end`, else the run sells the position in the sessions left.
    `PricePanel.until` names them; a source that is read only up to a date, as with ``--to``, cannot.

    Dividends and the fee on shorts change cash and value; they are no orders, and no part of a trade's profit. Where
    several strategies hold a stock, its sale at a delisting is that of the one which sent the last order.

    Only commissions for stocks are taken, without leverage and interest; histories of orders, cheating on open or
    close, and what else of backtrader's broker would change nothing here (its slippage, fillers, `shortcash`) are
    refused, with the name of what to use instead.

    Raises
    ------
    InputError
        For an unknown parameter, or a value that cannot be.
    """

    params: Any = (
        ("cash", 100_000.0),
        ("commission_bps", 1.0),
        ("slippage_bps", 4.0),
        ("commission", None),
        ("slippage", None),
        ("volume_frac", 0.025),
        ("unaffordable", RESIZE),
        ("allow_short", False),
        ("trail_on", HIGH),
        ("delisting_return", 0.0),
        ("borrow_rate", 0.0),
        ("dividends", None),
        ("halted_at_end", ()),
        ("checksubmit", False),
    )

    comminfo: dict[Any, Any]

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name("parameter of SafeBroker", name, parameter_values(self.params))
        check_parameters(self.p)
        model, self.p.commission = self.p.commission, bt.CommInfoBase(percabs=True)
        super().__init__()
        self.slippage = self.p.slippage or Slippage(self.p.slippage_bps)
        self._clock: Callable[[], float] | None = None
        if model is None:
            self.setcommission(commission=self.p.commission_bps / 1e4)
        else:
            self.addcommissioninfo(StockCommission(model=model))

    # ------------------------------------------------------------------ what backtrader's broker offers

    def init(self) -> None:
        """Set the account back to its start (called by backtrader)."""
        super().init()
        self.session = -math.inf
        self.cash: float = self.p.cash
        self.positions = Positions()
        self.book = OrderBook(self._finish)
        self.notifs: deque[Any] = deque()
        self._value = self.cash
        self._shares_of_fund = self.cash / self.p.fundstartval
        self._stocks: dict[Any, Stock] = {}
        self._volume_frac = self.p.volume_frac
        for info in self.comminfo.values():
            if isinstance(info, StockCommission):
                info.forget()
        self._returned = delisting_returns(self.p.delisting_return)

    def set_clock(self, clock: Callable[[], float] | None) -> None:
        """Let an engine that knows the session say so; without one every feed is asked."""
        self._clock = clock

    def setcommission(self, *args: Any, **kwargs: Any) -> None:
        """Set a commission as in backtrader; InputError for margin, leverage and interest."""
        before = dict(self.comminfo)
        super().setcommission(*args, **kwargs)
        try:
            for info in self.comminfo.values():
                check_commission(info)
        except InputError:
            self.comminfo = before
            raise

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        """Set a commission as in backtrader; InputError for margin, leverage and interest."""
        check_commission(comminfo)
        super().addcommissioninfo(comminfo, name)

    def set_slippage_perc(self, perc: float, *args: Any, **kwargs: Any) -> None:
        """Set slippage as a fraction of the price; where it is charged is this broker's rule."""
        check_slippage_frac(perc)
        self.slippage = Slippage(perc * 1e4)

    def set_slippage_fixed(self, fixed: float, *args: Any, **kwargs: Any) -> None:
        """Refuse slippage in USD: it means nothing on total-return prices."""
        raise InputError("SafeBroker.set_slippage_fixed: expected a fraction of the price; use set_slippage_perc")

    def set_coc(self, coc: bool) -> None:
        """Refuse to fill at a close that was seen before the order."""
        refuse_other("SafeBroker.set_coc", "coc", coc)

    def set_coo(self, coo: bool) -> None:
        """Refuse to fill at an open that was seen before the order."""
        refuse_other("SafeBroker.set_coo", "coo", coo)

    def set_filler(self, filler: Any) -> None:
        """Refuse a filler: `volume_frac` says what a session's volume fills."""
        refuse_other("SafeBroker.set_filler", "filler", filler)

    def set_shortcash(self, shortcash: bool) -> None:
        """Refuse another way to count short sales."""
        refuse_other("SafeBroker.set_shortcash", "shortcash", shortcash)

    def set_int2pnl(self, int2pnl: bool) -> None:
        """Refuse another place for the fee on shorts."""
        refuse_other("SafeBroker.set_int2pnl", "int2pnl", int2pnl)

    def set_checksubmit(self, checksubmit: bool) -> None:
        """Do nothing: cash is checked when an order fills, whatever is set; see `unaffordable`."""

    def set_eosbar(self, eosbar: bool) -> None:
        """Do nothing: daily bars have no end of session inside."""

    seteosbar = set_eosbar

    def add_order_history(self, orders: Any, notify: bool = True) -> None:
        """Refuse orders that were filled elsewhere."""
        raise InputError("SafeBroker.add_order_history: expected none; this broker fills its own orders only")

    def set_fund_history(self, fund: Any) -> None:
        """Refuse values from elsewhere."""
        raise InputError("SafeBroker.set_fund_history: expected none; this broker values its own account only")

    def get_cash(self) -> float:
        """Return USD in cash."""
        return float(self.cash)

    getcash = get_cash

    def set_cash(self, cash: float) -> None:
        """Set the starting cash, USD; InputError unless above 0."""
        check_cash(cash)
        super().set_cash(cash)
        self._shares_of_fund = cash / self.p.fundstartval

    setcash = set_cash

    def add_cash(self, cash: float) -> None:
        """Pay in, or out where negative; InputError for what is no number."""
        if not is_number(cash):
            raise InputError(f"SafeBroker.add_cash: expected a number of USD, received {cash!r}")
        self._shares_of_fund += cash / self.get_fundvalue()
        self.cash += cash
        self._value += cash

    def get_value(self, datas: Any = None, mkt: bool = False, lever: bool = False) -> float:
        """Return the account's value at the last close, or that of the positions in `datas`, USD."""
        if datas is None:
            return self._value - self.cash if mkt else self._value
        held = [data for data in datas if data in self.positions]
        return float(sum(self.positions[data].size * self._stocks[data].last_close() for data in held))

    getvalue = get_value

    def get_leverage(self) -> float:
        """Return 1: nothing is bought on credit here."""
        return 1.0

    def get_fundshares(self) -> float:
        """Return the shares of the account seen as a fund."""
        return float(self._shares_of_fund)

    def get_fundvalue(self) -> float:
        """Return the account's value per fund share; where there is neither, that of the start."""
        return float(self._value / self._shares_of_fund if self._shares_of_fund else self.p.fundstartval)

    fundshares = property(get_fundshares)
    fundvalue = property(get_fundvalue)

    def getposition(self, data: Any) -> Any:
        """Return the position in `data`, empty where there is none; asking leaves no trace."""
        return self.positions[data]

    def get_orders_open(self, safe: bool = False) -> list[Any]:
        """Return the orders that may still fill, oldest first; copies where `safe`."""
        return [order.clone() if safe else order for order in self.book.open.values()]

    def unsent_orders(self) -> list[Any]:
        """Return the orders of brackets whose last one, with `transmit`, never came."""
        return list(self.book.unsent())

    def orderstatus(self, order: Any) -> int:
        """Return an order's status."""
        return int(self.book.open.get(order.ref, order).status)

    def notify(self, order: Any) -> None:
        """Tell the strategy what an order is now."""
        self.notifs.append(order.clone())

    # ------------------------------------------------------------------ orders come and go

    def buy(self, owner: Any, data: Any, size: float, price: Any = None, plimit: Any = None, **asked: Any) -> Any:
        """Send a purchase (called by the strategy's `buy`)."""
        return self._send(
            True, {"owner": owner, "data": data, "size": size, "price": price, "pricelimit": plimit}, asked
        )

    def sell(self, owner: Any, data: Any, size: float, price: Any = None, plimit: Any = None, **asked: Any) -> Any:
        """Send a sale (called by the strategy's `sell`)."""
        return self._send(
            False, {"owner": owner, "data": data, "size": size, "price": price, "pricelimit": plimit}, asked
        )

    def _send(self, is_buy: bool, what: dict[str, Any], asked: dict[str, Any]) -> Any:
        explained = {name: asked.pop(name) for name in asked.keys() - _KNOWN}
        asked.pop("_checksubmit", None)
        order = make_order(is_buy, self._present(what["data"]), {**ASKED, **what, **asked})
        if explained:
            check_explained(order, explained)
            order.info.update(explained)
        return self.submit(order)

    def _present(self, data: Any) -> float:
        """Return the session whose bar an order's sender can see: before our `next`, as in a cheat timer, today's."""
        return max(self.session, data.lines.datetime[0]) if len(data) else self.session

    def submit(self, order: Any, check: bool = True) -> Any:
        """Accept an order, or reject it when its stock is not listed yet or no longer."""
        stock = order.stock = self._stock(order.data)
        stock.owner, stock.tradeid = order.owner, order.tradeid
        refusal = self._refusal(order, stock)
        if refusal is not None:
            self._finish(order, bt.Order.Rejected, refusal)
            return order
        for sent in self.book.send(order):
            sent.submit(self)
            sent.accept(self)
            self.book.open[sent.ref] = sent
            self.notify(sent)
        return order

    def cancel(self, order: Any, bracket: bool = False) -> bool:
        """Cancel an order at once, one that was not sent yet too; False where it has ended."""
        return self.book.cancel(order)

    def _end(self, order: Any, status: int, why: str = "") -> None:
        """Take an order that did not fill, or not fully, out of the market."""
        self.book.remove(order)
        self._finish(order, status, why)
        self.book.after_end(order)

    def _finish(self, order: Any, status: int, why: str = "") -> None:
        if why:
            explain(order, why)
        order.status, order.broker = status, self
        order.executed.dt = self.session
        self.notify(order)

    def _stock(self, data: Any) -> Stock:
        stock = self._stocks.get(data)
        if stock is None:
            if is_beside_finer(data, self.cerebro.datas):
                raise InputError(
                    f"order of {feed_name(data)}: expected one whose bars begin after the order, "
                    "received one resampled beside shorter bars, whose open lies before it; send the order to the feed "
                    "of the shorter bars"
                )
            stock = self._stocks[data] = Stock(data, data._name in self.p.halted_at_end)
        return stock
