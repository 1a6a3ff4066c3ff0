"""Baselines of one idea each: what a network must beat before anything about it is worth saying.

All see the present bar only. Where a score would rank by accident (the mean of an uneven distribution
times each stock's volatility) it is 0, so that a model without an opinion on direction ranks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from models.batches import FitData
from models.labels import CLASS_NAMES
from models.lagged import Lagged
from models.logistic import Logistic, fit_linear
from models.network import FittedNetwork, Validation
from models.spec import ModelSpec
from models.tabular import labelled_rows

_ALMOST_FREE = (1e-2,)
_LEAST_LEAD, _MOST_REPEAT = 0.001, 0.9
_LEAST_SHARE = 1e-6


class _Stateless(Lagged):
    """A model whose raw output is its four probabilities, and whose score is 0 unless it says otherwise."""

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Return the probabilities."""
        return raw

    def expected(self, raw: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return 0: no opinion on direction."""
        return np.zeros(raw.shape[:-1])


@dataclass(frozen=True)
class Prior(_Stateless):
    """The classes' shares in training, whatever the bar.

    Attributes
    ----------
    shares : ndarray of float64, shape [4]
    """

    shares: np.ndarray

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return the shares for every row."""
        return np.tile(self.shares, (len(rows), 1))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was fitted, by name."""
        return {"family": np.array("prior"), "shares": self.shares}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Prior:
        """Build the model from what `arrays` returned."""
        return Prior(arrays["shares"])


@dataclass(frozen=True)
class Persistence(_Stateless):
    """The class of the last return comes again a little more often than its share.

    Attributes
    ----------
    shares : ndarray of float64, shape [4]
    lower, upper : float
        Where the last return's classes meet: training medians of what lies below and above its median.
    repeat : float
        The chance beyond the share; at least what makes the last class the likeliest.
    """

    shares: np.ndarray
    lower: float
    upper: float
    repeat: float

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities, shape [B, 4]."""
        last = last_class(rows[:, 0], self.lower, self.upper)
        return (1 - self.repeat) * self.shares + self.repeat * np.eye(len(CLASS_NAMES))[last]

    def expected(self, raw: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the expected target beyond that of the shares alone."""
        return np.asarray((raw - self.shares) @ means)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was fitted, by name."""
        return {"family": np.array("persistence"), **{name: np.asarray(value) for name, value in vars(self).items()}}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Persistence:
        """Build the model from what `arrays` returned."""
        numbers = (float(arrays[name]) for name in ("lower", "upper", "repeat"))
        return Persistence(arrays["shares"], *numbers)


@dataclass(frozen=True)
class Reversal(Lagged):
    """What fell lately rises. The score is minus the last return; the probabilities are a regression on it.

    Attributes
    ----------
    linear : Logistic
        Multinomial, on the one scaled return.
    """

    linear: Logistic

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return four logits and the scaled return, shape [B, 5]."""
        return np.concatenate([self.linear.outputs(rows[:, :1]), rows[:, :1]], axis=1)

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities."""
        return self.linear.probabilities(raw[..., :4])

    def expected(self, raw: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return minus the return, in the size of the regression's slope at its middle, whatever that one's sign."""
        middle = self.linear.probabilities(self.linear.bias)
        kernel = self.linear.kernel[0] / self.linear.temperature
        slope = (means * middle) @ (kernel - middle @ kernel)
        return np.asarray(-abs(slope) * raw[..., 4])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was fitted, by name."""
        return self.linear.arrays() | {"family": np.array("reversal")}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Reversal:
        """Build the model from what `arrays` returned."""
        return Reversal(Logistic.from_arrays(arrays))


@dataclass(frozen=True)
class Volatility(_Stateless):
    """How large the move will be, from measures of volatility; nothing on its direction.

    Attributes
    ----------
    shares : ndarray of float64, shape [4]
    kernel, bias : ndarray of float64, shape [F] and []
        Logit of a greater loss or a greater profit.
    """

    shares: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities, shape [B, 4]."""
        great = expit(rows @ self.kernel + self.bias)
        outer = self.shares[0] + self.shares[3]
        return np.where([True, False, False, True], great[:, None] / outer, (1 - great[:, None]) / (1 - outer)) * (
            self.shares
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was fitted, by name."""
        return {"family": np.array("volatility"), **{name: np.asarray(value) for name, value in vars(self).items()}}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Volatility:
        """Build the model from what `arrays` returned."""
        return Volatility(arrays["shares"], arrays["kernel"], arrays["bias"])


def last_class(values: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """Return the class, 0 to 3, of scaled returns."""
    return (values > lower).astype(int) + (values > 0) + (values >= upper)


def class_shares(classes: np.ndarray) -> np.ndarray:
    """Return each class's share, none quite 0, shape [4]."""
    shares = np.maximum(np.bincount(classes, minlength=len(CLASS_NAMES)) / len(classes), _LEAST_SHARE)
    return np.asarray(shares / shares.sum())


def fit_prior(data: FitData, spec: ModelSpec) -> FittedNetwork:
    """Return the classes' shares."""
    return _fitted(Prior(class_shares(labelled_rows(data, 0)[1])), data, spec)


def fit_persistence(data: FitData, spec: ModelSpec) -> FittedNetwork:
    """Return how often the last return's class comes again: Cohen's kappa, within limits."""
    rows, classes, _ = labelled_rows(data, 0)
    values = rows[:, 0].astype(np.float64)
    below, above = values[values <= 0], values[values > 0]
    lower = float(np.median(below)) if len(below) else 0.0
    upper = float(np.median(above)) if len(above) else np.inf
    shares, last = class_shares(classes), last_class(values, lower, upper)
    by_chance = class_shares(last) @ shares
    kappa = ((last == classes).mean() - by_chance) / (1 - by_chance)
    return _fitted(Persistence(shares, lower, upper, repeat_within_limits(float(kappa), shares)), data, spec)


def repeat_within_limits(kappa: float, shares: np.ndarray) -> float:
    """Return `kappa`, but no less than it takes to predict the rarest class after itself."""
    lead = shares.max() - shares.min() + _LEAST_LEAD
    return float(np.clip(kappa, lead / (1 + lead), _MOST_REPEAT))


def fit_reversal(data: FitData, spec: ModelSpec) -> FittedNetwork:
    """Return the regression of the classes on the last return, its one column."""
    rows, classes, weights = labelled_rows(data, 0)
    linear = fit_linear(rows, classes, weights, _ALMOST_FREE, 0)[0]
    return _fitted(Reversal(replace(linear, temperature=Validation.of(data, spec).temperature(linear))), data, spec)


def fit_volatility(data: FitData, spec: ModelSpec) -> FittedNetwork:
    """Return the regression of a great move on measures of volatility, its columns."""
    rows, classes, weights = labelled_rows(data, 0)
    great = np.isin(classes, (0, 3)).astype(int)
    linear = fit_linear(rows, great, weights, _ALMOST_FREE, 0)[0]
    return _fitted(
        Volatility(class_shares(classes), linear.kernel[:, 1] - linear.kernel[:, 0], linear.bias[1] - linear.bias[0]),
        data,
        spec,
    )


def _fitted(model: Prior | Persistence | Reversal | Volatility, data: FitData, spec: ModelSpec) -> FittedNetwork:
    """Put a model beside its validation log-loss; there is no course of training to tell."""
    validation = Validation.of(data, spec)
    raw = model.run(validation.inputs, validation.segments)[validation.labelled]
    chances = model.probabilities(raw)[np.arange(len(validation.classes)), validation.classes]
    loss = float(-(validation.weights * np.log(chances)).sum() / validation.weights.sum())
    return FittedNetwork(model, 1, 1, loss)
