"""The planted market: what is planted can be found by who knows it, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from feeds.errors import InputError
from models.controls import delayed_returns
from models.evaluation import daily_information_coefficients, newey_west_t
from models.features import panel_features
from models.planted import PlantedMarket, make_planted_market
from models.predictions import SavedPredictions
from models.spec import resolve
from models.training import walk_forward

SMALL = resolve(
    "single",
    {
        "units": 6, "epochs": 8, "patience": 3, "learning_rate": 0.01, "seeds": 1, "horizon": 1, "insider": False,
        "price_columns": ["return_1", "return_5"], "train_sessions": 300, "validation_sessions": 60,
        "test_sessions": 200, "masked_bars": 15, "chunk_bars": 60, "warm_up_bars": 40,
    },
)  # fmt: skip


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


def trained(strength: float) -> tuple[PlantedMarket, SavedPredictions, float]:
    """Train a small LSTM on 40 stocks and return what it predicts of 200 sessions, with its HAC t."""
    market = make_planted_market(stocks=40, sessions=500, strength=strength, seed=4)
    result = walk_forward(market.panel, panel_features(market.panel), SMALL, seed=1)
    return market, result.predictions, result.pooled.information_coefficient_t


@pytest.mark.xdist_group("tensorflow")
def test_planted_memory_is_found_by_a_small_network_and_fades_when_the_trade_is_late():
    market, predictions, t = trained(0.2)
    panel = market.panel
    score = predictions.matrix("score", panel.sessions, panel.tickers)
    known = np.where(np.isfinite(score), market.oracle, np.nan)
    late = {bars: delayed_returns(panel, SMALL, bars) for bars in (0, 2, 5)}
    best = np.nanmean(daily_information_coefficients(known, late[0]))
    found = {bars: np.nanmean(daily_information_coefficients(score, late[bars])) for bars in late}
    assert t > 5
    assert 0.75 * best < found[0] < 1.05 * best
    # Skill fades with the memory, which keeps 9/11 of itself from bar to bar; a leak need not.
    assert found[0] > found[2] > found[5]
    assert found[5] < 0.75 * found[0]


@pytest.mark.xdist_group("tensorflow")
def test_planted_nothing_is_not_found_by_a_small_network():
    assert abs(trained(0.0)[2]) < 3
