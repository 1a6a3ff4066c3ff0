"""A trained walk-forward model on disk: JSON and npz, nothing that can execute.

::

    models/<id>/                   the id is made of what the files hold
      spec.json                    format, settings, input columns in order, the sessions that folds are counted on
      metrics.json                 the evaluation
      MODEL_CARD.md                the same for a reader, with use, data and weaknesses
      SHA256SUMS                   checked before anything else is read
      fold=1/window.json           session rows, dates, purge, numbers of labels
      fold=1/preprocess.json       what the inputs are made with, class limits, prior
      fold=1/seed=1/weights.npz    one network per seed
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from models.fitted import Fitted, restore
from models.folds import Fold
from models.labels import ClassLimits
from models.model_card import model_card
from models.model_digests import SUMS, check_sums, file_sums, model_id, write_sums
from models.preprocess import Preprocessor
from models.spec import ModelSpec, resolve
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor

FORMAT = (1, 0)
"""Major and minor: a reader refuses another major one."""
_COUNTS = ("n_fit_labels", "n_validation_labels", "n_test_labels", "seeds")


def write_model(predictor: WalkForwardPredictor, folder: Path, about: Mapping[str, Any] | None = None) -> Path:
    """Write the model into ``folder/<id>``, whole or absent, and return that place.

    Parameters
    ----------
    predictor : WalkForwardPredictor
    folder : Path
        Made where it is missing; several models may lie in it.
    about : mapping, optional
        What `models.model_card.model_card` tells beside the settings.

    Returns
    -------
    Path
        Where the same model lies already and is whole, it is left as it is, its metrics and card too.

    Raises
    ------
    InputError
        If the spec's name is no preset's, so that `read_model` would refuse it.
    """
    _require_readable(predictor.spec)
    unfinished = folder / f".writing.{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a killed process that had this number
    unfinished.mkdir(parents=True)
    try:
        place = folder / _write_files(predictor, unfinished, about or {})
        if not _is_whole(place):
            shutil.rmtree(place, ignore_errors=True)
            unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _require_readable(spec: ModelSpec) -> None:
    try:
        _spec(spec.as_dict())
    except InputError as error:
        raise InputError(
            f"model {spec.name!r}: expected settings that `resolve` makes of a preset, so that the model can be read "
            f"again, received others: {error}"
        ) from error


def _is_whole(place: Path) -> bool:
    try:
        check_sums(place)
    except (OSError, ValueError):
        return False
    return True


def _write_files(predictor: WalkForwardPredictor, unfinished: Path, about: Mapping[str, Any]) -> str:
    """Write all files of the model into a folder and return the name that they give it."""
    spec = {
        "format": list(FORMAT),
        "spec": predictor.spec.as_dict(),
        "columns": list(predictor.columns),
        "sessions": [str(day.date()) for day in predictor.sessions],
        "panel_sha256": about.get("panel_sha256"),
    }
    _write_json(spec, unfinished / "spec.json")
    told = {fold["fold"]: fold for fold in (about.get("evaluation") or {}).get("folds") or ()}
    for model in predictor.models:
        _write_fold(predictor, model, unfinished / f"fold={model.fold.number}", told.get(model.fold.number, {}))
    name = model_id(file_sums(unfinished))
    _write_json(_without_nan(dict(about.get("evaluation") or {})), unfinished / "metrics.json")
    (unfinished / "MODEL_CARD.md").write_text(model_card(name, predictor.spec, about), encoding="utf-8")
    write_sums(unfinished)
    return name


def _write_fold(predictor: WalkForwardPredictor, model: FoldModel, place: Path, told: Mapping[str, Any]) -> None:
    place.mkdir()
    window = {
        "fold": dataclasses.asdict(model.fold),
        "dates": model.fold.describe(predictor.sessions),
        "purged_bars": predictor.spec.purged_bars,
        **{name: told[name] for name in _COUNTS if name in told},
    }
    _write_json(_without_nan(window), place / "window.json")
    preprocess = {
        "inputs": json.loads(model.preprocess.to_json()),
        "class_limits": dataclasses.asdict(model.limits),
    }
    _write_json(preprocess, place / "preprocess.json")
    for number, network in enumerate(model.networks, start=1):
        (place / f"seed={number}").mkdir()
        np.savez(place / f"seed={number}" / "weights.npz", allow_pickle=False, **network.arrays())


def read_model(folder: Path, *, allow_in_sample: bool = False) -> WalkForwardPredictor:
    """Read what `write_model` wrote; it predicts newer data too, panel or bar by bar, without TensorFlow.

    Parameters
    ----------
    folder : Path
        The model's own folder, or one above it that holds no other model: ``models``, or `train`'s ``--out``.
    allow_in_sample : bool
        Let the first fold predict its own training window too. Such predictions say nothing of skill.

    Raises
    ------
    InputError
        If a file is missing, changed, of another major format, or is not what `write_model` writes.
    """
    place = _only_model(Path(folder))
    try:
        check_sums(place)
        return dataclasses.replace(_read(place), allow_in_sample=allow_in_sample)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"model {folder}: expected a folder that `train` wrote (spec.json, fold=1/...), "
            f"received one that cannot be read: {error}; train again"
        ) from error


def _only_model(folder: Path) -> Path:
    """Return the one model at or below `folder`; itself where there is none, so that reading it says so."""
    if (folder / "spec.json").is_file():
        return folder
    found = sorted(path.parent for part in ("*", "models/*") for path in folder.glob(f"{part}/{SUMS}"))
    if len(found) > 1:
        names = ", ".join(place.name for place in found)
        raise InputError(f"model {folder}: expected one model, received {len(found)}: {names}; name one of them")
    return found[0] if found else folder


def _read(folder: Path) -> WalkForwardPredictor:
    stored = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    if stored["format"][0] != FORMAT[0]:
        raise InputError(
            f"model {folder}: expected format {FORMAT[0]}.x, received {'.'.join(map(str, stored['format']))}; "
            "read it with the version that wrote it, or train again"
        )
    places = sorted(folder.glob("fold=*"), key=_number)
    if not places:
        raise ValueError("no folder fold=1")
    columns = tuple(stored["columns"])
    models = tuple(_read_fold(place) for place in places)
    for model in models:
        if model.preprocess.names != columns:
            raise InputError(
                f"model {folder}: expected the columns of spec.json in every fold, received others, or in another "
                f"order, in fold {model.fold.number}; train again"
            )
    sessions = pd.DatetimeIndex(stored["sessions"], name="session").as_unit("ns")
    return WalkForwardPredictor(spec=_spec(stored["spec"]), columns=columns, sessions=sessions, models=models)


def _spec(values: dict[str, Any]) -> ModelSpec:
    name = values.pop("name")
    return resolve(name, values)


def _read_fold(place: Path) -> FoldModel:
    window = json.loads((place / "window.json").read_text(encoding="utf-8"))
    stored = json.loads((place / "preprocess.json").read_text(encoding="utf-8"))
    files = sorted(place.glob("seed=*/weights.npz"), key=lambda path: _number(path.parent))
    if not files:
        raise ValueError(f"no {place.name}/seed=1/weights.npz")
    return FoldModel(
        fold=Fold(**window["fold"]),
        preprocess=Preprocessor.from_json(json.dumps(stored["inputs"])),
        limits=ClassLimits.of(stored["class_limits"]),
        networks=tuple(_read_network(path) for path in files),
    )


def _read_network(path: Path) -> Fitted:
    with np.load(path, allow_pickle=False) as arrays:
        return restore(dict(arrays))


def _number(place: Path) -> int:
    return int(place.name.partition("=")[2])


def _write_json(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    """Return the value with None for what is not a number."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
