"""From a panel and a strategy to what happened: one run of backtrader."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from analyzers.recorder import Recorder
from engine.broker import SafeBroker
from engine.clocked_cerebro import ClockedCerebro
from engine.execution import Execution
from feeds.errors import InputError
from feeds.panel import FeaturePanel, PricePanel
from feeds.progress import Progress, silent
from feeds.stock_feed import make_feeds

DEFAULT_EXECUTION = Execution()


@dataclass(frozen=True)
class BacktestResult:
    """What happened in a run; see `analyzers.recorder.Recorder` for the columns.

    Attributes
    ----------
    equity : DataFrame, indexed by session
        Every session of the panel, from the first bar of any stock.
    orders : DataFrame
        Every order with its fate.
    trades : DataFrame
        Round trips, and what is open at the end.
    """

    equity: pd.DataFrame
    orders: pd.DataFrame
    trades: pd.DataFrame


class SessionProgress(bt.Analyzer):
    """Moves a progress bar by one for each session.

    Parameters
    ----------
    sessions : iterator
        Asked for one item per session, and for the rest at the end.
    """

    params: Any = (("sessions", None),)

    def next(self) -> None:
        """Take one item (prenext and nextstart lead here)."""
        next(self.p.sessions, None)

    def stop(self) -> None:
        """Take the rest, so that the bar closes."""
        for _ in self.p.sessions:
            pass


def make_cerebro(
    panel: PricePanel,
    columns: FeaturePanel | None,
    strategy_class: type[bt.Strategy],
    strategy_params: Mapping[str, Any],
    *,
    cash: float = 100_000.0,
    commission_bps: float = 1.0,
    slippage_bps: float = 4.0,
    execution: Execution = DEFAULT_EXECUTION,
    preload: bool = True,
    runonce: bool = True,
    guarded: bool = False,
) -> bt.Cerebro:
    """Return a Cerebro with one feed per traded ticker, our broker and the strategy.

    Parameters
    ----------
    panel : PricePanel, [T, N]
        Read up to its last session; positions open then stay open.
    columns : FeaturePanel, [T, N, F], optional
        Lines of every feed, known at the close.
    strategy_class, strategy_params
        A bt.Strategy and its parameters.
    cash : float
        USD.
    commission_bps, slippage_bps : float
        Per side.
    execution : Execution
        The rest of how orders are filled and what that costs.
    preload, runonce : bool
        backtrader's run modes; all give the same result, the defaults are the fastest.
    guarded : bool
        Reading a line beyond the present bar or before its beginning raises; see `ClockedCerebro`.

    Raises
    ------
    InputError
        For a panel without bars, or an account that cannot be.
    """
    feeds = make_feeds(panel, columns)
    if not feeds:
        raise InputError("prices: expected at least one stock with a bar, received none; check the dates and tickers")
    cerebro = ClockedCerebro(stdstats=False, preload=preload, runonce=runonce, guarded=guarded)
    account = {"cash": cash, "commission_bps": commission_bps, "slippage_bps": slippage_bps}
    cerebro.setbroker(SafeBroker(**account, halted_at_end=panel.halted_at_end, **execution.broker_parameters()))
    for feed in feeds:
        cerebro.adddata(feed)
    cerebro.addstrategy(strategy_class, **strategy_params)
    return cerebro


def run_backtest(
    panel: PricePanel,
    columns: FeaturePanel | None = None,
    *,
    strategy: type[bt.Strategy],
    params: Mapping[str, Any] | None = None,
    predictor: Any = None,
    sectors: Mapping[str, str] | None = None,
    membership: Mapping[str, tuple[tuple[int, int], ...]] | None = None,
    cash: float = 100_000.0,
    commission_bps: float = 1.0,
    slippage_bps: float = 4.0,
    execution: Execution = DEFAULT_EXECUTION,
    from_session: pd.Timestamp | str | None = None,
    progress: Progress = silent,
    preload: bool = True,
    runonce: bool = True,
    guarded: bool = False,
) -> BacktestResult:
    """Run one strategy over a panel.

    Parameters
    ----------
    panel, columns, cash, commission_bps, slippage_bps, execution, preload, runonce, guarded
        See `make_cerebro`.
    strategy : type
        A SwingStrategy, or any bt.Strategy: that one gets the parameters that it has.
    params : mapping of name to value, optional
        The user's parameters.
    predictor : Predictor, optional
        What an LSTMSignal asks.
    sectors : mapping of ticker to sector, optional
        For the strategy's limit per sector.
    membership : mapping of ticker to spells, optional
        When an entry may be decided; see `feeds.membership.Membership.entry_spells`.
    from_session : date, optional
        The first session on which an order may be decided.
    progress : Progress
        Shows how many sessions have gone by.

    Returns
    -------
    BacktestResult
        The same for the same arguments, to the last digit.

    Notes
    -----
    What is decided at a session's close fills at the next open; nothing after the panel's last
    session is read, so a panel cut after k gives the same orders and equity up to k.

    Raises
    ------
    InputError
        For parameters, data or an account that cannot be.
    """
    if membership is not None and not hasattr(strategy.params, "membership"):
        raise InputError(
            f"strategy {strategy.__name__}: expected the parameter `membership` for a run with `--universe`, found "
            "none; derive it from SwingStrategy, or run without a membership file"
        )
    engine_params = {
        "predictor": predictor,
        "sectors": sectors,
        "membership": membership,
        "from_session": from_session,
        "round_trip_cost_frac": 2 * (commission_bps + slippage_bps) / 1e4,
    }
    taken = {name: value for name, value in engine_params.items() if hasattr(strategy.params, name)}
    account: dict[str, Any] = {"cash": cash, "commission_bps": commission_bps, "slippage_bps": slippage_bps}
    account["execution"] = execution
    settings = {**taken, **(params or {})}
    modes: dict[str, Any] = {"preload": preload, "runonce": runonce, "guarded": guarded}
    cerebro = make_cerebro(panel, columns, strategy, settings, **account, **modes)
    cerebro.addanalyzer(SessionProgress, sessions=_ticks(panel, progress))
    cerebro.addanalyzer(Recorder, _name="recorder")
    # Orders are numbered per run, so that a second run in one process writes the same bytes.
    numbers, bt.order.OrderBase.refbasis = bt.order.OrderBase.refbasis, itertools.count(1)
    try:
        recorder = cerebro.run()[0].analyzers.recorder
    finally:
        bt.order.OrderBase.refbasis = numbers
    return BacktestResult(recorder.equity, recorder.orders, recorder.trades)


def _ticks(panel: PricePanel, progress: Progress) -> Iterator[int]:
    total = int(np.count_nonzero(panel.traded.any(axis=1)))
    return iter(progress(range(total), "backtest", total))
