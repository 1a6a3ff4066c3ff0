from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from feeds.errors import InputError
from indicators.average_true_range import AverageTrueRange, average_true_range
from tests.contracts import IndicatorContract, observe


class TestAverageTrueRange(IndicatorContract):
    def make(self, data, **params):
        return AverageTrueRange(data, **params)


def test_average_true_range_by_hand():
    high = np.array([10.0, 12.0, 11.0, 15.0])
    low = np.array([9.0, 10.0, 10.0, 13.0])
    close = np.array([9.5, 11.0, 10.5, 14.0])
    # True ranges: none, 12 - 9.5, 11 - 10, 15 - 10.5; the mean of two, then (1.75 + 4.5) / 2.
    np.testing.assert_allclose(average_true_range(high, low, close, 2), [np.nan, np.nan, 1.75, 3.125])


def test_average_true_range_of_too_few_bars_is_unknown():
    assert np.isnan(average_true_range(np.ones(3), np.ones(3), np.ones(3), 3)).all()


def test_average_true_range_equals_backtraders(make_panel):
    bars = make_panel(sessions=120, tickers=1).bars("T000")
    ours = observe(bars, lambda data: AverageTrueRange(data))
    theirs = observe(bars, lambda data: bt.ind.ATR(data, period=14))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_average_true_range_of_no_bars_raises(make_panel):
    with pytest.raises(InputError, match="`period` of AverageTrueRange: expected a whole number from 1, received 0"):
        observe(make_panel(sessions=5, tickers=1).bars("T000"), lambda data: AverageTrueRange(data, period=0))
