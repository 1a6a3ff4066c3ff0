from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from analyzers.recorder import Recorder
from engine.cerebro import run_backtest
from feeds.errors import InputError
from feeds.panel import FeaturePanel
from indicators.insider_pressure import PRESSURE_COLUMNS
from strategies.lstm_insider import LSTMInsider
from strategies.lstm_only import LSTMOnly
from tests.contracts import ClosePredictor, StrategyContract


class TestLSTMOnly(StrategyContract):
    strategy = LSTMOnly
    params = {"max_positions": 3, "max_weight_frac": 0.3, "atr_multiple": 1.0}


class TestLSTMInsider(StrategyContract):
    strategy = LSTMInsider
    params = {"max_positions": 3, "max_weight_frac": 0.3, "exit_score": -1.0}


class Scores(ClosePredictor):
    """Gives every bar the score at its place of a list, the last one for ever."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores = scores

    def _row(self, bars, k):
        return np.array([0.25, 0.25, 0.25, 0.25, self.scores[min(k, len(self.scores) - 1)]])


def calm_panel(make_panel):
    return make_panel(sessions=40, tickers=1, seed=1)


SILENT = [np.nan] * 20


def test_lstm_only_enters_above_cost_and_leaves_when_the_score_turns(make_panel):
    panel = calm_panel(make_panel)
    predictor = Scores(*SILENT, 0.0009, 0.0011, 0.0001, -0.0001, 0.0)
    result = run_backtest(panel, strategy=LSTMOnly, predictor=predictor, params={"atr_multiple": 9.0})
    [trade] = result.trades.to_dict("records")
    assert trade["entry_session"] == panel.sessions[22]
    assert trade["exit_session"] == panel.sessions[24]
    assert (trade["entry_reason"], trade["exit_reason"], trade["entry_score"]) == ("score 0.0011", "score", 0.0011)


def test_lstm_only_wants_more_when_trading_costs_more(make_panel):
    predictor = Scores(*SILENT, 0.0011, 0.0)
    run = {"strategy": LSTMOnly, "predictor": predictor}
    assert len(run_backtest(calm_panel(make_panel), **run).trades) == 1
    assert len(run_backtest(calm_panel(make_panel), **run, slippage_bps=5).trades) == 0
    assert len(run_backtest(calm_panel(make_panel), **run, params={"entry_cost_multiple": 1.2}).trades) == 0


def insider_panel(panel, **values):
    columns = np.zeros((len(panel.sessions), 1, len(PRESSURE_COLUMNS)))
    for name, value in {"ins_known": 1.0, **values}.items():
        columns[:, 0, PRESSURE_COLUMNS.index(name)] = value
    return FeaturePanel(panel.sessions, panel.tickers, PRESSURE_COLUMNS, columns)


@pytest.mark.parametrize(
    ("insiders", "reasons"),
    [
        ({"ins_net_63": 0.8, "ins_buy_21": 0.1, "ins_recency_21": 1.0}, ["score 0.0300, insider 0.45"]),
        ({"ins_net_63": -0.5}, []),
        ({}, []),
        ({"ins_known": 0.0, "ins_net_63": 0.8}, []),
    ],
)
def test_lstm_insider_enters_only_when_insiders_confirm(make_panel, insiders, reasons):
    panel = calm_panel(make_panel)
    columns = insider_panel(panel, **insiders)
    predictor = Scores(*SILENT, 0.03, 0.0)
    result = run_backtest(panel, columns, strategy=LSTMInsider, predictor=predictor)
    assert list(result.trades["entry_reason"]) == reasons


def test_lstm_insider_without_filings_names_the_line(make_panel):
    with pytest.raises(InputError, match="InsiderPressure: expected a feed with the line `ins_known`, received T000"):
        run_backtest(calm_panel(make_panel), strategy=LSTMInsider, predictor=ClosePredictor())


def test_lstm_only_without_a_predictor_says_what_to_pass(make_panel):
    with pytest.raises(InputError, match="`predictor` of LSTMSignal: expected a predictor, received None"):
        run_backtest(calm_panel(make_panel), strategy=LSTMOnly)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            {"min_insider_pressure": 2.0},
            "`min_insider_pressure` of LSTMInsider: expected a number from -1 to 1, received 2.0",
        ),
        ({"entry_cost_multiple": -1}, "`entry_cost_multiple` of LSTMInsider: expected a number from 0, received -1"),
        ({"max_positions": 0}, "`max_positions` of LSTMInsider: expected a whole number from 1, received 0"),
        ({"max_positions": "9"}, "`max_positions` of LSTMInsider: expected a whole number from 1, received '9'"),
        ({"max_positions": 2.5}, "`max_positions` of LSTMInsider: expected a whole number from 1, received 2.5"),
        ({"atr_multiple": float("nan")}, "`atr_multiple` of LSTMInsider: expected a number from 1e-06, received nan"),
    ],
)
def test_parameters_out_of_range_raise(make_panel, params, text):
    panel = calm_panel(make_panel)
    with pytest.raises(InputError, match=text):
        run_backtest(panel, insider_panel(panel), strategy=LSTMInsider, predictor=ClosePredictor(), params=params)


@pytest.mark.parametrize("seed", [1, 2])
def test_lstm_only_in_a_plain_cerebro_fills_as_here_where_backtrader_is_right(make_panel, seed):
    panel = make_panel(sessions=120, tickers=4, seed=seed)
    params = {"predictor": ClosePredictor(), "exit_score": -1.0, "atr_multiple": 1.0, "max_weight_frac": 0.3}
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(0.0001)
    cerebro.broker.set_slippage_perc(0.0004, slip_open=True, slip_match=True, slip_out=True)
    for j, ticker in enumerate(panel.tickers):
        frame = {name: getattr(panel, name)[:, j] for name in ("open", "high", "low", "close", "volume")}
        cerebro.adddata(bt.feeds.PandasData(dataname=pd.DataFrame(frame, index=panel.sessions)), name=ticker)
    cerebro.addstrategy(LSTMOnly, **params)
    cerebro.addanalyzer(Recorder, _name="recorder")
    plain = cerebro.run()[0].analyzers.recorder
    ours = run_backtest(panel, strategy=LSTMOnly, predictor=params.pop("predictor"), params=params)
    assert (ours.trades["exit_reason"] == "stop").any()
    pd.testing.assert_frame_equal(plain.trades, ours.trades, check_exact=True)
    pd.testing.assert_frame_equal(plain.equity, ours.equity, rtol=1e-12)
