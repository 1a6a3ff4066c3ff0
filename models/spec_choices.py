"""The words that a model's settings may take."""

from __future__ import annotations

from typing import Literal, get_args

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
CHOICES: dict[str, tuple[str, ...]] = {
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
SIMPLE_BASELINES = ("prior", "persistence", "reversal_1", "reversal_5", "volatility")
"""One idea and at most a few columns each; fitted in a moment."""
FULL_BASELINES = ("logistic", "gradient_boosting")
"""The same columns as the network, of the bar and of the five before it."""
PERSISTENCE_HORIZONS = (1, 5, 21)
