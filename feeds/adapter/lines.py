"""The adapter of backtrader, its lines and feeds: filled in one copy, and asked without its many calls per line."""

from __future__ import annotations

import array
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import backtrader as bt
import numpy as np

from feeds.adapter.naming import not_listed
from feeds.errors import InputError

_LineBuffer: Any = bt.linebuffer.LineBuffer
_num2datetime: Any = lru_cache(maxsize=16_384)(bt.num2date)


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


def fill(line: Any, values: np.ndarray) -> None:
    """Give a line all its values in one copy; the places that look ahead (`extend`) stay behind them."""
    line.array = array.array("d", np.asarray(values, dtype=np.float64).tobytes())
    if line.extension:
        line.array.extend([np.nan] * line.extension)


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


def is_beside_finer(feed: Any, feeds: list[Any]) -> bool:
    """Tell whether a feed that backtrader resamples runs beside one of shorter bars."""
    if not feed.resampling:
        return False
    length = (feed._timeframe, feed._compression)
    return any((other._timeframe, other._compression) < length for other in feeds)
