"""The stage between columns and trading: train a model or take its saved predictions, and judge them.

The dictionary that it makes is the manifest's ``model``, evaluation.json, and what the report shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.features import Columns
from engine.holdout import holdout_entry
from engine.saved_predictions import evaluation_of, horizon_of, warnings_of
from engine.settings import Settings
from engine.trading import first_traded_session
from feeds.panel import FeaturePanel, PricePanel
from feeds.progress import Progress
from models.predictions import SavedPredictions
from models.spec import FULL_BASELINES, ModelSpec
from models.trials import Trials, count_trial, known_trials, prices_digest, trial_digest

if TYPE_CHECKING:
    from models.comparison import Trained
    from models.controls import Placebo
    from models.training import WalkForwardResult

SEED_MEASURES = ("information_coefficient", "log_loss", "balanced_accuracy", "direction_auc", "spread_bps")


@dataclass(frozen=True)
class Model:
    """Out-of-sample predictions and what is known of the model that made them.

    Attributes
    ----------
    predictions : SavedPredictions
    evaluation : mapping
        The manifest's ``model`` entry, with ``pooled``, ``years`` and ``folds``; of a model trained here
        also ``baselines``, ``verdict``, ``seeds`` and, when asked for, ``ablation`` and ``placebo``; with a
        cache also ``trials``; with a sealed or opened holdout also ``holdout``.
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
    holdout: Mapping[str, Any] = MappingProxyType({}),
) -> Model:
    """Train walk-forward, measure beside the baselines, and write the weights to `models`.

    `notes` say what the data are; the model's card repeats them. `holdout` is that of `Inputs`.
    """
    from models.comparison import check_ablation
    from models.controls import check_placebo
    from models.saved_model import write_model
    from models.training import walk_forward

    cache = Path(settings.cache) if settings.cache else None
    if settings.placebo:
        check_placebo(panel, spec)
    if settings.ablation:
        check_ablation(spec, columns.model.names)

    def train(one: ModelSpec) -> WalkForwardResult:
        return walk_forward(
            panel, columns.model, one, seed=settings.seed, jobs=settings.jobs, cache=cache, progress=progress
        )

    result = train(spec)
    trials = _counted(cache, panel, columns.model, spec, settings.seed)
    warnings = [*result.warnings, *(trials.warnings if trials else ())]
    evaluation = {**_own_measures(settings, result), **_compared(settings, result, train)}
    evaluation |= holdout_entry(holdout, panel.sessions, lambda rows: result.measured.over(rows).as_dict())
    if trials is not None:
        evaluation["trials"] = trials.as_dict()
    if settings.placebo:
        draws = _placebo(settings, spec, panel, columns.model, cache, progress)
        evaluation["placebo"] = draws.beside(result.pooled.information_coefficient)
    if models is not None:
        about = {"evaluation": evaluation, "notes": notes, "warnings": warnings, "panel_sha256": panel.digest()}
        write_model(result.predictor, models, about)
    return Model(result.predictions, evaluation, warnings)


def _own_measures(settings: Settings, result: WalkForwardResult) -> dict[str, Any]:
    return {
        "name": settings.model,
        "spec": result.predictor.spec.as_dict(),
        "pooled": result.pooled.as_dict(),
        "years": [{"year": year, **_without_bins(measures.as_dict())} for year, measures in result.measured.years],
        "folds": [fold.as_dict() for fold in result.folds],
        "seeds": seed_spread([seed.as_dict() for seed in result.seeds]),
    }


def _compared(settings: Settings, result: WalkForwardResult, train: Trained) -> dict[str, Any]:
    """Train the baselines, and the variants of an ablation, and set the model beside them."""
    from models.comparison import ablation, rivals, verdict

    against = settings.against or ()
    found = rivals(result, against, train)
    compared: dict[str, Any] = {
        "baselines": [_without_bins_of_pooled(rival.as_dict()) for rival in found],
        "against": list(against),
        "verdict": verdict(found, against),
    }
    if settings.ablation:
        compared["ablation"] = [_without_bins_of_pooled(row.as_dict()) for row in ablation(result, train)]
    return compared


def _placebo(
    settings: Settings,
    spec: ModelSpec,
    panel: PricePanel,
    features: FeaturePanel,
    cache: Path | None,
    progress: Progress,
) -> Placebo:
    from models.controls import placebo

    return placebo(
        panel,
        features,
        spec,
        draws=settings.placebo or 0,
        seed=settings.seed,
        jobs=settings.jobs,
        cache=cache,
        progress=progress,
    )


def _counted(
    cache: Path | None, panel: PricePanel, features: FeaturePanel, spec: ModelSpec, seed: int
) -> Trials | None:
    """Count this specification among those tried on these prices; None where no cache remembers them."""
    if cache is None:
        return None
    return count_trial(cache / "trials", prices_digest(panel), trial_digest(spec, seed, features), spec, seed)


def saved_model(
    settings: Settings,
    spec: ModelSpec,
    saved: SavedPredictions,
    panel: PricePanel,
    holdout: Mapping[str, Any] = MappingProxyType({}),
) -> Model:
    """Judge the predictions of a file on this panel: do they belong to it, and how good were they?"""
    path, horizon = Path(str(settings.predictions)), horizon_of(saved, spec.horizon)
    name = {} if saved.origin is None else {"name": saved.origin.model}
    evaluation = {
        "predictions": str(path),
        **name,
        "horizon": horizon,
        **evaluation_of(saved, panel, horizon, spec.gap_sessions, holdout),
    }
    warnings = warnings_of(saved, path, panel, first_traded_session(settings, panel, saved), horizon)
    if settings.cache:
        trials = known_trials(Path(settings.cache) / "trials", prices_digest(panel))
        evaluation["trials"] = trials.as_dict()
        warnings += trials.warnings
    return Model(saved, evaluation, warnings)


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
