"""Risk of the whole portfolio: smaller in volatile markets, no new entries after a deep drawdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

SESSIONS_PER_YEAR = 252


def mean_return(returns: Iterable[float]) -> float:
    """Return the equal-weight mean of the stocks' returns of one session; NaN without any."""
    values = np.fromiter(returns, dtype=np.float64)
    return float(values.mean()) if values.size else math.nan


def market_volatility(returns: Iterable[float], lookback_sessions: int) -> float:
    """Return the annual volatility of the last sessions' mean returns.

    Parameters
    ----------
    returns : iterable of float
        Mean return of each session, oldest first; NaN sessions are left out.
    lookback_sessions : int

    Returns
    -------
    float
        Standard deviation (n - 1) times √252; NaN with fewer than `lookback_sessions` returns.
    """
    known = [value for value in returns if math.isfinite(value)][-lookback_sessions:]
    if len(known) < max(lookback_sessions, 2):
        return math.nan
    return float(np.std(known, ddof=1) * math.sqrt(SESSIONS_PER_YEAR))


def exposure_scale(target_volatility: float, volatility: float) -> float:
    """Return target over market volatility, at most 1; 1 while the market's volatility is unknown."""
    return min(1.0, target_volatility / volatility) if volatility > 0 else 1.0


@dataclass
class Room:
    """What entries may still cost, USD: in all, and in each sector.

    Attributes
    ----------
    total : float
        Left in all.
    per_sector : float
        A sector's limit.
    sectors : mapping of ticker to sector
        A stock without a sector is limited by `total` alone.
    """

    total: float
    per_sector: float
    sectors: Mapping[str, str]
    taken: dict[str, float] = field(default_factory=dict)

    def of(self, ticker: str) -> float:
        """Return what an entry in this stock may cost."""
        sector = self.sectors.get(ticker)
        return self.total if sector is None else min(self.total, self.per_sector - self.taken.get(sector, 0.0))

    def take(self, ticker: str, value: float) -> None:
        """Count a position of this value."""
        self.total -= value
        sector = self.sectors.get(ticker)
        if sector is not None:
            self.taken[sector] = self.taken.get(sector, 0.0) + value


@dataclass
class DrawdownRule:
    """Halts new entries after a drawdown.

    Entries stop when equity falls more than `max_drawdown_frac` below its highest, and start again
    when half of that is recovered, or after `cool_down_sessions`: then the highest is counted
    afresh, because a portfolio that may not buy cannot recover.

    Attributes
    ----------
    max_drawdown_frac : float
        1 never halts.
    cool_down_sessions : int
    """

    max_drawdown_frac: float
    cool_down_sessions: int
    peak: float = 0.0
    halted_sessions: int = 0

    def allows_entries(self, equity: float) -> bool:
        """Take a session's equity (USD, at the close) and tell whether entries may be decided."""
        self.peak = max(self.peak, equity)
        drawdown = 1 - equity / self.peak
        if self.halted_sessions == 0:
            self.halted_sessions = int(drawdown > self.max_drawdown_frac)
        elif drawdown <= self.max_drawdown_frac / 2:
            self.halted_sessions = 0
        elif self.halted_sessions >= self.cool_down_sessions:
            self.halted_sessions, self.peak = 0, equity
        else:
            self.halted_sessions += 1
        return self.halted_sessions == 0
