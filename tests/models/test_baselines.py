"""Baselines: what each says by hand, the same numbers as scikit-learn, and the protocol that the LSTM follows too."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from feeds.errors import InputError
from feeds.panel import BAR_FIELDS, FeaturePanel
from models.batches import FitData
from models.boosting import (
    ROUNDS,
    TreeEnsemble,
    bin_edges,
    binned,
    fit_boosting,
    fit_trees,
    losses_by_round,
    read_trees,
)  # fmt: skip
from models.fitted import Fitted, outcome, restore
from models.fitting import fit
from models.fold_training import TrainingData
from models.fold_window import FoldWindow
from models.lagged import Lagged
from models.logistic import Logistic, fit_linear
from models.network import FittedNetwork, Validation
from models.sequences import Segments
from models.simple_baselines import Persistence, Prior, Reversal, Volatility, last_class, repeat_within_limits
from models.spec import FULL_BASELINES, SIMPLE_BASELINES, baseline_of, resolve
from models.stepper import weighted_log_loss
from models.tabular import LAGS, labelled_rows
from models.training import walk_forward
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor
from tests.models.conftest import cut_bars

# One worker fits the baselines once for all tests of this file.
pytestmark = pytest.mark.xdist_group("baselines")
SPEC = resolve(
    "tiny",
    {"train_sessions": 200, "validation_sessions": 60, "test_sessions": 60, "masked_bars": 15, "chunk_bars": 40},
)
FULL = baseline_of(SPEC, "logistic")
NAMES = (*SIMPLE_BASELINES, *FULL_BASELINES)
MEANS = np.array([-1.2, -0.3, 0.4, 1.3])
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(sessions=290, tickers=12, seed=4, late={3: 90}, halts={5: [150, 151, 152, 153, 154, 155, 156]})


@pytest.fixture(scope="module")
def features(panel, all_features):
    return all_features(panel)


def window_of(panel, features, spec) -> FitData:
    data = TrainingData.of(panel, features, spec)
    fold = data.folds[0]
    return FoldWindow.cut(data.table, data.values, data.names, data.returns, spec, fold).fit_data(fold, spec)


@pytest.fixture(scope="module")
def fitted(panel, features) -> dict[str, FittedNetwork]:
    found = {}
    for name in NAMES:
        spec = baseline_of(SPEC, name)
        found[name] = fit(window_of(panel, features, spec), spec, 1, lambda epoch: None)
    return found


@pytest.fixture(scope="module")
def window(panel, features) -> FitData:
    """What the full baselines are fitted on: 21 columns."""
    return window_of(panel, features, baseline_of(SPEC, "logistic"))


def width(model: Fitted, window: FitData) -> int:
    if isinstance(model, Logistic | TreeEnsemble):
        return window.inputs.shape[1]
    return 4 if isinstance(model, Volatility) else 1


@pytest.mark.parametrize("name", NAMES)
def test_baseline_bar_by_bar_equals_whole_segments(name: str, fitted, window):
    model = fitted[name].network
    segments = Segments(np.array([0, 40]), np.array([5, 40]), np.array([30, 52]))
    inputs = RNG.normal(size=(60, width(model, window)))
    packed = inputs[segments.positions()]
    whole = outcome(model, model.run(packed, segments), MEANS)
    stepped = []
    for begin, length in zip(segments.offsets, segments.lengths, strict=True):
        state = model.zero_state(1)
        for x in packed[begin : begin + length]:
            raw, state = model.step(x[None], state)
            stepped.append(outcome(model, raw, MEANS)[0])
    np.testing.assert_allclose(stepped, whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole[:, :4].sum(axis=1), 1, atol=1e-9)
    assert (whole[:, :4] > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_baseline_without_a_bar_in_a_block_predicts_nothing_there(name: str, fitted, panel, features):
    """A stock may be delisted before a test block or listed after it, and newer data may begin after one."""
    spec = baseline_of(SPEC, name)
    data = TrainingData.of(panel, features, spec)
    window = FoldWindow.cut(data.table, data.values, data.names, data.returns, spec, data.folds[0])
    models = (FoldModel(fold, window.preprocess, window.limits, (fitted[name].network,)) for fold in data.folds)
    predictor = WalkForwardPredictor(spec, data.names, panel.sessions, tuple(models))
    bars = panel.bars("T000", features)
    assert np.isnan(predictor.column("T000", cut_bars(bars, 150))).all()
    early = predictor.column("T000", cut_bars(bars, 240))
    np.testing.assert_array_equal(early, predictor.column("T000", bars)[:240])
    later = data.folds[0].test_stop + 2  # with which the first fold has nothing to predict
    newer = replace(
        panel, sessions=panel.sessions[later:], **{field: getattr(panel, field)[later:] for field in BAR_FIELDS}
    )
    cut = FeaturePanel(newer.sessions, features.tickers, features.names, features.values[later:])
    assert set(predictor.predict_panel(newer, cut).frame["fold"]) == {2}


@pytest.mark.parametrize("name", NAMES)
def test_baseline_arrays_restore_the_same_model(name: str, fitted, window, tmp_path):
    model = fitted[name].network
    np.savez(tmp_path / "weights.npz", allow_pickle=False, **model.arrays())
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        again = restore(dict(arrays))
    assert type(again) is type(model)
    x = RNG.normal(size=(5, width(model, window)))
    np.testing.assert_array_equal(again.step(x, None)[0], model.step(x, None)[0])


def test_restore_an_unknown_family_or_a_missing_array_fails():
    with pytest.raises(KeyError, match="oracle"):
        restore({"family": np.array("oracle")})
    with pytest.raises(KeyError, match="shares"):
        restore({"family": np.array("prior")})


@pytest.mark.parametrize("name", NAMES)
def test_baseline_fitted_twice_is_the_same_to_the_bit(name: str, fitted, panel, features):
    spec = baseline_of(SPEC, name)
    again = fit(window_of(panel, features, spec), spec, 1, lambda epoch: None)
    for key, values in fitted[name].network.arrays().items():
        np.testing.assert_array_equal(again.network.arrays()[key], values)


def test_prior_is_the_share_of_each_class_in_the_fit_range(fitted, panel, features):
    data = TrainingData.of(panel, features, SPEC)
    limits = FoldWindow.cut(data.table, data.values, data.names, data.returns, SPEC, data.folds[0]).limits
    model = fitted["prior"].network
    assert isinstance(model, Prior)
    np.testing.assert_allclose(model.shares, limits.shares, atol=1e-12)
    assert outcome(model, model.step(np.ones((1, 1)), None)[0], MEANS)[0, 4] == 0.0


def test_persistence_puts_what_repeats_on_the_last_class():
    model = Persistence(np.full(4, 0.25), lower=-0.5, upper=0.6, repeat=0.1)
    raw = model.outputs(np.array([[-0.5], [-0.4], [0.2], [0.6]]))
    np.testing.assert_allclose(raw, np.full((4, 4), 0.225) + 0.1 * np.eye(4))
    np.testing.assert_allclose(model.expected(raw, raw, MEANS), 0.1 * (MEANS - MEANS.mean()))
    assert last_class(np.array([-9.0, 0.0, 0.1, 9.0]), -0.5, 0.6).tolist() == [0, 1, 2, 3]


def test_persistence_predicts_the_rarest_class_after_itself():
    shares = np.array([0.3, 0.3, 0.2, 0.2])
    repeat = repeat_within_limits(-0.05, shares)
    model = Persistence(shares, -0.5, 0.6, repeat)
    chances = model.outputs(np.array([[-0.5], [-0.4], [0.2], [0.6]]))
    assert chances.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert 0.09 < repeat < 0.1
    assert repeat_within_limits(0.4, shares) == 0.4


def test_reversal_scores_minus_the_return_whatever_the_window_showed():
    for sign in (1, -1):
        linear = Logistic(sign * np.array([[0.3, 0.1, -0.1, -0.3]]), np.zeros(4))
        model = Reversal(linear)
        raw = model.outputs(np.array([[-2.0], [0.0], [1.0]]))
        score = model.expected(raw, model.probabilities(raw), MEANS)
        # d/dx of softmax(kernel x) @ means at 0 = mean(kernel * means) = -0.205 for sign 1.
        np.testing.assert_allclose(score, 0.205 * np.array([2.0, 0.0, -1.0]), atol=1e-12)


def test_volatility_moves_the_outer_classes_together_and_ranks_nothing():
    model = Volatility(np.array([0.2, 0.3, 0.3, 0.2]), np.array([1.0]), np.array(0.0))
    raw = model.outputs(np.array([[0.0], [np.log(3)]]))
    np.testing.assert_allclose(raw, [[0.25, 0.25, 0.25, 0.25], [0.375, 0.125, 0.125, 0.375]])
    np.testing.assert_array_equal(model.expected(raw, raw, MEANS), [0, 0])


def test_lagged_base_names_what_a_subclass_lacks():
    with pytest.raises(NotImplementedError, match=r"Lagged\.outputs"):
        Lagged().step(np.ones((1, 2)), None)


def test_labelled_rows_hold_the_bars_before_them_of_the_same_stock(window):
    rows, classes, weights = labelled_rows(window, LAGS)
    n = window.inputs.shape[1]
    starts = set(window.fit_first.tolist())
    expected = [
        p
        for first, stop in zip(window.fit_first, window.fit_stop, strict=True)
        for p in range(first + LAGS, stop)
        if window.classes[p] >= 0
    ]
    assert len(rows) == len(expected) > 1000
    assert not starts & set(expected)
    p = expected[37]
    np.testing.assert_array_equal(rows[37].reshape(LAGS + 1, n), window.inputs[p - LAGS : p + 1][::-1])
    assert (classes[37], weights[37]) == (window.classes[p], window.weights[p])


def test_fit_linear_matches_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    x, y = RNG.normal(size=(400, 3)), RNG.integers(0, 4, 400)
    model = fit_linear(x, y, np.ones(400), (0.5,), 0)[0]
    expected = LogisticRegression(C=0.5, max_iter=300).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(model.probabilities(model.outputs(x)), expected, atol=1e-9)


def test_fit_linear_of_two_classes_gives_the_others_no_chance():
    from sklearn.linear_model import LogisticRegression

    x, y = RNG.normal(size=(300, 2)), RNG.integers(0, 2, 300) * 3
    model = fit_linear(x, y, np.ones(300), (0.5,), 0)[0]
    expected = LogisticRegression(C=0.5).fit(x, y).predict_proba(x)
    found = model.probabilities(model.outputs(x))
    np.testing.assert_allclose(found[:, [0, 3]], expected, atol=1e-6)
    assert found[:, [1, 2]].max() < 1e-9


@pytest.mark.parametrize("present", [(0, 1, 2, 3), (0, 1, 3), (0, 3)])
def test_read_trees_matches_scikit_learn_on_every_row(present):
    x = RNG.normal(size=(1500, 6))
    x[:, 3] = x[:, 3] > 0  # a mask: two distinct values
    noisy = (x[:, 0] + x[:, 1] * x[:, 2] + x[:, 3] > RNG.normal(size=1500)).astype(int)
    y = np.array(present)[noisy + RNG.integers(0, len(present) - 1, 1500)]
    edges = bin_edges(x)
    model = fit_trees(binned(x, edges), y, RNG.uniform(0.5, 2, 1500), 0)
    fresh = np.concatenate([RNG.normal(size=(5000, 6)), x])
    found = read_trees(model, ROUNDS, edges, 0)
    chances = found.probabilities(found.outputs(fresh))
    np.testing.assert_allclose(chances[:, present], model.predict_proba(binned(fresh, edges)), atol=1e-9)
    early = read_trees(model, 7, edges, 0)
    staged = list(model.staged_predict_proba(binned(fresh, edges)))[6]
    np.testing.assert_allclose(early.probabilities(early.outputs(fresh))[:, present], staged, atol=1e-9)


def test_bin_edges_cut_into_equal_parts_and_keep_masks_apart():
    inputs = np.column_stack([np.arange(630.0), np.repeat([0.0, 1.0], 315)])
    edges = bin_edges(inputs)
    found = binned(inputs, edges)
    assert np.bincount(found[:, 0].astype(int)).tolist() == [10] * 63
    assert len(np.unique(found[:, 1])) == 2


def test_losses_by_round_are_those_of_each_shorter_ensemble(window):
    edges = bin_edges(window.inputs)
    rows, classes, weights = labelled_rows(replace(window, inputs=binned(window.inputs, edges)), LAGS)
    model = fit_trees(rows, classes, weights, 0)
    validation = Validation.of(window, FULL)
    found = losses_by_round(read_trees(model, ROUNDS, edges, LAGS), validation, ROUNDS)
    for n in (1, 2, 40, ROUNDS):
        assert found[n - 1] == pytest.approx(validation.log_loss(read_trees(model, n, edges, LAGS)))


def test_fit_boosting_keeps_the_rounds_that_suit_the_validation_best(fitted, window):
    result = fit_boosting(window, FULL, 1)
    model = result.network
    assert isinstance(model, TreeEnsemble)
    assert (result.epochs, len(model.roots)) == (ROUNDS, 4 * result.best_epoch)
    validation = Validation.of(window, FULL)
    assert result.validation_log_loss == pytest.approx(validation.log_loss(model))
    logits = validation.logits(model)
    for factor in (0.9, 1.1):  # the temperature is the best one
        assert weighted_log_loss(logits, validation.classes, validation.weights, model.temperature) <= (
            weighted_log_loss(logits, validation.classes, validation.weights, model.temperature * factor)
        )


@pytest.fixture(scope="module")
def learnable(panel, features):
    """The same market with one column that knows the next return in part: what each full baseline must find."""
    data = TrainingData.of(panel, features, SPEC)
    target = data.table.unflatten(data.returns.target("relative", len(panel.sessions)))
    noise = np.random.default_rng(0).normal(size=target.shape)
    values = features.values.copy()
    at = features.names.index("intraday")
    values[:, :, at] = np.where(np.isfinite(target), 0.5 * target + noise, values[:, :, at])
    return replace(features, values=values)


@pytest.mark.parametrize("name", FULL_BASELINES)
def test_full_baseline_finds_what_a_column_knows(name: str, panel, learnable, tmp_path):
    result = walk_forward(panel, learnable, baseline_of(SPEC, name), seed=1, jobs=2, cache=tmp_path)
    assert result.pooled.information_coefficient > 0.25
    assert result.pooled.log_loss < result.pooled.prior_log_loss - 0.02


@pytest.mark.parametrize("name", SIMPLE_BASELINES)
def test_simple_baseline_walks_forward_on_the_models_bars_and_is_kept(name: str, panel, features, tmp_path):
    spec = baseline_of(SPEC, name)
    one = walk_forward(panel, features, spec, cache=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").iterdir()}
    two = walk_forward(panel, features, spec, cache=tmp_path)
    assert len(kept) == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").iterdir()} == kept
    one.predictions.write(tmp_path / "one")
    two.predictions.write(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert len(one.predictions.frame) == 90 * 12
    if name == "prior":
        assert one.pooled.log_loss == pytest.approx(one.pooled.prior_log_loss, abs=1e-12)
    json.dumps([report.as_dict() for report in one.folds], allow_nan=False)


def test_reversal_ranks_by_minus_the_last_return(panel, features):
    result = walk_forward(panel, features, baseline_of(SPEC, "reversal_1"))
    score = result.predictions.matrix("score", panel.sessions, panel.tickers)[-1]
    log_return = np.log(panel.close[-1] / panel.close[-2])
    assert np.corrcoef(np.argsort(np.argsort(score)), np.argsort(np.argsort(-log_return)))[0, 1] > 0.95


def test_persistence_says_the_class_of_the_last_return(panel, features):
    result = walk_forward(panel, features, baseline_of(SPEC, "persistence"))
    bars = panel.bars("T000")
    said = result.predictions.column("T000", bars)[-80:, :4].argmax(axis=1)
    ratio = (bars.close[5:] / bars.close[:-5])[-80:]
    # The class changes at the training median of the return, which is near 0.
    assert (said[ratio < 0.97] <= 1).all()
    assert (said[ratio > 1.03] >= 2).all()


def test_baseline_of_keeps_the_problem_and_drops_the_network():
    spec = resolve(
        "default", {"horizon": 21, "label": "scaled", "test_sessions": 100, "masked_bars": 300, "chunk_bars": 400}
    )
    for name in NAMES:
        made = baseline_of(spec, name)
        assert (made.family, made.horizon, made.label, made.test_sessions, made.seeds) == (name, 21, "scaled", 100, 1)
    assert baseline_of(spec, "persistence").price_columns == ("return_21",)
    assert baseline_of(spec, "logistic").price_columns == spec.price_columns
    assert resolve("persistence", {"horizon": 1}).price_columns == ("return_1",)


def test_baseline_of_what_is_none_or_cannot_be_says_so():
    with pytest.raises(InputError, match="unknown baseline 'logistik'.*Did you mean 'logistic'"):
        baseline_of(SPEC, "logistik")
    with pytest.raises(InputError, match="`horizon`: expected one of 1, 5, 21 for persistence, received 3"):
        baseline_of(replace(SPEC, horizon=3), "persistence")
    with pytest.raises(
        InputError, match="`seeds`: expected 1 for logistic, which hardly depends on chance, received 5"
    ):
        resolve("logistic", {"seeds": 5})
    with pytest.raises(InputError, match="unknown family 'lstn'.*Did you mean 'lstm'"):
        resolve("tiny", {"family": "lstn"})


def test_baselines_and_lstm_calibrate_alike(window):
    """The temperature of `Validation` is scipy's, checked on logits that are too sure of themselves by a factor 3."""
    validation = Validation.of(window, FULL)
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(len(validation.classes), 4))
    chances = softmax(truth, axis=1)
    drawn = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)

    class Sure(Prior):
        def run(self, inputs, segments):
            out = np.zeros((len(inputs), 4))
            out[validation.labelled] = 3 * truth
            return out

    checked = replace(validation, classes=drawn.astype(np.int8), weights=np.ones(len(drawn)))
    assert checked.temperature(Sure(np.ones(4))) == pytest.approx(3, rel=0.2)
