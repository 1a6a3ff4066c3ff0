"""How far loading goes, and what is said of it; the loading itself is stood in for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import pytest

from engine import holdout
from engine.settings import Settings
from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.progress import silent
from models.spec import resolve


@dataclass(frozen=True)
class Loaded:
    panel: PricePanel
    notes: list[str]
    last: dt.date | None


@pytest.fixture
def panel(monkeypatch, make_panel) -> PricePanel:
    made = make_panel(sessions=60, tickers=3)
    monkeypatch.setattr(holdout, "load_inputs", lambda settings, progress: Loaded(made, ["first"], settings.last))
    return made


def load(panel, tmp_path, **options):
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date())} | options)
    return holdout.load_unsealed(Settings(cache=str(tmp_path)), spec, silent)


def test_load_unsealed_stops_before_what_is_sealed(panel, tmp_path):
    got = load(panel, tmp_path)
    assert got.last == panel.sessions[40].date() - dt.timedelta(days=1)
    assert got.notes[1].startswith(f"Sealed: by `holdout_from`, sessions from {panel.sessions[40].date()} on were not")
    assert list(tmp_path.iterdir()) == []


def test_load_unsealed_without_a_holdout_or_before_it_says_nothing(panel, tmp_path):
    assert load(panel, tmp_path, holdout_from=None).notes == ["first"]
    early = Settings(cache=str(tmp_path), last=panel.sessions[30].date())
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date())})
    assert holdout.load_unsealed(early, spec, silent).notes == ["first"]


def test_load_unsealed_opened_loads_all_and_leaves_a_trace_that_the_note_names(panel, tmp_path):
    got = load(panel, tmp_path, holdout="open")
    (trace,) = (tmp_path / "holdouts").iterdir()
    assert got.last is None
    assert got.notes[1].startswith(f"Opened: the sessions from {panel.sessions[40].date()} on were sealed until 20")
    assert str(trace) in got.notes[1]
    assert "before this run and by the same model" in load(panel, tmp_path, holdout="open").notes[1]


def test_load_unsealed_opened_by_another_model_is_refused(panel, tmp_path):
    load(panel, tmp_path, holdout="open")
    with pytest.raises(
        InputError, match="holdout from .*expected the model that opened it on .*`units` 16, received 9"
    ):
        load(panel, tmp_path, holdout="open", units=9)


def test_load_unsealed_opened_without_a_cache_is_refused(panel):
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date()), "holdout": "open"})
    with pytest.raises(
        InputError, match="`holdout`: expected a cache folder, .*received `--cache none`; name a folder"
    ):
        holdout.load_unsealed(replace(Settings(), cache=None), spec, silent)


def test_load_unsealed_opened_with_nothing_behind_it_says_nothing(panel, tmp_path):
    assert load(panel, tmp_path, holdout="open", holdout_from="2050-01-03").notes == ["first"]
    assert list(tmp_path.iterdir()) == []
