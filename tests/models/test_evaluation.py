from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
import statsmodels.api as sm
from scipy.stats import spearmanr

from models.evaluation import (
    balanced_accuracy,
    daily_information_coefficients,
    evaluate,
    log_loss,
    newey_west_lags,
    newey_west_t,
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
