"""The trained network in numpy: no TensorFlow where predictions are made.

One step of an LSTM is a few lines: with ``z = x W + h U + b`` cut into the gates i, f, candidate, o
(Keras's order), ``c = sigmoid(f) c + sigmoid(i) tanh(candidate)`` and ``h = sigmoid(o) tanh(c)``
(Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax

from models.sequences import Segments

LAYER_NORM_EPSILON = 1e-3
"""Keras's default for LayerNormalization."""
Cells = list[tuple[np.ndarray, np.ndarray]]
State = Cells | np.ndarray
_WINDOWS_AT_ONCE = 1024


@dataclass(frozen=True)
class LSTMLayer:
    """Weights of one LSTM layer: `kernel` [F, 4U], `recurrent` [U, 4U], `bias` [4U]."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray

    @property
    def units(self) -> int:
        return len(self.recurrent)

    def step(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the next hidden and cell state, each [B, U]."""
        z = x @ self.kernel + h @ self.recurrent + self.bias
        u = self.units
        gates = expit(z)
        cell = gates[:, u : 2 * u] * c + gates[:, :u] * np.tanh(z[:, 2 * u : 3 * u])
        return gates[:, 3 * u :] * np.tanh(cell), cell


@dataclass(frozen=True)
class Network:
    """A trained network: LSTM layers, layer normalisation, four logits, one temperature.

    Attributes
    ----------
    layers : tuple of LSTMLayer
    gamma, beta : ndarray of float64, shape [U], or None
        Of the layer normalisation; None without one.
    kernel, bias : ndarray of float64, shape [U, 4] and [4]
        Of the output layer.
    temperature : float
        The logits are divided by it before the softmax.
    embedding : ndarray of float64, shape [N + 1, D], or None
        The vector of each stock's number, which is the last input then.
    lookback : int or None
        Bars of a window, from whose first the state begins at zero for every prediction; None where the state is
        carried.
    """

    layers: tuple[LSTMLayer, ...]
    gamma: np.ndarray | None
    beta: np.ndarray | None
    kernel: np.ndarray
    bias: np.ndarray
    temperature: float = 1.0
    embedding: np.ndarray | None = None
    lookback: int | None = None

    def zero_state(self, batch: int) -> State:
        """Return the state before the first bar of `batch` stocks: no hidden state, and no bar of a window."""
        if self.lookback is None:
            return self._zero_cells(batch)
        return np.empty((batch, 0, 0))

    def step(self, x: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Feed one bar of each stock.

        Parameters
        ----------
        x : ndarray of float64, shape [B, I]
            Inputs.
        state : State
            The cells' states, or the last inputs of a network of windows.

        Returns
        -------
        logits : ndarray of float64, shape [B, 4]
            Before the temperature.
        state : State
            The argument is not changed.
        """
        return self.feed(x[:, None, :], state)

    def feed(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Feed K bars of each stock, inputs [B, K, I]; returns the logits [B, 4] after the last, and the state."""
        if isinstance(state, np.ndarray):
            held = inputs if not state.size else np.concatenate([state, inputs], axis=1)
            held = held[:, -int(self.lookback or 1) :]
            return self._from_zero(held), held
        for bar in range(inputs.shape[1]):
            hidden, state = self._advance(inputs[:, bar], state)
        return self._logits(hidden), state

    def run(self, inputs: np.ndarray, segments: Segments) -> np.ndarray:
        """Feed whole segments, all stocks side by side.

        Parameters
        ----------
        inputs : ndarray of float64, shape [M, I]
            Inputs of `segments.positions()`.
        segments : Segments
            Longest first, so that the stocks still running are always the first ones.

        Returns
        -------
        ndarray of float64, shape [M, 4]
            Logits of every bar fed, the warm-up's included, before the temperature; NaN where a window is not full.
        """
        logits = np.full((len(inputs), len(self.bias)), np.nan)
        if self.lookback is not None:
            self._run_windows(inputs, segments, logits)
            return logits
        offsets, lengths = segments.offsets, segments.lengths
        state = self._zero_cells(len(lengths))
        for step in range(int(lengths.max(initial=0))):
            running = int(np.searchsorted(-lengths, -step, side="left"))
            state = [(h[:running], c[:running]) for h, c in state]
            at = offsets[:running] + step
            hidden, state = self._advance(inputs[at], state)
            logits[at] = self._logits(hidden)
        return logits

    def _run_windows(self, inputs: np.ndarray, segments: Segments, logits: np.ndarray) -> None:
        lookback = int(self.lookback or 1)
        ends = np.flatnonzero(segments.fed() >= lookback)
        for at in np.array_split(ends, -(-len(ends) // _WINDOWS_AT_ONCE) or 1):
            logits[at] = self._from_zero(inputs[at[:, None] + np.arange(1 - lookback, 1)])

    def _from_zero(self, windows: np.ndarray) -> np.ndarray:
        """Return the logits [B, 4] after windows [B, K, I] of their own."""
        state = self._zero_cells(len(windows))
        for bar in range(windows.shape[1]):
            hidden, state = self._advance(windows[:, bar], state)
        return self._logits(hidden)

    def _zero_cells(self, batch: int) -> Cells:
        return [(np.zeros((batch, layer.units)), np.zeros((batch, layer.units))) for layer in self.layers]

    def _advance(self, x: np.ndarray, cells: Cells) -> tuple[np.ndarray, Cells]:
        """Return the last layer's hidden state [B, U] and the cells' states after one bar [B, I]."""
        hidden, following = self._embedded(x), []
        for layer, (h, c) in zip(self.layers, cells, strict=True):
            hidden, cell = layer.step(hidden, h, c)
            following.append((hidden, cell))
        return hidden, following

    def _embedded(self, x: np.ndarray) -> np.ndarray:
        if self.embedding is None:
            return x
        return np.concatenate([x[:, :-1], self.embedding[x[:, -1].astype(int)]], axis=1)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities of the four classes, same shape as `logits`."""
        shares = np.exp((logits - logits.max(axis=-1, keepdims=True)) / self.temperature)
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True))

    def expected(self, logits: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the expected target, [..., 4] to [...], as `models.fitted.Fitted` has it."""
        return np.asarray(probabilities @ means)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by name, as an npz holds them."""
        named = {"kernel": self.kernel, "bias": self.bias, "temperature": np.array(self.temperature)}
        optional = {"gamma": self.gamma, "beta": self.beta, "embedding": self.embedding}
        named |= {name: values for name, values in optional.items() if values is not None}
        if self.lookback is not None:
            named["lookback"] = np.array(self.lookback)
        for i, layer in enumerate(self.layers):
            named |= {
                f"lstm{i}_kernel": layer.kernel,
                f"lstm{i}_recurrent": layer.recurrent,
                f"lstm{i}_bias": layer.bias,
            }
        return named

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Network:
        """Build the network from what `arrays` returned; raises KeyError for one that is missing."""
        count = sum(name.startswith("lstm") and name.endswith("_recurrent") for name in arrays)
        named = {name: np.asarray(arrays[name], dtype=np.float64) for name in arrays}
        return Network(
            layers=tuple(
                LSTMLayer(named[f"lstm{i}_kernel"], named[f"lstm{i}_recurrent"], named[f"lstm{i}_bias"])
                for i in range(count)
            ),
            gamma=named.get("gamma"),
            beta=named.get("beta"),
            kernel=named["kernel"],
            bias=named["bias"],
            temperature=float(named["temperature"]),
            embedding=named.get("embedding"),
            lookback=int(named["lookback"]) if "lookback" in named else None,
        )

    def _logits(self, hidden: np.ndarray) -> np.ndarray:
        if self.gamma is None or self.beta is None:
            return np.asarray(hidden @ self.kernel + self.bias)
        units = hidden.shape[-1]  # numpy's own mean costs several sums on one row
        centred = hidden - hidden.sum(axis=-1, keepdims=True) / units
        variance = (centred**2).sum(axis=-1, keepdims=True) / units
        normal = centred / np.sqrt(variance + LAYER_NORM_EPSILON) * self.gamma + self.beta
        return normal @ self.kernel + self.bias


def weighted_log_loss(logits: np.ndarray, classes: np.ndarray, weights: np.ndarray, temperature: float = 1.0) -> float:
    """Return the weighted mean of -ln p(class), shapes [M, 4], [M], [M]."""
    chosen = log_softmax(logits / temperature, axis=-1)[np.arange(len(classes)), classes]
    return float(-(weights * chosen).sum() / weights.sum())
