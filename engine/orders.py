"""Orders that are cheap to make and to copy.

backtrader makes an order through its metaclass and copies it through `copy` at every change of status;
with ten thousand orders that costs more than filling them. These are the same orders, of the same
classes, with the attributes set directly. What a strategy may read of an order (`order.created.price`,
`order.p.owner`, `order.info`, ...) is there.
"""

from __future__ import annotations

import datetime
import math
from numbers import Real
from typing import Any

import backtrader as bt
import numpy as np
from backtrader.order import OrderBase, OrderData
from backtrader.utils import AutoOrderedDict

from engine.order_checks import TRAILING, check_asked
from feeds.adapter.naming import feed_name
from feeds.errors import InputError

# What a strategy may ask of an order, with backtrader's defaults.
ASKED: dict[str, Any] = {
    "exectype": None,
    "valid": None,
    "tradeid": 0,
    "oco": None,
    "trailamount": None,
    "trailpercent": None,
    "parent": None,
    "transmit": True,
    "simulated": False,
    "histnotify": False,
}
_NEW = object.__new__
_EMPTY = vars(OrderData())
_FRESH = {"broker": None, "comminfo": None, "position": 0, "triggered": False, "status": bt.Order.Created}


class OrderParameters:
    """What an order was asked to be, as `order.p`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__ = values


class _SafeOrder:
    """What the orders of both sides share. Made by `make_order` only."""

    p: Any
    created: Any
    executed: Any
    data: Any
    is_active: bool

    def clone(self) -> Any:
        """Return a copy whose fills so far are marked as told (called at every notification)."""
        self.executed.markpending()
        executed, copied = _NEW(OrderData), _NEW(type(self))
        executed.__dict__ = self.executed.__dict__.copy()
        copied.__dict__ = {**self.__dict__, "executed": executed}
        return copied

    def active(self) -> bool:
        """Tell whether it may fill: a child of a bracket waits for its parent."""
        return self.is_active

    def activate(self) -> None:
        """Let it fill."""
        self.is_active = True

    @property
    def dteos(self) -> float:
        """End of the session after which the order was sent, as backtrader's day number."""
        if not math.isfinite(self.created.dt):  # sent before the first session
            return float(self.created.dt)
        day = bt.num2date(self.created.dt)
        end = self.data.p.sessionend
        moment = day.replace(hour=end.hour, minute=end.minute, second=end.second, microsecond=end.microsecond)
        return float(self.data.date2num(moment if moment >= day else moment + datetime.timedelta(days=1)))


class SafeBuyOrder(_SafeOrder, bt.order.BuyOrder):
    """A purchase."""


class SafeSellOrder(_SafeOrder, bt.order.SellOrder):
    """A sale."""


def make_order(is_buy: bool, session: float, asked: dict[str, Any]) -> Any:
    """Return an order decided at the close of `session`.

    Parameters
    ----------
    is_buy : bool
    session : float
        backtrader's day number.
    asked : dict
        `owner`, `data`, `size`, `price`, `pricelimit`, `exectype`, `valid`, `tradeid`, `oco`, `trailamount`,
        `trailpercent`, `parent`, `transmit`, `simulated`, `histnotify`.

    Raises
    ------
    InputError
        For a size or price that is no number above 0, an unknown type, a trailing stop without a distance.

    Notes
    -----
    A stock without a bar so far has no price: where backtrader would show the last close of the whole
    data set, `created.price` is NaN.
    """
    check_asked(asked)
    order: Any = _NEW(SafeBuyOrder if is_buy else SafeSellOrder)
    size = asked["size"] if is_buy else -asked["size"]
    kind = bt.Order.Market if asked["exectype"] is None else asked["exectype"]
    parameters = OrderParameters(asked)
    order.__dict__ = {
        **asked,
        "p": parameters,
        "params": parameters,
        "size": size,
        "exectype": kind,
        "ref": next(OrderBase.refbasis),
        "info": AutoOrderedDict(),
        "is_active": asked["parent"] is None,
        "_plimit": asked["pricelimit"],
        "executed": _order_data({"remsize": size}),
        **_FRESH,
    }
    order.created = _created(order, session)
    if kind in TRAILING:
        _start_trailing(order)
    if asked["valid"] is not None:
        order.valid = _valid_until(asked["valid"], session, asked["data"])
    return order


def _created(order: Any, session: float) -> Any:
    data, price, plimit = order.data, order.price, order.pricelimit
    close = data.lines.close[0] if len(data) else math.nan
    if not (price or plimit):
        price = close
    return _order_data(
        {
            "dt": session,
            "size": order.size,
            "price": price or plimit,
            "pricelimit": plimit or price,
            "_plimit": plimit,
            "pclose": close,
            "trailamount": order.trailamount,
            "trailpercent": order.trailpercent,
        }
    )


def _order_data(values: dict[str, Any]) -> Any:
    """Return an OrderData without its constructor: that costs more than filling the order."""
    data = _NEW(OrderData)
    data.__dict__ = {**_EMPTY, **values, "exbits": []}  # backtrader's deque takes 600 bytes, empty
    return data


def _start_trailing(order: Any) -> None:
    """Set the first level from the price given, else from the close."""
    created = order.created
    order.limit_offset = created.price - created.pricelimit
    amount = order.trailamount or created.price * (order.trailpercent or 0.0)
    created.price += amount if order.isbuy() else -amount
    if order.exectype == bt.Order.StopTrailLimit:
        created.pricelimit = created.price - order.limit_offset


def _valid_until(valid: Any, session: float, data: Any) -> float:
    """Return the last moment at which an order may fill; a date stands for its whole day."""
    if isinstance(valid, np.datetime64):
        valid = valid.astype("datetime64[us]").item()
    if isinstance(valid, datetime.datetime):
        return float(data.date2num(valid))
    if isinstance(valid, datetime.date):
        return float(data.date2num(datetime.datetime.combine(valid, datetime.time())))
    if isinstance(valid, datetime.timedelta):
        return session + valid / datetime.timedelta(days=1)
    if not isinstance(valid, Real):
        raise InputError(
            f"`valid` of an order of {feed_name(data)}: expected a date, a datetime, a timedelta or backtrader's day "
            f"number, received {valid!r}"
        )
    return float(valid) or session
