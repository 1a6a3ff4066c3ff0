"""Buy what the LSTM expects to rise by more than it costs to trade."""

from __future__ import annotations

from typing import Any

from indicators.lstm_signal import LSTMSignal
from strategies.base import Signal, SwingStrategy
from strategies.parameters import Range


class LSTMOnly(SwingStrategy):
    """Enter on the score, exit on the score, the stop or time.

    Parameters
    ----------
    entry_cost_multiple : float
        Enter when the score is above this many round-trip costs.
    exit_score : float
        Sell when the score falls below; 0 is "expected to lag".
    """

    params: Any = (("entry_cost_multiple", 1.0), ("exit_score", 0.0))
    parameter_ranges = {"entry_cost_multiple": Range(0), "exit_score": Range(-1, 1)}

    def indicators(self, data: Any) -> dict[str, Any]:
        """Give each stock the model's signal."""
        return {"lstm": LSTMSignal(data, predictor=self.p.predictor)}

    def score(self, data: Any) -> float:
        """Return the expected return over the model's horizon."""
        return float(self.indicator(data, "lstm").score[0])

    def entry_signal(self, data: Any) -> Signal:
        """Buy above cost; a score that is NaN is above nothing."""
        if self.score(data) > self.p.entry_cost_multiple * self.p.round_trip_cost_frac:
            return f"score {self.score(data):.4f}"
        return None

    def exit_signal(self, data: Any) -> Signal:
        """Sell what the model has turned against."""
        return "score" if self.score(data) < self.p.exit_score else None

    def rank(self, data: Any) -> float:
        """Prefer the highest score."""
        return self.score(data)
