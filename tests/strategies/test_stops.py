from __future__ import annotations

import math

import pytest

from strategies.stops import atr_stop_price, stop_distance, time_is_up


def test_atr_stop_lies_its_multiple_under_the_price():
    assert atr_stop_price(50.0, 1.5, 3.0) == 45.5
    assert math.isnan(atr_stop_price(50.0, math.nan, 3.0))


def test_stop_distance_of_a_stop_that_protects_nothing_is_unknown():
    assert stop_distance(50.0, 45.5) == 4.5
    assert stop_distance(50.0, None) is None
    for price in (50.0, 51.0, 0.0, -3.0, math.nan):
        assert math.isnan(stop_distance(50.0, price))


@pytest.mark.parametrize(("held", "most", "up"), [(4, 5, False), (5, 5, True), (9, 5, True), (1, 1, True)])
def test_time_is_up_after_so_many_bars(held, most, up):
    assert time_is_up(held, most) is up
