"""When the LSTM's state is zero, warmed up and carried: one rule for every path.

On the first bar of a block of sessions (a fold's test block), and after more than `gap_sessions` missed
sessions, the state is zero and the stock's `warm_up_bars` preceding bars are fed (fewer if it is younger),
outputs discarded; then the state is carried to the block's end. A stock's first `masked_bars` bars never
have an output, because no network was ever scored so early in a sequence.

A network of windows carries no state: the bars fed before are those that the first window reaches back to,
and a stock has no output until its first window is full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.spec import ModelSpec


@dataclass(frozen=True)
class Segments:
    """Runs of bars through which one state is carried, longest first.

    Attributes
    ----------
    warm_from, start, stop : ndarray of int64, shape [S]
        Positions: bars ``[warm_from, start)`` are fed and discarded, ``[start, stop)`` are predicted.
    """

    warm_from: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Bars fed per segment, shape [S]."""
        return self.stop - self.warm_from

    @property
    def offsets(self) -> np.ndarray:
        """Where each segment begins in the packed arrays, shape [S]."""
        return np.cumsum(self.lengths) - self.lengths

    def positions(self) -> np.ndarray:
        """Position of every bar fed, segment after segment, shape [M]; a bar may occur in two segments."""
        return np.repeat(self.warm_from - self.offsets, self.lengths) + np.arange(self.lengths.sum())

    def fed(self) -> np.ndarray:
        """Bars that the segment has been fed at each bar of `positions`, that bar included, shape [M]."""
        return np.arange(self.lengths.sum()) - np.repeat(self.offsets, self.lengths) + 1

    def predicted(self) -> np.ndarray:
        """True where a bar of `positions` is predicted, not only fed, shape [M]."""
        return self.positions() >= np.repeat(self.start, self.lengths)


def find_segments(
    session_row: np.ndarray, first_position: np.ndarray, missed: np.ndarray, block: tuple[int, int], spec: ModelSpec
) -> Segments:
    """Return the segments of all bars whose session lies in `block`.

    Parameters
    ----------
    session_row : ndarray of int64, shape [R]
        Session of each bar, ticker after ticker.
    first_position : ndarray of int64, shape [R]
        Position of the first bar of each bar's ticker.
    missed : ndarray of int64, shape [R]
        Sessions missed just before each bar.
    block : (int, int)
        Half-open range of session rows.
    """
    inside = (session_row >= block[0]) & (session_row < block[1])
    position = np.arange(len(session_row))
    follows = np.concatenate([[False], inside[:-1]]) & (position > first_position)
    begins = np.flatnonzero(inside & (~follows | (missed > spec.gap_sessions)))
    # A segment ends where the next one begins or where its ticker leaves the block.
    leaves = np.flatnonzero(inside & ~np.concatenate([follows[1:] & inside[1:], [False]]))
    ends = np.minimum(np.append(begins[1:], len(session_row)), leaves[np.searchsorted(leaves, begins)] + 1)
    warm_from = np.maximum(begins - spec.fed_before, first_position[begins])
    order = np.argsort(-(ends - warm_from), kind="stable")
    return Segments(warm_from[order], begins[order], ends[order])
