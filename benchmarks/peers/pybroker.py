"""The rule on PyBroker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pybroker import FeeMode, PriceType, Strategy, StrategyConfig

from benchmarks.engine_rule import CASH, COST_FRAC, FIELDS, Market, Outcome
from benchmarks.peers.decider import CREDIT, Decider


def pybroker(market: Market) -> Outcome:
    """Run PyBroker: one function before each session's executions, orders with a delay of one bar."""
    outcome, decider = Outcome(), Decider(market)

    def decide(contexts: Mapping[str, Any]) -> None:
        row, one = len(outcome.equity), next(iter(contexts.values()))
        equity = float(one.total_equity) - CREDIT
        outcome.equity.append(equity)
        outcome.cash.append(float(one.cash) - CREDIT)
        for column, size in decider.decide(row, equity):
            context = contexts[market.tickers[column]]
            outcome.orders += 1
            if size > 0:
                context.buy_shares, context.buy_fill_price = size, PriceType.OPEN
            else:
                context.sell_shares, context.sell_fill_price = -size, PriceType.OPEN

    config = StrategyConfig(
        initial_cash=CASH + CREDIT,
        fee_mode=FeeMode.ORDER_PERCENT,
        fee_amount=COST_FRAC * 100,
        round_fill_price=False,
        round_test_result=False,
    )
    days = pd.DatetimeIndex(market.sessions)
    strategy = Strategy(_long_frame(market), days[0], days[-1], config)
    strategy.add_execution(None, market.tickers)
    strategy.set_before_exec(decide)
    result = strategy.backtest(warmup=None)
    rows, columns = pd.Index(days), pd.Index(market.tickers)
    filled = result.orders
    signs = np.where(filled["type"] == "buy", 1, -1)
    found = zip(
        rows.get_indexer(pd.DatetimeIndex(filled["date"])),
        columns.get_indexer(filled["symbol"]),
        signs * filled["shares"].astype(float),
        filled["fill_price"].astype(float),
        strict=True,
    )
    outcome.fills = [(int(row), int(column), int(size), float(price)) for row, column, size, price in found]
    return outcome


def _long_frame(market: Market) -> pd.DataFrame:
    sessions, tickers = market.close.shape
    arrays = {name: getattr(market, name).T.ravel() for name in FIELDS}
    days = np.tile(pd.DatetimeIndex(market.sessions).to_numpy(), tickers)
    return pd.DataFrame({"symbol": np.repeat(market.tickers, sessions), "date": days, **arrays}).dropna()
