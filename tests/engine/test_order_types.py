"""Order types, validity, volume and delisting: tables of candles, computed by hand."""

from __future__ import annotations

import datetime

import backtrader as bt
import pytest

from engine.broker import SafeBroker
from tests.contracts import RUN_MODES
from tests.engine.candles import CLOCK, FREE, THIN, flat, run, stock, table

# ---------------------------------------------------------------------------------- trailing stops


def trailing(side="sell", **how):
    return lambda s: getattr(s, side)(size=1, exectype=bt.Order.StopTrail, **how)


TRAILS = [
    # bars after the order at a close of 100; trail_on; distance; the fill's session and price
    ([(100, 112, 99, 111), (111, 111, 101.5, 103)], "high", 10, (3, 102.0)),  # 112 - 10, from the bar after
    ([(100, 112, 99, 111), (111, 111, 101.5, 103)], "close", 10, None),  # 111 - 10 is not reached
    ([(100, 112, 89, 111), (111, 111, 111, 111)], "high", 10, (2, 90.0)),  # its own high moves nothing on bar 2
    ([(100, 105, 99, 100), (96, 97, 94.5, 96)], "high", 10, (3, 95.0)),
    ([(100, 105, 99, 100), (94, 97, 94, 96)], "high", 10, (3, 94.0)),  # opens beyond it
    ([(100, 105, 99, 100), (100, 100, 96, 99), (99, 99, 94, 95)], "high", 10, (4, 95.0)),  # never goes back
]


@pytest.mark.parametrize(("bars", "trail_on", "distance", "expected"), TRAILS)
def test_trailing_stop_that_sells(bars, trail_on, distance, expected):
    script = {0: lambda s: s.buy(size=1), 1: trailing(trailamount=distance)}
    seen = run(script, SafeBroker(**FREE, trail_on=trail_on), X=stock(flat(100), flat(100), *bars))
    done = [(session, price) for session, _, _, price, _ in seen.fates("Completed")[1:]]
    assert done == ([] if expected is None else [expected])


def test_trailing_stop_by_percent_and_one_that_buys():
    up = stock(flat(100), flat(100), (100, 120, 100, 118), (118, 118, 107, 108))
    script = {0: lambda s: s.buy(size=1), 1: trailing(trailpercent=0.1)}
    assert run(script, X=up).fates("Completed")[1][3] == 108.0  # 120 less 10 %
    down = stock(flat(100), (100, 100, 80, 82), (82, 91, 82, 90))
    short = SafeBroker(**FREE, allow_short=True)
    assert run({0: trailing("buy", trailamount=10)}, short, X=down).fates("Completed")[0][::3] == (2, 90.0)


@pytest.mark.parametrize("mode", RUN_MODES)
def test_trailing_stop_rests_while_its_stock_is_halted(mode):
    halted = stock(flat(100), flat(100), None, (100, 110, 100, 109), (105, 105, 99, 99))
    script = {
        0: lambda s: s.buy(s.datas[1], size=1),
        1: lambda s: s.sell(s.datas[1], size=1, exectype=bt.Order.StopTrail, trailamount=10),
    }
    assert run(script, mode=mode, CLOCK=CLOCK, X=halted).fates("Completed")[1][::3] == (4, 100.0)


def test_trailing_stop_limit_keeps_its_distance_between_stop_and_limit():
    """Stop 10 under, limit 2 under the stop: bar 2 lifts both to 110 and 108; bar 3 opens under both."""
    bars = stock(flat(100), flat(100), (100, 120, 100, 118), (105, 109, 104, 106), flat(106))

    def protect(strategy):
        strategy.sell(size=1, exectype=bt.Order.StopTrailLimit, trailamount=10, price=100, plimit=98)

    done = run({0: lambda s: s.buy(size=1), 1: protect}, X=bars).fates("Completed")[1:]
    assert [fate[::3] for fate in done] == [(3, 108.0)]


# ---------------------------------------------------------------------------------- other types


def test_market_on_close_fills_at_the_next_close_after_everything_else():
    bars = stock(flat(100), (100, 120, 90, 110), flat(110))
    script = {0: lambda s: s.buy(size=1, exectype=bt.Order.Close)}
    assert run(script, X=bars).fates("Completed")[0][::3] == (1, 110.0)


def test_stop_limit_waits_as_a_limit_once_it_was_reached():
    bars = stock(flat(100), (100, 106, 99, 105.5), (105, 105, 103, 104), flat(104))
    script = {0: lambda s: s.buy(size=1, exectype=bt.Order.StopLimit, price=104, plimit=103.5)}
    assert run(script, X=bars).fates("Completed")[0][::3] == (2, 103.5)


DAY = datetime.timedelta(days=1)
VALID = [
    (datetime.date(2020, 1, 6), [("Completed", 2)]),  # its last day is its fill's
    (datetime.date(2020, 1, 3), [("Expired", 2)]),
    (4 * DAY, [("Completed", 2)]),  # from Thursday to Monday
    (3 * DAY, [("Expired", 2)]),
    (datetime.datetime(2020, 1, 6), [("Completed", 2)]),
]


@pytest.mark.parametrize(("valid", "expected"), VALID)
def test_order_expires_after_its_last_moment(valid, expected):
    bars = stock(flat(100), flat(100), (100, 100, 94, 95), flat(95))
    script = {0: lambda s: s.buy(size=1, exectype=bt.Order.Limit, price=95, valid=valid)}
    assert [(status, session) for session, _, status, *_ in run(script, X=bars).fates()] == expected


def test_order_of_a_halted_stock_expires_by_the_markets_days():
    halted = stock(flat(100), None, None, None, flat(90))
    valid = datetime.date(2020, 1, 6)
    script = {0: lambda s: s.buy(s.datas[1], size=1, exectype=bt.Order.Limit, price=95, valid=valid)}
    assert run(script, CLOCK=CLOCK, X=halted).fates() == [(3, "X", "Expired", None, "")]


def test_market_order_has_its_bar_whatever_its_validity():
    script = {0: lambda s: s.buy(size=1, valid=bt.Order.DAY)}
    assert run(script, X=stock(*[flat(100)] * 3)).fates()[0][:3] == (1, "X", "Completed")


# ---------------------------------------------------------------------------------- volume


def test_remainder_waits_for_the_next_session_and_its_price():
    bars = stock(flat(10), flat(11), flat(12), flat(13), **THIN)
    assert table({0: lambda s: s.buy(size=60)}, X=bars) == [
        ["buy", "Market", 60.0, 60.0, round((25 * 11 + 25 * 12 + 10 * 13) / 60, 6), "Completed", ""]
    ]


def test_remainder_at_the_end_is_told():
    assert table({0: lambda s: s.buy(size=60)}, X=stock(*[flat(10)] * 3, **THIN)) == [
        ["buy", "Market", 60.0, 50.0, 10.0, "Pending at end", ""]
    ]


def test_remainder_of_a_limit_waits_for_its_price():
    bars = stock(flat(10), flat(9), flat(11), flat(9), **THIN)
    script = {0: lambda s: s.buy(size=40, exectype=bt.Order.Limit, price=10)}
    assert table(script, X=bars) == [["buy", "Limit", 40.0, 40.0, 9.0, "Completed", ""]]


def test_remainder_of_a_stop_is_sold_at_the_next_open():
    bars = stock(flat(50), flat(50), flat(50), (50, 50, 44, 48), (47, 49, 46, 48), **THIN)
    script = {0: lambda s: s.buy(size=40), 2: lambda s: s.sell(size=40, exectype=bt.Order.Stop, price=45)}
    assert table(script, X=bars)[1] == [
        "sell", "Stop", 40.0, 40.0, round((25 * 45 + 15 * 47) / 40, 6), "Completed", ""
    ]  # fmt: skip


def test_sales_and_purchases_of_a_stock_share_its_volume_and_sales_come_first():
    def both(strategy):
        strategy.buy(size=20)
        strategy.sell(size=20)

    bars = stock(*[flat(10)] * 5, **THIN)
    script = {0: lambda s: s.buy(size=25), 1: both}
    log = run(script, SafeBroker(**FREE), X=bars).log
    assert [(session, status) for session, _, status, *_ in log if status in ("Partial", "Completed")] == [
        (1, "Completed"),
        (2, "Completed"),
        (2, "Partial"),
        (3, "Completed"),
    ]


def test_bar_without_volume_fills_nothing_under_a_limit_and_everything_without_one():
    bars = stock(*[flat(10)] * 3, volume=0.0)
    assert table({0: lambda s: s.buy(size=5)}, X=bars)[0][3:] == [0.0, None, "Pending at end", ""]
    free = SafeBroker(**FREE, volume_frac=None)
    assert table({0: lambda s: s.buy(size=5)}, free, X=bars)[0][3:] == [5.0, 10.0, "Completed", ""]


def test_order_that_cash_stops_after_a_part_keeps_the_part():
    bars = stock(flat(100), flat(100), flat(9999), flat(9999), **THIN)
    broker = SafeBroker(**FREE)
    assert table({0: lambda s: s.buy(size=60)}, broker, X=bars) == [
        ["buy", "Market", 60.0, 25.0, 100.0, "Completed", "resized from 60 to 25: cash"]
    ]


def test_sale_of_more_than_is_held_sells_what_is_held():
    script = {0: lambda s: s.buy(size=4), 1: lambda s: s.sell(size=10)}
    assert table(script, X=stock(*[flat(10)] * 4))[1] == [
        "sell", "Market", 10.0, 4.0, 10.0, "Completed", "resized from 10 to 4: more than is held"
    ]  # fmt: skip


# ---------------------------------------------------------------------------------- delisting


@pytest.mark.parametrize(
    ("returned", "price"), [(0.0, 21.0), (-0.3, 14.7), (-1.0, 0.0), ({"DEAD": -0.5}, 10.5), ({"OTHER": -0.5}, 21.0)]
)
def test_delisting_pays_the_last_price_and_the_return_on_it(returned, price):
    broker = SafeBroker(**FREE, delisting_return=returned)
    script = {0: lambda s: s.buy(s.datas[1], size=10)}
    rows = table(script, broker, CLOCK=CLOCK, DEAD=stock(flat(20), (21, 22, 20, 21)))
    assert rows[1][4:6] == [price, "Completed"]
    assert broker.getcash() == pytest.approx(10_000 - 210 + 10 * price)
    assert rows[1][6] == ("" if price == 21 else f"at {price / 21 - 1:+.1%} of the last close")


def test_stock_known_to_be_halted_when_its_data_end_is_not_delisted():
    broker = SafeBroker(**FREE, halted_at_end=("DEAD",))
    script = {0: lambda s: s.buy(s.datas[1], size=10), 3: lambda s: s.close(s.datas[1])}
    rows = table(script, broker, CLOCK=CLOCK, DEAD=stock(flat(20), (21, 22, 20, 21)))
    assert [row[5] for row in rows] == ["Completed", "Pending at end"]
