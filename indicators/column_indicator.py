"""Base of our indicators: one pure function of bars, run over a whole column or for the last bar.

backtrader calls ``next`` bar by bar (also again on sessions that the feed missed) or ``once`` for
the whole feed. A subclass answers two questions: how many bars one value needs (`bars_needed`) and
what the values are (`compute`)::

    class Momentum(ColumnIndicator):
        lines = ("momentum",)

        def bars_needed(self) -> int:
            return 11

        def compute(self, bars: Bars) -> np.ndarray:
            momentum = np.full(len(bars), np.nan)
            momentum[10:] = bars.close[10:] / bars.close[:-10] - 1
            return momentum[:, None]
"""

from __future__ import annotations

from typing import Any

import backtrader as bt
import numpy as np

from feeds.adapter.lines import ColumnsAtOnce
from feeds.adapter.naming import parameter_values
from feeds.errors import InputError, unknown_name
from feeds.panel import Bars
from indicators.feed_bars import last_bars, whole_bars


class ColumnIndicator(ColumnsAtOnce):
    """An indicator whose lines are the columns of one array.

    Notes
    -----
    It reads its own feed's lines only (backtrader takes the feed out of the call). Values before
    `bars_needed` are NaN, and the indicator asks backtrader for no minimum period: a strategy
    checks a value, not a count of bars.

    Raises
    ------
    InputError
        For an unknown parameter, or a line in place of a feed.
    """

    def __init__(self, *feeds: Any, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name(f"parameter of {type(self).__name__}", name, parameter_values(self.params))
        super().__init__()
        if not isinstance(self.data, bt.feed.AbstractDataBase):
            raise InputError(
                f"{type(self).__name__}: expected a feed, as in {type(self).__name__}(self.data), received a "
                f"{type(self.data).__name__}; it reads all lines of a feed, so of a single line take backtrader's own"
            )
        self._seen = 0

    def bars_needed(self) -> int:
        """Return how many bars, the present one included, one value needs."""
        raise NotImplementedError(f"{type(self).__name__}.bars_needed")

    def compute(self, bars: Bars) -> np.ndarray:
        """Return the values of each bar, shape [K, number of lines]; row k uses bars up to k only."""
        raise NotImplementedError(f"{type(self).__name__}.compute")

    def latest(self) -> np.ndarray:
        """Return the values of the present bar, shape [number of lines]."""
        return np.asarray(self.compute(last_bars(self.data, self.bars_needed()))[-1])

    def next(self) -> None:
        """Compute the present bar, once."""
        if len(self.data) == self._seen:
            return
        self._seen = len(self.data)
        for line, value in zip(self.lines, self.latest(), strict=True):
            line[0] = value

    def all_values(self) -> np.ndarray:
        """Compute all bars in one piece."""
        return np.asarray(self.compute(whole_bars(self.data)), dtype=np.float64)


def require_lines(data: Any, names: tuple[str, ...], indicator: str, advice: str) -> None:
    """Raise for the first line that a feed lacks.

    Raises
    ------
    InputError
        Naming the line, the feed and what to do.
    """
    for name in names:
        if name not in data.getlinealiases():
            raise InputError(
                f"{indicator}: expected a feed with the line `{name}`, received {data._name or 'a feed'} without it; "
                f"{advice}"
            )


def require_at_least(indicator: str, parameter: str, value: Any, least: int) -> None:
    """Raise unless `value` is a whole number of at least `least`."""
    if not isinstance(value, int) or value < least:
        raise InputError(f"`{parameter}` of {indicator}: expected a whole number from {least}, received {value!r}")
