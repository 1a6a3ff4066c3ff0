"""Cash, positions and their value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import backtrader as bt

_MOST_HALVINGS = 60


class Positions(dict[Any, Any]):
    """Positions by feed; asking for one that is not there leaves no trace."""

    def __missing__(self, data: Any) -> Any:
        return bt.position.Position()


class Booking(NamedTuple):
    """What one fill changed, in the words of backtrader's `Order.execute`.

    Attributes
    ----------
    cash : float
        After the fill, USD.
    """

    cash: float
    closed: float
    closed_value: float
    closed_commission: float
    opened: float
    opened_value: float
    opened_commission: float
    pnl: float
    held: float
    average_price: float


def book(position: Any, size: float, price: float, commission: float, cash: float) -> Booking:
    """Change a position by `size` shares and return what that did to the account.

    The arithmetic is in backtrader's order, so that sums agree with its own to the last digit. Where a fill
    turns a position around, its commission is shared out by shares.
    """
    before = position.price
    held, average, opened, closed = position.update(size, price)
    closed_commission = commission * closed / size if opened else commission
    opened_commission = commission - closed_commission if closed else commission
    pnl = closed_value = opened_value = 0.0
    if closed:
        pnl, closed_value = -closed * (price - before), -closed * before
        cash += closed_value + pnl
        cash -= closed_commission
    else:
        closed_commission = 0.0
    if opened:
        opened_value = opened * price
        cash -= opened_value
        cash -= opened_commission
    else:
        opened_commission = 0.0
    return Booking(
        cash, closed, closed_value, closed_commission, opened, opened_value, opened_commission, pnl, held, average
    )


def position_value(position: Any, close: float) -> float:
    """Return what a position is worth at a close, negative for a short, in backtrader's arithmetic."""
    value = position.size * close
    if value <= 0:
        return float(value)
    unrealised = position.size * (close - position.price)
    return float(value - unrealised + unrealised)


def affordable(shares: float, cash: float, cost: Callable[[float], float]) -> float:
    """Return the most shares, whole ones unless all of them, whose `cost` (USD, growing) cash can pay."""
    if cost(shares) <= cash:
        return shares
    least, most = 0, math.ceil(shares)
    for _ in range(_MOST_HALVINGS):
        middle = (least + most) // 2
        if middle == least:
            break
        least, most = (middle, most) if cost(middle) <= cash else (least, middle)
    return least
