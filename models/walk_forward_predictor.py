"""The trained folds as a predictor: whole panel, whole column, or bar by bar, always the same numbers.

Which fold serves a bar is decided by its date, and a fold serves only its own test block, so that no
prediction lies inside the window its model was trained on. The state follows `models.sequences`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.panel import Bars, FeaturePanel, PricePanel
from models.bar_table import BarTable
from models.features import PRICE_COLUMNS, latest_price_features, volatility
from models.fitted import Fitted, outcome
from models.folds import Fold
from models.labels import ClassLimits
from models.level_features import LEVEL_COLUMNS, level_features
from models.prediction_origin import Origin
from models.predictions import PREDICTION_COLUMNS, SavedPredictions, sorted_frame
from models.preprocess import Preprocessor
from models.sequences import Segments, find_segments
from models.spec import RAW_LABELS, ModelSpec

if TYPE_CHECKING:
    from models.newest_features import NewestFeatures
    from models.walk_forward_stepper import WalkForwardStepper


@dataclass(frozen=True)
class FoldModel:
    """One fold's trained networks with what was fitted beside them.

    Attributes
    ----------
    fold : Fold
    preprocess : Preprocessor
    limits : ClassLimits
    networks : tuple of Fitted
        One per seed; their calibrated probabilities are averaged. A baseline stands in a network's place.
    """

    fold: Fold
    preprocess: Preprocessor
    limits: ClassLimits
    networks: tuple[Fitted, ...]

    def outcomes(self, inputs: np.ndarray, segments: Segments) -> np.ndarray:
        """Return the seeds' mean probabilities and expected target of every bar fed, shape [M, 5]."""
        return self.mean_outcome([network.run(inputs, segments) for network in self.networks])

    def mean_outcome(self, raw: Sequence[np.ndarray]) -> np.ndarray:
        """Return the mean over seeds of what each network's raw output means, [..., K] each to [..., 5]."""
        means = np.array(self.limits.means)
        each = [outcome(network, values, means) for network, values in zip(self.networks, raw, strict=True)]
        return np.asarray(sum(each) / len(each))

    def with_score(self, outcomes: np.ndarray, sigma: np.ndarray, spec: ModelSpec) -> np.ndarray:
        """Turn the expected target into ``score``, the expected return over the horizon: [.., 5] and [..] to [.., 5].

        NaN in all five where sigma is NaN, so that a row is whole or absent.
        """
        unit = np.ones_like(sigma) if spec.label in RAW_LABELS else sigma * np.sqrt(spec.horizon)
        rows = np.concatenate([outcomes[..., :4], (outcomes[..., 4] * unit)[..., None]], axis=-1)
        return np.where(np.isnan(sigma)[..., None], np.nan, rows)


@dataclass(frozen=True)
class WalkForwardPredictor:
    """Predicts each bar with the fold whose test block holds its session.

    Attributes
    ----------
    spec : ModelSpec
    columns : tuple of str, length F
        The network's inputs, in order: price columns are computed from a stock's bars, ``xs_`` and
        ``ins_`` columns are taken from `Bars.columns`.
    sessions : DatetimeIndex
        The sessions that the folds are counted on.
    models : tuple of FoldModel
        Oldest fold first.
    allow_in_sample : bool
        Whether the first fold predicts its own training window too; off, nothing ever does.
    """

    spec: ModelSpec
    columns: tuple[str, ...]
    sessions: pd.DatetimeIndex
    models: tuple[FoldModel, ...]
    allow_in_sample: bool = False

    def with_seed(self, k: int) -> WalkForwardPredictor:
        """Return the predictor of the k-th seed's networks alone, from 0."""
        return replace(self, models=tuple(replace(model, networks=(model.networks[k],)) for model in self.models))

    def column(self, ticker: str, bars: Bars) -> np.ndarray:
        """Return the predictions of one stock's whole history, shape [K, 5], NaN where there is none.

        Raises
        ------
        InputError
            If `bars` lack one of the model's columns.
        """
        features = self.bar_features(ticker, bars, len(bars))
        table = BarTable(
            self.sessions, (ticker,), self.session_rows(bars.sessions), np.zeros(len(bars), dtype=np.int64)
        )
        return self._predict(table, features, volatility(bars))[0]

    def stepper(self, ticker: str) -> WalkForwardStepper:
        """Return a fresh stepper for one stock."""
        from models.walk_forward_stepper import WalkForwardStepper  # which knows this module

        return WalkForwardStepper(self, ticker)

    def predict_panel(self, panel: PricePanel, features: FeaturePanel) -> SavedPredictions:
        """Return every out-of-sample prediction of a panel, all stocks side by side.

        Parameters
        ----------
        panel : PricePanel
            On the predictor's sessions, or on newer ones: the last fold predicts a whole test block.
        features : FeaturePanel
            Holds at least the predictor's `columns`.

        Raises
        ------
        InputError
            If a column is missing, or if every session lies inside the training windows.
        """
        self._require(panel, features)
        bars = BarTable.of(panel)
        rows = self.session_rows(panel.sessions.to_numpy().astype("datetime64[D]"))
        table = replace(bars, session_row=rows[bars.session_row])
        sigma = bars.flatten(panel_volatility(panel))
        values = bars.flatten(features.values[:, :, [features.names.index(name) for name in self.columns]])
        predictions, fold = self._predict(table, values, sigma)
        known = np.flatnonzero(np.isfinite(predictions[:, -1]))
        frame = pd.DataFrame(predictions[known], columns=list(PREDICTION_COLUMNS))
        frame["session"] = panel.sessions[bars.session_row[known]]
        frame["ticker"] = np.array(panel.tickers)[table.ticker_column[known]]
        frame["fold"] = fold[known].astype(np.int32)
        frame = sorted_frame(frame)
        limits = {model.fold.number: model.limits for model in self.models}
        return SavedPredictions(
            frame, Origin.of(frame, panel, self.spec.name, self.spec.horizon, self.spec.label, limits)
        )

    def _require(self, panel: PricePanel, features: FeaturePanel) -> None:
        for name in self.columns:
            if name not in features.names:
                raise InputError(
                    f"features: expected the column `{name}` that the model was trained with, received "
                    f"{', '.join(features.names)}; make the same columns as for the training"
                )
        opening = self.sessions[self.models[0].fold.test_first]
        if not self.allow_in_sample and panel.sessions[-1] < opening:
            raise InputError(
                f"model {self.spec.name!r}: expected sessions from {opening.date()} on, received none after "
                f"{panel.sessions[-1].date()}: the model has seen all of them in training; use newer data, or "
                "`allow_in_sample=True` for what says nothing of skill"
            )

    def session_rows(self, sessions: np.ndarray) -> np.ndarray:
        """Return the session row of each date, shape [K]; weekdays are counted beyond the last known session."""
        rows = np.searchsorted(self._dates, sessions)
        beyond = sessions > self._dates[-1]
        rows[beyond] = len(self._dates) - 1 + np.busday_count(self._dates[-1], sessions[beyond])
        return rows

    def model_of(self, session_row: int) -> FoldModel | None:
        """Return the fold that serves a session row, None outside every test block."""
        for model in self.models:
            first, stop = self.block(model)
            if first <= session_row < stop:
                return model
        return None

    def bar_features(self, ticker: str, bars: Bars, count: int) -> np.ndarray:
        """Return the unscaled inputs of the last `count` bars, shape [count, F]."""
        start = max(len(bars) - count, 0)
        price = dict(zip(PRICE_COLUMNS, latest_price_features(bars, count).T, strict=True))
        if self.spec.level_columns:
            price |= dict(zip(LEVEL_COLUMNS, level_features(bars)[start:].T, strict=True))
        self._require_columns(ticker, bars, price)
        return np.column_stack([price[n] if n in price else bars.columns[n][start:] for n in self.columns])

    def newest_features(self, ticker: str, bars: Bars, newest: NewestFeatures) -> np.ndarray:
        """Return the last row of `bar_features`, shape [1, F]; `newest` has followed the stock to the last bar."""
        price = newest.price_features()
        if self.spec.level_columns:
            price |= newest.level_features(bars)
        self._require_columns(ticker, bars, price)
        return np.array([[price[n] if n in price else bars.columns[n][-1] for n in self.columns]])

    def _require_columns(self, ticker: str, bars: Bars, price: Mapping[str, np.ndarray]) -> None:
        for name in self.columns:
            if name not in price and name not in bars.columns:
                raise InputError(
                    f"bars of {ticker}: expected the column `{name}` that the model was trained with, received "
                    f"{', '.join(sorted(bars.columns)) or 'no columns'}; pass the panel's columns to `make_feeds`"
                )

    @cached_property
    def _dates(self) -> np.ndarray:
        return self.sessions.to_numpy().astype("datetime64[D]")

    def block(self, model: FoldModel) -> tuple[int, int]:
        """Return the rows that a fold serves; the last, shorter block may be continued beyond the known sessions."""
        fold = model.fold
        first = fold.train_first if self.allow_in_sample and model is self.models[0] else fold.test_first
        if fold.test_stop < len(self.sessions):
            return first, fold.test_stop
        return first, fold.test_first + self.spec.test_sessions

    def _predict(self, table: BarTable, features: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions [R, 5] and the number of the fold that made each [R] (0 for none)."""
        predictions = np.full((len(table), len(PREDICTION_COLUMNS)), np.nan)
        served_by = np.zeros(len(table), dtype=np.int64)
        age = np.arange(len(table)) - table.first_position
        for model in self.models:
            segments = find_segments(
                table.session_row, table.first_position, table.missed, self.block(model), self.spec
            )
            positions = segments.positions()
            numbers = model.preprocess.tickers.numbers(table.tickers)[table.ticker_column[positions]]
            outcomes = model.outcomes(model.preprocess.transform(features[positions], numbers), segments)
            told = segments.predicted() & (age[positions] >= self.spec.unscored_bars)
            at = positions[told]
            predictions[at] = model.with_score(outcomes[told], sigma[at], self.spec)
            served_by[at] = model.fold.number
        return predictions, served_by


def panel_volatility(panel: PricePanel) -> np.ndarray:
    """Return `models.features.volatility` of every ticker, shape [T, N], NaN where a stock did not trade."""
    sigma = np.full(panel.close.shape, np.nan)
    for column, ticker in enumerate(panel.tickers):
        sigma[panel.traded[:, column], column] = volatility(panel.bars(ticker))
    return sigma
