"""The Keras network and its training. Keras is imported inside the functions: only training processes load it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from models.accelerator import has_gpu
from models.batches import FitData, draw_epoch
from models.fitted import Fitted
from models.fused_lstm import fused_lstm
from models.labels import CLASS_NAMES
from models.sequences import Segments
from models.spec import ModelSpec
from models.stepper import LSTMLayer, Network, weighted_log_loss

_TEMPERATURES = (0.05, 20.0)
_BATCH_NORM_MOMENTUM = 0.9
"""Keras's 0.99 would still remember its first guess after the few steps of an epoch of chunks."""


@dataclass(frozen=True)
class FittedNetwork:
    """A network, or a baseline in its place, with its calibration and the course of its training."""

    network: Fitted
    epochs: int
    best_epoch: int
    validation_log_loss: float


def build_network(spec: ModelSpec, n_inputs: int, seed: int, n_tickers: int = 0) -> Any:
    """Return the compiled Keras model; its weights and dropout follow from `seed` alone.

    Parameters
    ----------
    n_inputs : int
        Columns of the inputs, with the stock's number as the last one under ``ticker_code = "embedding"``.
    n_tickers : int
        Stocks that the embedding holds a vector for, beside number 0.
    """
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    length = spec.lookback_bars if spec.context == "windows" else spec.chunk_bars
    entry = keras.Input((length, n_inputs))
    hidden = _recurrent_layers(_embedded(entry, spec, n_tickers), spec)
    # From zero weights the training starts at equal probabilities instead of at a random opinion.
    model = keras.Model(entry, keras.layers.Dense(len(CLASS_NAMES), kernel_initializer="zeros")(hidden))
    model.compile(
        optimizer=keras.optimizers.Adam(spec.learning_rate, clipnorm=spec.clipnorm),
        # The weights of a batch sum to about 1, so the sum is the mean over sessions.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        # XLA makes an LSTM slower on a CPU, and on a GPU it cannot compile cuDNN's, which Keras takes without it.
        jit_compile=False,
    )
    return model


def _embedded(entry: Any, spec: ModelSpec, n_tickers: int) -> Any:
    """Put the trained vector of the stock in the place of its number."""
    import keras

    if spec.ticker_code != "embedding":
        return entry
    vector = keras.layers.Embedding(n_tickers + 1, spec.embedding_size)(entry[:, :, -1])
    return keras.layers.Concatenate()([entry[:, :, :-1], vector])


def _recurrent_layers(hidden: Any, spec: ModelSpec) -> Any:
    from keras import layers

    for number in range(1, spec.layers + 1):
        hidden = _lstm(spec, to_one=spec.context == "windows" and number == spec.layers)(hidden)
        if spec.normalisation == "batch":
            hidden = layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM)(hidden)
            hidden = layers.Dropout(spec.dropout)(hidden)
    if spec.normalisation == "layer":
        hidden = layers.LayerNormalization()(hidden)
    return hidden if spec.normalisation == "batch" else layers.Dropout(spec.dropout)(hidden)


def _lstm(spec: ModelSpec, *, to_one: bool) -> Any:
    """Return the cheapest layer there is: of long chunks on a CPU the fused one, else Keras's, cuDNN's on a GPU."""
    import keras

    if spec.context == "windows" or has_gpu():
        return keras.layers.LSTM(spec.units, return_sequences=not to_one)
    return fused_lstm()(spec.units, return_sequences=True)


def read_network(model: Any, spec: ModelSpec) -> Network:
    """Copy a Keras model's weights into a numpy network of temperature 1.

    When predicting, batch normalisation multiplies and adds constants, so it becomes part of the next layer's
    weights; number 0 of an embedding gets the mean of the trained vectors.
    """
    found: dict[str, Any] = {"gamma": None, "beta": None}
    recurrent: list[LSTMLayer] = []
    scale, shift = np.ones(1), np.zeros(1)
    for layer in model.layers:
        weights = [np.asarray(value, dtype=np.float64) for value in layer.get_weights()]
        match type(layer).__name__:
            case "Embedding":
                found["embedding"] = np.concatenate([weights[0][1:].mean(axis=0, keepdims=True), weights[0][1:]])
            case "LSTM" | "FusedLSTM":
                kernel, bias = _folded(weights[0], weights[2], scale, shift)
                recurrent.append(LSTMLayer(kernel, weights[1], bias))
                scale, shift = np.ones(1), np.zeros(1)
            case "BatchNormalization":
                gamma, beta, mean, variance = weights
                scale = gamma / np.sqrt(variance + layer.epsilon)
                shift = beta - mean * scale
            case "LayerNormalization":
                found["gamma"], found["beta"] = weights
            case "Dense":
                found["kernel"], found["bias"] = _folded(weights[0], weights[1], scale, shift)
    return Network(tuple(recurrent), lookback=spec.lookback_bars if spec.context == "windows" else None, **found)


def _folded(
    kernel: np.ndarray, bias: np.ndarray, scale: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights that give for x what `kernel` and `bias` give for ``scale x + shift``."""
    if len(scale) == 1:
        return kernel, bias
    return scale[:, None] * kernel, bias + shift @ kernel


def fit_network(data: FitData, spec: ModelSpec, seed: int, on_epoch: Callable[[int], None]) -> FittedNetwork:
    """Train one network, stop early on the validation log-loss, keep the best weights, calibrate the temperature.

    Parameters
    ----------
    data : FitData
    spec : ModelSpec
    seed : int
        Decides weights, dropout, chunk borders and order. The same seed gives the same bits on the same machine.
    on_epoch : callable
        Called with the number of each finished epoch.
    """
    rng = np.random.default_rng(seed)
    model = build_network(spec, data.inputs.shape[1], seed, _highest_number(data, spec))
    validation = Validation.of(data, spec)
    best, best_loss, best_epoch, epoch = read_network(model, spec), np.inf, 0, 0
    for epoch in range(1, spec.epochs + 1):
        for inputs, classes, weights in draw_epoch(data, spec, rng):
            model.train_on_batch(inputs, classes, sample_weight=weights)
        network = read_network(model, spec)
        loss = validation.log_loss(network)
        if loss < best_loss:
            best, best_loss, best_epoch = network, loss, epoch
        on_epoch(epoch)
        if epoch - best_epoch >= spec.patience:
            break
    calibrated = replace(best, temperature=validation.temperature(best))
    return FittedNetwork(calibrated, epoch, best_epoch, best_loss)


def _highest_number(data: FitData, spec: ModelSpec) -> int:
    return int(data.inputs[data.fitted, -1].max()) if spec.ticker_code == "embedding" else 0


@dataclass(frozen=True)
class Validation:
    """The validation bars, run in numpy exactly as predictions are: warmed up, then carried."""

    segments: Segments
    inputs: np.ndarray
    labelled: np.ndarray
    classes: np.ndarray
    weights: np.ndarray

    @staticmethod
    def of(data: FitData, spec: ModelSpec) -> Validation:
        positions = data.validation.positions()
        labelled = data.validation.predicted() & (data.classes[positions] >= 0)
        if spec.context == "windows":
            labelled &= data.validation.fed() >= spec.lookback_bars
        return Validation(
            segments=data.validation,
            inputs=data.inputs[positions].astype(np.float64),
            labelled=labelled,
            classes=data.classes[positions][labelled],
            weights=data.weights[positions][labelled],
        )

    def logits(self, network: Fitted) -> np.ndarray:
        return network.run(self.inputs, self.segments)[self.labelled]

    def log_loss(self, network: Fitted) -> float:
        """Return the log-loss before calibration."""
        return weighted_log_loss(self.logits(network), self.classes, self.weights)

    def temperature(self, network: Fitted) -> float:
        """Return the temperature of least validation log-loss (Guo et al. 2017)."""
        logits = self.logits(network)
        found = minimize_scalar(
            lambda log_t: weighted_log_loss(logits, self.classes, self.weights, float(np.exp(log_t))),
            bounds=np.log(_TEMPERATURES),
            method="bounded",
        )
        return float(np.exp(found.x))
