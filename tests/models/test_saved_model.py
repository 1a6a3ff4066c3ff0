from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from feeds.errors import InputError
from models.saved_model import read_model, write_model
from models.walk_forward_predictor import WalkForwardPredictor
from tests.models.conftest import features_of, untrained_predictor


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(sessions=300, tickers=3, seed=1)


@pytest.fixture(scope="module")
def predictor(panel) -> WalkForwardPredictor:
    return untrained_predictor(panel, features_of(panel), seeds=2)


@pytest.fixture
def folder(predictor: WalkForwardPredictor, tmp_path: Path) -> Path:
    write_model(predictor, tmp_path / "models")
    return tmp_path / "models"


def test_saved_model_read_again_predicts_the_same(panel, predictor: WalkForwardPredictor, folder: Path):
    bars = panel.bars(panel.tickers[0], features_of(panel))
    expected = predictor.column(panel.tickers[0], bars)
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(read_model(folder).column(panel.tickers[0], bars), expected)


def test_read_model_without_a_fold_is_refused(folder: Path):
    for place in folder.glob("fold=*"):
        shutil.rmtree(place)
    with pytest.raises(InputError, match="expected a folder that `train` wrote .*: no folder fold=1; train again"):
        read_model(folder)


def test_read_model_fold_without_weights_is_refused(folder: Path):
    for place in (folder / "fold=1").glob("seed=*"):
        shutil.rmtree(place)
    with pytest.raises(InputError, match="cannot be read: no fold=1/seed=1/weights.npz; train again"):
        read_model(folder)


def test_read_model_damaged_weights_or_none_at_all_are_refused(folder: Path, tmp_path: Path):
    (folder / "fold=1" / "seed=1" / "weights.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match="cannot be read"):
        read_model(folder)
    with pytest.raises(InputError, match="cannot be read: .*spec.json"):
        read_model(tmp_path / "none")
