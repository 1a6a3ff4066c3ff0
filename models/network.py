"""The Keras network and its training. Keras is imported inside the functions: only training processes load it.

The network is trained many to many: chunks of `chunk_bars` bars, a loss at every bar after the first
`masked_bars`. That costs a thirteenth of one window per label (MODEL.md 3.1), and no window is ever copied:
a chunk is gathered when its batch is. Chunk borders move every epoch, and every labelled bar after the
window's first `masked_bars` is scored exactly once an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from models.labels import CLASS_NAMES
from models.sequences import Segments
from models.spec import ModelSpec
from models.stepper import LSTMLayer, Network, weighted_log_loss

_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class FitData:
    """What one fold's networks are fitted on.

    Attributes
    ----------
    inputs : ndarray of float32, shape [W, F]
        Scaled inputs of the window's bars, ticker after ticker.
    classes : ndarray of int8, shape [W]
        0 to 3; -1 without a label.
    weights : ndarray of float64, shape [W]
        1 / (labels of that session); 0 without a label.
    fit_first, fit_stop : ndarray of int64, shape [N]
        Each ticker's bars of the fit range, as positions.
    validation : Segments
        Positions of the validation bars and their warm-up.
    """

    inputs: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    fit_first: np.ndarray
    fit_stop: np.ndarray
    validation: Segments


@dataclass(frozen=True)
class FittedNetwork:
    """A network with its calibration and the course of its training."""

    network: Network
    epochs: int
    best_epoch: int
    validation_log_loss: float


@dataclass(frozen=True)
class Chunks:
    """Chunks of one epoch: where each begins, which bars of it are scored, where its stock's bars end.

    All arrays have shape [C]; ``start + masked_bars <= scored positions < scored_stop <= stop``.
    """

    start: np.ndarray
    scored_stop: np.ndarray
    stop: np.ndarray


def draw_chunks(fit_first: np.ndarray, fit_stop: np.ndarray, spec: ModelSpec, rng: np.random.Generator) -> Chunks:
    """Cut every stock's fit range into chunks with a random first border, in random order.

    The first chunk of a stock scores between 1 and ``chunk_bars - masked_bars`` bars, each later one takes
    up where the one before ended.
    """
    long_enough = fit_stop - fit_first > spec.masked_bars
    first, stop = fit_first[long_enough], fit_stop[long_enough]
    scored = spec.chunk_bars - spec.masked_bars
    first_border = first + spec.masked_bars + rng.integers(1, scored + 1, len(first))
    count = 1 + np.maximum(np.ceil((stop - first_border) / scored).astype(int), 0)
    owner = np.repeat(np.arange(len(first)), count)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    scored_stop = np.minimum(first_border[owner] + scored * index, stop[owner])
    start = np.where(index == 0, first[owner], first_border[owner] + scored * (index - 1) - spec.masked_bars)
    order = rng.permutation(len(owner))
    return Chunks(start[order], scored_stop[order], stop[owner][order])


def batch_size(fit_first: np.ndarray, fit_stop: np.ndarray, spec: ModelSpec) -> int:
    """Return the chunks per gradient step: `batch_chunks`, or fewer so that an epoch has its least number of steps.

    It follows from the fewest chunks that any epoch can have, so that it is the same in all of them.
    """
    scored = np.maximum(fit_stop - fit_first - spec.masked_bars, 0)
    fewest = int(np.ceil(scored / (spec.chunk_bars - spec.masked_bars)).sum())
    return max(1, min(spec.batch_chunks, fewest // spec.min_steps_per_epoch))


def build_network(spec: ModelSpec, n_features: int, seed: int) -> Any:
    """Return the compiled Keras model; its weights and dropout follow from `seed` alone."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((spec.chunk_bars, n_features))])
    for _ in range(spec.layers):
        model.add(keras.layers.LSTM(spec.units, return_sequences=True))
    model.add(keras.layers.LayerNormalization())
    model.add(keras.layers.Dropout(spec.dropout))
    # From zero weights the training starts at equal probabilities instead of at a random opinion.
    model.add(keras.layers.Dense(len(CLASS_NAMES), kernel_initializer="zeros"))
    model.compile(
        optimizer=keras.optimizers.Adam(spec.learning_rate, clipnorm=spec.clipnorm),
        # The weights of a batch sum to about 1, so the sum is the mean over sessions.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        jit_compile=False,
    )
    return model


def read_network(model: Any) -> Network:
    """Copy a Keras model's weights into a numpy network of temperature 1."""
    weights = [np.asarray(value, dtype=np.float64) for value in model.get_weights()]
    gamma, beta, kernel, bias = weights[-4:]
    layers = tuple(LSTMLayer(*weights[i : i + 3]) for i in range(0, len(weights) - 4, 3))
    return Network(layers, gamma, beta, kernel, bias)


def fit_network(data: FitData, spec: ModelSpec, seed: int, on_epoch: Callable[[int], None]) -> FittedNetwork:
    """Train one network, stop early on the validation log-loss, keep the best weights, calibrate the temperature.

    Parameters
    ----------
    data : FitData
    spec : ModelSpec
    seed : int
        Decides weights, dropout and chunk borders. The same seed gives the same bits on the same machine.
    on_epoch : callable
        Called with the number of each finished epoch.
    """
    rng = np.random.default_rng(seed)
    model = build_network(spec, data.inputs.shape[1], seed)
    validation = _Validation.of(data)
    best, best_loss, best_epoch, epoch = read_network(model), np.inf, 0, 0
    for epoch in range(1, spec.epochs + 1):
        _train_epoch(model, data, spec, rng)
        network = read_network(model)
        loss = weighted_log_loss(validation.logits(network), validation.classes, validation.weights)
        if loss < best_loss:
            best, best_loss, best_epoch = network, loss, epoch
        on_epoch(epoch)
        if epoch - best_epoch >= spec.patience:
            break
    return FittedNetwork(validation.calibrated(best), epoch, best_epoch, best_loss)


def _train_epoch(model: Any, data: FitData, spec: ModelSpec, rng: np.random.Generator) -> None:
    chunks = draw_chunks(data.fit_first, data.fit_stop, spec, rng)
    size = batch_size(data.fit_first, data.fit_stop, spec)
    steps = -(-len(chunks.start) // size)
    scale = steps / data.weights[_fit_mask(data)].sum()
    for step in range(steps):
        inputs, classes, weights = gather_batch(data, chunks, slice(step * size, (step + 1) * size), size, spec)
        model.train_on_batch(inputs, classes, sample_weight=weights * scale)


def gather_batch(
    data: FitData, chunks: Chunks, which: slice, size: int, spec: ModelSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs [size, L, F], classes [size, L] and weights [size, L] of some chunks.

    Bars that are masked, beyond the chunk's scored range or unlabelled weigh 0; a last batch that is not
    full is filled up with chunks that weigh 0, so that every batch has one shape.
    """
    start, scored_stop, stop = (
        _fill(values[which], size) for values in (chunks.start, chunks.scored_stop, chunks.stop)
    )
    at = start[:, None] + np.arange(spec.chunk_bars)
    real = np.arange(size) < len(chunks.start[which])
    scored = (at >= start[:, None] + spec.masked_bars) & (at < scored_stop[:, None]) & real[:, None]
    at = np.minimum(at, stop[:, None] - 1)
    weights = np.where(scored, data.weights[at], 0.0).astype(np.float32)
    return data.inputs[at], np.maximum(data.classes[at], 0), weights


def _fill(values: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([values, np.repeat(values[:1], size - len(values))])


def _fit_mask(data: FitData) -> np.ndarray:
    """True on the bars of the fit range, shape [W]."""
    edges = np.zeros(len(data.classes) + 1, dtype=int)
    np.add.at(edges, data.fit_first, 1)
    np.add.at(edges, data.fit_stop, -1)
    return np.cumsum(edges[:-1]) > 0


@dataclass(frozen=True)
class _Validation:
    """The validation bars, run in numpy exactly as predictions are: warmed up, then carried."""

    segments: Segments
    inputs: np.ndarray
    labelled: np.ndarray
    classes: np.ndarray
    weights: np.ndarray

    @staticmethod
    def of(data: FitData) -> _Validation:
        positions = data.validation.positions()
        labelled = data.validation.predicted() & (data.classes[positions] >= 0)
        return _Validation(
            segments=data.validation,
            inputs=data.inputs[positions].astype(np.float64),
            labelled=labelled,
            classes=data.classes[positions][labelled],
            weights=data.weights[positions][labelled],
        )

    def logits(self, network: Network) -> np.ndarray:
        return network.run(self.inputs, self.segments)[self.labelled]

    def calibrated(self, network: Network) -> Network:
        """Return the network with the temperature of least validation log-loss (Guo et al. 2017)."""
        logits = self.logits(network)
        found = minimize_scalar(
            lambda log_t: weighted_log_loss(logits, self.classes, self.weights, float(np.exp(log_t))),
            bounds=np.log(_TEMPERATURES),
            method="bounded",
        )
        return replace(network, temperature=float(np.exp(found.x)))
