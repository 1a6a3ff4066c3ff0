"""The stage between columns and trading: train a model or take its saved predictions, and judge them.

The dictionary that it makes is the manifest's ``model``, evaluation.json, and what the report shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.features import Columns
from engine.saved_predictions import evaluation_of, horizon_of, warnings_of
from engine.settings import Settings
from engine.trading import first_traded_session
from feeds.panel import PricePanel
from feeds.progress import Progress
from models.predictions import SavedPredictions
from models.spec import FULL_BASELINES, ModelSpec

SEED_MEASURES = ("information_coefficient", "log_loss", "balanced_accuracy", "direction_auc", "spread_bps")


@dataclass(frozen=True)
class Model:
    """Out-of-sample predictions and what is known of the model that made them.

    Attributes
    ----------
    predictions : SavedPredictions
    evaluation : mapping
        The manifest's ``model`` entry, with ``pooled``, ``years`` and ``folds``; of a model trained here
        also ``baselines``, ``verdict``, ``seeds`` and, when asked for, ``ablation``.
    warnings : list of str
    """

    predictions: SavedPredictions
    evaluation: dict[str, Any]
    warnings: list[str]


def make_model(
    settings: Settings,
    spec: ModelSpec,
    panel: PricePanel,
    columns: Columns,
    progress: Progress,
    models: Path | None = None,
    notes: Sequence[str] = (),
) -> Model:
    """Train walk-forward, measure beside the baselines, and write the weights to `models`.

    `notes` say what the data are; the model's card repeats them.
    """
    from models.comparison import ablation, rivals, verdict
    from models.saved_model import write_model
    from models.training import WalkForwardResult, walk_forward

    cache = Path(settings.cache) if settings.cache else None

    def train(one: ModelSpec) -> WalkForwardResult:
        return walk_forward(
            panel, columns.model, one, seed=settings.seed, jobs=settings.jobs, cache=cache, progress=progress
        )

    result, against = train(spec), settings.against or ()
    found = rivals(result, against, train)
    evaluation = {
        "name": settings.model,
        "spec": spec.as_dict(),
        "pooled": result.pooled.as_dict(),
        "years": [{"year": year, **_without_bins(measures.as_dict())} for year, measures in result.measured.years],
        "folds": [fold.as_dict() for fold in result.folds],
        "seeds": seed_spread([seed.as_dict() for seed in result.seeds]),
        "baselines": [_without_bins_of_pooled(rival.as_dict()) for rival in found],
        "against": list(against),
        "verdict": verdict(found, against),
    }
    if settings.ablation:
        evaluation["ablation"] = [_without_bins_of_pooled(row.as_dict()) for row in ablation(result, train)]
    if models is not None:
        about = {"evaluation": evaluation, "notes": notes, "warnings": result.warnings, "panel_sha256": panel.digest()}
        write_model(result.predictor, models, about)
    return Model(result.predictions, evaluation, result.warnings)


def saved_model(settings: Settings, spec: ModelSpec, saved: SavedPredictions, panel: PricePanel) -> Model:
    """Judge the predictions of a file on this panel: do they belong to it, and how good were they?"""
    path, horizon = Path(str(settings.predictions)), horizon_of(saved, spec.horizon)
    name = {} if saved.origin is None else {"name": saved.origin.model}
    evaluation = {
        "predictions": str(path),
        **name,
        "horizon": horizon,
        **evaluation_of(saved, panel, horizon, spec.gap_sessions),
    }
    start = first_traded_session(settings, panel, saved)
    return Model(saved, evaluation, warnings_of(saved, path, panel, start, horizon))


def default_against(spec: ModelSpec) -> tuple[str, ...]:
    """Return what `train` compares with when nothing is said: the full baselines, but for the model itself."""
    return tuple(name for name in FULL_BASELINES if name != spec.family)


def seed_spread(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean and standard deviation over seeds of the measures that matter; nothing of one seed."""
    if len(seeds) < 2:
        return {}
    values = {name: np.array([seed[name] for seed in seeds]) for name in SEED_MEASURES}
    spread = {name: {"mean": float(v.mean()), "sd": float(v.std(ddof=1))} for name, v in values.items()}
    return {"n": len(seeds), **spread}


def _without_bins(measures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in measures.items() if name != "reliability"}


def _without_bins_of_pooled(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "pooled": _without_bins(row["pooled"])}
