"""What of backtrader's inside we rely on: a version that changes it fails here, by name."""

from __future__ import annotations

import array
import inspect

import backtrader as bt
import numpy as np
import pytest

from feeds.backtrader_lines import NOT_LISTED, Clock, ClockedLines, SafeLine, describe, fill, guard, root_feed
from feeds.stock_feed import make_feeds
from tests.conftest import build_panel


def test_line_is_an_array_an_index_and_a_count():
    line = bt.linebuffer.LineBuffer()
    assert (line._idx, line.lencount, line.extension, line.mode) == (-1, 0, 0, line.UnBounded)
    assert isinstance(line.array, array.array)
    line.array.extend([5.0, 6.0, 7.0])
    line.advance(2)
    assert (line._idx, line.lencount, line[0], line[-1]) == (1, 2, 6.0, 5.0)
    line._idx, line.lencount = 2, 3
    assert (line.idx, len(line), line[0]) == (2, 3, 7.0)
    assert not any("__slots__" in vars(kind) for kind in type(line).__mro__)  # its class can be changed


def test_lines_know_their_owner_and_indicators_their_clock():
    class Look(bt.Strategy):
        def __init__(self):
            self.average = bt.ind.SMA(self.data.close, period=2)
            self.above = self.data.close > self.average
            self.of_average = bt.ind.EMA(self.average, period=2)

    cerebro = bt.Cerebro(stdstats=False)
    feed = make_feeds(build_panel(20, 1))[0]
    cerebro.adddata(feed)
    cerebro.addstrategy(Look)
    strategy = cerebro.run()[0]
    assert feed.close._owner is feed
    assert strategy.average.lines.sma._owner is strategy.average
    for found in (strategy.average, strategy.above, strategy.of_average, feed.close, strategy.average.lines.sma):
        assert root_feed(found) is feed
    assert root_feed(strategy) is None
    assert describe(strategy.average.lines.sma) == "line `sma` of SMA of T000"
    assert {*strategy._lineiterators[strategy.IndType]} >= {strategy.average, strategy.above}
    assert strategy._minperiods == [3]


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (bt.Cerebro, ["_runonce", "_runnext", "_brokernotify", "_check_timers", "_next_writers", "runstrategies"]),
        (bt.Strategy, ["_oncepost", "_oncepost_open", "_notify", "_next_analyzers", "_next_observers", "_once"]),
        (bt.feed.DataBase, ["_load", "_tick_fill", "_tick_nullify", "advance_peek", "preload"]),
    ],
)
def test_methods_that_we_call_or_replace_exist(owner, names):
    assert [name for name in names if not callable(getattr(owner, name, None))] == []


LOOP = """
    strat._once() | strat.reset() | advance_peek | .advance() | _check_timers(runstrats, dt0, cheat=True)
    | _oncepost_open() | _brokernotify() | _check_timers(runstrats, dt0, cheat=False) | _oncepost(dt0)
"""
STEP = """
    indicator.advance() | self.forward() | self.lines.datetime[0] = dt | self._notify() | _getminperstatus()
    | self.next() | self.nextstart() | self.prenext() | _next_analyzers(minperstatus, once=True)
    | _next_observers(minperstatus, once=True) | self.clear()
"""


@pytest.mark.parametrize(("method", "steps"), [(bt.Cerebro._runonce, LOOP), (bt.Strategy._oncepost, STEP)])
def test_backtraders_loop_still_takes_the_steps_that_ours_repeats(method, steps):
    source = inspect.getsource(method)
    places = [source.find(step.strip()) for step in steps.split("|")]
    assert -1 not in places
    assert places == sorted(places)


def test_clock_counts_traded_bars_and_knows_nothing_before_listing():
    feeds = make_feeds(build_panel(5, 2, late={1: 2}, halts={0: [3]}))
    for feed in feeds:
        feed.setenvironment(bt.Cerebro())
        feed._start()
        feed.preload()
    clock = Clock(feeds)
    assert list(clock.rows(feeds[0])) == [0, 1, 2, 2, 3]
    assert list(clock.rows(feeds[1])) == [NOT_LISTED, NOT_LISTED, 0, 1, 2]
    assert clock.missing_bars(feeds, [1, 2]) == [2, 2, 1, 0, -1]


def test_clocked_line_is_where_the_clock_says_and_stays_there_when_released():
    feeds = make_feeds(build_panel(4, 1))
    feeds[0].setenvironment(bt.Cerebro())
    feeds[0]._start()
    feeds[0].preload()
    clock, lines, line = Clock(feeds), ClockedLines(), feeds[0].close
    values = line.array.tolist()
    guard(line)
    lines.put(line, clock, clock.rows(feeds[0]))
    clock.now[0] = 2
    assert (len(line), line.idx, line[0], line[-2], line.get(0, 2).tolist()) == (
        3,
        2,
        values[2],
        values[0],
        values[1:3],
    )
    with pytest.raises(ValueError, match="received \\[1\\], 1 bar after the present"):
        line[1]
    lines.release()
    assert (len(line), line.idx, line[0], isinstance(line, SafeLine)) == (3, 2, values[2], True)
    line.advance()
    assert line[0] == values[3]


def test_fill_keeps_the_places_that_look_ahead():
    line = bt.linebuffer.LineBuffer()
    line.extend(size=2)
    fill(line, np.array([1.0, 2.0]))
    assert (line.buflen(), line.array[:2].tolist(), np.isnan(line.array[2:]).all()) == (2, [1.0, 2.0], True)
