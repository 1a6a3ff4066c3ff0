"""What is written and said of a run, from made-up figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from engine.inputs import Inputs
from engine.outputs import (
    comparison_lines,
    coverage_caveats,
    data_facts,
    figures_table,
    json_safe,
    model_lines,
    model_table,
    warning_lines,
    write_evaluation,
    write_json,
    write_tables,
)
from feeds.transaction_table import Coverage, TransactionTable, frame_of_filings, ticker_frame

DAYS = pd.date_range("2020-01-06", periods=10, freq="D", name="session")
POOLED = {
    "log_loss": 1.3,
    "prior_log_loss": 1.35,
    "balanced_accuracy": 0.27,
    "information_coefficient": 0.0123,
    "information_coefficient_t": 2.5,
}


def inputs(make_panel, first: str | None = None, last: str | None = None, **changes) -> Inputs:
    """Inputs whose filings cover `first` to `last`; without them there are no filings."""
    panel = replace(make_panel(sessions=20, tickers=3), **changes)
    filings = None
    if first is not None:
        coverage = Coverage(pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))
        filings = SimpleNamespace(coverage=coverage, n_filings=4, rows=[1, 2])
    return Inputs(panel, filings, {}, [], [])


def trading() -> SimpleNamespace:
    equity = pd.DataFrame({"value": np.arange(10.0)}, index=DAYS)
    trades = pd.DataFrame({"ticker": ["A"], "entry_session": [DAYS[1]], "reason": ["score"]})
    names = ("total_return", "cagr", "sharpe", "max_drawdown")
    metrics = dict.fromkeys(names, 0.5) | {f"benchmark_{name}": -0.25 for name in names}
    metrics |= {"sharpe_low": 0.1, "sharpe_high": 0.9, "n_trades": 7, "win_rate": 0.5, "exposure": 0.8}
    result = SimpleNamespace(equity=equity, trades=trades, orders=trades.iloc[:0])
    return SimpleNamespace(result=result, benchmark=pd.Series(range(9), index=DAYS[:9]), metrics=metrics)


def test_json_safe_has_no_value_that_json_lacks():
    found = json_safe({1: float("nan"), "a": (np.inf, 2.5), "b": {"day": pd.Timestamp("2020-01-02").date()}, "c": None})
    assert found == {"1": None, "a": [None, 2.5], "b": {"day": "2020-01-02"}, "c": None}


def test_write_json_is_strict_and_ends_in_a_newline(tmp_path: Path):
    write_json({"x": float("nan")}, tmp_path / "m.json")
    text = (tmp_path / "m.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {"x": None}


def test_write_tables_lays_the_benchmark_beside_equity_and_repeats_its_bytes(tmp_path: Path):
    write_tables(trading(), tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_tables(trading(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert set(first) == {"trades.csv", "orders.csv", "equity.csv"}
    assert first["equity.csv"].decode().splitlines()[:2] == ["session,value,benchmark", "2020-01-06,0.0,0.0"]
    assert first["equity.csv"].decode().splitlines()[-1] == "2020-01-15,9.0,"
    assert first["trades.csv"].decode().splitlines()[1] == "A,2020-01-07,score"
    assert first["orders.csv"].decode().splitlines() == ["ticker,entry_session,reason"]


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        ("as_traded", "as traded"),
        ("split_adjusted", "split adjusted"),
        ("fully_adjusted", "taken as they are: .*is unknown"),
    ],
)
def test_data_facts_claim_no_adjustment_that_the_source_does_not_state(make_panel, basis: str, said: str):
    fact = data_facts(inputs(make_panel, price_basis=basis))["Prices as the source has them"]
    assert pd.Series([fact]).str.fullmatch(said).all()


def test_data_facts_count_filings_and_their_span(make_panel):
    facts = data_facts(inputs(make_panel, "2020-01-06", "2020-01-15"))
    assert (facts["Form 4 filings"], facts["Transactions"], facts["Stocks"]) == (4, 2, 3)
    assert facts["First acceptance, UTC"] == pd.Timestamp("2020-01-06", tz="UTC")
    assert data_facts(inputs(make_panel))["Filings"] == "none"


def source(panel, first: str, until: str | None = None, tickers=("T000", "T001", "T002")) -> TransactionTable:
    """A source without a transaction that covers some of the panel's stocks."""
    start = pd.Timestamp(first, tz="UTC")
    end = None if until is None else pd.Timestamp(until, tz="UTC")
    named = ticker_frame((f"{number:010d}", ticker, None, None) for number, ticker in enumerate(tickers, start=1))
    rows = frame_of_filings([])
    return TransactionTable(rows, coverage=Coverage(start, end or start), tickers=named, complete_until=end)


def test_coverage_caveats_say_which_share_of_what_is_traded_filings_cover(make_panel):
    panel = make_panel(sessions=20, tickers=3)
    traded = panel.sessions[10:]
    # Two of the ten sessions close before the source begins.
    late = f"{traded[2]:%Y-%m-%d}T12:00"

    def said(**held):
        texts = coverage_caveats(Inputs(panel, source(panel, **held), {}, [], []), traded)
        return [text.replace("\xa0", " ") for text in texts]

    sentence = "Filings cover {} % of the stocks and sessions traded: on the others nothing is known of insiders."
    assert said(first=late, until="2030-01-01") == [sentence.format(80)]
    assert said(first="2000-01-03", until="2030-01-01", tickers=["T000", "ELSEWHERE"]) == [sentence.format(33)]
    # Who states no end is taken to go on in silence for a quarter; an acceptance long ago is no coverage.
    assert said(first=f"{traded[0]:%Y-%m-%d}T12:00") == []
    assert said(first="2000-01-03") == [sentence.format(0)]


def test_coverage_caveats_are_silent_where_filings_cover_all_or_are_not_used(make_panel):
    panel = make_panel(sessions=20, tickers=3)
    held = Inputs(panel, source(panel, "2000-01-03", "2030-01-01"), {}, [], [])
    assert coverage_caveats(held, panel.sessions) == []
    assert coverage_caveats(held, panel.sessions[:0]) == []
    assert coverage_caveats(inputs(make_panel), panel.sessions) == []


def test_figures_table_has_strategy_beside_benchmark():
    lines = figures_table(trading(), {}).replace("\xa0", " ").splitlines()
    assert "2020-01-06 to 2020-01-15, after costs" in lines[0]
    assert lines[2].split()[-4:] == ["50.0", "%", "−25.0", "%"]
    assert "0.10 to 0.90" in "\n".join(lines)


def test_model_lines_put_every_figure_beside_its_reference():
    assert model_lines({}) == ""
    said = model_lines({"pooled": POOLED})
    assert "log-loss 1.3000 (class prior 1.3500), balanced accuracy 0.270 (chance 0.250)" in said
    assert "information coefficient 0.0123 (t 2.5)" in said


def test_comparison_lines_show_each_rival_with_the_models_advantage():
    advantage = {"mean": 0.011, "t": 2.5, "n_sessions": 9, "low": 0.0, "high": 0.1}
    rival = {"name": "logistic", "pooled": POOLED, "advantage": advantage}
    model = {"name": "tiny", "pooled": POOLED, "baselines": [rival], "verdict": "beats logistic (...)."}
    lines = comparison_lines(model).splitlines()
    assert lines[-1].split()[-2:] == ["0.0110", "2.5"]
    assert lines[-1].startswith("logistic")
    assert comparison_lines({"pooled": POOLED}) == ""
    assert model_lines(model).endswith("\nmodel beats logistic (...).")


def test_write_evaluation_has_the_same_figures_for_machine_and_reader(tmp_path):
    write_evaluation({"name": "tiny", "pooled": {**POOLED, "n_labels": 10}}, tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text())["pooled"]["log_loss"] == 1.3
    assert "log-loss 1.3000 against 1.3500" in (tmp_path / "evaluation.md").read_text()


def test_model_table_unknown_figures_are_dashes():
    row = {"fold": 1, "test_first": "2020-01-06", "test_last": "2020-02-03", "n_test_labels": 0}
    row |= {"log_loss": None, "prior_log_loss": float("nan"), "balanced_accuracy": 0.25}
    assert model_table([{**row, "information_coefficient": None}]).splitlines()[-1].split() == [
        "1", "2020-01-06", "2020-02-03", "0", "-", "-", "0.2500", "-",
    ]  # fmt: skip


def test_warning_lines_are_one_line_each_and_nothing_without_any():
    assert warning_lines(["few filings", "no costs"]) == "\n\nwarning: few filings\nwarning: no costs"
    assert warning_lines([]) == ""
