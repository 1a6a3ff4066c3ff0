"""The hazards of backtrader 1.9.78.123: each shown on the stock library, and then not here.

A test calls `stock_...` for what backtrader does alone and `ours_...` for what the project's feeds, broker and
strategies make of the same bars. Should a later backtrader cure one, its half fails and says so.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import backtrader as bt
import numpy as np
import pytest

from engine.broker import SafeBroker
from engine.clocked_cerebro import ClockedCerebro
from feeds.errors import InputError
from feeds.panel import Bars
from feeds.stock_feed import StockFeed
from strategies.base import SwingStrategy
from tests.engine.candles import CLOCK, Script, flat, frame_of, run, stock

FREE = {"cash": 10_000.0, "commission_bps": 0, "slippage_bps": 0}


def stock_run(script, *, broker=None, strategy=Script, **stocks):
    """Run on backtrader's own feed, broker and strategy."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(broker or bt.brokers.BackBroker(cash=10_000.0))
    for ticker, bars in stocks.items():
        cerebro.adddata(bt.feeds.PandasData(dataname=frame_of(bars)), name=ticker)
    cerebro.addstrategy(strategy, **({} if script is None else {"script": script}))
    return cerebro.run()[0]


def completed(seen):
    return [(session, name, price) for session, name, _, price, _ in seen.fates("Completed")]


# ---------------------------------------------------------------------------------- H1, H2: not listed yet


LATE = stock(None, None, None, flat(99), flat(77))


def on_our_engine(script, **stocks):
    """Run in the guarded mode of the project's Cerebro."""
    cerebro = ClockedCerebro(stdstats=False, guarded=True)
    cerebro.setbroker(SafeBroker(**FREE))
    for ticker, bars in stocks.items():
        cerebro.adddata(StockFeed.from_bars(bars, ticker))
    cerebro.addstrategy(Script, script=script)
    return cerebro.run()[0]


def test_h1_price_before_listing_is_the_last_of_the_future_in_backtrader_and_raises_here():
    seen = []
    script = {1: lambda s: seen.append(s.datas[1].close[0])}
    stock_run(script, CLOCK=CLOCK, LATE=LATE)
    assert seen == [77.0]  # on 2020-01-03; the stock is listed on 2020-01-07
    with pytest.raises(InputError, match="line `close` of LATE: .* before its first bar on 2020-01-07"):
        on_our_engine(script, CLOCK=CLOCK, LATE=LATE)


RISING = stock(flat(10), flat(20), flat(30), flat(40), flat(50), flat(60))


@pytest.mark.parametrize(("ago", "wrong"), [(1, 30.0), (-3, 50.0)])
def test_h4_tomorrow_and_what_lies_before_the_first_bar_can_be_read_in_backtrader_and_raise_here(ago, wrong):
    seen = []
    script = {1: lambda s: seen.append(s.data.close[ago])}
    stock_run(script, X=RISING)
    assert seen == [wrong]
    with pytest.raises(InputError, match=rf"line `close` of X: .* received \[{ago}\]"):
        on_our_engine(script, X=RISING)


def test_h2_order_before_listing_is_priced_from_the_future_in_backtrader_and_rejected_here():
    orders = []
    script = {1: lambda s: orders.append(s.buy(s.datas[1], size=1, reason="eager"))}
    stock_run(script, CLOCK=CLOCK, LATE=LATE)
    assert (orders[0].created.price, orders[0].getstatusname()) == (77.0, "Accepted")  # the last close of all
    seen = run(script, CLOCK=CLOCK, LATE=LATE)
    assert math.isnan(orders[1].created.price)
    assert seen.fates() == [(2, "LATE", "Rejected", None, "eager: not listed yet")]


# ---------------------------------------------------------------------------------- H3: one late listing


def test_h3_late_listing_silences_backtraders_next_and_not_our_strategies():
    sessions: dict[str, list[int]] = {"stock": [], "ours": []}

    class Plain(bt.Strategy):
        def next(self):
            sessions["stock"].append(len(self.datas[0]))

    class Ours(SwingStrategy):
        def entry_signal(self, data):
            if data._name == "CLOCK":
                sessions["ours"].append(len(data))
            return

    stock_run(None, strategy=Plain, CLOCK=CLOCK, LATE=LATE)
    assert sessions["stock"] == [4, 5, 6]
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(**FREE))
    for ticker, bars in {"CLOCK": CLOCK, "LATE": LATE}.items():
        cerebro.adddata(StockFeed.from_bars(bars, ticker))
    cerebro.addstrategy(Ours)
    cerebro.run()
    assert sessions["ours"] == [1, 2, 3, 4, 5, 6]


def test_h3_empty_feed_ends_a_backtrader_run_without_a_word_and_raises_here():
    empty = Bars(*[np.array([], dtype="M8[D]")], *[np.empty(0)] * 6)
    calls = []

    class Plain(bt.Strategy):
        def next(self):
            calls.append(1)

    stock_run(None, strategy=Plain, CLOCK=CLOCK, EMPTY=empty)
    assert calls == []
    with pytest.raises(InputError, match="bars of EMPTY: expected at least one, received none; leave the stock out"):
        StockFeed.from_bars(empty, "EMPTY")


# ---------------------------------------------------------------------------------- H5: halted


HALTED = {
    "stop": (
        stock(flat(50), (50, 51, 44, 50), None, (49, 50, 46, 47), (47, 48, 40, 41)),
        {
            0: lambda s: s.buy(s.datas[1], size=1),
            1: lambda s: s.sell(s.datas[1], size=1, exectype=bt.Order.Stop, price=45),
        },
        [(2, "HALT", 45.0)],  # on the bar before the order, which fell to 44
        [(4, "HALT", 45.0)],  # on the first later bar that falls to it
    ),
    "limit": (
        stock(flat(50), (50, 51, 49, 50.5), None, flat(60), flat(61)),
        {1: lambda s: s.buy(s.datas[1], size=1, exectype=bt.Order.Limit, price=50.2)},
        [(2, "HALT", 50.0)],
        [],
    ),
    "stop-limit": (
        stock(flat(50), (50, 52, 49, 50.5), None, flat(40), flat(41)),
        {1: lambda s: s.buy(s.datas[1], size=1, exectype=bt.Order.StopLimit, price=51.5, plimit=52)},
        [(2, "HALT", 51.5)],
        [],
    ),
}


@pytest.mark.parametrize("kind", HALTED)
def test_h5_order_fills_on_a_bar_already_seen_in_backtrader_and_on_a_later_one_here(kind):
    halted, script, wrong, right = HALTED[kind]
    assert completed(stock_run(script, CLOCK=CLOCK, HALT=halted))[-1:] == wrong
    ours = completed(run(script, CLOCK=CLOCK, HALT=halted))
    assert [fate for fate in ours if fate[0] > 1] == right


def test_h5_halted_day_moves_a_trailing_stop_in_backtrader_and_not_here():
    """The order is sent on a halted day; backtrader trails on the bar from before it."""
    halted = stock(flat(50), flat(50), None, None, (50, 60, 50, 50), flat(50))
    levels: list[float] = []

    def trail(strategy):
        order = strategy.sell(strategy.datas[1], size=1, price=40, exectype=bt.Order.StopTrail, trailamount=5)
        levels.append(order)

    script = {0: lambda s: s.buy(s.datas[1], size=1), 2: trail, 3: lambda s: levels.append(levels[0].created.price)}
    stock_run(script, CLOCK=CLOCK, HALT=halted)
    assert levels.pop() == 45.0  # 40 - 5 moved to 50 - 5 although nothing traded
    levels.clear()
    run(script, CLOCK=CLOCK, HALT=halted)
    assert levels.pop() == 35.0


# ---------------------------------------------------------------------------------- H6: delisted


DEAD = stock(flat(20), (21, 22, 20, 21))


def test_h6_delisted_position_stays_for_ever_in_backtrader_and_is_sold_here():
    script = {0: lambda s: s.buy(s.datas[1], size=10), 2: lambda s: s.close(s.datas[1])}
    wrong = stock_run(script, CLOCK=CLOCK, DEAD=DEAD)
    assert (wrong.getposition(wrong.datas[1]).size, len(completed(wrong))) == (10, 1)
    seen = run(script, CLOCK=CLOCK, DEAD=DEAD)
    assert seen.fates()[1] == (2, "DEAD", "Completed", 21.0, "delisted")
    assert seen.getposition(seen.datas[1]).size == 0


def test_h6_limit_fills_at_a_dead_price_in_backtrader_and_is_rejected_here():
    script = {4: lambda s: s.buy(s.datas[1], size=10, exectype=bt.Order.Limit, price=30)}
    assert completed(stock_run(script, CLOCK=CLOCK, DEAD=DEAD)) == [(5, "DEAD", 21.0)]
    assert run(script, CLOCK=CLOCK, DEAD=DEAD).fates() == [(5, "DEAD", "Rejected", None, "delisted")]


# ---------------------------------------------------------------------------------- H7: limit and slippage


def test_h7_sell_limit_fills_below_the_bar_in_backtrader_and_slips_from_the_open_here():
    bars = stock(flat(100), flat(100), (110, 112, 109.5, 111))
    script = {
        0: lambda s: s.buy(size=1),
        1: lambda s: s.sell(size=1, exectype=bt.Order.Limit, price=104.5),
    }
    slipping = bt.brokers.BackBroker(cash=10_000.0, slip_perc=0.1, slip_open=True)
    assert completed(stock_run(script, broker=slipping, X=bars))[-1][2] == 104.5  # the bar's low is 109.5
    ours = run(script, SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=10), X=bars)
    assert completed(ours)[-1][2] == pytest.approx(110 * 0.999)


# ---------------------------------------------------------------------------------- H8, H9: cash


def test_h8_purchase_of_everything_dies_on_a_gap_in_backtrader_and_is_cut_to_the_cash_here():
    gap = stock(flat(100), flat(101), flat(101))
    script = {0: lambda s: s.buy(size=100)}
    assert [fate[2] for fate in stock_run(script, X=gap).fates()] == ["Margin"]
    seen = run(script, X=gap)
    assert [fate[2] for fate in seen.fates()] == ["Completed"]
    assert seen.position.size == 99


def test_h9_order_of_sending_decides_who_is_paid_in_backtrader_and_sales_come_first_here():
    def rotate(strategy):
        strategy.buy(strategy.datas[1], size=90)
        strategy.sell(strategy.datas[0], size=90)

    stocks = {"OLD": stock(*[flat(100)] * 4), "NEW": stock(*[flat(100)] * 4)}
    script = {0: lambda s: s.buy(s.datas[0], size=90), 1: rotate}
    assert [fate[1:3] for fate in stock_run(script, **stocks).fates()[1:]] == [("NEW", "Margin"), ("OLD", "Completed")]
    assert [fate[1:3] for fate in run(script, **stocks).fates()[1:]] == [("OLD", "Completed"), ("NEW", "Completed")]


# ---------------------------------------------------------------------------------- H10: volume


def test_h10_every_order_has_the_whole_volume_in_backtrader_and_all_share_it_here():
    thin = stock(*[flat(10)] * 5, volume=1000)

    def thrice(strategy):
        for _ in range(3):
            strategy.buy(size=25)

    filler = bt.fillers.FixedBarPerc(perc=2.5)
    wrong = stock_run({0: thrice}, broker=bt.brokers.BackBroker(cash=10_000.0, filler=filler), X=thin)
    assert [fate[0] for fate in wrong.fates("Completed")] == [1, 1, 1]  # 75 shares of a budget of 25
    seen = run({0: thrice}, SafeBroker(**FREE, volume_frac=0.025), X=thin)
    assert [fate[0] for fate in seen.fates("Completed")] == [1, 2, 3]


# ---------------------------------------------------------------------------------- H11, H12: data


def test_h11_misspelt_column_is_nan_in_backtrader_and_raises_here():
    class Extra(bt.feeds.PandasData):
        lines = ("insider",)
        params = (("insider", -1),)

    seen = []

    class Reader(bt.Strategy):
        def next(self):
            seen.append(self.data.insider[0])

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Extra(dataname=frame_of(CLOCK).assign(insidre=1.0)))
    cerebro.addstrategy(Reader)
    cerebro.run()
    assert len(seen) == 6
    assert np.isnan(seen).all()
    feed = StockFeed.from_frame(frame_of(CLOCK).assign(insidre=1.0), ticker="X")
    with pytest.raises(AttributeError, match="insider"):
        _ = feed.lines.insider


@pytest.mark.parametrize("order", [[0, 2, 1, 3, 4, 5], [0, 1, 1, 3, 4, 5]])
def test_h12_unsorted_or_repeated_dates_are_taken_by_backtrader_and_raise_here(order):
    dates = []

    class Reader(bt.Strategy):
        def next(self):
            dates.append(self.data.datetime[0])

    frame = frame_of(CLOCK).iloc[order]
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Reader)
    cerebro.run()
    assert (np.diff(dates) <= 0).any()
    with pytest.raises(InputError, match="sessions of X: expected sorted and unique, received unsorted or repeated"):
        StockFeed.from_frame(frame, ticker="X")


def test_h12_one_nan_close_makes_backtraders_account_nan_and_raises_here():
    frame = frame_of(CLOCK)
    frame.iloc[3, frame.columns.get_loc("close")] = np.nan
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame), name="X")
    cerebro.addstrategy(Script, script={0: lambda s: s.buy(size=1)})
    assert math.isnan(cerebro.run()[0].values[3])
    with pytest.raises(InputError, match="`close` of X on 2020-01-07: expected a number above 0, received nan"):
        StockFeed.from_frame(frame, ticker="X")


# ---------------------------------------------------------------------------------- H13: trailing


def test_h13_trailing_stop_ignores_highs_in_backtrader_and_follows_them_from_the_next_bar_here():
    """Bar 2 reaches 130 and closes at 101; a stop 10 under the high lies at 120, and bar 3 opens under it."""
    bars = stock(flat(100), flat(100), (100, 130, 99, 101), (119, 121, 118, 119), flat(119))

    def protect(strategy):
        strategy.sell(size=1, exectype=bt.Order.StopTrail, trailamount=10)

    script = {0: lambda s: s.buy(size=1), 1: protect}
    assert completed(stock_run(script, X=bars))[1:] == []
    assert completed(run(script, X=bars))[1:] == [(3, "X", 119.0)]
    assert completed(run(script, SafeBroker(**FREE, trail_on="close"), X=bars))[1:] == []


def test_readme_lists_the_hazards_that_are_tested_here():
    rows = re.findall(r"^\| (H\d+) \|", (Path(__file__).parents[2] / "README.md").read_text(), flags=re.MULTILINE)
    tested = re.findall(r"^def test_(h\d+)_", Path(__file__).read_text(), flags=re.MULTILINE)
    assert sorted(set(tested)) == sorted(row.lower() for row in rows)
    assert len(rows) == 13
