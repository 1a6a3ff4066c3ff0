"""A fold's window as rows and classes, as models without a memory of their own are fitted."""

from __future__ import annotations

import numpy as np

from models.batches import FitData
from models.lagged import lagged_rows

LAGS = 5
"""Bars before the present one that logistic regression and gradient boosting see."""


def labelled_rows(data: FitData, lags: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labelled bars of the fit range whose lags lie inside the window.

    Returns
    -------
    rows : ndarray of float32, shape [L, (lags + 1) * F]
    classes : ndarray of int64, shape [L]
    weights : ndarray of float64, shape [L]
        Every session weighs the same.
    """
    first = np.zeros(len(data.classes), dtype=np.int64)
    first[data.fit_first] = data.fit_first
    first = np.maximum.accumulate(first)
    usable = data.fitted & (data.classes >= 0) & (np.arange(len(first)) - first >= lags)
    at = np.flatnonzero(usable)
    return lagged_rows(data.inputs, first, at, lags), data.classes[at].astype(np.int64), data.weights[at]
