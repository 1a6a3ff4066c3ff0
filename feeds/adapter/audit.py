"""The adapter of backtrader, its audit: do whole columns of an indicator read what is not known yet?

Reading ``data.close[1]`` can be caught where it happens (`feeds.adapter.guards.Guarded`). What computes whole columns
at once, a user's `once` or ``data.close(1)``, reads arrays, which nobody can watch. So the bars after a session are
changed, and the values up to it must stay what they were::

    bars     1 2 3 4 | 5 6 7 8            values   a b c d | e f g h
    changed  1 2 3 4 | 9 7 9 8      -->   values   a b c x | ...        x is not d: the indicator knew bar 5

"""

from __future__ import annotations

import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import backtrader as bt
import numpy as np

from feeds.adapter.loop import all_indicators
from feeds.adapter.naming import buffers, describe, root_feed
from feeds.errors import InputError

_CUTS = (0.5, 0.8)  # parts of a feed's bars


def check_whole_columns(strategies: list[Any], feeds: list[Any]) -> None:
    """Compute all indicators and raise if bars that come later change a value.

    Raises
    ------
    InputError
        Naming the line, its indicator and the day.
    """
    found = _computed(strategies)
    for part in _CUTS:
        with _changed_after(part, feeds) as kept:
            again = _computed(strategies)
        for line, values in found.items():
            feed = root_feed(line)
            bars = kept.get(id(feed), 0)
            wrong = np.flatnonzero(~_same(values[:bars], again[line][:bars]))
            if wrong.size:
                day = bt.num2date(feed.lines.datetime.array[wrong[0]]).date()
                raise InputError(
                    f"{describe(line)}: expected values that later bars do not change, received one on {day} that "
                    "they do; what computes it reads what is not known yet"
                )


def _computed(strategies: list[Any]) -> dict[Any, np.ndarray]:
    """Return all values of all indicators, which are left as they were before."""
    for strategy in strategies:
        strategy._once()
        strategy.reset()
    lines = {
        line: np.array(line.array)
        for strategy in strategies
        for indicator in all_indicators(strategy)
        for line in buffers(indicator)
    }
    observers = [observer for strategy in strategies for observer in strategy.getobservers()]
    for line in (*lines, *(line for observer in observers for line in buffers(observer))):
        line.reset()  # backtrader's next `_once` would append to what is there
    return lines


@contextmanager
def _changed_after(part: float, feeds: list[Any]) -> Iterator[dict[int, int]]:
    """Change all bars of each feed after a part of them; yield how many each keeps."""
    rng = np.random.default_rng(0)
    before: list[tuple[Any, Any]] = []
    kept = {}
    try:
        for feed in feeds:
            bars = kept[id(feed)] = max(1, int(part * feed.buflen()))
            factors = rng.uniform(1.05, 1.5, feed.buflen() - bars)
            for line in buffers(feed):
                if line is not feed.lines.datetime:
                    before.append((line, line.array))
                    values = np.array(line.array)
                    values[bars : feed.buflen()] *= factors
                    line.array = array.array("d", values.tobytes())
        yield kept
    finally:
        for line, values in before:
            line.array = values


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
