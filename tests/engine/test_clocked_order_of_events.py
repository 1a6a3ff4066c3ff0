"""The clocked loop calls and shows what backtrader's does, in its order; what it does not cover, it hands back."""

from __future__ import annotations

import io
import warnings

import backtrader as bt
import numpy as np
import pytest

from engine.broker import SafeBroker
from engine.clocked_cerebro import ClockedCerebro
from feeds.adapter.loop import has_own_step
from feeds.errors import InputError
from feeds.stock_feed import StockFeed, make_feeds
from tests.conftest import build_panel
from tests.contracts import RUN_MODES
from tests.engine.candles import frame_of

PANEL = {"late": {1: 12}, "halts": {0: [20, 21], 2: [5]}}


class Diary(bt.Strategy):
    """Notes who was called when, and where every line stood then."""

    params = (("stop_at", None), ("needs", 5))

    def __init__(self):
        self.events = []
        self.average = bt.ind.SMA(self.data.close, period=self.p.needs)
        self.above = self.data.close - self.average
        self.add_timer(bt.timer.SESSION_START, cheat=True)
        self.add_timer(bt.timer.SESSION_START)

    def note(self, what):
        bars = [(len(line), line[0] if len(line) else None) for line in (self.data.close, self.average, self.above)]
        self.events.append((what, len(self), *bars))
        if what == self.p.stop_at and len(self) == 15:
            self.env.runstop()

    def notify_timer(self, timer, when, *args, **kwargs):
        self.note("timer")

    def notify_order(self, order):
        self.note(("order", order.getstatusname(), order.executed.price))

    def prenext_open(self):
        self.note("prenext_open")

    def nextstart_open(self):
        self.note("nextstart_open")

    def next_open(self):
        self.note("next_open")
        if len(self) % 7 == 1:
            self.buy(size=1)

    def prenext(self):
        self.note("prenext")

    def nextstart(self):
        self.note("nextstart")

    def next(self):
        self.note("next")
        if self.above[0] > 0:
            self.order_target_size(target=len(self) % 3)


def diaries(cerebro, strategies=1, **params):
    for feed in make_feeds(build_panel(50, 3, **PANEL)):
        cerebro.adddata(feed)
    cerebro.setbroker(SafeBroker(cash=50_000.0))
    for number in range(strategies):
        cerebro.addstrategy(Diary, needs=5 + number, **params)
    return repr([strategy.events for strategy in cerebro.run()])


@pytest.mark.parametrize("strategies", [1, 2])
@pytest.mark.parametrize(
    "settings", [{}, {"cheat_on_open": True, "broker_coo": False}, {"quicknotify": True}], ids=lambda s: "-".join(s)
)
def test_every_call_finds_every_line_where_backtraders_loop_has_it(settings, strategies):
    seen = diaries(ClockedCerebro(stdstats=False, **settings), strategies)
    assert seen == diaries(bt.Cerebro(stdstats=False, **settings), strategies)
    assert "timer" in seen
    assert ("next_open" in seen) == ("cheat_on_open" in settings)


@pytest.mark.parametrize("stop_at", ["next_open", "timer", "next"])
def test_run_that_is_stopped_stops_where_backtraders_does(stop_at):
    settings = {"stdstats": False, "cheat_on_open": True, "broker_coo": False}
    seen = diaries(ClockedCerebro(**settings), 2, stop_at=stop_at)
    assert seen == diaries(bt.Cerebro(**settings), 2, stop_at=stop_at)
    assert len(seen) < len(diaries(ClockedCerebro(**settings), 2))


def test_writer_writes_what_backtraders_loop_lets_it_write():
    def written(cerebro):
        out = io.StringIO()
        cerebro.addwriter(bt.WriterFile, csv=True, out=out)
        diaries(cerebro)
        return out.getvalue()

    text = written(ClockedCerebro(stdstats=True))
    assert text == written(bt.Cerebro(stdstats=True))
    assert text.count("\n") > 50


def test_strategy_given_one_feed_waits_for_that_feed_only():
    def seen(cerebro):
        for feed in make_feeds(build_panel(30, 2, late={1: 20})):
            cerebro.adddata(feed)
        cerebro.addstrategy(Diary, cerebro.datas[0])
        return repr(cerebro.run()[0].events)

    assert seen(ClockedCerebro(stdstats=False)) == seen(bt.Cerebro(stdstats=False))


# --------------------------------------------------------------------------------------------- what is not covered


class OwnStep(Diary):
    def _oncepost(self, dt):
        self.events.append("own")
        super()._oncepost(dt)


class OwnPatience(Diary):
    def _getminperstatus(self):
        self._minperstatus = -1
        return -1


class OnItself(Diary):
    def __init__(self):
        super().__init__()
        self.days = bt.ind.SMA(self.lines.datetime, period=2)


def clone(cerebro):
    cerebro.adddata(cerebro.datas[0].clone(), name="CLONE")


def filtered(cerebro):
    cerebro.datas[0].addfilter_simple(lambda data: False)


NOT_COVERED = [
    ({}, clone, Diary, "the feed CLONE, which is no plain StockFeed"),
    ({}, filtered, Diary, "the feed T000, which is no plain StockFeed"),
    ({"exactbars": -1}, None, Diary, "exactbars=-1"),
    ({"oldsync": True}, None, Diary, "oldsync"),
    ({}, None, OwnStep, "the strategy OwnStep, which has its own _oncepost"),
    ({}, None, OwnPatience, "the strategy OwnPatience, which has its own _oncepost or _getminperstatus"),
    ({}, None, OnItself, "the indicator SMA, which steps on no feed"),
]


@pytest.mark.parametrize(("settings", "change", "kind", "why"), NOT_COVERED, ids=[case[3][:30] for case in NOT_COVERED])
def test_what_is_not_covered_runs_on_backtraders_loop_and_says_so(settings, change, kind, why):
    def events(engine):
        cerebro = engine(stdstats=False, **settings)
        for feed in make_feeds(build_panel(30, 2)):
            cerebro.adddata(feed)
        if change is not None:
            change(cerebro)
        cerebro.addstrategy(kind)
        return repr(cerebro.run()[0].events), cerebro

    with pytest.warns(UserWarning, match=f"backtrader's own loop, .* because of {why}"):
        ours, cerebro = events(ClockedCerebro)
    assert cerebro.fallback.startswith(why)
    assert ours == events(bt.Cerebro)[0]
    assert len(ours) > 1_000


@pytest.mark.parametrize("settings", [{"runonce": False}, {"preload": False}])
def test_loop_that_was_asked_for_is_no_fallback(settings):
    cerebro = ClockedCerebro(stdstats=False, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = diaries(cerebro)
    assert ours == diaries(bt.Cerebro(stdstats=False, **settings))
    assert cerebro.fallback is None


def test_fallback_is_that_of_the_last_run():
    cerebro = ClockedCerebro(stdstats=False)
    cerebro.adddata(make_feeds(build_panel(30, 1))[0])
    cerebro.addstrategy(Diary)
    with pytest.warns(UserWarning, match="exactbars=-1"):
        cerebro.run(exactbars=-1)
    cerebro.run(exactbars=0)
    assert cerebro.fallback is None


def test_own_steps_are_told_apart():
    assert [has_own_step(object.__new__(kind)) for kind in (OwnStep, OwnPatience, Diary)] == [True, True, False]


class Quotient(bt.Strategy):
    def __init__(self):
        self.quotient = self.datas[0].close / self.datas[1].close
        self.seen = []

    def prenext(self):
        self.seen.append((len(self.quotient), None))

    def next(self):
        self.seen.append((len(self.quotient), self.quotient[0]))


@pytest.mark.parametrize("mode", RUN_MODES)
@pytest.mark.parametrize("listed", [{1: 20}, {0: 20}])
def test_indicator_over_a_stock_that_is_listed_late_waits_for_it(listed, mode):
    seen = []
    for engine in (ClockedCerebro, bt.Cerebro):
        ours = engine is ClockedCerebro
        cerebro = engine(stdstats=False, preload=mode[0] or not ours, runonce=mode[1] and ours)
        for feed in make_feeds(build_panel(40, 2, late=listed)):
            frame = feed.p.dataname
            theirs = bt.feeds.PandasData(dataname=frame_of(frame), name=feed.p.name)
            cerebro.adddata(feed if engine is ClockedCerebro else theirs)
        cerebro.addstrategy(Quotient)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen.append([value for _, value in cerebro.run()[0].seen if value is not None])
    assert len(seen[0]) == 20
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-12)


@pytest.mark.parametrize("inner_engine", [ClockedCerebro, bt.Cerebro])
def test_run_within_a_run_on_the_same_feeds_is_refused(inner_engine):
    feeds = make_feeds(build_panel(10, 1))

    class Nested(bt.Strategy):
        def next(self):
            inner = inner_engine(stdstats=False)
            inner.adddata(feeds[0])
            inner.addstrategy(bt.Strategy)
            inner.run()

    cerebro = ClockedCerebro(stdstats=False)
    cerebro.adddata(feeds[0])
    cerebro.addstrategy(Nested)
    with pytest.raises(InputError, match="feed T000: expected one that no run is using"):
        cerebro.run()


# --------------------------------------------------------------------------------------------- guarded runs


def guarded(strategy, feeds=None, **settings):
    cerebro = ClockedCerebro(guarded=True, **{"stdstats": False, **settings})
    for feed in feeds or make_feeds(build_panel(30, 2)):
        cerebro.adddata(feed)
    cerebro.addstrategy(strategy)
    return cerebro.run()[0]


class AheadInColumns(bt.Indicator):
    lines = ("ahead",)

    def next(self):
        self.lines.ahead[0] = self.data.close[0]

    def once(self, start, end):
        closes, ahead = self.data.close.array, self.lines.ahead.array
        for i in range(start, end):
            ahead[i] = closes[min(i + 1, end - 1)]


LOOKING_AHEAD = {
    "line moved": lambda data: data.close(1),
    "operation": lambda data: data.close(2) - data.close,
    "once": AheadInColumns,
    "ratio within tomorrow's bar": lambda data: data.close(1) / data.open(1),
    "range within tomorrow's bar": lambda data: data.high(1) - data.low(1),
    "comparison": lambda data: data.close(1) > data.close,
    "line of zeros": lambda data: data.openinterest(1) - data.openinterest,
    "inside another": lambda data: bt.ind.SMA(AheadInColumns(data), period=3),
}


@pytest.mark.parametrize("make", LOOKING_AHEAD.values(), ids=LOOKING_AHEAD)
@pytest.mark.parametrize("oldsync", [False, True])
@pytest.mark.filterwarnings("ignore:this run uses")
def test_guarded_run_finds_tomorrow_in_whole_columns(make, oldsync):
    class Knowing(bt.Strategy):
        def __init__(self):
            self.known = make(self.data)

        def next(self):
            return self.known[0]

    with pytest.raises(InputError, match=r"of T000: expected values that later bars do not change, received one on "):
        guarded(Knowing, oldsync=oldsync)


def test_guarded_run_refuses_the_line_that_looks_ahead_and_not_its_neighbours():
    class Cloud(bt.Strategy):
        asked = "kijun_sen"

        def __init__(self):
            self.cloud = bt.ind.Ichimoku(self.data, tenkan=3, kijun=5, senkou=6, senkou_lead=2, chikou=4)
            self.seen = []

        def next(self):
            self.seen.append(getattr(self.cloud, self.asked)[0])

    seen = guarded(Cloud).seen
    assert len(seen) > 20
    assert np.isfinite(seen).all()
    Cloud.asked = "chikou_span"  # the close of four bars later
    with pytest.raises(InputError, match="line `chikou_span` of Ichimoku of T000: expected values that later bars"):
        guarded(Cloud)


class Counting(bt.Indicator):
    lines = ("count",)

    def __init__(self):
        self.count = 0

    def next(self):
        self.count += 1
        self.lines.count[0] = self.count


def test_indicator_that_counts_on_cannot_be_audited_and_shows_what_it_shows_elsewhere():
    class Seeing(bt.Strategy):
        def __init__(self):
            self.counting, self.seen = Counting(self.data), []

        def next(self):
            self.seen.append(self.counting[0])

    with pytest.warns(
        UserWarning, match="line `count` of Counting of T000 cannot be audited: .* let it compute from its bars alone"
    ):
        assert guarded(Seeing).seen == [float(k) for k in range(1, 31)]


@pytest.mark.parametrize(
    "read",
    [
        lambda data: data.close.getzeroval(len(data)),
        lambda data: data.close.getzero(0, len(data) + 1),
        lambda data: data.close.get(1, 0),
    ],
)
def test_guarded_run_refuses_other_ways_to_tomorrow(read):
    class Reading(bt.Strategy):
        def next(self):
            read(self.data)

    with pytest.raises(InputError, match=r"line `close` of T000: .* received \[1\]"):
        guarded(Reading)


@pytest.mark.filterwarnings("ignore:this run uses")
def test_guarded_run_of_backtraders_own_feed_refuses_tomorrow_and_nothing_else():
    def feed():
        return bt.feeds.PandasData(dataname=frame_of(make_feeds(build_panel(30, 1))[0].p.dataname), name="P")

    assert len(guarded(Diary, [feed()])) == 30

    class Reading(bt.Strategy):
        def next(self):
            return self.data.close[1]

    with pytest.raises(InputError, match=r"line `close` of P: .* received \[1\]"):
        guarded(Reading, [feed()])


@pytest.mark.filterwarnings("ignore:this run uses")
def test_guarded_run_in_the_old_way_refuses_tomorrow():
    class Reading(bt.Strategy):
        def next(self):
            return self.data.close[1]

    for runonce in (True, False):
        with pytest.raises(InputError, match=r"line `close` of T000: .* received \[1\]"):
            guarded(Reading, oldsync=True, runonce=runonce)


def test_guarded_run_with_observers_shows_what_another_shows():
    def shown(**how):
        cerebro = ClockedCerebro(**how)
        seen = diaries(cerebro)
        strategy = cerebro.runstrats[0][0]
        return seen, repr([[list(line.array) for line in observer.lines] for observer in strategy.getobservers()])

    assert shown(guarded=True) == shown()


# --------------------------------------------------------------------------------------------- feeds


def test_feed_whose_dates_hold_no_bar_is_refused():
    import datetime

    bars = make_feeds(build_panel(10, 1))[0].p.dataname
    with pytest.raises(InputError, match="bars of X: expected one from 2050-01-01 to .*; leave the stock out"):
        StockFeed(dataname=bars, name="X", fromdate=datetime.datetime(2050, 1, 1))


def test_feed_with_its_own_loading_is_loaded_by_it():
    class Doubled(StockFeed):
        lines = ("twice",)

        def _load(self):
            if not super()._load():
                return False
            self.lines.twice[0] = 2 * self.lines.close[0]
            return True

    bars = make_feeds(build_panel(10, 1))[0].p.dataname
    seen = []
    for preload in (True, False):
        cerebro = ClockedCerebro(stdstats=False, preload=preload)
        feed = Doubled(dataname=bars, name="X")
        cerebro.adddata(feed)
        cerebro.addstrategy(type("See", (bt.Strategy,), {"next": lambda self: seen.append(self.data.twice[0])}))
        cerebro.run()
    assert seen == [*(2 * bars.close), *(2 * bars.close)]


def test_feed_without_the_column_of_its_line_says_so():
    class More(StockFeed):
        lines = ("foo",)

    bars = make_feeds(build_panel(10, 1))[0].p.dataname
    with pytest.raises(InputError, match="line `foo` of More: expected a column of that name in the bars of X"):
        More(dataname=bars, name="X")
