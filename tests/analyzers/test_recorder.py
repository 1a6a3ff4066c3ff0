from __future__ import annotations

import pickle

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from analyzers.recorder import EQUITY_COLUMNS, ORDER_COLUMNS, PENDING_AT_END, Recorder
from engine.broker import SafeBroker
from feeds.sessions import trading_sessions

SESSIONS = trading_sessions("2020-01-02", "2020-12-31")


class AdjustedFeed(bt.feeds.PandasData):
    lines = ("adjust",)
    params = (("adjust", "adjust"),)


def bars(closes: list[float], first: int = 0, **columns: list[float]) -> pd.DataFrame:
    """Bars that open at the close before; `first` is the session row of the first bar."""
    close = np.asarray(closes, dtype=float)
    open_ = np.concatenate([close[:1], close[:-1]])
    frame = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    index = SESSIONS[first : first + len(close)]
    return pd.DataFrame({**frame, "volume": 1e6, "openinterest": 0, **columns}, index=index)


class Scripted(bt.Strategy):
    """Sends the orders of `script`: {bar number of the strategy: [(method, feed, keywords)]}."""

    params = (("script", None),)

    def prenext(self):
        self.next()

    def next(self):
        for method, feed, keywords in self.p.script.get(len(self), []):
            getattr(self, method)(data=self.getdatabyname(feed), **keywords)


def run(script, cash=1000.0, commission=0.0, feed_class=bt.feeds.PandasData, modes=None, **frames):
    cerebro = bt.Cerebro(stdstats=False, **(modes or {}))
    for name, frame in frames.items():
        cerebro.adddata(feed_class(dataname=frame, name=name))
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=commission)
    cerebro.addstrategy(Scripted, script=script)
    cerebro.addanalyzer(Recorder, _name="recorder")
    return cerebro.run()[0].analyzers.recorder


BUY_AND_SELL = {
    1: [("buy", "AAA", {"size": 10, "reason": "score 0.0123", "score": 0.0123})],
    3: [("sell", "AAA", {"size": 10, "reason": "time"})],
}


def test_recorder_equity_gives_hand_computed_value_exposure_and_drawdown():
    recorder = run(BUY_AND_SELL, AAA=bars([10, 20, 15, 12, 12]))
    equity = recorder.equity
    # Bought at the second open (10), sold at the fourth open (15).
    assert equity["value"].tolist() == [1000, 1100, 1050, 1050, 1050]
    assert equity["cash"].tolist() == [1000, 900, 900, 1050, 1050]
    assert equity["exposure"].tolist() == pytest.approx([0, 200 / 1100, 150 / 1050, 0, 0])
    assert equity["drawdown"].tolist() == pytest.approx([0, 0, -50 / 1100, -50 / 1100, -50 / 1100])
    assert equity.index.equals(SESSIONS[:5])
    assert tuple(equity.columns) == EQUITY_COLUMNS


def test_recorder_exposure_is_of_the_strategys_own_orders():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars([10, 20, 15, 12, 12]), name="AAA"))
    cerebro.broker.setcash(1000.0)
    cerebro.addstrategy(Scripted, script=BUY_AND_SELL)
    cerebro.addstrategy(Scripted, script={1: [("buy", "AAA", {"size": 20})]})
    cerebro.addanalyzer(Recorder, _name="recorder")
    one, other = (strategy.analyzers.recorder.equity for strategy in cerebro.run())
    # Both see the account, 30 shares bought at 10: worth 1300 at the close of 20.
    assert one["value"].tolist() == other["value"].tolist() == [1000, 1300, 1150, 1090, 1090]
    assert one["exposure"].tolist() == pytest.approx([0, 200 / 1300, 150 / 1150, 0, 0])
    assert other["exposure"].tolist() == pytest.approx([0, 400 / 1300, 300 / 1150, 240 / 1090, 240 / 1090])


def test_recorder_trade_carries_dates_prices_and_reasons():
    trade = run(BUY_AND_SELL, commission=0.01, AAA=bars([10, 20, 15, 12, 12])).trades.iloc[0]
    assert (trade["ticker"], trade["entry_session"], trade["exit_session"]) == ("AAA", SESSIONS[1], SESSIONS[3])
    assert (trade["entry_reason"], trade["exit_reason"], trade["entry_score"]) == ("score 0.0123", "time", 0.0123)
    assert (trade["pnl"], trade["bars_held"]) == (50, 2)
    assert trade["pnl_net"] == pytest.approx(50 - 1.0 - 1.5)


def test_recorder_orders_carry_fate_and_money():
    orders = run(BUY_AND_SELL, commission=0.01, AAA=bars([10, 20, 15, 12, 12])).orders
    assert tuple(orders.columns) == ORDER_COLUMNS
    first = orders.iloc[0]
    assert (first["ref"], first["side"], first["order_type"], first["size"]) == (1, "buy", "Market", 10)
    assert (first["created_session"], first["executed_session"]) == (SESSIONS[0], SESSIONS[1])
    assert (first["executed_price"], first["value"], first["commission"]) == (10, 100, 1.0)
    assert orders["value"].tolist() == [100, 150]  # the sale's own money, not what the shares had cost
    assert orders["status"].tolist() == ["Completed", "Completed"]


def test_recorder_refs_count_from_one_in_every_run():
    for _ in range(2):
        assert run(BUY_AND_SELL, AAA=bars([10, 20, 15, 12, 12])).orders["ref"].tolist() == [1, 2]


def test_recorder_every_fate_of_an_order_is_told():
    script = {
        1: [
            ("buy", "AAA", {"size": 1, "exectype": bt.Order.Limit, "price": 1.0, "valid": SESSIONS[2].to_pydatetime()}),
            ("buy", "AAA", {"size": 1, "exectype": bt.Order.Stop, "price": 99.0, "reason": "breakout"}),
        ],
        2: [("buy", "AAA", {"size": 1000})],  # 10,000 USD with 1,000 in cash
        5: [("buy", "AAA", {"size": 2})],  # the last session: backtrader tells nobody
    }
    orders = run(script, AAA=bars([10, 10, 10, 10, 10])).orders
    assert orders["status"].tolist() == ["Expired", PENDING_AT_END, "Margin", PENDING_AT_END]
    assert orders["executed_price"].isna().all()
    assert orders["created_session"].tolist() == [SESSIONS[0], SESSIONS[0], SESSIONS[1], SESSIONS[4]]
    assert orders["created_price"].tolist() == [1, 99, 10, 10]
    assert orders["reason"].tolist() == ["", "breakout", "", ""]


def test_recorder_cancelled_order_is_told():
    class Cancels(bt.Strategy):
        def next(self):
            if len(self) == 1:
                self.order = self.buy(exectype=bt.Order.Limit, price=1.0)
            if len(self) == 3:
                self.cancel(self.order)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars([10] * 6), name="AAA"))
    cerebro.addstrategy(Cancels)
    cerebro.addanalyzer(Recorder, _name="recorder")
    assert cerebro.run()[0].analyzers.recorder.orders["status"].tolist() == ["Canceled"]


def test_recorder_late_listing_has_one_row_per_session_from_the_first():
    recorder = run(BUY_AND_SELL, AAA=bars([10, 20, 15, 12, 12]), BBB=bars([5, 5], first=3))
    assert recorder.equity.index.equals(SESSIONS[:5])
    assert recorder.equity["value"].iloc[1] == 1100


def test_recorder_delisted_position_stays_at_its_last_close_and_is_open_at_end():
    script = {1: [("buy", "BBB", {"size": 10})]}
    recorder = run(script, AAA=bars([10] * 6), BBB=bars([10, 12, 8]))
    trade = recorder.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"], trade["bars_held"]) == ("open at end", 8, 1)
    assert recorder.equity["exposure"].iloc[-1] == pytest.approx(80 / 980)


def test_recorder_order_on_a_halted_stock_is_dated_by_the_decision():
    halted = bars([10] * 6).drop(SESSIONS[2])
    orders = run({3: [("buy", "BBB", {"size": 1})]}, AAA=bars([10] * 6), BBB=halted).orders
    assert orders["created_session"].item() == SESSIONS[2]
    assert orders["executed_session"].item() == SESSIONS[3]


def test_recorder_order_on_a_stock_not_yet_listed_is_dated_by_the_decision():
    orders = run({2: [("buy", "BBB", {"size": 1})]}, AAA=bars([10] * 6), BBB=bars([10, 10], first=4)).orders
    assert orders["created_session"].item() == SESSIONS[1]


def test_recorder_sale_by_the_broker_at_a_delisting_ends_the_trade():
    cerebro = bt.Cerebro(stdstats=False)
    for name, frame in {"AAA": bars([10] * 6), "BBB": bars([10, 12, 8])}.items():
        cerebro.adddata(bt.feeds.PandasData(dataname=frame, name=name))
    cerebro.setbroker(SafeBroker(cash=1000.0, commission_bps=0.0, slippage_bps=0.0))
    cerebro.addstrategy(Scripted, script={1: [("buy", "BBB", {"size": 10})]})
    cerebro.addanalyzer(Recorder, _name="recorder")
    recorder = cerebro.run()[0].analyzers.recorder
    trade = recorder.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"], trade["exit_session"]) == ("delisted", 8, SESSIONS[3])
    assert trade["bars_held"] == 1
    assert recorder.equity["exposure"].iloc[3] == 0


def test_recorder_adjust_line_gives_source_prices_of_the_fill_bar():
    frame = bars([10, 20, 15, 12, 12], adjust=[1.0, 2.0, 2.0, 3.0, 3.0])
    recorder = run(BUY_AND_SELL, feed_class=AdjustedFeed, AAA=frame)
    assert recorder.orders["executed_price_source"].tolist() == [10 / 2, 15 / 3]
    assert recorder.trades["entry_price_source"].item() == 5
    assert recorder.trades["exit_price_source"].item() == 5


def test_recorder_cheat_on_close_fill_uses_the_bar_it_is_dated():
    frame = bars([10, 20, 15, 12, 12], adjust=[1.0, 2.0, 4.0, 5.0, 5.0])
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(AdjustedFeed(dataname=frame, name="AAA"))
    cerebro.broker.set_coc(True)
    cerebro.addstrategy(Scripted, script=BUY_AND_SELL)
    cerebro.addanalyzer(Recorder, _name="recorder")
    trade = cerebro.run()[0].analyzers.recorder.trades.iloc[0]
    assert (trade["entry_session"], trade["entry_price"], trade["entry_price_source"]) == (SESSIONS[0], 10, 10)
    assert (trade["exit_price"], trade["exit_price_source"], trade["bars_held"]) == (15, 15 / 4, 2)


def test_recorder_partial_fills_are_one_order_and_one_trade():
    cerebro = bt.Cerebro(stdstats=False)
    frame = bars([10, 12, 14, 16, 16, 16]).assign(volume=4)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame, name="AAA"))
    cerebro.broker.set_filler(bt.fillers.FixedBarPerc(perc=100.0))
    cerebro.broker.setcash(1000.0)
    cerebro.addstrategy(Scripted, script={1: [("buy", "AAA", {"size": 10})]})
    cerebro.addanalyzer(Recorder, _name="recorder")
    recorder = cerebro.run()[0].analyzers.recorder
    # 4 at 10, 4 at 12, 2 at 14
    assert recorder.orders["executed_price"].item() == pytest.approx(11.6)
    assert recorder.orders["executed_session"].item() == SESSIONS[3]
    assert (recorder.trades["size"].item(), recorder.trades["entry_session"].item()) == (10, SESSIONS[1])


@pytest.mark.parametrize("modes", [{}, {"runonce": False}, {"preload": False, "runonce": False}, {"quicknotify": True}])
def test_recorder_run_modes_agree(modes):
    frames = {"AAA": bars([10, 20, 15, 12, 12, 13]), "BBB": bars([5, 6, 7], first=3)}
    script = {**BUY_AND_SELL, 4: [("buy", "BBB", {"size": 3})], 6: [("sell", "BBB", {"size": 3})]}
    expected, received = run(script, **frames), run(script, modes=modes, **frames)
    for name in ("equity", "orders", "trades"):
        pd.testing.assert_frame_equal(getattr(expected, name), getattr(received, name))


def test_recorder_strategy_that_does_nothing_gives_empty_tables_with_their_columns():
    recorder = run({}, AAA=bars([10] * 3))
    assert tuple(recorder.orders.columns) == ORDER_COLUMNS
    assert len(recorder.orders) == len(recorder.trades) == 0
    assert recorder.equity["value"].tolist() == [1000.0] * 3


def test_recorder_analysis_holds_the_tables_and_can_be_pickled():
    recorder = run(BUY_AND_SELL, AAA=bars([10, 20, 15, 12, 12]))
    analysis = recorder.get_analysis()
    assert analysis["trades"] is recorder.trades
    assert set(analysis) == {"equity", "orders", "trades"}
    recorder.strategy = recorder._parent = None  # as backtrader does before it sends an analyzer home
    assert not recorder._stocks
    assert not recorder._orders
    assert b"backtrader.feeds" not in pickle.dumps(analysis)


def test_recorder_misspelt_parameter_raises():
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars([10] * 3)))
    cerebro.addstrategy(bt.Strategy)
    cerebro.addanalyzer(Recorder, wrong=1)
    with pytest.raises(TypeError, match="wrong"):
        cerebro.run()


def test_recorder_agrees_with_the_trade_analyzer_of_backtrader():
    rng = np.random.default_rng(5)
    frame = bars(list(50 * np.exp(np.cumsum(rng.normal(0, 0.02, 200)))))
    script = {bar: [("buy" if (bar // 7) % 2 == 0 else "sell", "AAA", {"size": 5})] for bar in range(7, 196, 7)}
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame, name="AAA"))
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addstrategy(Scripted, script=script)
    cerebro.addanalyzer(Recorder, _name="recorder")
    cerebro.addanalyzer(bt.analyzers.TradeAnalyzer, _name="reference")
    analyzers = cerebro.run()[0].analyzers
    closed = analyzers.recorder.trades.dropna(subset="exit_session")
    reference = analyzers.reference.get_analysis()
    assert len(closed) == reference.total.closed > 10
    assert closed["pnl"].sum() == pytest.approx(reference.pnl.gross.total)
    assert closed["pnl_net"].sum() == pytest.approx(reference.pnl.net.total)
    assert closed["bars_held"].mean() == pytest.approx(reference.len.average)
