"""What the adapters of other engines share."""

from __future__ import annotations

import numpy as np

from benchmarks.engine_rule import BARS_HELD, PLACES, Market, classes

CREDIT = 1_000_000.0


class Decider:
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
