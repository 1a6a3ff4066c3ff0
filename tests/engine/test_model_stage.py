"""What the stage of the model tells of luck; the model is a rule that needs no training process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models.controls
import models.training
from engine.features import Columns, build_columns
from engine.model_stage import Model, make_model
from engine.settings import Settings
from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.progress import silent
from models.controls import Placebo
from models.spec import resolve
from models.trials import prices_digest

SPEC = resolve(
    "reversal_1",
    {"train_sessions": 160, "validation_sessions": 50, "test_sessions": 60, "warm_up_bars": 60, "insider": False},
)


@pytest.fixture(scope="module")
def panel(make_panel) -> PricePanel:
    return make_panel(sessions=280, tickers=12, seed=8)


@pytest.fixture(scope="module")
def columns(panel: PricePanel) -> Columns:
    return build_columns(panel, None)


def made(panel: PricePanel, columns: Columns, cache: Path | None, **settings: Any) -> Model:
    given = Settings(model="reversal_1", filings="none", jobs=1, cache=str(cache) if cache else None, **settings)
    return make_model(given, SPEC, panel, columns, silent)


def test_make_model_counts_itself_once_and_no_baseline(panel, columns, tmp_path: Path):
    first, again, other = (made(panel, columns, tmp_path, seed=seed) for seed in (0, 0, 1))
    assert len(first.evaluation["baselines"]) > 2
    assert first.evaluation["trials"] == again.evaluation["trials"] == {"number": 1, "of": 1}
    assert other.evaluation["trials"] == {"number": 2, "of": 2}
    (ledger,) = (tmp_path / "trials").iterdir()
    assert ledger.name == f"{prices_digest(panel)[:32]}.jsonl"
    ledger.write_text(ledger.read_text() + "half a li")
    assert f"{ledger}: line 3 cannot be read" in made(panel, columns, tmp_path).warnings[-1]


def test_make_model_with_more_sessions_goes_on_with_the_count(panel, tmp_path: Path):
    part = panel.until(panel.sessions[-20])
    for seed in (0, 1, 2):
        made(part, build_columns(part, None), tmp_path, seed=seed)
    assert made(panel, build_columns(panel, None), tmp_path, seed=2).evaluation["trials"] == {"number": 3, "of": 3}
    assert made(panel, build_columns(panel, None), tmp_path, seed=3).evaluation["trials"] == {"number": 4, "of": 4}


def test_make_model_measures_an_opened_holdout_alone(panel, columns):
    opened = {"status": "opened", "from": str(panel.sessions[220].date()), "opened_at": "2026-01-02", "looks": 0}
    given = Settings(model="reversal_1", filings="none", jobs=1)
    model = make_model(given, SPEC, panel, columns, silent, holdout=opened)
    found, folds = model.evaluation["holdout"], model.evaluation["folds"]
    assert [fold["test_first"] for fold in folds] == [str(panel.sessions[row].date()) for row in (160, 220)]
    assert found["from"] == opened["from"]
    for part, fold in zip(("before", "measures"), folds, strict=True):
        assert found[part]["n_labels"] == fold["n_test_labels"] > 100
        assert found[part]["information_coefficient"] == fold["information_coefficient"]
    sealed = make_model(given, SPEC, panel, columns, silent, holdout={"status": "sealed", "from": "2050-01-03"})
    assert sealed.evaluation["holdout"] == {"status": "sealed", "from": "2050-01-03"}
    assert "holdout" not in make_model(given, SPEC, panel, columns, silent).evaluation


def test_make_model_without_a_cache_counts_nothing(panel, columns):
    assert "trials" not in made(panel, columns, None).evaluation


def test_make_model_with_a_placebo_hands_on_the_same_model_and_compares(panel, columns, tmp_path, monkeypatch):
    asked: list[Any] = []

    def draws(panel: Any, features: Any, spec: Any, **how: Any) -> Placebo:
        asked.append((spec, how["draws"], how["seed"], how["jobs"], how["cache"]))
        return Placebo(np.arange(-9, 11) / 1000, 0.5)

    monkeypatch.setattr(models.controls, "placebo", draws)
    monkeypatch.setattr(models.controls, "check_placebo", lambda panel, spec: None)
    evaluation = made(panel, columns, tmp_path, placebo=20, seed=3).evaluation
    assert asked == [(SPEC, 20, 3, 1, tmp_path)]
    assert evaluation["placebo"]["information_coefficient"] == evaluation["pooled"]["information_coefficient"]
    assert evaluation["placebo"]["draws"] == 20


def test_make_model_with_an_ablation_of_prices_alone_says_so_before_it_trains(panel, columns, monkeypatch):
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(models.training, "walk_forward", never)
    with pytest.raises(InputError, match="`ablation`: expected a model that sees filings, received reversal_1, which"):
        made(panel, columns, None, ablation=True)
    asked = Settings(model="tiny", filings="none", jobs=1, cache=None, ablation=True)
    with pytest.raises(
        InputError, match="`ablation`: expected columns of filings .* model tiny, received prices alone"
    ):
        make_model(asked, resolve("tiny"), panel, columns, silent)
