"""A broker that fills only what could have been filled, and says what became of every order.

It is backtrader's own broker with these rules on top, for feeds of daily bars:

- An order fills only on a bar that its stock has in this very session and that came after the
  order; a price that is NaN never fills. (Stock backtrader matches stops and limits of a halted
  stock against the bar that the strategy has already seen.)
- A stock is listed from its first bar to its last. Orders before and after are rejected. A position
  whose feed has ended while the market goes on is sold on the next session at the last close,
  with the reason "delisted" and commission but no slippage; its waiting orders are cancelled.
- In a session market orders come before resting ones, and sales before purchases.
- Cash is checked when an order fills, at the price it fills at: what cannot be paid gets the status
  Margin.
- A sale of more than is held is cancelled, unless `allow_short`.
- Commission and slippage are charged on every fill, per side. Slippage moves the price against the
  order, out of the bar's range if need be, but never beyond a limit.

All attributes of backtrader's broker that are not public are used in this file only.
"""

from __future__ import annotations

import collections
import math
from typing import Any

import backtrader as bt

from feeds.errors import InputError, unknown_name

NOT_LISTED, DELISTED, NOT_HELD = "not listed yet", "delisted", "more than is held"


class SafeBroker(bt.brokers.BackBroker):
    """Backtrader's broker with the rules of this module.

    Parameters
    ----------
    cash : float
        USD at the start.
    commission_bps, slippage_bps : float
        Per side, in hundredths of a percent of the price.
    allow_short : bool
        Let sales open short positions (default False).

    Notes
    -----
    What the broker does on its own is written into ``order.info.reason``: "delisted" for the sale
    of a delisted position, and the broker's reason after that of an order it refused or cancelled
    ("score 0.0123: not listed yet").

    A feed that has ended cannot be told from one that is only halted when the data are cut inside
    the halt: such a run sells the position in the sessions left.

    Raises
    ------
    InputError
        For an unknown parameter, or cash, commission or slippage that cannot be.
    """

    params: Any = (
        ("cash", 100_000.0),
        ("commission_bps", 1.0),
        ("slippage_bps", 4.0),
        ("allow_short", False),
        ("checksubmit", False),
    )

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name("parameter of SafeBroker", name, self.params._getkeys())
        _check_account(self.p.cash, self.p.commission_bps, self.p.slippage_bps)
        super().__init__()
        self.setcommission(commission=self.p.commission_bps / 1e4)
        self.set_slippage_perc(self.p.slippage_bps / 1e4, slip_open=True, slip_match=True, slip_out=True)

    def init(self) -> None:
        """Set the account back to its start (called by backtrader)."""
        super().init()
        self._session = -math.inf
        self._owners: dict[str, Any] = {}

    def getposition(self, data: Any) -> Any:
        """Return the position in `data`, empty where there is none; asking leaves no trace."""
        return self.positions[data] if data in self.positions else bt.position.Position()

    def submit(self, order: Any, check: bool = True) -> Any:
        """Accept an order, or reject it when its stock is not listed yet or no longer."""
        order.created.dt = self._session
        self._owners[order.data._name] = order.p.owner
        if not self._is_listed(order.data):
            # What backtrader read as the stock's price is one of its future.
            order.created.price = order.created.pclose = math.nan
            return self._reject(order, NOT_LISTED)
        if self._has_ended(order.data):
            return self._reject(order, DELISTED)
        return super().submit(order, check=check)

    def next(self) -> None:
        """Fill what can be filled in the session that has just ended (called before the strategy)."""
        self._session = max(data.datetime[0] for data in self.cerebro.datas if len(data))
        self._leave_delisted()
        self.pending: collections.deque[Any] = collections.deque(sorted(self.pending, key=_turn))
        super().next()
        for data in [data for data, position in self.positions.items() if not position.size]:
            del self.positions[data]

    def _is_listed(self, data: Any) -> bool:
        return len(data) > 0 and math.isfinite(self._session)

    def _has_ended(self, data: Any) -> bool:
        # Feeds that load bar by bar hold their next bar, if there is one, before it is due.
        return bool(len(data) >= data.buflen() and data.datetime[0] < self._session)

    def _leave_delisted(self) -> None:
        for order in [order for order in self.pending if self._has_ended(order.data)]:
            _explain(order, DELISTED)
            self.cancel(order)
        held = [data for data, position in self.positions.items() if position.size and self._has_ended(data)]
        for data in sorted(held, key=lambda data: str(data._name)):
            self._sell_at_last_price(data)

    def _sell_at_last_price(self, data: Any) -> None:
        size = self.positions[data].size
        side = bt.order.SellOrder if size > 0 else bt.order.BuyOrder
        order = side(owner=self._owners[data._name], data=data, size=abs(size), exectype=bt.Order.Market)
        order.created.dt = self._session
        order.addinfo(reason=DELISTED)
        self._ocoize(order, None)
        self.submit_accept(order)
        self.pending.remove(order)
        self._execute(order, ago=0, price=data.close[0], dtcoc=self._session)

    def _reject(self, order: Any, why: str) -> Any:
        _explain(order, why)
        order.reject(self)
        order.executed.dt = self._session
        self.notify(order)
        return order

    def _try_exec(self, order: Any) -> None:
        data = order.data
        if data.datetime[0] != self._session or data.datetime[0] <= order.created.dt:
            return
        if any(math.isnan(price) for price in (data.open[0], data.high[0], data.low[0], data.close[0])):
            return
        if not self.p.allow_short and order.issell() and self.getposition(data).size < -order.executed.remsize:
            _explain(order, NOT_HELD)
            order.cancel()
            self.notify(order)
            self._ococheck(order)
            return
        super()._try_exec(order)

    def _try_exec_limit(self, order: Any, popen: float, phigh: float, plow: float, plimit: float) -> None:
        # backtrader slips a sale from its limit, not from the better open, and can pass the limit.
        opens_better = popen <= plimit if order.isbuy() else popen >= plimit
        if opens_better:
            slipped = self._slipped(order, popen)
            self._execute(order, ago=0, price=min(slipped, plimit) if order.isbuy() else max(slipped, plimit))
        elif plow <= plimit <= phigh:
            self._execute(order, ago=0, price=plimit)

    def _try_exec_close(self, order: Any, pclose: float) -> None:
        # Daily bars: the close of the first bar after the order. backtrader charges no slippage here.
        self._execute(order, ago=0, price=self._slipped(order, pclose))

    def _slipped(self, order: Any, price: float) -> float:
        return float(price * (1 + math.copysign(self.p.slippage_bps / 1e4, order.size)))


def _turn(order: Any) -> int:
    """Market sales, market purchases, resting sales, resting purchases."""
    return 2 * (order.exectype != bt.Order.Market) + order.isbuy()


def _explain(order: Any, why: str) -> None:
    reason = order.info.get("reason")
    order.addinfo(reason=f"{reason}: {why}" if isinstance(reason, str) and reason else why)


def _check_account(cash: float, commission_bps: float, slippage_bps: float) -> None:
    if not (math.isfinite(cash) and cash > 0):
        raise InputError(f"`cash`: expected USD above 0, received {cash}")
    for name, bps in (("commission_bps", commission_bps), ("slippage_bps", slippage_bps)):
        if not 0 <= bps < 10_000:
            raise InputError(f"`{name}`: expected from 0 to below 10000 basis points per side, received {bps}")
