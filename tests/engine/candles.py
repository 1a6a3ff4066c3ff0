"""Tables of candles and a strategy that follows a script, for tests of the broker."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd

from analyzers.recorder import Recorder
from engine.broker import SafeBroker
from feeds.panel import Bars
from feeds.stock_feed import StockFeed

DAYS = np.array(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09"], dtype="M8[D]")
Row = tuple[float, float, float, float] | None


def stock(*rows: Row, volume: float = 1_000_000.0) -> Bars:
    """Bars (open, high, low, close) on the days of `DAYS`; None is a day without a bar."""
    traded = [k for k, row in enumerate(rows) if row is not None]
    columns = np.array([row for row in rows if row is not None], dtype=float).T
    one = np.ones(len(traded))
    return Bars(DAYS[traded], *columns, volume=volume * one, adjust=one)


def flat(price: float) -> Row:
    return (price, price, price, price)


FREE = {"cash": 10_000.0, "commission_bps": 0, "slippage_bps": 0}
THIN = {"volume": 1000.0}  # 25 shares a day
CLOCK = stock(*[flat(10)] * 6)


def frame_of(bars: Bars) -> pd.DataFrame:
    """The bars as backtrader's own pandas feed takes them."""
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(bars.sessions))


class Script(bt.Strategy):
    """Calls `script[k](strategy)` after session k and notes what happens to orders."""

    params = (("script", None),)

    def __init__(self):
        self.log, self.values, self.sessions = [], [], -1

    def notify_order(self, order):
        status, reason = order.getstatusname(), order.info.get("reason", "")
        price = round(order.executed.price, 6) if order.status == order.Completed else None
        self.log.append((self.sessions + 1, order.data._name, status, price, reason))

    def prenext(self):
        self.next()

    def nextstart(self):
        self.next()

    def next(self):
        self.sessions += 1
        self.values.append(self.broker.getvalue())
        if self.sessions in self.p.script:
            self.p.script[self.sessions](self)

    def fates(self, *statuses):
        ends = statuses or ("Completed", "Canceled", "Margin", "Rejected", "Expired")
        return [entry for entry in self.log if entry[2] in ends]


def run(script, broker=None, mode=(True, True), strategy=Script, **stocks: Bars) -> Script:
    """Run a script on our feeds and, by default, our broker without costs."""
    cerebro = bt.Cerebro(stdstats=False, preload=mode[0], runonce=mode[1])
    cerebro.setbroker(broker or SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=0))
    for ticker, bars in stocks.items():
        cerebro.adddata(StockFeed.from_bars(bars, ticker))
    cerebro.addstrategy(strategy, script=script)
    return cerebro.run()[0]


def table(script, broker=None, **stocks):
    """Every order as the recorder tells it: side, type, asked, filled, price, fate, note."""
    return [row[:7] for row in told(script, broker, **stocks)]


def told(script, broker=None, **stocks):
    """The same with the reason."""
    orders = recorded(script, broker, **stocks)
    columns = ["side", "order_type", "size", "filled", "executed_price", "status", "note", "reason"]
    return orders[columns].round(6).astype(object).where(orders[columns].notna(), None).to_numpy().tolist()


def recorded(script, broker=None, **stocks):
    """The recorder's table of orders."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(broker or SafeBroker(**FREE))
    for ticker, bars in stocks.items():
        cerebro.adddata(StockFeed.from_bars(bars, ticker))
    cerebro.addstrategy(Script, script=script)
    cerebro.addanalyzer(Recorder, _name="recorder")
    return cerebro.run()[0].analyzers.recorder.orders
