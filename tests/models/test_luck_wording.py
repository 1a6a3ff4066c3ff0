from __future__ import annotations

import numpy as np
import pytest

from models.controls import Placebo
from models.luck_wording import holdout_sentence, placebo_sentence, trials_sentence

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


def test_holdout_sentence_tells_a_sealed_one_and_an_opened_one_alone():
    assert holdout_sentence({}) == ""
    sealed = {"status": "sealed", "from": "2023-01-03"}
    assert holdout_sentence({"holdout": sealed}).startswith("Sealed from 2023-01-03 on: nothing here was learned")
    measures = {"information_coefficient": 0.0123, "information_coefficient_t": 1.5, "log_loss": 1.38}
    opened = {"status": "opened", "from": "2023-01-03", "opened_at": "2026-01-02T03:04:05+00:00", "look": 1, "looks": 1}
    opened["measures"] = measures | {"prior_log_loss": float("nan")}
    told = (
        "Holdout (opened 2026-01-02), the sessions from 2023-01-03 on alone: rank correlation 0.0123 (t 1.5), "
        "log-loss 1.3800 against - of the class prior. Figures over all test sessions contain it."
    )
    assert holdout_sentence({"holdout": opened}) == told
    assert holdout_sentence({"holdout": opened | {"look": 2, "looks": 3}}) == (
        f"{told} This is look 2 of 3: what was chosen after a look is not out of sample."
    )


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
