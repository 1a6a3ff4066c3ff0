"""What a model's settings must be, refused in words where they are not."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from feeds.errors import InputError, unknown_name
from models.features import PRICE_COLUMNS
from models.level_features import LEVEL_COLUMNS
from models.spec_choices import CHOICES

if TYPE_CHECKING:
    from models.model_spec import ModelSpec


def typed_value(key: str, kind: str, value: Any) -> Any:
    """Return `value` as the field's type, or raise; a whole number may stand for a float, never the reverse."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in CHOICES and isinstance(value, str):
        return value
    if kind.startswith("tuple") and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind == "str | None" and (value is None or isinstance(value, str | dt.date)):
        return value.strftime("%Y-%m-%d") if isinstance(value, dt.date) else value
    wanted = {"tuple[str, ...]": "list of names", "str | None": "date"}.get(kind, "str" if kind in CHOICES else kind)
    raise InputError(f"model setting `{key}`: expected {wanted}, received {value!r}")


def check_ranges(spec: ModelSpec) -> None:
    for field in fields(spec):
        chosen = getattr(spec, field.name)
        choices = CHOICES.get(str(field.type), (chosen,))
        if chosen not in choices:
            raise unknown_name(field.name.replace("_", " "), chosen, choices)
    known = (*PRICE_COLUMNS, *LEVEL_COLUMNS)
    for name in spec.price_columns:
        if name not in known:
            raise unknown_name("price column", name, known)
    require("price_columns", len(spec.price_columns) > 0, "at least one column", spec.price_columns)
    for name in (
        "units", "layers", "epochs", "patience", "batch_windows", "batch_chunks", "min_steps_per_epoch", "masked_bars",
        "warm_up_bars", "gap_sessions", "horizon", "validation_sessions", "test_sessions", "seeds", "embedding_size",
    ):  # fmt: skip
        require(name, getattr(spec, name) >= 1, "a whole number of at least 1", getattr(spec, name))
    require("lookback_bars", spec.lookback_bars >= 2, "a whole number of at least 2", spec.lookback_bars)
    _check_numbers(spec)
    _check_spans(spec)


def _check_numbers(spec: ModelSpec) -> None:
    for field in fields(spec):
        value = getattr(spec, field.name)
        require(field.name, not isinstance(value, float) or math.isfinite(value), "a finite number", value)
    require("dropout", 0 <= spec.dropout < 1, "a number in [0, 1)", spec.dropout)
    require("learning_rate", spec.learning_rate > 0, "a number above 0", spec.learning_rate)
    require("clipnorm", spec.clipnorm > 0, "a number above 0", spec.clipnorm)
    require("winsor_lower", 0 <= spec.winsor_lower < 0.5, "a number in [0, 0.5)", spec.winsor_lower)
    require("winsor_upper", 0.5 < spec.winsor_upper <= 1, "a number in (0.5, 1]", spec.winsor_upper)
    require("pca_variance", 0 <= spec.pca_variance <= 1, "a number in [0, 1]", spec.pca_variance)


def _check_spans(spec: ModelSpec) -> None:
    if spec.label == "intraday":
        require("horizon", spec.horizon == 1, "1 with the label `intraday`", spec.horizon)
    require("chunk_bars", spec.chunk_bars > spec.masked_bars, "more than `masked_bars`", spec.chunk_bars)
    first = "masked_bars" if spec.context == "carried" else "lookback_bars"
    purged = spec.purged_bars
    require(
        "validation_sessions",
        spec.validation_sessions > purged,
        f"more than {purged}, because labels of the last {purged} bars before the test block are left out",
        spec.validation_sessions,
    )
    shortest = spec.validation_sessions + getattr(spec, first) + purged + 1
    require(
        "train_sessions",
        spec.train_sessions >= shortest,
        f"at least {shortest} (`validation_sessions`, `{first}` and the purged bars)",
        spec.train_sessions,
    )
    if spec.family != "lstm":
        require("seeds", spec.seeds == 1, f"1 for {spec.family}, which hardly depends on chance", spec.seeds)
    if spec.holdout_from is not None:
        require("holdout_from", _is_date(spec.holdout_from), "a date like 2023-01-01", spec.holdout_from)
    elif spec.holdout == "open":
        require("holdout", False, "`holdout_from` beside 'open': without a date nothing was sealed", spec.holdout)


def require(name: str, holds: bool, expected: str, received: Any) -> None:
    if not holds:
        raise InputError(f"model setting `{name}`: expected {expected}, received {received!r}")


def _is_date(text: str) -> bool:
    """Return whether `text` is a date as YYYY-MM-DD, of the years that time stamps in nanoseconds hold."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text and "1700" < text < "2262"
    except ValueError:
        return False
