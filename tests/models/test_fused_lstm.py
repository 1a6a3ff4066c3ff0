from __future__ import annotations

import numpy as np
import pytest

from models.fused_lstm import fused_lstm
from models.spec import resolve

BATCH, LENGTH, INPUTS, UNITS = 3, 40, 5, 7


@pytest.fixture(scope="module")
def layers():
    """Keras's layer and the fused one, with the same weights."""
    import keras

    rng = np.random.default_rng(0)
    made = keras.layers.LSTM(UNITS, return_sequences=True), fused_lstm()(UNITS, return_sequences=True)
    for layer in made:
        layer.build((BATCH, LENGTH, INPUTS))
    weights = [rng.normal(0, 0.5, value.shape) for value in made[0].get_weights()]
    for layer in made:
        layer.set_weights(weights)
    return made


def test_fused_layer_gives_outputs_and_gradients_of_keras(layers):
    import tensorflow as tf

    rng = np.random.default_rng(1)
    inputs = tf.constant(rng.normal(size=(BATCH, LENGTH, INPUTS)), tf.float32)
    direction = tf.constant(rng.normal(size=(BATCH, LENGTH, UNITS)), tf.float32)
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            total = tf.reduce_sum(outputs * direction)
        gradients = tape.gradient(total, [inputs, *(weight.value for weight in layer.weights)])
        found.append([np.asarray(value) for value in (outputs, *gradients)])
    for expected, value in zip(*found, strict=True):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def test_fused_layer_refuses_a_mask_and_a_state(layers):
    inputs = np.zeros((BATCH, LENGTH, INPUTS), dtype=np.float32)
    with pytest.raises(ValueError, match="expected no mask and no initial state"):
        layers[1](inputs, mask=np.ones((BATCH, LENGTH), dtype=bool))
    with pytest.raises(ValueError, match="expected no mask and no initial state"):
        layers[1](inputs, initial_state=[np.zeros((BATCH, UNITS), np.float32)] * 2)


def test_only_long_chunks_take_the_fused_layer():
    from models.network import build_network

    for context, expected in (("carried", "FusedLSTM"), ("windows", "LSTM")):
        model = build_network(resolve("tiny", {"context": context, "layers": 2}), INPUTS, seed=0)
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds.count(expected) == 2
        assert {kind for kind in kinds if kind.endswith("LSTM")} == {expected}
