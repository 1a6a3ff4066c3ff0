"""How good out-of-sample predictions were, in the measures that a trader and a statistician ask for.

Accuracy and log-loss are blind to what a strategy needs (MODEL.md 2.1); the headline is the information
coefficient: does the order of the scores agree with the order of the returns that followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.cross_section import session_ranks
from models.labels import NO_CLASS

FEWEST_RANKED = 5
"""Stocks with a score and a return below which a session's rank correlation is not counted."""
_LEAST_CHANCE = 1e-15


@dataclass(frozen=True)
class Evaluation:
    """Measures over some test sessions; NaN where there was nothing to measure.

    Attributes
    ----------
    n_labels : int
        Predictions whose return is known.
    log_loss, prior_log_loss : float
        Mean -ln p of the class that came, for the model and for the shares of the training labels.
    balanced_accuracy : float
        Mean recall over the classes that came; 0.25 is chance.
    information_coefficient : float
        Mean over sessions of Spearman's correlation between score and the return that followed.
    information_coefficient_t : float
        Its t statistic with Newey-West errors.
    n_sessions : int
        Sessions that the information coefficient counts.
    """

    n_labels: int
    log_loss: float
    prior_log_loss: float
    balanced_accuracy: float
    information_coefficient: float
    information_coefficient_t: float
    n_sessions: int


def evaluate(
    probabilities: np.ndarray,
    prior: np.ndarray,
    classes: np.ndarray,
    score: np.ndarray,
    realised: np.ndarray,
    horizon: int,
) -> Evaluation:
    """Measure predictions of some sessions.

    Parameters
    ----------
    probabilities : ndarray of float64, shape [T, N, 4]
        NaN without a prediction.
    prior : ndarray of float64, shape [T, 4]
        The training shares that were known on each session.
    classes : ndarray of int, shape [T, N]
        The class that came; -1 where unknown.
    score, realised : ndarray of float64, shape [T, N]
        Predicted and realised return over the horizon.
    horizon : int
        Bars, which makes neighbouring sessions' coefficients overlap.
    """
    told = np.isfinite(probabilities[:, :, 0]) & (classes != NO_CLASS)
    came = classes[told]
    priors = np.broadcast_to(prior[:, None, :], probabilities.shape)[told]
    coefficients = daily_information_coefficients(np.where(told, score, np.nan), realised)
    coefficients = coefficients[np.isfinite(coefficients)]
    return Evaluation(
        n_labels=len(came),
        log_loss=log_loss(probabilities[told], came),
        prior_log_loss=log_loss(priors, came),
        balanced_accuracy=balanced_accuracy(probabilities[told], came),
        information_coefficient=float(coefficients.mean()) if len(coefficients) else np.nan,
        information_coefficient_t=newey_west_t(coefficients, newey_west_lags(len(coefficients), horizon)),
        n_sessions=len(coefficients),
    )


def evaluate_scores(score: np.ndarray, realised: np.ndarray, horizon: int) -> Evaluation:
    """Measure what scores alone allow, shapes [T, N]: their ranking. What needs the classes' limits is NaN."""
    coefficients = daily_information_coefficients(score, realised)
    coefficients = coefficients[np.isfinite(coefficients)]
    return Evaluation(
        n_labels=int((np.isfinite(score) & np.isfinite(realised)).sum()),
        log_loss=np.nan,
        prior_log_loss=np.nan,
        balanced_accuracy=np.nan,
        information_coefficient=float(coefficients.mean()) if len(coefficients) else np.nan,
        information_coefficient_t=newey_west_t(coefficients, newey_west_lags(len(coefficients), horizon)),
        n_sessions=len(coefficients),
    )


def log_loss(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean of -ln p(class that came), shapes [M, 4] and [M]; NaN without rows."""
    if not len(classes):
        return np.nan
    chosen = probabilities[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(chosen, _LEAST_CHANCE)).mean())


def balanced_accuracy(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean recall over the classes that came, shapes [M, 4] and [M]; NaN without rows."""
    if not len(classes):
        return np.nan
    came = np.bincount(classes, minlength=probabilities.shape[1])
    hit = np.bincount(classes[probabilities.argmax(axis=1) == classes], minlength=probabilities.shape[1])
    return float((hit[came > 0] / came[came > 0]).mean())


def daily_information_coefficients(score: np.ndarray, realised: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each session, shape [T]; NaN with fewer than 5 pairs or without variation."""
    both = np.isfinite(score) & np.isfinite(realised)
    x, y = (session_ranks(np.where(both, values, np.nan)) for values in (score, realised))
    # Ranks on [-1, 1] with shared ties have mean 0 on every session.
    products, x_squares, y_squares = (np.nansum(a * b, axis=1) for a, b in ((x, y), (x, x), (y, y)))
    spread = np.sqrt(x_squares * y_squares)
    counted = (both.sum(axis=1) >= FEWEST_RANKED) & (spread > 0)
    return np.divide(products, spread, out=np.full(len(score), np.nan), where=counted)


def newey_west_lags(count: int, horizon: int) -> int:
    """Return the lags for overlapping returns: at least horizon - 1, and about the cube root of the sample."""
    return max(horizon - 1, int(np.ceil(count ** (1 / 3))))


def newey_west_t(values: np.ndarray, lags: int) -> float:
    """Return mean over its standard error with Bartlett weights (Newey and West 1987); NaN when it has none."""
    count = len(values)
    if count < 2:
        return np.nan
    centred = values - values.mean()
    lags = min(lags, count - 1)
    covariances = np.array([centred[lag:] @ centred[: count - lag] for lag in range(lags + 1)]) / count
    weights = 1 - np.arange(lags + 1) / (lags + 1)
    variance = 2 * (weights * covariances).sum() - covariances[0]
    return float(values.mean() / np.sqrt(variance / count)) if variance > 0 else np.nan
