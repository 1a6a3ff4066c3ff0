"""Wilder's smoothing, under the average true range and the relative strength index."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray)


def smooth(last: Number, new: Number, period: int) -> Number:
    """Return ((period - 1) × the last value + the new one) / period."""
    return (last * (period - 1) + new) / period


def wilder_average(values: np.ndarray, period: int) -> np.ndarray:
    """Smooth values of which the first is unknown.

    Returns
    -------
    ndarray of float64, shape [K]
        At `period` the mean of values 1 to `period`, then `smooth` of the last; NaN before.
    """
    smoothed = np.full(len(values), np.nan)
    if len(values) <= period:
        return smoothed
    last = float(np.mean(values[1 : period + 1]))
    found = [last]
    for new in values[period + 1 :].tolist():
        last = (last * (period - 1) + new) / period
        found.append(last)
    smoothed[period:] = found
    return smoothed
