"""Where an order fills on one bar: pure arithmetic on open, high, low and close.

A daily bar tells four prices and not their order, so every rule here takes what is certain and, where
two things are possible, what is worse for the account:

```
AT_OPEN   market orders; limits and stops that the open is already at or beyond: all at the open
IN_DAY    stops at their price, then limits at theirs: where a bar holds both, the stop is taken
AT_CLOSE  market-on-close
```

A fill lies inside the bar before slippage. Which bars an order may see, who is served first and what can
be paid is the broker's business.
"""

from __future__ import annotations

import math
from typing import NamedTuple

AT_OPEN, IN_DAY, AT_CLOSE = range(3)
BY_MARKET, BY_STOP, BY_LIMIT = range(3)


class Bar(NamedTuple):
    """One session of one stock, USD per share."""

    open: float
    high: float
    low: float
    close: float

    @property
    def is_traded(self) -> bool:
        """True where every price is a number."""
        return not math.isnan(self.open + self.high + self.low + self.close)


class Match(NamedTuple):
    """A price at which an order can fill.

    Attributes
    ----------
    moment : int
        `AT_OPEN`, `IN_DAY` or `AT_CLOSE`.
    rank : int
        Within a moment: `BY_MARKET`, `BY_STOP`, `BY_LIMIT`.
    price : float
        USD before slippage.
    limit : float
        What slippage may not pass, NaN for nothing.
    """

    moment: int
    rank: int
    price: float
    limit: float = math.nan


def market(bar: Bar) -> Match:
    """Return a market order's fill: the open."""
    return Match(AT_OPEN, BY_MARKET, bar.open)


def on_close(bar: Bar) -> Match:
    """Return the fill of a market-on-close order: the close."""
    return Match(AT_CLOSE, BY_MARKET, bar.close)


def limit(is_buy: bool, price: float, bar: Bar) -> Match | None:
    """Return a limit order's fill: a better open, else the limit once the bar reaches it, else None."""
    if bar.open <= price if is_buy else bar.open >= price:
        return Match(AT_OPEN, BY_LIMIT, bar.open, price)
    if bar.low <= price if is_buy else bar.high >= price:
        return Match(IN_DAY, BY_LIMIT, price, price)
    return None


def stop(is_buy: bool, price: float, bar: Bar) -> Match | None:
    """Return a stop's fill: an open at or beyond it, else the stop once the bar reaches it, else None."""
    if bar.open >= price if is_buy else bar.open <= price:
        return Match(AT_OPEN, BY_STOP, bar.open)
    if bar.high >= price if is_buy else bar.low <= price:
        return Match(IN_DAY, BY_STOP, price)
    return None


def stop_limit(is_buy: bool, price: float, limit_price: float, bar: Bar) -> tuple[Match | None, bool]:
    """Return a stop-limit's fill, and whether the bar turned it into a limit order.

    Reached at the open it is a limit order from there. Reached during the day it fills at the stop where
    the limit allows that; where price must come back to the limit first, it fills at the limit only if
    the close proves that it did.
    """
    reached = stop(is_buy, price, bar)
    if reached is None:
        return None, False
    if reached.moment == AT_OPEN:
        return limit(is_buy, limit_price, bar), True
    if limit_price >= price if is_buy else limit_price <= price:
        return Match(IN_DAY, BY_STOP, price, limit_price), True
    if bar.close <= limit_price if is_buy else bar.close >= limit_price:
        return Match(IN_DAY, BY_STOP, limit_price, limit_price), True
    return None, True


def trailed(is_buy: bool, level: float, reference: float, amount: float, percent: float) -> float:
    """Return a trailing stop's level after a bar: it follows `reference` and never goes back.

    Parameters
    ----------
    level : float
        The stop so far, USD.
    reference : float
        What it follows: the bar's high (low for a stop that buys) or its close.
    amount, percent : float
        Distance in USD, or as a fraction of the reference where the amount is 0.
    """
    distance = amount or reference * percent
    return min(level, reference + distance) if is_buy else max(level, reference - distance)
