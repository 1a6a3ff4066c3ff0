"""What an order may see and must say, and feeds that are not ours."""

from __future__ import annotations

import datetime

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from analyzers.recorder import Recorder
from engine.broker import SafeBroker
from engine.clocked_cerebro import ClockedCerebro
from engine.costs import Slippage, parse_commission
from feeds.errors import InputError
from feeds.stock_feed import StockFeed
from tests.engine.candles import DAYS, FREE, Script, flat, recorded, run, stock, table


class Timed(Script):
    """Calls its script from a timer that fires before the session's orders fill."""

    def next(self):
        self.sessions += 1

    def notify_timer(self, timer, when, *args, **kwargs):
        if len(self.data) - 1 in self.p.script:
            self.p.script[len(self.data) - 1](self)


@pytest.mark.parametrize("engine", [bt.Cerebro, ClockedCerebro])
def test_order_of_a_cheating_timer_does_not_fill_on_the_bar_that_it_sees(engine):
    bars = stock(flat(50), flat(50), (60, 66, 60, 65), flat(70))
    cerebro = engine(stdstats=False)
    cerebro.setbroker(SafeBroker(**FREE))
    cerebro.adddata(StockFeed.from_bars(bars, "X"))
    cerebro.addstrategy(Timed, script={2: lambda s: s.buy(size=1)})
    cerebro.addanalyzer(Recorder, _name="recorder")
    cerebro.add_timer(when=bt.timer.SESSION_START, cheat=True, strats=True)
    orders = cerebro.run()[0].analyzers.recorder.orders
    assert orders["executed_price"].tolist() == [70.0]
    assert orders["executed_session"].astype(str).tolist() == ["2020-01-07"]


WRONG = [
    (lambda s: s.buy(size=float("nan")), "`size` of an order of X: expected a number above 0, received nan"),
    (lambda s: s.sell(size=1, exectype=bt.Order.Stop, price=float("nan")), "`price` of an order of X: .* received nan"),
    (lambda s: s.buy(size=1, exectype=bt.Order.Limit, price=-5), "`price` of an order of X: .* received -5"),
    (
        lambda s: s.buy(size=1, exectype=bt.Order.StopLimit, price=5, plimit=float("inf")),
        "`pricelimit` of an order of X: .* received inf",
    ),
    (
        lambda s: s.sell(size=1, exectype=bt.Order.StopTrail, trail_amount=5),
        "`trailamount` of an order of X: expected a distance above 0, here or as `trailpercent`, received neither",
    ),
    (lambda s: s.sell(size=1, exectype=bt.Order.StopTrail, trailamount=-5), "`trailamount` of .* received -5"),
    (lambda s: s.sell(size=1, exectype=bt.Order.StopTrail, trailpercent=5), "`trailpercent` .* below 1 .*, received 5"),
    (lambda s: s.buy(size=1, exectype=bt.Order.Limit, price="5"), "`price` of an order of X: .* received '5'"),
    (
        lambda s: s.buy(size=1, valid="2020-01-05"),
        "`valid` of an order of X: expected a date, .* received '2020-01-05'",
    ),
    (lambda s: s.buy(size=1, oco=7), "`oco` of an order of X: expected an order, .* received a int"),
    (lambda s: s.sell(size=1, parent=[s.buy(size=1)]), "`parent` of an order of X: .* received a list"),
    (lambda s: s.buy(size=1, exectype=bt.Order.Historical), "`exectype` of an order of X: expected Market, Close, .*"),
    (lambda s: s.buy(size=1, slippage="x"), "`slippage` of an order of X: expected another name"),
]


@pytest.mark.parametrize(("send", "text"), WRONG)
def test_order_that_cannot_be_raises(send, text):
    with pytest.raises(InputError, match=text):
        table({1: send}, X=stock(*[flat(50)] * 3))


def test_limit_of_a_stop_limit_is_told():
    send = {0: lambda s: s.buy(size=1, exectype=bt.Order.StopLimit, price=60, plimit=62)}
    orders = recorded(send, X=stock(*[flat(50)] * 3))
    assert orders[["created_price", "limit_price"]].to_numpy().tolist() == [[60.0, 62.0]]


def test_order_sent_before_the_first_session_can_be_printed():
    class Early(Script):
        def start(self):
            self.text = str(self.buy(size=1))

    assert "Status: Rejected" in run({}, strategy=Early, X=stock(*[flat(50)] * 3)).text


# ------------------------------------------------------------------------------------- feeds that are not ours


def pandas_feed(**columns):
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 50.0), index=pd.DatetimeIndex(DAYS))
    for name, values in columns.items():
        frame[name] = values
    return bt.feeds.PandasData(dataname=frame, name="P")


def on(feed, script, broker):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(broker)
    cerebro.adddata(feed)
    cerebro.addstrategy(Script, script=script)
    return cerebro.run()[0]


def test_feed_without_volume_fills_nothing_under_a_limit():
    nothing = np.full(6, np.nan)
    assert not on(pandas_feed(volume=nothing), {0: lambda s: s.buy(size=1)}, SafeBroker(**FREE)).fates()


def test_bar_of_nan_leaves_the_value_at_the_last_close():
    hole = np.array([50, 60, np.nan, np.nan, 50, 50.0])
    broker = SafeBroker(**FREE, allow_short=True, borrow_rate=3.65, volume_frac=None)
    done = on(pandas_feed(close=hole, open=50.0), {0: lambda s: s.sell(size=10)}, broker)
    # 10 shares sold at 50 on the second day and worth 60 each at its close; 1 % a day on 600 for 3 + 1 + 1 nights
    # at 60, then nothing is known but 60 until the fifth day's 50.
    assert done.values[1:4] == pytest.approx([9_900, 9_900 - 18, 9_900 - 24])
    assert broker.getcash() == pytest.approx(10_500 - 18 - 6 - 6 - 5)


def test_order_of_a_feed_resampled_beside_its_days_is_refused():
    def weekly(strategy):
        strategy.buy(strategy.datas[1], size=1)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(**FREE))
    days = StockFeed.from_bars(stock(*[flat(50)] * 6), "X")
    cerebro.adddata(days)
    cerebro.resampledata(days, timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(Script, script={1: weekly})
    with pytest.raises(
        InputError, match="order of a feed without a name: expected one whose bars begin after the order, .* resampled"
    ):
        cerebro.run()


def test_weeks_alone_can_be_traded():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(**FREE))
    days = stock(flat(50), flat(51), flat(60), flat(61), flat(62), flat(63))  # a Thursday and Friday, then a week
    cerebro.resampledata(StockFeed.from_bars(days, "X"), timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(Script, script={0: lambda s: s.buy(size=1)})
    assert [fate[2:4] for fate in cerebro.run()[0].fates()] == [("Completed", 60.0)]


def test_months_shares_are_counted_anew_in_each_run():
    broker = SafeBroker(cash=1e9, commission=parse_commission("--commission", "tiered"), volume_frac=None)
    cash = []
    for _ in range(2):
        run({0: lambda s: s.buy(size=300_000), 1: lambda s: s.sell(size=300_000)}, broker, X=stock(*[flat(50)] * 4))
        cash.append(broker.getcash())
    assert cash[0] == cash[1]


def test_broker_that_ran_on_our_engine_runs_on_backtraders():
    broker = SafeBroker(**FREE)
    for engine in (ClockedCerebro, bt.Cerebro):
        cerebro = engine(stdstats=False)
        cerebro.setbroker(broker)
        cerebro.adddata(StockFeed.from_bars(stock(*[flat(50)] * 4), "X"))
        cerebro.addstrategy(Script, script={0: lambda s: s.buy(size=1)})
        assert [fate[2] for fate in cerebro.run()[0].fates()] == ["Completed"]


def test_dividend_of_a_day_without_a_session_is_paid_on_the_next():
    saturday = float(bt.date2num(datetime.datetime(2020, 1, 4)))
    broker = SafeBroker(**FREE, dividends={"X": {saturday: 2.0}})
    run({0: lambda s: s.buy(size=10)}, broker, X=stock(*[flat(50)] * 4))
    assert broker.getcash() == 10_000 - 500 + 20


def test_slippage_from_ranges_of_a_feed_that_forgets_its_bars_is_refused():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(cash=10_000.0, slippage=Slippage(has_spread=True)))
    cerebro.adddata(StockFeed.from_bars(stock(*[flat(50)] * 6), "X"))
    cerebro.addstrategy(Script, script={2: lambda s: s.buy(size=1)})
    with pytest.raises(InputError, match="slippage of X: expected the bars before the fill's, .* `exactbars`"):
        cerebro.run(exactbars=1)


def test_impact_beyond_all_measure_leaves_a_price():
    broker = SafeBroker(**FREE, slippage=Slippage(bps=0, impact=100.0), volume_frac=None)
    bars = stock(flat(50), flat(60), flat(50), flat(60), flat(50), flat(50), volume=1)
    orders = recorded({0: lambda s: s.buy(size=100), 4: lambda s: s.sell(size=100)}, broker, X=bars)
    assert orders["executed_price"].tolist() == pytest.approx([60.0, 0.5])


def test_asking_for_a_value_before_the_fills_does_not_change_the_borrow_fee():
    class Asking(Script):
        def notify_timer(self, timer, when, *args, **kwargs):
            self.broker.getvalue([self.data])

    def cash(strategy):
        broker = SafeBroker(**FREE, allow_short=True, borrow_rate=0.1)
        cerebro = ClockedCerebro(stdstats=False)
        cerebro.setbroker(broker)
        cerebro.adddata(StockFeed.from_bars(stock(flat(50), flat(50), flat(60), flat(90), flat(50)), "X"))
        cerebro.addstrategy(strategy, script={0: lambda s: s.sell(size=10)})
        cerebro.add_timer(when=bt.timer.SESSION_START, cheat=True, strats=True)
        cerebro.run()
        return broker.getcash()

    assert cash(Asking) == cash(Script) < 10_500


def test_cash_paid_into_an_empty_account_is_counted_in_new_shares():
    broker = SafeBroker(**FREE)
    broker.init()
    broker.add_cash(-10_000.0)
    broker.add_cash(500.0)
    assert broker.getcash() == broker.getvalue() == 500.0
