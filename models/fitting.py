"""Which function fits which family of models."""

from __future__ import annotations

from collections.abc import Callable

from models.batches import FitData
from models.boosting import fit_boosting
from models.logistic import fit_logistic
from models.network import FittedNetwork, fit_network
from models.simple_baselines import fit_persistence, fit_prior, fit_reversal, fit_volatility
from models.spec import ModelSpec

_WITHOUT_CHANCE: dict[str, Callable[[FitData, ModelSpec], FittedNetwork]] = {
    "prior": fit_prior,
    "persistence": fit_persistence,
    "reversal_1": fit_reversal,
    "reversal_5": fit_reversal,
    "volatility": fit_volatility,
    "logistic": fit_logistic,
}


def fit(data: FitData, spec: ModelSpec, seed: int, on_epoch: Callable[[int], None]) -> FittedNetwork:
    """Fit one model of the spec's family; `on_epoch` is called with the number of each finished epoch."""
    if spec.family == "lstm":
        return fit_network(data, spec, seed, on_epoch)
    fitted = (
        fit_boosting(data, spec, seed)
        if spec.family == "gradient_boosting"
        else _WITHOUT_CHANCE[spec.family](data, spec)
    )
    on_epoch(1)
    return fitted
