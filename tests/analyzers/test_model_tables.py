from __future__ import annotations

from typing import Any

from analyzers.model_tables import (
    ablation_table,
    comparison_sentence,
    markdown,
    reliability_table,
    rivals_table,
    screen,
    seeds_sentence,
    shortened,
    years_table,
)

POOLED: dict[str, Any] = {
    "n_sessions": 250,
    "n_labels": 1234,
    "n_names": 12,
    "log_loss": 1.38,
    "log_loss_skill": 0.004,
    "information_coefficient": 0.0213,
    "information_coefficient_low": -0.01,
    "information_coefficient_high": 0.05,
    "information_coefficient_t": 1.5,
    "positive_share": 0.54,
    "turnover": 0.2,
    "reliability": [{"n": 10, "forecast": 0.48, "came": 0.5}, {"n": 10, "forecast": 0.52, "came": 0.49}],
}
RIVAL = {"name": "logistic", "pooled": POOLED, "advantage": {"mean": -0.0012, "t": -0.4}}
MODEL: dict[str, Any] = {
    "name": "tiny",
    "pooled": POOLED,
    "years": [{"year": 2020, **POOLED}],
    "baselines": [RIVAL],
    "verdict": "does not beat logistic (paired daily rank correlation -0.0012, HAC t -0.4).",
    "ablation": [{**RIVAL, "name": "prices only"}],
    "seeds": {"n": 3, "information_coefficient": {"mean": 0.02, "sd": 0.004}},
}


def cell(table: Any, row: int, name: str) -> str:
    return table.rows[row][table.head.index(name)]


def test_rivals_table_shows_each_models_figures_and_the_advantage():
    table = rivals_table(MODEL)
    assert [row[0] for row in table.rows] == ["tiny", "logistic"]
    assert cell(table, 0, "Advantage of the model") == ""
    assert cell(table, 1, "Advantage of the model") == "\N{MINUS SIGN}0.0012"
    assert cell(table, 1, "Rank correlation") == "0.0213"
    assert cell(table, 1, "95\N{NO-BREAK SPACE}% interval") == "\N{MINUS SIGN}0.0100 to 0.0500"
    assert cell(table, 1, "Breakeven cost, bp") == "\N{EN DASH}"


def test_years_and_ablation_tables_name_their_rows():
    assert [row[0] for row in years_table(MODEL).rows] == ["2020", "All"]
    opened = {"status": "opened", "from": "2020-07-01", "opened_at": "2026-01-02T03:04:05+00:00"}
    opened |= {"measures": {**POOLED, "information_coefficient": 0.0999}, "before": POOLED}
    table = years_table({**MODEL, "holdout": opened})
    assert [row[0] for row in table.rows] == ["2020", "Before the holdout", "Holdout (opened 2026-01-02)", "All"]
    assert (table.summary_rows, cell(table, 2, "Rank correlation")) == (3, "0.0999")
    assert years_table({**MODEL, "holdout": {"status": "sealed"}}) == years_table(MODEL)
    assert [row[0] for row in ablation_table(MODEL).rows] == ["prices + filings", "prices only"]
    assert [row[1:] for row in reliability_table(MODEL).rows] == [["10", "0.480", "0.500"], ["10", "0.520", "0.490"]]


def test_shortened_table_keeps_what_decides_and_no_more_than_fits():
    table = shortened(rivals_table(MODEL))
    assert table is not None
    assert table.head[0] == "Model"
    assert cell(table, 1, "Advantage of the model") == "\N{MINUS SIGN}0.0012"
    assert "RPS skill" not in table.head
    assert len(table.head) == len(table.rows[0]) == 12
    assert shortened(None) is None


def test_tables_of_predictions_without_an_evaluation_are_left_out():
    for table in (rivals_table, years_table, ablation_table, reliability_table):
        assert table({"name": "tiny"}) is None
    assert screen({"name": "tiny"}) == ""


def test_comparison_sentence_says_the_verdict_or_that_there_is_none():
    assert comparison_sentence(MODEL).startswith("On the same folds the model does not beat logistic")
    assert "add `--against logistic,gradient_boosting`" in comparison_sentence({"baselines": [RIVAL]})
    assert comparison_sentence({}) == ""


def test_seeds_sentence_has_mean_and_spread_and_is_silent_for_one_seed():
    assert "Each of the 3 seeds alone" in seeds_sentence(MODEL)
    assert "rank correlation 0.0200 ± 0.0040" in seeds_sentence(MODEL)
    assert seeds_sentence({"seeds": {}}) == ""


def test_markdown_has_every_table_with_measures_as_rows():
    text = markdown(MODEL, ["It did not beat its prior.", ""])
    assert text.startswith("# Evaluation of tiny\n\nIt did not beat its prior.\n\n## The model beside")
    assert "| Rank correlation" in text
    assert text.count("\n## ") == 4
