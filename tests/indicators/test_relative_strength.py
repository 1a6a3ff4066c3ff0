from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from feeds.errors import InputError
from indicators.relative_strength import RelativeStrength, relative_strength
from tests.contracts import IndicatorContract, observe


def test_relative_strength_by_hand():
    close = np.array([10.0, 12.0, 11.0, 14.0])
    # Changes +2, -1, +3: averages of two 1 and ½, then (1 + 3) / 2 = 2 and ½ / 2 = ¼.
    np.testing.assert_allclose(relative_strength(close, 2)[2:], [100 - 100 / 3, 100 - 100 / 9])
    assert np.isnan(relative_strength(close, 2)[:2]).all()


def test_relative_strength_where_nothing_falls_or_moves():
    assert relative_strength(np.array([1.0, 2.0, 3.0]), 2)[-1] == 100
    assert relative_strength(np.array([2.0, 2.0, 2.0]), 2)[-1] == 50
    assert relative_strength(np.array([3.0, 2.0, 1.0]), 2)[-1] == 0


class TestRelativeStrength(IndicatorContract):
    def make(self, data, **params):
        return RelativeStrength(data, **{"period": 14, **params})

    def test_values_are_backtraders(self, bars, whole):
        theirs = observe(bars, lambda data: bt.ind.RSI(data, period=14))
        np.testing.assert_allclose(whole[14:], theirs[14:], rtol=1e-9)

    def test_period_below_one_raises(self, bars):
        with pytest.raises(InputError, match="`period` of RelativeStrength: expected a whole number from 1, rec"):
            observe(bars, lambda data: self.make(data, period=0))
