"""Rolling sums, distinct counts and maxima over sessions, for all issuers at once.

Each event is an interval of sessions; its amount is added where it enters and taken away where it
leaves, and one cumulative sum gives every window. Sums are in whole numbers, so an empty window is
exactly 0. Arrays are ``[clock row, issuer]``.
"""

from __future__ import annotations

import numpy as np

Shape = tuple[int, int]


def sum_over_intervals(
    issuer: np.ndarray, start: np.ndarray, end: np.ndarray, amount: np.ndarray, shape: Shape
) -> np.ndarray:
    """Return, per session and issuer, the sum of `amount` of the intervals ``[start, end)`` that hold it.

    Returns
    -------
    ndarray of int64, shape `shape` = [E, I]
    """
    change = np.zeros((shape[0] + 1, shape[1]), dtype=np.int64)
    used = (start < end) & (start < shape[0])
    np.add.at(change, (start[used], issuer[used]), amount[used])
    np.add.at(change, (np.minimum(end[used], shape[0]), issuer[used]), -amount[used])
    return np.cumsum(change[:-1], axis=0)


def distinct_in_intervals(
    issuer: np.ndarray, person: np.ndarray, start: np.ndarray, end: np.ndarray, shape: Shape
) -> np.ndarray:
    """Count, per session and issuer, the distinct persons with an interval ``[start, end)`` that holds it.

    A person's overlapping intervals are merged: +1 where the first begins, −1 where the last ends.

    Returns
    -------
    ndarray of int64, shape [E, I]
    """
    used = np.flatnonzero((start < end) & (start < shape[0]))
    order = used[np.lexsort((start[used], person[used]))]
    if not len(order):
        return np.zeros(shape, dtype=np.int64)
    first, last, who = start[order], np.minimum(end[order], shape[0]), person[order]
    # One running maximum for all persons: each one's rows are lifted above those of the one before.
    lift = np.cumsum(np.r_[0, who[1:] != who[:-1]]) * (shape[0] + 1)
    reach = np.maximum.accumulate(last + lift) - lift
    begins = np.r_[True, (who[1:] != who[:-1]) | (first[1:] > reach[:-1])]
    ends = np.r_[begins[1:], True]
    one = np.ones(int(begins.sum()), dtype=np.int64)
    return sum_over_intervals(issuer[order][begins], first[begins], reach[ends], one, shape)


def max_over_intervals(
    issuer: np.ndarray, start: np.ndarray, end: np.ndarray, value: np.ndarray, shape: Shape
) -> np.ndarray:
    """Return, per session and issuer, the largest `value` of the intervals ``[start, end)`` that hold it.

    An interval is covered by two blocks of a power of two sessions; from the longest length down,
    each block hands its value to its two halves.

    Returns
    -------
    ndarray of float64, shape [E, I]
        Minus infinity where no interval holds the session; a NaN value is left out.
    """
    last = np.minimum(end, shape[0])
    used = (start < last) & ~np.isnan(value)
    first, last, column, height = start[used], last[used], issuer[used], value[used]
    level = np.frexp((last - first).astype(np.float64))[1] - 1
    highest = np.full(shape, -np.inf)
    for k in range(int(level.max(initial=-1)), -1, -1):
        _halve(highest, 2**k)
        at = level == k
        for row in (first[at], last[at] - 2**k):
            np.maximum.at(highest, (row, column[at]), height[at])
    return highest


def _halve(highest: np.ndarray, length: int) -> None:
    """Turn maxima that stand for blocks of ``2 × length`` sessions into those of `length`, in place."""
    if length < len(highest):
        np.maximum(highest[length:], highest[:-length].copy(), out=highest[length:])
