"""The rule that every engine of `benchmarks.engine` trades, and the ledger that says what is right.

Needs NumPy alone, so that each peer can import it in an environment of its own.

The rule. Every session and stock has a class from 0 to 3, drawn once and known at the close (a stand-in
for a model's prediction). At each close, tickers ascending: close positions of class 0 or held for 10
bars since the fill; then, while fewer than 20 are held after these exits, buy class 3 not held
(one that is being closed counts as held), floor(equity / 20 / close) shares. All at the next open,
5 basis points of the value per side, 1,000,000 of cash, no check of it.

Where a stock does not trade: it decides nothing that day, an order waits for its next bar, and a
position whose stock has no bar left is sold at the last close on the session after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CASH, COST_FRAC, PLACES, BARS_HELD = 1_000_000.0, 5e-4, 20, 10
FIELDS = ("open", "high", "low", "close", "volume")
Fill = tuple[int, int, int, float]


@dataclass(frozen=True)
class Market:
    """Prices of the benchmark, NaN where a stock did not trade.

    Attributes
    ----------
    sessions : ndarray of datetime64[D], shape [T]
    tickers : list of str, length N
        Sorted.
    open, high, low, close, volume : ndarray of float64, shape [T, N]
    """

    sessions: np.ndarray
    tickers: list[str]
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray

    def write(self, path: Path) -> None:
        """Write the arrays to one .npz file."""
        arrays = {name: getattr(self, name) for name in FIELDS}
        np.savez(path, sessions=self.sessions, tickers=np.array(self.tickers), **arrays)

    @staticmethod
    def read(path: Path) -> Market:
        """Read what `write` wrote."""
        with np.load(path) as file:
            arrays = {name: file[name] for name in FIELDS}
            return Market(file["sessions"], file["tickers"].tolist(), **arrays)


@dataclass
class Outcome:
    """What an engine did.

    Attributes
    ----------
    orders : int
        Orders that were sent.
    fills : list of (session row, ticker column, signed shares, price)
    cash, equity : list of float, length T
        USD at each close; empty where an engine does not tell.
    """

    orders: int = 0
    fills: list[Fill] = field(default_factory=list)
    cash: list[float] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)


def rounded(market: Market) -> Market:
    """Round prices to 3 decimals and widen high and low to the body."""
    open_, high, low, close = (np.round(getattr(market, name), 3) for name in FIELDS[:4])
    high, low = np.maximum(high, np.maximum(open_, close)), np.minimum(low, np.minimum(open_, close))
    return Market(market.sessions, market.tickers, open_, high, low, close, market.volume)


def classes(sessions: int, tickers: int) -> np.ndarray:
    """Return the class of every session and stock, shape [T, N]: 0 and 3 in one of twenty each."""
    rng = np.random.default_rng(1)
    drawn = rng.random((sessions, tickers))
    middle = rng.integers(1, 3, (sessions, tickers))
    return np.asarray(np.where(drawn < 0.05, 0, np.where(drawn >= 0.95, 3, middle)))


class Ledger:
    """The rule in plain Python over arrays: the reference."""

    def __init__(self, market: Market) -> None:
        self._market, self._traded = market, np.isfinite(market.close)
        self._classes = classes(*market.close.shape)
        self._bars = np.cumsum(self._traded, axis=0)
        self._last_row = len(market.close) - 1 - self._traded[::-1].argmax(axis=0)
        self._cash = CASH
        self._shares: dict[int, int] = {}
        self._filled_bar: dict[int, int] = {}
        self._waiting: dict[int, int] = {}
        self._marks = np.full(market.close.shape[1], np.nan)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Trade every session."""
        for row in range(len(self._market.close)):
            self._leave_ended(row)
            self._open(row)
            self._marks = np.where(self._traded[row], self._market.close[row], self._marks)
            self.outcome.cash.append(self._cash)
            self.outcome.equity.append(self._cash + sum(n * self._marks[j] for j, n in self._shares.items()))
            self._decide(row)
        return self.outcome

    def _leave_ended(self, row: int) -> None:
        for column in [j for j in self._waiting if self._last_row[j] < row]:
            del self._waiting[column]
        for column in sorted(j for j in self._shares if self._last_row[j] < row):
            self._fill(row, column, -self._shares[column], self._marks[column])

    def _open(self, row: int) -> None:
        ready = [j for j in self._waiting if self._traded[row, j]]
        for column in sorted(ready, key=lambda j: self._waiting[j] > 0):
            self._fill(row, column, self._waiting.pop(column), self._market.open[row, column])

    def _fill(self, row: int, column: int, size: int, price: float) -> None:
        self._cash -= size * price + abs(size) * price * COST_FRAC
        if size > 0:
            self._shares[column], self._filled_bar[column] = size, self._bars[row, column]
        else:
            del self._shares[column], self._filled_bar[column]
        self.outcome.fills.append((row, column, size, float(price)))

    def _decide(self, row: int) -> None:
        closing = [j for j in sorted(self._shares) if self._leaves(row, j)]
        for column in closing:
            self._send(column, -self._shares[column])
        held = {*self._shares, *self._waiting}
        places = PLACES - (len(held) - sum(size < 0 for size in self._waiting.values()))
        for column in np.flatnonzero((self._classes[row] == 3) & self._traded[row]).tolist():
            if places <= 0:
                return
            size = int(self.outcome.equity[-1] / PLACES / self._marks[column])
            if column not in held and size > 0:
                self._send(column, size)
                places -= 1

    def _leaves(self, row: int, column: int) -> bool:
        if column in self._waiting or not self._traded[row, column]:
            return False
        held = self._bars[row, column] - self._filled_bar[column]
        return bool(self._classes[row, column] == 0 or held >= BARS_HELD)

    def _send(self, column: int, size: int) -> None:
        self._waiting[column] = size
        self.outcome.orders += 1


def same(found: Outcome, right: Outcome) -> bool:
    """Say whether fills agree (prices to 1e-9), and cash and equity of every session to the cent."""
    if len(found.fills) != len(right.fills) or found.orders != right.orders:
        return False
    one, other = (np.array(sorted(outcome.fills)) for outcome in (found, right))
    if not np.allclose(one, other, rtol=0, atol=1e-9):
        return False
    pairs = ((found.cash, right.cash), (found.equity, right.equity))
    return all(len(a) == len(b) and np.allclose(a, b, rtol=0, atol=0.005) for a, b in pairs)
