"""Scaling of the network's inputs, fitted on a training window and written as JSON.

Median and 1.4826 times the median absolute deviation, which a few extreme days do not move. Insider
columns are mostly 0, so that deviation is 0: then the standard deviation of the non-zero values. A column
without variation in the training window is held at 0, because the network never saw what its values mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from feeds.errors import InputError

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
    """

    names: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray

    @staticmethod
    def fit(names: tuple[str, ...], values: np.ndarray) -> Scaler:
        """Return the scaler of training rows `values` [R, F]; NaN are left out."""
        fitted = [_fit_column(name, values[:, i]) for i, name in enumerate(names)]
        return Scaler(names, np.array([c for c, _ in fitted]), np.array([s for _, s in fitted]))

    @property
    def held(self) -> tuple[str, ...]:
        """Columns held at 0 for want of variation; a constant mask loses nothing and is not named."""
        return tuple(n for n, s in zip(self.names, self.scale, strict=True) if np.isinf(s) and n not in MASKS)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return scaled values [..., F] on [-4, 4], NaN as 0."""
        scaled = np.clip((values - self.centre) / self.scale, -CLIP, CLIP)
        return np.nan_to_num(scaled, copy=False, nan=0.0)

    def to_json(self) -> str:
        """Return a text from which `from_json` builds an equal scaler."""
        columns = {
            name: {"centre": float(c), "scale": None if np.isinf(s) else float(s)}
            for name, c, s in zip(self.names, self.centre, self.scale, strict=True)
        }
        return json.dumps({"clip": CLIP, "columns": columns}, indent=1)

    @staticmethod
    def from_json(text: str) -> Scaler:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            If the text is something else.
        """
        try:
            columns = json.loads(text)["columns"]
            centre = np.array([column["centre"] for column in columns.values()], dtype=float)
            scale = np.array(
                [np.inf if column["scale"] is None else column["scale"] for column in columns.values()], dtype=float
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"scaler: expected JSON with `columns` of `centre` and `scale`, received {text[:40]!r}"
            ) from error
        return Scaler(tuple(columns), centre, scale)


def _fit_column(name: str, values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known) or known.min() == known.max():
        return 0.0, np.inf
    if name in MASKS:
        return 0.0, 1.0
    centre = float(np.median(known))
    return centre, _spread(known, centre)


def _spread(known: np.ndarray, centre: float) -> float:
    deviation = _NORMAL * float(np.median(np.abs(known - centre)))
    if deviation > 0:
        return deviation
    non_zero = float(np.std(known[known != 0]))
    # All non-zero values may be alike; the column as a whole still varies.
    return non_zero if non_zero > 0 else float(np.std(known))
