"""Walk-forward folds: which sessions a model may learn from, and which it then predicts.

Boundaries are counted forward from the first session and from the settings alone, so that data which
arrive later change no earlier fold. All tickers share them. Fold k learns from `train_sessions` sessions (of an
expanding window, from the first session on), the last `validation_sessions` of which only stop the training and
calibrate it, and predicts the next `test_sessions`; fold k+1 begins `test_sessions` later. The last test block may
be shorter.

Ranges of rows say which sessions a *decision* may come from. A label is used only if it is known before
the next range begins: `models.labels` carries that, so the h+1 bars (``intraday``: 1) before each cut have no label.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from feeds.errors import InputError
from models.spec import ModelSpec


@dataclass(frozen=True)
class Fold:
    """One training window and the test block after it, as half-open ranges of session rows.

    Attributes
    ----------
    number : int
        From 1.
    train_first, validation_first, test_first, test_stop : int
        The network is fitted on ``[train_first, validation_first)``, validated on
        ``[validation_first, test_first)`` and predicts ``[test_first, test_stop)``.
    """

    number: int
    train_first: int
    validation_first: int
    test_first: int
    test_stop: int

    def describe(self, sessions: pd.DatetimeIndex) -> str:
        """Return one line a person can check against a calendar."""
        return (
            f"fold {self.number}: fit {_span(sessions, self.train_first, self.validation_first)}, "
            f"validation {_span(sessions, self.validation_first, self.test_first)}, "
            f"test {_span(sessions, self.test_first, self.test_stop)}"
        )


def make_folds(sessions: pd.DatetimeIndex, spec: ModelSpec) -> tuple[Fold, ...]:
    """Return the folds that `sessions` hold, oldest first.

    Raises
    ------
    InputError
        If there is not even one session to predict after the first training window.
    """
    available = usable_sessions(sessions, spec)
    if available <= spec.train_sessions:
        sealed = f" before `holdout_from` {spec.holdout_from}" if spec.holdout_from else ""
        raise InputError(
            f"too little history for one fold of model {spec.name!r}: expected at least {spec.train_sessions + 1} "
            f"sessions (`train_sessions` {spec.train_sessions} and one to predict), received {available}{sealed}; "
            "use earlier data, or a model with a shorter training window such as `--model tiny`"
        )
    return tuple(
        Fold(
            number=number,
            train_first=test_first - spec.train_sessions if spec.window == "rolling" else 0,
            validation_first=test_first - spec.validation_sessions,
            test_first=test_first,
            test_stop=min(test_first + spec.test_sessions, available),
        )
        for number, test_first in enumerate(range(spec.train_sessions, available, spec.test_sessions), start=1)
    )


def usable_sessions(sessions: pd.DatetimeIndex, spec: ModelSpec) -> int:
    """Return how many sessions are not sealed by `holdout_from`."""
    if spec.holdout_from is None or spec.holdout == "open":
        return len(sessions)
    return int((sessions < pd.Timestamp(spec.holdout_from)).sum())


def _span(sessions: pd.DatetimeIndex, first: int, stop: int) -> str:
    return f"{sessions[first].date()} to {sessions[stop - 1].date()} ({stop - first} sessions)"
