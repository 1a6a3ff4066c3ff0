"""The trained network in numpy: no TensorFlow where predictions are made.

One step of an LSTM is a few lines: with ``z = x W + h U + b`` cut into the gates i, f, candidate, o
(Keras's order), ``c = sigmoid(f) c + sigmoid(i) tanh(candidate)`` and ``h = sigmoid(o) tanh(c)``
(Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax, softmax

from models.sequences import Segments

LAYER_NORM_EPSILON = 1e-3
"""Keras's default for LayerNormalization."""
State = list[tuple[np.ndarray, np.ndarray]]


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
    gamma, beta : ndarray of float64, shape [U]
        Of the layer normalisation.
    kernel, bias : ndarray of float64, shape [U, 4] and [4]
        Of the output layer.
    temperature : float
        The logits are divided by it before the softmax.
    """

    layers: tuple[LSTMLayer, ...]
    gamma: np.ndarray
    beta: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    temperature: float = 1.0

    def zero_state(self, batch: int) -> State:
        """Return the state before the first bar of `batch` stocks."""
        return [(np.zeros((batch, layer.units)), np.zeros((batch, layer.units))) for layer in self.layers]

    def step(self, x: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Feed one bar of each stock.

        Parameters
        ----------
        x : ndarray of float64, shape [B, F]
            Scaled inputs.
        state : State

        Returns
        -------
        logits : ndarray of float64, shape [B, 4]
            Before the temperature.
        state : State
            The argument is not changed.
        """
        hidden, following = x, []
        for layer, (h, c) in zip(self.layers, state, strict=True):
            hidden, cell = layer.step(hidden, h, c)
            following.append((hidden, cell))
        return self._logits(hidden), following

    def run(self, inputs: np.ndarray, segments: Segments) -> np.ndarray:
        """Feed whole segments, all stocks side by side.

        Parameters
        ----------
        inputs : ndarray of float64, shape [M, F]
            Scaled inputs of `segments.positions()`.
        segments : Segments
            Longest first, so that the stocks still running are always the first ones.

        Returns
        -------
        ndarray of float64, shape [M, 4]
            Logits of every bar fed, the warm-up's included, before the temperature.
        """
        logits = np.empty((len(inputs), len(self.bias)))
        offsets, lengths = segments.offsets, segments.lengths
        state = self.zero_state(len(lengths))
        for step in range(int(lengths.max(initial=0))):
            running = int(np.searchsorted(-lengths, -step, side="left"))
            state = [(h[:running], c[:running]) for h, c in state]
            at = offsets[:running] + step
            logits[at], state = self.step(inputs[at], state)
        return logits

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities of the four classes, same shape as `logits`."""
        return np.asarray(softmax(logits / self.temperature, axis=-1))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by name, as an npz holds them."""
        named = {"gamma": self.gamma, "beta": self.beta, "kernel": self.kernel, "bias": self.bias}
        named["temperature"] = np.array(self.temperature)
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
        layers = tuple(
            LSTMLayer(named[f"lstm{i}_kernel"], named[f"lstm{i}_recurrent"], named[f"lstm{i}_bias"])
            for i in range(count)
        )
        return Network(
            layers, named["gamma"], named["beta"], named["kernel"], named["bias"], float(named["temperature"])
        )

    def _logits(self, hidden: np.ndarray) -> np.ndarray:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        normal = centred / np.sqrt(variance + LAYER_NORM_EPSILON) * self.gamma + self.beta
        return normal @ self.kernel + self.bias


def weighted_log_loss(logits: np.ndarray, classes: np.ndarray, weights: np.ndarray, temperature: float = 1.0) -> float:
    """Return the weighted mean of -ln p(class), shapes [M, 4], [M], [M]."""
    chosen = log_softmax(logits / temperature, axis=-1)[np.arange(len(classes)), classes]
    return float(-(weights * chosen).sum() / weights.sum())
