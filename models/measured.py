"""Predictions beside what came, as panels: what every measure of a model is taken from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from feeds.panel import PricePanel
from models.bar_table import BarTable
from models.evaluation import Evaluation, daily_information_coefficients, evaluate
from models.labels import CLASS_NAMES, NO_CLASS, ClassLimits, forward_returns, intraday_returns
from models.predictions import SavedPredictions
from models.spec import Label
from models.walk_forward_predictor import panel_volatility


@dataclass(frozen=True)
class Question:
    """What a model was asked: which return, and where its classes meet in each fold.

    Attributes
    ----------
    horizon, gap_sessions : int
    label : str
    limits : mapping of fold number to ClassLimits
    """

    horizon: int
    gap_sessions: int
    label: Label
    limits: Mapping[int, ClassLimits]


@dataclass(frozen=True)
class Measured:
    """Predictions beside what came, as panels of shape [T, N] (`probabilities` [T, N, 4], `prior` [T, 4])."""

    sessions: pd.DatetimeIndex
    probabilities: np.ndarray
    prior: np.ndarray
    classes: np.ndarray
    score: np.ndarray
    realised: np.ndarray
    horizon: int
    traded: np.ndarray

    @staticmethod
    def of(panel: PricePanel, predictions: SavedPredictions, question: Question) -> Measured:
        """Put predictions beside the classes and returns that are known by the panel's end.

        Which fold's limits cut a session's returns into classes is told by the predictions' column ``fold``;
        a fold without limits has no classes.
        """
        table = BarTable.of(panel)
        sigma = table.flatten(panel_volatility(panel))
        opens, closes = table.flatten(panel.open), table.flatten(panel.close)
        if question.label == "intraday":
            returns = intraday_returns(table, opens, closes, sigma, question.gap_sessions)
        else:
            returns = forward_returns(table, opens, sigma, question.horizon, question.gap_sessions)
        target = table.unflatten(returns.target(question.label, len(panel.sessions)))
        fold = _fold_of_session(panel.sessions, predictions.frame)
        classes = np.full(target.shape, NO_CLASS, dtype=np.int8)
        prior = np.full((len(panel.sessions), len(CLASS_NAMES)), np.nan)
        for number, limits in question.limits.items():
            rows = fold == number
            classes[rows] = limits.classify(target[rows])
            prior[rows] = limits.shares
        return Measured(
            sessions=panel.sessions,
            probabilities=np.stack([predictions.matrix(n, panel.sessions, panel.tickers) for n in CLASS_NAMES], axis=2),
            prior=prior,
            classes=classes,
            score=predictions.matrix("score", panel.sessions, panel.tickers),
            realised=table.unflatten(returns.plain),
            horizon=question.horizon,
            traded=panel.traded,
        )

    def bars(self, first: int, stop: int) -> int:
        """Return the traded bars in the session rows ``[first, stop)``."""
        return int(self.traded[first:stop].sum())

    def evaluation(self, first: int, stop: int) -> Evaluation:
        """Measure the session rows ``[first, stop)``."""
        return self.over(slice(first, stop))

    @cached_property
    def pooled(self) -> Evaluation:
        """All sessions."""
        return self.over(slice(None))

    @property
    def years(self) -> Iterator[tuple[int, Evaluation]]:
        """Each calendar year that has a prediction, with its measures."""
        return ((year, self.over(rows)) for year, rows in self.rows_of_years())

    def rows_of_years(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each calendar year that has a prediction, with its sessions as a mask of shape [T]."""
        told = np.isfinite(self.score).any(axis=1)
        return ((int(year), np.asarray(self.sessions.year == year)) for year in sorted(set(self.sessions.year[told])))

    @property
    def coefficients(self) -> np.ndarray:
        """The daily information coefficients, shape [T]; NaN where a session has none."""
        known = np.isfinite(self.probabilities[:, :, 0]) & (self.classes != NO_CLASS)
        return daily_information_coefficients(np.where(known, self.score, np.nan), self.realised)

    def over(self, rows: slice | np.ndarray) -> Evaluation:
        """Measure some session rows."""
        return evaluate(
            self.probabilities[rows],
            self.prior[rows],
            self.classes[rows],
            self.score[rows],
            self.realised[rows],
            self.horizon,
        )


def _fold_of_session(sessions: pd.DatetimeIndex, frame: pd.DataFrame) -> np.ndarray:
    """Return the fold that predicted each session, 0 for none; all stocks of a session share it."""
    folds = frame.groupby("session")["fold"].first()
    return folds.reindex(sessions, fill_value=0).to_numpy()
