"""What a model is: every choice that changes its predictions, in one frozen record.

A preset is a complete `ModelSpec`; `resolve` lays a user's overrides over it and refuses what it
does not know. Nothing here looks at data: the number of names never changes a label or a column.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from feeds.errors import InputError, unknown_name
from models.features import PRICE_COLUMNS

Label = Literal["relative", "scaled", "absolute"]
FEWEST_NAMES = 10
CROSS_SECTION_PREFIX = "xs_"
INSIDER_PREFIX = "ins_"


@dataclass(frozen=True)
class ModelSpec:
    """All hyper-parameters of one walk-forward model.

    Attributes
    ----------
    name : str
        The preset that it came from.
    units, layers, dropout : int, int, float
        LSTM cells per layer, number of LSTM layers, dropout before the output layer.
    epochs, patience : int
        Most epochs, and how many without a better validation log-loss end the training.
    learning_rate, clipnorm : float
        Of Adam.
    batch_chunks, min_steps_per_epoch : int
        Chunks per gradient step, made smaller until an epoch has at least that many steps.
    chunk_bars, masked_bars : int
        Length of a training chunk, and how many of its first bars are not scored.
    warm_up_bars : int
        Traded bars fed before the first prediction of a fold, outputs discarded.
    gap_sessions : int
        After more missed sessions than this the state is warmed up again, and no label spans them.
    horizon : int
        Bars held: the label runs from open(t+1) to open(t+1+horizon).
    label : str
        ``relative`` (volatility-scaled, less the session's median), ``scaled`` or ``absolute``.
    train_sessions, validation_sessions, test_sessions : int
        The training window, its last part kept for validation, and the test block that follows.
    seeds : int
        Networks per fold whose calibrated probabilities are averaged.
    price_columns : tuple of str
        Which of `models.features.PRICE_COLUMNS` the network sees.
    cross_section, insider : bool
        Whether the network sees the ``xs_`` and ``ins_`` columns that it is given.
    holdout_from : str or None
        ISO date from which sessions are sealed: neither trained on, predicted, traded nor measured on.
    """

    name: str = "default"
    units: int = 32
    layers: int = 1
    dropout: float = 0.2
    epochs: int = 50
    patience: int = 5
    learning_rate: float = 1e-3
    clipnorm: float = 1.0
    batch_chunks: int = 64
    min_steps_per_epoch: int = 15
    chunk_bars: int = 250
    masked_bars: int = 60
    warm_up_bars: int = 250
    gap_sessions: int = 5
    horizon: int = 5
    label: Label = "relative"
    train_sessions: int = 1260
    validation_sessions: int = 252
    test_sessions: int = 252
    seeds: int = 5
    price_columns: tuple[str, ...] = PRICE_COLUMNS
    cross_section: bool = True
    insider: bool = True
    holdout_from: str | None = None

    def __post_init__(self) -> None:
        _check_ranges(self)

    @property
    def cross_sectional(self) -> bool:
        """True where the label or the columns compare stocks with each other."""
        return self.label == "relative" or self.cross_section

    def require_names(self, count: int) -> None:
        """Raise InputError when `count` names are too few to compare them with each other."""
        if self.cross_sectional and count < FEWEST_NAMES:
            raise InputError(
                f"model {self.name!r} compares stocks with each other: expected at least {FEWEST_NAMES} tickers, "
                f"received {count}; choose `--model single`"
            )

    def columns_of(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """Return the model's columns among `available`, in their order there.

        Raises
        ------
        InputError
            If a price column of the spec is not available.
        """
        for name in self.price_columns:
            if name not in available:
                raise unknown_name("model column", name, available)
        return tuple(name for name in available if self._wants(name))

    def _wants(self, name: str) -> bool:
        if name.startswith(CROSS_SECTION_PREFIX):
            return self.cross_section
        if name.startswith(INSIDER_PREFIX):
            return self.insider
        return name in self.price_columns

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return dataclasses.asdict(self) | {"price_columns": list(self.price_columns)}

    def canonical(self) -> str:
        """Return one text per meaning: what the fold cache hashes. Name and number of seeds do not matter to a fold."""
        return json.dumps({k: v for k, v in self.as_dict().items() if k not in ("name", "seeds")}, sort_keys=True)


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
    typed = {key: _typed(key, valid[key], value) for key, value in (overrides or {}).items()}
    return replace(PRESETS[name], **typed)


def _typed(key: str, kind: str, value: Any) -> Any:
    """Return `value` as the field's type, or raise; a whole number may stand for a float, never the reverse."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "Label" and isinstance(value, str):
        return value
    if kind.startswith("tuple") and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind == "str | None" and (value is None or isinstance(value, str | dt.date)):
        return None if value is None else str(value)[:10]
    wanted = {"tuple[str, ...]": "list of names", "Label": "str", "str | None": "date"}.get(kind, kind)
    raise InputError(f"model setting `{key}`: expected {wanted}, received {value!r}")


def _check_ranges(spec: ModelSpec) -> None:
    if spec.label not in get_args(Label):
        raise unknown_name("label", spec.label, get_args(Label))
    for name in spec.price_columns:
        if name not in PRICE_COLUMNS:
            raise unknown_name("price column", name, PRICE_COLUMNS)
    _require("price_columns", len(spec.price_columns) > 0, "at least one column", spec.price_columns)
    for name in (
        "units", "layers", "epochs", "patience", "batch_chunks", "min_steps_per_epoch", "masked_bars",
        "warm_up_bars", "gap_sessions", "horizon", "validation_sessions", "test_sessions", "seeds",
    ):  # fmt: skip
        _require(name, getattr(spec, name) >= 1, "a whole number of at least 1", getattr(spec, name))
    _require("dropout", 0 <= spec.dropout < 1, "a number in [0, 1)", spec.dropout)
    _require("learning_rate", spec.learning_rate > 0, "a number above 0", spec.learning_rate)
    _require("clipnorm", spec.clipnorm > 0, "a number above 0", spec.clipnorm)
    _require("chunk_bars", spec.chunk_bars > spec.masked_bars, "more than `masked_bars`", spec.chunk_bars)
    shortest = spec.validation_sessions + spec.masked_bars + spec.horizon + 2
    _require(
        "train_sessions",
        spec.train_sessions >= shortest,
        f"at least {shortest} (`validation_sessions`, `masked_bars` and the purged bars)",
        spec.train_sessions,
    )
    if spec.holdout_from is not None:
        _require("holdout_from", _is_date(spec.holdout_from), "a date like 2023-01-01", spec.holdout_from)


def _require(name: str, holds: bool, expected: str, received: Any) -> None:
    if not holds:
        raise InputError(f"model setting `{name}`: expected {expected}, received {received!r}")


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


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
}
