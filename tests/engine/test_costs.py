from __future__ import annotations

import math

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from engine import costs
from engine.broker import SafeBroker
from engine.costs import Slippage, StockCommission, parse_commission, parse_slippage
from feeds.errors import InputError
from feeds.panel import Bars
from tests.engine.candles import DAYS, Script, flat, run, stock

COMMISSIONS = [
    ("bps:1", 200, 50.0, 1.0),
    ("percent:0.1", 200, 50.0, 10.0),
    ("per-trade:5", 200, 50.0, 5.0),
    ("per-share:0.005", 200, 50.0, 1.0),
    ("per-share:0.005,min=1", 100, 50.0, 1.0),  # 0.50 is less than the minimum
    ("per-share:0.005,min=1", 1000, 50.0, 5.0),
    ("per-share:0.005,min=1,max=0.01", 1000, 0.2, 2.0),  # 5 is more than 1 % of 200
    ("per-share:0.005,min=1,max=0.01", 10, 5.0, 0.5),  # the maximum wins over the minimum
    ("tiered", 100, 50.0, 0.35),
    ("tiered", 1000, 50.0, 3.5),
    ("tiered", 400_000, 50.0, 300_000 * 0.0035 + 100_000 * 0.002),
]


@pytest.mark.parametrize(("text", "shares", "price", "usd"), COMMISSIONS)
def test_commission(text, shares, price, usd):
    assert parse_commission("--commission", text)(shares, price, 0.0) == pytest.approx(usd)


def test_tiers_go_on_where_the_month_stands():
    assert costs.tiered(1000, 50.0, 299_500) == pytest.approx(500 * 0.0035 + 500 * 0.002)
    assert costs.tiered(1000, 50.0, 150_000_000) == pytest.approx(1000 * 0.0005)


def test_month_of_a_tiered_commission_begins_afresh():
    info = StockCommission(model=costs.tiered)
    info.count(400_000, (2020, 1))
    assert info.quote(1000, 50.0, (2020, 1)) == pytest.approx(2.0)
    assert info.quote(1000, 50.0, (2020, 2)) == pytest.approx(3.5)
    info.count(10, (2020, 2))
    assert info.quote(1000, 50.0, (2020, 2)) == pytest.approx(3.5)


def test_commission_per_share_counts_the_shares_that_the_source_quotes():
    """Traded at 100 with a factor of 2: 50 USD a share on the tape, and each of ours is two of those."""
    bars = stock(*[flat(100)] * 3)
    doubled = Bars(**{**vars(bars), "adjust": np.full(3, 2.0)})
    broker = SafeBroker(cash=10_000.0, slippage_bps=0, commission=parse_commission("c", "per-share:0.01"))
    run({0: lambda s: s.buy(size=50)}, broker, X=doubled)
    assert broker.getcash() == pytest.approx(10_000 - 5000 - 100 * 0.01)


def test_minimum_is_part_of_what_cash_must_pay():
    broker = SafeBroker(cash=1000.0, slippage_bps=0, commission=parse_commission("c", "per-trade:5"))
    seen = run({0: lambda s: s.buy(size=10)}, broker, X=stock(*[flat(100)] * 3))
    assert (seen.position.size, broker.getcash()) == (9, 1000 - 900 - 5)


def test_commission_is_shared_out_where_a_fill_turns_a_position_around():
    broker = SafeBroker(
        cash=10_000.0, slippage_bps=0, allow_short=True, commission=parse_commission("c", "per-trade:6")
    )
    fills = []

    class Watching(Script):
        def notify_order(self, order):
            if order.status == order.Completed:
                bit = order.executed.exbits[-1]
                fills.append((bit.closed, bit.closedcomm, bit.opened, bit.openedcomm))

    script = {0: lambda s: s.buy(size=10), 1: lambda s: s.sell(size=15)}
    run(script, broker, strategy=Watching, X=stock(*[flat(100)] * 4))
    assert fills == [(0, 0, 10, 6.0), (-10, 4.0, -5, 2.0)]
    assert broker.getcash() == pytest.approx(10_000 - 1000 - 6 + 1500 - 6)


# ---------------------------------------------------------------------------------- slippage


def test_half_spread_recovers_a_bounce_between_bid_and_ask():
    """Price without noise at 100, closes in turn at ask and bid of a 2 % spread, ranges from bid to ask."""
    middle = np.full(22, 100.0)
    high, low = middle * 1.01, middle * 0.99
    same_side = np.full(22, 101.0)
    assert costs.half_spread(high, low, same_side) == pytest.approx(0.01, rel=0.02)


def test_half_spread_by_hand():
    high, low, close = np.array([11.0, 12.0, 11.5]), np.array([9.0, 10.0, 10.5]), np.array([10.8, 11.8, 11.2])
    middle = (np.log(high) + np.log(low)) / 2
    products = [
        (np.log(10.8) - middle[0]) * (np.log(10.8) - middle[1]),
        (np.log(11.8) - middle[1]) * (np.log(11.8) - middle[2]),
    ]
    assert costs.half_spread(high, low, close) == pytest.approx(math.sqrt(max(4 * np.mean(products), 0)) / 2)


def test_half_spread_is_nothing_below_two_bars_or_where_the_mean_is_negative():
    one = np.array([10.0])
    assert costs.half_spread(one, one, one) == 0
    rising = np.array([10.0, 11.0, 12.0, 13.0])
    assert costs.half_spread(rising * 1.01, rising * 0.99, rising * 1.005) == 0


def test_square_root_impact_by_hand():
    close, volume = np.array([100.0, 102.0, 99.96]), np.array([900.0, 1100.0])
    sigma = np.std([0.02, -0.02], ddof=1)
    assert costs.square_root_impact(250, volume, close, 0.8) == pytest.approx(0.8 * sigma * 0.5)
    assert costs.square_root_impact(1000, volume, close) == pytest.approx(
        2 * costs.square_root_impact(250, volume, close)
    )


def test_square_root_impact_is_nothing_while_volatility_or_volume_is_unknown():
    assert costs.square_root_impact(250, np.array([1e3]), np.array([1.0, 2.0])) == 0
    assert costs.square_root_impact(250, np.zeros(3), np.array([1.0, 2.0, 3.0])) == 0


def test_slippage_adds_its_parts_and_reads_only_bars_before_the_fills():
    asked = []
    lines = {
        "high": np.full(21, 101.0),
        "low": np.full(21, 99.0),
        "close": np.tile([100.0, 101.0], 11),
        "volume": np.full(21, 1e4),
    }

    def before(name, count):
        asked.append((name, count))
        return lines[name][-count:]

    both = Slippage(bps=2, has_spread=True, impact=1.0)
    spread = costs.half_spread(lines["high"], lines["low"], lines["close"][-21:])
    impact = costs.square_root_impact(100, lines["volume"], lines["close"])
    assert both.frac(100, before) == pytest.approx(2e-4 + spread + impact)
    assert asked == [("high", 21), ("low", 21), ("close", 21), ("close", 22), ("volume", 21)]


def test_impact_of_a_fill_does_not_know_its_own_bar():
    def bars(last):
        rows = [flat(100), flat(102), flat(100), (100, last, 100, last)]
        return stock(*rows, volume=1e4)

    prices = []
    for last in (100.0, 900.0):
        broker = SafeBroker(cash=1e6, commission_bps=0, slippage=Slippage(bps=0, impact=1.0))
        prices.append(run({2: lambda s: s.buy(size=100)}, broker, X=bars(last)).fates()[0][3])
    sigma = np.std([0.02, 100 / 102 - 1], ddof=1)
    assert prices[0] == prices[1] == pytest.approx(100 * (1 + sigma * math.sqrt(100 / 1e4)), abs=1e-6)


def test_slippage_of_a_fill_is_counted_in_usd():
    orders = []
    script = {0: lambda s: orders.append(s.buy(size=10)), 1: lambda s: orders.append(s.sell(size=10))}
    run(script, SafeBroker(cash=1e4, commission_bps=0, slippage_bps=100), X=stock(*[flat(50)] * 3))
    assert [order.info["slippage"] for order in orders] == pytest.approx([5.0, 5.0])


# ---------------------------------------------------------------------------------- words


def test_slippage_text():
    assert parse_slippage("--slippage", "bps:1+spread+impact:0.5") == Slippage(1.0, True, 0.5)
    assert parse_slippage("--slippage", "spread") == Slippage(0.0, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("per-shar:1", r"`--commission`: expected bps:N, .*received 'per-shar:1'.*Did you mean 'per-share'"),
        ("percent:-1", r"`--commission`: expected a number from 0 to 50 after the colon, received 'percent:-1'"),
        ("per-share:x", r"`--commission`: expected a number from 0 after the colon, received 'per-share:x'"),
        ("per-share:1,least=2", r"`--commission`: expected bps:N, .*received 'per-share:1,least=2'"),
        ("tiered:1", r"`--commission`: expected bps:N, .*received 'tiered:1'"),
    ],
)
def test_commission_that_cannot_be_raises(text, message):
    with pytest.raises(InputError, match=message):
        parse_commission("--commission", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spred", r"`--slippage`: expected bps:N, spread, .*received 'spred'.*Did you mean 'spread'"),
        ("bps:1+bps:2", r"`--slippage`: expected bps:N, spread, .*received 'bps:1\+bps:2'"),
        ("impact:", r"`--slippage`: expected a number from 0 to 100 after the colon, received 'impact:'"),
    ],
)
def test_slippage_that_cannot_be_raises(text, message):
    with pytest.raises(InputError, match=message):
        parse_slippage("--slippage", text)


def test_commission_with_a_misspelt_parameter_raises():
    with pytest.raises(InputError, match="unknown parameter of StockCommission 'modle'.*Did you mean 'model'"):
        StockCommission(modle=costs.tiered)


def test_commission_with_margin_or_leverage_raises():
    for settings in ({"margin": 1000.0}, {"leverage": 2.0}):
        with pytest.raises(InputError, match="commission of SafeBroker: expected one for stocks without margin"):
            SafeBroker().setcommission(commission=1.0, **settings)
    with pytest.raises(InputError, match="commission of SafeBroker: expected one for stocks without margin"):
        SafeBroker().addcommissioninfo(bt.CommInfoBase(leverage=3.0))


# ---------------------------------------------------------------------------------- what is carried


def test_borrow_fee_is_charged_per_calendar_day_on_the_close_before():
    """Short 10 at 50 from session 1 (a Friday); session 2 is a Monday: three days at 36.5 % a year."""
    broker = SafeBroker(cash=10_000.0, commission_bps=0, slippage_bps=0, allow_short=True, borrow_rate=0.365)
    seen = run({0: lambda s: s.sell(size=10)}, broker, X=stock(flat(50), (50, 52, 50, 52), flat(52)))
    assert seen.values[1:] == pytest.approx([10_000 - 20, 10_000 - 20 - 10 * 52 * 0.001 * 3])


@pytest.mark.parametrize(("size", "paid"), [(10, 15.0), (-10, -15.0)])
def test_dividend_is_paid_on_what_was_held_before_its_day_and_charged_to_shorts(size, paid):
    ex_date = float(bt.date2num(pd.Timestamp(DAYS[2]).to_pydatetime()))
    broker = SafeBroker(
        cash=10_000.0, commission_bps=0, slippage_bps=0, allow_short=True, dividends={"X": {ex_date: 1.5}}
    )

    def send(strategy):
        (strategy.buy if size > 0 else strategy.sell)(size=10)

    late = {0: send, 1: lambda s: s.buy(s.datas[1], size=10)}  # bought at the ex-date's open: nothing
    bars = stock(*[flat(50)] * 4)
    seen = run(late, broker, X=bars, Y=bars)
    assert seen.values == pytest.approx([10_000, 10_000, 10_000 + paid, 10_000 + paid])
