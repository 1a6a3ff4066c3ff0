"""The panel's traded bars in one long table: ticker after ticker, oldest first.

A sequence consists of a stock's own bars only. In this table each stock's bars lie side by side, so
that lags, labels and warm-ups are plain index arithmetic and no window can cross from one stock into
the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from feeds.panel import PricePanel


@dataclass(frozen=True)
class BarTable:
    """Where each traded bar of a panel lies.

    Attributes
    ----------
    sessions : DatetimeIndex, shape [T]
    tickers : tuple of str, length N
    session_row : ndarray of int64, shape [R]
        The panel row of each bar.
    ticker_column : ndarray of int64, shape [R]
        The panel column of each bar.
    """

    sessions: pd.DatetimeIndex
    tickers: tuple[str, ...]
    session_row: np.ndarray
    ticker_column: np.ndarray

    @staticmethod
    def of(panel: PricePanel) -> BarTable:
        """Return the table of `panel`'s bars."""
        column, row = np.nonzero(panel.traded.T)
        return BarTable(panel.sessions, panel.tickers, row, column)

    def __len__(self) -> int:
        return len(self.session_row)

    @cached_property
    def first_position(self) -> np.ndarray:
        """Position of the first bar of each bar's own ticker, shape [R]."""
        return first_positions(self.ticker_column)

    @cached_property
    def missed(self) -> np.ndarray:
        """Sessions missed just before each bar, shape [R]; 0 on a ticker's first bar."""
        return missed_sessions(self.session_row, self.first_position)

    def flatten(self, values: np.ndarray) -> np.ndarray:
        """Take the bars out of a panel array: [T, N, ...] to [R, ...]."""
        return np.asarray(values[self.session_row, self.ticker_column])

    def unflatten(self, values: np.ndarray) -> np.ndarray:
        """Put bars back: [R, ...] to [T, N, ...] of float64, NaN where the stock did not trade."""
        panel = np.full((len(self.sessions), len(self.tickers), *values.shape[1:]), np.nan)
        panel[self.session_row, self.ticker_column] = values
        return panel


def first_positions(group: np.ndarray) -> np.ndarray:
    """Return for each element the position at which its run of equal values begins, shape [R]."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return np.repeat(starts, np.diff(starts, append=len(group)))


def missed_sessions(session_row: np.ndarray, first_position: np.ndarray) -> np.ndarray:
    """Return how many sessions each ticker missed just before each of its bars, shape [R]."""
    missed = np.diff(session_row, prepend=0) - 1
    return np.where(np.arange(len(session_row)) == first_position, 0, missed)
