"""How good the four probabilities were: sharpness, calibration, and direction apart from magnitude.

A volatility forecast alone earns log-loss and accuracy, so the two collapsed problems are measured apart:
does P(up) tell rises from falls, and does P(great move) tell great moves from small ones?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RELIABILITY_BINS = 10
_LEAST_CHANCE = 1e-15
_UP, _GREAT = (2, 3), (0, 3)


@dataclass(frozen=True)
class ReliabilityBin:
    """Forecasts of P(up) of about one size: their number, their mean, and how often it rose."""

    n: int
    forecast: float
    came: float


@dataclass(frozen=True)
class ClassMeasures:
    """Measures of probabilities against classes; NaN where there was nothing to measure.

    Attributes
    ----------
    n_labels : int
        Predictions whose return is known.
    log_loss, prior_log_loss : float
        Mean -ln p of the class that came, for the model and for the shares of the training labels.
    log_loss_skill, rps_skill : float
        1 less the model's loss over the prior's, for log-loss and for the ranked probability score.
    accuracy, majority_accuracy : float
        Share of right classes, and what always naming training's most frequent class would have had.
    balanced_accuracy : float
        Mean recall over the classes that came; 0.25 is chance, and what always naming one class has.
    matthews : float
        Matthews' correlation between predicted and real class; 0 is chance.
    direction_auc, magnitude_auc : float
        Area under the ROC curve of P(up) for a rise, and of P(great move) for one; 0.5 is chance.
    calibration_error : float
        Mean distance between P(up) and how often it rose, over ten bins of equal size.
    reliability : tuple of ReliabilityBin
        Those bins.
    """

    n_labels: int = 0
    log_loss: float = np.nan
    prior_log_loss: float = np.nan
    log_loss_skill: float = np.nan
    rps_skill: float = np.nan
    accuracy: float = np.nan
    majority_accuracy: float = np.nan
    balanced_accuracy: float = np.nan
    matthews: float = np.nan
    direction_auc: float = np.nan
    magnitude_auc: float = np.nan
    calibration_error: float = np.nan
    reliability: tuple[ReliabilityBin, ...] = ()


def class_measures(probabilities: np.ndarray, prior: np.ndarray, classes: np.ndarray) -> ClassMeasures:
    """Measure M predictions: probabilities and prior [M, 4], the classes that came [M]."""
    if not len(classes):
        return ClassMeasures()
    loss, prior_loss = log_loss(probabilities, classes), log_loss(prior, classes)
    rps, prior_rps = (ranked_probability_score(p, classes) for p in (probabilities, prior))
    said, up = probabilities.argmax(axis=1), np.isin(classes, _UP)
    chance_of_rise = probabilities[:, _UP].sum(axis=1)
    bins = reliability(chance_of_rise, up)
    return ClassMeasures(
        n_labels=len(classes),
        log_loss=loss,
        prior_log_loss=prior_loss,
        log_loss_skill=1 - loss / prior_loss,
        rps_skill=1 - rps / prior_rps,
        accuracy=float((said == classes).mean()),
        majority_accuracy=float((prior.argmax(axis=1) == classes).mean()),
        balanced_accuracy=balanced_accuracy(probabilities, classes),
        matthews=matthews_correlation(said, classes),
        direction_auc=roc_auc(chance_of_rise, up),
        magnitude_auc=roc_auc(probabilities[:, _GREAT].sum(axis=1), np.isin(classes, _GREAT)),
        calibration_error=sum(b.n * abs(b.forecast - b.came) for b in bins) / len(classes),
        reliability=bins,
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


def ranked_probability_score(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean squared distance of the cumulated probabilities from what came, over K - 1 (Epstein 1969)."""
    k = probabilities.shape[1]
    reached = np.arange(k) >= classes[:, None]
    return float(((probabilities.cumsum(axis=1) - reached) ** 2).sum(axis=1).mean() / (k - 1))


def matthews_correlation(said: np.ndarray, classes: np.ndarray) -> float:
    """Return Matthews' correlation, 0 where one class only was predicted or came."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(classes, said))


def roc_auc(score: np.ndarray, came: np.ndarray) -> float:
    """Return the area under the ROC curve; NaN where only one of the two outcomes came."""
    from sklearn.metrics import roc_auc_score

    return np.nan if came.all() or not came.any() else float(roc_auc_score(came, score))


def reliability(forecast: np.ndarray, came: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Return ten bins of equal size, lowest forecasts first (fewer with fewer rows)."""
    parts = [part for part in np.array_split(np.argsort(forecast, kind="stable"), RELIABILITY_BINS) if len(part)]
    return tuple(ReliabilityBin(len(p), float(forecast[p].mean()), float(came[p].mean())) for p in parts)
