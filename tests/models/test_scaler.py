from __future__ import annotations

import numpy as np
import pytest

from models.scaler import Scaler
from models.spec import resolve

ROBUST = resolve("tiny")
PLAIN = resolve("tiny", {"standardise": "standard"})


def test_scaler_median_and_deviation_by_hand():
    scaler = Scaler.fit(("a",), np.array([[1.0], [2.0], [4.0], [np.nan], [100.0], [3.0]]), ROBUST)
    assert scaler.centre[0] == 3
    assert scaler.scale[0] == pytest.approx(1.4826)
    scaled = scaler.transform(np.array([[3.0], [4.4826], [50.0], [-50.0], [np.nan]]))
    np.testing.assert_allclose(scaled[:, 0], [0, 1, 4, -4, 0])


def test_scaler_mostly_zero_uses_the_non_zero_values():
    values = np.zeros((100, 1))
    values[:4, 0] = [1.0, 2.0, 3.0, 4.0]
    assert Scaler.fit(("ins_buy_21",), values, ROBUST).scale[0] == pytest.approx(np.std([1, 2, 3, 4]))


def test_scaler_alike_non_zero_values_use_the_whole_column():
    values = np.zeros((100, 1))
    values[:4] = 0.2
    assert Scaler.fit(("ins_cluster_21",), values, ROBUST).scale[0] == pytest.approx(np.std(values))


def test_scaler_without_variation_holds_at_zero_and_names_the_column():
    scaler = Scaler.fit(("a", "b", "warm"), np.array([[5.0, np.nan, 1.0], [5.0, np.nan, 1.0]]), ROBUST)
    assert scaler.held == ("a", "b")
    assert scaler.transform(np.array([[9.0, 7.0, 1.0]])).tolist() == [[0, 0, 0]]


def test_scaler_masks_pass_as_they_are():
    scaler = Scaler.fit(("warm", "ins_known"), np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), ROBUST)
    assert scaler.transform(np.array([[1.0, 0.0]])).tolist() == [[1, 0]]


def test_scaler_standard_is_mean_and_deviation_and_clipped():
    scaler = Scaler.fit(("a",), np.array([[1.0], [3.0], [np.nan], [5.0]]), PLAIN)
    assert scaler.centre[0] == 3
    assert scaler.scale[0] == pytest.approx(np.sqrt(8 / 3))
    assert scaler.transform(np.array([[5.0], [1e6]]))[:, 0] == pytest.approx([2 / np.sqrt(8 / 3), 4])


def test_scaler_none_passes_values_on_but_holds_what_does_not_vary():
    scaler = Scaler.fit(("a", "b"), np.array([[1.0, 7.0], [300.0, 7.0]]), resolve("tiny", {"standardise": "none"}))
    assert scaler.transform(np.array([[900.0, 8.0], [np.nan, 7.0]])).tolist() == [[900, 0], [0, 0]]


def test_scaler_winsorise_holds_values_between_training_quantiles():
    spec = resolve("tiny", {"standardise": "none", "winsorise": True, "winsor_lower": 0.1, "winsor_upper": 0.8})
    values = np.arange(11.0)[:, None]
    scaler = Scaler.fit(("a",), values, spec)
    assert (scaler.lower[0], scaler.upper[0]) == (1, 8)
    assert scaler.transform(np.array([[-5.0], [4.0], [50.0]]))[:, 0].tolist() == [1, 4, 8]


def test_scaler_winsorise_comes_before_the_centre_and_the_scale():
    spec = resolve("tiny", {"standardise": "standard", "winsorise": True, "winsor_lower": 0.1, "winsor_upper": 0.9})
    scaler = Scaler.fit(("a",), np.append(np.arange(10.0), 1e9)[:, None], spec)
    assert scaler.centre[0] == pytest.approx(np.clip(np.arange(11), 1, 9).mean())


def test_scaler_winsorise_leaves_a_column_that_is_almost_always_zero():
    values = np.zeros((1000, 1))
    values[:5, 0] = [1, 2, 3, 4, 5]
    scaler = Scaler.fit(("ins_buy_21",), values, resolve("tiny", {"winsorise": True}))
    assert np.isinf(scaler.upper[0])
    assert scaler.transform(np.array([[5.0]]))[0, 0] > 1


def test_scaler_winsorise_leaves_masks():
    scaler = Scaler.fit(("warm",), np.array([[0.0], [1.0], [1.0]]), resolve("tiny", {"winsorise": True}))
    assert scaler.transform(np.array([[0.0], [1.0]]))[:, 0].tolist() == [0, 1]
