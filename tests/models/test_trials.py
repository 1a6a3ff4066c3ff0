"""The ledger of trials: what is one, what is the same one, and what a killed or second process leaves."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feeds.errors import EnvironmentFailure
from feeds.panel import FeaturePanel
from models.features import PRICE_COLUMNS
from models.spec import resolve
from models.trials import Trials, count_trial, known_trials, prices_digest, trial_digest

SPEC = resolve("tiny")
PRICES = "ab" * 32


@pytest.fixture(scope="module")
def features(make_panel) -> FeaturePanel:
    panel = make_panel(sessions=8, tickers=2)
    names = (*PRICE_COLUMNS, "ins_net")
    return FeaturePanel(panel.sessions, panel.tickers, names, np.ones((8, 2, len(names))))


def tried(folder: Path, name: str) -> tuple[int | None, int]:
    trials = count_trial(folder, PRICES, name, SPEC, 0)
    assert trials.warnings == []
    return trials.number, trials.total


def ledger_of(folder: Path) -> Path:
    return folder / f"{PRICES[:32]}.jsonl"


def test_count_trial_counts_each_once_in_the_order_of_the_first_try(tmp_path):
    assert [tried(tmp_path, name) for name in "aab"] == [(1, 1), (1, 1), (2, 2)]
    assert tried(tmp_path, "a") == (1, 2)
    lines = [json.loads(line) for line in ledger_of(tmp_path).read_text().splitlines()]
    assert [line["trial"] for line in lines] == ["a", "b"]
    assert (lines[0]["name"], lines[0]["seed"], lines[0]["spec"]["units"]) == ("tiny", 0, 16)
    assert len(lines[0]["tried_on"]) == 10


def test_count_trial_on_other_prices_begins_anew(tmp_path):
    tried(tmp_path, "a")
    assert count_trial(tmp_path, "cd" * 32, "b", SPEC, 0).as_dict() == {"number": 1, "of": 1}


def test_known_trials_adds_nothing(tmp_path):
    assert known_trials(tmp_path / "none", PRICES) == Trials(0, None, [])
    assert not (tmp_path / "none").exists()
    tried(tmp_path, "a")
    assert known_trials(tmp_path, PRICES).as_dict() == {"number": None, "of": 1}


def test_count_trial_reports_a_line_that_cannot_be_read_and_goes_on(tmp_path):
    tried(tmp_path, "a")
    with ledger_of(tmp_path).open("ab") as file:
        file.write(b'\xff\n[1]\n{"name": "x"}\n{"trial": "tor')  # the last as a killed process leaves it
    found = count_trial(tmp_path, PRICES, "b", SPEC, 0)
    assert (found.number, found.total) == (2, 2)
    assert [text.split(":")[1].split()[1] for text in found.warnings] == ["2", "3", "4", "5"]
    assert "cannot be read and is not counted: more specifications may have been tried" in found.warnings[0]


def _tries(folder: Path, names: list[str]) -> None:
    for name in names:
        count_trial(folder, PRICES, name, SPEC, 0)


def test_count_trial_of_two_processes_at_once_loses_none(tmp_path):
    context = multiprocessing.get_context("fork")
    sets = [[f"{k}_{i}" for i in range(40)] + ["same"] for k in range(2)]
    processes = [context.Process(target=_tries, args=(tmp_path, names)) for names in sets]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    found = known_trials(tmp_path, PRICES, "same")
    assert (found.total, found.warnings) == (81, [])


def test_count_trial_where_the_disk_refuses_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        EnvironmentFailure, match="cannot keep or read the count of trials .*; choose another `--cache`"
    ):
        count_trial(tmp_path / "file", PRICES, "a", SPEC, 0)


def test_trial_digest_tells_settings_seed_and_insider_columns_apart_and_nothing_else(features):
    digest = trial_digest(SPEC, 0, features)
    assert trial_digest(replace(SPEC, name="mine", holdout_from="2020-01-02"), 0, features) == digest
    values = features.values.copy()
    values[:, :, 0] += 1.0  # a price column follows from the prices, which name the ledger
    assert trial_digest(SPEC, 0, replace(features, values=values)) == digest
    values[0, 0, -1] += 1.0
    others = [
        trial_digest(SPEC, 1, features),
        trial_digest(replace(SPEC, seeds=2), 0, features),
        trial_digest(replace(SPEC, units=17), 0, features),
        trial_digest(SPEC, 0, replace(features, values=values)),
        trial_digest(replace(SPEC, insider=False), 0, features),
    ]
    assert len({digest, *others}) == 6


def test_trial_digest_of_a_longer_history_is_the_same_until_its_first_half_year_of_filings_differs(features):
    days = pd.bdate_range("2020-01-01", periods=300)
    values = np.zeros((300, 3, len(features.names)))
    values[100:, :2, -1] = 1.0
    values[280:, 2, -1] = 1.0  # of a stock that is listed late
    whole = FeaturePanel(days, ("A", "B", "C"), features.names, values)
    part = FeaturePanel(days[:250], ("A", "B"), features.names, values[:250, :2])
    assert trial_digest(SPEC, 0, part) == trial_digest(SPEC, 0, whole)
    digest = trial_digest(SPEC, 0, part)
    values[220, 1, -1] = 2.0
    assert trial_digest(SPEC, 0, whole) == digest
    values[219, 1, -1] = 2.0
    assert trial_digest(SPEC, 0, whole) != digest


def test_prices_digest_is_of_the_first_half_year_and_of_the_stocks_that_traded_then(make_panel):
    panel = make_panel(sessions=200, tickers=4, seed=1, late={3: 150})
    digest = prices_digest(panel)
    assert prices_digest(panel.until(panel.sessions[130])) == digest
    assert prices_digest(panel.select(panel.tickers[:3])) == digest
    assert prices_digest(panel.select(panel.tickers[1:])) != digest
    close = panel.close.copy()
    close[119, 0] *= 1.01
    assert prices_digest(replace(panel, close=close)) != digest
