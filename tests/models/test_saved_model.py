from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feeds.errors import InputError
from feeds.panel import FeaturePanel
from models.controls import Placebo
from models.model_card import model_card
from models.model_digests import write_sums
from models.saved_model import read_model, write_model
from models.walk_forward_predictor import WalkForwardPredictor
from tests.models.conftest import cut_bars, features_of, untrained_predictor


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(sessions=300, tickers=3, seed=1)


@pytest.fixture(scope="module")
def predictor(panel) -> WalkForwardPredictor:
    return untrained_predictor(panel, features_of(panel), seeds=2)


@pytest.fixture
def folder(predictor: WalkForwardPredictor, tmp_path: Path) -> Path:
    return write_model(predictor, tmp_path / "models", ABOUT)


ABOUT: dict[str, Any] = {
    "evaluation": {
        "name": "tiny",
        "folds": [{"fold": 1, "test_first": "2015-08-01", "n_fit_labels": 123, "log_loss": float("nan")}],
        "pooled": {"log_loss": 1.38, "information_coefficient": 0.02},
        "verdict": "does not beat logistic (...).",
    },
    "notes": ["Universe: survivors."],
    "warnings": ["held at 0: `momentum`"],
}


def sign_again(folder: Path) -> None:
    """Make the sums those of the files, as someone would who means to deceive or to repair."""
    write_sums(folder)


def test_saved_model_read_again_predicts_the_same(panel, predictor: WalkForwardPredictor, folder: Path):
    bars = panel.bars(panel.tickers[0], features_of(panel))
    expected = predictor.column(panel.tickers[0], bars)
    assert np.isfinite(expected).any()
    for place in (folder, folder.parent, folder.parent.parent):
        np.testing.assert_array_equal(read_model(place).column(panel.tickers[0], bars), expected)


def test_saved_model_is_named_after_its_content(predictor: WalkForwardPredictor, folder: Path, tmp_path: Path):
    again = write_model(predictor, tmp_path / "again", {"evaluation": {"folds": ABOUT["evaluation"]["folds"]}})
    assert again.name == folder.name  # metrics and card are not part of the name
    other = write_model(replace(predictor, models=predictor.models[:1]), tmp_path / "again")
    assert other.name != folder.name
    with pytest.raises(InputError, match="expected one model, received 2: .*; name one of them"):
        read_model(tmp_path / "again")


def test_saved_model_written_twice_is_the_same_place(predictor: WalkForwardPredictor, folder: Path):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert write_model(predictor, folder.parent, {**ABOUT, "warnings": []}) == folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [place.name for place in folder.parent.iterdir()] == [folder.name]
    (folder / "spec.json").write_text("{}")
    assert write_model(predictor, folder.parent, ABOUT) == folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [place.name for place in folder.parent.iterdir()] == [folder.name]


def test_write_model_that_nobody_could_read_is_refused(predictor: WalkForwardPredictor, tmp_path: Path):
    mine = replace(predictor, spec=replace(predictor.spec, name="mine"))
    with pytest.raises(InputError, match="model 'mine': expected settings .* received others: unknown model 'mine'"):
        write_model(mine, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_saved_model_files_are_as_documented(folder: Path):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"spec.json", "metrics.json", "MODEL_CARD.md", "SHA256SUMS"} <= names
    assert {"fold=1/window.json", "fold=1/preprocess.json", "fold=1/seed=2/weights.npz"} <= names
    assert json.loads((folder / "metrics.json").read_text())["folds"][0]["log_loss"] is None
    assert json.loads((folder / "fold=1" / "window.json").read_text())["n_fit_labels"] == 123
    card = (folder / "MODEL_CARD.md").read_text()
    for told in (folder.name, "no investment advice", "Universe: survivors.", "does not beat logistic", "`momentum`"):
        assert told in card
    assert "Trials: not counted." in card
    assert "Placebo: none was asked for" in card
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_model_card_tells_placebo_and_trials(predictor: WalkForwardPredictor):
    found = Placebo(np.arange(-9, 11) / 1000, 0.5).beside(0.02)
    card = model_card("abc", predictor.spec, {"evaluation": {"placebo": found, "trials": {"number": 2, "of": 3}}})
    assert "Placebo: 20 fits of the same model" in card
    assert "0.0200 is above that: 0 of the 20 did as well" in card
    assert "Trials: this is the 2nd of 3 specifications" in card


def test_model_card_and_window_tell_the_bars_that_are_purged(
    predictor: WalkForwardPredictor, folder: Path, tmp_path: Path
):
    assert json.loads((folder / "fold=1" / "window.json").read_text())["purged_bars"] == 6
    assert "over a boundary are left out: 6 bars before each." in (folder / "MODEL_CARD.md").read_text()
    intraday = replace(predictor, spec=replace(predictor.spec, label="intraday", horizon=1))
    other = write_model(intraday, tmp_path)
    assert json.loads((other / "fold=1" / "window.json").read_text())["purged_bars"] == 1
    assert "over a boundary are left out: 1 bar before each." in (other / "MODEL_CARD.md").read_text()


def test_read_model_changed_missing_or_new_files_are_refused(folder: Path):
    spec = (folder / "spec.json").read_text()
    (folder / "spec.json").write_text(spec.replace("1.0", "2.0") + " ")
    with pytest.raises(InputError, match=r"received others: spec.json was changed after it was written"):
        read_model(folder)
    (folder / "spec.json").write_text(spec)
    (folder / "extra.txt").write_text("")
    with pytest.raises(InputError, match="received others: extra.txt is not in SHA256SUMS"):
        read_model(folder)
    (folder / "extra.txt").unlink()
    (folder / "fold=1" / "seed=1" / "weights.npz").unlink()
    with pytest.raises(InputError, match="received others: fold=1/seed=1/weights.npz is missing"):
        read_model(folder)


def test_read_model_of_another_major_format_is_refused(folder: Path):
    stored = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**stored, "format": [2, 3]}))
    sign_again(folder)
    with pytest.raises(InputError, match="expected format 1.x, received 2.3; read it with the version that wrote it"):
        read_model(folder)


def test_read_model_columns_in_another_order_are_refused(folder: Path):
    stored = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**stored, "columns": stored["columns"][::-1]}))
    sign_again(folder)
    with pytest.raises(InputError, match="received others, or in another order, in fold 1; train again"):
        read_model(folder)


def test_read_model_without_a_fold_or_weights_is_refused(folder: Path):
    shutil.rmtree(folder / "fold=1" / "seed=1")
    shutil.rmtree(folder / "fold=1" / "seed=2")
    sign_again(folder)
    with pytest.raises(InputError, match="cannot be read: no fold=1/seed=1/weights.npz; train again"):
        read_model(folder)
    for place in folder.glob("fold=*"):
        shutil.rmtree(place)
    sign_again(folder)
    with pytest.raises(InputError, match="expected a folder that `train` wrote .*: no folder fold=1; train again"):
        read_model(folder)


def test_read_model_damaged_weights_or_none_at_all_are_refused(folder: Path, tmp_path: Path):
    (folder / "fold=1" / "seed=1" / "weights.npz").write_bytes(b"PK\x03\x04 cut")
    sign_again(folder)
    with pytest.raises(InputError, match="cannot be read"):
        read_model(folder)
    with pytest.raises(InputError, match="cannot be read: .*SHA256SUMS"):
        read_model(tmp_path / "none")


def test_read_model_predicts_newer_data_than_it_was_trained_on(make_panel, tmp_path: Path):
    whole = make_panel(sessions=300, tickers=3, seed=1)
    known = whole.until(whole.sessions[199])
    features = features_of(whole)
    cut = FeaturePanel(known.sessions, known.tickers, features.names, features.values[:200])
    model = read_model(write_model(untrained_predictor(known, cut, seeds=1), tmp_path / "models"))
    frame = model.predict_panel(whole, features).frame
    last = model.models[-1].fold
    assert frame["session"].max() > known.sessions[-1]
    # The last block is served to its end, which weekdays count; no later session is.
    assert frame["session"].nunique() == pytest.approx(last.test_first + 45 - 140, abs=3)
    ticker = whole.tickers[0]
    bars = whole.bars(ticker, features)
    rows = frame[frame["ticker"] == ticker]
    column = model.column(ticker, bars)
    np.testing.assert_allclose(column[np.isfinite(column[:, 4]), 4], rows["score"], atol=1e-12)
    stepper, history = model.stepper(ticker), []
    for count in range(len(bars) - 60, len(bars) + 1):
        history.append(stepper.step(cut_bars(bars, count)))
    np.testing.assert_allclose(history, column[-61:], atol=1e-9)


def test_read_model_refuses_its_own_training_window_unless_told_otherwise(panel, folder: Path):
    features = features_of(panel)
    early = panel.until(panel.sessions[120])
    cut = FeaturePanel(early.sessions, early.tickers, features.names, features.values[:121])
    with pytest.raises(InputError, match="the model has seen all of them in training; use newer data"):
        read_model(folder).predict_panel(early, cut)
    allowed = read_model(folder, allow_in_sample=True)
    told = allowed.predict_panel(early, cut).frame
    assert told["session"].max() == early.sessions[-1]
    ticker = early.tickers[0]
    bars = early.bars(ticker, cut)
    assert np.isnan(read_model(folder).column(ticker, bars)).all()
    stepper = allowed.stepper(ticker)
    stepped = [stepper.step(cut_bars(bars, count)) for count in range(1, len(bars) + 1)]
    np.testing.assert_allclose(stepped, allowed.column(ticker, bars), atol=1e-9)


def test_predict_panel_without_a_column_of_the_model_says_which(panel, predictor: WalkForwardPredictor):
    features = features_of(panel)
    fewer = FeaturePanel(features.sessions, features.tickers, features.names[1:], features.values[:, :, 1:])
    with pytest.raises(InputError, match="features: expected the column `return_1` that the model was trained with"):
        predictor.predict_panel(panel, fewer)
