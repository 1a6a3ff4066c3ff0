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

from feeds.adapter.guards import refuse_reading
from feeds.adapter.loop import all_indicators, compute_indicators
from feeds.adapter.naming import buffers, describe, root_feed

_CUTS = tuple((part, rises) for part in (0.3, 0.6, 0.85) for rises in (True, False))  # parts of a feed's bars


def compute_audited(strategies: list[Any], feeds: list[Any]) -> None:
    """Compute all indicators, as `feeds.adapter.loop.compute_indicators`; refuse lines that later bars change.

    Who reads such a line later gets an InputError that names it, its indicator and the day. (Ichimoku's `chikou_span`
    is one, and its other lines are none.) An indicator that counts or remembers from one computation to the next gives
    other values each time; it cannot be judged, and a warning says so.
    """
    seen: dict[Any, str] = {}
    first = _computed(strategies)
    again = _computed(strategies)
    judged = {line: kept for line, kept in first.items() if _same(kept.values, again[line].values).all()}
    for line in first.keys() - judged.keys():
        warnings.warn(
            f"{describe(line)} cannot be audited: the same bars gave other values the second time; what it remembers "
            "may differ from a run that is not guarded, so let it compute from its bars alone",
            stacklevel=2,
        )
    for part, rises in _CUTS:
        with _changed_after(part, rises, feeds) as bars:
            changed = _computed(strategies)
        for line, kept in judged.items():
            told = _compared(line, kept.values, changed[line].values, bars.get(id(root_feed(line)), 0))
            if told:
                seen.setdefault(line, told)
    for line, kept in first.items():
        line.array, line.extension = kept.array, kept.extension
    for line, told in seen.items():
        refuse_reading(line, told)


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


def _compared(line: Any, values: np.ndarray, changed: np.ndarray, bars: int) -> str:
    """Return what is wrong with a line, an empty text where nothing is."""
    wrong = np.flatnonzero(~_same(values[:bars], changed[:bars]))
    if not wrong.size:
        return ""
    day = bt.num2date(root_feed(line).lines.datetime.array[wrong[0]]).date()
    return (
        f"{describe(line)}: expected values that later bars do not change, received one on {day} that they do; "
        "what computes it reads what is not known yet"
    )


@contextmanager
def _changed_after(part: float, rises: bool, feeds: list[Any]) -> Iterator[dict[int, int]]:
    """Change all bars of each feed after a part of them, each line by itself; yield how many bars each keeps."""
    rng = np.random.default_rng(0)
    before: list[tuple[Any, Any]] = []
    kept = {}
    try:
        for feed in feeds:
            size = feed.buflen()
            bars = kept[id(feed)] = min(size, max(1, int(part * size)))
            for line, values in _changed(feed, slice(bars, size), rises, rng).items():
                before.append((line, line.array))
                line.array = array.array("d", values.tobytes())
        yield kept
    finally:
        for line, values in before:
            line.array = values


def _changed(feed: Any, later: slice, rises: bool, rng: np.random.Generator) -> dict[Any, np.ndarray]:
    """Return the lines of a feed with other bars in `later`, which are bars still: no price crosses the high or low."""
    found = {line: np.array(line.array) for line in buffers(feed) if line is not feed.lines.datetime}
    low, high = (1.05, 1.5) if rises else (0.6, 0.95)
    count = later.stop - later.start
    for values in found.values():
        values[later] *= rng.uniform(low, high, count)
        values[later] += rng.uniform(0, 0.01, count)  # what is 0 moves too
    lines = feed.lines
    body = np.stack([found[lines.open][later], found[lines.close][later]])
    found[lines.high][later] = body.max(axis=0) * rng.uniform(1.001, 1.05, count)
    found[lines.low][later] = body.min(axis=0) * rng.uniform(0.95, 0.999, count)
    return found


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
