"""The way of the data, from settings to the run folder.

    prices, filings -> columns -> walk-forward predictions -> backtest -> statistics -> report, tearsheet

Everything that can be refused without reading data is refused before the first stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd

from engine.features import Columns, build_columns
from engine.findings import repairs
from engine.holdout import load_unsealed
from engine.inputs import Inputs, market_settings
from engine.model_stage import Model, default_against, make_model, saved_model
from engine.outputs import (
    comparison_lines,
    figures_table,
    model_lines,
    model_table,
    warning_lines,
    write_evaluation,
    write_json,
    write_pages,
    write_tables,
)
from engine.price_inputs import check_place
from engine.progress import progress_bars
from engine.provenance import git_commit, package_versions
from engine.run_folder import check_free, run_folder, write_text
from engine.saved_predictions import horizon_of
from engine.settings import Settings
from engine.stages import Stages
from engine.trading import check_account, check_benchmark, load_strategy, trade
from feeds.errors import InputError, unknown_name
from feeds.panel import PricePanel
from feeds.progress import Progress
from models.predictions import SavedPredictions
from models.spec import FULL_BASELINES, SIMPLE_BASELINES, ModelSpec
from models.spec import resolve as resolve_model
from strategies.parameters import user_parameters


def run(settings: Settings, out: Path, *, force: bool = False, quiet: bool = False) -> tuple[dict[str, Any], str]:
    """Make the run folder `out`; return its manifest and a table for the screen.

    Raises
    ------
    InputError
        For settings or data that cannot be used; nothing is left behind.
    EnvironmentFailure
        If the disk or a training process fails.
    """
    check_free(out, force=force)
    check_account(settings)
    check_place(settings)
    check_nothing_to_train(settings)
    spec = model_spec(settings)
    saved = None if settings.predictions is None else SavedPredictions.read(Path(settings.predictions))
    strategy = load_strategy(settings, horizon=spec.horizon if saved is None else horizon_of(saved, spec.horizon))
    check_against(settings)
    settings = resolved(settings, spec if saved is None else _with_horizon(spec, saved), strategy)
    progress, stages = progress_bars(quiet=quiet), Stages()
    with run_folder(out, force=force) as folder:
        extra = getattr(strategy[0], "insider_columns", ())
        inputs, columns, model = _prepared(settings, spec, progress, stages, extra=extra, saved=saved)
        with stages("backtest"):
            tried = (model.evaluation.get("trials") or {}).get("of")
            trading = trade(settings, strategy, inputs, columns.feed, model.predictions, progress, tried=tried)
        warnings = [*inputs.warnings, *model.warnings, *trading.warnings]
        with stages("report"):
            write_tables(trading, folder)
            write_pages(settings, inputs, model.evaluation, trading, warnings, folder, progress)
            write_evaluation(model.evaluation, folder)
        model.predictions.write(folder / "predictions.parquet")
        manifest = {
            **_manifest(settings, inputs, model, stages),
            "warnings": [*inputs.notes, *warnings],
            "sessions": _spans(settings, inputs.panel, trading.result.equity.index),
            "metrics": trading.metrics,
        }
        write_text(folder / "config.toml", settings.as_toml())
        write_json(manifest, folder / "manifest.json")
    return manifest, figures_table(trading, model.evaluation) + warning_lines(warnings)


def train(settings: Settings, out: Path, *, force: bool = False, quiet: bool = False) -> tuple[dict[str, Any], str]:
    """Write predictions, weights and evaluation to `out`; return the manifest and a table for the screen.

    Raises
    ------
    InputError, EnvironmentFailure
        As `run`.
    """
    check_free(out, force=force)
    if settings.predictions is not None:
        raise InputError(f"`train`: expected no `--predictions`, received {settings.predictions}; `run` trades them")
    check_account(settings)
    spec, progress, stages = model_spec(settings), progress_bars(quiet=quiet), Stages()
    check_against(settings)
    if settings.against is None:
        settings = replace(settings, against=default_against(spec))
    settings = resolved(settings, spec)
    with run_folder(out, force=force) as folder:
        inputs, _, model = _prepared(settings, spec, progress, stages, models=folder / "models")
        model.predictions.write(folder / "predictions.parquet")
        manifest = _manifest(settings, inputs, model, stages)
        write_evaluation(model.evaluation, folder)
        write_text(folder / "config.toml", settings.as_toml())
        write_json(manifest, folder / "manifest.json")
    table = model_table(model.evaluation["folds"]) + comparison_lines(model.evaluation) + model_lines(model.evaluation)
    return manifest, table + warning_lines([*inputs.warnings, *model.warnings])


def model_spec(settings: Settings) -> ModelSpec:
    """Return the model's settings: the preset, the options laid over it, the number of seeds."""
    options = dict(settings.model_options)
    if settings.seeds is not None:
        options["seeds"] = settings.seeds
    spec = resolve_model(settings.model, options)
    # Without filings their columns do not exist, which is not the same as columns of zeros.
    return replace(spec, insider=spec.insider and settings.filings != "none")


def check_against(settings: Settings) -> None:
    """Refuse a name in `--against` that is no baseline, before any work."""
    for name in settings.against or ():
        if name not in (*SIMPLE_BASELINES, *FULL_BASELINES):
            raise unknown_name("baseline of `--against`:", name, (*SIMPLE_BASELINES, *FULL_BASELINES))


def check_nothing_to_train(settings: Settings) -> None:
    """Refuse what must be trained to be compared with, where predictions are read from a file."""
    asked = {"against": settings.against, "ablation": settings.ablation, "placebo": settings.placebo}
    for name, given in asked.items():
        if settings.predictions is not None and given:
            raise InputError(
                f"`--{name}`: expected none with `--predictions`, which trains nothing, received it beside "
                f"{settings.predictions}; leave it out, or compare with `train`, whose evaluation.md has the table"
            )


def _with_horizon(spec: ModelSpec, saved: SavedPredictions) -> ModelSpec:
    """Return the spec with the file's horizon, so that config.toml tells what was traded."""
    return replace(spec, horizon=horizon_of(saved, spec.horizon))


def resolved(
    settings: Settings, spec: ModelSpec, strategy: tuple[type[bt.Strategy], Mapping[str, Any]] | None = None
) -> Settings:
    """Return the settings with every value in effect written out: other defaults, later, change nothing of a run."""
    options = {name: value for name, value in spec.as_dict().items() if name != "name" and value is not None}
    params: dict[str, Any] = {}
    if strategy is not None:
        in_effect = {**user_parameters(strategy[0]), **strategy[1]}
        params = {name: value for name, value in in_effect.items() if isinstance(value, bool | int | float | str)}
    market: dict[str, Any] = {}
    if settings.prices == "synthetic":
        market = asdict(market_settings(settings))
        if "seed" not in settings.market:
            del market["seed"]  # it follows `seed`
    return replace(settings, params=params, model_options=options, seeds=None, market=market)


def _prepared(
    settings: Settings,
    spec: ModelSpec,
    progress: Progress,
    stages: Stages,
    models: Path | None = None,
    extra: Sequence[str] = (),
    saved: SavedPredictions | None = None,
) -> tuple[Inputs, Columns, Model]:
    with stages("data"):
        inputs = load_unsealed(settings, spec, progress, traded=models is None)
    if saved is None:
        spec.require_names(len(inputs.panel.tickers))
    if models is None and saved is None:
        check_benchmark(settings, inputs, spec)
    with stages("columns"):
        columns = build_columns(inputs.panel, inputs.filings, extra, spec.level_columns)
    with stages("model"):
        if saved is None:
            model = make_model(settings, spec, inputs.panel, columns, progress, models, inputs.notes, inputs.holdout)
        else:
            model = saved_model(settings, spec, saved, inputs.panel, inputs.holdout)
    return inputs, columns, model


def _manifest(settings: Settings, inputs: Inputs, model: Model, stages: Stages) -> dict[str, Any]:
    return {
        "settings": settings.as_dict(),
        "seed": settings.seed,
        "versions": package_versions(),
        "git_commit": git_commit(),
        "inputs": {**inputs.digests, "panel": {"sha256": inputs.panel.digest()}},
        "timings": stages.timings,
        "model": model.evaluation,
        "repairs": repairs(inputs.findings),
        "warnings": [*inputs.notes, *inputs.warnings, *model.warnings],
    }


def _spans(settings: Settings, panel: PricePanel, equity: pd.Index) -> dict[str, Any]:
    return {
        "data": [panel.sessions[0].date(), panel.sessions[-1].date()],
        "from": settings.first,
        "traded": [equity[0].date(), equity[-1].date()],
    }
