"""The LSTM's predictions as an indicator.

In a strategy, or in any ``bt.Cerebro``::

    self.signal = LSTMSignal(data, predictor=predictor)
    ...
    if self.signal.score[0] > 0.002: ...

The predictor holds the weights (or saved predictions) of every fold and answers only out of
sample. Bar by bar it is asked for one step per new bar; in backtrader's ``runonce`` mode for the
whole column. Both give the same values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.errors import InputError
from feeds.panel import Bars
from indicators.column_indicator import ColumnIndicator
from indicators.feed_bars import BarHistory


class LSTMSignal(ColumnIndicator):
    """Class probabilities, the predicted class and the score of one stock.

    Lines: ``greater_loss, lesser_loss, lesser_profit, greater_profit`` (probabilities that sum to
    1), ``predicted_class`` (0 to 3, the place of the highest probability, the lower one in a tie)
    and ``score`` (expected return over the model's horizon, a fraction that can be compared with
    cost). All are NaN until the predictor answers out of sample.

    Parameters
    ----------
    predictor : Predictor (see models/predictions.py)
        ``column(ticker, bars)`` gives four probabilities and the score of each bar, shape [K, 5];
        ``stepper(ticker).step(bars)`` the same for the newest bar, shape [5]. The ticker is the
        feed's name.

    Notes
    -----
    **Known at** the close of the present bar; it reads its own feed's lines only.

    Raises
    ------
    InputError
        Without a predictor, or for a feed without a name.
    """

    lines: Any = ("greater_loss", "lesser_loss", "lesser_profit", "greater_profit", "predicted_class", "score")
    params: Any = (("predictor", None),)

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        super().__init__(*feeds, **unknown)
        if self.p.predictor is None:
            raise InputError(
                "`predictor` of LSTMSignal: expected a predictor, received None; "
                "pass predictor=SavedPredictions.read(path) or the result of training"
            )
        if not self.data._name:
            raise InputError("feed of LSTMSignal: expected a feed named after its ticker, received one without a name")
        self._history: BarHistory | None = None
        self._stepper: Any = None

    def bars_needed(self) -> int:
        """Return 1: the stepper keeps the history."""
        return 1

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the lines of every bar, shape [K, 6]."""
        return with_predicted_class(np.asarray(self.p.predictor.column(self.data._name, bars)))

    def latest(self) -> np.ndarray:
        """Step the model by the present bar and return its lines, shape [6]."""
        if self._history is None:
            self._history = BarHistory(self.data)
            self._stepper = self.p.predictor.stepper(self.data._name)
        step = np.asarray(self._stepper.step(self._history.append()))
        return np.asarray(with_predicted_class(step[None, :])[0])


def with_predicted_class(predictions: np.ndarray) -> np.ndarray:
    """Put the class of the highest probability between the probabilities and the score.

    Parameters
    ----------
    predictions : ndarray of float64, shape [K, 5]
        Four probabilities and the score, NaN where there is no prediction.

    Returns
    -------
    ndarray of float64, shape [K, 6]
    """
    probabilities = predictions[:, :4]
    known = np.isfinite(probabilities).all(axis=1)
    winner = np.where(known, np.argmax(np.where(known[:, None], probabilities, 0), axis=1), np.nan)
    return np.column_stack([probabilities, winner, predictions[:, 4]])
