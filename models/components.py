"""Principal components of a training window's scaled columns: fewer inputs that keep a share of the variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Components:
    """The directions of greatest variance.

    Attributes
    ----------
    mean : ndarray of float64, shape [F]
    directions : ndarray of float64, shape [P, F]
        Orthonormal rows, greatest variance first; the entry of largest size in each is positive, so that the
        same data give the same signs.
    """

    mean: np.ndarray
    directions: np.ndarray

    @staticmethod
    def fit(values: np.ndarray, share: float) -> Components:
        """Return the fewest components that keep `share` (0 to 1) of the variance of `values` [R, F]; at least one."""
        mean = values.mean(axis=0)
        centred = values - mean
        variances, vectors = np.linalg.eigh(centred.T @ centred / len(values))
        variances, directions = np.maximum(variances[::-1], 0), vectors.T[::-1]
        kept = np.cumsum(variances) < (share - _ROUNDING) * variances.sum()
        return Components(mean, _signed(directions[: int(kept.sum()) + 1]))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return [..., F] as components [..., P]."""
        return np.asarray((values - self.mean) @ self.directions.T)

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, as JSON can hold it."""
        return {"mean": self.mean.tolist(), "directions": self.directions.tolist()}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Components:
        """Read what `as_dict` returned; raises KeyError or ValueError for anything else."""
        return Components(np.array(stored["mean"], dtype=float), np.array(stored["directions"], dtype=float))


def _signed(directions: np.ndarray) -> np.ndarray:
    largest = np.abs(directions).argmax(axis=1)
    return directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
