"""The features of a stock's newest bar, at a cost that does not grow with its history.

The formulas are those of `models.features` and `models.level_features`; what reaches back to the first bar is
carried (`models.running_averages`), everything else looks at the last bars alone.
"""

from __future__ import annotations

import numpy as np

from feeds.panel import BAR_FIELDS, Bars
from models.features import Measure, bar_quantities, price_columns, told_quantities
from models.level_features import level_columns
from models.running_averages import RunningAverages

_TAIL_BARS = 64
"""The longest window of a quantity, 63 bars, and the close before it."""
_NOTHING = np.asarray(np.nan)


class NewestFeatures:
    """Features of one stock's newest bar, carried from bar to bar.

    Notes
    -----
    **Known at** the close of the newest bar.
    """

    def __init__(self) -> None:
        self._averages = RunningAverages()
        self._told: dict[str, np.ndarray] = {}
        self._sigma_before: np.ndarray = _NOTHING
        self._close = np.empty(0)
        self._tail: dict[str, np.ndarray] = {}

    def follow(self, bars: Bars) -> None:
        """Take in the bars that were not seen yet; `bars` is the history so far, at least one bar."""
        if len(bars) == len(self._averages):
            return
        if len(bars) - len(self._averages) > 1:
            self._follow_averages(_cut(bars, 0, len(bars) - 1))
        self._sigma_before = self._told.get("sigma", _NOTHING)
        self._follow_averages(bars)
        self._close = bars.close
        self._tail = bar_quantities(_cut(bars, max(len(bars) - _TAIL_BARS, 0), len(bars)))

    def price_features(self) -> dict[str, np.ndarray]:
        """Return the last row of `models.features.price_features` by column."""
        return price_columns(self)

    def level_features(self, bars: Bars) -> dict[str, np.ndarray]:
        """Return the last row of `models.level_features.level_features` by column."""
        newest = _cut(bars, len(bars) - 1, len(bars))
        return {name: np.ravel(values)[0] for name, values in level_columns(newest, self._told).items()}

    @property
    def sigma(self) -> np.ndarray:
        """The last value of `models.features.volatility`."""
        return self._told["sigma"]

    def __getitem__(self, name: str) -> np.ndarray:
        return self._told[name] if name in self._told else np.asarray(self._tail[name][-1])

    def before(self, name: str, bars: int) -> np.ndarray:
        """Return the close so many bars ago, or the volatility one bar ago."""
        if name == "sigma":
            return self._sigma_before
        return self._close[-1 - bars] if len(self._close) > bars else _NOTHING

    def rolling(self, name: str, bars: int, measure: Measure) -> np.ndarray:
        """Return `measure` of the last `bars` values, NaN until there are so many."""
        values = self._tail[name]
        return measure(values[None, -bars:])[0] if len(values) >= bars else _NOTHING

    def age(self) -> np.ndarray:
        """Return how many bars of the stock came before."""
        return np.asarray(len(self._close) - 1)

    def _follow_averages(self, bars: Bars) -> None:
        self._averages.follow(bars)
        self._told = told_quantities(self._averages.told(), bars.close[-1])


def _cut(bars: Bars, first: int, stop: int) -> Bars:
    return Bars(*(getattr(bars, name)[first:stop] for name in ("sessions", *BAR_FIELDS)))
