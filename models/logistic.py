"""Multinomial logistic regression on the features of six bars: the honest reference of any network.

scikit-learn fits it; what is kept is one matrix. The strength of the ridge penalty is the one of least
validation log-loss, and the probabilities are calibrated as the network's are.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from models.batches import FitData
from models.labels import CLASS_NAMES
from models.lagged import Lagged
from models.network import FittedNetwork, Validation
from models.spec import ModelSpec
from models.tabular import LAGS, labelled_rows

_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
"""scikit-learn's C with weights of mean 1: from hardly any coefficient to almost free ones."""
_MOST_ITERATIONS = 300


@dataclass(frozen=True)
class Logistic(Lagged):
    """Logits that are linear in the inputs of the present bar and of the bars before it.

    Attributes
    ----------
    kernel : ndarray of float64, shape [(lags + 1) * F, 4]
    bias : ndarray of float64, shape [4]
    seen : int
        Bars before the present one.
    temperature : float
    """

    kernel: np.ndarray
    bias: np.ndarray
    seen: int = 0
    temperature: float = 1.0

    @property
    def lags(self) -> int:
        """Bars before the present one."""
        return self.seen

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return logits, shape [B, 4]."""
        return np.asarray(rows @ self.kernel + self.bias)

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities."""
        return np.asarray(softmax(raw / self.temperature, axis=-1))

    def expected(self, raw: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the expected target."""
        return np.asarray(probabilities @ means)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by name."""
        named = {"kernel": self.kernel, "bias": self.bias, "seen": self.seen, "temperature": self.temperature}
        return {"family": np.array("logistic"), **{name: np.asarray(value) for name, value in named.items()}}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Logistic:
        """Build the model from what `arrays` returned."""
        return Logistic(arrays["kernel"], arrays["bias"], int(arrays["seen"]), float(arrays["temperature"]))


def fit_linear(
    rows: np.ndarray, classes: np.ndarray, weights: np.ndarray, strengths: tuple[float, ...], seen: int
) -> list[Logistic]:
    """Return one fit per strength; shapes [L, D], [L], [L]. A class that never came has no chance."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(max_iter=_MOST_ITERATIONS, warm_start=True)
    fits = []
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # after so many steps the rest is noise
            with threadpool_limits(1):  # sums in one order, whatever the machine
                model.set_params(C=strength).fit(rows, classes, sample_weight=weights / weights.mean())
        fits.append(Logistic(*_as_four(model), seen=seen))
    return fits


def _as_four(model: object) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel [D, 4] and bias [4] of a fitted LogisticRegression, whichever classes it saw."""
    coefficients, intercept, classes = (np.asarray(getattr(model, n)) for n in ("coef_", "intercept_", "classes_"))
    if len(classes) == 2:  # scikit-learn keeps one row for two classes: the difference of their logits
        coefficients, intercept = np.vstack([0 * coefficients, coefficients]), np.append(0.0, intercept)
    kernel, bias = np.zeros((coefficients.shape[1], len(CLASS_NAMES))), np.full(len(CLASS_NAMES), -30.0)
    kernel[:, classes], bias[classes] = coefficients.T, intercept
    return kernel, bias


def fit_logistic(data: FitData, spec: ModelSpec) -> FittedNetwork:
    """Return the regression on six bars whose penalty suits the validation sessions best."""
    rows, classes, weights = labelled_rows(data, LAGS)
    validation = Validation.of(data, spec)
    fits = fit_linear(rows, classes, weights, _STRENGTHS, LAGS)
    losses = [validation.log_loss(fit) for fit in fits]
    best = int(np.argmin(losses))
    calibrated = replace(fits[best], temperature=validation.temperature(fits[best]))
    return FittedNetwork(calibrated, len(fits), best + 1, losses[best])
