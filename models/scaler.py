"""Scaling of each column, fitted on a training window and written as JSON.

``robust``: median and 1.4826 times the median absolute deviation, which a few extreme days do not move. Insider
columns are mostly 0, so that deviation is 0: then the standard deviation of the non-zero values. ``standard``:
mean and standard deviation. A column without variation in the training window is held at 0, because the network
never saw what its values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from models.spec import ModelSpec, Standardise

CLIP = 4.0
MASKS = frozenset({"warm", "ins_known"})
"""Columns of 0 and 1 that say whether others are known; they are passed on as they are."""
_NORMAL = 1.4826


@dataclass(frozen=True)
class Scaler:
    """One training window's centre and scale of each column.

    Attributes
    ----------
    names : tuple of str, length F
    centre, scale : ndarray of float64, shape [F]
        `scale` is infinite for a column that is held at 0.
    lower, upper : ndarray of float64, shape [F]
        Values are held between them before anything else; infinite where there is no limit.
    clip : float
        Scaled values are held between -clip and clip; infinite for no limit.
    """

    names: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    clip: float

    @staticmethod
    def fit(names: tuple[str, ...], values: np.ndarray, spec: ModelSpec) -> Scaler:
        """Return the scaler of training rows `values` [R, F]; NaN are left out."""
        fitted = [_fit_column(name, values[:, i], spec) for i, name in enumerate(names)]
        centre, scale, lower, upper = (np.array(part) for part in zip(*fitted, strict=True))
        return Scaler(names, centre, scale, lower, upper, np.inf if spec.standardise == "none" else CLIP)

    @property
    def held(self) -> tuple[str, ...]:
        """Columns held at 0 for want of variation; a constant mask loses nothing and is not named."""
        return tuple(n for n, s in zip(self.names, self.scale, strict=True) if np.isinf(s) and n not in MASKS)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return scaled values [..., F] on [-clip, clip], NaN as 0."""
        kept = np.clip(values, self.lower, self.upper) if self._limited else values
        scaled = np.minimum(np.maximum((kept - self.centre) / self.scale, -self.clip), self.clip)
        return np.where(np.isnan(scaled), 0.0, scaled)

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, as JSON can hold it: None for infinite."""
        numbers = zip(self.names, self.centre, self.scale, self.lower, self.upper, strict=True)
        columns = {
            name: {"centre": _finite(c), "scale": _finite(s), "lower": _finite(low), "upper": _finite(up)}
            for name, c, s, low, up in numbers
        }
        return {"clip": _finite(self.clip), "columns": columns}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Scaler:
        """Read what `as_dict` returned; raises KeyError, TypeError, AttributeError or ValueError for anything else."""
        columns = stored["columns"]

        def numbers(name: str, missing: float) -> np.ndarray:
            return np.array([_or(column[name], missing) for column in columns.values()], dtype=float)

        return Scaler(
            tuple(columns),
            numbers("centre", 0.0),
            numbers("scale", np.inf),
            numbers("lower", -np.inf),
            numbers("upper", np.inf),
            _or(stored["clip"], np.inf),
        )

    @cached_property
    def _limited(self) -> bool:
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())


def _fit_column(name: str, values: np.ndarray, spec: ModelSpec) -> tuple[float, float, float, float]:
    """Return centre, scale, lower and upper limit."""
    known = values[np.isfinite(values)]
    if not len(known) or known.min() == known.max():
        return 0.0, np.inf, -np.inf, np.inf
    if name in MASKS:
        return 0.0, 1.0, -np.inf, np.inf
    lower, upper = _limits(known, spec)
    known = np.clip(known, lower, upper)
    return *_centre_and_scale(known, spec.standardise), lower, upper


def _limits(known: np.ndarray, spec: ModelSpec) -> tuple[float, float]:
    if not spec.winsorise:
        return -np.inf, np.inf
    lower, upper = np.quantile(known, [spec.winsor_lower, spec.winsor_upper])
    # A column that is almost always 0 would be nothing but 0 between its quantiles.
    return (float(lower), float(upper)) if lower < upper else (-np.inf, np.inf)


def _centre_and_scale(known: np.ndarray, standardise: Standardise) -> tuple[float, float]:
    if standardise == "none":
        return 0.0, 1.0
    if standardise == "standard":
        return float(np.mean(known)), float(np.std(known))
    centre = float(np.median(known))
    return centre, _spread(known, centre)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _or(value: float | None, missing: float) -> float:
    return missing if value is None else float(value)


def _spread(known: np.ndarray, centre: float) -> float:
    deviation = _NORMAL * float(np.median(np.abs(known - centre)))
    if deviation > 0:
        return deviation
    non_zero = float(np.std(known[known != 0]))
    # All non-zero values may be alike; the column as a whole still varies.
    return non_zero if non_zero > 0 else float(np.std(known))
