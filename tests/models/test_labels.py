from __future__ import annotations

import numpy as np
import pytest

from feeds.errors import InputError
from models import labels
from models.bar_table import BarTable
from models.labels import ClassLimits, date_weights, forward_returns, session_medians
from models.spec import resolve


def returns_of(panel, horizon=2, gap=5, sigma=0.02):
    table = BarTable.of(panel)
    return table, forward_returns(table, table.flatten(panel.open), np.full(len(table), sigma), horizon, gap)


def test_forward_return_runs_from_the_next_open_over_the_horizon(make_panel):
    panel = make_panel(sessions=30, tickers=2)
    table, returns = returns_of(panel, horizon=3)
    plain, known = table.unflatten(returns.plain), table.unflatten(returns.known_row)
    assert plain[10, 1] == pytest.approx(panel.open[14, 1] / panel.open[11, 1] - 1)
    assert known[10, 1] == 14
    assert table.unflatten(returns.scaled)[10, 1] == pytest.approx(plain[10, 1] / (0.02 * np.sqrt(3)))
    assert np.isnan(plain[-4:]).all()
    assert np.isfinite(plain[:-4]).all()


def test_forward_return_uses_the_stocks_own_bars(make_panel):
    panel = make_panel(sessions=30, tickers=2, halts={0: [11, 12]})
    table, returns = returns_of(panel, horizon=2)
    assert table.unflatten(returns.plain)[10, 0] == pytest.approx(panel.open[15, 0] / panel.open[13, 0] - 1)
    assert table.unflatten(returns.known_row)[10, 0] == 15


def test_intraday_return_runs_from_the_next_open_to_its_close(make_panel):
    panel = make_panel(sessions=40, tickers=2, halts={0: [11, 12], 1: list(range(20, 26))})
    table = BarTable.of(panel)
    prices = table.flatten(panel.open), table.flatten(panel.close), np.full(len(table), 0.02)
    returns = labels.returns_of(table, *prices, resolve("single", {"label": "intraday", "horizon": 1}))
    plain, known = table.unflatten(returns.plain), table.unflatten(returns.known_row)
    assert plain[10, 0] == pytest.approx(panel.close[13, 0] / panel.open[13, 0] - 1)
    assert known[10, 0] == 13
    assert np.isnan(plain[[19, 39], 1]).all()
    np.testing.assert_array_equal(returns.target("intraday", 40), returns.plain)
    assert np.flatnonzero(np.isfinite(table.unflatten(returns.target("intraday", 30))[:, 0]))[-1] == 28


def test_returns_of_other_labels_are_forward_returns(make_panel):
    panel = make_panel(sessions=40, tickers=2)
    table, expected = returns_of(panel, horizon=5)
    prices = table.flatten(panel.open), table.flatten(panel.close), np.full(len(table), 0.02)
    np.testing.assert_array_equal(labels.returns_of(table, *prices, resolve("tiny")).plain, expected.plain)


def test_class_weights_balanced_by_hand():
    classes = np.array([0, 1, 1, 2, 3, 3, -1], dtype=np.int8)
    assert labels.class_weights(classes, resolve("tiny")).tolist() == [1, 1, 1, 1]
    got = labels.class_weights(classes, resolve("tiny", {"class_weights": "balanced"}))
    assert got.tolist() == [1.5, 0.75, 1.5, 0.75]


def test_forward_return_over_a_long_gap_is_missing(make_panel):
    panel = make_panel(sessions=40, tickers=1, halts={0: list(range(20, 26))})
    table, returns = returns_of(panel, horizon=2)
    plain = table.unflatten(returns.plain)[:, 0]
    assert np.isnan(plain[17:20]).all()
    assert np.isfinite([plain[16], plain[26]]).all()
    five = make_panel(sessions=40, tickers=1, halts={0: list(range(20, 25))})
    table, returns = returns_of(five, horizon=2)
    assert np.isfinite(table.unflatten(returns.plain)[17:20, 0]).all()


def test_target_known_before_leaves_out_what_is_not_known_yet(make_panel):
    """Brute force: a label overlaps the next range if any session of its span is in it."""
    panel = make_panel(sessions=60, tickers=5, halts={1: [38, 39], 3: list(range(20, 30))}, late={2: 15}, ends={4: 45})
    horizon, cut = 4, 40
    table, returns = returns_of(panel, horizon)
    target = table.unflatten(returns.target("scaled", cut))
    for j in range(5):
        own = np.flatnonzero(panel.traded[:, j])
        for k, row in enumerate(own):
            span = own[k : k + horizon + 2]
            overlaps = len(span) < horizon + 2 or (span >= cut).any()
            gap = (np.diff(span) - 1 > 5).any()
            assert np.isnan(target[row, j]) == (overlaps or gap), (row, j)
    assert np.flatnonzero(np.isfinite(target[:, 0]))[-1] == cut - horizon - 2


def test_target_relative_is_unchanged_by_what_comes_after(make_panel):
    """A halted stock's label is known later than the others'; it must not enter their median before the cut."""
    panel = make_panel(sessions=60, tickers=5, halts={1: [38, 39]})
    table, returns = returns_of(panel, 4)
    part_table, part = returns_of(panel.until(panel.sessions[39]), 4)
    whole = table.unflatten(returns.target("relative", 40))[:40]
    np.testing.assert_array_equal(whole, part_table.unflatten(part.target("relative", 40)))


def test_session_medians_of_fewer_than_three_are_missing():
    medians = session_medians(np.array([1.0, 5.0, 2.0, 1.0, np.nan, 3.0]), np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_array_equal(medians, [2, 2, 2, np.nan, np.nan, np.nan])


def test_class_limits_by_hand():
    limits = ClassLimits.fit(np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 3.0, 8.0, np.nan]), lambda: "fold 1")
    assert (limits.lower, limits.upper) == (-1.5, 3.0)
    assert limits.classify(np.array([-1.5, -1.4, 0.0, 0.1, 3.0, np.nan])).tolist() == [0, 1, 1, 2, 3, -1]
    assert limits.means == (-3.0, -0.5, 1.0, 5.5)
    assert limits.shares == pytest.approx((2 / 7, 2 / 7, 1 / 7, 2 / 7))


def test_class_limits_without_profits_says_so():
    with pytest.raises(
        InputError, match="training labels of fold 1: expected losses and profits, received 2 losses and 0 "
    ):
        ClassLimits.fit(np.array([-1.0, -2.0]), lambda: "fold 1")


def test_date_weights_sum_to_one_per_session():
    weights = date_weights(np.array([3, 3, 3, 4, 4]), np.array([0, 2, -1, 1, -1]))
    assert weights.tolist() == [0.5, 0.5, 0, 1, 0]
