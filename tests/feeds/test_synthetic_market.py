"""Prices of the embedded market: causal, plausible, and planted exactly as said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.panel import PricePanel
from feeds.synthetic import MarketSettings, insider_events, make_market, planted_expectation
from feeds.synthetic_settings import universe

DEFAULT = MarketSettings()
NOTHING_PLANTED = replace(DEFAULT, memory_strength=0.0, drift_strength=0.0)


@pytest.fixture(scope="module")
def panel() -> PricePanel:
    return make_market(DEFAULT)


@pytest.fixture(scope="module")
def unplanted() -> PricePanel:
    return make_market(NOTHING_PLANTED)


def mean_rank_correlation(expectation: np.ndarray, market: PricePanel, bars: int = 5) -> float:
    """Mean over sessions of the rank correlation with the open-to-open return from t + 1, less its median."""
    realised = np.log(market.open[1 + bars :] / market.open[1:-bars])
    realised -= np.nanmedian(realised, axis=1, keepdims=True)
    known = np.where(np.isfinite(realised), expectation[: -1 - bars], np.nan)
    ranks = [pd.DataFrame(values).rank(axis=1) for values in (known, realised)]
    return float(ranks[0].corrwith(ranks[1], axis=1).mean())


def test_make_market_same_seed_gives_same_bytes_and_another_seed_does_not(panel):
    assert make_market(MarketSettings()).digest() == panel.digest()
    assert make_market(MarketSettings(seed=1)).digest() != panel.digest()


@pytest.mark.parametrize("rows", [2, 63, 500, 1201])
def test_make_market_fewer_sessions_are_the_beginning_of_more(panel, rows):
    shorter = make_market(replace(DEFAULT, n_sessions=rows))
    assert shorter.digest() == panel.until(panel.sessions[rows - 1]).digest()


@pytest.mark.parametrize("rows", [63, 500, 1201])
def test_planted_expectation_fewer_sessions_are_the_beginning_of_more(rows):
    shorter = planted_expectation(replace(DEFAULT, n_sessions=rows))
    np.testing.assert_array_equal(shorter, planted_expectation(DEFAULT)[:rows])


def test_make_market_source_prices_are_whole_cents_and_consistent(panel):
    tape = {name: panel.source_price(name)[panel.traded] for name in ("open", "high", "low", "close")}
    for values in tape.values():
        np.testing.assert_allclose(values * 100, np.round(values * 100), atol=1e-6)
        assert values.min() > 0
    assert (panel.high >= np.maximum(panel.open, panel.close))[panel.traded].all()
    assert (panel.low <= np.minimum(panel.open, panel.close))[panel.traded].all()
    assert panel.price_basis == "as_traded"


def test_make_market_volume_is_whole_shares_on_the_tape(panel):
    shares = (panel.volume * panel.adjust)[panel.traded]
    np.testing.assert_allclose(shares, np.round(shares), rtol=1e-9)
    assert shares.min() >= 100


def test_make_market_adjustment_starts_at_one_and_moves_on_ex_dates_only(panel):
    rows = np.minimum(panel.first_rows, len(panel.sessions) - 1)
    np.testing.assert_array_equal(panel.adjust[rows, np.arange(40)], 1.0)
    change = pd.DataFrame(panel.adjust).ffill().pct_change(fill_method=None).to_numpy()[1:]
    moved = np.abs(np.nan_to_num(change)) > 0
    assert 0.008 < moved.mean() < 0.016  # seven stocks in ten pay every 63rd session
    splits = universe(DEFAULT).splits[1:]
    dividends = change[moved & (splits == 1.0)]
    assert dividends.min() > 0
    assert dividends.max() < 0.0080  # a quarter of 3 % at most, rounded to cents


def test_make_market_split_halves_the_tape_but_not_the_traded_series(panel):
    splits = universe(DEFAULT).splits
    assert sorted(splits[splits != 1.0]) == [0.1, 2.0, 2.0, 3.0]
    tape = panel.source_price("close")
    for row, stock in np.argwhere(splits != 1.0):
        ratio = splits[row, stock]
        assert tape[row - 1, stock] / tape[row, stock] == pytest.approx(ratio, rel=0.15)
        assert panel.close[row - 1, stock] / panel.close[row, stock] == pytest.approx(1.0, rel=0.15)


def test_make_market_dividend_return_is_the_tape_return_on_the_price_less_dividend(panel):
    change = panel.adjust[1:] / panel.adjust[:-1] - 1
    row, stock = np.argwhere((change > 0.001) & (change < 0.01))[5] + [1, 0]
    before, after = panel.source_price("close")[row - 1 : row + 1, stock]
    dividend = before - before / (panel.adjust[row, stock] / panel.adjust[row - 1, stock])
    assert dividend == pytest.approx(round(dividend, 2), abs=1e-9)
    total_return = panel.close[row, stock] / panel.close[row - 1, stock]
    assert total_return == pytest.approx(after / (before - dividend))


def test_make_market_has_late_listings_a_delisting_and_halts(panel):
    assert sorted(panel.first_rows)[-3:] == [0, 310, 640]
    assert sorted(panel.last_rows)[0] == 1180
    inside = (np.arange(1760)[:, None] >= panel.first_rows) & (np.arange(1760)[:, None] <= panel.last_rows)
    halted = inside & ~panel.traded
    assert 5 <= halted.sum() <= 100
    assert np.isnan(panel.open[halted]).all()
    assert np.isnan(panel.adjust[halted]).all()
    run = pd.DataFrame(halted).rolling(6).sum().to_numpy()
    assert (run == 6).any()  # one halt longer than five sessions


def test_make_market_returns_have_fat_tails_clustered_volatility_and_plausible_levels(unplanted):
    returns = pd.DataFrame(np.diff(np.log(unplanted.close), axis=0))
    assert returns.kurt().median() + 3 > 4
    assert returns.abs().apply(lambda column: column.autocorr(1)).median() > 0.05
    assert abs(returns.apply(lambda column: column.autocorr(1)).median()) < 0.03
    assert 0.28 < (returns.std() * np.sqrt(252)).median() < 0.42
    assert 0.11 < returns.mean(axis=1).std() * np.sqrt(252) < 0.20
    assert 0.10 < returns.corr().to_numpy()[np.triu_indices(40, 1)].mean() < 0.35


def test_make_market_volatility_falls_overnight_and_volume_follows_moves(unplanted):
    overnight = np.log(unplanted.open[1:] / unplanted.close[:-1])
    intraday = np.log(unplanted.close / unplanted.open)[1:]
    assert np.nanvar(overnight) / (np.nanvar(overnight) + np.nanvar(intraday)) == pytest.approx(0.25, abs=0.05)
    moves, volume = pd.DataFrame(np.abs(intraday)), pd.DataFrame(np.log(unplanted.volume[1:]))
    assert moves.corrwith(volume, method="spearman").median() > 0.2


def test_make_market_equity_premium_is_the_mean_over_seeds():
    growth = []
    for seed in range(12):
        panel = make_market(replace(NOTHING_PLANTED, seed=seed, n_stocks=30, late_listings=(), delistings=()))
        simple = panel.close[1:] / panel.close[:-1] - 1
        growth.append(np.nanmean(simple) * 252)
    assert np.mean(growth) == pytest.approx(0.06, abs=3 * np.std(growth) / np.sqrt(12))


def test_planted_expectation_default_strength_has_the_stated_rank_correlation(panel):
    assert 0.10 < mean_rank_correlation(planted_expectation(DEFAULT), panel) < 0.15


def test_planted_expectation_nothing_planted_is_zero_and_predicts_nothing(unplanted):
    np.testing.assert_array_equal(planted_expectation(NOTHING_PLANTED)[unplanted.traded], 0.0)
    # What the default would have planted, against a market without it.
    assert abs(mean_rank_correlation(planted_expectation(DEFAULT), unplanted)) < 0.03


def test_planted_expectation_is_nan_where_the_stock_did_not_trade(panel):
    np.testing.assert_array_equal(np.isfinite(planted_expectation(DEFAULT)), panel.traded)


def test_make_market_strengths_share_the_noise_and_enter_after_the_next_open():
    settings = replace(DEFAULT, n_sessions=700, splits=(), late_listings=(), halts_per_stock_year=0.0)
    with_effects = make_market(replace(settings, memory_strength=0.2, drift_strength=0.3))
    without = make_market(replace(settings, memory_strength=0.0, drift_strength=0.0))
    planted = planted_expectation(replace(settings, memory_strength=0.2, drift_strength=0.3))
    cent = 0.03 / with_effects.source_price("low").min()  # three roundings to cents
    difference = [
        np.log(market.close / market.open)[1:] - np.log(without.close / without.open)[1:]
        for market in (with_effects, without)
    ]
    np.testing.assert_allclose(difference[0], planted[:-1], atol=cent)
    overnight = [np.log(market.open[1:] / market.close[:-1]) for market in (with_effects, without)]
    np.testing.assert_allclose(overnight[0], overnight[1], atol=cent)


def test_make_market_memory_is_the_average_of_past_own_returns():
    quiet = {"market_volatility": 0.01, "sector_volatility": 0.0, "equity_premium": 0.0}
    settings = replace(NOTHING_PLANTED, n_sessions=900, halts_per_stock_year=0.0, late_listings=(), **quiet)
    returns = np.diff(np.log(make_market(settings).close), axis=0)
    expected = planted_expectation(replace(settings, memory_strength=0.1))
    average = pd.DataFrame(returns).ewm(halflife=8.0, adjust=False).mean().to_numpy()
    assert np.corrcoef(average[50:].ravel(), expected[51:].ravel())[0, 1] > 0.9


def test_make_market_without_publication_has_no_drift_and_after_it_the_whole():
    settings = replace(NOTHING_PLANTED, splits=(), halts_per_stock_year=0.0)
    drifting, without = make_market(replace(settings, drift_strength=0.3)), make_market(settings)
    gained = np.log(drifting.close / without.close)
    events = insider_events(settings)
    checked = 0
    for stock, rows in clusters(events, settings.cluster_sessions).items():
        first, later = rows[0], [row for row in rows[1:] if row < rows[0] + settings.drift_sessions]
        end = first + settings.drift_sessions
        # Nothing, to the last byte, up to the open that follows the session that knows the second purchase.
        np.testing.assert_array_equal(drifting.close[: first + 1, stock], without.close[: first + 1, stock])
        np.testing.assert_array_equal(drifting.open[: first + 2, stock], without.open[: first + 2, stock])
        if not later and end < 1760 and np.isfinite(gained[end, stock]):
            assert gained[first + 1, stock] == pytest.approx(0.3 / 40, abs=0.01)
            assert gained[end, stock] == pytest.approx(0.3, abs=0.01)
            checked += 1
    assert checked >= 5


def clusters(events: pd.DataFrame, window: int) -> dict[int, list[int]]:
    """Rows, by stock, at which a second insider's purchase became public; the plain way."""
    buys = events[(events["code"] == "P") & (events["form"] == "4") & ~events["copy"]]
    found: dict[int, list[int]] = {}
    for stock, group in buys.groupby("stock"):
        seen: list[tuple[int, str]] = []
        for row, owners in sorted(zip(group["known_row"], group["owner_ciks"], strict=True)):
            seen.append((row, owners[0]))
            if len({owner for known, owner in seen if row - known < window}) >= 2:
                found.setdefault(int(stock), []).append(row)
    return {stock: sorted(set(rows)) for stock, rows in found.items()}


def test_make_market_large_market_is_plausible_too():
    panel = make_market(MarketSettings(n_stocks=300, n_sessions=1500))
    assert panel.close.shape == (1500, 300)
    assert np.isfinite(panel.close).mean() > 0.99
