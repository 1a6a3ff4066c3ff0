"""What a fill costs: commission and slippage, as pure functions of shares and prices.

Commission is charged on the shares and prices that the source quotes (traded price / `adjust`), because a
broker knows nothing of our total-return factor. Slippage is a fraction of the price, against the order.

```
commission   bps:1 | percent:0.1 | per-trade:5 | per-share:0.005,min=1,max=0.01 | tiered
slippage     bps:4 | spread | impact:1, and sums of them: bps:1+spread+impact:1
```

The rules of the two share schemes are those of Interactive Brokers' US stock commissions (IBKR Pro, fixed
and tiered): a minimum per order and day, a maximum as a fraction of the order's value, and for the tiered
one a price per share that falls with the shares of the calendar month, each share at its own tier's price.
https://www.interactivebrokers.com/en/pricing/commissions-stocks.php. Exchange, clearing and regulatory fees
are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import backtrader as bt
import numpy as np

from feeds.adapter.naming import parameter_values
from feeds.errors import InputError, did_you_mean, unknown_name

# Commission in USD of an order: shares (above 0), USD per share, shares of this month before it.
Commission = Callable[[float, float, float], float]

# Shares of a month up to which a share costs so many USD.
TIERS = ((300_000, 0.0035), (3_000_000, 0.002), (20_000_000, 0.0015), (100_000_000, 0.001), (math.inf, 0.0005))
MOST_LOST = 0.99  # beyond the parts of a volume that the law of impact was found on, it knows no bound; a price does
COMMISSION_FORMS = "bps:N, percent:N, per-trade:USD, per-share:USD[,min=USD][,max=FRACTION] or tiered"
SLIPPAGE_FORMS = "bps:N, spread, impact:N, or a sum of them such as bps:1+spread+impact:1"


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def percentage(shares: float, price: float, month_shares: float = 0.0, *, frac: float) -> float:
    """Return a fraction of the value."""
    return shares * frac * price


def per_trade(shares: float, price: float, month_shares: float = 0.0, *, usd: float) -> float:
    """Return the same sum for every order and day."""
    return usd


def per_share(
    shares: float,
    price: float,
    month_shares: float = 0.0,
    *,
    usd: float,
    minimum: float = 0.0,
    maximum_frac: float = math.inf,
) -> float:
    """Return a sum per share, at least `minimum` and at most `maximum_frac` of the value (which wins)."""
    return min(max(shares * usd, minimum), maximum_frac * shares * price)


def tiered(
    shares: float,
    price: float,
    month_shares: float = 0.0,
    *,
    tiers: Iterable[tuple[float, float]] = TIERS,
    minimum: float = 0.35,
    maximum_frac: float = 0.01,
) -> float:
    """Return a sum per share that falls with the month's shares; minimum and maximum as in `per_share`.

    Parameters
    ----------
    shares, price, month_shares : float
        Shares of this order, USD per share, shares bought and sold earlier in the month.
    tiers : iterable of (shares, USD)
        Up to so many shares of a month, a share costs so much.
    """
    total, begin = 0.0, month_shares
    for until, usd in tiers:
        part = min(month_shares + shares, until) - begin
        if part > 0:
            total, begin = total + part * usd, begin + part
    return min(max(total, minimum), maximum_frac * shares * price)


class StockCommission(bt.CommInfoBase):
    """A commission as backtrader takes it.

    Parameters
    ----------
    model : Commission

    Notes
    -----
    `count` counts the shares of the month, for tiers; what backtrader itself asks for (`getcommission`)
    knows no month and no factor.

    Raises
    ------
    InputError
        For an unknown parameter.
    """

    params: Any = (("model", None), ("stocklike", True), ("commtype", bt.CommInfoBase.COMM_FIXED))

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name("parameter of StockCommission", name, parameter_values(self.params))
        super().__init__()
        self.forget()

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        return float(self.p.model(abs(size), price, 0.0)) if size else 0.0

    def quote(self, shares: float, price: float, month: tuple[int, int]) -> float:
        """Return what an order of so many shares would cost in this month (year, month), USD."""
        if not shares:
            return 0.0
        before = self._month_shares if month == self._month else 0.0
        return float(self.p.model(shares, price, before))

    def forget(self) -> None:
        """Begin to count anew."""
        self._month, self._month_shares = (0, 0), 0.0

    def count(self, shares: float, month: tuple[int, int]) -> None:
        """Add shares to those of the month."""
        if month != self._month:
            self._month, self._month_shares = month, 0.0
        self._month_shares += shares


@dataclass(frozen=True)
class Slippage:
    """How far from its price an order fills, against it: the sum of three parts.

    Attributes
    ----------
    bps : float
        Hundredths of a percent, whatever the stock.
    has_spread : bool
        Half of the bid-ask spread that `half_spread` sees in the bars before the fill's.
    impact : float
        Factor of `square_root_impact`, about 1; 0 for none.
    lookback_bars : int
        Bars of the two estimates.

    Raises
    ------
    InputError
        For a part that cannot be.
    """

    bps: float = 4.0
    has_spread: bool = False
    impact: float = 0.0
    lookback_bars: int = 21

    def __post_init__(self) -> None:
        """Refuse what no fill can lose, before any does."""
        for name, least, limit in (("bps", 0, 10_000), ("impact", 0, math.inf), ("lookback_bars", 2, math.inf)):
            value = getattr(self, name)
            if not (is_number(value) and least <= value < limit):
                below = "" if math.isinf(limit) else f" to below {limit}"
                raise InputError(f"`{name}` of Slippage: expected a number from {least}{below}, received {value!r}")

    @property
    def is_fixed(self) -> bool:
        """True where neither stock nor size matters."""
        return not self.has_spread and not self.impact

    def frac(self, shares: float, before: Callable[[str, int], np.ndarray]) -> float:
        """Return the fraction of the price that an order loses, `MOST_LOST` at most.

        Parameters
        ----------
        shares : float
            Of the fill.
        before : callable (name of a line, count)
            The line's values on the bars before the fill's, oldest first.
        """
        lost = self.bps / 1e4
        if self.has_spread:
            high, low, close = (before(name, self.lookback_bars) for name in ("high", "low", "close"))
            lost += half_spread(high, low, close)
        if self.impact:
            close, volume = before("close", self.lookback_bars + 1), before("volume", self.lookback_bars)
            lost += square_root_impact(shares, volume, close, self.impact)
        return min(lost, MOST_LOST)


def half_spread(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> float:
    """Return half of the proportional bid-ask spread that daily ranges imply; 0 below two bars.

    With c the log of the close and m the mean of the logs of high and low, the squared spread is
    4 E[(c_t - m_t) (c_t - m_t+1)]; a negative mean counts as no spread ("monthly corrected").
    F. Abdi and A. Ranaldo (2017), "A simple estimation of bid-ask spreads from daily close, high, and
    low prices", Review of Financial Studies 30(12).

    Notes
    -----
    **Known at** the close of the last bar given. The estimate is coarse: the spread of a large stock, a
    basis point or two, drowns in its noise.
    """
    if len(close) < 2:
        return 0.0
    middle, last = (np.log(high) + np.log(low)) / 2, np.log(close)
    squared = 4.0 * float(np.mean((last[:-1] - middle[:-1]) * (last[:-1] - middle[1:])))
    return math.sqrt(max(squared, 0.0)) / 2


def square_root_impact(shares: float, volume: np.ndarray, close: np.ndarray, factor: float = 1.0) -> float:
    """Return factor * sigma * sqrt(shares / ADV); 0 while either is unknown.

    sigma is the standard deviation of daily returns of `close`, ADV the mean of `volume`. The law is that
    of B. Toth et al. (2011), "Anomalous price impact and the critical nature of liquidity in financial
    markets", Physical Review X 1, 021006, with a factor of order one.
    """
    average = float(volume.mean()) if len(volume) else 0.0
    if len(close) < 3 or not average > 0:
        return 0.0
    sigma = float(np.std(close[1:] / close[:-1] - 1.0, ddof=1))
    return factor * sigma * math.sqrt(shares / average)


def parse_commission(label: str, text: str) -> Commission:
    """Return the commission that a text names; see the forms at the top of this module.

    Raises
    ------
    InputError
        For an unknown form or a number that cannot be.
    """
    kind, _, rest = text.partition(":")
    first, *options = rest.split(",") if rest else [""]
    named = {name: _number(label, text, value) for name, _, value in (o.partition("=") for o in options)}
    if kind == "per-share" and set(named) <= {"min", "max"}:
        usd, least, most = _number(label, text, first), named.get("min", 0.0), named.get("max", math.inf)
        return partial(per_share, usd=usd, minimum=least, maximum_frac=most)
    if kind == "tiered" and not rest:
        return tiered
    scales = {"bps": 1e4, "percent": 1e2}
    if kind in scales and not named:
        return partial(percentage, frac=_number(label, text, first, most=scales[kind] / 2) / scales[kind])
    if kind == "per-trade" and not named:
        return partial(per_trade, usd=_number(label, text, first))
    hint = did_you_mean(kind, ("bps", "percent", "per-trade", "per-share", "tiered"))
    raise InputError(f"`{label}`: expected {COMMISSION_FORMS}, received {text!r}.{hint}")


def parse_slippage(label: str, text: str) -> Slippage:
    """Return the slippage that a text names; see the forms at the top of this module.

    Raises
    ------
    InputError
        For an unknown form, one given twice, or a number that cannot be.
    """
    parts: dict[str, Any] = {"bps": 0.0}
    seen: list[str] = []
    for part in text.split("+"):
        kind, _, value = part.strip().partition(":")
        seen.append(kind)
        if kind == "spread" and not value:
            parts["has_spread"] = True
        elif kind in ("bps", "impact") and seen.count(kind) == 1:
            parts[kind] = _number(label, text, value, most=5_000 if kind == "bps" else 100)
        else:
            hint = did_you_mean(kind, ("bps", "spread", "impact"))
            raise InputError(f"`{label}`: expected {SLIPPAGE_FORMS}, received {text!r}.{hint}")
    return Slippage(**parts)


def _number(label: str, text: str, value: str, most: float = math.inf) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (0 <= number <= most and math.isfinite(number)):
        limit = "" if math.isinf(most) else f" to {most:g}"
        raise InputError(f"`{label}`: expected a number from 0{limit} after the colon, received {text!r}")
    return number


def delisting_returns(table: Mapping[str, float] | float) -> Callable[[str], float]:
    """Return what a ticker's holder gets at its delisting, as a return on the last close.

    Raises
    ------
    InputError
        For a return below -1 or not a number.
    """
    values = table.values() if isinstance(table, Mapping) else [table]
    for value in values:
        if not (is_number(value) and value >= -1):
            raise InputError(f"`delisting_return`: expected a return from -1 such as -0.3, received {value!r}")
    return partial(_of_ticker, table)  # no closure: a broker travels to other processes


def _of_ticker(table: Mapping[str, float] | float, ticker: str) -> float:
    return table.get(ticker, 0.0) if isinstance(table, Mapping) else table
