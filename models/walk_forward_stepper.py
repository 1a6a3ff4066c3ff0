"""The trained folds bar by bar: what a strategy asks that knows nothing but the bars so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.panel import Bars
from models.newest_features import NewestFeatures
from models.predictions import PREDICTION_COLUMNS
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor

_NOTHING = np.full(len(PREDICTION_COLUMNS), np.nan)


class WalkForwardStepper:
    """Predicts one stock bar by bar, carrying the LSTM's state and the features' averages from bar to bar.

    A bar that was never asked for is fed all the same when the next one is, so the answers depend on the
    history alone and not on who asked when.
    """

    def __init__(self, predictor: WalkForwardPredictor, ticker: str) -> None:
        self._predictor = predictor
        self._ticker = ticker
        self._newest = NewestFeatures()
        self._model: FoldModel | None = None
        self._states: list[Any] = []
        self._fed = 0
        self._answer = _NOTHING

    def step(self, bars: Bars) -> np.ndarray:
        """Return the prediction for the last of `bars`, shape [5], NaN where there is none."""
        if len(bars) > self._fed:
            self._answer = self._next_answer(bars)
        return self._answer.copy()

    def _next_answer(self, bars: Bars) -> np.ndarray:
        predictor, last = self._predictor, len(bars) - 1
        rows = predictor.session_rows(bars.sessions[max(self._fed - 1, 0) :])
        model = predictor.model_of(int(rows[-1]))
        if model is None:
            self._model = None
            return _NOTHING
        begin = self._segment_start(model, bars, rows)
        if begin is not None:
            self._restart(model, max(begin - predictor.spec.fed_before, 0))
        outcome_of_last = self._feed(model, bars)
        if last < predictor.spec.unscored_bars:
            return _NOTHING
        return model.with_score(outcome_of_last, self._newest.sigma, predictor.spec)

    def _segment_start(self, model: FoldModel, bars: Bars, rows: np.ndarray) -> int | None:
        """Return the bar at which the state is made anew, None where the carried state serves."""
        if self._model is model and len(rows) == 2 and rows[1] - rows[0] == 1:
            return None
        if self._model is not model:
            rows = self._predictor.session_rows(bars.sessions)
        inside = rows >= self._predictor.block(model)[0]
        gaps = np.diff(rows, prepend=rows[0]) - 1 > self._predictor.spec.gap_sessions
        begins = np.flatnonzero(inside & (gaps | ~np.concatenate([[self._model is model], inside[:-1]])))
        return None if not len(begins) else int(begins[-1]) + len(bars) - len(rows)

    def _restart(self, model: FoldModel, warm_from: int) -> None:
        self._model, self._fed = model, warm_from
        self._states = [network.zero_state(1) for network in model.networks]

    def _feed(self, model: FoldModel, bars: Bars) -> np.ndarray:
        """Feed the bars not fed yet and return the mean outcome after the last, shape [5]."""
        features = self._features(bars, len(bars) - self._fed)
        number = model.preprocess.tickers.numbers([self._ticker] * len(features))
        inputs = model.preprocess.transform(features, number)[None]
        stepped = [n.feed(inputs, s) for n, s in zip(model.networks, self._states, strict=True)]
        self._states = [state for _, state in stepped]
        self._fed = len(bars)
        return model.mean_outcome([raw for raw, _ in stepped])[0]

    def _features(self, bars: Bars, count: int) -> np.ndarray:
        """Return the inputs of the last `count` bars; of many, as on the first bar of a fold, in one pass."""
        self._newest.follow(bars)
        if count == 1:
            return self._predictor.newest_features(self._ticker, bars, self._newest)
        return self._predictor.bar_features(self._ticker, bars, count)
