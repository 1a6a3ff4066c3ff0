"""The adapter of backtrader, its lines: how they share one clock, and all else that we know of their inside.

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
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any

import backtrader as bt
import numpy as np

from feeds.errors import InputError

NOT_LISTED = -(2**30)
_LineBuffer: Any = bt.linebuffer.LineBuffer
_Anything: Any = object  # what the mixins come before is a line
_num2datetime: Any = lru_cache(maxsize=16_384)(bt.num2date)


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


class SafeLine(_LineBuffer):
    """A line that cannot be read before its stock's first bar; `describe` names it."""

    def __getitem__(self, ago: int) -> float:
        if self._idx < 0:
            raise not_listed(self)
        return self.array[self._idx + ago]

    def datetime(self, ago: int = 0, tz: Any = None, naive: bool = True) -> datetime:
        """Return the moment of a bar, converted once for all lines."""
        if tz is None and self._tz is None and naive:
            return _num2datetime(self[ago])
        return super().datetime(ago, tz, naive)

    def date(self, ago: int = 0, tz: Any = None, naive: bool = True) -> date:
        """Return the day of a bar, converted once for all lines."""
        return self.datetime(ago, tz, naive).date()


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


class Guarded(_Anything):
    """Put before a line's class: reading what lies after the present bar or before the first raises."""

    def __getitem__(self, ago: int) -> float:
        check_reading(self, ago)
        return super().__getitem__(ago)

    def get(self, ago: int = 0, size: int = 1) -> Any:
        """Return `size` values up to `ago`."""
        check_reading(self, ago)
        if size > 0:
            check_reading(self, ago - size + 1)
        return super().get(ago, size)

    def getzeroval(self, idx: int = 0) -> float:
        """Return the value of a bar counted from the first."""
        check_reading(self, idx + 1 - len(self))
        return super().getzeroval(idx)

    def getzero(self, idx: int = 0, size: int = 1) -> Any:
        """Return `size` values from a bar counted from the first."""
        check_reading(self, idx + 1 - len(self))
        check_reading(self, idx + size - len(self))
        return super().getzero(idx, size)


def check_reading(line: Any, ago: int) -> None:
    """Raise unless `line` has a bar `ago` bars from the present one, and that bar has been.

    Raises
    ------
    InputError
        Naming the line, its feed or indicator, and the index.
    """
    if ago > 0:
        raise InputError(
            f"{describe(line)}: expected an index of 0 or below, received [{ago}], {_bars(ago)} after the present; "
            "what is not known yet cannot be read"
        )
    if not len(line):
        raise not_listed(line)
    # A line that keeps only its last bars (exactbars) counts more than it holds.
    if len(line) + ago <= 0:
        raise InputError(
            f"{describe(line)}: expected an index from [{1 - len(line)}] to [0], for it has {_bars(len(line))}, "
            f"received [{ago}]; wait until there are enough"
        )


def not_listed(line: Any) -> InputError:
    """Return the error for a line that is read before its stock's first bar."""
    feed = root_feed(line)
    numbers: Any = () if feed is None else feed.lines.datetime.array
    listed = f" before its first bar on {bt.num2date(numbers[0]).date()}" if len(numbers) else " before its first bar"
    return InputError(
        f"{describe(line)}: expected to be read once the stock is listed, received a reading{listed}; "
        "ask len(data) first"
    )


def _bars(count: int) -> str:
    return f"{count} bar{'s' if count != 1 else ''}"


def describe(line: Any) -> str:
    """Return a name for a line, such as "line `close` of ACME" or "line `atr` of AverageTrueRange of ACME"."""
    owner, feed = line._owner, root_feed(line)
    names = {id(each): owner._getlinealias(i) for i, each in enumerate(getattr(owner, "lines", ()))}
    owner_name = "" if owner is feed else f" of {type(owner).__name__}"
    of_feed = f" of {feed._name}" if feed is not None and feed._name else ""
    return f"line `{names.get(id(line)) or type(line).__name__}`{owner_name}{of_feed}"


def root_feed(line_or_indicator: Any) -> Any:
    """Return the feed whose bars a line, indicator or operation steps on; None where there is none."""
    found: Any = line_or_indicator
    for _ in range(100):
        if isinstance(found, bt.feed.AbstractDataBase):
            return found
        if isinstance(found, bt.Strategy) or found is None:
            return None
        found = _one_up(found)
    return None


def _one_up(found: Any) -> Any:
    if isinstance(found, bt.lineseries.LineSeriesStub):
        return found.lines[0]
    clock = getattr(found, "_clock", None)
    return getattr(found, "_owner", None) if clock is None else clock


def is_beside_finer(feed: Any, feeds: list[Any]) -> bool:
    """Tell whether a feed that backtrader resamples runs beside one of shorter bars."""
    if not feed.resampling:
        return False
    length = (feed._timeframe, feed._compression)
    return any((other._timeframe, other._compression) < length for other in feeds)


def buffers(line_or_lines: Any) -> list[Any]:
    """Return the single lines of a feed, an indicator or an operation (which is a line itself)."""
    return list(line_or_lines.lines)


def guardable(line_or_lines: Any) -> list[Any]:
    """Return the lines that may be guarded: not the dates of a feed of backtrader's own, which peeks at the next."""
    found = buffers(line_or_lines)
    is_theirs = isinstance(line_or_lines, bt.feed.AbstractDataBase) and not isinstance(line_or_lines, SafeLinesFeed)
    return [line for line in found if not (is_theirs and line is line_or_lines.lines.datetime)]


@cache
def _combined(mixin: Any, plain: Any) -> Any:
    # Through the metaclass, for the lines that operations of lines are.
    metaclass: Any = type(plain)
    return metaclass(f"{mixin.__name__}{plain.__name__}", (mixin, plain), {"__module__": __name__})


def guard(line: Any) -> None:
    """Let a line raise where it is read outside the bars that have been."""
    if not isinstance(line, Guarded):
        plain: Any = type(line)
        line.__class__ = _combined(Guarded, plain)


def unguard(line: Any) -> None:
    """Undo `guard`; a line that has none stays as it is."""
    if isinstance(line, Guarded):
        line.__class__ = _plain(line.__class__)


def _plain(guarded: Any) -> Any:
    return guarded.__bases__[1]


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
        on_clock = _combined(OnClock, _plain(plain) if guarded else plain)
        line.__class__ = _combined(Guarded, on_clock) if guarded else on_clock

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


def fill(line: Any, values: np.ndarray) -> None:
    """Give a line all its values in one copy; the places that look ahead (`extend`) stay behind them."""
    line.array = array.array("d", np.asarray(values, dtype=np.float64).tobytes())
    if line.extension:
        line.array.extend([np.nan] * line.extension)


def parameter_values(params: Any) -> dict[str, Any]:
    """Return `params` of an object of backtrader by name; of a class, the defaults."""
    asked: Any = params
    return dict(asked._getitems() if isinstance(params, type) else asked._getkwargs())


class ColumnsAtOnce(bt.Indicator):
    """An indicator whose values, all bars at once, are the array that `all_values` returns, [K, number of lines]."""

    def all_values(self) -> np.ndarray:
        """Return the values of every bar."""
        raise NotImplementedError(f"{type(self).__name__}.all_values")

    def _once(self) -> None:
        """Fill the lines (called by backtrader, whose own grows each line value by value)."""
        values = self.all_values()
        for i, line in enumerate(self.lines):
            fill(line, values[:, i])
            line.oncebinding()
        self.home()


class SafeLinesFeed(bt.feed.DataBase):
    """A feed whose lines are `SafeLine` and which backtrader can ask without its many calls per line."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: tuple[Any, list[int]] | None = None  # bars by session, and the session; see ClockedLines
        self._each_line = list(self.lines)
        self._day_line = self.lines.datetime
        for line, name in zip(self._each_line, self.getlinealiases(), strict=True):
            line.__class__ = SafeLine
            # backtrader would look each name up through three calls whenever it is read.
            self.__dict__[name] = line

    @property
    def is_changed_bar_by_bar(self) -> bool:
        """True where a filter or a time zone must see each bar."""
        return bool(self._filters or self._tzinput)

    @property
    def is_plain(self) -> bool:
        """True where each bar of the source is one of the feed."""
        return not (self._filters or self.resampling or self.replaying)

    # backtrader copies each bar into tick_ attributes for feeds that grow within a bar; ours do not,
    # so they are read from the lines when somebody asks.
    tick_open = property(lambda self: self.lines.open[0])
    tick_high = property(lambda self: self.lines.high[0])
    tick_low = property(lambda self: self.lines.low[0])
    tick_close = property(lambda self: self.lines.close[0])
    tick_last = property(lambda self: self.lines.close[0])
    tick_volume = property(lambda self: self.lines.volume[0])
    tick_openinterest = property(lambda self: self.lines.openinterest[0])

    def _tick_nullify(self) -> None:
        pass

    def _tick_fill(self, force: bool = False) -> None:
        pass

    def reset(self, *args: Any, **kwargs: Any) -> None:
        """Begin anew (called by backtrader before each run).

        Raises
        ------
        InputError
            While a run is using the feed.
        """
        if self.clock is not None:
            raise InputError(
                f"feed {self._name}: expected one that no run is using, received one of a run that goes on; "
                "make other feeds for a run within a run"
            )
        super().reset(*args, **kwargs)

    # backtrader asks every feed for these on every session, through four calls per line.
    def __len__(self) -> int:
        if self.clock is None:
            return int(self._day_line.lencount)
        counts, now = self.clock
        return int(counts[now[0]])

    def advance(self, size: int = 1, datamaster: Any = None, ticks: bool = True) -> None:
        """Move to the next bar (called by backtrader)."""
        if datamaster is not None or self._day_line.mode != self._day_line.UnBounded:
            super().advance(size, datamaster, ticks)
            return
        for line in self._each_line:
            line._idx += size
            line.lencount += size

    def advance_peek(self) -> float:
        """Return the next bar's session number, infinite after the last (called by backtrader)."""
        dates = self._day_line
        return float(dates.array[dates._idx + 1] if dates.lencount < dates.buflen() else np.inf)
