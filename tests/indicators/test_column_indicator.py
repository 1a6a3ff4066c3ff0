from __future__ import annotations

import numpy as np
import pytest

from indicators.column_indicator import ColumnIndicator
from tests.contracts import IndicatorContract, observe


class Momentum(ColumnIndicator):
    lines = ("momentum",)
    params = (("period", 10),)

    def bars_needed(self):
        return self.p.period + 1

    def compute(self, bars):
        momentum = np.full(len(bars), np.nan)
        momentum[self.p.period :] = bars.close[self.p.period :] / bars.close[: -self.p.period] - 1
        return momentum[:, None]


class TestAUsersIndicator(IndicatorContract):
    def make(self, data, **params):
        return Momentum(data, **params)


class Peeking(ColumnIndicator):
    """Shows the next bar's close, where the whole column is at hand."""

    lines = ("close",)

    def bars_needed(self):
        return 1

    def compute(self, bars):
        return np.append(bars.close[1:], bars.close[-1])[:, None]


def test_contract_catches_an_indicator_that_sees_the_future(make_panel):
    class Contract(IndicatorContract):
        def make(self, data, **params):
            return Peeking(data, **params)

    bars = make_panel(sessions=160, tickers=1).bars("T000")
    whole = observe(bars, Contract().make)
    other_modes = (True, False)
    with pytest.raises(AssertionError):
        Contract().test_changing_the_future_leaves_the_past(bars, whole)
    with pytest.raises(AssertionError):
        Contract().test_cutting_history_leaves_the_last_value(bars, whole, 60, (True, True))
    with pytest.raises(AssertionError):
        Contract().test_run_modes_agree(bars, whole, other_modes, make_panel)


@pytest.mark.parametrize("question", ["bars_needed", "compute"])
def test_column_indicator_names_the_question_that_was_not_answered(make_panel, question):
    answers = {"bars_needed": lambda self: 1, "compute": lambda self, bars: bars.close[:, None]}
    del answers[question]
    made = type(ColumnIndicator)(
        f"No{question}", (ColumnIndicator,), {"lines": ("x",), "__module__": __name__, **answers}
    )
    with pytest.raises(NotImplementedError, match=f"No{question}.{question}"):
        observe(make_panel(sessions=5, tickers=1).bars("T000"), lambda data: made(data), mode=(False, False))
