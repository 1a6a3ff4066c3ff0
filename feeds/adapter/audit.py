"""The adapter of backtrader, its audit: do whole columns of an indicator read what is not known yet?

Reading ``data.close[1]`` can be caught where it happens (`feeds.adapter.guards.Guarded`). What computes whole columns
at once, a user's `once` or ``data.close(1)``, reads arrays, which nobody can watch. So the bars after a session are
changed, and the values up to it must stay what they were::

    bars     1 2 3 4 | 5 6 7 8            values   a b c d | e f g h
    changed  1 2 3 4 | 9 7 9 8      -->   values   a b c x | ...        x is not d: the indicator knew bar 5

"""

from __future__ import annotations

import array
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np

from feeds.adapter.loop import all_indicators, compute_indicators
from feeds.adapter.naming import buffers, describe, root_feed
from feeds.errors import InputError

_CUTS = (0.5, 0.8)  # parts of a feed's bars


def compute_audited(strategies: list[Any], feeds: list[Any]) -> None:
    """Compute all indicators, as `feeds.adapter.loop.compute_indicators`, and raise if later bars change a value.

    An indicator that counts or remembers from one computation to the next gives other values each time; it cannot be
    judged, and a warning says so.

    Raises
    ------
    InputError
        Naming the line, its indicator and the day.
    """
    first = _computed(strategies)
    again = _computed(strategies)
    judged = {line: kept for line, kept in first.items() if _same(kept.values, again[line].values).all()}
    for line in first.keys() - judged.keys():
        warnings.warn(
            f"{describe(line)} cannot be audited: the same bars gave other values the second time", stacklevel=2
        )
    for part in _CUTS:
        with _changed_after(part, feeds) as bars:
            changed = _computed(strategies)
        for line, kept in judged.items():
            _compare(line, kept.values, changed[line].values, bars.get(id(root_feed(line)), 0))
    for line, kept in first.items():
        line.array, line.extension = kept.array, kept.extension


def forget_values(strategies: list[Any]) -> None:
    """Take all values of indicators away, so that they can be computed again."""
    for line in _lines(strategies):
        line.reset()  # backtrader's next `_once` would append to what is there


class _Kept(NamedTuple):
    array: Any
    extension: int
    values: np.ndarray


def _computed(strategies: list[Any]) -> dict[Any, _Kept]:
    """Compute all indicators, return the values of their lines, and take them away again."""
    for strategy in strategies:
        compute_indicators(strategy)
    kept = {line: _Kept(line.array, line.extension, np.array(line.array)) for line in _lines(strategies)}
    forget_values(strategies)
    return kept


def _lines(strategies: list[Any]) -> list[Any]:
    """Return the lines of indicators, and of observers, which stand ready after the computation too."""
    owners = [[*all_indicators(strategy), *strategy.getobservers()] for strategy in strategies]
    return [line for owned in owners for owner in owned for line in buffers(owner)]


def _compare(line: Any, values: np.ndarray, changed: np.ndarray, bars: int) -> None:
    wrong = np.flatnonzero(~_same(values[:bars], changed[:bars]))
    if wrong.size:
        day = bt.num2date(root_feed(line).lines.datetime.array[wrong[0]]).date()
        raise InputError(
            f"{describe(line)}: expected values that later bars do not change, received one on {day} that they do; "
            "what computes it reads what is not known yet"
        )


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
