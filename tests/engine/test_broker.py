"""Each rule of SafeBroker, the first ones beside what stock backtrader does on the same bars."""

from __future__ import annotations

import math

import backtrader as bt
import pytest

from engine.broker import SafeBroker
from feeds.errors import InputError
from feeds.stock_feed import StockFeed
from tests.contracts import RUN_MODES
from tests.engine.candles import CLOCK, DAYS, Script, flat, run, stock


def backtraders_broker() -> bt.brokers.BackBroker:
    return bt.brokers.BackBroker(cash=10_000.0)


@pytest.mark.parametrize("mode", RUN_MODES)
def test_stop_on_a_halted_stock_waits_for_its_next_bar(mode):
    halted = stock(flat(50), (50, 51, 44, 50), None, (49, 50, 40, 41))
    script = {
        0: lambda s: s.buy(s.datas[1], size=10),
        1: lambda s: s.sell(s.datas[1], size=10, exectype=bt.Order.Stop, price=45),
    }
    assert run(script, mode=mode, CLOCK=CLOCK, HALT=halted).fates()[:2] == [
        (1, "HALT", "Completed", 50.0, ""),
        (3, "HALT", "Completed", 45.0, ""),
    ]
    # backtrader matches the stop on the day without a bar against the bar before the order.
    assert run(script, backtraders_broker(), mode=mode, CLOCK=CLOCK, HALT=halted).fates()[1][0] == 2


def test_limit_on_a_halted_stock_does_not_fill_at_a_price_already_seen():
    halted = stock(flat(50), (50, 51, 49, 50.5), None, flat(60), flat(61))
    script = {1: lambda s: s.buy(s.datas[1], size=10, exectype=bt.Order.Limit, price=50.2)}
    assert run(script, CLOCK=CLOCK, HALT=halted).fates("Completed") == []
    assert run(script, backtraders_broker(), CLOCK=CLOCK, HALT=halted).fates("Completed")[0][3] == 50.0


def test_order_created_on_a_halted_day_waits_for_the_next_bar():
    halted = stock(flat(50), flat(51), None, None, (60, 61, 59, 60), flat(60))
    script = {2: lambda s: s.buy(s.datas[1], size=10, exectype=bt.Order.Limit, price=100)}
    done = run(script, CLOCK=CLOCK, HALT=halted).fates("Completed")
    assert done == [(4, "HALT", "Completed", 60.0, "")]


@pytest.mark.parametrize("mode", RUN_MODES)
def test_position_in_a_delisted_stock_is_sold_at_its_last_price_on_the_next_session(mode):
    dead = stock(flat(20), flat(21), (22, 23, 21, 22.5))
    script = {
        0: lambda s: s.buy(s.datas[1], size=100, reason="score"),
        1: lambda s: s.sell(s.datas[1], size=100, exectype=bt.Order.Stop, price=10, reason="stop"),
    }
    broker = SafeBroker(cash=10_000.0, commission_bps=10, slippage_bps=4)
    seen = run(script, broker, mode=mode, CLOCK=CLOCK, DEAD=dead)
    assert seen.fates()[1:] == [
        (3, "DEAD", "Canceled", None, "stop: delisted"),
        (3, "DEAD", "Completed", 22.5, "delisted"),
    ]
    bought = 100 * 21 * 1.0004
    assert seen.values[-1] == pytest.approx(10_000 - bought * 1.001 + 2250 * 0.999)
    assert broker.getposition(seen.datas[1]).size == 0
    # backtrader keeps the position at its last price for ever.
    assert len(run(script, backtraders_broker(), mode=mode, CLOCK=CLOCK, DEAD=dead).fates()) == 1


def test_sale_of_a_delisted_position_is_dated_on_the_session_of_the_sale():
    dead = stock(flat(20), flat(21))
    dates = []

    class Dated(Script):
        def notify_order(self, order):
            if order.status == order.Completed:
                dates.append((bt.num2date(order.executed.dt).date(), bt.num2date(order.created.dt).date()))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker())
    for ticker, bars in (("CLOCK", CLOCK), ("DEAD", dead)):
        cerebro.adddata(StockFeed.from_bars(bars, ticker))
    cerebro.addstrategy(Dated, script={0: lambda s: s.buy(s.datas[1], size=1)})
    cerebro.run()
    assert dates == [(DAYS[1].item(), DAYS[0].item()), (DAYS[2].item(), DAYS[2].item())]


@pytest.mark.parametrize("mode", RUN_MODES)
def test_order_before_listing_is_rejected_without_a_price_of_the_future(mode):
    late = stock(None, None, None, flat(99), flat(99))
    orders = []
    script = {0: lambda s: orders.append(s.buy(s.datas[1], size=1, reason="score"))}
    assert run(script, mode=mode, CLOCK=CLOCK, LATE=late).fates() == [
        (1, "LATE", "Rejected", None, "score: not listed yet")
    ]
    assert math.isnan(orders[0].created.price)
    assert math.isnan(orders[0].created.pclose)
    with pytest.raises(InputError, match="line `close` of LATE: expected to be read once the stock is listed"):
        run(script, backtraders_broker(), mode=mode, CLOCK=CLOCK, LATE=late)


@pytest.mark.parametrize("mode", RUN_MODES)
def test_order_after_delisting_is_rejected(mode):
    dead = stock(flat(20), flat(21))
    script = {3: lambda s: s.buy(s.datas[1], size=1, exectype=bt.Order.Limit, price=30)}
    assert run(script, mode=mode, CLOCK=CLOCK, DEAD=dead).fates() == [(4, "DEAD", "Rejected", None, "delisted")]
    assert run(script, backtraders_broker(), mode=mode, CLOCK=CLOCK, DEAD=dead).fates()[0][2:4] == ("Completed", 21.0)


def test_nan_price_never_fills():
    broken = stock(flat(10), (math.nan, 11, 9, 10), flat(12))
    sound = stock(flat(10), flat(10), flat(12))
    feed = StockFeed.from_bars(sound, "BROKEN")
    feed._columns["open"] = broken.open
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=0))
    cerebro.adddata(feed)
    cerebro.addstrategy(Script, script={0: lambda s: s.buy(size=1)})
    assert cerebro.run()[0].fates() == [(2, "BROKEN", "Completed", 12.0, "")]


def test_sale_pays_for_a_purchase_of_the_same_open_whatever_was_sent_first():
    def rotate(strategy):
        strategy.buy(strategy.datas[1], size=90)
        strategy.sell(strategy.datas[0], size=90)

    stocks = {"OLD": stock(*[flat(100)] * 4), "NEW": stock(*[flat(100)] * 4)}
    script = {0: lambda s: s.buy(s.datas[0], size=90), 1: rotate}
    assert [fate[1:3] for fate in run(script, **stocks).fates()[1:]] == [("OLD", "Completed"), ("NEW", "Completed")]
    assert [fate[1:3] for fate in run(script, backtraders_broker(), **stocks).fates()[1:]] == [
        ("NEW", "Margin"),
        ("OLD", "Completed"),
    ]


def test_stop_hit_during_the_day_does_not_pay_for_a_purchase_at_the_open():
    def rotate(strategy):
        strategy.sell(strategy.datas[0], size=90, exectype=bt.Order.Stop, price=95)
        strategy.buy(strategy.datas[1], size=90)

    stocks = {"OLD": stock(flat(100), flat(100), (100, 100, 90, 91)), "NEW": stock(*[flat(100)] * 3)}
    script = {0: lambda s: s.buy(s.datas[0], size=90), 1: rotate}
    refusing = SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=0, unaffordable="refuse")
    seen = run(script, refusing, **stocks)
    assert [fate[1:3] for fate in seen.fates()[1:]] == [("NEW", "Margin"), ("OLD", "Completed")]


@pytest.mark.parametrize(
    ("unaffordable", "status", "shares", "cash", "note"),
    [
        ("resize", "Completed", 99, 10_000 - 99 * 101, "resized from 100 to 99: cash"),
        ("refuse", "Margin", 0, 10_000, None),
        ("borrow", "Completed", 100, -100, None),
    ],
)
def test_order_that_a_gap_makes_too_dear_meets_the_rule_and_is_reported(unaffordable, status, shares, cash, note):
    gap = stock(flat(100), flat(101), flat(101))
    orders = []
    broker = SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=0, unaffordable=unaffordable)
    seen = run({0: lambda s: orders.append(s.buy(size=100))}, broker, GAP=gap)
    assert [fate[2] for fate in seen.fates()] == [status]
    assert (broker.getposition(seen.data).size, broker.getcash()) == (shares, cash)
    assert orders[0].info.get("note") == note


def test_order_dear_at_the_close_and_affordable_at_the_open_fills():
    gap = stock(flat(101), flat(99), flat(99))
    assert run({0: lambda s: s.buy(size=100)}, GAP=gap).fates() == [(1, "GAP", "Completed", 99.0, "")]


def test_sale_of_more_than_is_held_is_cancelled_and_said():
    script = {0: lambda s: s.sell(size=5, reason="mistake")}
    assert run(script, CLOCK=CLOCK).fates() == [(1, "CLOCK", "Canceled", None, "mistake: more than is held")]
    short = SafeBroker(cash=10_000.0, allow_short=True)
    assert run(script, short, CLOCK=CLOCK).fates()[0][2] == "Completed"


def test_two_sales_of_one_position_do_not_make_it_short():
    def sell_twice(strategy):
        strategy.sell(size=10, reason="score")
        strategy.sell(size=10, exectype=bt.Order.Stop, price=9.9, reason="stop")

    fall = stock(flat(10), flat(10), (10, 10, 9, 9), flat(9))
    script = {0: lambda s: s.buy(size=10), 1: sell_twice}
    assert [fate[2:] for fate in run(script, FALL=fall).fates()[1:]] == [
        ("Completed", 10.0, "score"),
        ("Canceled", None, "stop: more than is held"),
    ]


STOPS = [
    ((50, 51, 44, 46), 45.0),  # reached during the day: at the stop
    ((43, 46, 42, 45), 43.0),  # opens beyond it: at the open
    ((50, 51, 45, 46), 45.0),  # touched exactly
    ((50, 51, 45.01, 46), None),
]


@pytest.mark.parametrize(("bar", "price"), STOPS)
def test_stop_fills_at_its_price_or_at_an_open_beyond_it(bar, price):
    def protect(strategy):
        strategy.sell(size=1, exectype=bt.Order.Stop, price=45)

    script = {0: lambda s: s.buy(size=1), 1: protect}
    done = run(script, X=stock(flat(50), flat(50), bar)).fates("Completed")[1:]
    assert [fate[3] for fate in done] == ([] if price is None else [price])


def test_market_orders_slip_against_us_even_out_of_the_bar_and_pay_commission():
    script = {0: lambda s: s.buy(size=10), 1: lambda s: s.sell(size=10)}
    seen = run(script, SafeBroker(cash=1000.0, commission_bps=20, slippage_bps=100), X=stock(*[flat(50)] * 3))
    assert [fate[3] for fate in seen.fates()] == [50.5, 49.5]
    assert seen.values[-1] == pytest.approx(1000 - 10 - 0.002 * (505 + 495))


@pytest.mark.parametrize(
    ("kind", "price", "bar", "filled"),
    [
        (bt.Order.Limit, 50.0, (49, 52, 48, 51), 49.49),  # opens better: the open, slipped
        (bt.Order.Limit, 49.2, (49, 52, 48, 51), 49.2),  # slipping would pass the limit: the limit
        (bt.Order.Limit, 48.5, (49, 52, 48, 51), 48.5),  # reached during the day
        (bt.Order.Limit, 47.5, (49, 52, 48, 51), None),
        (bt.Order.Stop, 51.0, (49, 52, 48, 51), 51.51),
        (bt.Order.Close, None, (49, 52, 48, 51), 51.51),
    ],
)
def test_purchases_slip_upwards_but_never_beyond_a_limit(kind, price, bar, filled):
    script = {0: lambda s: s.buy(size=1, exectype=kind, price=price)}
    seen = run(script, SafeBroker(commission_bps=0, slippage_bps=100), X=stock(flat(50), bar))
    assert [fate[3] for fate in seen.fates("Completed")] == ([] if filled is None else [filled])


@pytest.mark.parametrize(
    ("kind", "price", "bar", "filled"),
    [
        (bt.Order.Limit, 48.0, (50, 52, 47, 51), 49.5),
        (bt.Order.Limit, 49.9, (50, 52, 47, 51), 49.9),
        (bt.Order.Limit, 51.0, (50, 52, 47, 51), 51.0),
        (bt.Order.Stop, 48.0, (50, 52, 47, 51), 47.52),
        (bt.Order.Close, None, (50, 52, 47, 51), 50.49),
    ],
)
def test_sales_slip_downwards_but_never_beyond_a_limit(kind, price, bar, filled):
    script = {0: lambda s: s.buy(size=1), 1: lambda s: s.sell(size=1, exectype=kind, price=price)}
    seen = run(script, SafeBroker(commission_bps=0, slippage_bps=100), X=stock(flat(50), flat(50), bar))
    assert [fate[3] for fate in seen.fates("Completed")[1:]] == [filled]


@pytest.mark.parametrize("stop_first", [True, False])
@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ((50, 61, 46, 50), 60.0),  # the target alone
        ((50, 61, 44, 50), 45.0),  # both inside the bar: the stop, whichever was sent first
        ((62, 63, 44, 50), 62.0),  # the open comes before the day
        ((43, 61, 42, 50), 43.0),
    ],
)
def test_one_of_two_linked_orders_cancels_the_other(bar, price, stop_first):
    def protect(strategy):
        kinds = [(bt.Order.Stop, 45), (bt.Order.Limit, 60)]
        (kind, level), (other_kind, other_level) = kinds if stop_first else kinds[::-1]
        first = strategy.sell(size=1, exectype=kind, price=level)
        strategy.sell(size=1, exectype=other_kind, price=other_level, oco=first)

    seen = run({0: lambda s: s.buy(size=1), 1: protect}, X=stock(flat(50), flat(50), bar, flat(50)))
    assert sorted(fate[2:4] for fate in seen.fates()[1:]) == [("Canceled", None), ("Completed", price)]


def test_bracket_works_as_in_backtrader():
    script = {0: lambda s: s.buy_bracket(size=1, exectype=bt.Order.Market, stopprice=45, limitprice=60)}
    seen = run(script, X=stock(flat(50), flat(50), flat(55), (59, 61, 58, 60), flat(60)))
    assert [fate[0::2][:2] for fate in seen.fates()] == [(1, "Completed"), (3, "Completed"), (3, "Canceled")]


def test_asking_for_a_position_leaves_no_trace():
    def ask(strategy):
        assert strategy.getposition(strategy.datas[0]).size == 0
        assert len(strategy.broker.positions) == 0

    run({0: ask}, CLOCK=CLOCK)


def test_value_is_cash_and_positions_and_never_reads_a_stock_without_bars():
    late = stock(None, None, flat(99))
    seen = run({0: lambda s: s.getposition(s.datas[1])}, CLOCK=CLOCK, LATE=late)
    assert seen.values == [10_000.0] * 6


def test_misspelt_parameter_raises():
    with pytest.raises(InputError, match="unknown parameter of SafeBroker 'slipage_bps'.*Did you mean 'slippage_bps'"):
        SafeBroker(slipage_bps=1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"cash": 0}, "`cash`: expected USD above 0, received 0"),
        ({"cash": math.nan}, "`cash`: expected USD above 0, received nan"),
        ({"commission_bps": -1}, "`commission_bps`: expected from 0 to below 10000 basis points per side, received -1"),
        (
            {"slippage_bps": 10_000},
            "`slippage_bps`: expected from 0 to below 10000 basis points per side, received 10000",
        ),
    ],
)
def test_account_that_cannot_be_raises(settings, text):
    with pytest.raises(InputError, match=text):
        SafeBroker(**settings)
