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


@pytest.mark.parametrize("question", ["bars_needed", "compute"])
def test_column_indicator_names_the_question_that_was_not_answered(make_panel, question):
    answers = {"bars_needed": lambda self: 1, "compute": lambda self, bars: bars.close[:, None]}
    del answers[question]
    made = type(ColumnIndicator)(
        f"No{question}", (ColumnIndicator,), {"lines": ("x",), "__module__": __name__, **answers}
    )
    with pytest.raises(NotImplementedError, match=f"No{question}.{question}"):
        observe(make_panel(sessions=5, tickers=1).bars("T000"), lambda data: made(data), mode=(False, False))
