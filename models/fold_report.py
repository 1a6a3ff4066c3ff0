"""What the manifest and the report say about each fold: dates, samples, course of the training, test measures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from models.fold_training import PreparedFold
from models.measured import Measured
from models.network import FittedNetwork


@dataclass(frozen=True)
class FoldReport:
    """One fold in numbers. Dates are of decisions, both ends included.

    Attributes
    ----------
    fold : int
        From 1.
    fit_first, fit_last, validation_first, validation_last, test_first, test_last : str
        ISO dates.
    n_fit_bars, n_validation_bars, n_test_bars : int
        Traded bars with a decision in each range.
    n_fit_labels, n_validation_labels, n_test_labels : int
    n_fit_purged, n_validation_purged : int
        Returns of the range that are not used, because they were not known before the next range began.
    fit_labels_known, validation_labels_known : str
        The session on which the last used label became known: before `validation_first`, before `test_first`.
    seeds : list of dict
        Per network: seed, epochs, best_epoch, temperature, validation_log_loss.
    log_loss, prior_log_loss, balanced_accuracy, information_coefficient, information_coefficient_t : float
        On the test block, as in `models.evaluation.Evaluation`; NaN where no test label is known yet.
    """

    fold: int
    fit_first: str
    fit_last: str
    validation_first: str
    validation_last: str
    test_first: str
    test_last: str
    n_fit_bars: int
    n_validation_bars: int
    n_test_bars: int
    n_fit_labels: int
    n_validation_labels: int
    n_test_labels: int
    n_fit_purged: int
    n_validation_purged: int
    fit_labels_known: str
    validation_labels_known: str
    seeds: list[dict[str, float]]
    log_loss: float
    prior_log_loss: float
    balanced_accuracy: float
    information_coefficient: float
    information_coefficient_t: float

    @staticmethod
    def of(prepared: PreparedFold, networks: Sequence[FittedNetwork], measured: Measured) -> FoldReport:
        """Return the report of one trained fold."""
        fold, sessions = prepared.fold, measured.sessions
        evaluation = measured.evaluation(fold.test_first, fold.test_stop)
        return FoldReport(
            fold=fold.number,
            fit_first=_iso(sessions, fold.train_first),
            fit_last=_iso(sessions, fold.validation_first - 1),
            validation_first=_iso(sessions, fold.validation_first),
            validation_last=_iso(sessions, fold.test_first - 1),
            test_first=_iso(sessions, fold.test_first),
            test_last=_iso(sessions, fold.test_stop - 1),
            n_fit_bars=prepared.fit_rows.bars,
            n_validation_bars=prepared.validation_rows.bars,
            n_test_bars=measured.bars(fold.test_first, fold.test_stop),
            n_fit_labels=prepared.fit_rows.labels,
            n_validation_labels=prepared.validation_rows.labels,
            n_test_labels=evaluation.n_labels,
            n_fit_purged=prepared.fit_rows.purged,
            n_validation_purged=prepared.validation_rows.purged,
            fit_labels_known=_iso(sessions, prepared.fit_rows.known_row),
            validation_labels_known=_iso(sessions, prepared.validation_rows.known_row),
            seeds=[_training_row(t.seed, fitted) for t, fitted in zip(prepared.tasks, networks, strict=True)],
            log_loss=evaluation.log_loss,
            prior_log_loss=evaluation.prior_log_loss,
            balanced_accuracy=evaluation.balanced_accuracy,
            information_coefficient=evaluation.information_coefficient,
            information_coefficient_t=evaluation.information_coefficient_t,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it: None for NaN."""
        return {key: None if _is_nan(value) else value for key, value in dataclasses.asdict(self).items()}


def _training_row(seed: int, fitted: FittedNetwork) -> dict[str, float]:
    return {
        "seed": seed,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "temperature": float(fitted.network.arrays().get("temperature", 1.0)),
        "validation_log_loss": fitted.validation_log_loss,
    }


def _iso(sessions: pd.DatetimeIndex, row: int) -> str:
    return str(sessions[row].date())


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
