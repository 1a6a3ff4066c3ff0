from __future__ import annotations

import math

import pytest

from strategies.sizing import affordable, risk_size, whole_shares


@pytest.mark.parametrize(
    ("equity", "price", "distance", "risk", "weight", "shares"),
    [
        (100_000, 50, 4, 0.01, 1.0, 250),  # 1,000 USD at risk, 4 USD a share
        (100_000, 50, 4, 0.01, 0.10, 200),  # the weight allows 10,000 USD
        (100_000, 50, 3, 0.01, 1.0, 333),  # rounded down
        (100_000, 50, None, 0.01, 0.10, 200),  # no stop: the weight alone
        (100_000, 50, math.nan, 0.01, 0.10, 0),
        (100_000, 50, 0.0, 0.01, 0.10, 0),
        (100_000, 50, -1.0, 0.01, 0.10, 0),
        (100_000, math.nan, 4, 0.01, 0.10, 0),
        (100_000, 200_000, 4, 0.01, 1.0, 0),
        (-5.0, 50, 4, 0.01, 1.0, 0),
    ],
)
def test_risk_size_by_hand(equity, price, distance, risk, weight, shares):
    assert risk_size(equity, price, distance, risk, weight) == shares


def test_affordable_keeps_to_the_budget():
    assert affordable(100, 50.0, 4_999.0) == 99
    assert affordable(100, 50.0, 9_000.0) == 100
    assert affordable(100, 50.0, -1.0) == 0
    assert affordable(10.7, 50.0, 9_000.0) == 10
    assert affordable(math.nan, 50.0, 9_000.0) == 0
    assert affordable(100, 0.0, 1.0) == 0


def test_whole_shares_of_what_is_no_number_is_0():
    assert [whole_shares(x) for x in (2.9, -0.1, math.nan, math.inf)] == [2, 0, 0, 0]
