from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from feeds.errors import InputError
from feeds.panel import BAR_FIELDS, FeaturePanel
from models.features import volatility
from models.level_features import LEVEL_COLUMNS, panel_levels
from models.predictions import PREDICTION_COLUMNS
from models.walk_forward_predictor import WalkForwardPredictor


@pytest.fixture(scope="module")
def panel(make_panel):
    """330 sessions, folds from rows 140, 185, ...: stocks that come late, end, or halt across folds' edges."""
    return make_panel(
        sessions=330,
        tickers=10,
        seed=5,
        late={1: 150, 2: 184, 3: 230},
        ends={4: 200},
        halts={5: list(range(160, 164)), 6: list(range(160, 170)), 7: list(range(180, 190)), 8: list(range(184, 232))},
    )


@pytest.fixture(scope="module")
def features(panel, all_features):
    return all_features(panel)


@pytest.fixture(scope="module")
def predictor(panel, features, make_predictor) -> WalkForwardPredictor:
    return make_predictor(panel, features)


@pytest.fixture(scope="module")
def saved(panel, features, predictor):
    return predictor.predict_panel(panel, features)


def bars_of(panel, features, ticker):
    return panel.bars(ticker, features)


def steps(predictor, bars, cut, ticker, asked=None):
    stepper = predictor.stepper(ticker)
    rows = np.full((len(bars), len(PREDICTION_COLUMNS)), np.nan)
    for k in range(len(bars)) if asked is None else asked:
        rows[k] = stepper.step(cut(bars, k + 1))
    return rows


def test_panel_column_and_steps_agree(panel, features, predictor, saved, cut):
    for ticker in panel.tickers:
        bars = bars_of(panel, features, ticker)
        column = predictor.column(ticker, bars)
        np.testing.assert_allclose(saved.column(ticker, bars), column, rtol=0, atol=1e-9)
        np.testing.assert_allclose(steps(predictor, bars, cut, ticker), column, rtol=0, atol=1e-9)


OPTIONS = [
    {"standardise": "standard", "winsorise": True, "missing_masks": True},
    {"pca_variance": 0.9, "ticker_code": "binary"},
    {"ticker_code": "embedding", "embedding_size": 2},
    {"context": "windows", "lookback_bars": 12},
    {
        "context": "windows",
        "lookback_bars": 12,
        "ticker_code": "embedding",
        "pca_variance": 0.99,
        "missing_masks": True,
    },
    {"standardise": "none", "window": "expanding", "price_columns": ["rsi", "ema_50_price", "volume_shares"]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_panel_column_and_steps_agree_under_every_option(panel, features, make_predictor, cut, options):
    levels = panel_levels(panel, LEVEL_COLUMNS)
    predictor = make_predictor(panel, FeaturePanel.concatenate([features, levels]), seeds=1, options=options)
    saved = predictor.predict_panel(panel, FeaturePanel.concatenate([features, levels]))
    for ticker in ("T000", "T003", "T005", "T007", "T009"):
        bars = bars_of(panel, features, ticker)
        column = predictor.column(ticker, bars)
        assert np.isfinite(column).any()
        np.testing.assert_allclose(saved.column(ticker, bars), column, rtol=0, atol=1e-9)
        np.testing.assert_allclose(steps(predictor, bars, cut, ticker), column, rtol=0, atol=1e-9)


def test_windows_see_their_own_bars_and_nothing_older(panel, features, make_predictor):
    predictor = make_predictor(panel, features, seeds=1, options={"context": "windows", "lookback_bars": 12})
    bars, k = bars_of(panel, features, "T000"), 200

    def predicted_with_noise(at):
        noisy = {n: np.where(np.arange(len(bars)) == at, 1.0, v) for n, v in bars.columns.items()}
        return predictor.column("T000", replace(bars, columns=noisy))[k]

    base = predictor.column("T000", bars)[k]
    np.testing.assert_array_equal(predicted_with_noise(k - 12), base)
    assert (predicted_with_noise(k - 11) != base).any()
    late = predictor.column("T003", bars_of(panel, features, "T003"))
    assert np.flatnonzero(np.isfinite(late[:, 0]))[0] == 20  # the volatility needs more bars than the window


def test_order_of_tickers_changes_no_ticker_code(panel, features, make_predictor):
    order = np.random.default_rng(0).permutation(len(panel.tickers))
    options = {"ticker_code": "binary"}
    one = make_predictor(panel, features, options=options).models[0].preprocess.tickers
    assert one.numbers(["T009"])[0] == 0
    assert one.numbers([panel.tickers[i] for i in order]).tolist() == [0 if i == 9 else i + 1 for i in order]


def test_steps_asked_for_now_and_then_agree_with_the_column(panel, features, predictor, cut):
    for ticker in ("T000", "T006", "T007"):
        bars = bars_of(panel, features, ticker)
        asked = np.flatnonzero(np.random.default_rng(1).random(len(bars)) < 0.2)
        part = steps(predictor, bars, cut, ticker, asked)
        np.testing.assert_allclose(part[asked], predictor.column(ticker, bars)[asked], rtol=0, atol=1e-9)


def test_step_same_bar_twice_gives_the_same_answer(panel, features, predictor, cut):
    stepper, bars = predictor.stepper("T000"), bars_of(panel, features, "T000")
    first, second = stepper.step(cut(bars, 200)), stepper.step(cut(bars, 200))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(stepper.step(cut(bars, 201)), predictor.column("T000", bars)[200], atol=1e-9)


def test_predictions_only_in_test_blocks_and_after_the_first_bars(panel, features, predictor):
    known = np.isfinite(predictor.column("T000", bars_of(panel, features, "T000"))[:, 0])
    assert not known[:140].any()
    assert known[140:].all()
    late = np.isfinite(predictor.column("T003", bars_of(panel, features, "T003"))[:, 0])
    assert not late[: predictor.spec.masked_bars].any()
    # The volatility needs 21 bars, more than the 15 masked ones of this small model.
    assert late[20:].all()


def test_fold_of_each_prediction_follows_its_date(panel, saved):
    for row in saved.frame.itertuples():
        block = (panel.sessions.get_loc(row.session) - 140) // 45
        assert row.fold == block + 1


def test_predictions_cut_short_equal_the_full_run(panel, features, predictor, saved, all_features):
    """The models are the same, whatever comes later; so are features and states."""
    part = panel.until(panel.sessions[250])
    short = replace(predictor, sessions=part.sessions, models=predictor.models[:3])
    got = short.predict_panel(part, all_features(part)).frame
    expected = saved.frame[saved.frame["session"] <= part.sessions[-1]]
    assert len(got) == len(expected)
    np.testing.assert_allclose(got[list(PREDICTION_COLUMNS)], expected[list(PREDICTION_COLUMNS)], rtol=0, atol=1e-9)


def test_predictions_future_changed_changes_nothing_before(panel, predictor, saved, all_features):
    later = np.arange(330)[:, None] > 260
    shaken = replace(panel, **{n: np.where(later, getattr(panel, n) * 1.5, getattr(panel, n)) for n in BAR_FIELDS})
    got = predictor.predict_panel(shaken, all_features(shaken)).matrix("score", panel.sessions, panel.tickers)
    np.testing.assert_array_equal(got[:261], saved.matrix("score", panel.sessions, panel.tickers)[:261])


def test_state_a_fold_begins_from_the_bars_before_it_and_nothing_older(panel, features, predictor):
    """Inputs older than the warm-up change no prediction of the fold, newer ones do."""
    bars = bars_of(panel, features, "T000")
    names = [name for name in predictor.columns if name.startswith("xs_")]

    def with_noise(where):
        return replace(bars, columns={n: np.where(where, 1.0, v) if n in names else v for n, v in bars.columns.items()})

    k = np.arange(len(bars))
    first, warm = 185, predictor.spec.warm_up_bars
    base = predictor.column("T000", bars)[first]
    np.testing.assert_array_equal(predictor.column("T000", with_noise(k < first - warm))[first], base)
    assert (predictor.column("T000", with_noise(k < first - 10))[first] != base).any()


def test_score_is_the_expected_return_over_the_horizon(panel, features, predictor):
    bars = bars_of(panel, features, "T000")
    row, sigma = predictor.column("T000", bars)[200], volatility(bars)[200]
    assert row[:4].sum() == pytest.approx(1)
    assert row[4] == pytest.approx(row[:4] @ [-1.2, -0.3, 0.4, 1.3] * sigma * np.sqrt(5))


def test_score_under_absolute_needs_no_volatility(panel, features, predictor):
    absolute = replace(predictor, spec=replace(predictor.spec, label="absolute"))
    row = absolute.column("T000", bars_of(panel, features, "T000"))[200]
    assert row[4] == pytest.approx(row[:4] @ [-1.2, -0.3, 0.4, 1.3])


def test_bars_without_a_models_column_say_so(panel, predictor):
    with pytest.raises(InputError, match="bars of T000: expected the column `xs_return_5` .*received no columns; pass"):
        predictor.column("T000", panel.bars("T000"))


def test_last_block_is_served_beyond_the_known_sessions(panel, features, predictor, make_panel):
    """A bar of the next day belongs to the last fold while its block lasts."""
    assert predictor.session_rows(panel.sessions.to_numpy().astype("datetime64[D]")[-1:] + np.timedelta64(7, "D")) == [
        334
    ]
    assert predictor.model_of(329).fold.number == predictor.model_of(364).fold.number == 5
    assert predictor.model_of(365) is None
    assert predictor.model_of(139) is None
