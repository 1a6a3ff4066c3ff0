"""All hyper-parameters of one model, in one frozen record that refuses what cannot be."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from feeds.errors import InputError, unknown_name
from models.features import PRICE_COLUMNS
from models.level_features import LEVEL_COLUMNS
from models.spec_checks import check_ranges
from models.spec_choices import (
    SIMPLE_BASELINES,
    ClassWeights,
    Context,
    Family,
    Holdout,
    Label,
    Normalisation,
    Standardise,
    TickerCode,
    Window,
)

_NOT_OF_A_FOLD = ("name", "seeds", "holdout_from", "holdout")
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
        check_ranges(self)

    @property
    def quick(self) -> bool:
        """True where fitting takes less time than starting a process for it."""
        return self.family in SIMPLE_BASELINES

    @property
    def cross_sectional(self) -> bool:
        """True where the label or the columns compare stocks with each other."""
        return self.label == "relative" or self.cross_section

    @property
    def purged_bars(self) -> int:
        """Bars before a boundary whose label reaches over it: what is decided at t is known at t + this."""
        return 1 if self.label == "intraday" else self.horizon + 1

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
