"""Everything that one fold learns from, cut out of the panel before any training starts.

Only bars of the fold's training window are in here, and only labels known before the next range begins.
What is fitted (preprocessing, class limits) is fitted on the fit range, never on the validation sessions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feeds.errors import InputError
from models.bar_table import BarTable, first_positions, missed_sessions
from models.batches import FitData
from models.folds import Fold
from models.labels import NO_CLASS, ClassLimits, ForwardReturns, class_weights, date_weights
from models.preprocess import Preprocessor
from models.sequences import Segments, find_segments
from models.spec import ModelSpec


@dataclass(frozen=True)
class RangeRows:
    """What one range of decisions gave, for a person to check against a calendar.

    Attributes
    ----------
    bars : int
        Traded bars with a decision in the range.
    labels : int
        Those with a label that may be used.
    purged : int
        Those whose return is known, but not before the next range begins.
    known_row : int
        The session row on which the last used label became known; before the next range.
    """

    bars: int
    labels: int
    purged: int
    known_row: int


@dataclass(frozen=True)
class FoldWindow:
    """One fold's training window, scaled and labelled.

    Attributes
    ----------
    preprocess : Preprocessor
    limits : ClassLimits
    inputs : ndarray of float32, shape [W, I]
    fit_rows, validation_rows : RangeRows
    classes : ndarray of int8, shape [W]
    session_row, ticker_column : ndarray of int64, shape [W]
    """

    preprocess: Preprocessor
    limits: ClassLimits
    fit_rows: RangeRows
    validation_rows: RangeRows
    inputs: np.ndarray
    classes: np.ndarray
    session_row: np.ndarray
    ticker_column: np.ndarray

    @staticmethod
    def cut(
        table: BarTable,
        features: np.ndarray,
        names: tuple[str, ...],
        returns: ForwardReturns,
        spec: ModelSpec,
        fold: Fold,
    ) -> FoldWindow:
        """Return the window of `fold`.

        Parameters
        ----------
        table : BarTable
            R bars.
        features : ndarray of float64, shape [R, F]
        names : tuple of str, length F
        returns : ForwardReturns

        Raises
        ------
        InputError
            If the fit range or the validation range has no label, or only losses or only profits.
        """
        inside = (table.session_row >= fold.train_first) & (table.session_row < fold.test_first)
        row, values = table.session_row[inside], features[inside]
        fitting = row < fold.validation_first
        fit_target = np.where(fitting, returns.target(spec.label, fold.validation_first)[inside], np.nan)
        check_target = np.where(fitting, np.nan, returns.target(spec.label, fold.test_first)[inside])
        limits = ClassLimits.fit(fit_target, lambda: fold.describe(table.sessions))
        column = table.ticker_column[inside]
        tickers = [table.tickers[i] for i in np.unique(column[fitting])]
        preprocess = Preprocessor.fit(names, values[fitting], tickers, spec)
        inputs = preprocess.transform(values, preprocess.tickers.numbers(table.tickers)[column])
        classes = limits.classify(np.where(fitting, fit_target, check_target))
        known_row = np.where(np.isfinite(returns.plain), returns.known_row, -1)[inside]
        window = FoldWindow(
            preprocess=preprocess,
            limits=limits,
            fit_rows=_count_rows(classes[fitting], known_row[fitting], fold.validation_first),
            validation_rows=_count_rows(classes[~fitting], known_row[~fitting], fold.test_first),
            inputs=inputs.astype(np.float32),
            classes=classes,
            session_row=row,
            ticker_column=column,
        )
        _require_labels(window, fold, spec, table.sessions)
        return window

    def fit_data(self, fold: Fold, spec: ModelSpec) -> FitData:
        """Return what `models.network.fit_network` takes."""
        return fit_data(self.inputs, self.classes, self.session_row, self.ticker_column, fold, spec)

    def digest(self, fold: Fold) -> str:
        """Return the sha256 of everything the training sees, counted from the fold's first session."""
        sha = hashlib.sha256(repr((self.preprocess.names, fold.validation_first - fold.train_first)).encode())
        tickers = np.cumsum(np.diff(self.ticker_column, prepend=self.ticker_column[:1]) > 0)
        for values in (self.inputs, self.classes, self.session_row - fold.train_first, tickers):
            sha.update(np.ascontiguousarray(values).tobytes())
        return sha.hexdigest()


def fit_data(
    inputs: np.ndarray,
    classes: np.ndarray,
    session_row: np.ndarray,
    ticker_column: np.ndarray,
    fold: Fold,
    spec: ModelSpec,
) -> FitData:
    """Arrange a window's arrays for training; a worker calls it on arrays that it maps from disk."""
    first = first_positions(ticker_column)
    fitting = session_row < fold.validation_first
    starts = np.unique(first)
    validation: Segments = find_segments(
        session_row, first, missed_sessions(session_row, first), (fold.validation_first, fold.test_first), spec
    )
    return FitData(
        inputs=inputs,
        classes=classes,
        weights=date_weights(session_row, classes),
        class_weights=class_weights(classes[fitting], spec),
        fit_first=starts,
        fit_stop=starts + np.add.reduceat(fitting, starts, dtype=int),
        validation=validation,
    )


def _count_rows(classes: np.ndarray, known_row: np.ndarray, stop: int) -> RangeRows:
    """Count one range; `known_row` is -1 where there is no return."""
    used = classes != NO_CLASS
    return RangeRows(
        bars=len(classes),
        labels=int(used.sum()),
        purged=int((known_row >= stop).sum()),
        known_row=int(known_row[used].max(initial=-1)),
    )


def _require_labels(window: FoldWindow, fold: Fold, spec: ModelSpec, sessions: pd.DatetimeIndex) -> None:
    data = window.fit_data(fold, spec)
    longest = int((data.fit_stop - data.fit_first).max(initial=0))
    validated = window.validation_rows.labels
    if longest <= spec.unscored_bars or not validated:
        raise InputError(
            f"too little history in {fold.describe(sessions)}: expected a ticker with more than {spec.unscored_bars} "
            f"bars to fit and labels to validate, received at most {longest} bars and {validated} labels; "
            "use more tickers or a later `--from`"
        )
