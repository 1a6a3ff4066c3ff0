"""A Cerebro whose sessions cost the same for one stock and for a thousand.

Stock backtrader, on every session, asks each feed for its next date, moves each line of each feed and
indicator, and counts each feed's bars. Here all that is known before the first session::

    preload ──► indicators, whole columns ──► clock: union of dates, bar number per stock and session
                                                │
      for each session t:                       ▼
        clock.now = t             every line of every feed has moved
        timers, broker.next()     touches open positions and waiting orders only
        present = t               every line of every indicator has moved
        notifications, strategy.next(), analyzers, observers        as in backtrader

What users write for backtrader goes on working: bt.Strategy, bt.Indicator, sizers, analyzers,
observers, writers, timers, several strategies, cheat-on-open, `optstrategy` in one process or in several. What
the loop does not cover runs on backtrader's own loop with the same result, and a warning says so once, unless it
was asked for (``runonce=False``, ``preload=False``):

- feeds other than `feeds.stock_feed.StockFeed`, filters, resampling, replay, live feeds;
- ``exactbars``, ``oldsync``, or an indicator that wants to run bar by bar;
- an indicator that reads stocks of different calendars (backtrader's own whole columns would set a bar beside one
  of another day: these run bar by bar, NaN until each stock is listed);
- an indicator that steps with the strategy and not with a feed, a strategy that replaces backtrader's
  own ``_oncepost`` or ``_getminperstatus``.
"""

from __future__ import annotations

import warnings
from typing import Any

import backtrader as bt

from feeds.adapter.audit import compute_audited, forget_values
from feeds.adapter.clock import Clock, ClockedLines
from feeds.adapter.guards import guard, guardable, unguard
from feeds.adapter.loop import (
    OwnLoop,
    all_indicators,
    compute_indicators,
    has_own_step,
    leave_short,
    minimum_bars,
    mixes_calendars,
    step,
    step_at_open,
    wait_for_listings,
)
from feeds.adapter.naming import buffers, parameter_values, root_feed
from feeds.collector import collector_rare
from feeds.errors import InputError, unknown_name
from feeds.stock_feed import StockFeed


class ClockedCerebro(OwnLoop):
    """backtrader's Cerebro with the loop of this module.

    Parameters
    ----------
    guarded : bool
        Reading a line of a feed or indicator at ``[1]`` and beyond, or before its beginning, raises
        with the line, the feed and the index, and so does reading an indicator's line that later bars change
        (default False: backtrader's behaviour, which is the faster one). Reading before a stock's first bar
        raises in both. What reads ``line.array`` itself in a strategy is not seen.
    """

    params: Any = (("guarded", False),)

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name("parameter of ClockedCerebro", name, parameter_values(self.params))
        super().__init__()
        self.fallback: str | None = None
        self._clock: Clock | None = None
        self._guarded: list[Any] = []

    def adddata(self, data: Any, name: Any = None) -> Any:
        """Add a feed as in backtrader; `resampledata` and `replaydata` lead here.

        Raises
        ------
        InputError
            For the name of a feed that is there already: orders and trades are told apart by it. A resampled or
            replayed copy of that feed may have its name.
        """
        called = data._name if name is None else name
        known = self.datasbyname.get(called) if isinstance(called, str) and called else None
        if known is not None and not _is_resampled_copy(data, known):
            raise InputError(
                f"feed {called}: expected a name that no other feed has, received it twice; give the second another "
                "with adddata(feed, name=...)"
            )
        return super().adddata(data, name)

    def session_number(self) -> float:
        """Return the present session in backtrader's numbers, -inf before the first bar of any feed."""
        if self._clock is not None:
            return self._clock.sessions[self._clock.now[0]]
        return max((data.datetime[0] for data in self.datas if len(data)), default=float("-inf"))

    def runstrategies(self, iterstrat: Any, predata: bool = False) -> Any:
        """Run strategies (called by backtrader), and let the broker ask us for the session."""
        self.fallback = None
        set_clock = getattr(self.broker, "set_clock", lambda clock: None)
        set_clock(self.session_number)
        try:
            return super().runstrategies(iterstrat, predata)
        finally:  # broker and feeds may be used again, without a clock of ours; guarded lines cannot travel
            set_clock(None)
            for line in self._guarded:
                unguard(line)
            self._guarded.clear()

    def run_columns(self, strategies: list[Any]) -> None:
        """Run with all bars and indicators computed before (called by backtrader)."""
        indicators = [each for strategy in strategies for each in all_indicators(strategy)]
        for indicator in indicators:
            leave_short(indicator)
        mixed = next(filter(mixes_calendars, indicators), None)
        if mixed is not None:
            self._fall_back(f"the indicator {type(mixed).__name__}, which reads stocks of different calendars")
            self._bar_by_bar(strategies)
            return
        self._guard(strategies)
        why = self._not_covered(strategies)
        if why is not None:
            self._fall_back(why)
            self._audit(strategies)
            super().run_columns(strategies)
            return
        if self.p.guarded:
            compute_audited(strategies, self.datas)
        else:
            for strategy in strategies:
                compute_indicators(strategy)
        self._run_on_clock(strategies)

    def _run_on_clock(self, strategies: list[Any]) -> None:
        clock, lines = Clock(self.datas), ClockedLines()
        presents = [[-1] for _ in strategies]  # of the strategies' indicators
        try:
            self._put_on(clock, lines, strategies, presents)
            self._clock = clock
            with collector_rare():  # else it goes through all feeds and every imported module again and again
                self._sessions(clock, strategies, presents)
        finally:
            lines.release()
            self._clock = None

    def run_bars(self, strategies: list[Any]) -> None:
        """Run bar by bar (called by backtrader)."""
        if self.p.runonce and self.p.preload:  # the user did not ask for it
            self._fall_back(self._why_bar_by_bar())
        self._bar_by_bar(strategies)

    def _bar_by_bar(self, strategies: list[Any]) -> None:
        for indicator in (each for strategy in strategies for each in all_indicators(strategy)):
            wait_for_listings(indicator)
        self._guard(strategies)
        super().run_bars(strategies)

    def run_columns_old(self, strategies: list[Any]) -> None:
        """Run in the way of ``oldsync`` (called by backtrader)."""
        self._fall_back("oldsync")
        self._guard(strategies)
        self._audit(strategies)
        super().run_columns_old(strategies)

    def run_bars_old(self, strategies: list[Any]) -> None:
        """Run bar by bar in the way of ``oldsync`` (called by backtrader)."""
        self._fall_back("oldsync")
        self._guard(strategies)
        super().run_bars_old(strategies)

    def _fall_back(self, why: str) -> None:
        self.fallback = why
        warnings.warn(
            f"this run uses backtrader's own loop, which is slower and gives the same result, because of {why}",
            stacklevel=2,
        )

    def _why_bar_by_bar(self) -> str:
        if self.p.exactbars:
            return f"exactbars={int(self.p.exactbars)}"
        for data in self.datas:
            for is_so, what in ((data.islive(), "live"), (data.replaying, "replayed"), (data.resampling, "resampled")):
                if is_so:
                    return f"the feed {data._name or type(data).__name__}, which is {what}"
        return "an indicator that wants to run bar by bar"

    def _guard(self, strategies: list[Any]) -> None:
        if not self.p.guarded:
            return
        found = [*self.datas, *(indicator for strategy in strategies for indicator in all_indicators(strategy))]
        self._guarded.extend(line for lines in found for line in guardable(lines))
        for line in self._guarded:
            guard(line)

    def _audit(self, strategies: list[Any]) -> None:
        if self.p.guarded:
            compute_audited(strategies, self.datas)
            forget_values(strategies)

    def _not_covered(self, strategies: list[Any]) -> str | None:
        for data in self.datas:
            if not isinstance(data, StockFeed) or not data.is_plain:
                return f"the feed {data._name or type(data).__name__}, which is no plain StockFeed"
        feeds = {id(data) for data in self.datas}
        for strategy in strategies:
            if has_own_step(strategy):
                return f"the strategy {type(strategy).__name__}, which has its own _oncepost or _getminperstatus"
            for indicator in all_indicators(strategy):
                if id(root_feed(indicator)) not in feeds:
                    return f"the indicator {type(indicator).__name__}, which steps on no feed"
        return None

    def _put_on(self, clock: Clock, lines: ClockedLines, strategies: list[Any], presents: list[list[int]]) -> None:
        for data in self.datas:
            lines.put_feed(data, clock)
        for strategy, present in zip(strategies, presents, strict=True):
            for indicator in all_indicators(strategy):
                for line in buffers(indicator):
                    lines.put(line, clock, root_feed(indicator), present)

    def _sessions(self, clock: Clock, strategies: list[Any], presents: list[list[int]]) -> None:
        """Do what backtrader's `_runonce` does for each session, without its loops over feeds."""
        waits = [clock.missing_bars(strategy.datas, minimum_bars(strategy)) for strategy in strategies]
        for row, number in enumerate(clock.sessions):
            clock.now[0] = row
            self.fire_timers(strategies, number, before_orders=True)
            if self.p.cheat_on_open:
                for strategy in strategies:
                    step_at_open(strategy)
                    if self.is_stopped:
                        return
            self.fill_orders()
            if self.is_stopped:
                return
            self.fire_timers(strategies, number, before_orders=False)
            for strategy, present, missing in zip(strategies, presents, waits, strict=True):
                present[0] = row
                step(strategy, number, missing[row])
                if self.is_stopped:
                    return
                self.write_row(strategies)


def _is_resampled_copy(one: Any, other: Any) -> bool:
    changed = any(feed.resampling or feed.replaying for feed in (one, other))
    return changed and one is not other and _source(one) is _source(other)


def _source(feed: Any) -> Any:
    """Return what a feed, or the feed that it copies, was made of."""
    found = feed
    while isinstance(found, bt.feed.AbstractDataBase):
        found = found.p.dataname
    return found
