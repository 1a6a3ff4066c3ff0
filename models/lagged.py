"""Models that see a bar and a few bars before it, and nothing else of the past.

Their state is the last `lags` inputs of each stock. Before a sequence's first bar those are 0, the
training median, in the panel pass as in the stepper.
"""

from __future__ import annotations

import numpy as np

from models.sequences import Segments

_ROWS_AT_ONCE = 32_768


def lagged_rows(inputs: np.ndarray, first: np.ndarray, at: np.ndarray, lags: int) -> np.ndarray:
    """Return each bar's inputs beside those of the `lags` bars before it.

    Parameters
    ----------
    inputs : ndarray, shape [M, F]
    first : ndarray of int64, shape [M]
        Where each bar's sequence begins in `inputs`.
    at : ndarray of int64, shape [B]
        The bars wanted.

    Returns
    -------
    ndarray, shape [B, (lags + 1) * F]
        Newest bar first; 0 before the sequence's first bar.
    """
    source = at[:, None] - np.arange(lags + 1)
    rows = np.where((source >= first[at][:, None])[:, :, None], inputs[np.maximum(source, 0)], 0)
    return rows.reshape(len(at), (lags + 1) * inputs.shape[1])


class Lagged:
    """Base of models that are a function of the newest `lags` + 1 bars."""

    @property
    def lags(self) -> int:
        """How many bars before the present one are seen."""
        return 0

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return raw [B, K] of lagged rows [B, (lags + 1) * F]."""
        raise NotImplementedError(f"{type(self).__name__}.outputs")

    def zero_state(self, batch: int) -> np.ndarray | None:
        """Return the state before the first bar: nothing seen yet."""
        return None

    def step(self, x: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Feed one bar of each stock, shape [B, F]; the state holds the bars before it, newest first."""
        earlier = np.zeros((len(x), self.lags * x.shape[1])) if state is None else state
        rows = np.concatenate([x, earlier], axis=1)
        return self.outputs(rows), rows[:, : self.lags * x.shape[1]]

    def feed(self, inputs: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Feed K bars of each stock, shape [B, K, F]; return raw [B, K'] after the last and the next state."""
        raw = np.empty((len(inputs), 0))
        for bar in range(inputs.shape[1]):
            raw, state = self.step(inputs[:, bar], state)
        return raw, state

    def run(self, inputs: np.ndarray, segments: Segments) -> np.ndarray:
        """Feed whole segments, a slice of the bars at a time so that the lags of all are never in memory."""
        first = np.repeat(segments.offsets, segments.lengths)
        pieces = [
            self.outputs(lagged_rows(inputs, first, np.arange(at, min(at + _ROWS_AT_ONCE, len(inputs))), self.lags))
            for at in range(0, max(len(inputs), 1), _ROWS_AT_ONCE)
        ]
        return np.concatenate(pieces)
