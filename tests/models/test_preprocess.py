from __future__ import annotations

import numpy as np
import pytest

from feeds.errors import InputError
from models.preprocess import Scaler


def test_scaler_median_and_deviation_by_hand():
    scaler = Scaler.fit(("a",), np.array([[1.0], [2.0], [4.0], [np.nan], [100.0], [3.0]]))
    assert scaler.centre[0] == 3
    assert scaler.scale[0] == pytest.approx(1.4826)
    scaled = scaler.transform(np.array([[3.0], [4.4826], [50.0], [-50.0], [np.nan]]))
    np.testing.assert_allclose(scaled[:, 0], [0, 1, 4, -4, 0])


def test_scaler_mostly_zero_uses_the_non_zero_values():
    values = np.zeros((100, 1))
    values[:4, 0] = [1.0, 2.0, 3.0, 4.0]
    assert Scaler.fit(("ins_buy_21",), values).scale[0] == pytest.approx(np.std([1, 2, 3, 4]))


def test_scaler_alike_non_zero_values_use_the_whole_column():
    values = np.zeros((100, 1))
    values[:4] = 0.2
    assert Scaler.fit(("ins_cluster_21",), values).scale[0] == pytest.approx(np.std(values))


def test_scaler_without_variation_holds_at_zero_and_names_the_column():
    scaler = Scaler.fit(("a", "b", "warm"), np.array([[5.0, np.nan, 1.0], [5.0, np.nan, 1.0]]))
    assert scaler.held == ("a", "b")
    assert scaler.transform(np.array([[9.0, 7.0, 1.0]])).tolist() == [[0, 0, 0]]


def test_scaler_masks_pass_as_they_are():
    scaler = Scaler.fit(("warm", "ins_known"), np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    assert scaler.transform(np.array([[1.0, 0.0]])).tolist() == [[1, 0]]


def test_scaler_json_round_trip():
    scaler = Scaler.fit(("a", "b"), np.array([[1.0, 2.0], [0.1, 2.0], [7.0, 2.0]]))
    again = Scaler.from_json(scaler.to_json())
    assert again.names == scaler.names
    np.testing.assert_array_equal(again.centre, scaler.centre)
    np.testing.assert_array_equal(again.scale, scaler.scale)


def test_scaler_from_something_else_says_so():
    with pytest.raises(InputError, match="scaler: expected JSON with `columns` of `centre` and `scale`, received"):
        Scaler.from_json("[1, 2]")
