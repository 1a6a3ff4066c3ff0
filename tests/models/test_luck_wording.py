from __future__ import annotations

import numpy as np
import pytest

from models.controls import Placebo
from models.luck_wording import placebo_sentence, trials_sentence

DRAWS = Placebo(np.arange(-9, 11) / 100, 0.5)


def test_placebo_sentence_says_whether_the_model_beats_luck():
    head = (
        "Placebo: 20 fits of the same model on labels dealt out anew within each session reached a rank correlation of "
        "0.0050 on average (standard deviation 0.0592); luck alone exceeds 0.0995 once in twenty times. The model's "
    )
    assert placebo_sentence({"placebo": DRAWS.beside(0.2)}) == (
        head + "0.2000 is above that: 0 of the 20 did as well or better."
    )
    assert placebo_sentence({"placebo": DRAWS.beside(-0.085)}) == (
        head + "\N{MINUS SIGN}0.0850 is not above that: 19 of the 20 did as well or better."
    )
    assert placebo_sentence({}) == ""


def test_placebo_sentence_warns_of_a_placebo_that_is_off_its_centre():
    told = placebo_sentence({"placebo": Placebo(np.arange(11, 31) / 1000, 4.2).beside(0.05)})
    assert "lies more than three of its standard errors from 0 (0.0205, HAC t 4.2)" in told
    assert told.endswith("Compare the model with the bound, not with 0.")


def test_placebo_sentence_without_a_coefficient_compares_nothing():
    assert placebo_sentence({"placebo": DRAWS.beside(float("nan"))}).endswith("there is nothing to compare with.")


@pytest.mark.parametrize(
    ("trials", "text"),
    [
        (None, "Trials: not counted."),
        ({"number": None, "of": 0}, "Trials: not counted."),
        ({"number": 1, "of": 1}, "Trials: this is the only specification tried on these prices, as far as this cache"),
        ({"number": 3, "of": 7}, "Trials: this is the 3rd of 7 specifications tried"),
        ({"number": 11, "of": 22}, "Trials: this is the 11th of 22 specifications tried"),
        ({"number": 22, "of": 22}, "Trials: this is the 22nd of 22 specifications tried"),
        ({"number": None, "of": 1}, "Trials: one specification was tried on these prices"),
        ({"number": None, "of": 4}, "Trials: 4 specifications were tried on these prices"),
    ],
)
def test_trials_sentence_says_which_of_how_many(trials, text):
    assert trials_sentence({"trials": trials}).startswith(text)
