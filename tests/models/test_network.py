"""The Keras side. Tests that load TensorFlow share one process, because each load costs seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bar_table import first_positions
from models.batches import FitData, batch_size, draw_chunks, draw_epoch, gather_batch
from models.fold_window import fit_data
from models.folds import Fold
from models.network import build_network, fit_network, read_network
from models.sequences import Segments
from models.spec import resolve

SPEC = resolve(
    "tiny", {"chunk_bars": 40, "masked_bars": 10, "warm_up_bars": 40, "units": 6, "epochs": 2, "batch_chunks": 8}
)
FOLD = Fold(1, 0, 160, 200, 200)


def fit_data_of(signal: float = 0.0, tickers: int = 12, seed: int = 0) -> FitData:
    """Inputs of noise; the class follows a slow average of the first input as strongly as `signal`."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(tickers, FOLD.test_first, 3)).astype(np.float32)
    memory = np.zeros((tickers, FOLD.test_first))
    for k in range(1, FOLD.test_first):
        memory[:, k] = 0.8 * memory[:, k - 1] + 0.6 * inputs[:, k, 0]
    target = signal * memory + np.sqrt(1 - signal**2) * rng.normal(size=memory.shape)
    classes = np.digitize(target, [-0.67, 0, 0.67]).astype(np.int8)
    rows = np.tile(np.arange(FOLD.test_first), tickers)
    column = np.repeat(np.arange(tickers), FOLD.test_first)
    return fit_data(inputs.reshape(-1, 3), classes.ravel(), rows, column, FOLD, SPEC)


def test_draw_chunks_score_every_bar_after_the_masked_ones_once():
    first, stop = np.array([0, 100, 105, 300]), np.array([100, 105, 300, 311])
    for seed in range(20):
        chunks = draw_chunks(first, stop, SPEC, np.random.default_rng(seed))
        scored = np.zeros(320, dtype=int)
        for start, scored_stop in zip(chunks.start, chunks.scored_stop, strict=True):
            assert scored_stop - start <= SPEC.chunk_bars
            scored[start + SPEC.masked_bars : scored_stop] += 1
        expected = np.zeros(320, dtype=int)
        expected[10:100] = expected[115:300] = expected[310:311] = 1
        np.testing.assert_array_equal(scored, expected)


def test_draw_chunks_borders_move_with_the_generator():
    rng = np.random.default_rng(0)
    one, two = (sorted(draw_chunks(np.array([0]), np.array([200]), SPEC, rng).start) for _ in range(2))
    assert one != two


def test_batch_size_keeps_the_least_number_of_steps():
    spec = resolve("default")
    many = np.zeros(464, int), np.full(464, 1008)
    assert batch_size(*many, spec) == 64
    # 40 stocks x 5 chunks of 190 scored bars = 200 chunks: 13 at a time make at least 15 steps.
    assert batch_size(np.zeros(40, int), np.full(40, 1008), spec) == 13
    assert batch_size(np.zeros(1, int), np.full(1, 100), spec) == 1


def test_gather_batch_weighs_only_scored_bars_and_fills_up():
    data = fit_data_of()
    chunks = draw_chunks(data.fit_first, data.fit_stop, SPEC, np.random.default_rng(0))
    inputs, classes, weights = gather_batch(data, chunks, slice(0, 3), 5, SPEC)
    assert inputs.shape == (5, 40, 3)
    assert (weights[3:] == 0).all()
    for row in range(3):
        start, stop = chunks.start[row], chunks.scored_stop[row]
        assert (weights[row] > 0).sum() == stop - start - SPEC.masked_bars
        np.testing.assert_array_equal(inputs[row, : stop - start], data.inputs[start:stop])
        np.testing.assert_array_equal(classes[row, : stop - start], data.classes[start:stop])
    assert weights[0].max() == pytest.approx(1 / 12)


def test_fit_data_fits_and_validates_disjoint_bars():
    data = fit_data_of(tickers=2)
    assert data.fit_first.tolist() == [0, 200]
    assert data.fit_stop.tolist() == [160, 360]
    assert sorted(data.validation.start.tolist()) == [160, 360]
    assert sorted(data.validation.warm_from.tolist()) == [120, 320]


def whole_sequences(batch: int, length: int) -> Segments:
    start = np.arange(batch) * length
    return Segments(start, start, start + length)


def largest_difference(model, network, inputs: np.ndarray) -> float:
    expected = np.asarray(model(inputs, training=False)).reshape(-1, 4)
    flat = inputs.reshape(-1, inputs.shape[-1]).astype(np.float64)
    return float(np.abs(network.run(flat, whole_sequences(*inputs.shape[:2])) - expected).max())


@pytest.mark.xdist_group("tensorflow")
def test_numpy_network_equals_keras_on_random_and_trained_weights():
    spec = replace(SPEC, layers=2)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4, spec.chunk_bars, 3)).astype(np.float32)
    model = build_network(spec, 3, seed=1)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    assert largest_difference(model, read_network(model, spec), inputs) < 1e-5
    for _ in range(20):
        model.train_on_batch(inputs, rng.integers(0, 4, inputs.shape[:2]), sample_weight=np.ones(inputs.shape[:2]))
    assert largest_difference(model, read_network(model, spec), inputs) < 1e-5


OPTIONS = [
    {"context": context, "lookback_bars": 12, "normalisation": normalisation, "layers": layers, "ticker_code": code}
    for context in ("carried", "windows")
    for normalisation in ("layer", "batch", "none")
    for layers in (1, 2)
    for code in ("none", "embedding")
]


@pytest.mark.xdist_group("tensorflow")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_numpy_network_equals_keras_under_every_option(options):
    """On every bar: the pass over whole segments, and bar by bar."""
    spec, rng = replace(SPEC, **options), np.random.default_rng(0)
    inputs = rng.normal(size=(3, spec.chunk_bars, 4)).astype(np.float32)
    if spec.ticker_code == "embedding":
        inputs[:, :, -1] = np.array([[1], [3], [2]])
    model = build_network(spec, 4, seed=1, n_tickers=3)
    # Variances of a batch normalisation must be positive; so is everything here that need not be.
    model.set_weights([np.abs(rng.normal(0, 0.5, w.shape)) for w in model.get_weights()])
    network = read_network(model, spec)
    expected = keras_logits(model, inputs, spec)
    segments = whole_sequences(*inputs.shape[:2])
    got = network.run(inputs.reshape(-1, 4).astype(np.float64), segments).reshape(expected.shape)
    known = np.isfinite(expected)
    assert known.any()
    np.testing.assert_array_equal(np.isfinite(got), known)
    np.testing.assert_allclose(got[known], expected[known], rtol=0, atol=1e-5)
    state, steps = network.zero_state(3), []
    for bar in range(spec.chunk_bars):
        logits, state = network.step(inputs[:, bar].astype(np.float64), state)
        steps.append(logits)
    np.testing.assert_allclose(np.stack(steps, axis=1)[known], expected[known], rtol=0, atol=1e-5)


def keras_logits(model, inputs: np.ndarray, spec) -> np.ndarray:
    """Logits of every bar, NaN where a window is not full."""
    if spec.context == "carried":
        return np.asarray(model(inputs, training=False))
    batch, length, _ = inputs.shape
    ends = range(spec.lookback_bars - 1, length)
    windows = np.concatenate([inputs[:, last + 1 - spec.lookback_bars : last + 1] for last in ends])
    logits = np.full((batch, length, 4), np.nan)
    logits[:, ends] = np.asarray(model(windows, training=False)).reshape(-1, batch, 4).swapaxes(0, 1)
    return logits


@pytest.mark.xdist_group("tensorflow")
def test_read_network_a_stock_without_a_number_has_the_mean_vector():
    spec = replace(SPEC, ticker_code="embedding", embedding_size=2)
    model = build_network(spec, 3, seed=1, n_tickers=4)
    trained = next(layer for layer in model.layers if type(layer).__name__ == "Embedding").get_weights()
    network = read_network(model, spec)
    np.testing.assert_allclose(network.embedding[0], np.mean(network.embedding[1:], axis=0))
    np.testing.assert_allclose(network.embedding[1:], trained[0][1:])


@pytest.mark.xdist_group("tensorflow")
@pytest.mark.parametrize("options", [{}, {"normalisation": "batch", "layers": 2, "class_weights": "balanced"}])
def test_fit_network_of_windows_recovers_a_planted_memory(options):
    chosen = {"context": "windows", "lookback_bars": 12, "epochs": 12, "learning_rate": 0.01, "batch_windows": 128}
    spec = replace(SPEC, **chosen, **options)
    planted = fit_network(fit_data_of(signal=0.5, tickers=30), spec, 1, lambda epoch: None)
    assert planted.validation_log_loss < 1.30
    assert planted.network.lookback == 12


def test_draw_epoch_of_windows_scores_every_labelled_bar_with_a_whole_window_once():
    spec = replace(SPEC, context="windows", lookback_bars=12, batch_windows=100)
    data = fit_data_of(tickers=3)
    data = replace(data, classes=np.where(np.arange(600) % 7 == 0, -1, data.classes).astype(np.int8))
    numbered = replace(data, inputs=np.arange(600, dtype=np.float32)[:, None])
    batches = list(draw_epoch(numbered, spec, np.random.default_rng(0)))
    assert len(batches) == 15
    windows = np.concatenate([inputs[:, :, 0] for inputs, _, _ in batches]).astype(int)
    np.testing.assert_array_equal(np.diff(windows, axis=1), 1)
    ends = [200 * t + k for t in range(3) for k in range(11, 160) if (200 * t + k) % 7]
    assert sorted(windows[:, -1].tolist()) == ends
    np.testing.assert_array_equal(np.concatenate([c for _, c, _ in batches]), data.classes[windows[:, -1]])
    assert sum(weights.sum() for _, _, weights in batches) == pytest.approx(15, rel=1e-5)


def test_draw_epoch_class_weights_count_classes_alike():
    spec = replace(SPEC, context="windows", lookback_bars=12)
    classes = np.repeat([0, 1, 2, 3, 3, 3, 3, 3], 25).astype(np.int8)
    rows, column = np.arange(200), np.zeros(200, dtype=int)
    inputs = np.zeros((200, 1), dtype=np.float32)
    balanced = fit_data(inputs, classes, rows, column, FOLD, replace(spec, class_weights="balanced"))
    counts = np.bincount(classes[:160], minlength=4)
    np.testing.assert_allclose(balanced.class_weights, 160 / (4 * counts))
    np.testing.assert_allclose(np.bincount(classes[:160], balanced.training_weights[:160]), 40)
    np.testing.assert_array_equal(balanced.weights, fit_data(inputs, classes, rows, column, FOLD, spec).weights)


@pytest.mark.xdist_group("tensorflow")
def test_fit_network_same_seed_same_bits_another_seed_differs():
    data, spec = fit_data_of(), replace(SPEC, epochs=1)
    one, again = (fit_network(data, spec, 1, lambda epoch: None) for _ in range(2))
    for name, values in one.network.arrays().items():
        np.testing.assert_array_equal(values, again.network.arrays()[name], err_msg=name)
    weights, others = (build_network(spec, 3, seed).get_weights() for seed in (1, 2))
    assert (weights[0] != others[0]).any()


@pytest.mark.xdist_group("tensorflow")
def test_fit_network_recovers_a_planted_memory_and_stops_early_without_one():
    spec = replace(SPEC, epochs=12, learning_rate=0.01, patience=3)
    seen: list[int] = []
    planted = fit_network(fit_data_of(signal=0.5, tickers=30), spec, 1, seen.append)
    # Knowing the memory exactly gives 1.265 on average (mean entropy of the class given a standard normal memory).
    assert planted.validation_log_loss < 1.30
    assert seen == list(range(1, planted.epochs + 1))
    nothing = fit_network(fit_data_of(signal=0.0, tickers=30), spec, 1, lambda epoch: None)
    assert nothing.validation_log_loss > 1.38
    assert nothing.epochs == nothing.best_epoch + 3 < 12


@pytest.mark.xdist_group("tensorflow")
def test_fit_network_that_diverges_has_no_best_epoch():
    spec = replace(SPEC, epochs=9, patience=2, learning_rate=1e30, clipnorm=1e30)
    diverged = fit_network(fit_data_of(tickers=4), spec, 1, lambda epoch: None)
    assert (diverged.epochs, diverged.best_epoch, diverged.validation_log_loss) == (2, 0, np.inf)


def test_first_positions_of_runs():
    assert first_positions(np.array([0, 0, 2, 2, 2, 5])).tolist() == [0, 0, 2, 2, 2, 5]
