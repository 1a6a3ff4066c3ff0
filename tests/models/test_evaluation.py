from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
import statsmodels.api as sm
from scipy.stats import spearmanr

from models.class_measures import ClassMeasures, class_measures, ranked_probability_score, reliability
from models.evaluation import (
    balanced_accuracy,
    daily_information_coefficients,
    evaluate,
    log_loss,
    newey_west_lags,
    newey_west_t,
    paired_difference,
)
from models.ranking_measures import (
    leg_turnover,
    newey_west_interval,
    quantile_count,
    ranking_measures,
    session_quantiles,
)

RNG = np.random.default_rng(7)
CHANCES = RNG.dirichlet(np.ones(4), 300)
CLASSES = RNG.integers(0, 4, 300)


def test_log_loss_matches_scikit_learn():
    assert log_loss(CHANCES, CLASSES) == pytest.approx(sklearn.metrics.log_loss(CLASSES, CHANCES))


def test_balanced_accuracy_matches_scikit_learn():
    expected = sklearn.metrics.balanced_accuracy_score(CLASSES, CHANCES.argmax(axis=1))
    assert balanced_accuracy(CHANCES, CLASSES) == pytest.approx(expected)


def test_daily_information_coefficients_match_scipy():
    score, realised = RNG.normal(size=(6, 20)).round(1), RNG.normal(size=(6, 20)).round(1)
    score[0, :5], realised[0, 3:8] = np.nan, np.nan
    score[1, 4:] = np.nan
    score[2] = 1.0
    got = daily_information_coefficients(score, realised)
    for row in (0, 3, 4, 5):
        assert got[row] == pytest.approx(spearmanr(score[row], realised[row], nan_policy="omit").statistic)
    assert np.isnan(got[1:3]).all()


def test_newey_west_t_matches_statsmodels():
    values = np.convolve(RNG.normal(0.1, 1, 400), np.ones(5) / 5, mode="valid")
    fitted = sm.OLS(values, np.ones(len(values))).fit(cov_type="HAC", cov_kwds={"maxlags": 8})
    assert newey_west_t(values, 8) == pytest.approx(fitted.tvalues[0])


def test_newey_west_lags_cover_the_overlap():
    assert newey_west_lags(1000, 5) == 10
    assert newey_west_lags(1000, 21) == 20


def test_newey_west_t_of_too_little_is_missing():
    assert np.isnan(newey_west_t(np.array([1.0]), 3))
    assert np.isnan(newey_west_t(np.ones(5), 3))


def test_evaluate_counts_only_predictions_whose_return_is_known():
    chances = np.full((2, 6, 4), 0.25)
    chances[0, 0] = np.nan
    classes = np.array([[0, 1, 2, 3, -1, 0], [0, 1, 2, 3, 0, 1]])
    order = np.arange(6.0) * np.ones((2, 1))
    result = evaluate(chances, np.full((2, 4), 0.25), classes, order, order, horizon=5)
    assert result.n_labels == 10
    assert result.log_loss == result.prior_log_loss == pytest.approx(np.log(4))
    assert (result.information_coefficient, result.n_sessions) == (pytest.approx(1.0), 1)


def test_evaluate_nothing_known_is_missing():
    result = evaluate(
        np.full((2, 6, 4), 0.25), np.full((2, 4), 0.25), np.full((2, 6), -1), np.ones((2, 6)), np.ones((2, 6)), 5
    )
    assert result.n_labels == 0
    assert np.isnan([result.log_loss, result.balanced_accuracy, result.information_coefficient]).all()


def test_class_measures_match_scikit_learn():
    prior = np.full((300, 4), 0.25)
    found = class_measures(CHANCES, prior, CLASSES)
    said, up = CHANCES.argmax(axis=1), CLASSES >= 2
    assert found.matthews == pytest.approx(sklearn.metrics.matthews_corrcoef(CLASSES, said))
    assert found.accuracy == pytest.approx(sklearn.metrics.accuracy_score(CLASSES, said))
    assert found.direction_auc == pytest.approx(sklearn.metrics.roc_auc_score(up, CHANCES[:, 2] + CHANCES[:, 3]))
    great = np.isin(CLASSES, (0, 3))
    assert found.magnitude_auc == pytest.approx(sklearn.metrics.roc_auc_score(great, CHANCES[:, 0] + CHANCES[:, 3]))
    assert found.log_loss_skill == pytest.approx(1 - sklearn.metrics.log_loss(CLASSES, CHANCES) / np.log(4))
    assert found.majority_accuracy == pytest.approx((CLASSES == 0).mean())
    assert found.n_labels == sum(b.n for b in found.reliability) == 300


def test_ranked_probability_score_by_hand():
    # Class 2 came. Cumulated .1 .3 .6 1 against 0 0 1 1: (.01 + .09 + .16) / 3.
    assert ranked_probability_score(np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([2])) == pytest.approx(0.26 / 3)
    assert ranked_probability_score(np.array([[0.0, 0, 1, 0]]), np.array([2])) == 0
    # A miss by one class costs less than a miss by two.
    near, far = (ranked_probability_score(np.eye(4)[[k]], np.array([2])) for k in (1, 0))
    assert (near, far) == pytest.approx((1 / 3, 2 / 3))


def test_calibration_error_of_a_forecast_that_is_too_high_by_a_tenth():
    chance = np.repeat(np.linspace(0.15, 0.55, 5), 2000)
    came = np.tile(np.arange(2000) / 2000, 5) < chance - 0.1
    bins = reliability(chance, came)
    assert [b.n for b in bins] == [1000] * 10
    error = sum(b.n * abs(b.forecast - b.came) for b in bins) / len(chance)
    # Within a forecast the bins split by order of rows, which hold risers first; their mean is off by 0.1.
    assert np.mean([b.forecast - b.came for b in bins]) == pytest.approx(0.1, abs=1e-3)
    assert error >= 0.1 - 1e-3


def test_class_measures_of_nothing_are_missing():
    found = class_measures(np.empty((0, 4)), np.empty((0, 4)), np.empty(0, dtype=int))
    assert found == ClassMeasures()


def test_ranking_measures_of_a_perfect_order_by_hand():
    # 60 stocks, returns 0 to 5.9 %, the same every session: highest tenth less lowest is 5.4 % over 2 bars.
    realised = np.tile(np.arange(60) / 1000, (40, 1))
    found = ranking_measures(realised * 3, realised, horizon=2)
    assert (found.quantiles, found.n_sessions, found.n_names) == (10, 40, 60)
    assert found.information_coefficient == pytest.approx(1)
    assert found.positive_share == 1
    assert found.spread_bps == pytest.approx(540 / 2)
    assert found.monotonicity == pytest.approx(1)
    assert found.turnover == 0
    assert np.isnan(found.breakeven_bps)


def test_ranking_measures_of_an_order_that_turns_every_session():
    # Scores flip each session: with 1 bar both legs are replaced whole, 4 sides; the spread is 0 on average.
    order = np.arange(20.0)
    score = np.array([order if t % 2 else -order for t in range(40)])
    realised = np.tile(order / 1000, (40, 1))
    found = ranking_measures(score, realised, horizon=1)
    assert found.quantiles == 5
    assert found.turnover == pytest.approx(1)
    assert found.spread_bps == pytest.approx(0, abs=1e-9)
    assert ranking_measures(score, realised, horizon=2).turnover == pytest.approx(0)
    same = ranking_measures(score, np.abs(score) * 0 + score / 1000, horizon=1)
    # Mean of the top four less the bottom four: 17.5 - 1.5 = 16 thousandths, earned on 4 sides traded.
    assert same.spread_bps == pytest.approx(160)
    assert same.breakeven_bps == pytest.approx(40)


def test_session_quantiles_share_ties_and_leave_out_what_has_no_score():
    part = session_quantiles(np.array([[1.0, 2.0, 3.0, 4.0, np.nan], [5.0, 5.0, 5.0, 5.0, 5.0]]), 2)
    assert part.tolist() == [[0, 0, 1, 1, -1], [1, 1, 1, 1, 1]]
    assert [quantile_count(n) for n in (5, 6, 15, 49, 50)] == [2, 3, 5, 5, 10]
    assert np.isnan(leg_turnover(part, 2, 5))


def test_newey_west_interval_matches_statsmodels():
    values = np.convolve(RNG.normal(0.1, 1, 300), np.ones(5) / 5, mode="valid")
    fitted = sm.OLS(values, np.ones(len(values))).fit(cov_type="HAC", cov_kwds={"maxlags": 6})
    np.testing.assert_allclose(newey_west_interval(values, 6), fitted.conf_int()[0])


def test_paired_difference_is_of_common_sessions_only():
    ours, theirs = RNG.normal(0.1, 0.1, 200), RNG.normal(0.0, 0.1, 200)
    ours[:20], theirs[-30:] = np.nan, np.nan
    found = paired_difference(ours, theirs, 5)
    gap = (ours - theirs)[20:-30]
    fitted = sm.OLS(gap, np.ones(150)).fit(cov_type="HAC", cov_kwds={"maxlags": newey_west_lags(150, 5)})
    assert found.n_sessions == 150
    assert (found.mean, found.t) == (pytest.approx(gap.mean()), pytest.approx(fitted.tvalues[0]))
    nothing = paired_difference(ours, np.full(200, np.nan), 5)
    assert nothing.n_sessions == 0
    assert np.isnan(nothing.t)
