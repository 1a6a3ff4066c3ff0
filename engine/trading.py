"""The backtest stage: from predictions to what was traded, what it is compared with, and the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from analyzers.benchmark import equal_weight_monthly, from_closes, from_ticker
from analyzers.statistics import performance
from engine.broker import SafeBroker
from engine.cerebro import BacktestResult, run_backtest
from engine.execution import delisting_warnings, execution_of, read_delisting_returns
from engine.findings import finding_warnings
from engine.inputs import Inputs
from engine.settings import Settings
from feeds.errors import InputError
from feeds.membership import Membership
from feeds.panel import FeaturePanel, PricePanel
from feeds.price_csv import read_file
from feeds.price_table import SourceBars, UnreadableTableError
from feeds.prices import total_return_factor
from feeds.progress import Progress
from feeds.quality import check_ticker
from models.predictions import SavedPredictions
from models.spec import ModelSpec
from strategies.parameters import check_ranges, parse_params, user_parameters
from strategies.registry import load


@dataclass(frozen=True)
class Trading:
    """What a backtest did, from the first session that counts.

    Attributes
    ----------
    result : BacktestResult
    benchmark : Series of USD
        On the equity's sessions.
    metrics : mapping
        As `analyzers.statistics.performance`.
    warnings : list of str
        What a reader must know of the files with delisting returns and with the benchmark.
    """

    result: BacktestResult
    benchmark: pd.Series
    metrics: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def load_strategy(settings: Settings, horizon: int) -> tuple[type[bt.Strategy], dict[str, Any]]:
    """Return the strategy's class and the user's parameters in the types of its defaults.

    A position is held for the `horizon` (bars) that the model predicts, unless the user sets
    `max_holding_bars`.

    Raises
    ------
    InputError
        For a strategy or parameter that does not exist, a value of the wrong type or out of range, or a
        strategy that needs filings where there are none.
    """
    strategy = load(settings.strategy)
    if settings.filings == "none" and getattr(strategy, "needs_filings", False):
        raise InputError(
            f"strategy `{settings.strategy}`: expected a source of filings, received `--filings none`; "
            "name one with `--filings`, or use a strategy that needs none, such as `--strategy lstm_only`"
        )
    texts = {name: value if isinstance(value, str) else str(value) for name, value in settings.params.items()}
    params = parse_params(strategy, texts)
    if "max_holding_bars" in user_parameters(strategy):
        params.setdefault("max_holding_bars", horizon)
    check_ranges(strategy, params)
    return strategy, params


def check_account(settings: Settings) -> None:
    """Refuse costs and rules of filling that cannot be, before any data is read.

    Raises
    ------
    InputError
        As `engine.execution.execution_of` and `engine.broker.SafeBroker`.
    """
    account = {"cash": settings.cash, "commission_bps": settings.commission_bps, "slippage_bps": settings.slippage_bps}
    SafeBroker(**account, **execution_of(settings).broker_parameters())


def check_benchmark(settings: Settings, inputs: Inputs, spec: ModelSpec) -> None:
    """Refuse a benchmark that is not there or does not cover the run, before anything is trained.

    Raises
    ------
    InputError
        For a ticker that the panel lacks, or a file without the run's sessions.
    """
    sessions = inputs.panel.sessions
    wanted = pd.Timestamp(settings.first) if settings.first else sessions[0]
    predicted = sessions[spec.train_sessions : -1]
    traded = predicted[predicted >= wanted]
    if len(traded):  # else the folds will say that there is too little history
        benchmark(settings, inputs.panel, traded[0], inputs.membership)


def first_traded_session(settings: Settings, panel: PricePanel, predictions: SavedPredictions) -> pd.Timestamp:
    """Return the later of `--from` and the first out-of-sample prediction.

    Raises
    ------
    InputError
        If no prediction lies inside the panel at or after `--from`.
    """
    scores = predictions.matrix("score", panel.sessions, panel.tickers)
    known = panel.sessions[np.isfinite(scores).any(axis=1)]
    wanted = pd.Timestamp(settings.first) if settings.first else panel.sessions[0]
    usable = known[known >= wanted]
    if usable.empty:
        span = f"{known[0].date()} to {known[-1].date()}" if len(known) else "none for any session of these stocks"
        raise InputError(
            f"predictions: expected some at or after {wanted.date()} for these stocks, received {span}; "
            "choose an earlier `--from`, a later `--to`, or other predictions"
        )
    return usable[0]


def trade(
    settings: Settings,
    strategy: tuple[type[bt.Strategy], Mapping[str, Any]],
    inputs: Inputs,
    columns: FeaturePanel,
    predictions: SavedPredictions,
    progress: Progress,
    tried: int | None = None,
) -> Trading:
    """Run the backtest from the first session that counts and measure it against its benchmark, and against luck.

    `tried` is the number of specifications tried on these prices; None where nobody counted.
    """
    panel = inputs.panel
    start = first_traded_session(settings, panel, predictions)
    whole = run_backtest(
        panel,
        columns,
        strategy=strategy[0],
        params=strategy[1],
        predictor=predictions,
        sectors=inputs.sectors,
        membership=None if inputs.membership is None else inputs.membership.entry_spells(panel.sessions),
        cash=settings.cash,
        commission_bps=settings.commission_bps,
        slippage_bps=settings.slippage_bps,
        execution=execution_of(settings),
        guarded=settings.guarded,
        from_session=start,
        progress=progress,
    )
    result = replace(whole, equity=whole.equity.loc[start:])
    series = benchmark(settings, panel, start, inputs.membership)
    slippage = settings.slippage_bps / 1e4
    metrics = performance(result.equity, result.trades, series, settings.risk_free, slippage, tried)
    if settings.slippage is not None:  # no single fraction: what the broker counted
        metrics["slippage_usd"] = float(result.orders["slippage"].sum())
    warnings = [*delisting_warnings(settings, panel.tickers), *benchmark_warnings(settings)]
    return Trading(result, series, metrics, warnings)


def benchmark(
    settings: Settings, panel: PricePanel, start: pd.Timestamp, membership: Membership | None = None
) -> pd.Series:
    """Return the value of what `--benchmark` names, bought with the same cash at the same costs.

    By default it is every stock of the month's first session, or every member of the universe then.
    """
    cost, last = settings.round_trip_cost_frac / 2, panel.sessions[-1]
    if settings.benchmark is None:
        members = None if membership is None else membership.matrix(panel.sessions, panel.tickers)
        returned = read_delisting_returns(settings.delisting_return)
        return equal_weight_monthly(panel, start, last, settings.cash, cost, members, returned)
    if not settings.benchmark.startswith("csv:"):
        return from_ticker(panel, settings.benchmark, start, last, settings.cash, cost)
    opens, closes = _csv_benchmark(Path(settings.benchmark.removeprefix("csv:")))
    return from_closes(closes, panel.sessions[panel.sessions >= start], settings.cash, cost, opens=opens)


def benchmark_name(settings: Settings) -> str:
    """Return what the report calls the benchmark."""
    if settings.benchmark is None:
        return "all members, equal weight, monthly" if settings.universe else "all stocks, equal weight, monthly"
    return Path(settings.benchmark).stem if settings.benchmark.startswith("csv:") else settings.benchmark


def benchmark_warnings(settings: Settings) -> list[str]:
    """Return what a reader must know of the file that `--benchmark csv:FILE` names; nothing for any other benchmark."""
    named = settings.benchmark or ""
    if not named.startswith("csv:"):
        return []
    return [f"Benchmark: {text}" for text in _checked_benchmark(Path(named.removeprefix("csv:")))[1]]


def _checked_benchmark(path: Path) -> tuple[SourceBars, list[str]]:
    """Return a price file's bars, repaired where they can be used to the end, and what a reader must know of them."""
    try:
        reading = read_file(path.stem, path)
    except UnreadableTableError as error:
        raise InputError(f"`--benchmark`: expected a price file, received {path}: {error}") from None
    checked = check_ticker(path.stem, reading)
    if len(checked.bars) and checked.last is None:
        return checked.bars, finding_warnings(checked.findings)
    # Nothing is bought and sold by it, and an index's early years have no opens: compared with it is still possible.
    bars = check_ticker(path.stem, reading, "none").bars
    bars = bars.take(np.append(True, bars.dates[1:] != bars.dates[:-1])[: len(bars)])
    first = next(finding for finding in checked.findings if finding.severity == "error")
    return bars, [f"{first}; its prices are compared with as they are."]


def _csv_benchmark(path: Path) -> tuple[pd.Series, pd.Series]:
    """Return the total-return opens and closes of a price file."""
    bars = _checked_benchmark(path)[0]
    factor = total_return_factor(bars)
    index = pd.DatetimeIndex(bars.dates)
    return pd.Series(bars.open * factor, index=index), pd.Series(bars.close * factor, index=index)
