"""The controls themselves: each passes what is honest and catches what is not."""

from __future__ import annotations

import numpy as np
import pytest

from feeds.errors import InputError
from feeds.panel import FeaturePanel, PricePanel
from models import fold_training
from models.bar_table import BarTable
from models.controls import (
    Placebo,
    check_placebo,
    delayed_returns,
    mean_t,
    permuted_returns,
    placebo,
    prefix_differences,
)
from models.evaluation import daily_information_coefficients
from models.fold_training import TrainingData
from models.planted import make_planted_market
from models.spec import resolve
from models.training import walk_forward

SMALL = {
    "units": 4,
    "epochs": 2,
    "horizon": 1,
    "train_sessions": 160,
    "validation_sessions": 50,
    "test_sessions": 60,
    "masked_bars": 15,
    "chunk_bars": 40,
    "warm_up_bars": 60,
    "insider": False,
}


@pytest.fixture(scope="module")
def panel(make_panel) -> PricePanel:
    return make_panel(sessions=260, tickers=12, seed=8, late={2: 90}, ends={4: 200}, halts={6: [150, 151, 152]})


def column_of(panel: PricePanel, name: str, values: np.ndarray) -> FeaturePanel:
    return FeaturePanel(panel.sessions, panel.tickers, (name,), values[:, :, None])


def test_prefix_differences_features_have_none(panel, all_features):
    assert prefix_differences(all_features, panel, range(100, 259, 17)) == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda close: np.vstack([close[1:], np.full((1, close.shape[1]), np.nan)]),
        lambda close: close / np.nanmean(close, axis=0),
        lambda close: np.where(np.isnan(close), np.nan, np.nanmax(close, axis=0)),
    ],
    ids=["tomorrow's close", "mean of the whole sample", "highest price there will be"],
)
def test_prefix_differences_catch_what_uses_the_future(panel, leak):
    found = prefix_differences(lambda cut: column_of(cut, "leak", leak(cut.close)), panel, [150, 151])
    assert {difference.column for difference in found} == {"leak"}
    assert {difference.session for difference in found} == set(panel.sessions[[150, 151]])


def test_prefix_differences_name_the_value(make_panel):
    panel = make_panel(sessions=20, tickers=1)
    found = prefix_differences(lambda cut: column_of(cut, "total", cut.close * 0 + len(cut.sessions)), panel, [4])
    assert [(d.ticker, d.whole, d.cut) for d in found] == [("T000", 20.0, 5.0)]


def test_permuted_returns_stay_on_their_session_with_the_day_they_are_known(panel, all_features):
    returns = TrainingData.of(panel, all_features(panel), resolve("tiny", SMALL)).returns
    dealt = permuted_returns(returns, np.random.default_rng(0))
    moved = 0
    for row in np.unique(returns.session_row):
        at = returns.session_row == row
        before, after = (np.column_stack([r.plain[at], r.scaled[at], r.known_row[at]]) for r in (returns, dealt))
        key = lambda rows: sorted(map(tuple, np.nan_to_num(rows, nan=-9.0)))  # noqa: E731
        assert key(before) == key(after)
        moved += int((np.nan_to_num(before) != np.nan_to_num(after)).any())
    assert moved > 200


def test_delayed_returns_are_the_next_bars_own(panel):
    spec = resolve("tiny", SMALL)
    now, late = delayed_returns(panel, spec, 0), delayed_returns(panel, spec, 1)
    table = BarTable.of(panel)
    for column in (0, 4, 6):
        rows = table.session_row[table.ticker_column == column]
        np.testing.assert_array_equal(late[rows[:-1], column], now[rows[1:], column])
        assert np.isnan(late[rows[-1], column])


@pytest.mark.xdist_group("tensorflow")
def test_placebo_fits_find_nothing_and_repeat_themselves_from_the_cache_too(panel, all_features, tmp_path, monkeypatch):
    shown = []

    def progress(iterable, label, total):
        shown.append((label, total))
        return iterable

    spec = resolve("tiny", SMALL | {"test_sessions": 100})  # one fold is enough, and each fit starts TensorFlow
    first = placebo(panel, all_features(panel), spec, draws=2, seed=5, jobs=2, progress=progress, cache=tmp_path)
    again = placebo(panel, all_features(panel), spec, draws=2, seed=5, jobs=1)
    assert shown == [("placebo fits", 2)]
    assert len(set(first.coefficients)) == 2
    np.testing.assert_array_equal(first.coefficients, again.coefficients)
    assert (np.abs(first.coefficients) < 0.15).all()
    trained = []
    monkeypatch.setattr(fold_training, "train_in_processes", lambda tasks, jobs: (trained.append(t) for t in tasks))
    kept = placebo(panel, all_features(panel), spec, draws=2, seed=5, cache=tmp_path)
    assert trained == []
    np.testing.assert_array_equal(kept.coefficients, first.coefficients)


def test_placebo_bound_and_centre_by_hand():
    centred = Placebo(np.array([-0.02, -0.01, 0.0, 0.01, 0.02]), 0.0)
    assert centred.bound == 0.02  # of five draws even the highest is exceeded more often than once in twenty
    # 20 draws: place 0.95 * 21 = 19.95 counted from 1, so 0.95 of the way from the 19th to the 20th.
    assert Placebo(np.arange(1, 21) / 1000, 0.0).bound == pytest.approx(0.01995)
    assert [Placebo(centred.coefficients, t).is_centred for t in (-3.1, -3.0, 3.0, 3.1)] == [False, True, True, False]


def test_placebo_centre_is_judged_by_the_sessions_that_all_fits_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.1, (500, 250))  # 500 markets of 250 sessions: 20 fits that all lean on the same columns
    found = np.array([mean_t(row + rng.normal(0, 0.02, (20, 250)), 1) for row in shared])
    assert np.mean(np.abs(found) > 3) < 0.02  # 0.0027 if the sessions were many
    assert np.mean(found) == pytest.approx(0, abs=0.2)
    shifted = np.array([mean_t(row + 0.04 + rng.normal(0, 0.02, (20, 250)), 1) for row in shared])
    assert np.mean(shifted > 3) > 0.9  # 0.04 is six standard errors


def test_placebo_of_one_fit_says_that_it_is_too_few(panel, all_features):
    with pytest.raises(InputError, match="`draws`: expected at least 2 fits, received 1"):
        placebo(panel, all_features(panel), resolve("tiny", SMALL), draws=1)


def test_placebo_bound_is_exceeded_by_one_more_draw_of_luck_once_in_twenty_times():
    draws = np.random.default_rng(0).normal(size=(20_000, 21))
    exceeded = np.mean([Placebo(row[:20], 0.0).bound < row[20] for row in draws])
    assert exceeded == pytest.approx(0.05, abs=0.005)  # three standard errors


def test_placebo_beside_the_real_coefficient_by_hand():
    draws = Placebo(np.arange(-9, 11) / 1000, 0.5)
    found = draws.beside(0.0095)
    assert (found["draws"], found["at_least_as_high"], found["beats"], found["centred"]) == (20, 1, False, True)
    assert found["common_t"] == 0.5
    assert found["mean"] == pytest.approx(0.0005)
    assert found["sd"] == pytest.approx(np.sqrt(35) / 1000)  # of 20 consecutive numbers: n (n + 1) / 12
    assert found["bound_95"] == pytest.approx(0.00995)
    assert draws.beside(0.00996)["beats"] is True
    assert draws.beside(float("nan"))["beats"] is None
    assert len(found["coefficients"]) == 20


def test_placebo_among_few_stocks_or_of_a_fixed_rule_is_refused(panel, make_panel):
    with pytest.raises(InputError, match=r"`placebo`: expected sessions with at least 5 stocks.*received at most 4"):
        check_placebo(make_panel(sessions=20, tickers=4), resolve("tiny", SMALL))
    with pytest.raises(InputError, match=r"`placebo`: expected a model that learns.*received reversal_1, whose"):
        check_placebo(panel, resolve("reversal_1"))


@pytest.mark.xdist_group("tensorflow")
def test_canary_a_leaked_label_is_learnt_at_once_and_caught_by_the_prefix_check(all_features):
    panel = make_planted_market(stocks=20, sessions=330, strength=0.0, seed=3).panel
    spec = resolve("tiny", SMALL | {"epochs": 12, "learning_rate": 0.02})

    def leaking(cut: PricePanel) -> FeaturePanel:
        leak = column_of(cut, "xs_leak", delayed_returns(cut, spec, 0))
        return FeaturePanel.concatenate([all_features(cut), leak])

    result = walk_forward(panel, leaking(panel), spec, seed=1, jobs=2)
    score = result.predictions.matrix("score", panel.sessions, panel.tickers)
    daily = daily_information_coefficients(score, delayed_returns(panel, spec, 0))
    assert np.nanmean(daily) > 0.9
    assert {d.column for d in prefix_differences(leaking, panel, [200, 300])} == {"xs_leak"}
