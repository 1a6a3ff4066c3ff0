"""What no panel and no orders may break: books that balance, fills inside bars, no future, no order of sending."""

from __future__ import annotations

import math
from dataclasses import dataclass

import backtrader as bt
import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzers.recorder import Recorder
from engine.broker import SafeBroker
from feeds.panel import PricePanel
from feeds.sessions import trading_sessions
from feeds.stock_feed import make_feeds

SESSIONS, TICKERS = 14, ("AA", "BB", "CC")
KINDS = (
    bt.Order.Market,
    bt.Order.Close,
    bt.Order.Limit,
    bt.Order.Stop,
    bt.Order.StopLimit,
    bt.Order.StopTrail,
)
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Sent:
    """One order of a made-up strategy: when, of what, how, and how far its price lies from the close."""

    session: int
    stock: int
    is_buy: bool
    kind: int
    size: int
    offset: float


orders = st.builds(
    Sent,
    session=st.integers(0, SESSIONS - 2),
    stock=st.integers(0, len(TICKERS) - 1),
    is_buy=st.booleans(),
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 60),
    offset=st.floats(-0.06, 0.06),
)
scripts = st.lists(orders, max_size=25)


def made_panel(seed: int) -> PricePanel:
    """Three stocks with gaps, halts, a late listing and a delisting."""
    rng = np.random.default_rng(seed)
    shape = (SESSIONS, len(TICKERS))
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.02, shape))
    high = np.maximum(open_, close) * (1 + rng.uniform(0, 0.02, shape))
    low = np.minimum(open_, close) * (1 - rng.uniform(0, 0.02, shape))
    volume = rng.integers(0, 3000, shape).astype(float)
    traded = rng.random(shape) > 0.12
    traded[:, 0] = True  # the market is open every day
    traded[: rng.integers(0, 6), 1] = False
    traded[rng.integers(8, SESSIONS + 1) :, 2] = False
    arrays = [np.where(traded, values, np.nan) for values in (open_, high, low, close, volume, np.ones(shape))]
    return PricePanel(trading_sessions("2020-01-02", "2020-12-31")[:SESSIONS], TICKERS, *arrays, "as_traded")


class Made(bt.Strategy):
    """Sends a list of orders, and checks the books on every session."""

    params = (("sent", ()),)

    def __init__(self):
        self.day = -1
        self.by_name = {data._name: data for data in self.datas}
        self.held: list[dict[str, float]] = []

    def prenext(self):
        self.next()

    def next(self):
        self.day += 1
        broker = self.broker
        worth = sum(position.size * data.close[0] for data, position in broker.positions.items())
        assert math.isclose(broker.getvalue(), broker.getcash() + worth, rel_tol=1e-12, abs_tol=1e-9)
        self.held.append({data._name: position.size for data, position in broker.positions.items()})
        for one in self.p.sent:
            data = self.by_name.get(TICKERS[one.stock])
            if one.session == self.day and data is not None:
                self.send(data, one)

    def send(self, data, one):
        close = data.close[0] if len(data) else 50.0
        price = close * (1 + one.offset)
        how = {"exectype": one.kind, "size": one.size, "reason": "mine"}
        if one.kind == bt.Order.StopTrail:
            how["trailpercent"] = abs(one.offset) + 0.001
        elif one.kind not in (bt.Order.Market, bt.Order.Close):
            how["price"] = price
        if one.kind == bt.Order.StopLimit:
            how["plimit"] = price * (1.01 if one.is_buy else 0.99)
        (self.buy if one.is_buy else self.sell)(data, **how)


def simulate(panel, sent, **parameters):
    account = {"cash": 8_000.0, "commission_bps": 0.0, "slippage_bps": 0.0, "halted_at_end": panel.halted_at_end}
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(**{**account, **parameters}))
    for feed in make_feeds(panel):
        cerebro.adddata(feed)
    cerebro.addstrategy(Made, sent=tuple(sent))
    cerebro.addanalyzer(Recorder, _name="recorder")
    strategy = cerebro.run()[0]
    return strategy, strategy.analyzers.recorder


def bar(panel, session, ticker):
    row, column = panel.sessions.get_loc(session), panel.tickers.index(ticker)
    return panel.low[row, column], panel.high[row, column], panel.volume[row, column]


class Fills(bt.Analyzer):
    """Every execution: session, ticker, shares, price."""

    def start(self):
        self.seen: list[tuple] = []
        self.counted: dict[int, int] = {}

    def notify_order(self, order):
        told = self.counted.get(order.ref, 0)
        for bit in list(order.executed.exbits)[told:]:
            day = pd.Timestamp(bt.num2date(bit.dt).date())
            created = pd.Timestamp(bt.num2date(order.created.dt).date())
            reason = order.info.get("reason")
            self.seen.append((day, created, order.data._name, bit.size, bit.price, reason))
        self.counted[order.ref] = len(order.executed.exbits)


def executions(panel, sent, **parameters):
    account = {"cash": 8_000.0, "commission_bps": 0.0, "slippage_bps": 0.0, "halted_at_end": panel.halted_at_end}
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(SafeBroker(**{**account, **parameters}))
    for feed in make_feeds(panel):
        cerebro.adddata(feed)
    cerebro.addstrategy(Made, sent=tuple(sent))
    cerebro.addanalyzer(Fills, _name="fills")
    return cerebro.run()[0].analyzers.fills.seen


@SETTINGS
@given(st.integers(0, 10_000), scripts)
def test_fills_come_after_their_orders_inside_their_bars_and_within_the_volume(seed, sent):
    panel = made_panel(seed)
    used: dict[tuple, float] = {}
    for day, created, ticker, size, price, reason in executions(panel, sent):
        if reason == "delisted":
            continue
        low, high, volume = bar(panel, day, ticker)
        assert day > created
        assert low - 1e-9 <= price <= high + 1e-9
        used[day, ticker] = used.get((day, ticker), 0.0) + abs(size)
        assert used[day, ticker] <= 0.025 * volume + 1e-9


@SETTINGS
@given(st.integers(0, 10_000), scripts, st.sampled_from([0.0, 20.0]))
def test_account_stays_long_and_cash_stays_positive(seed, sent, slippage_bps):
    strategy, recorder = simulate(made_panel(seed), sent, slippage_bps=slippage_bps, commission_bps=5.0)
    assert all(size > 0 for held in strategy.held for size in held.values())
    assert (recorder.equity["cash"] > -1e-9).all()


@SETTINGS
@given(st.integers(0, 10_000), scripts)
def test_every_order_that_was_sent_has_a_fate(seed, sent):
    panel = made_panel(seed)
    strategy, recorder = simulate(panel, sent)
    own = recorder.orders[recorder.orders["reason"].str.startswith("mine")]
    assert len(own) == sum(TICKERS[one.stock] in strategy.by_name for one in sent)
    assert (own["filled"] <= own["size"]).all()
    short = own[(own["filled"] < own["size"]) & (own["status"] == "Completed")]
    assert short["note"].str.contains("resized from").all()


@SETTINGS
@given(st.integers(0, 10_000), scripts, st.randoms(use_true_random=False))
def test_order_of_sending_does_not_matter_where_cash_and_holdings_suffice(seed, sent, random):
    """One order per stock and session, so that only the order among stocks changes."""
    unique = list({(one.session, one.stock): one for one in sent}.values())
    shuffled = unique.copy()
    random.shuffle(shuffled)
    panel = made_panel(seed)
    first, second = (sorted(executions(panel, s, cash=1e9, allow_short=True), key=str) for s in (unique, shuffled))
    assert first == second


@SETTINGS
@given(st.integers(0, 10_000), scripts, st.integers(4, SESSIONS - 2))
def test_run_that_is_cut_short_is_the_beginning_of_the_whole_run(seed, sent, last):
    panel = made_panel(seed)
    cut = panel.until(panel.sessions[last])
    whole, part = (simulate(p, sent)[1].equity for p in (panel, cut))
    pd.testing.assert_frame_equal(whole.iloc[: last + 1], part)
    known = [fill for fill in executions(panel, sent) if fill[0] <= panel.sessions[last]]
    # News of the last session's fills has not been told yet.
    told = [fill for fill in executions(cut, sent) if fill[0] <= panel.sessions[last]]
    assert told == known[: len(told)]
    assert all(fill[0] == panel.sessions[last] for fill in known[len(told) :])


@SETTINGS
@given(st.integers(0, 10_000), scripts, st.integers(4, SESSIONS - 2))
def test_bars_that_come_later_change_nothing_before_them(seed, sent, last):
    panel, other = made_panel(seed), made_panel(seed)
    for name in ("open", "high", "low", "close"):
        getattr(other, name)[last + 1 :] *= 3.0
    first, second = (simulate(p, sent)[1].equity.iloc[: last + 1] for p in (panel, other))
    pd.testing.assert_frame_equal(first, second)
