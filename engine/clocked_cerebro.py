"""A Cerebro whose sessions cost the same for one stock and for a thousand.

Stock backtrader, on every session, asks each feed for its next date, moves each line of each feed and
indicator, and counts each feed's bars. Here all that is known before the first session::

    preload ──► indicators, whole columns ──► clock: union of dates, bar number per stock and session
                                                │
      for each session t:                       ▼
        clock.now = t             every line of every feed and indicator has moved
        broker.next()             touches open positions and waiting orders only
        notifications, strategy.next(), analyzers, observers        as in backtrader

What users write for backtrader goes on working: bt.Strategy, bt.Indicator, sizers, analyzers,
observers, writers, timers, several strategies, cheat-on-open. What the loop does not cover runs on
backtrader's own loop with the same result, and a warning says so once:

- feeds other than `feeds.stock_feed.StockFeed`, filters, resampling, replay, live feeds;
- ``exactbars``, ``oldsync``, ``preload=False``, ``runonce=False`` or an indicator that disables it;
- an indicator that steps with the strategy and not with a feed, a strategy that replaces backtrader's
  own ``_oncepost``.
"""

from __future__ import annotations

import warnings
from typing import Any

import backtrader as bt

from feeds.backtrader_lines import Clock, ClockedLines, all_indicators, buffers, guard, root_feed
from feeds.errors import unknown_name
from feeds.stock_feed import StockFeed


class ClockedCerebro(bt.Cerebro):
    """backtrader's Cerebro with the loop of this module.

    Parameters
    ----------
    guarded : bool
        Reading a line of a feed or indicator at ``[1]`` and beyond, or before its beginning, raises
        with the line, the feed and the index (default False: backtrader's behaviour, which is the
        faster one). Reading before a stock's first bar raises in both.
    """

    params: Any = (("guarded", False),)

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name("parameter of ClockedCerebro", name, self.params._getkeys())
        super().__init__()
        self.fallback: str | None = None
        self._clock: Clock | None = None

    def session_number(self) -> float:
        """Return the present session in backtrader's numbers, -inf before the first bar of any feed."""
        if self._clock is not None:
            return self._clock.sessions[self._clock.now[0]]
        return max((data.datetime[0] for data in self.datas if len(data)), default=float("-inf"))

    def runstrategies(self, iterstrat: Any, predata: bool = False) -> Any:
        """Run strategies (called by backtrader), and let the broker ask us for the session."""
        if hasattr(self.broker, "set_clock"):
            self.broker.set_clock(self.session_number)
        return super().runstrategies(iterstrat, predata)

    def _runonce(self, runstrats: list[Any]) -> None:
        self._guard(runstrats)
        self.fallback = self._not_covered(runstrats)
        if self.fallback is not None:
            _warn(self.fallback)
            super()._runonce(runstrats)
            return
        for strategy in runstrats:
            strategy._once()
            strategy.reset()
        clock, lines = Clock(self.datas), ClockedLines()
        self._put_on(clock, lines, runstrats)
        self._clock = clock
        try:
            self._sessions(clock, runstrats)
        finally:
            lines.release()
            self._clock = None

    def _runnext(self, runstrats: list[Any]) -> None:
        self._guard(runstrats)
        if self.p.runonce and self.p.preload:  # the user did not ask for it
            self.fallback = "a live, replayed or memory-saving run, or an indicator that steps bar by bar only"
            _warn(self.fallback)
        super()._runnext(runstrats)

    def _guard(self, runstrats: list[Any]) -> None:
        if not self.p.guarded:
            return
        found = [*self.datas, *(indicator for strategy in runstrats for indicator in all_indicators(strategy))]
        for line in (line for lines in found for line in buffers(lines)):
            guard(line)

    def _not_covered(self, runstrats: list[Any]) -> str | None:
        for data in self.datas:
            if not isinstance(data, StockFeed) or data._filters or data.resampling or data.replaying:
                return f"the feed {data._name or type(data).__name__}, which is no plain StockFeed"
        for strategy in runstrats:
            if type(strategy)._oncepost is not bt.Strategy._oncepost:
                return f"the strategy {type(strategy).__name__}, which has its own _oncepost"
            for indicator in all_indicators(strategy):
                if not any(root_feed(indicator) is data for data in self.datas):
                    return f"the indicator {type(indicator).__name__}, which steps on no feed"
        return None

    def _put_on(self, clock: Clock, lines: ClockedLines, runstrats: list[Any]) -> None:
        for data in self.datas:
            for line in buffers(data):
                lines.put(line, clock, clock.rows(data))
        for strategy in runstrats:
            for indicator in all_indicators(strategy):
                for line in buffers(indicator):
                    lines.put(line, clock, clock.rows(root_feed(indicator)))

    def _sessions(self, clock: Clock, runstrats: list[Any]) -> None:
        """Do what backtrader's `_runonce` does for each session, without its loops over feeds."""
        waits = [clock.missing_bars(self.datas, strategy._minperiods) for strategy in runstrats]
        for row, number in enumerate(clock.sessions):
            clock.now[0] = row
            self._check_timers(runstrats, number, cheat=True)
            if self.p.cheat_on_open:
                for strategy in runstrats:
                    strategy._oncepost_open()
            if self._event_stop:
                return
            self._brokernotify()
            if self._event_stop:
                return
            self._check_timers(runstrats, number, cheat=False)
            for strategy, missing in zip(runstrats, waits, strict=True):
                _step(strategy, number, missing[row])
                if self._event_stop:
                    return
                self._next_writers(runstrats)


def _step(strategy: Any, number: float, missing: int) -> None:
    """Do what backtrader's `Strategy._oncepost` does, without its loops over indicators and feeds."""
    strategy.forward()
    strategy.lines.datetime[0] = number
    strategy._notify()
    strategy._minperstatus = missing
    if missing < 0:
        strategy.next()
    elif missing == 0:
        strategy.nextstart()
    else:
        strategy.prenext()
    strategy._next_analyzers(missing, once=True)
    strategy._next_observers(missing, once=True)
    strategy.clear()


def _warn(what: str) -> None:
    warnings.warn(
        f"this run uses backtrader's own loop, which is slower and gives the same result, because of {what}",
        stacklevel=2,
    )
