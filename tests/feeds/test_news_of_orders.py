from __future__ import annotations

import inspect

import backtrader as bt
import pytest

from engine.broker import SafeBroker
from engine.clocked_cerebro import ClockedCerebro
from feeds.stock_feed import make_feeds
from tests.conftest import build_panel

TARGETS = (10, 25, -15, -15, 5, 0, -8, 0)  # opens, adds, turns around twice, closes, shorts, closes


class Turns(bt.Strategy):
    """Holds one target after the other, in two feeds and under two trade numbers."""

    def __init__(self):
        self.told, self.kept = [], []

    def notify_order(self, order):
        self.told.append((order.ref, order.getstatusname(), len(self), order.executed.size, order.executed.comm))

    def notify_trade(self, trade):
        self.kept.append(trade)
        self.told.append((*_facts(trade), len(self), trade.history[-1].event.price))

    def next(self):
        if len(self) <= len(TARGETS):
            for number, data in enumerate(self.datas):
                change = TARGETS[len(self) - 1] - ([0, *TARGETS][len(self) - 1])
                (self.buy if change > 0 else self.sell)(data, size=abs(change), tradeid=number) if change else None


class OwnNews(Turns):
    """Replaces what hands it the news."""

    def _addnotification(self, order, quicknotify=False):
        self.told.append("own")
        super()._addnotification(order, quicknotify)


def _facts(trade):
    return trade.data._name, trade.tradeid, trade.status, trade.size, trade.price, trade.pnlcomm, trade.barlen


def told(make_cerebro, strategy, quicknotify):
    cerebro = make_cerebro(stdstats=False, tradehistory=True, quicknotify=quicknotify)
    for feed in make_feeds(build_panel(20, 2)):
        cerebro.adddata(feed)
    cerebro.setbroker(SafeBroker(cash=1e6, commission_bps=3.0, allow_short=True, volume_frac=None))
    cerebro.addstrategy(strategy)
    bt.order.OrderBase.refbasis = iter(range(1, 1_000_000))
    ran = cerebro.run()[0]
    return ran.told, [_facts(trade) for trade in ran.kept]


@pytest.mark.parametrize("quicknotify", [False, True])
@pytest.mark.parametrize("strategy", [Turns, OwnNews])
def test_news_of_orders_and_trades_that_turn_around_is_backtraders_news(strategy, quicknotify):
    ours = told(ClockedCerebro, strategy, quicknotify)
    assert ours == told(bt.Cerebro, strategy, quicknotify)
    # Two feeds: four trades each open and close, and a trade that was told stays what it was when told.
    assert [facts[2] for facts in ours[1]].count(bt.Trade.Closed) == 8
    assert [facts[2] for facts in ours[1]].count(bt.Trade.Open) == 8
    assert ("own" in ours[0]) == (strategy is OwnNews)


def test_backtraders_own_delivery_still_takes_the_steps_that_ours_repeats():
    steps = """
        order.p.simulated | _orderspending.append(order) | not order.executed.size | order.data._compensate
        | self._trades[tradedata][order.tradeid] | Trade( | executed.iterpending() | exbit.closed | trade.update(
        | trade.isclosed | _tradespending.append | exbit.opened | trade.isclosed | trade.update( | trade.justopened
    """
    source, place = inspect.getsource(bt.Strategy._addnotification), 0
    for step in steps.split("|"):
        place = source.find(step.strip(), place)
        assert place != -1, step
