"""What every fitted model of a fold can do, the LSTM as well as each baseline.

A model takes scaled inputs bar after bar and carries a state, so that one protocol serves the panel pass
(`run`), the indicator bar by bar (`step`), the cache and the saved model (`arrays`). Which class an npz
belongs to stands in it as the text ``family``; nothing in it can execute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from models.sequences import Segments


class Fitted(Protocol):
    """One fitted model. ``raw`` means whatever `step` and `run` return, one row per bar."""

    def zero_state(self, batch: int) -> Any:
        """Return the state before the first bar of `batch` stocks."""

    def step(self, x: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Feed one bar of each stock, shape [B, F]; return raw [B, K] and the next state."""

    def feed(self, inputs: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Feed K bars of each stock, shape [B, K, F]; return raw [B, K'] after the last and the next state."""

    def run(self, inputs: np.ndarray, segments: Segments) -> np.ndarray:
        """Feed the bars of `segments.positions()`, shape [M, F]; return raw [M, K], as `step` would."""

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities of the four classes, [..., K] to [..., 4]."""

    def expected(self, raw: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the expected target, [..., K] to [...].

        `probabilities` are those of `raw`, so that nobody computes them twice; `means` are the classes' mean
        targets in training.
        """

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that was fitted, by name, as an npz holds it."""


def outcome(model: Fitted, raw: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return four probabilities and the expected target side by side, [..., K] to [..., 5]."""
    probabilities = model.probabilities(raw)
    return np.concatenate([probabilities, model.expected(raw, probabilities, means)[..., None]], axis=-1)


def restore(arrays: Mapping[str, np.ndarray]) -> Fitted:
    """Build the model from what `Fitted.arrays` returned.

    Raises
    ------
    KeyError
        If an array is missing, or the family is unknown.
    """
    from models.boosting import TreeEnsemble
    from models.logistic import Logistic
    from models.simple_baselines import Persistence, Prior, Reversal, Volatility
    from models.stepper import Network

    kinds: dict[str, Any] = {
        "lstm": Network,
        "logistic": Logistic,
        "gradient_boosting": TreeEnsemble,
        "prior": Prior,
        "persistence": Persistence,
        "reversal": Reversal,
        "volatility": Volatility,
    }
    values = dict(arrays)
    family = str(values.pop("family", "lstm"))
    restored: Fitted = kinds[family].from_arrays(values)
    return restored
