"""Each option by hand, then in the order in which they are put together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA

from feeds.errors import InputError
from models.components import Components
from models.preprocess import Preprocessor
from models.spec import resolve
from models.ticker_code import TickerCode

NAMES = ("a", "b", "c", "warm")
TICKERS = ("ZED", "ACME", "MID")
EVERYTHING = {
    "standardise": "standard",
    "winsorise": True,
    "missing_masks": True,
    "pca_variance": 0.9,
    "ticker_code": "binary",
}


def rows(seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(200, 4))
    values[:, 1] = 3 * values[:, 0] + 0.1 * values[:, 1]
    values[:, 3] = values[:, 3] > 0
    values[:20, 2] = np.nan
    return values


def test_components_equal_scikit_learn():
    values = rows()[:, :2]
    values = np.column_stack([values, np.random.default_rng(1).normal(size=(200, 3))])
    ours = Components.fit(values, 0.8)
    reference = PCA(n_components=0.8, svd_solver="full").fit(values)
    assert ours.directions.shape == reference.components_.shape
    np.testing.assert_allclose(np.abs(ours.transform(values)), np.abs(reference.transform(values)), atol=1e-9)


@pytest.mark.parametrize(("share", "kept"), [(0.05, 1), (0.75, 1), (0.76, 2), (1.0, 2)])
def test_components_keep_the_fewest_that_hold_the_share(share, kept):
    # Variances 3 and 1 along the axes: the first direction holds 75 %.
    values = np.array([[np.sqrt(6), 0], [-np.sqrt(6), 0], [0, np.sqrt(2)], [0, -np.sqrt(2)]])
    assert Components.fit(values, share).directions.tolist() == np.eye(2)[:kept].tolist()


def test_components_have_their_largest_entry_positive():
    values = rows()[:, :2]
    for sign in (1, -1):
        directions = Components.fit(sign * values, 1.0).directions
        assert (directions[np.arange(2), np.abs(directions).argmax(axis=1)] > 0).all()


def test_components_of_columns_without_variation_are_finite():
    assert np.isfinite(Components.fit(np.zeros((5, 3)), 0.99).transform(np.ones((1, 3)))).all()


def test_ticker_code_binary_counts_the_sorted_names_from_one():
    code = TickerCode.fit("binary", TICKERS)
    assert code.numbers(("MID", "ZED", "ACME", "NEW")).tolist() == [2, 3, 1, 0]
    assert code.columns(code.numbers(("MID", "ZED", "ACME", "NEW"))).tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]


def test_ticker_code_has_a_code_of_its_own_for_each_stock():
    names = [f"T{i:03d}" for i in range(464)]
    code = TickerCode.fit("binary", names)
    assert code.width == 9
    assert len(np.unique(code.columns(code.numbers([*names, "NEW"])), axis=0)) == 465


def test_ticker_code_does_not_depend_on_the_order():
    assert TickerCode.fit("embedding", TICKERS) == TickerCode.fit("embedding", TICKERS[::-1])


def test_ticker_code_embedding_is_the_number_and_none_is_nothing():
    assert TickerCode.fit("embedding", TICKERS).columns(np.array([3, 0])).tolist() == [[3], [0]]
    assert TickerCode.fit("none", TICKERS).columns(np.array([0, 0])).shape == (2, 0)


def test_preprocessor_default_is_the_scaler_alone():
    values, zeros = rows(), np.zeros(200, dtype=int)
    fitted = Preprocessor.fit(NAMES, values, TICKERS, resolve("default"))
    np.testing.assert_array_equal(fitted.transform(values, zeros), fitted.scaler.transform(values))


def test_preprocessor_missing_masks_say_which_values_were_missing():
    fitted = Preprocessor.fit(NAMES, rows(), TICKERS, resolve("tiny", {"missing_masks": True}))
    assert fitted.missing == ("c",)
    got = fitted.transform(np.array([[0.0, 0, np.nan, 1], [np.nan, 0, 0, 1]]), np.zeros(2, dtype=int))
    assert got[:, 4:].tolist() == [[1], [0]]


def test_preprocessor_components_leave_the_masks_beside_them():
    values = rows()
    fitted = Preprocessor.fit(NAMES, values, TICKERS, resolve("tiny", {"pca_variance": 1.0}))
    inputs = fitted.transform(values, np.zeros(200, dtype=int))
    np.testing.assert_array_equal(inputs[:, -1], values[:, 3])
    # The other columns are uncorrelated now.
    np.testing.assert_allclose(np.cov(inputs[:, :3].T) * (1 - np.eye(3)), 0, atol=1e-9)


def test_preprocessor_of_masks_alone_has_no_components():
    fitted = Preprocessor.fit(("warm",), np.array([[0.0], [1.0]]), TICKERS, resolve("tiny", {"pca_variance": 0.99}))
    assert fitted.components is None


def test_preprocessor_everything_at_once_in_order():
    values = rows()
    fitted = Preprocessor.fit(NAMES, values, TICKERS, resolve("tiny", EVERYTHING))
    inputs = fitted.transform(values, np.full(200, 3))
    scaled = fitted.scaler.transform(values)[:, :3]
    np.testing.assert_allclose(inputs[:, :2], (scaled - scaled.mean(axis=0)) @ fitted.components.directions.T)
    np.testing.assert_array_equal(inputs[:, 2], values[:, 3])
    np.testing.assert_array_equal(inputs[:, 3], np.isnan(values[:, 2]))
    assert (inputs[:, 4:] == 1).all()


def test_preprocessor_rows_alone_equal_rows_together():
    values = rows()
    fitted = Preprocessor.fit(NAMES, values, TICKERS, resolve("tiny", EVERYTHING))
    whole = fitted.transform(values, np.arange(200) % 4)
    for k in (0, 19, 100):
        np.testing.assert_allclose(fitted.transform(values[k : k + 1], np.array([k % 4]))[0], whole[k], atol=1e-12)


@pytest.mark.parametrize("options", [{}, EVERYTHING, {"ticker_code": "embedding", "standardise": "none"}])
def test_preprocessor_json_round_trip(options):
    values = rows()
    fitted = Preprocessor.fit(NAMES, values, TICKERS, resolve("tiny", options))
    text = fitted.to_json()
    again = Preprocessor.from_json(text)
    assert again.to_json() == text
    numbers = np.arange(200) % 4
    np.testing.assert_array_equal(again.transform(values, numbers), fitted.transform(values, numbers))
    assert "Infinity" not in text
    assert "NaN" not in text


def test_preprocessor_held_names_columns_without_variation():
    fitted = Preprocessor.fit(("a", "b"), np.array([[1.0, 2.0], [1.0, 3.0]]), TICKERS, resolve("tiny"))
    assert fitted.held == ("a",)
    assert json.loads(fitted.to_json())["scaler"]["columns"]["a"]["scale"] is None


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "no JSON", '{"scaler": 1, "missing": [], "components": null}'])
def test_preprocessor_from_something_else_says_so(text):
    with pytest.raises(InputError, match="preprocessor: expected JSON with `scaler`, `missing`, .*received"):
        Preprocessor.from_json(text)
