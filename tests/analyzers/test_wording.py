from __future__ import annotations

import math

import pandas as pd
import pytest

from analyzers import wording
from analyzers.wording import model_verdict, verdict

RESULT = {
    "total_return": 0.1234,
    "n_trades": 112,
    "n_open_trades": 12,
    "sessions_in_market": 252,
    "sharpe": 0.31,
    "sharpe_low": -0.5,
    "sharpe_high": 1.1,
    "benchmark_total_return": -0.02,
}


def said(**changes: object) -> str:
    return verdict(RESULT | changes, "2017-01-03", pd.Timestamp("2020-01-31"), "equal weight").replace("\xa0", " ")


def test_verdict_interval_around_zero_says_luck_could_give_it():
    assert said() == (
        "Over 2017-01-03 to 2020-01-31 the strategy returned 12.3 % after costs, the benchmark (equal weight) −2.0 %. "
        "Its Sharpe ratio is 0.31, 95 % interval −0.50 to 1.10, which includes 0: luck alone could give this."
    )


def test_verdict_interval_above_zero_claims_skill_only_for_a_single_try():
    assert said(sharpe_low=0.1).endswith("more than luck alone would give, if this was the only strategy tried.")


def test_verdict_of_the_best_of_many_deflates_the_sharpe_ratio():
    assert said(sharpe_low=0.1, tried=7, luck_sharpe=0.62, deflated_sharpe=0.815).endswith(
        "more than luck alone would give, had it been the only one tried. But 7 specifications were tried on these "
        "prices, as far as is known; by luck alone the best of so many would show a Sharpe ratio of 0.62, and the true "
        "one exceeds that with a probability of 81.5 %."
    )


def test_verdict_interval_below_zero_says_worse_than_luck():
    assert said(sharpe=-2.0, sharpe_low=-3.0, sharpe_high=-1.0).endswith("−1.00: worse than luck alone would give.")


ALPHA = {"beta": 0.5, "alpha": 0.03, "alpha_low": -0.01, "alpha_high": 0.07}


def test_verdict_with_a_benchmark_judges_what_was_earned_beyond_its_moves():
    assert said(sharpe_low=0.1, **ALPHA).endswith(
        "interval 0.10 to 1.10. Beyond its share of the benchmark's moves (beta 0.50) it earned 3.0 % a year, "
        "95 % interval −1.0 % to 7.0 %, which includes 0: luck alone could give this."
    )
    assert "more than luck" in said(**ALPHA | {"alpha_low": 0.001})


@pytest.mark.parametrize("few", [{"n_trades": 111}, {"sessions_in_market": 251}])
def test_verdict_on_few_trades_or_sessions_refuses_to_judge(few):
    assert said(sharpe_low=0.1, **few).endswith(
        f"With {few.get('n_trades', 112) - 12} closed trades and {few.get('sessions_in_market', 252)} sessions with a "
        "position this is too little to tell skill from luck."
    )


def test_verdict_without_benchmark_compares_with_nothing():
    assert "benchmark" not in said(benchmark_total_return=None)


def test_verdict_unnamed_benchmark_is_called_the_benchmark():
    assert ", the benchmark \N{MINUS SIGN}2.0" in verdict(RESULT, "2017-01-03", "2018-01-03")


def test_verdict_without_trades_judges_nothing():
    assert said(n_trades=0) == (
        "Over 2017-01-03 to 2020-01-31 the strategy made no trade, the benchmark (equal weight) −2.0 %. "
        "There is nothing to judge."
    )


def test_verdict_without_variance_gives_no_sharpe():
    assert said(sharpe=None, sharpe_low=None, sharpe_high=None).endswith("so no Sharpe ratio can be given.")


def test_verdict_of_one_session_judges_nothing():
    assert verdict({"total_return": None}, None, None) == (
        "The run has fewer than two sessions, so there is nothing to judge."
    )


POOLED = {
    "log_loss": 1.38,
    "prior_log_loss": 1.386,
    "information_coefficient": 0.02,
    "information_coefficient_t": 3.0,
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Out of sample the model beat its class prior: log-loss 1.3800 against 1.3860, a skill of 0.43 %."),
        ({"log_loss": 1.39}, "did not beat its class prior: log-loss 1.3900 against 1.3860, a skill of −0.29 %."),
        ({}, "It ranked the stocks better than chance (mean rank correlation 0.0200, t = 3.0)."),
        ({"information_coefficient_t": 1.9}, "Its ranking of the stocks cannot be told from chance"),
        ({"information_coefficient_t": -2.5}, "It ranked the stocks worse than chance"),
        ({"information_coefficient": float("nan")}, "Its ranking of the stocks could not be measured."),
        ({"log_loss": None}, "No out-of-sample prediction has a known outcome yet"),
    ],
)
def test_model_verdict_says_what_was_measured(changes, sentence):
    assert sentence in model_verdict(POOLED | changes).replace("\xa0", " ")


def test_model_verdict_without_evaluation_judges_nothing():
    assert "cannot be judged" in model_verdict(None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.percent(-0.0004), "0.0 %"),
        (wording.percent(None), "–"),
        (wording.percent(float("nan")), "–"),
        (wording.number(-1234.5), "−1,234.50"),
        (wording.usd(1e6), "1,000,000 USD"),
        (wording.day(pd.NaT), "–"),
        (wording.plain(True), "yes"),
        (wording.plain(20240101, grouped=False), "20240101"),
        (wording.plain(100000.0), "100,000"),
        (wording.plain(0.0005), "0.0005"),
        (wording.plain(None), "–"),
        (wording.plain([]), "–"),
        (wording.plain(["AAA", 2]), "AAA, 2"),
        (wording.plain({"a": 1, "b": False}), "a = 1, b = no"),
        (wording.plain(pd.Timestamp("2020-01-02")), "2020-01-02"),
    ],
)
def test_numbers_are_written_for_people(text, expected):
    assert text.replace("\xa0", " ") == expected


def test_model_verdict_of_saved_predictions_is_about_their_ranking():
    pooled = {"n_labels": 9, "log_loss": math.nan, "information_coefficient": 0.05, "information_coefficient_t": 4.0}
    assert model_verdict(pooled) == (
        "Of saved predictions only the ranking is measured. "
        "It ranked the stocks better than chance (mean rank correlation 0.0500, t = 4.0)."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.99999, "> 99.9 %"), (1.0, "> 99.9 %"), (0.999, "99.9 %"), (0.5, "50.0 %"), (0.00001, "< 0.1 %"), (None, "–")],
)
def test_probability_is_never_shown_as_certain(value: float | None, text: str):
    assert wording.probability(value).replace("\xa0", " ") == text
