"""The rule on bt."""

from __future__ import annotations

from typing import Any

import bt as library
import pandas as pd

from benchmarks.engine_rule import CASH, COST_FRAC, Market, Outcome
from benchmarks.peers.decider import CREDIT, Decider


def bt(market: Market) -> Outcome:
    """Run bt, which has no orders: the rule's shares become holdings at the session after the decision.

    bt trades at one price a session, so it is given the opens; its equity is then that of the opens.
    """
    days = pd.DatetimeIndex(market.sessions)
    opens = pd.DataFrame(market.open, index=days, columns=market.tickers)
    outcome, decider = Outcome(), Decider(market)
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
