"""Brackets and linked orders, what one leaves to the others, and why: tables of candles, computed by hand."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from engine.broker import SafeBroker
from tests.engine.candles import CLOCK, FREE, THIN, flat, stock, table, told


def bracket(**how):
    return lambda s: s.buy_bracket(exectype=bt.Order.Market, **how)


BRACKETS = [
    ((50, 61, 49, 60), [("Limit", 60.0)]),
    ((50, 59, 44, 46), [("Stop", 45.0)]),
    ((50, 61, 44, 50), [("Stop", 45.0)]),  # both inside one bar
    ((62, 63, 44, 50), [("Limit", 62.0)]),  # the open is beyond the target
    ((50, 59, 46, 55), []),
]


@pytest.mark.parametrize(("bar", "expected"), BRACKETS)
def test_bracket_takes_one_of_its_two_exits(bar, expected):
    rows = table({0: bracket(size=2, stopprice=45, limitprice=60)}, X=stock(flat(50), flat(50), bar, flat(50)))
    assert [(kind, price) for _, kind, _, filled, price, *_ in rows[1:] if filled] == expected
    if expected:
        assert sorted(row[5] for row in rows[1:]) == ["Canceled", "Completed"]


def test_brackets_exits_do_not_work_on_the_bar_that_fills_the_entry():
    rows = table({0: bracket(size=2, stopprice=45, limitprice=60)}, X=stock(flat(50), (50, 61, 44, 50), flat(50)))
    assert [row[5] for row in rows] == ["Completed", "Pending at end", "Pending at end"]


def test_bracket_protects_what_its_entry_has_bought_so_far():
    """25 of 60 shares fill on bar 1; bar 2 opens under the stop before the entry's next part is looked at."""
    bars = stock(flat(50), flat(50), (44, 46, 43, 45), flat(45), **THIN)
    rows = table({0: bracket(size=60, stopprice=45, limitprice=60)}, X=bars)
    assert [row[2:7] for row in rows] == [
        [60.0, 25.0, 50.0, "Canceled", ""],
        [60.0, 25.0, 44.0, "Completed", "resized from 60 to 25: more than is held"],
        [60.0, 0.0, None, "Canceled", ""],
    ]


def test_cancelled_entry_takes_its_bracket_along():
    def cancel(strategy):
        strategy.cancel(strategy.orders[0])

    def send(strategy):
        strategy.orders = strategy.buy_bracket(size=2, price=40, stopprice=35, limitprice=60)

    rows = table({0: send, 1: cancel}, X=stock(*[flat(50)] * 4))
    assert [row[5] for row in rows] == ["Canceled"] * 3


def test_entry_that_cannot_be_paid_takes_its_bracket_along():
    rows = table({0: bracket(size=2, stopprice=45, limitprice=60)}, SafeBroker(cash=10.0), X=stock(*[flat(50)] * 3))
    assert [row[5] for row in rows] == ["Margin", "Canceled", "Canceled"]


def test_bracket_of_a_stock_that_is_not_listed_is_rejected_whole():
    late = stock(None, None, None, flat(50))
    rows = table(
        {0: lambda s: s.buy_bracket(s.datas[1], size=2, price=50, stopprice=45, limitprice=60)}, C=CLOCK, X=late
    )
    assert [row[5] for row in rows] == ["Rejected"] * 3


def test_order_that_waits_for_one_that_never_came_is_told():
    rows = table({0: lambda s: s.buy(size=1, transmit=False)}, X=stock(*[flat(50)] * 3))
    assert [row[5] for row in rows] == ["Never sent"]


def test_part_of_one_linked_order_cancels_the_other():
    def protect(strategy):
        target = strategy.sell(size=40, exectype=bt.Order.Limit, price=60)
        strategy.sell(size=40, exectype=bt.Order.Stop, price=45, oco=target)

    bars = stock(flat(50), flat(50), flat(50), (50, 61, 50, 60), (60, 60, 44, 45), **THIN)
    rows = table({0: lambda s: s.buy(size=40), 2: protect}, X=bars)
    assert [row[3:6] for row in rows[1:]] == [[40.0, 60.0, "Completed"], [0.0, None, "Canceled"]]


def test_three_linked_orders_leave_one():
    def three(strategy):
        first = strategy.sell(size=1, exectype=bt.Order.Limit, price=60)
        second = strategy.sell(size=1, exectype=bt.Order.Limit, price=70, oco=first)
        strategy.sell(size=1, exectype=bt.Order.Stop, price=45, oco=second)

    bars = stock(flat(50), flat(50), (50, 51, 44, 50), flat(65))
    rows = table({0: lambda s: s.buy(size=1), 1: three}, X=bars)
    assert [row[5] for row in rows[1:]] == ["Canceled", "Canceled", "Completed"]


def test_order_linked_to_one_that_has_ended_stands_alone():
    def exchange(strategy):
        strategy.cancel(strategy.stop_order)
        strategy.sell(size=1, oco=strategy.stop_order)

    def protect(strategy):
        strategy.stop_order = strategy.sell(size=1, exectype=bt.Order.Stop, price=45)

    rows = table({0: lambda s: s.buy(size=1), 1: protect, 2: exchange}, X=stock(*[flat(50)] * 5))
    assert [row[5] for row in rows[1:]] == ["Canceled", "Completed"]


def test_target_filled_in_part_leaves_the_stop_for_the_rest():
    """60 bought by bar 3 in thin trading; the target sells 25 of them; the crash after it meets the stop."""
    bars = stock(*[flat(50)] * 4, (55, 60, 55, 56), flat(30), **THIN)
    rows = table({0: bracket(size=60, stopprice=45, limitprice=60)}, X=bars)
    assert [row[3:6] for row in rows] == [
        [60.0, 50.0, "Completed"],
        [25.0, 30.0, "Pending at end"],
        [25.0, 60.0, "Pending at end"],
    ]


def test_stop_sells_what_the_target_left_and_ends_the_bracket():
    bars = stock(*[flat(50)] * 4, (55, 60, 55, 56), flat(30), volume=1600)  # 40 a day
    rows = told({0: bracket(size=60, stopprice=45, limitprice=60)}, X=bars)
    assert [[*row[3:6], row[7]] for row in rows] == [
        [60.0, 50.0, "Completed", ""],
        [20.0, 30.0, "Completed", ""],
        [40.0, 60.0, "Canceled", "its bracket's exit filled"],
    ]
    assert rows[1][6] == "resized from 60 to 20: more than is held"


def test_exit_that_the_volume_keeps_from_filling_is_not_cut():
    """Bar 2 touches the target without a share of volume; the entry goes on, and the target sells all of it."""
    bars = stock(
        flat(50), flat(50), (50, 61, 50, 50), flat(50), flat(61), volume=np.array([1000, 1000, 0, 4000, 4000.0])
    )
    rows = table({0: bracket(size=60, stopprice=45, limitprice=60)}, X=bars)
    assert [row[3:7] for row in rows] == [
        [60.0, 50.0, "Completed", ""],
        [0.0, None, "Canceled", ""],
        [60.0, 61.0, "Completed", ""],
    ]


def test_day_comes_by_the_nearer_price_first():
    def two(strategy):
        for price in (62, 60):
            strategy.sell(size=10, exectype=bt.Order.Limit, price=price)

    rows = table({0: lambda s: s.buy(size=10), 1: two}, X=stock(flat(50), flat(50), (50, 63, 50, 61), flat(61)))
    assert [row[3:6] for row in rows[1:]] == [[0.0, None, "Canceled"], [10.0, 60.0, "Completed"]]


def test_entry_limit_that_the_day_passes_on_its_way_to_the_stop_fills_before_it():
    """25 of 40 at 47 on bar 1; bar 2 falls from 48 through 47 to 44: the rest is bought, then all is stopped."""

    def entry(strategy):
        strategy.buy_bracket(size=40, exectype=bt.Order.Limit, price=47, stopprice=45, limitprice=60)

    volume = np.array([1000, 1000, 4000, 4000.0])
    rows = table({0: entry}, X=stock(flat(48), (48, 48, 46, 48), (48, 48, 44, 44), flat(44), volume=volume))
    assert [row[3:6] for row in rows] == [[40.0, 47.0, "Completed"], [40.0, 45.0, "Completed"], [0.0, None, "Canceled"]]


def test_stop_that_the_day_passes_on_its_way_to_the_entrys_limit_fills_first():
    """25 of 40 at 47 on bar 1, then a stop at 47.5: bar 2 falls by it first, and nothing more is bought."""

    def entry(strategy):
        strategy.sent = strategy.buy(size=40, exectype=bt.Order.Limit, price=47)

    def protect(strategy):
        strategy.sell(size=40, exectype=bt.Order.Stop, price=47.5, parent=strategy.sent)

    volume = np.array([1000, 1000, 1000, 4000, 4000.0])
    bars = stock(flat(48), (48, 48, 46, 48), flat(48), (48, 48, 44, 44), flat(44), volume=volume)
    rows = told({0: entry, 1: protect}, X=bars)
    assert [[*row[3:6], row[7]] for row in rows] == [
        [25.0, 47.0, "Canceled", "its bracket's exit filled"],
        [25.0, 47.5, "Completed", ""],
    ]


@pytest.mark.parametrize("clone", [False, True])
def test_child_sent_after_its_parent_began_to_fill_works(clone):
    """The parent goes on; a copy that the strategy was told of stands for it."""

    def send(strategy):
        strategy.sent = strategy.buy(size=60)

    def protect(strategy):
        parent = strategy.sent.clone() if clone else strategy.sent
        strategy.sell(size=60, exectype=bt.Order.Stop, price=45, parent=parent)

    rows = table({0: send, 1: protect}, X=stock(flat(50), flat(50), flat(50), flat(50), flat(44), flat(44), **THIN))
    assert [row[3:6] for row in rows] == [[60.0, 50.0, "Completed"], [50.0, 44.0, "Pending at end"]]


def test_child_added_to_a_filled_bracket_works():
    def send(strategy):
        strategy.orders = strategy.buy_bracket(size=10, exectype=bt.Order.Market, stopprice=45, limitprice=60)

    def raise_stop(strategy):
        strategy.sell(size=10, exectype=bt.Order.Stop, price=48, parent=strategy.orders[0])

    rows = table({0: send, 2: raise_stop}, X=stock(flat(50), flat(50), flat(50), flat(50), (49, 49, 47, 47)))
    assert [row[3:6] for row in rows[1:]] == [
        [0.0, None, "Canceled"],
        [0.0, None, "Canceled"],
        [10.0, 48.0, "Completed"],
    ]


def test_refused_order_cancels_nobody():
    """One linked to a live stop, of a stock not listed yet; and a child of an order that has ended."""

    def send(strategy):
        strategy.sent = strategy.buy(size=10)

    def refused(strategy):
        stop = strategy.sell(size=10, exectype=bt.Order.Stop, price=45)
        strategy.buy(strategy.datas[1], size=1, oco=stop)
        strategy.sell(size=10, exectype=bt.Order.Stop, price=45, parent=strategy.sent)

    rows = told({0: send, 1: refused}, X=stock(*[flat(50)] * 4), L=stock(None, None, None, flat(5)))
    assert [row[5] for row in rows] == ["Completed", "Pending at end", "Rejected", "Rejected"]
    assert [row[7] for row in rows[2:]] == ["not listed yet", "its parent has ended"]


def test_order_that_was_not_sent_yet_can_be_cancelled():
    def send(strategy):
        strategy.entry = strategy.buy(size=1, transmit=False)
        strategy.sell(size=1, exectype=bt.Order.Stop, price=45, parent=strategy.entry, transmit=False)

    cancelled = []
    script = {0: send, 1: lambda s: cancelled.append(s.broker.cancel(s.entry))}
    rows = table(script, X=stock(*[flat(50)] * 4))
    assert cancelled == [True]
    assert [row[5] for row in rows] == ["Canceled", "Canceled"]


def test_short_is_covered_whatever_cash_there_is():
    broker = SafeBroker(**FREE, allow_short=True)
    short = {0: lambda s: s.sell_bracket(size=300, exectype=bt.Order.Market, stopprice=60, limitprice=40)}
    rows = table(short, broker, X=stock(flat(50), flat(50), flat(50), flat(120), flat(300)))
    assert rows[1][3:7] == [300.0, 120.0, "Completed", "covered on credit"]
    assert broker.getcash() == 10_000 + 300 * (50 - 120)


def test_purchase_through_zero_opens_only_what_cash_pays():
    broker = SafeBroker(**FREE, allow_short=True)
    script = {0: lambda s: s.sell(size=100), 1: lambda s: s.buy(size=400)}
    rows = table(script, broker, X=stock(flat(50), flat(50), flat(50)))
    assert rows[1][3:7] == [300.0, 50.0, "Completed", "resized from 400 to 300: cash"]
    assert broker.getcash() == 0


def test_fates_are_explained():
    def linked(strategy):
        target = strategy.sell(size=1, exectype=bt.Order.Limit, price=60)
        strategy.sell(size=1, exectype=bt.Order.Stop, price=45, oco=target, reason="stop")

    rows = told({0: lambda s: s.buy(size=1), 1: linked}, X=stock(flat(50), flat(50), (50, 61, 50, 60), flat(60)))
    assert rows[2][5::2] == ["Canceled", "stop: a linked order filled"]
    rows = told({0: bracket(size=2, stopprice=45, limitprice=60)}, SafeBroker(cash=10.0), X=stock(*[flat(50)] * 3))
    assert [row[7] for row in rows] == ["not enough cash", "its entry ended", "its entry ended"]


def test_linked_exits_of_one_bracket_follow_the_bracket():
    """The target fills in part: the stop that it is linked to stays for the rest, as in any bracket."""

    def send(strategy):
        entry = strategy.buy(size=60, transmit=False)
        stop = strategy.sell(size=60, exectype=bt.Order.Stop, price=45, parent=entry, transmit=False)
        strategy.sell(size=60, exectype=bt.Order.Limit, price=60, parent=entry, oco=stop)

    rows = table({0: send}, X=stock(*[flat(50)] * 4, (55, 60, 55, 56), flat(30), volume=1600))  # 40 a day
    assert [row[3:6] for row in rows] == [
        [60.0, 50.0, "Completed"],
        [20.0, 30.0, "Completed"],
        [40.0, 60.0, "Canceled"],
    ]


def test_order_not_sent_yet_ends_with_the_one_it_is_linked_to():
    def send(strategy):
        strategy.stop_order = strategy.sell(size=1, exectype=bt.Order.Stop, price=45)
        strategy.sell(size=1, exectype=bt.Order.Limit, price=60, oco=strategy.stop_order, transmit=False)

    rows = told({0: lambda s: s.buy(size=1), 1: send}, X=stock(flat(50), flat(50), flat(44), flat(61)))
    assert [row[5::2] for row in rows[1:]] == [["Completed", ""], ["Canceled", "a linked order filled"]]


def test_child_of_a_child_is_rejected():
    def send(strategy):
        strategy.orders = strategy.buy_bracket(size=1, exectype=bt.Order.Market, stopprice=45, limitprice=60)

    def more(strategy):
        strategy.sell(size=1, exectype=bt.Order.Stop, price=40, parent=strategy.orders[1])

    rows = told({0: send, 1: more}, X=stock(*[flat(50)] * 4))
    assert rows[3][5::2] == ["Rejected", "its parent is a bracket's exit"]
    assert [row[5] for row in rows[:3]] == ["Completed", "Pending at end", "Pending at end"]


def test_cover_that_cash_pays_is_not_on_credit():
    broker = SafeBroker(**FREE, allow_short=True)
    rows = table({0: lambda s: s.sell(size=10), 1: lambda s: s.buy(size=400)}, broker, X=stock(*[flat(50)] * 3))
    assert rows[1][3:7] == [210.0, 50.0, "Completed", "resized from 400 to 210: cash"]


def test_order_not_sent_yet_that_is_cancelled_takes_the_one_it_is_linked_to_along():
    def send(strategy):
        stop = strategy.sell(size=1, exectype=bt.Order.Stop, price=45)
        strategy.cancel(strategy.sell(size=1, exectype=bt.Order.Limit, price=60, oco=stop, transmit=False))

    rows = told({0: lambda s: s.buy(size=1), 1: send}, X=stock(*[flat(50)] * 4))
    assert [row[5::2] for row in rows[1:]] == [["Canceled", "a linked order ended"], ["Canceled", ""]]
