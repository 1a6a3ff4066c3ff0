from __future__ import annotations

import numpy as np
import pytest

from models.bar_table import first_positions, missed_sessions
from models.sequences import find_segments
from models.spec import resolve
from models.stepper import LSTMLayer, Network, weighted_log_loss

SPEC = resolve("tiny", {"warm_up_bars": 3, "gap_sessions": 2})


def segments_of(rows: list[int], block: tuple[int, int], tickers: list[int] | None = None):
    session_row = np.array(rows)
    first = first_positions(np.array(tickers or [0] * len(rows)))
    found = find_segments(session_row, first, missed_sessions(session_row, first), block, SPEC)
    return sorted(zip(found.warm_from.tolist(), found.start.tolist(), found.stop.tolist(), strict=True))


def test_find_segments_warms_up_on_the_bars_before_the_block():
    assert segments_of(list(range(10)), (5, 8)) == [(2, 5, 8)]


def test_find_segments_a_young_stock_has_fewer():
    assert segments_of([4, 5, 6], (5, 8)) == [(0, 1, 3)]
    assert segments_of([6, 7, 8], (5, 8)) == [(0, 0, 2)]


def test_find_segments_a_long_gap_begins_again_a_short_one_does_not():
    assert segments_of([0, 1, 2, 3, 6, 7], (2, 9)) == [(0, 2, 6)]
    assert segments_of([0, 1, 2, 3, 7, 8], (2, 9)) == [(0, 2, 4), (1, 4, 6)]


def test_find_segments_never_reach_into_another_ticker():
    assert segments_of([0, 1, 2, 0, 1, 2], (1, 3), [0, 0, 0, 1, 1, 1]) == [(0, 1, 3), (3, 4, 6)]


def test_find_segments_outside_the_block_there_are_none():
    assert segments_of([0, 1], (5, 8)) == []


def test_segments_positions_and_predicted():
    found = find_segments(np.arange(6), np.zeros(6, int), np.zeros(6, int), (4, 6), SPEC)
    assert found.positions().tolist() == [1, 2, 3, 4, 5]
    assert found.predicted().tolist() == [False, False, False, True, True]


def test_layer_step_by_hand():
    """One unit, weights 1 on x for each gate: z = x, c = s(x) c + s(x) tanh(x), h = s(x) tanh(c)."""
    layer = LSTMLayer(np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4))
    h, c = layer.step(np.array([[0.5]]), np.array([[9.0]]), np.array([[2.0]]))
    s = 1 / (1 + np.exp(-0.5))
    assert c[0, 0] == pytest.approx(s * 2 + s * np.tanh(0.5))
    assert h[0, 0] == pytest.approx(s * np.tanh(c[0, 0]))


def test_run_equals_steps_of_each_segment(make_network):
    network = make_network(3, 4, seed=1, layers=2)
    found = find_segments(np.array([0, 1, 2, 3, 4, 3, 4]), np.array([0] * 5 + [5] * 2), np.zeros(7, int), (3, 5), SPEC)
    inputs = np.random.default_rng(0).normal(size=(len(found.positions()), 3))
    logits = network.run(inputs, found)
    for offset, length in zip(found.offsets, found.lengths, strict=True):
        state = network.zero_state(1)
        for at in range(offset, offset + length):
            expected, state = network.step(inputs[at : at + 1], state)
            np.testing.assert_allclose(logits[at], expected[0], atol=1e-12)


def test_network_arrays_round_trip(make_network):
    network = make_network(3, 4, seed=1, layers=2)
    again = Network.from_arrays(network.arrays())
    x = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_array_equal(again.step(x, again.zero_state(2))[0], network.step(x, network.zero_state(2))[0])
    assert again.temperature == network.temperature


def test_probabilities_are_softened_by_the_temperature(make_network):
    network = make_network(3, 4, seed=1)
    logits = np.array([[1.3, 0.0, 0.0, 0.0]])
    expected = np.exp([1.0, 0, 0, 0]) / np.exp([1.0, 0, 0, 0]).sum()
    np.testing.assert_allclose(network.probabilities(logits)[0], expected)


def test_weighted_log_loss_by_hand():
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]))
    loss = weighted_log_loss(logits, np.array([3, 0]), np.array([1.0, 3.0]))
    assert loss == pytest.approx(-(np.log(0.4) + 3 * np.log(0.7)) / 4)
