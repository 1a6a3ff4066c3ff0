from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.panel import Bars
from indicators.lstm_signal import LSTMSignal, with_predicted_class
from models.predictions import PREDICTION_COLUMNS, SavedPredictions
from tests.contracts import ClosePredictor, IndicatorContract, observe


class TestLSTMSignal(IndicatorContract):
    def make(self, data, **params):
        return LSTMSignal(data, **{"predictor": ClosePredictor(), **params})


@pytest.mark.parametrize("mode", [(True, True), (True, False), (False, False)])
def test_lstm_signal_shows_the_predictors_column(make_panel, mode):
    bars = make_panel(sessions=40, tickers=1).bars("T000")
    seen = observe(bars, lambda data: LSTMSignal(data, predictor=ClosePredictor()), mode=mode)
    column = ClosePredictor().column("T000", bars)
    np.testing.assert_array_equal(seen[:, :4], column[:, :4])
    np.testing.assert_array_equal(seen[:, 5], column[:, 4])
    assert np.isnan(seen[:3]).all()
    assert np.isfinite(seen[3:]).all()


@pytest.mark.parametrize("mode", [(True, True), (False, False)])
def test_lstm_signal_gives_the_predictor_its_feeds_name_and_lines(make_panel, mode):
    asked = []

    class Watcher(ClosePredictor):
        def column(self, ticker, bars):
            asked.append((ticker, bars))
            return super().column(ticker, bars)

        def stepper(self, ticker):
            inner = super().stepper(ticker)

            class Stepper:
                def step(self, bars):
                    asked[:] = [(ticker, bars)]
                    return inner.step(bars)

            return Stepper()

    bars = make_panel(sessions=300, tickers=1).bars("T000")
    bars = Bars(**{**vars(bars), "adjust": np.linspace(1, 2, 300), "columns": {"xs_rank": np.arange(300.0)}})
    observe(bars, lambda data: LSTMSignal(data, predictor=Watcher()), mode=mode)
    ticker, given = asked[0]
    assert ticker == "WATCHED"
    for name in ("sessions", "open", "high", "low", "close", "volume", "adjust"):
        np.testing.assert_array_equal(getattr(given, name), getattr(bars, name))
    assert list(given.columns) == ["xs_rank"]
    np.testing.assert_array_equal(given.columns["xs_rank"], bars.columns["xs_rank"])


def test_lstm_signal_on_a_plain_feed_has_adjust_1(make_panel):
    panel = make_panel(sessions=10, tickers=1)
    frame = {name: getattr(panel, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    seen = []

    class Watcher(ClosePredictor):
        def column(self, ticker, bars):
            seen.append(bars.adjust)
            return super().column(ticker, bars)

    class Plain(bt.Strategy):
        def __init__(self):
            self.signal = LSTMSignal(self.data, predictor=Watcher())

    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=pd.DataFrame(frame, index=panel.sessions)), name="PLAIN")
    cerebro.addstrategy(Plain)
    cerebro.run()
    np.testing.assert_array_equal(seen[0], np.ones(10))


def test_predicted_class_is_the_place_of_the_highest_probability():
    nan = np.nan
    predictions = np.array([[0.1, 0.2, 0.3, 0.4, 0.0], [0.4, 0.4, 0.1, 0.1, -0.1], [nan, nan, nan, nan, nan]])
    np.testing.assert_array_equal(with_predicted_class(predictions)[:, 4], [3, 0, nan])


def test_lstm_signal_without_predictor_says_what_to_pass(make_panel):
    with pytest.raises(InputError, match="`predictor` of LSTMSignal: expected a predictor, received None; pass"):
        observe(make_panel(sessions=5, tickers=1).bars("T000"), lambda data: LSTMSignal(data))


def test_lstm_signal_on_a_nameless_feed_raises(make_panel):
    def make(data):
        data._name = ""
        return LSTMSignal(data, predictor=ClosePredictor())

    with pytest.raises(InputError, match="feed of LSTMSignal: expected a feed named after its ticker"):
        observe(make_panel(sessions=5, tickers=1).bars("T000"), make)


def test_lstm_signal_has_the_predictors_columns_as_lines():
    names = [name for name in LSTMSignal.lines.getlinealiases() if name != "predicted_class"]
    assert tuple(names) == PREDICTION_COLUMNS


@pytest.mark.parametrize("mode", [(True, True), (True, False), (False, False)])
def test_lstm_signal_shows_saved_predictions_on_their_sessions(make_panel, mode):
    bars = make_panel(sessions=30, tickers=1, halts={0: [20]}).bars("T000")
    rows = [10, 12, 25]
    frame = pd.DataFrame(
        {
            "session": pd.DatetimeIndex(bars.sessions[rows]),
            "ticker": "WATCHED",
            "fold": 1,
            **dict(
                zip(PREDICTION_COLUMNS, ([0.1] * 3, [0.2] * 3, [0.3] * 3, [0.4] * 3, [0.01, 0.02, 0.03]), strict=True)
            ),
        }
    )
    seen = observe(bars, lambda data: LSTMSignal(data, predictor=SavedPredictions(frame)), mode=mode)
    assert np.flatnonzero(np.isfinite(seen[:, 5])).tolist() == rows
    np.testing.assert_array_equal(seen[rows, 5], [0.01, 0.02, 0.03])
    np.testing.assert_array_equal(seen[rows, 4], [3, 3, 3])
