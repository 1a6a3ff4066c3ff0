"""The planted market: what is planted can be found by who knows it, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from feeds.errors import InputError
from models.evaluation import daily_information_coefficients, newey_west_t
from models.planted import make_planted_market


def oracle_coefficients(strength: float) -> np.ndarray:
    market = make_planted_market(stocks=100, sessions=800, strength=strength, seed=4)
    open_ = market.panel.open
    held = np.full_like(open_, np.nan)
    held[:-2] = open_[2:] / open_[1:-1] - 1
    return daily_information_coefficients(market.oracle, held)[50:-2]


def test_planted_market_oracle_ranks_the_next_return_with_the_planted_strength():
    daily = oracle_coefficients(0.05)
    # Ranks of heavy tails tell a little more than the correlation; the standard error is 0.1 / sqrt(748).
    assert 0.04 < daily.mean() < 0.07


def test_planted_market_without_strength_has_nothing_to_find():
    assert abs(newey_west_t(oracle_coefficients(0.0), 9)) < 3


def test_planted_market_own_returns_keep_their_variance_at_any_strength():
    for strength in (0.0, 0.3):
        close = make_planted_market(stocks=50, sessions=600, strength=strength, seed=1).panel.close
        returns = np.diff(np.log(close), axis=0)
        own = returns - returns.mean(axis=1, keepdims=True)
        assert own.std() == pytest.approx(0.015, rel=0.06)


def test_planted_market_same_seed_gives_the_same_bytes_and_each_stock_opens_at_its_last_close():
    first, second = (make_planted_market(stocks=7, sessions=30, seed=9).panel for _ in range(2))
    assert first.digest() == second.digest()
    assert (first.open[1:] == first.close[:-1]).all()
    assert first.digest() != make_planted_market(stocks=7, sessions=30, seed=10).panel.digest()


def test_planted_market_impossible_settings_say_what_is_expected():
    with pytest.raises(InputError, match=r"`strength`: expected a correlation in \[0, 1\), received 1.0"):
        make_planted_market(strength=1.0)
    with pytest.raises(InputError, match="planted market: expected stocks and sessions, received 0 and 30"):
        make_planted_market(stocks=0, sessions=30)
