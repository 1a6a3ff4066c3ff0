"""Rolling sums and distinct counts over sessions, for all issuers at once.

Each event is an interval of sessions; its amount is added where it enters and taken away where it
leaves, and one cumulative sum gives every window. All arithmetic is in whole numbers, so an empty
window is exactly 0. Arrays are ``[clock row, issuer]``.
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


def last_in_intervals(
    issuer: np.ndarray, start: np.ndarray, stop: np.ndarray, anchor: np.ndarray, shape: Shape
) -> np.ndarray:
    """Return, per session and issuer, the latest `anchor` among events valid there; −1 where there is none.

    Returns
    -------
    ndarray of int64, shape [E, I]
    """
    latest = np.full(shape, -1, dtype=np.int64)
    reached = start < shape[0]
    lasting = reached & (stop >= shape[0])
    np.maximum.at(latest, (start[lasting], issuer[lasting]), anchor[lasting])
    latest = np.maximum.accumulate(latest, axis=0)
    # The few that were replaced hold only until then.
    for event in np.flatnonzero(reached & (stop < shape[0])):
        span = latest[start[event] : stop[event], issuer[event]]
        np.maximum(span, anchor[event], out=span)
    return latest
