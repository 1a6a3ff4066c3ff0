from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from feeds.errors import InputError
from indicators.simple_average import SimpleAverage, simple_average
from tests.contracts import IndicatorContract, observe


def test_simple_average_by_hand():
    np.testing.assert_array_equal(simple_average(np.array([1.0, 2.0, 6.0, 4.0]), 2), [np.nan, 1.5, 4.0, 5.0])


def test_simple_average_of_too_few_bars_is_nan():
    assert np.isnan(simple_average(np.array([1.0, 2.0]), 3)).all()


class TestSimpleAverage(IndicatorContract):
    def make(self, data, **params):
        return SimpleAverage(data, **{"period": 10, **params})

    def test_values_are_backtraders(self, bars, whole):
        theirs = observe(bars, lambda data: bt.ind.SMA(data, period=10))
        np.testing.assert_allclose(whole[9:], theirs[9:], rtol=1e-9)

    def test_period_below_one_raises(self, bars):
        with pytest.raises(InputError, match="`period` of SimpleAverage: expected a whole number from 1, received 0"):
            observe(bars, lambda data: self.make(data, period=0))
