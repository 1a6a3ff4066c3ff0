"""Which stock a row belongs to, as inputs of the network.

Stocks are numbered from 1 in the order of their names among those with a bar to fit on, so that neither the order
of a file nor a stock that comes later changes a number. Number 0 stands for a stock that the network was not
fitted on: all bits 0 under ``binary``, the mean of the trained vectors under ``embedding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import spec


@dataclass(frozen=True)
class TickerCode:
    """The numbers of one training window's stocks.

    Attributes
    ----------
    kind : str
        ``none``, ``binary`` or ``embedding``.
    names : tuple of str
        Stocks in the order of their numbers; empty under ``none``.
    """

    kind: spec.TickerCode = "none"
    names: tuple[str, ...] = ()

    @staticmethod
    def fit(kind: spec.TickerCode, tickers: Sequence[str]) -> TickerCode:
        """Return the numbers of the stocks `tickers`, each of which has a bar to fit on."""
        return TickerCode(kind, () if kind == "none" else tuple(sorted(set(tickers))))

    @property
    def width(self) -> int:
        """Columns that `columns` returns."""
        if self.kind == "none":
            return 0
        return 1 if self.kind == "embedding" else len(self.names).bit_length()

    def numbers(self, tickers: Sequence[str]) -> np.ndarray:
        """Return the number of each of `tickers`, int64, 0 for one that is not known."""
        number = {name: i for i, name in enumerate(self.names, start=1)}
        return np.array([number.get(ticker, 0) for ticker in tickers], dtype=np.int64)

    def columns(self, numbers: np.ndarray) -> np.ndarray:
        """Return the inputs [R, width] of rows of these stocks: the bits, highest first, or the number itself."""
        if self.kind == "binary":
            shifts = np.arange(self.width)[::-1]
            return ((numbers[:, None] >> shifts) & 1).astype(float)
        return np.repeat(numbers[:, None].astype(float), self.width, axis=1)

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, as JSON can hold it."""
        return {"kind": self.kind, "names": list(self.names)}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> TickerCode:
        """Read what `as_dict` returned; raises KeyError or TypeError for anything else."""
        return TickerCode(stored["kind"], tuple(stored["names"]))
