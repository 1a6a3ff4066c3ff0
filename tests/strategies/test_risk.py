from __future__ import annotations

import math

import numpy as np
import pytest

from strategies.risk import DrawdownRule, Room, exposure_scale, market_volatility, mean_return


def test_mean_return_of_no_stock_is_unknown():
    assert mean_return([0.01, 0.03]) == pytest.approx(0.02)
    assert math.isnan(mean_return([]))


def test_market_volatility_by_hand():
    # Standard deviation of -1 % and 1 % is √2 %; a year has √252 of it.
    assert market_volatility([0.5, -0.01, 0.01], 2) == pytest.approx(0.01 * math.sqrt(2) * math.sqrt(252))


def test_market_volatility_leaves_out_sessions_without_a_return():
    assert market_volatility([-0.01, math.nan, 0.01], 2) == market_volatility([-0.01, 0.01], 2)


def test_market_volatility_of_too_few_sessions_is_unknown():
    assert math.isnan(market_volatility([0.01] * 20, 21))


def test_market_volatility_finds_the_volatility_of_noise():
    returns = np.random.default_rng(0).normal(0, 0.2 / math.sqrt(252), 5000)
    assert market_volatility(returns, 5000) == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize(("volatility", "scale"), [(0.40, 0.5), (0.20, 1.0), (0.10, 1.0), (math.nan, 1.0), (0.0, 1.0)])
def test_exposure_scale_shrinks_in_volatile_markets_only(volatility, scale):
    assert exposure_scale(0.20, volatility) == scale


def allowed(rule: DrawdownRule, *equities: float) -> list[bool]:
    return [rule.allows_entries(equity) for equity in equities]


def test_drawdown_rule_halts_beyond_the_limit_and_starts_again_at_half():
    rule = DrawdownRule(max_drawdown_frac=0.20, cool_down_sessions=100)
    assert allowed(rule, 100, 81, 80, 79, 85, 89, 90, 79) == [True, True, True, False, False, False, True, False]


def test_drawdown_rule_starts_again_after_the_cool_down_and_counts_afresh():
    rule = DrawdownRule(max_drawdown_frac=0.20, cool_down_sessions=3)
    assert allowed(rule, 100, 70, 70, 70, 70, 60, 55) == [True, False, False, False, True, True, False]


def test_drawdown_rule_of_1_never_halts():
    assert all(allowed(DrawdownRule(1.0, 1), 100, 1))


def test_room_counts_positions_against_the_whole_and_their_sector():
    room = Room(total=100.0, per_sector=30.0, sectors={"A": "energy", "B": "energy"})
    room.take("A", 20.0)
    room.take("C", 50.0)
    assert (room.of("B"), room.of("C")) == (10.0, 30.0)
    room.take("C", 25.0)
    assert room.of("B") == 5.0
