"""How good out-of-sample predictions were, in the measures that a trader and a statistician ask for.

Accuracy and log-loss are blind to what a strategy needs: both reward forecasting volatility. The headline is
the information coefficient: does the order of the scores agree with the order of the returns that followed?
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.class_measures import ClassMeasures, balanced_accuracy, class_measures, log_loss
from models.labels import NO_CLASS
from models.ranking_measures import (
    RankingMeasures,
    daily_information_coefficients,
    newey_west_interval,
    newey_west_lags,
    newey_west_t,
    ranking_measures,
)

__all__ = [
    "Evaluation", "PairedDifference", "balanced_accuracy", "daily_information_coefficients", "evaluate",
    "evaluate_scores", "log_loss", "newey_west_lags", "newey_west_t", "paired_difference",
]  # fmt: skip


@dataclass(frozen=True)
class Evaluation(ClassMeasures, RankingMeasures):
    """All measures over some test sessions; see the two classes that it joins."""

    def as_dict(self) -> dict[str, Any]:
        """Return every measure by name, as JSON holds them but for NaN."""
        return asdict(self)


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
    priors = np.broadcast_to(prior[:, None, :], probabilities.shape)[told]
    return _joined(
        class_measures(probabilities[told], priors, classes[told]),
        ranking_measures(np.where(told, score, np.nan), realised, horizon),
    )


def evaluate_scores(score: np.ndarray, realised: np.ndarray, horizon: int) -> Evaluation:
    """Measure what scores alone allow, shapes [T, N]: their ranking. What needs the classes' limits is NaN."""
    known = int((np.isfinite(score) & np.isfinite(realised)).sum())
    return _joined(ClassMeasures(n_labels=known), ranking_measures(score, realised, horizon))


def _joined(classes: ClassMeasures, ranking: RankingMeasures) -> Evaluation:
    return Evaluation(**vars(classes), **vars(ranking))


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of two models' daily coefficients, on the sessions that both have.

    Attributes
    ----------
    n_sessions : int
    mean, t, low, high : float
        With Newey-West errors; NaN where there is nothing to compare.
    """

    n_sessions: int
    mean: float
    t: float
    low: float
    high: float


def paired_difference(ours: np.ndarray, theirs: np.ndarray, horizon: int) -> PairedDifference:
    """Compare two series of daily coefficients, shape [T], NaN where a session has none."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    difference = (ours - theirs)[both]
    if not len(difference):
        return PairedDifference(0, np.nan, np.nan, np.nan, np.nan)
    lags = newey_west_lags(len(difference), horizon)
    low, high = newey_west_interval(difference, lags)
    return PairedDifference(len(difference), float(difference.mean()), newey_west_t(difference, lags), low, high)
