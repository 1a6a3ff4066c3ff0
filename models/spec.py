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
from models.level_features import LEVEL_COLUMNS

Label = Literal["relative", "scaled", "absolute", "intraday"]
Family = Literal[
    "lstm", "prior", "persistence", "reversal_1", "reversal_5", "volatility", "logistic", "gradient_boosting"
]
Context = Literal["carried", "windows"]
Window = Literal["rolling", "expanding"]
Standardise = Literal["robust", "standard", "none"]
TickerCode = Literal["none", "binary", "embedding"]
Normalisation = Literal["layer", "batch", "none"]
ClassWeights = Literal["none", "balanced"]
Holdout = Literal["sealed", "open"]
RAW_LABELS: tuple[Label, ...] = ("absolute", "intraday")
"""Labels that are returns as they are, not in units of the stock's volatility."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "Label": get_args(Label),
    "Family": get_args(Family),
    "Context": get_args(Context),
    "Window": get_args(Window),
    "Standardise": get_args(Standardise),
    "TickerCode": get_args(TickerCode),
    "Normalisation": get_args(Normalisation),
    "ClassWeights": get_args(ClassWeights),
    "Holdout": get_args(Holdout),
}
_NOT_OF_A_FOLD = ("name", "seeds", "holdout_from", "holdout")
SIMPLE_BASELINES = ("prior", "persistence", "reversal_1", "reversal_5", "volatility")
"""One idea and at most a few columns each; fitted in a moment."""
FULL_BASELINES = ("logistic", "gradient_boosting")
"""The same columns as the network, of the bar and of the five before it."""
PERSISTENCE_HORIZONS = (1, 5, 21)
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
    family : str
        ``lstm``, or a baseline, for which the settings of network and training mean nothing.
    units, layers, dropout : int, int, float
        LSTM cells per layer, number of LSTM layers, dropout after each normalisation.
    normalisation : str
        ``layer`` after the last LSTM layer, ``batch`` after each of them, or ``none``. Under ``layer`` and
        ``none`` there is one dropout, before the output layer.
    epochs, patience : int
        Most epochs, and how many without a better validation log-loss end the training.
    learning_rate, clipnorm : float
        Of Adam.
    context : str
        ``carried``: trained many to many on chunks, the state carried from bar to bar when predicting;
        ``windows``: trained and asked on exactly the last `lookback_bars` bars.
    lookback_bars, batch_windows : int
        Of ``windows``: bars per window, the first of a stock without an output until one is full, and windows
        per gradient step.
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
        ``relative`` (volatility-scaled, less the session's median), ``scaled``, ``absolute``, or ``intraday``
        (close over open of the next bar, as it is; horizon 1).
    class_weights : str
        ``none``, or ``balanced``: in training, classes count as if equally frequent. That moves the
        probabilities towards equal ones.
    window : str
        ``rolling``, or ``expanding``: every fold learns from the first session on.
    train_sessions, validation_sessions, test_sessions : int
        The training window (of ``expanding``, the first one), its last part kept for validation, and the test
        block that follows.
    seeds : int
        Networks per fold whose calibrated probabilities are averaged.
    price_columns : tuple of str
        Which of `models.features.PRICE_COLUMNS` and `models.level_features.LEVEL_COLUMNS` the network sees.
    cross_section, insider : bool
        Whether the network sees the ``xs_`` and ``ins_`` columns that it is given.
    standardise : str
        ``robust`` (median and deviation from it), ``standard`` (mean and standard deviation) or ``none``.
        The first two are clipped to +-4.
    winsorise, winsor_lower, winsor_upper : bool, float, float
        Whether values are first held between these quantiles of the training window.
    missing_masks : bool
        One more input of 0 and 1 per column that has missing values in the training window.
    pca_variance : float
        Share of the variance that principal components keep; 0 for none.
    ticker_code, embedding_size : str, int
        ``none``, ``binary`` (the stock's number in bits) or ``embedding`` (trained, of that size).
    holdout_from : str or None
        ISO date from which sessions are sealed: neither trained on, predicted, traded nor measured on.
    holdout : str
        ``sealed``, or ``open``: the one look at those sessions, which leaves a trace (`models.holdout`).
    """

    name: str = "default"
    family: Family = "lstm"
    units: int = 32
    layers: int = 1
    dropout: float = 0.2
    normalisation: Normalisation = "layer"
    epochs: int = 50
    patience: int = 5
    learning_rate: float = 1e-3
    clipnorm: float = 1.0
    context: Context = "carried"
    lookback_bars: int = 30
    batch_windows: int = 1024
    batch_chunks: int = 64
    min_steps_per_epoch: int = 15
    chunk_bars: int = 250
    masked_bars: int = 60
    warm_up_bars: int = 250
    gap_sessions: int = 5
    horizon: int = 5
    label: Label = "relative"
    class_weights: ClassWeights = "none"
    window: Window = "rolling"
    train_sessions: int = 1260
    validation_sessions: int = 252
    test_sessions: int = 252
    seeds: int = 5
    price_columns: tuple[str, ...] = PRICE_COLUMNS
    cross_section: bool = True
    insider: bool = True
    standardise: Standardise = "robust"
    winsorise: bool = False
    winsor_lower: float = 0.01
    winsor_upper: float = 0.99
    missing_masks: bool = False
    pca_variance: float = 0.0
    ticker_code: TickerCode = "none"
    embedding_size: int = 4
    holdout_from: str | None = None
    holdout: Holdout = "sealed"

    def __post_init__(self) -> None:
        _check_ranges(self)

    @property
    def quick(self) -> bool:
        """True where fitting takes less time than starting a process for it."""
        return self.family in SIMPLE_BASELINES

    @property
    def cross_sectional(self) -> bool:
        """True where the label or the columns compare stocks with each other."""
        return self.label == "relative" or self.cross_section

    @property
    def unscored_bars(self) -> int:
        """Bars at the beginning of a stock's history (and of its training window) without an output."""
        return self.masked_bars if self.context == "carried" else self.lookback_bars - 1

    @property
    def fed_before(self) -> int:
        """Bars fed before the first prediction of a fold, outputs discarded."""
        return self.warm_up_bars if self.context == "carried" else self.lookback_bars - 1

    @property
    def level_columns(self) -> tuple[str, ...]:
        """The columns that `models.level_features` must compute."""
        return tuple(name for name in LEVEL_COLUMNS if name in self.price_columns)

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
        """Return one text per meaning: what the fold cache hashes, without what does not matter to a fold."""
        return json.dumps({k: v for k, v in self.as_dict().items() if k not in _NOT_OF_A_FOLD}, sort_keys=True)


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
    spec = replace(PRESETS[name], **typed)
    if spec.family in SIMPLE_BASELINES and "price_columns" not in typed:  # persistence's follows the horizon
        spec = replace(spec, price_columns=_columns_of_baseline(spec, spec.family))
    return spec


def _typed(key: str, kind: str, value: Any) -> Any:
    """Return `value` as the field's type, or raise; a whole number may stand for a float, never the reverse."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in _CHOICES and isinstance(value, str):
        return value
    if kind.startswith("tuple") and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind == "str | None" and (value is None or isinstance(value, str | dt.date)):
        return None if value is None else str(value)[:10]
    wanted = {"tuple[str, ...]": "list of names", "str | None": "date"}.get(kind, "str" if kind in _CHOICES else kind)
    raise InputError(f"model setting `{key}`: expected {wanted}, received {value!r}")


def _check_ranges(spec: ModelSpec) -> None:
    for field in fields(spec):
        chosen = getattr(spec, field.name)
        choices = _CHOICES.get(str(field.type), (chosen,))
        if chosen not in choices:
            raise unknown_name(field.name.replace("_", " "), chosen, choices)
    known = (*PRICE_COLUMNS, *LEVEL_COLUMNS)
    for name in spec.price_columns:
        if name not in known:
            raise unknown_name("price column", name, known)
    _require("price_columns", len(spec.price_columns) > 0, "at least one column", spec.price_columns)
    for name in (
        "units", "layers", "epochs", "patience", "batch_windows", "batch_chunks", "min_steps_per_epoch", "masked_bars",
        "warm_up_bars", "gap_sessions", "horizon", "validation_sessions", "test_sessions", "seeds", "embedding_size",
    ):  # fmt: skip
        _require(name, getattr(spec, name) >= 1, "a whole number of at least 1", getattr(spec, name))
    _require("lookback_bars", spec.lookback_bars >= 2, "a whole number of at least 2", spec.lookback_bars)
    _check_numbers(spec)
    _check_spans(spec)


def _check_numbers(spec: ModelSpec) -> None:
    _require("dropout", 0 <= spec.dropout < 1, "a number in [0, 1)", spec.dropout)
    _require("learning_rate", spec.learning_rate > 0, "a number above 0", spec.learning_rate)
    _require("clipnorm", spec.clipnorm > 0, "a number above 0", spec.clipnorm)
    _require("winsor_lower", 0 <= spec.winsor_lower < 0.5, "a number in [0, 0.5)", spec.winsor_lower)
    _require("winsor_upper", 0.5 < spec.winsor_upper <= 1, "a number in (0.5, 1]", spec.winsor_upper)
    _require("pca_variance", 0 <= spec.pca_variance <= 1, "a number in [0, 1]", spec.pca_variance)


def _check_spans(spec: ModelSpec) -> None:
    if spec.label == "intraday":
        _require("horizon", spec.horizon == 1, "1 with the label `intraday`", spec.horizon)
    _require("chunk_bars", spec.chunk_bars > spec.masked_bars, "more than `masked_bars`", spec.chunk_bars)
    first = "masked_bars" if spec.context == "carried" else "lookback_bars"
    shortest = spec.validation_sessions + getattr(spec, first) + spec.horizon + 2
    _require(
        "train_sessions",
        spec.train_sessions >= shortest,
        f"at least {shortest} (`validation_sessions`, `{first}` and the purged bars)",
        spec.train_sessions,
    )
    if spec.family != "lstm":
        _require("seeds", spec.seeds == 1, f"1 for {spec.family}, which hardly depends on chance", spec.seeds)
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


_PROBLEM = (
    "context", "lookback_bars", "window", "horizon", "label", "train_sessions", "validation_sessions",
    "test_sessions", "gap_sessions", "masked_bars", "holdout_from", "holdout",
)  # fmt: skip
"""What is predicted, where, and from which sessions: alike in a model and its baselines."""
_ONE_BAR, _SIX_BARS = 1, 5


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
        _require("horizon", spec.horizon in PERSISTENCE_HORIZONS, f"one of {horizons} for persistence", spec.horizon)
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
