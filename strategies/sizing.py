"""How many shares to buy: risk first, then weight, then cash."""

from __future__ import annotations

import math


def risk_size(equity: float, price: float, stop_distance: float | None, risk_frac: float, weight_frac: float) -> int:
    """Return the shares whose loss at the stop is `risk_frac` of equity, within a weight.

    Parameters
    ----------
    equity : float
        USD.
    price : float
        USD per share of the traded series.
    stop_distance : float or None
        USD per share between price and stop; None where there is no stop: then the weight decides.
    risk_frac : float
        Fraction of equity that may be lost at the stop, gaps aside.
    weight_frac : float
        Largest fraction of equity in the position.

    Returns
    -------
    int
        Whole shares, never negative; 0 where a number is missing or the stop is not below the price.
    """
    by_weight = weight_frac * equity / price if price > 0 else 0.0
    if stop_distance is None:
        return whole_shares(by_weight)
    if not stop_distance > 0:
        return 0
    return whole_shares(min(by_weight, risk_frac * equity / stop_distance))


def affordable(size: float, price: float, budget: float) -> int:
    """Return at most `size` shares, whole ones, no more than `budget` USD pays at `price`."""
    return min(whole_shares(size), whole_shares(budget / price)) if price > 0 else 0


def whole_shares(shares: float) -> int:
    """Round down to whole shares; 0 for what is negative or not a number."""
    return math.floor(shares) if math.isfinite(shares) and shares > 0 else 0
