from __future__ import annotations

from collections.abc import Iterable

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from engine.cerebro import make_cerebro, run_backtest
from feeds.errors import InputError
from feeds.membership import read_membership
from feeds.panel import FeaturePanel
from strategies.base import SwingStrategy
from strategies.lstm_only import LSTMOnly
from tests.contracts import RUN_MODES, ClosePredictor


class BuyFirst(bt.Strategy):
    """An ordinary backtrader strategy: buys one share of each stock when all are there."""

    params = (("size", 1),)

    def next(self):
        for data in self.datas:
            if not self.getposition(data).size:
                self.buy(data, size=self.p.size)


def test_run_backtest_runs_an_ordinary_strategy_with_its_own_parameters_only(make_panel):
    panel = make_panel(sessions=10, tickers=2)
    result = run_backtest(panel, strategy=BuyFirst, params={"size": 3}, predictor=ClosePredictor())
    assert result.trades["size"].tolist() == [3, 3]
    assert result.trades["exit_reason"].tolist() == ["open at end"] * 2


@pytest.mark.parametrize("mode", RUN_MODES)
def test_equity_has_every_session_from_the_first_bar_of_any_stock(make_panel, mode):
    panel = make_panel(sessions=30, tickers=3, late={0: 12, 1: 4, 2: 7}, ends={1: 20})
    result = run_backtest(panel, strategy=LSTMOnly, predictor=ClosePredictor(), preload=mode[0], runonce=mode[1])
    assert list(result.equity.index) == list(panel.sessions[4:])
    assert result.equity["value"].iloc[0] == 100_000


def test_orders_of_the_last_session_are_there_and_pending(make_panel):
    panel = make_panel(sessions=60, tickers=5)
    params = {"entry_cost_multiple": 0.0, "exit_score": 1.0}
    result = run_backtest(panel, strategy=LSTMOnly, predictor=ClosePredictor(), params=params)
    market = result.orders[result.orders["order_type"] == "Market"]
    last = market[market["created_session"] == panel.sessions[-1]]
    assert len(last) > 0
    assert (last["status"] == "Pending at end").all()


def test_costs_reach_the_account_and_the_strategy(make_panel):
    seen = []

    class Cost(LSTMOnly):
        def start(self):
            seen.append(self.p.round_trip_cost_frac)

    panel = make_panel(sessions=40, tickers=2)
    params = {"entry_cost_multiple": 0.0}
    runs = [
        run_backtest(panel, strategy=Cost, predictor=ClosePredictor(), params=params, commission_bps=c, slippage_bps=s)
        for c, s in ((0, 0), (3, 5))
    ]
    assert seen == [0.0, 0.0016]
    first, second = (run.orders[run.orders["status"] == "Completed"].iloc[0] for run in runs)
    assert first["commission"] == 0
    assert second["executed_price"] == pytest.approx(first["executed_price"] * 1.0005)
    assert second["commission"] == pytest.approx(second["value"] * 0.0003)


def test_columns_are_lines_known_at_their_own_session(make_panel):
    panel = make_panel(sessions=12, tickers=2, late={1: 5})
    values = np.arange(24.0).reshape(12, 2, 1)
    seen = []

    class Reader(bt.Strategy):
        def prenext(self):
            self.next()

        def next(self):
            seen.extend((data._name, data.lines.xs_rank[0]) for data in self.datas if len(data))

    run_backtest(panel, FeaturePanel(panel.sessions, panel.tickers, ("xs_rank",), values), strategy=Reader)
    expected = [(f"T00{j}", values[t, j, 0]) for t in range(12) for j in range(2) if t >= 5 or j == 0]
    assert seen == expected


def test_progress_goes_by_once_per_session(make_panel):
    labels, gone = [], []

    def progress(iterable: Iterable, label: str, total: int) -> Iterable:
        labels.append((label, total))
        for item in iterable:
            gone.append(item)
            yield item

    panel = make_panel(sessions=25, tickers=2, late={0: 3, 1: 5})
    run_backtest(panel, strategy=BuyFirst, progress=progress)
    assert labels == [("backtest", 22)]
    assert gone == list(range(22))


def test_default_run_mode_is_the_fast_one_without_observers(make_panel):
    cerebro = make_cerebro(make_panel(sessions=5, tickers=2), None, BuyFirst, {})
    assert (cerebro.p.preload, cerebro.p.runonce, cerebro.p.stdstats) == (True, True, False)
    assert [data._name for data in cerebro.datas] == ["T000", "T001"]


def test_panel_without_a_bar_raises(make_panel):
    with pytest.raises(
        InputError, match="prices: expected at least one stock with a bar, received none; check the dates"
    ):
        run_backtest(make_panel(sessions=5, tickers=1, late={0: 5}), strategy=BuyFirst)


def test_account_that_cannot_be_raises(make_panel):
    with pytest.raises(InputError, match="`cash`: expected USD above 0, received -1"):
        run_backtest(make_panel(sessions=5, tickers=1), strategy=BuyFirst, cash=-1)


class AlwaysIn(SwingStrategy):
    """Buys every stock on every session."""

    def entry_signal(self, data):
        return True


@pytest.mark.parametrize("mode", RUN_MODES)
def test_no_stock_is_bought_outside_its_membership_and_positions_end_by_the_normal_rules(make_panel, tmp_path, mode):
    panel = make_panel(sessions=120, tickers=3)
    days = [session.date().isoformat() for session in panel.sessions]
    text = f"ticker,from,to\nT000,{days[30]},{days[60]}\nT000,{days[90]},\nT001,,{days[20]}\n"
    (tmp_path / "members.csv").write_text(text)
    membership = read_membership(tmp_path / "members.csv")
    result = run_backtest(
        panel,
        strategy=AlwaysIn,
        params={"max_positions": 3, "max_drawdown_frac": 1.0},
        membership=membership.entry_spells(panel.sessions),
        preload=mode[0],
        runonce=mode[1],
    )
    bought = result.orders[result.orders["side"] == "buy"]
    inside = membership.matrix(panel.sessions, panel.tickers)
    for column in ("created_session", "executed_session"):
        known = bought.dropna(subset=column)
        rows = panel.sessions.get_indexer(pd.DatetimeIndex(known[column]))
        columns = [panel.tickers.index(ticker) for ticker in known["ticker"]]
        assert inside[rows, columns].all()
    assert sorted(bought["ticker"].unique()) == ["T000", "T001"]
    # From the spell's first session to the last but one, whose purchase falls on the last.
    first = bought[bought["ticker"] == "T000"]["created_session"].iloc[0]
    assert first == panel.sessions[30]
    trades = result.trades[result.trades["ticker"] == "T001"]
    assert trades["entry_session"].max() <= panel.sessions[20]
    assert set(result.trades["exit_reason"]) <= {"time", "stop", "open at end"}


def test_membership_for_a_strategy_that_knows_none_raises(make_panel):
    with pytest.raises(InputError, match="strategy BuyFirst: expected the parameter `membership` for a run with"):
        run_backtest(make_panel(sessions=10, tickers=2), strategy=BuyFirst, membership={})
