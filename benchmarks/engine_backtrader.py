"""The rule of `benchmarks.engine_rule` as one backtrader strategy, on our engine and on stock backtrader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from analyzers.recorder import Recorder
from benchmarks.engine_rule import BARS_HELD, CASH, COST_FRAC, PLACES, Market, Outcome, classes
from engine.broker import SafeBroker
from engine.cerebro import make_cerebro
from feeds.insider import INSIDER_COLUMNS
from feeds.panel import FeaturePanel, PricePanel
from indicators.average_true_range import AverageTrueRange
from indicators.garman_klass import GarmanKlass
from indicators.lstm_signal import LSTMSignal
from indicators.relative_strength import RelativeStrength
from indicators.simple_average import SimpleAverage

# backtrader refuses a fill that cash does not pay for. The rule does not, so each account begins
# with credit that is taken off again wherever the strategy looks.
CREDIT = 1_000_000.0


class Rule(bt.Strategy):
    """The rule, written as any user would; `outcome` holds what happened."""

    params: Any = (("classes", None), ("indicators", None))

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.held: dict[int, int] = {}
        self.bar_of_fill: dict[int, int] = {}
        self.waiting: dict[int, int] = {}
        self.columns = {data: j for j, data in enumerate(self.datas)}
        self.made = [self.p.indicators(data) for data in self.datas] if self.p.indicators else []

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        row = len(self.outcome.equity)
        equity = self.broker.getvalue() - CREDIT
        self.outcome.equity.append(equity)
        self.outcome.cash.append(self.broker.getcash() - CREDIT)
        drawn = self.p.classes[row]
        for column in sorted(self.held):
            self._leave(column, drawn[column])
        held = {*self.held, *self.waiting}
        places = PLACES - (len(held) - sum(size < 0 for size in self.waiting.values()))
        for column in np.flatnonzero(drawn == 3).tolist() if places > 0 else ():
            if places <= 0:
                return
            if column not in held:
                places -= self._enter(column, equity)

    def _has_bar(self, data: Any) -> bool:
        return len(data) > 0 and data.datetime[0] == self.lines.datetime[0]

    def _leave(self, column: int, drawn: int) -> None:
        data = self.datas[column]
        if column in self.waiting or not (drawn == 0 or len(data) - self.bar_of_fill[column] >= BARS_HELD):
            return
        if self._has_bar(data):
            self.waiting[column] = -self.held[column]
            self.outcome.orders += 1
            self.sell(data, size=self.held[column])

    def _enter(self, column: int, equity: float) -> bool:
        data = self.datas[column]
        size = int(equity / PLACES / data.close[0]) if self._has_bar(data) else 0
        if size > 0:
            self.waiting[column] = size
            self.outcome.orders += 1
            self.buy(data, size=size)
        return size > 0

    def notify_order(self, order: Any) -> None:
        if order.alive():
            return
        column = self.columns[order.data]
        if order.status == order.Completed:
            self._filled(column, order)
        self.waiting.pop(column, None)

    def _filled(self, column: int, order: Any) -> None:
        size = int(order.executed.size)
        if size > 0:
            self.held[column], self.bar_of_fill[column] = size, len(order.data)
        else:
            del self.held[column], self.bar_of_fill[column]
        # The news of a fill comes in the session of the fill, before the strategy's own row.
        self.outcome.fills.append((len(self.outcome.equity), column, size, float(order.executed.price)))


def insider_swing(market: Market) -> Outcome:
    """Run our engine with orders alone."""
    return _ours(market, None, None)


def insider_swing_idle(market: Market) -> Outcome:
    """Run our engine with classes that never ask for an order: what remains is the cost of sessions and feeds."""
    return _ours(market, None, None, drawn=np.ones(market.close.shape, dtype=np.int64))


def insider_swing_guarded(market: Market) -> Outcome:
    """Run our engine with orders alone and every reading of a line checked."""
    return _ours(market, None, None, guarded=True)


def insider_swing_analyzers_inputs(market: Market) -> tuple[FeaturePanel]:
    """Return invented insider columns of every stock and session."""
    values = np.random.default_rng(2).random((*market.close.shape, len(INSIDER_COLUMNS)))
    return (FeaturePanel(pd.DatetimeIndex(market.sessions), tuple(market.tickers), INSIDER_COLUMNS, values),)


def insider_swing_analyzers(market: Market, columns: FeaturePanel) -> Outcome:
    """Run our engine with the recorder of every order and trade, and insider lines on every feed."""
    return _ours(market, columns, None, analyzers=True)


def insider_swing_indicators(market: Market) -> Outcome:
    """Run our engine with five indicators per stock, the LSTM's saved predictions among them."""
    predictor = _Predictions(market)

    def indicators(data: Any) -> list[Any]:
        return [
            AverageTrueRange(data, period=14),
            RelativeStrength(data, period=14),
            SimpleAverage(data, period=50),
            GarmanKlass(data),
            LSTMSignal(data, predictor=predictor),
        ]

    return _ours(market, None, indicators)


def _ours(
    market: Market,
    columns: FeaturePanel | None,
    indicators: Callable[[Any], Any] | None,
    analyzers: bool = False,
    guarded: bool = False,
    drawn: np.ndarray | None = None,
) -> Outcome:
    arrays = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")}
    adjust = np.where(np.isfinite(market.close), 1.0, np.nan)
    sessions, tickers = pd.DatetimeIndex(market.sessions), tuple(market.tickers)
    panel = PricePanel(sessions, tickers, adjust=adjust, price_basis="as_traded", **arrays)
    drawn = classes(*market.close.shape) if drawn is None else drawn
    params = {"classes": drawn, "indicators": indicators}
    cerebro = make_cerebro(panel, columns, Rule, params, guarded=guarded)
    # The rule knows no limit of volume and no check of cash.
    costs = {"commission_bps": COST_FRAC * 1e4, "slippage_bps": 0.0, "volume_frac": None, "unaffordable": "borrow"}
    cerebro.setbroker(SafeBroker(cash=CASH + CREDIT, **costs))
    if analyzers:
        cerebro.addanalyzer(Recorder)
    outcome: Outcome = cerebro.run()[0].outcome
    return outcome


def backtrader_pandasdata(market: Market) -> Outcome:
    """Run stock backtrader as its documentation shows."""
    return _stock(market, bt.feeds.PandasData)


def backtrader_pandasdirectdata(market: Market) -> Outcome:
    """Run stock backtrader with its faster feed."""
    return _stock(market, bt.feeds.PandasDirectData)


def _stock(market: Market, feed: type[bt.feed.DataBase]) -> Outcome:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = bt.brokers.BackBroker(cash=CASH + CREDIT, checksubmit=False)
    cerebro.broker.setcommission(commission=COST_FRAC)
    for column, ticker in enumerate(market.tickers):
        cerebro.adddata(feed(dataname=_frame(market, column)), name=ticker)
    cerebro.addstrategy(Rule, classes=classes(*market.close.shape))
    outcome: Outcome = cerebro.run()[0].outcome
    return outcome


def _frame(market: Market, column: int) -> pd.DataFrame:
    rows = np.flatnonzero(np.isfinite(market.close[:, column]))
    arrays = {name: getattr(market, name)[rows, column] for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame({**arrays, "openinterest": 0.0}, index=pd.DatetimeIndex(market.sessions[rows]))


class _Predictions:
    """Saved predictions of every bar, drawn at random."""

    def __init__(self, market: Market) -> None:
        rng = np.random.default_rng(3)
        drawn = rng.dirichlet(np.ones(4), market.close.shape)
        self._values = np.concatenate([drawn, rng.normal(0, 0.01, (*market.close.shape, 1))], axis=2)
        self._columns = {ticker: j for j, ticker in enumerate(market.tickers)}
        self._sessions = market.sessions

    def column(self, ticker: str, bars: Any) -> np.ndarray:
        return np.asarray(self._values[np.searchsorted(self._sessions, bars.sessions), self._columns[ticker]])

    def stepper(self, ticker: str) -> Any:
        raise NotImplementedError("the benchmark runs whole columns")
