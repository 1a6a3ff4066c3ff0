"""A trained walk-forward model on disk: JSON and npz, nothing that can execute.

::

    models/
      spec.json                    settings, input columns in order, the sessions that folds are counted on
      fold=1/fold.json             session rows and dates, class limits, prior
      fold=1/preprocess.json       what the inputs are made with
      fold=1/seed=1/weights.npz    one network per seed
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from models.fitted import Fitted, restore
from models.folds import Fold
from models.labels import ClassLimits
from models.preprocess import Preprocessor
from models.spec import ModelSpec, resolve
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor


def write_model(predictor: WalkForwardPredictor, folder: Path) -> None:
    """Write every fold's networks into `folder`, which must not exist; the caller makes it whole or absent."""
    folder.mkdir(parents=True)
    spec = {
        "spec": predictor.spec.as_dict(),
        "columns": list(predictor.columns),
        "sessions": [str(day.date()) for day in predictor.sessions],
    }
    _write_json(spec, folder / "spec.json")
    for model in predictor.models:
        place = folder / f"fold={model.fold.number}"
        place.mkdir()
        fold = {
            "fold": dataclasses.asdict(model.fold),
            "dates": model.fold.describe(predictor.sessions),
            "class_limits": dataclasses.asdict(model.limits),
        }
        _write_json(fold, place / "fold.json")
        (place / "preprocess.json").write_text(model.preprocess.to_json(), encoding="utf-8")
        for number, network in enumerate(model.networks, start=1):
            (place / f"seed={number}").mkdir()
            np.savez(place / f"seed={number}" / "weights.npz", allow_pickle=False, **network.arrays())


def read_model(folder: Path) -> WalkForwardPredictor:
    """Read what `write_model` wrote; predicts bar by bar without TensorFlow.

    Raises
    ------
    InputError
        If a file is missing or is not what `write_model` writes.
    """
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"model {folder}: expected a folder that `train` wrote (spec.json, fold=1/...), "
            f"received one that cannot be read: {error}; train again"
        ) from error


def _read(folder: Path) -> WalkForwardPredictor:
    stored = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    places = sorted(folder.glob("fold=*"), key=_number)
    if not places:
        raise ValueError("no folder fold=1")
    return WalkForwardPredictor(
        spec=_spec(stored["spec"]),
        columns=tuple(stored["columns"]),
        sessions=pd.DatetimeIndex(stored["sessions"], name="session").as_unit("ns"),
        models=tuple(_read_fold(place) for place in places),
    )


def _spec(values: dict[str, Any]) -> ModelSpec:
    name = values.pop("name")
    return resolve(name, values)


def _read_fold(place: Path) -> FoldModel:
    stored = json.loads((place / "fold.json").read_text(encoding="utf-8"))
    limits: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored["class_limits"].items()}
    files = sorted(place.glob("seed=*/weights.npz"), key=lambda path: _number(path.parent))
    if not files:
        raise ValueError(f"no {place.name}/seed=1/weights.npz")
    return FoldModel(
        fold=Fold(**stored["fold"]),
        preprocess=Preprocessor.from_json((place / "preprocess.json").read_text(encoding="utf-8")),
        limits=ClassLimits(**limits),
        networks=tuple(_read_network(path) for path in files),
    )


def _read_network(path: Path) -> Fitted:
    with np.load(path, allow_pickle=False) as arrays:
        return restore(dict(arrays))


def _number(place: Path) -> int:
    return int(place.name.partition("=")[2])


def _write_json(value: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
