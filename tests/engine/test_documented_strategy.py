"""An ordinary backtrader strategy, as its documentation shows them, runs here unchanged.

Where nothing dangerous happens its trades, account and analyzers are those of stock backtrader. What differs, and
why, is what `tests/engine/test_hazards.py` shows, and beside it:

- an order that cash cannot pay is cut to size and not refused (`unaffordable="refuse"` refuses it);
- orders are checked when they fill and not when they are sent, so `Submitted` is never told, and `Margin` comes
  with the session of the fill;
- orders of a stock share 2.5 % of a session's volume; `volume_frac=None` gives all of it;
- in a session sales come before purchases, and what is certain to be at the open before what is not.
"""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from engine.broker import SafeBroker
from feeds.sessions import trading_sessions
from feeds.stock_feed import StockFeed


class SmaCross(bt.Strategy):
    """The crossing averages of backtrader's quickstart, with its log of orders and trades."""

    params = {"pfast": 5, "pslow": 12}

    def __init__(self):
        fast, slow = bt.ind.SMA(period=self.p.pfast), bt.ind.SMA(period=self.p.pslow)
        self.crossover = bt.ind.CrossOver(fast, slow)
        self.order, self.log = None, []

    def notify_order(self, order):
        if order.status in [order.Submitted, order.Accepted]:
            return
        if order.status == order.Completed:
            side = "buy" if order.isbuy() else "sell"
            done = order.executed
            self.log.append((bt.num2date(done.dt).date(), side, done.size, done.price, done.value, done.comm))
        elif order.status in [order.Canceled, order.Margin, order.Rejected]:
            self.log.append(order.getstatusname())
        self.order = None

    def notify_trade(self, trade):
        if trade.isclosed:
            self.log.append(("trade", trade.pnl, trade.pnlcomm, trade.barlen))

    def next(self):
        if self.order:
            return
        if not self.position:
            if self.crossover > 0:
                self.order = self.buy()
        elif self.crossover < 0:
            self.order = self.close()


def prices() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 400)))
    open_ = np.concatenate([[100.0], close[:-1]])
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) * 0.99,
        "close": close,
        "volume": np.full(400, 1e7),
    }
    return pd.DataFrame(columns, index=trading_sessions("2018-01-02", "2019-12-31")[:400])


ANALYZERS = {
    "sharpe": bt.analyzers.SharpeRatio,
    "drawdown": bt.analyzers.DrawDown,
    "trades": bt.analyzers.TradeAnalyzer,
    "returns": bt.analyzers.TimeReturn,
    "sqn": bt.analyzers.SQN,
    "transactions": bt.analyzers.Transactions,
    "positions": bt.analyzers.PositionsValue,
    "calmar": bt.analyzers.Calmar,
    "vwr": bt.analyzers.VWR,
}
SIZERS = [
    (bt.sizers.FixedSize, {"stake": 10}),
    (bt.sizers.PercentSizer, {"percents": 50}),
    (bt.sizers.AllInSizerInt, {}),
]


def documented(feed, broker, sizer, **modes):
    cerebro = bt.Cerebro(**modes)  # with its observers
    cerebro.adddata(feed, name="X")
    cerebro.setbroker(broker)
    cerebro.broker.setcash(10_000.0)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addstrategy(SmaCross)
    cerebro.addsizer(sizer[0], **sizer[1])
    for name, analyzer in ANALYZERS.items():
        cerebro.addanalyzer(analyzer, _name=name)
    return cerebro.run()[0]


def told(strategy):
    return {name: repr(strategy.analyzers.getbyname(name).get_analysis()) for name in ANALYZERS}  # NaN equals NaN


@pytest.mark.parametrize("runonce", [True, False])
@pytest.mark.parametrize("sizer", SIZERS[:2])
def test_documented_strategy_gives_what_stock_backtrader_gives(sizer, runonce):
    frame = prices()
    stock = documented(bt.feeds.PandasData(dataname=frame), bt.brokers.BackBroker(), sizer, runonce=runonce)
    feed = StockFeed.from_frame(frame, ticker="X")
    ours = documented(feed, SafeBroker(slippage_bps=0), sizer, runonce=runonce)
    assert len(stock.log) > 20
    assert ours.log == stock.log
    assert told(ours) == told(stock)
    for observer, same in zip(ours.observers, stock.observers, strict=True):
        for one, other in zip(observer.lines, same.lines, strict=True):
            np.testing.assert_array_equal(one.array, other.array)
    assert (ours.broker.getvalue(), ours.broker.getcash()) == (stock.broker.getvalue(), stock.broker.getcash())
    assert ours.broker.fundvalue == stock.broker.fundvalue


def test_documented_all_in_sizer_is_refused_by_backtrader_on_gaps_and_cut_to_cash_here():
    frame = prices()
    frame["open"] *= 1.004  # every open above the close before
    frame["high"] = frame[["high", "open"]].max(axis=1)
    stock = documented(bt.feeds.PandasData(dataname=frame), bt.brokers.BackBroker(), SIZERS[2])
    ours = documented(StockFeed.from_frame(frame, ticker="X"), SafeBroker(slippage_bps=0), SIZERS[2])
    assert "Margin" in stock.log
    assert "Margin" not in ours.log
    assert sum(entry[1] == "buy" for entry in ours.log) > 5


def test_cheating_and_histories_are_refused():
    from feeds.errors import InputError

    broker = SafeBroker()
    for call in (
        lambda: broker.set_coc(True),
        lambda: broker.set_coo(True),
        lambda: broker.add_order_history([]),
        lambda: broker.set_fund_history([]),
        lambda: broker.set_slippage_fixed(0.01),
    ):
        with pytest.raises(InputError, match=r"SafeBroker\.\w+: expected"):
            call()
    broker.set_coc(False)
    broker.set_coo(False)


def test_slippage_set_on_the_broker_is_charged():
    frame = prices()
    broker = SafeBroker(slippage_bps=0)
    broker.set_slippage_perc(0.01)
    ours = documented(StockFeed.from_frame(frame, ticker="X"), broker, SIZERS[0])
    first = next(entry for entry in ours.log if entry[1] == "buy")
    assert first[3] == pytest.approx(frame.loc[pd.Timestamp(first[0]), "open"] * 1.01)


def test_cash_paid_in_counts_as_no_profit_of_the_fund():
    class PaysIn(bt.Strategy):
        def next(self):
            if len(self) == 5:
                self.broker.add_cash(500)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(StockFeed.from_frame(prices(), ticker="X"))
    cerebro.setbroker(SafeBroker(cash=1000.0))
    cerebro.addstrategy(PaysIn)
    cerebro.run()
    assert (cerebro.broker.getcash(), cerebro.broker.getvalue(), cerebro.broker.fundvalue) == (1500, 1500, 100)
    assert cerebro.broker.fundshares == 15


def test_our_order_has_every_attribute_of_backtraders():
    """Our orders are made without backtrader's own constructor: a later version that adds to it fails here."""
    orders = []

    class Sends(bt.Strategy):
        def next(self):
            if len(self) == 1:
                orders.append(self.buy(size=1, exectype=bt.Order.StopTrail, trailamount=1))

    for broker in (bt.brokers.BackBroker(), SafeBroker()):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(StockFeed.from_frame(prices().iloc[:3], ticker="X"))
        cerebro.setbroker(broker)
        cerebro.addstrategy(Sends)
        cerebro.run()
    stock, ours = orders
    renamed = {"_active": "is_active", "_limitoffset": "limit_offset"}
    assert {renamed.get(name, name) for name in vars(stock)} - {"pannotated"} <= set(dir(ours))
    assert set(vars(stock.executed)) == set(vars(ours.executed))
    assert isinstance(ours, bt.order.BuyOrder)
    assert ours.dteos == stock.dteos
    assert ours.p.size == stock.p.size
    assert (ours.created.price, ours.created.pricelimit) == (stock.created.price, stock.created.pricelimit)
    assert str(ours).splitlines()[1:4] == str(stock).splitlines()[1:4]
