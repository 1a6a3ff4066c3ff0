"""Candle tables: one order, one bar, and the price and moment that the rules give. Computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import fills
from engine.fills import AT_CLOSE, AT_OPEN, IN_DAY, Bar

BUY, SELL = True, False
BAR = Bar(100, 110, 90, 105)


def told(match):
    return None if match is None else (match.moment, match.price)


def test_market_order_fills_at_the_open_and_market_on_close_at_the_close():
    assert told(fills.market(BAR)) == (AT_OPEN, 100)
    assert told(fills.on_close(BAR)) == (AT_CLOSE, 105)


LIMITS = [
    (BUY, 100, (AT_OPEN, 100)),  # the open is the limit
    (BUY, 103, (AT_OPEN, 100)),  # a better open
    (BUY, 95, (IN_DAY, 95)),
    (BUY, 90, (IN_DAY, 90)),  # touched exactly
    (BUY, 89.99, None),
    (SELL, 100, (AT_OPEN, 100)),
    (SELL, 97, (AT_OPEN, 100)),
    (SELL, 108, (IN_DAY, 108)),
    (SELL, 110, (IN_DAY, 110)),
    (SELL, 110.01, None),
]


@pytest.mark.parametrize(("is_buy", "price", "expected"), LIMITS)
def test_limit(is_buy, price, expected):
    match = fills.limit(is_buy, price, BAR)
    assert told(match) == expected
    assert match is None or match.limit == price


STOPS = [
    (BUY, 100, (AT_OPEN, 100)),
    (BUY, 98, (AT_OPEN, 100)),  # opens beyond it: the open, worse than the stop
    (BUY, 104, (IN_DAY, 104)),
    (BUY, 110, (IN_DAY, 110)),
    (BUY, 110.01, None),
    (SELL, 100, (AT_OPEN, 100)),
    (SELL, 102, (AT_OPEN, 100)),
    (SELL, 93, (IN_DAY, 93)),
    (SELL, 90, (IN_DAY, 90)),
    (SELL, 89.99, None),
]


@pytest.mark.parametrize(("is_buy", "price", "expected"), STOPS)
def test_stop(is_buy, price, expected):
    assert told(fills.stop(is_buy, price, BAR)) == expected


STOP_LIMITS = [
    # side, stop, limit, bar, fill, turned into a limit order
    (BUY, 111, 112, BAR, None, False),
    (BUY, 99, 101, BAR, (AT_OPEN, 100), True),  # reached at the open, which the limit allows
    (BUY, 99, 95, BAR, (IN_DAY, 95), True),  # reached at the open, filled where the day comes back
    (BUY, 99, 89, BAR, None, True),
    (BUY, 106, 107, BAR, (IN_DAY, 106), True),
    (BUY, 106, 106, BAR, (IN_DAY, 106), True),
    (BUY, 108, 105.5, BAR, (IN_DAY, 105.5), True),  # the close proves that it came back
    (BUY, 108, 104, BAR, None, True),  # low enough before, or after? not certain
    (SELL, 89, 88, BAR, None, False),
    (SELL, 101, 99, BAR, (AT_OPEN, 100), True),
    (SELL, 101, 107, BAR, (IN_DAY, 107), True),
    (SELL, 95, 94, BAR, (IN_DAY, 95), True),
    (SELL, 95, 104, BAR, (IN_DAY, 104), True),
    (SELL, 95, 106, BAR, None, True),
]


@pytest.mark.parametrize(("is_buy", "price", "limit", "bar", "expected", "turned"), STOP_LIMITS)
def test_stop_limit(is_buy, price, limit, bar, expected, turned):
    match, is_limit = fills.stop_limit(is_buy, price, limit, bar)
    assert (told(match), is_limit) == (expected, turned)


TRAILS = [
    (SELL, 90, 105, 10, 0, 95),  # follows upwards
    (SELL, 90, 99, 10, 0, 90),  # and never goes back
    (SELL, 90, 105, 0, 0.1, 94.5),
    (BUY, 110, 95, 10, 0, 105),
    (BUY, 110, 101, 10, 0, 110),
    (BUY, 110, 95, 0, 0.1, 104.5),
]


@pytest.mark.parametrize(("is_buy", "level", "reference", "amount", "percent", "expected"), TRAILS)
def test_trailed(is_buy, level, reference, amount, percent, expected):
    assert fills.trailed(is_buy, level, reference, amount, percent) == pytest.approx(expected)


prices = st.floats(1, 1000)


@st.composite
def bars(draw):
    values = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    first, last = draw(st.permutations(values[1:3]))
    return Bar(first, values[3], values[0], last)


@given(bars(), st.booleans(), prices, prices)
def test_every_fill_lies_inside_its_bar_and_no_limit_is_passed(bar, is_buy, price, limit):
    found = [fills.market(bar), fills.on_close(bar), fills.limit(is_buy, price, bar), fills.stop(is_buy, price, bar)]
    found.append(fills.stop_limit(is_buy, price, limit, bar)[0])
    for match in filter(None, found):
        assert bar.low <= match.price <= bar.high
        if not math.isnan(match.limit):
            assert match.price <= match.limit if is_buy else match.price >= match.limit
