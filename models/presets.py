"""The models that have a name: presets, and the baselines of any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_args

from feeds.errors import InputError, unknown_name
from models.level_features import LEVEL_COLUMNS
from models.model_spec import ModelSpec
from models.spec_checks import require, typed_value
from models.spec_choices import FULL_BASELINES, PERSISTENCE_HORIZONS, SIMPLE_BASELINES, Family

_PROBLEM = (
    "context", "lookback_bars", "window", "horizon", "label", "train_sessions", "validation_sessions",
    "test_sessions", "gap_sessions", "masked_bars", "holdout_from", "holdout",
)  # fmt: skip
"""What is predicted, where, and from which sessions: alike in a model and its baselines."""
_ONE_BAR, _SIX_BARS = 1, 5


def resolve(name: str, overrides: Mapping[str, Any] | None = None) -> ModelSpec:
    """Return the preset `name` with `overrides` laid over it.

    Raises
    ------
    InputError
        For an unknown preset or setting (with the nearest valid name), a value of the wrong type, or
        one out of range.
    """
    if name not in PRESETS:
        raise unknown_name("model", name, PRESETS)
    valid = {field.name: str(field.type) for field in fields(ModelSpec) if field.name != "name"}
    for key in overrides or {}:
        if key not in valid:
            raise unknown_name("model setting", key, valid)
    _check_family(name, (overrides or {}).get("family"))
    typed = {key: typed_value(key, valid[key], value) for key, value in (overrides or {}).items()}
    spec = replace(PRESETS[name], **typed)
    if spec.family in SIMPLE_BASELINES:
        _check_inputs(spec, typed)
    if spec.family in SIMPLE_BASELINES and "price_columns" not in typed:  # persistence's follows the horizon
        spec = replace(spec, price_columns=_columns_of_baseline(spec, spec.family))
    return spec


def _check_family(name: str, family: Any) -> None:
    """Refuse to make of one preset a model of another family, whose columns and settings it lacks."""
    own = PRESETS[name].family
    if family in get_args(Family) and family != own:
        preset = "default" if family == "lstm" else family
        raise InputError(
            f"model setting `family`: expected {own}, that of the model {name}, received {family!r}; "
            f"choose `--model {preset}` instead"
        )


def _check_inputs(spec: ModelSpec, typed: Mapping[str, Any]) -> None:
    """Refuse other inputs for a baseline that is about its own columns alone."""
    own = PRESETS[spec.name]
    for key in ("cross_section", "insider", "missing_masks", "pca_variance", "ticker_code"):
        require(
            key, getattr(spec, key) == getattr(own, key), f"{getattr(own, key)!r} for {spec.family}", typed.get(key)
        )
    if "price_columns" in typed:
        columns = _columns_of_baseline(spec, spec.family)
        require("price_columns", spec.price_columns == columns, f"{columns} for {spec.family}", spec.price_columns)


def baseline_of(spec: ModelSpec, name: str) -> ModelSpec:
    """Return the baseline `name` on the folds, the label and the bars of `spec`, so that the two can be compared.

    A full baseline sees the columns of `spec`, a simple one the few that it is about.

    Raises
    ------
    InputError
        For a name that is no baseline, or `persistence` with another horizon than 1, 5 or 21 bars.
    """
    family: Any = name
    if name in FULL_BASELINES:
        return replace(
            spec,
            name=name,
            family=family,
            seeds=1,
            epochs=1,
            warm_up_bars=_SIX_BARS,
            ticker_code="binary" if spec.ticker_code == "embedding" else spec.ticker_code,
        )
    if name not in SIMPLE_BASELINES:
        raise unknown_name("baseline", name, (*SIMPLE_BASELINES, *FULL_BASELINES))
    problem = {key: getattr(spec, key) for key in _PROBLEM}
    chunk = max(ModelSpec.chunk_bars, spec.masked_bars + 1)  # means nothing here, but must be a possible one
    return ModelSpec(
        name=name,
        family=family,
        seeds=1,
        epochs=1,
        warm_up_bars=_ONE_BAR,
        chunk_bars=chunk,
        price_columns=_columns_of_baseline(spec, name),
        cross_section=False,
        insider=False,
        **problem,
    )


def _columns_of_baseline(spec: ModelSpec, name: str) -> tuple[str, ...]:
    if name == "volatility":
        return ("volatility_ratio", "garman_klass", "range", "atr")
    if name == "persistence":
        horizons = ", ".join(map(str, PERSISTENCE_HORIZONS))
        require("horizon", spec.horizon in PERSISTENCE_HORIZONS, f"one of {horizons} for persistence", spec.horizon)
    bars = {"reversal_1": 1, "reversal_5": 5, "persistence": spec.horizon}.get(name, 1)
    return (f"return_{bars}",)


_DEFAULT = ModelSpec()
PRESETS: dict[str, ModelSpec] = {
    "default": _DEFAULT,
    # Small enough for the demo: at few chunks a step costs its bars, so shorter chunks train faster.
    "tiny": replace(
        _DEFAULT,
        name="tiny",
        units=16,
        epochs=15,
        seeds=1,
        chunk_bars=160,
        train_sessions=756,
        validation_sessions=126,
    ),
    "single": replace(_DEFAULT, name="single", label="scaled", cross_section=False),
    # The single input of Fischer and Krauss 2018 (EJOR 270(2)), with the label and horizon of this project.
    "fk1": replace(_DEFAULT, name="fk1", units=25, price_columns=("return_1",), cross_section=False, insider=False),
    # What the notebook did before this project (austinpl/Algorithmic_Trading_Bot), without its mistakes: indicators
    # per stock, a label that can be traded, everything fitted on the training window, windows that end today.
    "source": replace(
        _DEFAULT,
        name="source",
        units=150,
        layers=2,
        normalisation="batch",
        seeds=1,
        context="windows",
        horizon=1,
        label="intraday",
        class_weights="balanced",
        price_columns=LEVEL_COLUMNS,
        cross_section=False,
        insider=False,
        standardise="standard",
        pca_variance=0.99,
        ticker_code="binary",
    ),
}
PRESETS |= {name: baseline_of(_DEFAULT, name) for name in (*SIMPLE_BASELINES, *FULL_BASELINES)}
