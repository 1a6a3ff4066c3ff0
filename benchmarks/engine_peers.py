"""The rule of `benchmarks.engine_rule` on other engines, as their documentation tells to write it.

Each function runs in the environment of `benchmarks/requirements-peers.txt`. Where an engine checks
cash it begins with credit, which is taken off again wherever the rule looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.engine_rule import BARS_HELD, CASH, COST_FRAC, FIELDS, PLACES, Market, Outcome, classes

CREDIT = 1_000_000.0


class _Decider:
    """The rule over arrays, for engines that ask for all stocks at once and fill at every next open."""

    def __init__(self, market: Market) -> None:
        self._classes, self._close = classes(*market.close.shape), market.close
        self.held: dict[int, int] = {}
        self.row_of_fill: dict[int, int] = {}

    def decide(self, row: int, equity: float) -> list[tuple[int, int]]:
        """Return (column, signed shares) of the orders of a close; each is taken to fill at the next open."""
        drawn = self._classes[row]
        leaving = [j for j in sorted(self.held) if drawn[j] == 0 or row - self.row_of_fill[j] >= BARS_HELD]
        orders = [(column, -self.held[column]) for column in leaving]
        places = PLACES - len(self.held) + len(leaving)
        for column in np.flatnonzero(drawn == 3).tolist() if places > 0 else ():
            size = int(equity / PLACES / self._close[row, column]) if column not in self.held else 0
            if size > 0 and places > 0:
                orders.append((column, size))
                places -= 1
        for column, size in orders:
            if size < 0:
                del self.held[column], self.row_of_fill[column]
            else:
                self.held[column], self.row_of_fill[column] = size, row + 1
        return orders


def pybroker(market: Market) -> Outcome:
    """Run PyBroker: one function before each session's executions, orders with a delay of one bar."""
    from pybroker import FeeMode, PriceType, Strategy, StrategyConfig

    outcome, decider = Outcome(), _Decider(market)

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


def bt(market: Market) -> Outcome:
    """Run bt, which has no orders: the rule's shares become holdings at the session after the decision.

    bt trades at one price a session, so it is given the opens; its equity is then that of the opens.
    """
    import bt as library

    days = pd.DatetimeIndex(market.sessions)
    opens = pd.DataFrame(market.open, index=days, columns=market.tickers)
    outcome, decider = Outcome(), _Decider(market)
    rows = {day: row for row, day in enumerate(days)}

    class Decide(library.Algo):
        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[tuple[int, int]] = []
            self.shares: dict[int, int] = {}

        def __call__(self, target: Any) -> bool:
            if target.now not in rows:  # bt begins a day before the first
                return True
            row = rows[target.now]
            for column, size in self.waiting:
                target.transact(size, market.tickers[column])
                self.shares[column] = self.shares.get(column, 0) + size
                outcome.fills.append((row, column, size, float(market.open[row, column])))
            cash = float(target.capital)
            equity = cash + float(sum(size * market.close[row, column] for column, size in self.shares.items()))
            outcome.cash.append(cash - CREDIT)
            outcome.equity.append(equity - CREDIT)
            self.waiting = decider.decide(row, equity - CREDIT)
            outcome.orders += len(self.waiting)
            return True

    strategy = library.Strategy("rule", [Decide()], market.tickers)

    def fee(size: float, price: float) -> float:
        return abs(size) * price * COST_FRAC

    test = library.Backtest(strategy, opens, initial_capital=CASH + CREDIT, commissions=fee, progress_bar=False)
    test.run()
    return outcome
