"""What an order may ask for: checked when it is sent, for a stop at NaN would never fire and protect nothing."""

from __future__ import annotations

from typing import Any

import backtrader as bt
from backtrader.order import OrderBase

from engine.costs import is_number
from feeds.adapter.naming import feed_name
from feeds.errors import InputError

_PRICES: dict[int, tuple[str, ...]] = {
    bt.Order.Market: (),
    bt.Order.Close: (),
    bt.Order.Limit: ("price",),
    bt.Order.Stop: ("price",),
    bt.Order.StopLimit: ("price", "pricelimit"),
    bt.Order.StopTrail: ("price",),
    bt.Order.StopTrailLimit: ("price", "pricelimit"),
}
TRAILING = (bt.Order.StopTrail, bt.Order.StopTrailLimit)


def check_asked(asked: dict[str, Any]) -> None:
    """Refuse an order that cannot be.

    Parameters
    ----------
    asked : dict
        See `engine.orders.make_order`.

    Raises
    ------
    InputError
        For a size or price that is no number above 0, an unknown type, a trailing stop without a distance, and an
        order that is none. Names the stock and the argument.
    """
    kind = bt.Order.Market if asked["exectype"] is None else asked["exectype"]
    if kind not in _PRICES:
        types = "Market, Close, Limit, Stop, StopLimit, StopTrail or StopTrailLimit of bt.Order"
        raise _refused("exectype", asked, types, repr(kind))
    for name in ("oco", "parent"):
        if asked[name] is not None and not isinstance(asked[name], OrderBase):
            raise _refused(name, asked, "an order, as `buy` and `sell` return it", f"a {type(asked[name]).__name__}")
    _check_number("size", asked)
    for name in _PRICES[kind]:
        if asked[name]:  # 0 and None stand for the close, as in backtrader
            _check_number(name, asked)
    if kind in TRAILING:
        _check_distance(asked)


def _check_distance(asked: dict[str, Any]) -> None:
    given = [name for name in ("trailamount", "trailpercent") if asked[name]]
    if not given:
        raise _refused("trailamount", asked, "a distance above 0, here or as `trailpercent`", "neither")
    for name in given:
        _check_number(name, asked)
    if "trailpercent" in given and asked["trailpercent"] >= 1:
        raise _refused("trailpercent", asked, "a fraction below 1 such as 0.05", repr(asked["trailpercent"]))


def _check_number(name: str, asked: dict[str, Any]) -> None:
    number = asked[name]
    if not (is_number(number) and number > 0):
        raise _refused(
            name, asked, "a number above 0", f"{number!r}; ask whether it is known before you send the order"
        )


def _refused(name: str, asked: dict[str, Any], expected: str, received: str) -> InputError:
    return InputError(f"`{name}` of an order of {feed_name(asked['data'])}: expected {expected}, received {received}")


def check_explained(order: Any, explained: dict[str, Any]) -> None:
    """Refuse names that the broker writes into `order.info` itself.

    Raises
    ------
    InputError
        Naming what cannot be given.
    """
    for name in ("slippage", "note"):
        if name in explained:
            text = "another name, received one that the broker writes into `order.info` itself"
            raise InputError(f"`{name}` of an order of {feed_name(order.data)}: expected {text}")
