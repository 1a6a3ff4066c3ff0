"""The checks that every feed, indicator and strategy passes: inherit one, give it its fixtures.

(a) cutting history after k changes nothing at k; (b) backtrader's run modes agree; (c) a misspelt
parameter raises; (d) changing what comes after k changes nothing up to k; (e) a guarded run, which raises
where a bar is read that is not known, ends and shows the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from engine.cerebro import BacktestResult, run_backtest
from engine.clocked_cerebro import ClockedCerebro
from feeds.errors import InputError
from feeds.panel import BAR_FIELDS, Bars, FeaturePanel, PricePanel
from feeds.stock_feed import StockFeed

RUN_MODES = ((True, True), (True, False), (False, False))


class ClosePredictor:
    """Predicts from the last two closes: small, causal, and different on every bar.

    The score is minus half the last return, the probabilities a function of it; NaN on the first
    bars up to `silent_bars`, as before the first test fold.
    """

    def __init__(self, silent_bars: int = 3, scale: float = 0.5) -> None:
        self.silent_bars, self.scale = silent_bars, scale

    def column(self, ticker: str, bars: Bars) -> np.ndarray:
        return np.array([self._row(bars, k) for k in range(len(bars))]).reshape(-1, 5)

    def stepper(self, ticker: str) -> Any:
        predictor = self

        class Stepper:
            steps = 0

            def step(self, bars: Bars) -> np.ndarray:
                self.steps += 1
                assert self.steps == len(bars), "one step per new bar"
                return predictor._row(bars, len(bars) - 1)

        return Stepper()

    def _row(self, bars: Bars, k: int) -> np.ndarray:
        if k < self.silent_bars:
            return np.full(5, np.nan)
        last = bars.close[k] / bars.close[k - 1] - 1
        weights = np.exp(np.array([30.0, 10.0, -10.0, -30.0]) * last)
        return np.append(weights / weights.sum(), -self.scale * last)


def insider_columns(panel: PricePanel, seed: int = 0) -> FeaturePanel:
    """Random insider columns in the ranges of the real ones, NaN where a stock did not trade."""
    from indicators.insider_pressure import PRESSURE_COLUMNS

    rng = np.random.default_rng(seed)
    values = rng.random((len(panel.sessions), len(panel.tickers), len(PRESSURE_COLUMNS)))
    values[:, :, PRESSURE_COLUMNS.index("ins_known")] = 1.0
    values[:, :, PRESSURE_COLUMNS.index("ins_net_63")] *= 2
    values[:, :, PRESSURE_COLUMNS.index("ins_net_63")] -= 1
    values[~panel.traded] = np.nan
    return FeaturePanel(panel.sessions, panel.tickers, PRESSURE_COLUMNS, values)


def cut(columns: FeaturePanel | None, size: int) -> FeaturePanel | None:
    """Keep the first `size` sessions of columns."""
    if columns is None:
        return None
    return FeaturePanel(columns.sessions[:size], columns.tickers, columns.names, columns.values[:size])


def change_after(panel: PricePanel, size: int, factor: float = 1.37) -> PricePanel:
    """Multiply every price after the first `size` sessions and halve every volume."""
    arrays = {name: getattr(panel, name).copy() for name in BAR_FIELDS}
    for name in ("open", "high", "low", "close"):
        arrays[name][size:] *= factor
    arrays["volume"][size:] /= 2
    return replace(panel, **arrays)


def part_of(bars: Bars, size: int) -> Bars:
    """Keep the first `size` bars."""
    arrays = {name: getattr(bars, name)[:size] for name in ("sessions", *BAR_FIELDS)}
    return Bars(columns={name: values[:size] for name, values in bars.columns.items()}, **arrays)


class _Probe(bt.Strategy):
    """Notes the lines of an indicator, or of the feed itself, at each bar of the first feed."""

    params = (("make", None),)

    def __init__(self) -> None:
        self.watched = self.datas[0] if self.p.make is None else self.p.make(self.datas[0])
        self.seen: list[list[float]] = []

    def prenext(self) -> None:
        self.next()

    def nextstart(self) -> None:
        self.next()

    def next(self) -> None:
        if len(self.datas[0]) > len(self.seen):
            self.seen.append([line[0] for line in self.watched.lines])


def observe(
    bars: Bars,
    make: Callable[[Any], Any] | None = None,
    others: Mapping[str, Bars] | None = None,
    mode: tuple[bool, bool] = (True, True),
    guarded: bool = False,
) -> np.ndarray:
    """Return what a strategy sees of an indicator (or of the feed) bar by bar, shape [K, lines]."""
    kind: Any = partial(ClockedCerebro, guarded=True) if guarded else bt.Cerebro
    cerebro = kind(stdstats=False, preload=mode[0], runonce=mode[1])
    cerebro.adddata(StockFeed.from_bars(bars, "WATCHED"))
    for ticker, others_bars in (others or {}).items():
        cerebro.adddata(StockFeed.from_bars(others_bars, ticker))
    cerebro.addstrategy(_Probe, make=make)
    return np.array(cerebro.run()[0].seen)


class IndicatorContract:
    """Checks (a) to (e) for an indicator: override `make`."""

    def make(self, data: Any, **params: Any) -> Any:
        """Return the indicator on a feed."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def bars(cls, make_panel) -> Bars:
        panel = make_panel(sessions=160, tickers=2, seed=3, halts={0: [40, 41, 42, 43, 44, 45, 46, 90]})
        return panel.bars("T000", insider_columns(panel))

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, bars: Bars) -> np.ndarray:
        return observe(bars, cls().make)

    @pytest.mark.parametrize("mode", RUN_MODES)
    def test_run_modes_agree(self, bars, whole, mode, make_panel):
        # A second stock that trades on the halted days makes backtrader call `next` again.
        other = {"OTHER": make_panel(sessions=160, tickers=2, seed=3).bars("T001")}
        seen = observe(bars, self.make, other, mode)
        assert len(seen) == len(bars)
        np.testing.assert_allclose(seen, whole, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("size", [1, 2, 15, 21, 22, 60, 120])
    @pytest.mark.parametrize("mode", RUN_MODES)
    def test_cutting_history_leaves_the_last_value(self, bars, whole, size, mode):
        np.testing.assert_allclose(observe(part_of(bars, size), self.make, mode=mode)[-1], whole[size - 1], rtol=1e-12)

    def test_changing_the_future_leaves_the_past(self, bars, whole):
        later = np.arange(len(bars)) >= 100
        arrays = {name: np.where(later, 1.5 * getattr(bars, name), getattr(bars, name)) for name in BAR_FIELDS}
        columns = {name: np.where(later, values / 2, values) for name, values in bars.columns.items()}
        changed = observe(Bars(bars.sessions, columns=columns, **arrays), self.make)
        np.testing.assert_array_equal(changed[:100], whole[:100])

    @pytest.mark.parametrize("mode", RUN_MODES)
    def test_guarded_run_reads_no_bar_that_is_not_known(self, bars, whole, mode):
        seen = observe(bars, self.make, mode=mode, guarded=True)
        np.testing.assert_allclose(seen, whole, rtol=1e-12, atol=0)

    def test_values_appear(self, whole):
        assert np.isfinite(whole[60:]).all()

    def test_misspelt_parameter_raises(self, bars):
        with pytest.raises(InputError, match="unknown parameter of .* 'predictr'"):
            observe(bars, lambda data: self.make(data, predictr=3))


class StrategyContract:
    """Checks (a) to (e) for a strategy: override `strategy` (and `params`, `predictor`)."""

    strategy: type[bt.Strategy]
    params: Mapping[str, Any] = {}
    predictor: Any = ClosePredictor()

    @pytest.fixture(scope="class")
    @classmethod
    def panel(cls, make_panel) -> PricePanel:
        return make_panel(sessions=170, tickers=7, seed=5, late={0: 60, 1: 20}, ends={2: 90}, halts={3: [30, 31, 100]})

    @pytest.fixture(scope="class")
    @classmethod
    def columns(cls, panel) -> FeaturePanel | None:
        return insider_columns(panel)

    def run(self, panel: PricePanel, columns: FeaturePanel | None, **more: Any) -> BacktestResult:
        return run_backtest(
            panel, columns, strategy=self.strategy, params=self.params, predictor=self.predictor, **more
        )

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, panel, columns) -> BacktestResult:
        return cls().run(panel, columns)

    def test_it_trades(self, whole):
        assert len(whole.trades) > 20

    @pytest.mark.parametrize("mode", RUN_MODES[1:])
    def test_run_modes_agree(self, panel, columns, whole, mode):
        other = self.run(panel, columns, preload=mode[0], runonce=mode[1])
        for name in ("equity", "orders", "trades"):
            pd.testing.assert_frame_equal(getattr(other, name), getattr(whole, name), check_exact=True)

    @pytest.mark.parametrize("mode", [RUN_MODES[0], RUN_MODES[-1]])
    def test_guarded_run_reads_no_bar_that_is_not_known(self, panel, columns, whole, mode):
        other = self.run(panel, columns, preload=mode[0], runonce=mode[1], guarded=True)
        for name in ("equity", "orders", "trades"):
            pd.testing.assert_frame_equal(getattr(other, name), getattr(whole, name), check_exact=True)

    def test_the_same_run_twice_is_the_same(self, panel, columns, whole):
        again = self.run(panel, columns)
        for name in ("equity", "orders", "trades"):
            pd.testing.assert_frame_equal(getattr(again, name), getattr(whole, name), check_exact=True)

    @pytest.mark.parametrize("size", [25, 61, 92, 140])
    def test_cutting_history_leaves_decisions_and_equity(self, panel, columns, whole, size):
        last = panel.sessions[size - 1]
        self._same_until(self.run(panel.until(last), cut(columns, size)), whole, last)

    @pytest.mark.parametrize("size", [61, 140])
    def test_changing_the_future_leaves_the_past(self, panel, columns, whole, size):
        self._same_until(self.run(change_after(panel, size), columns), whole, panel.sessions[size - 1])

    def test_misspelt_parameter_raises(self, panel, columns):
        with pytest.raises(InputError, match="unknown parameter of .* 'max_positons'.*Did you mean 'max_positions'"):
            run_backtest(
                panel,
                columns,
                strategy=self.strategy,
                params={**self.params, "max_positons": 3},
                predictor=self.predictor,
            )

    def test_positions_stay_long_and_few(self, whole):
        fills = whole.orders[whole.orders["status"] == "Completed"]
        signed = fills["size"].where(fills["side"] == "buy", -fills["size"])
        in_order = fills.assign(signed=signed).sort_values(["executed_session", "side"], ascending=[True, False])
        assert (in_order.groupby("ticker")["signed"].cumsum() >= 0).all()

    @staticmethod
    def _same_until(part: BacktestResult, whole: BacktestResult, last: pd.Timestamp) -> None:
        equity, orders = whole.equity.loc[:last], whole.orders[whole.orders["created_session"] <= last]
        decisions = ["ref", "ticker", "side", "order_type", "size", "created_session", "created_price"]
        pd.testing.assert_frame_equal(part.equity.loc[:last], equity, check_exact=True)
        made = part.orders[part.orders["created_session"] <= last]
        pd.testing.assert_frame_equal(made[decisions], orders[decisions], check_exact=True)
        done = orders["executed_session"] <= last
        pd.testing.assert_frame_equal(made[done.to_numpy()], orders[done], check_exact=True)
