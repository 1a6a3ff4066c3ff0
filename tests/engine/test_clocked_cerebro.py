from __future__ import annotations

import warnings

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analyzers.recorder import Recorder
from benchmarks.engine_backtrader import CREDIT, Rule, insider_swing
from benchmarks.engine_rule import CASH, COST_FRAC, FIELDS, Ledger, Market, classes, rounded, same
from engine.broker import SafeBroker
from engine.cerebro import run_backtest
from engine.clocked_cerebro import ClockedCerebro
from feeds.errors import InputError
from feeds.stock_feed import StockFeed, make_feeds
from strategies.base import SwingStrategy
from tests.conftest import build_panel
from tests.engine.candles import CLOCK, Script, flat, frame_of, stock

LATE = stock(None, None, flat(50), None, flat(60), flat(70))


class Watcher(bt.Strategy):
    """Trades at random with every order type and notes all that it can see."""

    params = (("seed", 0),)

    def __init__(self):
        self.rng = np.random.default_rng(self.p.seed)
        self.seen, self.fates = [], []
        self.lines_seen = {data: self.indicators_of(data) for data in self.datas}

    def indicators_of(self, data):
        average = bt.ind.SMA(data.close, period=3)
        above = data.close > average
        rsi = bt.ind.RSI(data, period=4, safediv=True)
        return [average, above, rsi, bt.ind.EMA(rsi, period=2), bt.ind.MACD(data, period_me1=2, period_me2=4)]

    def notify_order(self, order):
        self.fates.append((order.ref, order.getstatusname(), order.executed.size, order.executed.price))

    def notify_trade(self, trade):
        self.fates.append(("trade", trade.status, trade.pnlcomm))

    def prenext(self):
        self.seen.append("prenext")
        self.next()

    def nextstart(self):
        self.seen.append("nextstart")
        self.next()

    def next(self):
        self.seen.append((self.datetime.date(0), len(self), self.broker.getvalue(), self.broker.getcash()))
        for data in self.datas:
            if not len(data):
                continue
            values = [line[0] for lines in self.lines_seen[data] for line in lines.lines]
            past = data.close.get(0, min(3, len(data))).tolist()
            self.seen.append((len(data), data.datetime.date(0), data.volume[0], *past, *values))
            self.trade(data)

    def trade(self, data):
        drawn, close = self.rng.random(), data.close[0]
        if drawn < 0.05:
            self.buy(data, size=10)
        elif drawn < 0.10:
            self.buy(data, size=7, exectype=bt.Order.Limit, price=0.99 * close, valid=data.datetime.date(0))
        elif drawn < 0.15:
            self.close(data)
        elif drawn < 0.20:
            self.sell(data, size=5, exectype=bt.Order.Stop, price=0.98 * close)


def watched(cerebro, panel, seed=0, broker=None):
    for feed in make_feeds(panel):
        cerebro.adddata(feed)
    cerebro.setbroker(broker or SafeBroker(cash=50_000.0))
    cerebro.addstrategy(Watcher, seed=seed)
    for analyzer in (bt.analyzers.TradeAnalyzer, bt.analyzers.DrawDown, bt.analyzers.TimeReturn, bt.analyzers.SQN):
        cerebro.addanalyzer(analyzer)
    cerebro.addanalyzer(Recorder, _name="recorder")
    bt.order.OrderBase.refbasis = iter(range(1, 1_000_000))
    return cerebro.run()[0]


def everything(strategy):
    analyses = [repr(analyzer.get_analysis()) for analyzer in strategy.analyzers]
    observed = [[list(line.array) for line in observer.lines] for observer in strategy.getobservers()]
    return repr(strategy.seen), repr(strategy.fates), analyses, repr(observed)


@st.composite
def panels(draw):
    # Every stock has the 12 bars that backtrader's MACD below needs: with fewer its own `once` ends with an IndexError.
    tickers, sessions = draw(st.integers(1, 5)), draw(st.integers(36, 50))
    columns = st.integers(0, tickers - 1)
    late = draw(st.dictionaries(columns, st.integers(1, 15), max_size=2))
    ends = draw(st.dictionaries(columns.filter(lambda j: j not in late), st.integers(20, sessions - 1), max_size=2))
    halts = draw(st.dictionaries(columns, st.lists(st.integers(1, sessions - 1), max_size=6), max_size=3))
    halts = {j: [k for k in days if k != late.get(j, -1) and k != ends.get(j, -1)] for j, days in halts.items()}
    return build_panel(sessions, tickers, draw(st.integers(0, 99)), late=late, ends=ends, halts=halts)


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(panel=panels(), seed=st.integers(0, 99), observed=st.booleans())
def test_clocked_loop_on_any_calendars_shows_and_does_what_backtraders_loop_does(panel, seed, observed):
    fast = ClockedCerebro(stdstats=observed)
    assert everything(watched(fast, panel, seed)) == everything(watched(bt.Cerebro(stdstats=observed), panel, seed))
    assert fast.fallback is None


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(panel=panels(), seed=st.integers(0, 99))
def test_clocked_loop_agrees_with_bar_by_bar_and_guarded_runs(panel, seed):
    whole = everything(watched(ClockedCerebro(stdstats=False), panel, seed))
    assert everything(watched(ClockedCerebro(stdstats=False, guarded=True), panel, seed)) == whole
    slow = everything(watched(ClockedCerebro(stdstats=False, runonce=False, guarded=True), panel, seed))
    assert slow[1:] == whole[1:]  # values of indicators agree to rounding only, which repr would show


def market_of(panel):
    rows = panel.traded.any(axis=1)
    arrays = [getattr(panel, field)[rows] for field in FIELDS]
    return rounded(Market(panel.sessions.to_numpy("M8[D]")[rows], list(panel.tickers), *arrays))


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(panel=panels())
def test_rule_on_any_calendars_gives_the_ledgers_fills_cash_and_equity(panel):
    market = market_of(panel)
    right = Ledger(market).run()
    assert same(insider_swing(market), right)


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(panel=panels())
def test_rule_without_delisting_is_the_same_on_stock_backtrader(panel):
    last = panel.last_rows
    keep = [t for t, row in zip(panel.tickers, last, strict=True) if row == len(panel.sessions) - 1]
    if not keep:
        return
    market = market_of(panel.select(keep))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = bt.brokers.BackBroker(cash=CASH + CREDIT, checksubmit=False)
    cerebro.broker.setcommission(commission=COST_FRAC)
    for ticker in market.tickers:
        column = market.tickers.index(ticker)
        rows = np.flatnonzero(np.isfinite(market.close[:, column]))
        frame = pd.DataFrame({f: getattr(market, f)[rows, column] for f in FIELDS}, index=market.sessions[rows])
        cerebro.adddata(bt.feeds.PandasData(dataname=frame.set_index(pd.DatetimeIndex(frame.index))), name=ticker)
    cerebro.addstrategy(Rule, classes=classes(*market.close.shape))
    stock_outcome = cerebro.run()[0].outcome
    ours = insider_swing(market)
    assert sorted(ours.fills) == sorted(stock_outcome.fills)
    np.testing.assert_allclose(ours.equity, stock_outcome.equity, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.cash, stock_outcome.cash, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bars", [1, 2, 3, 5, 8, 11])
def test_indicator_that_needs_more_bars_than_a_stock_has_stays_nan_as_bar_by_bar(bars):
    short = build_panel(40, 3, late={1: 40 - bars}, ends={2: bars - 1})
    fast, slow = (
        watched(ClockedCerebro(stdstats=False), short),
        watched(bt.Cerebro(stdstats=False, runonce=False), short),
    )
    assert everything(fast)[1:] == everything(slow)[1:]
    rows, right = (np.array([row[-7:] for row in each.seen if len(row) > 10]) for each in (fast, slow))
    np.testing.assert_allclose(rows, right, rtol=1e-9)  # the seven lines of the indicators
    with pytest.raises(IndexError):  # what backtrader makes of it
        watched(bt.Cerebro(stdstats=False), short)


def script_run(script, cerebro, **stocks):
    for ticker, bars in stocks.items():
        cerebro.adddata(StockFeed.from_bars(bars, ticker))
    cerebro.setbroker(SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=0))
    cerebro.addstrategy(Script, script=script)
    return cerebro.run()[0]


def test_missing_bar_is_no_bar():
    seen = []
    note = {k: lambda s: seen.append((len(s.datas[1]), s.datas[1].close[0])) for k in range(2, 6)}
    note[4] = lambda s: seen.append((len(s.datas[1]), s.datas[1].close[0], s.datas[1].close[-1]))
    script_run(note, ClockedCerebro(stdstats=False), CLOCK=CLOCK, LATE=LATE)
    assert seen == [(1, 50), (1, 50), (2, 60, 50), (3, 70)]


def test_lines_after_the_run_are_backtraders_again_and_stand_at_the_end():
    strategy = script_run({}, ClockedCerebro(stdstats=False), CLOCK=CLOCK, LATE=LATE)
    late = strategy.datas[1]
    assert (len(late), late.close[0], late.close.idx, late.close.lencount) == (3, 70.0, 2, 3)
    late.close.home()
    assert len(late.close) == 0


def test_the_same_cerebro_runs_twice():
    cerebro = ClockedCerebro(stdstats=False)
    first = script_run({0: lambda s: s.buy(size=2)}, cerebro, CLOCK=CLOCK, LATE=LATE)
    assert cerebro.run()[0].values == first.values


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: c.resampledata(c.datas[0], timeframe=bt.TimeFrame.Weeks), "the feed DataClone, which is resampled"),
        (lambda c: c.adddata(bt.feeds.PandasData(dataname=frame_of(CLOCK)), name="OTHER"), "the feed OTHER"),
    ],
)
def test_feed_that_is_not_covered_runs_on_backtraders_loop_and_says_so(change, why):
    values = []
    for cerebro in (ClockedCerebro(stdstats=False), bt.Cerebro(stdstats=False)):
        for ticker, bars in {"CLOCK": CLOCK, "LATE": LATE}.items():
            cerebro.adddata(StockFeed.from_bars(bars, ticker))
        change(cerebro)
        cerebro.addstrategy(Script, script={0: lambda s: s.buy(s.datas[0], size=2), 4: lambda s: s.sell(size=2)})
        if isinstance(cerebro, ClockedCerebro):
            with pytest.warns(UserWarning, match=f"backtrader's own loop.*because of {why}"):
                values.append(cerebro.run()[0].values)
        else:
            values.append(cerebro.run()[0].values)
    assert values[0] == values[1]


def test_indicator_that_steps_bar_by_bar_only_runs_on_backtraders_loop_and_says_so():
    class Slow(bt.Strategy):
        def __init__(self):
            self.heikin = bt.ind.HeikinAshi(self.data)

    cerebro = ClockedCerebro(stdstats=False)
    cerebro.addstrategy(Slow)
    for feed in make_feeds(build_panel(20, 2)):
        cerebro.adddata(feed)
    with pytest.warns(UserWarning, match="an indicator that wants to run bar by bar"):
        strategy = cerebro.run()[0]
    assert cerebro.fallback == "an indicator that wants to run bar by bar"
    assert len(strategy) == 20


def test_several_strategies_share_the_clock():
    results = []
    for cerebro in (ClockedCerebro(stdstats=False), bt.Cerebro(stdstats=False)):
        for feed in make_feeds(build_panel(60, 3, late={1: 20}, halts={2: [5, 6]})):
            cerebro.adddata(feed)
        cerebro.addstrategy(Watcher, seed=1)
        cerebro.addstrategy(Watcher, seed=2)
        bt.order.OrderBase.refbasis = iter(range(1, 1_000_000))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            results.append([everything(strategy) for strategy in cerebro.run()])
    assert results[0] == results[1]


def test_unknown_parameter_raises():
    with pytest.raises(InputError, match="unknown parameter of ClockedCerebro 'gaurded'.*Did you mean 'guarded'"):
        ClockedCerebro(gaurded=True)


class Peeking(SwingStrategy):
    """Reads where it must not."""

    params = (("ago", 1), ("of", "close"))

    def entry_signal(self, data):
        line = data.close if self.p.of == "close" else self._atr[data._name].atr
        return bool(line[self.p.ago] > 0) and False


@pytest.mark.parametrize(
    ("of", "ago", "text"),
    [
        ("close", 1, r"line `close` of T000: expected an index of 0 or below, received \[1\], 1 bar after the present"),
        ("atr", 2, r"line `atr` of AverageTrueRange of T000: expected an index of 0 or below, received \[2\], 2 bars"),
        (
            "close",
            -5,
            r"line `close` of T000: expected an index from \[0\] to \[0\], for it has 1 bar, received \[-5\]",
        ),
    ],
)
@pytest.mark.parametrize("runonce", [True, False])
def test_guarded_run_refuses_what_lies_outside_the_bars_that_have_been(of, ago, text, runonce):
    panel = build_panel(30, 2)
    params = {"ago": ago, "of": of}
    with pytest.raises(InputError, match=text):
        run_backtest(panel, strategy=Peeking, params=params, guarded=True, runonce=runonce)
    if ago < 2:
        run_backtest(panel.select(["T000"]), strategy=Peeking, params={"ago": min(ago, 0)}, guarded=False)


@pytest.mark.parametrize("runonce", [True, False])
def test_feeds_of_a_guarded_run_are_not_guarded_in_the_next(runonce):
    feeds = make_feeds(build_panel(20, 1))

    class Peeks(bt.Strategy):
        seen = 0.0

        def next(self):
            self.seen = self.data.close[1 if len(self) == 5 else 0]

    def run(kind, **how):
        cerebro = kind(stdstats=False, runonce=runonce, **how)
        cerebro.adddata(feeds[0])
        cerebro.addstrategy(Peeks)
        return cerebro.run()

    with pytest.raises(InputError, match=r"line `close` of T000: .* received \[1\]"):
        run(ClockedCerebro, guarded=True)
    for kind in (ClockedCerebro, bt.Cerebro):
        assert len(run(kind)[0]) == 20
    with pytest.raises(InputError, match=r"line `close` of T000: .* received \[1\]"):
        run(ClockedCerebro, guarded=True)


class PeekingIndicator(bt.Indicator):
    lines = ("tomorrow",)

    def next(self):
        self.lines.tomorrow[0] = self.data.close[1]


def test_guarded_run_refuses_tomorrow_inside_an_indicator():
    cerebro = ClockedCerebro(stdstats=False, guarded=True)
    for feed in make_feeds(build_panel(20, 1)):
        cerebro.adddata(feed)
    cerebro.addindicator(PeekingIndicator)
    with pytest.raises(InputError, match=r"line `close` of T000: .* received \[1\]"):
        cerebro.run()


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("mode", [(True, True), (True, False), (False, False)])
def test_reading_before_listing_raises_in_every_mode(guarded, mode):
    cerebro = ClockedCerebro(stdstats=False, guarded=guarded, preload=mode[0], runonce=mode[1])
    with pytest.raises(InputError, match=r"line `close` of LATE: .* before its first bar on 2020-01-06; ask len"):
        script_run({1: lambda s: s.datas[1].close[0]}, cerebro, CLOCK=CLOCK, LATE=LATE)


class Ratio(bt.Strategy):
    def __init__(self):
        self.ratio = self.datas[0].close / self.datas[1].close
        self.seen = []

    def next(self):
        self.seen.append((self.ratio[0], self.datas[0].close[0] / self.datas[1].close[0]))


def test_indicator_over_stocks_of_different_calendars_sets_no_bar_beside_one_of_another_day():
    panel = build_panel(30, 2, halts={0: [3, 4], 1: [20, 21]})
    stock, ours = bt.Cerebro(stdstats=False), ClockedCerebro(stdstats=False)
    for cerebro in (stock, ours):
        for feed in make_feeds(panel):
            cerebro.adddata(feed)
        cerebro.addstrategy(Ratio)
    shown, true = np.array(stock.run()[0].seen).T
    assert not np.allclose(shown, true)
    with pytest.warns(UserWarning, match="because of the indicator .*, which reads stocks of different calendars"):
        seen = ours.run()[0].seen
    # While the first stock is halted, the ratio stays at its last bar's, as in a run bar by bar.
    np.testing.assert_allclose(*np.delete(np.array(seen), [3, 4], axis=0).T)


def test_second_feed_of_one_name_is_refused():
    cerebro = ClockedCerebro(stdstats=False)
    first, second = make_feeds(build_panel(20, 2))
    cerebro.adddata(first)
    with pytest.raises(InputError, match=r"feed T000: expected a name that no other feed has, received it twice; give"):
        cerebro.adddata(second, name="T000")
    with pytest.raises(InputError, match="feed T000: expected a name that no other feed has"):
        cerebro.adddata(first)
    with pytest.raises(InputError, match="feed T000: expected a name that no other feed has"):
        cerebro.resampledata(second, name="T000", timeframe=bt.TimeFrame.Weeks)
    cerebro.adddata(make_feeds(build_panel(20, 2))[0], name="T001")
    assert [data._name for data in cerebro.datas] == ["T000", "T001"]


@pytest.mark.parametrize("how", ["resampledata", "replaydata"])
@pytest.mark.parametrize("copied", [True, False])
def test_resampled_feed_may_have_the_name_of_its_source(how, copied):
    lengths = []
    for cerebro in (ClockedCerebro(stdstats=False), bt.Cerebro(stdstats=False)):
        panel = build_panel(20, 1)
        bars = panel.bars("T000")
        feed = StockFeed.from_bars(bars, "T000")
        cerebro.adddata(feed)
        source = feed if copied else StockFeed.from_bars(bars, "T000")
        getattr(cerebro, how)(source, name="T000", timeframe=bt.TimeFrame.Weeks)
        cerebro.addstrategy(bt.Strategy)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strategy = cerebro.run()[0]
        lengths.append([len(data) for data in strategy.datas])
    assert lengths[0] == lengths[1]
    assert lengths[0][1] < 20


def test_feeds_without_a_name_and_chained_ones_are_taken():
    cerebro = ClockedCerebro(stdstats=False)
    for _ in range(2):
        cerebro.adddata(bt.feeds.PandasData(dataname=frame_of(CLOCK)))
    cerebro.chaindata(bt.feeds.PandasData(dataname=frame_of(CLOCK)), name="CHAIN")
    assert [data._name for data in cerebro.datas] == ["", "", "CHAIN"]
