"""Buy what the LSTM expects to rise and insiders have been buying."""

from __future__ import annotations

from typing import Any

from indicators.insider_pressure import InsiderPressure
from strategies.base import Signal
from strategies.lstm_only import LSTMOnly
from strategies.parameters import Range


class LSTMInsider(LSTMOnly):
    """Enter on the score where insiders buy more than they sell, exit as LSTMOnly.

    Parameters
    ----------
    min_insider_pressure : float
        Enter only above it; see `indicators.insider_pressure`.
    """

    params: Any = (("min_insider_pressure", 0.0),)
    needs_filings = True
    parameter_ranges = {"min_insider_pressure": Range(-1, 1)}

    def indicators(self, data: Any) -> dict[str, Any]:
        """Add what insiders do to the model's signal."""
        return {**super().indicators(data), "insiders": InsiderPressure(data)}

    def pressure(self, data: Any) -> float:
        """Return the insider pressure, NaN where filings do not reach."""
        return float(self.indicator(data, "insiders").pressure[0])

    def entry_signal(self, data: Any) -> Signal:
        """Buy above cost when insiders confirm."""
        reason = super().entry_signal(data)
        confirmed = self.pressure(data) > self.p.min_insider_pressure
        return f"{reason}, insider {self.pressure(data):.2f}" if reason and confirmed else None

    def rank(self, data: Any) -> float:
        """Prefer the highest score; insiders decide between scores that are alike to 0.01 %."""
        return round(self.score(data), 4) + 1e-5 * self.pressure(data)
