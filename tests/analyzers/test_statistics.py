from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from analyzers import statistics
from analyzers.ledger import TRADE_COLUMNS
from analyzers.statistics import performance
from feeds.sessions import trading_sessions

SESSIONS = trading_sessions("2020-01-02", "2023-12-29")
NO_TRADES = pd.DataFrame(columns=list(TRADE_COLUMNS))


def equity_of(values: list[float] | np.ndarray, exposure: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame({"value": np.asarray(values, dtype=float), "exposure": exposure}, index=SESSIONS[: len(values)])


def trades_of(*rows: dict[str, object]) -> pd.DataFrame:
    base = dict.fromkeys(TRADE_COLUMNS, np.nan) | {"exit_session": SESSIONS[5], "bars_held": 4}
    return pd.DataFrame([base | row for row in rows], columns=list(TRADE_COLUMNS))


def random_equity(n: int = 700, drift: float = 0.0006, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return equity_of(1e5 * np.exp(np.cumsum(np.r_[0, rng.normal(drift, 0.01, n - 1)])))


def test_performance_figures_of_three_sessions_by_hand():
    metrics = performance(equity_of([100, 110, 99]), NO_TRADES)  # +10 %, -10 %
    assert metrics["total_return"] == pytest.approx(-0.01)
    assert metrics["volatility"] == pytest.approx(math.sqrt(0.02) * math.sqrt(252))
    assert metrics["sharpe"] == pytest.approx(0.0)
    assert metrics["max_drawdown"] == pytest.approx(-0.1)
    assert metrics["max_drawdown_days"] == 3  # peak on Friday the 3rd, still below on Monday the 6th
    assert metrics["exposure"] == 0.5


def test_annual_growth_counts_calendar_days():
    value = pd.Series([100.0, 121.0], index=pd.to_datetime(["2020-01-01", "2021-12-31"]))  # 730 days
    assert statistics.annual_growth(value) == pytest.approx(1.21 ** (365.25 / 730) - 1)


def test_annual_growth_of_a_lost_account_is_minus_one():
    assert performance(equity_of([100, 50, 0]), NO_TRADES)["cagr"] == -1


def test_sharpe_takes_off_the_risk_free_rate():
    returns = statistics.daily_returns(random_equity()["value"])
    rate = 1.05 ** (1 / 252) - 1
    expected = (returns - rate).mean() / returns.std(ddof=1) * math.sqrt(252)
    assert performance(random_equity(), NO_TRADES, risk_free=0.05)["sharpe"] == pytest.approx(expected)


def test_sortino_divides_by_the_downside_over_all_sessions():
    expected = np.mean([0.02, -0.01, 0.03]) / math.sqrt(0.01**2 / 3) * math.sqrt(252)
    assert statistics.sortino_ratio(np.array([0.02, -0.01, 0.03])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "days"),
    [
        ([1, 2, 3], 0),
        ([3, 2, 1], 4),  # Thursday 2nd to Monday 6th
        ([1, 5, 4, 5, 6], 4),  # peak on the 3rd, recovered on the 7th
        ([5, 4, 5, 4, 3, 2], 4),  # 2nd to 6th, then 6th to 9th
    ],
)
def test_longest_drawdown_days_counts_from_peak_to_recovery(values, days):
    assert statistics.longest_drawdown_days(equity_of(values)["value"]) == days


def test_trade_statistics_by_hand():
    trades = trades_of(
        {"size": 10, "entry_price": 10.0, "exit_price": 12.0, "pnl": 20.0, "pnl_net": 18.0, "return_net": 0.18},
        {"size": -5, "entry_price": 20.0, "exit_price": 22.0, "pnl": -10.0, "pnl_net": -12.0, "return_net": -0.12},
        {"size": 1, "entry_price": 50.0, "exit_price": 55.0, "pnl": 5.0, "pnl_net": 4.0, "exit_session": pd.NaT},
    )
    value = pd.Series([1000.0, 1000.0], index=pd.to_datetime(["2020-01-01", "2022-01-01"]))
    figures = statistics.trade_statistics(trades, value, slippage_frac=0.01)
    assert (figures["n_trades"], figures["n_open_trades"], figures["win_rate"]) == (3, 1, 0.5)
    assert figures["profit_factor"] == pytest.approx(1.5)
    assert figures["average_trade_return"] == pytest.approx(0.03)
    assert figures["average_bars_held"] == 4
    traded = 100 + 100 + 50 + 120 + 110  # the open trade has not been sold
    assert figures["turnover"] == pytest.approx(traded / 2 / 1000 / (731 / 365.25))
    assert figures["commission_usd"] == pytest.approx(5.0)
    assert figures["slippage_usd"] == pytest.approx(4.8)


def test_performance_beta_and_alpha_recover_what_was_planted():
    market = random_equity(seed=8)["value"]
    ours = 0.5 * statistics.daily_returns(market) + 0.0004
    equity = equity_of(np.r_[1.0, np.cumprod(1 + ours)])
    metrics = performance(equity, NO_TRADES, benchmark=market)
    assert metrics["beta"] == pytest.approx(0.5)
    assert metrics["alpha"] == pytest.approx(0.0004 * 252)
    assert metrics["benchmark_total_return"] == pytest.approx(market.iloc[-1] / market.iloc[0] - 1)


def test_alpha_interval_equals_whites_error_of_a_regression():
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    market = rng.normal(0.0004, 0.01, 400)
    ours = 0.0002 + 0.6 * market + rng.normal(0, 0.004, 400) * (1 + 40 * np.abs(market))
    fitted = sm.OLS(ours, sm.add_constant(market)).fit(cov_type="HC1")
    low, high = fitted.conf_int(0.05)[0] * 252
    assert statistics.alpha_interval(ours, market) == pytest.approx((low, high))


def test_alpha_interval_of_few_returns_is_unknown():
    assert np.isnan(statistics.alpha_interval(np.arange(29.0), np.arange(29.0) ** 2)).all()


def test_performance_benchmark_on_other_sessions_is_aligned():
    equity = random_equity(50)
    longer = random_equity(60, seed=9)["value"]
    gappy = longer.drop(longer.index[10])
    assert performance(equity, NO_TRADES, benchmark=gappy)["benchmark_total_return"] == pytest.approx(
        longer.iloc[49] / longer.iloc[0] - 1
    )


@pytest.mark.parametrize("values", [[100.0] * 5, [100.0], []])
def test_performance_without_variance_or_sessions_is_none_and_valid_json(values):
    metrics = performance(equity_of(values), NO_TRADES, benchmark=equity_of(values)["value"], slippage_frac=0.0)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    for name in ("sharpe", "sharpe_low", "probability_of_skill", "sortino", "calmar", "win_rate", "profit_factor"):
        assert metrics[name] is None
    assert metrics["beta"] is None
    assert metrics["total_return"] == (0.0 if len(values) > 1 else None)
    assert metrics["n_trades"] == 0


def test_performance_names_do_not_depend_on_the_benchmark():
    equity = random_equity(30)
    assert list(performance(equity, NO_TRADES)) == list(performance(equity, NO_TRADES, benchmark=equity["value"]))


def test_deflated_sharpe_gives_the_published_example():
    # Bailey and Lopez de Prado (2014): annual Sharpe 2.5 over 1,250 sessions of a 250-session year, 100 trials.
    best = statistics.expected_maximum_sharpe(0.5 / 250, 100)
    assert best == pytest.approx(0.1132, abs=5e-5)
    assert statistics.probabilistic_sharpe(2.5 / math.sqrt(250), -3, 10, 1250, threshold=best) == pytest.approx(
        0.9004, abs=5e-5
    )


def test_luck_of_many_sets_the_best_of_independent_tries_as_threshold():
    excess = np.random.default_rng(3).normal(0.001, 0.01, 1250)
    found = statistics.luck_of_many(excess, 100)
    best = statistics.expected_maximum_sharpe(1 / 1249, 100)
    # The expected maximum of 100 standard normal draws is about 2.51 (Harter 1961); the formula approximates it.
    assert best * math.sqrt(1249) == pytest.approx(2.51, abs=0.03)
    assert found["luck_sharpe"] == pytest.approx(best * math.sqrt(252))
    assert found["deflated_sharpe"] == statistics.probabilistic_sharpe(*statistics.moments(excess), threshold=best)
    assert found["tried"] == 100


def test_luck_of_many_of_one_try_is_the_probabilistic_sharpe_and_of_none_unknown():
    excess = np.random.default_rng(3).normal(0.001, 0.01, 300)
    one = statistics.luck_of_many(excess, 1)
    assert one["luck_sharpe"] == 0.0
    assert one["deflated_sharpe"] == statistics.probabilistic_sharpe(*statistics.moments(excess))
    assert statistics.luck_of_many(excess, None) == {"tried": None, "luck_sharpe": None, "deflated_sharpe": None}
    assert statistics.luck_of_many(np.zeros(300), 5)["deflated_sharpe"] is None


def test_sharpe_error_of_normal_returns_is_that_of_lo():
    assert statistics.sharpe_error(0.1, 0.0, 3.0, 501) == pytest.approx(math.sqrt((1 + 0.1**2 / 2) / 500))


def test_moments_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    returns = np.random.default_rng(1).standard_t(5, 400) * 0.01
    sample = statistics.moments(returns)
    assert sample.skewness == pytest.approx(stats.skew(returns))
    assert sample.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))


def test_sharpe_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    true = 0.05 * math.sqrt(252)
    samples = 0.01 * (rng.standard_t(6, (800, 500)) / math.sqrt(1.5) + 0.05)
    held = [low <= true <= high for low, high in map(statistics.sharpe_interval, samples)]
    assert 0.93 < np.mean(held) < 0.97


@pytest.mark.xdist_group("quantstats")
def test_performance_agrees_with_quantstats():
    stats = pytest.importorskip("quantstats.stats")
    equity = random_equity()
    returns = equity["value"].pct_change().dropna()
    metrics = performance(equity, NO_TRADES)
    assert metrics["sharpe"] == pytest.approx(stats.sharpe(returns))
    assert metrics["sortino"] == pytest.approx(stats.sortino(returns))
    assert metrics["max_drawdown"] == pytest.approx(stats.max_drawdown(returns))
    assert metrics["volatility"] == pytest.approx(stats.volatility(returns))
    # quantstats counts a year as 252 sessions, we count the calendar's days.
    assert metrics["cagr"] == pytest.approx(stats.cagr(returns), abs=2e-3)
