from __future__ import annotations

import datetime
import multiprocessing
from dataclasses import replace

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.panel import Bars, FeaturePanel
from feeds.stock_feed import StockFeed, feed_class, make_feeds, session_numbers
from indicators.feed_bars import whole_bars
from tests.contracts import RUN_MODES, observe, part_of

LINES = ("close", "low", "high", "open", "volume", "openinterest", "datetime", "adjust", "ins_buy_21")


@pytest.fixture(scope="module")
def bars(make_panel) -> Bars:
    panel = make_panel(sessions=60, tickers=1, halts={0: [10, 11]})
    columns = {"ins_buy_21": np.where(np.arange(58) % 7 == 0, np.nan, np.arange(58.0))}
    return replace(panel.bars("T000"), adjust=np.linspace(1, 3, 58), columns=columns)


@pytest.mark.parametrize("mode", RUN_MODES)
def test_feed_shows_every_bar_in_every_run_mode(bars, mode):
    seen = observe(bars, mode=mode)
    expected = {**vars(bars), **bars.columns, "openinterest": np.zeros(58), "datetime": session_numbers(bars.sessions)}
    np.testing.assert_array_equal(seen, np.column_stack([expected[name] for name in LINES]))


@pytest.mark.parametrize("size", [1, 30])
def test_feed_cut_after_a_bar_shows_the_same_bar(bars, size):
    np.testing.assert_array_equal(observe(part_of(bars, size))[-1], observe(bars)[size - 1])


def test_feed_with_a_changed_future_shows_the_same_past(bars):
    changed = replace(bars, high=np.where(np.arange(58) >= 40, 2 * bars.high, bars.high))
    np.testing.assert_array_equal(observe(changed)[:40], observe(bars)[:40])
    assert not np.array_equal(observe(changed)[40], observe(bars)[40])


def test_feed_has_the_values_of_backtraders_own_feed(make_panel):
    panel = make_panel(sessions=30, tickers=1)
    frame = pd.DataFrame(
        {name: getattr(panel, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}, index=panel.sessions
    )

    class Notes(bt.Strategy):
        def __init__(self):
            self.rows = []

        def next(self):
            data = self.data
            values = (data.open[0], data.high[0], data.low[0], data.close[0], data.volume[0])
            self.rows.append((data.datetime.date(0), data._name, *values))

    def rows(feed) -> list:
        cerebro = bt.Cerebro()
        cerebro.adddata(feed)
        cerebro.addstrategy(Notes)
        return cerebro.run()[0].rows

    assert rows(StockFeed.from_frame(frame, ticker="X")) == rows(bt.feeds.PandasData(dataname=frame, name="X"))


def test_feed_of_a_frame_finds_columns_in_any_order_and_case():
    index = pd.DatetimeIndex(["2020-01-02", "2020-01-03"])
    numbers = {
        "Close": [2, 2],
        "OPEN": [1, 1],
        "low": [1, 1],
        "High": [3, 3],
        "Volume": [7, 8],
        "My_Signal": [0.5, np.nan],
    }
    feed = StockFeed.from_frame(pd.DataFrame(numbers, index=index), ticker="ACME")
    seen = observe(feed.p.dataname)
    assert feed._name == "ACME"
    np.testing.assert_array_equal(seen[:, -2:], [[1, 0.5], [1, np.nan]])


def test_feed_keeps_to_fromdate_and_todate(bars):
    for mode in RUN_MODES:
        cerebro = bt.Cerebro(preload=mode[0], runonce=mode[1], stdstats=False)
        days = [pd.Timestamp(bars.sessions[k]).to_pydatetime() for k in (5, 20)]
        cerebro.adddata(feed_class(("ins_buy_21",))(dataname=bars, name="X", fromdate=days[0], todate=days[1]))
        strategy = cerebro.run()[0]
        assert len(strategy.data) == 16
        assert strategy.data.datetime.date(0) == days[1].date()


def test_feed_runs_again_in_the_same_cerebro(bars):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(StockFeed.from_bars(bars, "X"))
    assert [len(cerebro.run()[0].data) for _ in range(2)] == [58, 58]


def test_feed_under_a_filter_loads_bar_by_bar(bars):
    def drop_odd_days(data):
        if data.datetime.date(0).day % 2:
            data.backwards()
            return True
        return False

    cerebro = bt.Cerebro(stdstats=False)
    feed = StockFeed.from_bars(bars, "X")
    feed.addfilter(drop_odd_days)
    cerebro.adddata(feed)
    even = sum(pd.Timestamp(day).day % 2 == 0 for day in bars.sessions)
    assert len(cerebro.run()[0].data) == even < 58


def test_feed_can_be_resampled_to_weeks(bars):
    cerebro = bt.Cerebro(stdstats=False)
    feed = StockFeed.from_bars(bars, "X")
    cerebro.resampledata(feed, timeframe=bt.TimeFrame.Weeks)
    weeks = {pd.Timestamp(day).isocalendar()[:2] for day in bars.sessions}
    assert len(cerebro.run()[0].data) == len(weeks)


def test_make_feeds_leaves_out_what_never_traded(make_panel):
    panel = make_panel(sessions=20, tickers=3, late={1: 20, 2: 15})
    columns = FeaturePanel(panel.sessions, panel.tickers, ("x",), np.where(panel.traded, 1.0, np.nan)[:, :, None])
    feeds = make_feeds(panel, columns)
    assert [(feed._name, len(feed.p.dataname)) for feed in feeds] == [("T000", 20), ("T002", 5)]
    assert feeds[0].getlinealiases()[-1] == "x"


def test_feed_class_is_made_once_per_columns():
    assert feed_class(("a", "b")) is feed_class(("a", "b"))
    assert feed_class(("a", "b")) is not feed_class(("b", "a"))


def test_session_numbers_are_backtraders():
    days = np.array(["1970-01-01", "2015-01-02", "2026-06-30"], dtype="M8[D]")
    assert session_numbers(days).tolist() == [bt.date2num(day.item()) for day in days]
    assert bt.num2date(session_numbers(days)[1]) == datetime.datetime(2015, 1, 2)


def test_whole_bars_gives_back_what_the_feed_was_made_of(bars):
    feed = StockFeed.from_bars(bars, "X")
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed)
    cerebro.run()
    np.testing.assert_array_equal(whole_bars(feed).sessions, bars.sessions)
    np.testing.assert_array_equal(whole_bars(feed).adjust, bars.adjust)


def test_misspelt_parameter_raises(bars):
    with pytest.raises(InputError, match="unknown parameter of StockFeed 'fromdte'.*Did you mean 'fromdate'"):
        StockFeed(dataname=bars, name="X", fromdte=None)


def changed(bars: Bars, name: str, row: int, value: float) -> Bars:
    values = getattr(bars, name).copy()
    values[row] = value
    return replace(bars, **{name: values})


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda b: part_of(b, 0), "bars of ACME: expected at least one, received none; leave the stock out"),
        (
            lambda b: changed(b, "open", 3, np.nan),
            "`open` of ACME on 2015-01-07: expected a number above 0, received nan",
        ),
        (
            lambda b: changed(b, "close", 3, -1),
            r"`close` of ACME on 2015-01-07: expected a number above 0, received -1.0",
        ),
        (
            lambda b: changed(b, "volume", 0, -1),
            "`volume` of ACME on 2015-01-02: expected a number from 0, received -1.0",
        ),
        (
            lambda b: changed(b, "adjust", 0, 0),
            "`adjust` of ACME on 2015-01-02: expected a number above 0, received 0.0",
        ),
        (
            lambda b: changed(b, "high", 3, 1),
            "`high` of ACME on 2015-01-07: expected at least the low .*, received 1.0",
        ),
        (lambda b: replace(b, sessions=b.sessions[::-1]), "sessions of ACME: expected sorted and unique"),
        (lambda b: replace(b, sessions=np.repeat(b.sessions[:29], 2)), "sessions of ACME: expected sorted and unique"),
        (lambda b: replace(b, low=b.low[:-1]), r"`low` of ACME: expected shape \(58,\), received \(57,\)"),
        (lambda b: replace(b, columns={"x": np.zeros(3)}), r"`x` of ACME: expected shape \(58,\), received \(3,\)"),
        (lambda b: replace(b, columns={"close": np.zeros(58)}), "column 'close': expected a Python name other than"),
        (lambda b: replace(b, columns={"a b": np.zeros(58)}), "column 'a b': expected a Python name other than"),
    ],
)
def test_feed_of_bars_that_cannot_be_traded_on_raises(bars, break_it, text):
    with pytest.raises(InputError, match=text):
        StockFeed.from_bars(break_it(bars), "ACME")


def test_feed_of_a_frame_without_a_column_names_it():
    frame = pd.DataFrame({"open": [1.0]}, index=pd.DatetimeIndex(["2020-01-02"]))
    with pytest.raises(InputError, match="frame of ACME: expected the column 'high', received open"):
        StockFeed.from_frame(frame, ticker="ACME")


def test_feed_of_something_else_says_what_to_use():
    with pytest.raises(
        InputError, match=r"`dataname` of StockFeed: expected Bars, received dict; use StockFeed.from_frame"
    ):
        StockFeed(dataname={}, name="ACME")


def test_feed_without_a_ticker_raises(bars):
    with pytest.raises(InputError, match="`name` of StockFeed: expected a ticker, received an empty text"):
        StockFeed(dataname=bars)


def sent_to_another_process(feed: StockFeed) -> StockFeed:
    here, there = multiprocessing.Pipe()
    here.send(feed)
    return there.recv()


def test_feed_with_columns_comes_to_another_process_as_it_was(bars):
    feed = StockFeed.from_bars(bars, "X")
    feed_class(("another",))  # of the same name
    came = sent_to_another_process(feed)
    assert type(came) is type(feed)
    assert (came._name, came.p.name, came.getlinealiases()) == ("X", "X", feed.getlinealiases())
    assert came.close is came.lines.close
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(came)
    cerebro.run()
    np.testing.assert_array_equal(came.ins_buy_21.array, bars.columns["ins_buy_21"])


class WithNote(feed_class(("ins_buy_21",))):  # type: ignore[misc]
    params = (("note", ""),)


def test_feed_of_a_users_subclass_comes_to_another_process_as_it_was(bars):
    came = sent_to_another_process(WithNote(dataname=bars, name="X", note="kept"))
    assert type(came) is WithNote
    assert came.p.note == "kept"
