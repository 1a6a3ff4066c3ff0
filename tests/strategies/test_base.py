from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cerebro import BacktestResult, run_backtest
from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.sessions import trading_sessions
from feeds.stock_feed import make_feeds
from strategies.base import MISSED, SwingStrategy
from tests.contracts import RUN_MODES

Row = tuple[float, float, float, float] | None
NAN_ROW = (math.nan,) * 4


def panel_of(**stocks: list[Row]) -> PricePanel:
    """A panel of (open, high, low, close) rows; None is a session without a bar."""
    rows = max(map(len, stocks.values()))
    filled = [[*stock, *[None] * (rows - len(stock))] for stock in stocks.values()]
    prices = np.array([[row or NAN_ROW for row in stock] for stock in filled], dtype=float).transpose(2, 1, 0)
    one = np.where(np.isnan(prices[3]), np.nan, 1.0)
    sessions = trading_sessions("2020-01-02", "2021-12-31")[:rows]
    return PricePanel(sessions, tuple(stocks), *prices, volume=1e6 * one, adjust=one, price_basis="as_traded")


def flat(price: float, count: int = 1) -> list[Row]:
    return [(price, price, price, price)] * count


class Scripted(SwingStrategy):
    """Enters and leaves on the bars of a stock that a test names, with a stop 5 USD below."""

    params = (("enter", {}), ("leave", {}), ("fixed_size", 10), ("fixed_stop", 5.0))

    def __init__(self, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.asked: list[tuple[str, int, float]] = []
        self.sizes: list[tuple[float, float]] = []

    def entry_signal(self, data):
        self.asked.append((data._name, len(data), data.close[0]))
        return len(data) in self.p.enter.get(data._name, ())

    def exit_signal(self, data):
        return "score" if len(data) in self.p.leave.get(data._name, ()) else None

    def stop_price(self, data):
        return None if self.p.fixed_stop is None else data.close[0] - self.p.fixed_stop

    def position_size(self, data, equity, stop_distance, scale):
        self.sizes.append((stop_distance, scale))
        return self.p.fixed_size or super().position_size(data, equity, stop_distance, scale)


FREE = {"commission_bps": 0.0, "slippage_bps": 0.0}


def run(panel: PricePanel, strategy: type[bt.Strategy] = Scripted, **params: Any) -> BacktestResult:
    account = {name: params.pop(name) for name in ("cash", "from_session", "preload", "runonce") if name in params}
    return run_backtest(panel, strategy=strategy, params={"max_holding_bars": 99, **params}, **FREE, **account)


def trades(result: BacktestResult, panel: PricePanel) -> list[tuple]:
    rows = {session: k for k, session in enumerate(panel.sessions)}
    table = result.trades[["ticker", "entry_session", "exit_session", "entry_price", "exit_price", "exit_reason"]]
    return [(t, rows[i], rows.get(o), ip, op, why) for t, i, o, ip, op, why in table.itertuples(index=False)]


def fates(result: BacktestResult) -> list[tuple]:
    return list(result.orders[["ticker", "side", "status", "reason"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("mode", RUN_MODES)
def test_late_listing_does_not_silence_the_strategy(mode):
    panel = panel_of(OLD=flat(50, 30), YOUNG=[*[None] * 25, *flat(20, 5)])
    result = run(panel, enter={"OLD": [2]}, leave={"OLD": [6]}, preload=mode[0], runonce=mode[1])
    assert trades(result, panel) == [("OLD", 2, 6, 50, 50, "score")]


def test_late_listing_silences_a_stock_backtrader_strategy():
    calls = []

    class Plain(bt.Strategy):
        def next(self):
            calls.append(len(self.datas[1]))

    run_backtest(panel_of(OLD=flat(50, 30), YOUNG=[*[None] * 25, *flat(20, 5)]), strategy=Plain)
    assert calls == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("mode", RUN_MODES)
def test_questions_are_asked_of_stocks_with_a_bar_in_this_session_only(mode):
    asked = []

    class Curious(Scripted):
        def stop(self):
            asked.extend(self.asked)

    prices = {"GONE": [1, 2, 3], "HALT": [4, 5, None, 7, 8], "LATE": [None, None, None, 9, 10]}
    panel = panel_of(**{name: [p and (p, p, p, p) for p in series] for name, series in prices.items()})
    run(panel, Curious, preload=mode[0], runonce=mode[1])
    expected = [
        (name, [p for p in series[: t + 1] if p])
        for t in range(5)
        for name, series in prices.items()
        if series[t : t + 1] and series[t]
    ]
    assert asked == [(name, len(seen), seen[-1]) for name, seen in expected]


def test_nothing_is_decided_before_from_session():
    panel = panel_of(A=flat(50, 10))
    result = run(panel, enter={"A": [2, 5]}, leave={"A": [8]}, from_session=panel.sessions[4])
    assert trades(result, panel) == [("A", 5, 8, 50, 50, "score")]


def test_from_session_that_is_no_date_raises():
    with pytest.raises(InputError, match="`from_session`: expected a date such as 2015-01-02, received 'soon'"):
        run(panel_of(A=flat(50, 3)), from_session="soon")


def test_entry_fills_at_the_next_open_and_its_stop_rests_from_the_bar_after():
    bars = [*flat(50, 2), (51, 52, 30, 50), (50, 51, 46.1, 50), (50, 51, 45.9, 48), *flat(48, 2)]
    panel = panel_of(A=bars)
    # Filled at 51, the stop is at 46: the entry bar's low of 30 does not count.
    assert trades(run(panel, enter={"A": [2]}), panel) == [("A", 2, 4, 51, 46, "stop")]


def test_stop_fills_at_the_open_when_the_open_is_beyond_it():
    panel = panel_of(A=[*flat(50, 3), (40, 41, 39, 40), *flat(40, 2)])
    assert trades(run(panel, enter={"A": [2]}), panel) == [("A", 2, 3, 50, 40, "stop")]


def test_stop_does_not_move_with_a_halted_day():
    panel = panel_of(A=[*flat(50, 3), None, (44, 46, 43, 45), *flat(45, 2)], CLOCK=flat(1, 7))
    assert trades(run(panel, enter={"A": [2]}), panel) == [("A", 2, 4, 50, 44, "stop")]


@pytest.mark.parametrize("mode", RUN_MODES)
def test_signal_exit_and_stop_in_one_session_sell_once(mode):
    bars = [*flat(50, 4), (50, 51, 40, 41), *flat(41, 3)]
    panel = panel_of(A=bars)
    result = run(panel, enter={"A": [2]}, leave={"A": [4]}, preload=mode[0], runonce=mode[1])
    assert trades(result, panel) == [("A", 2, 4, 50, 50, "score")]
    assert fates(result)[1:] == [("A", "sell", "Canceled", "stop"), ("A", "sell", "Completed", "score")]


def test_exit_on_the_entry_bar_sells_once_under_backtraders_own_broker_too():
    sizes = []

    class Watched(Scripted):
        def decide(self):
            super().decide()
            sizes.append(self.getposition(self.data).size)

    cerebro = bt.Cerebro(stdstats=False)
    for feed in make_feeds(panel_of(A=[*flat(50, 3), (50, 51, 49, 50), (50, 51, 40, 41), *flat(41, 3)])):
        cerebro.adddata(feed)
    cerebro.addstrategy(Watched, enter={"A": [2]}, leave={"A": [3]})
    cerebro.run()
    assert sizes == [0, 0, 10, 0, 0, 0, 0, 0]


def test_stop_hit_on_the_session_of_the_exit_signal_leaves_nothing_to_sell():
    panel = panel_of(A=[*flat(50, 3), (50, 51, 40, 41), *flat(41, 3)])
    result = run(panel, enter={"A": [2]}, leave={"A": [4]})
    assert trades(result, panel) == [("A", 2, 3, 50, 45, "stop")]
    assert len(result.orders) == 2


@pytest.mark.parametrize(("bars", "exits"), [(1, 3), (5, 7)])
def test_time_exit_holds_from_open_to_open_for_so_many_bars(bars, exits):
    panel = panel_of(A=[(50 + k, 51 + k, 49 + k, 50 + k) for k in range(12)])
    # Decided on row 1, bought at the open of row 2, sold at the open of row 2 + bars.
    result = run(panel, enter={"A": [2]}, max_holding_bars=bars)
    assert trades(result, panel) == [("A", 2, exits, 52, 50 + exits, "time")]


def test_time_exit_counts_bars_of_the_stock():
    panel = panel_of(A=[*flat(50, 4), None, None, *flat(50, 6)], CLOCK=flat(1, 12))
    assert trades(run(panel, enter={"A": [2]}, max_holding_bars=4), panel) == [("A", 2, 8, 50, 50, "time")]


def test_entry_without_a_bar_at_the_next_open_is_cancelled_and_said():
    panel = panel_of(A=[*flat(50, 2), None, *flat(60, 5)], CLOCK=flat(1, 8))
    result = run(panel, enter={"A": [2, 4]})
    assert fates(result)[0] == ("A", "buy", "Canceled", "signal: no bar at the next open")
    assert trades(result, panel) == [("A", 5, None, 60, 60, "open at end")]


def test_exit_of_a_halted_stock_waits_for_its_next_open():
    panel = panel_of(A=[*flat(50, 4), None, (47, 48, 46, 47), *flat(47, 2)], CLOCK=flat(1, 8))
    assert trades(run(panel, enter={"A": [2]}, leave={"A": [4]}), panel) == [("A", 2, 5, 50, 47, "score")]


def test_delisted_position_is_closed_and_forgotten():
    panel = panel_of(A=[*flat(50, 3), (49, 50, 48, 49)], CLOCK=flat(1, 8))
    result = run(panel, enter={"A": [2]})
    assert trades(result, panel) == [("A", 2, 4, 50, 49, "delisted")]
    assert fates(result)[1:] == [("A", "sell", "Canceled", "stop: delisted"), ("A", "sell", "Completed", "delisted")]


def test_exit_sent_before_delisting_is_cancelled_and_the_position_closed_once():
    panel = panel_of(A=[*flat(50, 3), (49, 50, 48, 49)], CLOCK=flat(1, 8))
    result = run(panel, enter={"A": [2]}, leave={"A": [4]})
    assert fates(result)[2:] == [
        ("A", "sell", "Canceled", "score: delisted"),
        ("A", "sell", "Completed", "delisted"),
    ]


def test_entry_that_cannot_be_paid_is_reported_and_may_be_tried_again():
    panel = panel_of(A=[*flat(50, 2), (1001, 1001, 70, 70), *flat(70, 5)])  # not one share can be paid
    result = run(panel, enter={"A": [2, 4]}, cash=1000.0, fixed_size=18, cash_buffer_frac=0.0)
    assert [fate[2] for fate in fates(result)[:2]] == ["Margin", "Completed"]
    assert result.trades["size"].tolist() == [14]  # all of 1,000 USD at 70


def test_candidates_are_ranked_and_the_ticker_decides_a_tie():
    class Ranked(Scripted):
        def rank(self, data):
            return {"A": 1.0, "B": math.nan, "C": 2.0, "D": 1.0}[data._name]

    panel = panel_of(**{name: flat(50, 6) for name in "ABCD"})
    result = run(panel, Ranked, enter={name: [2] for name in "ABCD"}, max_positions=3)
    assert [fate[0] for fate in fates(result) if fate[1] == "buy"] == ["C", "A", "D"]


def test_place_that_an_exit_frees_is_taken_at_the_same_open():
    panel = panel_of(A=flat(50, 9), B=flat(50, 9))
    result = run(panel, enter={"A": [2], "B": [3, 5]}, leave={"A": [5]}, max_positions=1)
    assert trades(result, panel) == [("A", 2, 5, 50, 50, "score"), ("B", 5, None, 50, 50, "open at end")]


def test_entries_leave_the_cash_buffer():
    panel = panel_of(A=flat(50, 5), B=flat(50, 5))
    result = run(panel, enter={"A": [2], "B": [2]}, cash=1000.0, fixed_size=15, cash_buffer_frac=0.1)
    assert result.trades["size"].tolist() == [15, 3]  # 900 USD: 750 and 150


def test_size_is_what_loses_the_risk_at_the_stop():
    panel = panel_of(A=flat(50, 5))
    result = run(panel, enter={"A": [2]}, fixed_size=None, risk_per_trade_frac=0.004, max_weight_frac=1.0)
    assert result.trades["size"].tolist() == [80]  # 400 USD of 100,000 over 5 USD a share


def test_size_without_a_stop_is_the_weight():
    panel = panel_of(A=flat(50, 5))
    result = run(panel, enter={"A": [2]}, fixed_size=None, fixed_stop=None, max_weight_frac=0.1)
    assert result.trades["size"].tolist() == [200]
    assert result.orders["order_type"].tolist() == ["Market"]


def test_stop_above_the_price_buys_nothing():
    assert len(run(panel_of(A=flat(50, 5)), enter={"A": [2]}, fixed_stop=-1.0, fixed_size=None).orders) == 0


def swinging(count: int, step: float) -> list[Row]:
    """Closes that go up and down by `step`, and a stock worth 100 at the odd ones."""
    return [(p, p, p, p) for p in (100 * (1 + step * (k % 2)) for k in range(count))]


def test_volatile_market_shrinks_entries_and_exposure():
    sizes = {}
    for step in (0.001, 0.05):
        panel = panel_of(A=swinging(40, step), B=swinging(40, step))
        result = run(panel, enter={"A": [31]}, fixed_size=None, fixed_stop=None, max_weight_frac=0.5)
        sizes[step] = result.trades["size"].iloc[0]
    returns = pd.Series([row[3] for row in swinging(31, 0.05)]).pct_change().iloc[-21:]
    scale = 0.20 / (returns.std() * math.sqrt(252))
    assert sizes[0.001] == 500
    assert sizes[0.05] == math.floor(scale * 500) < 300


def test_deep_drawdown_halts_entries_until_the_cool_down_is_over():
    crash = [*flat(100, 4), *flat(40, 20)]
    panel = panel_of(A=crash, B=flat(50, 24))
    every = list(range(1, 25))
    setting = {"enter": {"A": [2], "B": every[5:]}, "fixed_stop": None, "cool_down_sessions": 6}
    halted = run(panel, **setting, fixed_size=500, max_drawdown_frac=0.25, cash=100_000.0)
    free = run(panel, **setting, fixed_size=500, max_drawdown_frac=0.4, cash=100_000.0)
    first = {
        name: r.orders.loc[r.orders["ticker"] == "B", "created_session"].min()
        for name, r in (("h", halted), ("f", free))
    }
    # The crash is seen on row 4; sessions 4 to 9 are halted, row 10 counts afresh.
    assert first == {"h": panel.sessions[10], "f": panel.sessions[5]}


@pytest.mark.parametrize("answer", [0.5, math.nan, 1])
def test_answer_that_is_no_signal_raises(answer):
    class Wrong(Scripted):
        def entry_signal(self, data):
            return answer

    with pytest.raises(
        InputError, match=r"Wrong.entry_signal: expected True, False, None or a reason, received .*compare"
    ):
        run(panel_of(A=flat(50, 3)), Wrong)


def test_numpy_truth_is_a_signal():
    class Numpy(Scripted):
        def entry_signal(self, data):
            return np.bool_(len(data) == 2)

    panel = panel_of(A=flat(50, 5))
    assert run(panel, Numpy).trades["entry_reason"].tolist() == ["signal"]


def test_strategy_without_an_entry_signal_names_the_method():
    class Silent(SwingStrategy):
        pass

    with pytest.raises(NotImplementedError, match="Silent.entry_signal"):
        run(panel_of(A=flat(50, 3)), Silent)


def test_strategy_may_have_indicators_of_backtrader_and_hear_of_orders():
    heard = []

    class Breakout(SwingStrategy):
        params = (("period", 3),)

        def indicators(self, data):
            return {"high": bt.ind.Highest(data.close, period=self.p.period)}

        def entry_signal(self, data):
            return data.close[0] >= self.indicator(data, "high")[0]

        def stop_price(self, data):
            return None

        def on_order(self, order):
            heard.append(order.getstatusname())

    rising = [(k, k, k, k) for k in range(10, 20)]
    panel = panel_of(A=rising, LATE=[*[None] * 6, *rising[:4]])
    result = run(panel, Breakout)
    assert [row[:2] for row in trades(result, panel)] == [("A", 3), ("LATE", 9)]
    assert heard == ["Accepted", "Completed"] * 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), exits=st.floats(0.0, 0.6), stop=st.sampled_from([0.5, 2.0, None]))
def test_positions_never_go_short_and_cash_and_positions_make_the_value(make_panel, seed, exits, stop):
    rng = np.random.default_rng(seed)
    halts = {column: rng.choice(60, 8, replace=False).tolist() for column in range(3)}
    panel = make_panel(sessions=60, tickers=5, seed=seed, late={0: 12}, ends={1: 40}, halts=halts)
    chances = rng.random((2, 61, 5))

    class Watched(Scripted):
        def entry_signal(self, data):
            return bool(chances[0, len(data), int(data._name[1:])] < 0.4)

        def exit_signal(self, data):
            return bool(chances[1, len(data), int(data._name[1:])] < exits)

        def decide(self):
            super().decide()
            sizes = [self.getposition(data).size for data in self.datas]
            assert min(sizes) >= 0
            assert self.broker.getcash() >= 0
            value = sum(size * data.close[0] for size, data in zip(sizes, self.datas, strict=True) if size)
            assert self.broker.getvalue() == pytest.approx(self.broker.getcash() + value)

    result = run(panel, Watched, fixed_stop=stop, fixed_size=None, max_holding_bars=6, max_positions=3)
    held = result.trades["exit_session"].isna()
    assert set(result.trades.loc[~held, "exit_reason"]) <= {"signal", "stop", "time", "delisted"}
    check_fills(result, panel)


def check_fills(result: BacktestResult, panel: PricePanel) -> None:
    """Every fill is on a bar of its stock after the order, at a price of that bar (or the delisting's)."""
    done = result.orders[result.orders["status"] == "Completed"]
    for row in done.itertuples():
        assert row.executed_session > row.created_session or row.reason == "delisted"
        k, j = panel.sessions.get_loc(row.executed_session), panel.tickers.index(row.ticker)
        if row.reason == "delisted":
            assert not panel.traded[k, j]
            assert row.executed_price == pytest.approx(panel.close[panel.last_rows[j], j])
        else:
            assert panel.low[k, j] - 1e-9 <= row.executed_price <= panel.high[k, j] + 1e-9
            if row.order_type == "Market":
                assert row.executed_price == pytest.approx(panel.open[k, j], rel=1e-12)


def test_entries_of_one_sector_stay_within_its_limit_and_other_stocks_do_not_care():
    panel = panel_of(AAA=flat(10, 4), BBB=flat(10, 4), CCC=flat(10, 4), DDD=flat(10, 4), EEE=flat(10, 4))
    sectors = {"AAA": "energy", "BBB": "energy", "CCC": "energy", "DDD": "health"}
    every = {ticker: [1] for ticker in panel.tickers}
    result = run(panel, cash=1000, enter=every, fixed_size=15, sectors=sectors, max_sector_frac=0.2)
    sizes = dict(zip(result.trades["ticker"], result.trades["size"], strict=True))
    assert sizes == {"AAA": 15, "BBB": 5, "DDD": 15, "EEE": 15}


def thin(panel: PricePanel, volume: float) -> PricePanel:
    return replace(panel, volume=np.where(np.isnan(panel.close), np.nan, volume))


def test_entry_in_parts_is_protected_from_its_first_part_on():
    """A volume of 400 lets 10 of 25 shares in a session; the open at 44 is under the stop at 45.

    The stop sells 10 of the 20 bought so far, 10 the day after, and the entry's last 5 are given up.
    """
    panel = thin(panel_of(A=[*flat(50, 2), *flat(50, 2), (44, 44, 44, 44), *flat(44, 4)]), 400.0)
    result = run(panel, enter={"A": [2]}, fixed_size=25)
    assert result.orders[["side", "size", "filled", "status"]].to_numpy().tolist() == [
        ["buy", 25.0, 20.0, "Canceled"],
        ["sell", 10.0, 0.0, "Canceled"],
        ["sell", 20.0, 20.0, "Completed"],
    ]
    assert result.trades[["size", "exit_price", "exit_reason"]].to_numpy().tolist() == [[20.0, 44.0, "stop"]]


def test_exit_gives_up_what_its_entry_still_waits_for():
    panel = thin(panel_of(A=flat(50, 10)), 400.0)
    result = run(panel, enter={"A": [2]}, leave={"A": [3]}, fixed_size=25)
    entry, *_ = result.orders[["size", "filled", "status"]].to_numpy().tolist()
    assert entry == [25.0, 10.0, "Canceled"]
    assert result.trades[["size", "exit_reason"]].to_numpy().tolist() == [[10.0, "score"]]


def test_halt_ends_an_entry_in_parts_and_keeps_what_was_bought():
    panel = thin(panel_of(A=[*flat(50, 3), None, *flat(50, 4)], CLOCK=flat(1, 8)), 400.0)
    result = run(panel, enter={"A": [2]}, fixed_size=25)
    entry = result.orders.iloc[0]
    assert (entry["filled"], entry["status"], entry["reason"]) == (10, "Canceled", f"signal: {MISSED}")
    assert result.trades[["ticker", "size", "exit_reason"]].to_numpy().tolist() == [["A", 10.0, "open at end"]]


def test_shares_that_an_entry_waits_for_take_room_from_others():
    panel = thin(panel_of(A=flat(50, 6), B=flat(50, 6)), 400.0)
    params = {"cash": 2500.0, "cash_buffer_frac": 0.0, "max_weight_frac": 1.0, "fixed_stop": None}
    result = run(panel, enter={"A": [2], "B": [3]}, fixed_size=40, **params)
    bought = result.orders[result.orders["side"] == "buy"][["ticker", "size"]].to_numpy().tolist()
    assert bought == [["A", 40.0], ["B", 10.0]]
