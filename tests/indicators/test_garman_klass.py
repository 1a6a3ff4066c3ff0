from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from indicators.garman_klass import GarmanKlass, garman_klass_variance, garman_klass_volatility
from tests.contracts import IndicatorContract, observe


class TestGarmanKlass(IndicatorContract):
    def make(self, data, **params):
        return GarmanKlass(data, **params)


def test_variance_by_hand():
    # ln(H/L) = 1 and ln(C/O) = 0.5: 0.5 - (2 ln 2 - 1) / 4
    e = np.e
    variance = garman_klass_variance(np.array([1.0]), np.array([e]), np.array([1.0]), np.array([e**0.5]))
    np.testing.assert_allclose(variance, [0.5 - 0.25 * 0.3862943611198906])


def test_volatility_equals_the_rolling_mean_of_pandas(make_panel):
    bars = make_panel(sessions=80, tickers=1).bars("T000")
    variance = pd.Series(garman_klass_variance(bars.open, bars.high, bars.low, bars.close))
    np.testing.assert_allclose(garman_klass_volatility(bars, 10), np.sqrt(variance.rolling(10).mean()), rtol=1e-9)


def test_volatility_finds_the_volatility_of_a_random_walk():
    # 400 steps a day of a driftless walk of 1 % a day: the range is seen a little too small.
    steps = np.random.default_rng(1).normal(0, 0.01 / 20, (3000, 400)).cumsum(axis=1)
    prices = np.exp(steps)
    variance = garman_klass_variance(np.ones(3000), prices.max(1).clip(1), prices.min(1).clip(None, 1), prices[:, -1])
    assert np.sqrt(variance.mean()) == pytest.approx(0.01, rel=0.06)


def test_volatility_of_no_bars_raises(make_panel):
    with pytest.raises(InputError, match="`period` of GarmanKlass: expected a whole number from 1, received 2.5"):
        observe(make_panel(sessions=5, tickers=1).bars("T000"), lambda data: GarmanKlass(data, period=2.5))
