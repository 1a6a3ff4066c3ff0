"""The adapter of backtrader, its clock: how all lines share one.

A line is an array and a place in it. Stock backtrader moves the place of every line of every feed and
indicator on every session, a call each. Here the place is looked up where somebody reads::

    clock.now[0] = t                rows[t] = k                   array[k + ago]
    the session, one           the stock's bar at that          the line's values, filled from
    number for all       -->   session, one array for     -->   numpy in one copy before the run
                               all lines of the stock

so a session costs one assignment for all lines together, whatever the calendars: on a session that
the stock missed ``rows[t]`` is ``rows[t - 1]``, and ``len``, ``[0]`` and ``[-1]`` count traded bars.
Before the first bar ``rows[t]`` is `NOT_LISTED`, which no array has, and the reading raises.

Indicators have a present session of their own for each strategy, which moves when the strategy steps: as in
backtrader they stand at the session before while timers, `next_open` and the broker have their turn.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np

from feeds.adapter.guards import Guarded, combined, plain_class
from feeds.adapter.naming import buffers, not_listed

NOT_LISTED = -(2**30)
_Anything: Any = object  # what the mixin comes before is a line


class Clock:
    """The sessions of a run and where each stock is in its bars.

    Parameters
    ----------
    feeds : list
        Preloaded feeds.

    Attributes
    ----------
    sessions : list of float, length T
        Every date on which any feed has a bar, in backtrader's numbers.
    now : list of one int
        The present session of the feeds; -1 is before the first.
    """

    def __init__(self, feeds: list[Any]) -> None:
        dates = {id(feed): np.array(feed.lines.datetime.array)[: feed.buflen()] for feed in feeds}
        kinds = {values.tobytes(): values for values in dates.values()}
        union = np.unique(np.concatenate(list(kinds.values())))
        places = {kind: _places(values, union) for kind, values in kinds.items()}
        self.sessions: list[float] = union.tolist()
        self.now = [0]
        self._places = {feed: places[values.tobytes()] for feed, values in dates.items()}

    def rows(self, feed: Any) -> array.array[int]:
        """Return the number of a feed's latest bar at each session, `NOT_LISTED` before the first.

        One more stands at the end, at [-1]: before the first session.
        """
        return self._places[id(feed)][0]

    def counts(self, feed: Any) -> array.array[int]:
        """Return how many bars a feed has had by each session, and 0 at the end, at [-1]."""
        return self._places[id(feed)][1]

    def missing_bars(self, feeds: list[Any], minimum: list[int]) -> list[int]:
        """Return at each session how many bars the neediest feed lacks of its minimum (0 or less: none)."""
        most = np.full(len(self.sessions), np.iinfo(np.int64).min)
        for feed, bars in zip(feeds, minimum, strict=True):
            seen = np.frombuffer(self.counts(feed), dtype=np.int32)[:-1]
            np.maximum(most, bars - seen.astype(np.int64), out=most)
        return [int(number) for number in most]


def _places(dates: np.ndarray, sessions: np.ndarray) -> tuple[array.array[int], array.array[int]]:
    counts = np.append(np.searchsorted(dates, sessions, side="right"), 0).astype(np.int32)
    rows = np.where(counts > 0, counts - 1, NOT_LISTED).astype(np.int32)
    return array.array("i", rows.tobytes()), array.array("i", counts.tobytes())


class OnClock(_Anything):
    """Put before a line's class: the line is where the clock says."""

    _clock_rows: Any
    _clock_counts: Any
    _clock_now: Any
    array: Any

    @property
    def _idx(self) -> int:
        return max(-1, self._clock_rows[self._clock_now[0]])

    @property
    def lencount(self) -> int:
        """Bars so far."""
        return self._clock_counts[self._clock_now[0]]

    def __len__(self) -> int:
        return self._clock_counts[self._clock_now[0]]

    def __getitem__(self, ago: int) -> float:
        try:
            return self.array[self._clock_rows[self._clock_now[0]] + ago]
        except IndexError:
            if len(self):
                raise
            raise not_listed(self) from None


class ClockedLines:
    """Lines, and the feeds that are asked for their length, on a clock from here to `release`."""

    def __init__(self) -> None:
        self._plain: list[tuple[Any, Any]] = []
        self._feeds: list[Any] = []

    def put_feed(self, feed: Any, clock: Clock) -> None:
        """Let a StockFeed and its lines be where the clock says."""
        self._feeds.append(feed)
        feed.clock = (clock.counts(feed), clock.now)
        for line in buffers(feed):
            self.put(line, clock, feed, clock.now)

    def put(self, line: Any, clock: Clock, feed: Any, now: list[int]) -> None:
        """Let a line that steps with `feed` be where the clock says for the session in `now`."""
        plain: Any = line.__class__
        self._plain.append((line, plain))
        place = {"_clock_rows": clock.rows(feed), "_clock_counts": clock.counts(feed), "_clock_now": now}
        line.__dict__.update(place)
        guarded = isinstance(line, Guarded)
        on_clock = combined(OnClock, plain_class(plain) if guarded else plain)
        line.__class__ = combined(Guarded, on_clock) if guarded else on_clock

    def release(self) -> None:
        """Leave every line where it is, and make it what it was."""
        for line, plain in self._plain:
            place, count = line._idx, len(line)
            line.__class__ = plain
            line._idx, line.lencount = place, count
        for feed in self._feeds:
            feed.clock = None
        self._plain.clear()
        self._feeds.clear()
