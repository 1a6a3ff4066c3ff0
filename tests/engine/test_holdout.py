"""How far loading goes, and what is said of it; the loading itself is stood in for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

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
    warnings: list[str]
    last: dt.date | None
    holdout: Mapping[str, Any] = field(default_factory=dict)


@pytest.fixture
def panel(monkeypatch, make_panel) -> PricePanel:
    made = make_panel(sessions=60, tickers=3)
    monkeypatch.setattr(holdout, "load_inputs", lambda settings, _: Loaded(made, ["first"], ["w"], settings.last))
    return made


def load(panel, tmp_path, **options):
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date())} | options)
    return holdout.load_unsealed(Settings(cache=str(tmp_path)), spec, silent)


def test_load_unsealed_stops_before_what_is_sealed(panel, tmp_path):
    got = load(panel, tmp_path)
    assert got.last == panel.sessions[40].date() - dt.timedelta(days=1)
    assert got.notes[1].startswith(f"Sealed: by `holdout_from`, sessions from {panel.sessions[40].date()} on were not")
    assert got.holdout == {"status": "sealed", "from": str(panel.sessions[40].date())}
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
    assert got.holdout.items() >= {"status": "opened", "from": str(panel.sessions[40].date()), "looks": 0}.items()
    assert got.holdout["opened_at"] in got.notes[1]
    assert "before this run and by the same model" in load(panel, tmp_path, holdout="open").notes[1]


def test_load_unsealed_opened_by_another_model_is_refused(panel, tmp_path):
    load(panel, tmp_path, holdout="open")
    with pytest.raises(InputError, match="holdout from .*expected the model that opened .*`units` 16, received 9"):
        load(panel, tmp_path, holdout="open", units=9)


def test_load_unsealed_opened_warns_from_the_second_strategy_on(panel, tmp_path):
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date()), "holdout": "open"})

    def warnings(traded=True, **how):
        settings = Settings(cache=str(tmp_path), **how)
        return holdout.load_unsealed(settings, spec, silent, traded=traded).warnings

    assert warnings(traded=False) == warnings(params={"stop": 2}) == warnings(params={"stop": 2}) == ["w"]
    _, told = warnings(params={"stop": 3})
    assert told.startswith("HOLDOUT LOOKED AT 2 TIMES: this is look 2 of 2 at the opened sessions with different")
    assert ": `params.stop` 2, received 3. Only the first look is out of sample" in told
    assert "look 3 of 3" in warnings(params={"stop": 3}, slippage_bps=0.0)[1]
    assert "look 4 of 4" in warnings(params={"stop": 2}, tickers=("A", "B"))[1]
    assert "look 1 of 4" in warnings(params={"stop": 2})[1]
    assert warnings(traded=False) == ["w"]


def test_load_unsealed_opened_counts_other_saved_predictions_as_another_look(panel, tmp_path):
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date()), "holdout": "open"})
    settings = Settings(cache=str(tmp_path / "cache"), predictions=str(tmp_path / "p"))
    found = []
    for content in (b"a", b"b", b"b"):
        (tmp_path / "p").write_bytes(content)
        found.append(holdout.load_unsealed(settings, spec, silent, traded=True).warnings[1:])
    assert found[0] == []
    assert found[1] == found[2]
    assert "look 2 of 2" in found[1][0]


def test_load_unsealed_opened_without_a_cache_is_refused(panel):
    spec = resolve("tiny", {"holdout_from": str(panel.sessions[40].date()), "holdout": "open"})
    with pytest.raises(
        InputError, match="`holdout`: expected a cache folder, .*received `--cache none`; name a folder"
    ):
        holdout.load_unsealed(replace(Settings(), cache=None), spec, silent)


def test_load_unsealed_opened_with_nothing_behind_it_says_nothing(panel, tmp_path):
    assert load(panel, tmp_path, holdout="open", holdout_from="2050-01-03").notes == ["first"]
    assert list(tmp_path.iterdir()) == []
