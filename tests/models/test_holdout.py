from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from feeds.errors import EnvironmentFailure, InputError
from models.folds import make_folds, usable_sessions
from models.holdout import closes_of_months, open_holdout
from models.spec import resolve


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(sessions=60, tickers=4, seed=1, late={2: 50})


@pytest.fixture
def spec(panel):
    return resolve("tiny", {"holdout_from": str(panel.sessions[40].date()), "holdout": "open"})


def test_open_holdout_leaves_a_trace_of_the_model(panel, spec, tmp_path):
    opening = open_holdout(panel, spec, 3, tmp_path / "holdouts")
    assert not opening.repeated
    stored = json.loads(opening.trace.read_text())
    assert (stored["from"], stored["to"]) == (spec.holdout_from, str(panel.sessions[-1].date()))
    assert (stored["model"]["units"], stored["model"]["seed"]) == (16, 3)
    assert stored["opened_at"] == opening.opened_at
    assert [path.name for path in opening.trace.parent.iterdir()] == [opening.trace.name]


def test_open_holdout_same_model_again_is_allowed(panel, spec, tmp_path):
    first, second = (open_holdout(panel, spec, 0, tmp_path) for _ in range(2))
    assert (second.trace, second.opened_at, second.repeated) == (first.trace, first.opened_at, True)


def test_open_holdout_another_model_is_refused_and_told_what_differs(panel, spec, tmp_path):
    first = open_holdout(panel, spec, 0, tmp_path)
    kept = first.trace.read_text()
    with pytest.raises(
        InputError, match="expected the model that opened .* the same prices on .*`units` 16, received 17.*move .*away"
    ):
        open_holdout(panel, replace(spec, units=17), 0, tmp_path)
    with pytest.raises(InputError, match="`seed` 0, received 1"):
        open_holdout(panel, spec, 1, tmp_path)
    assert first.trace.read_text() == kept


def test_open_holdout_knows_the_data_again_in_another_order_and_with_later_sessions(panel, spec, tmp_path):
    part = panel.until(panel.sessions[50]).select(tuple(reversed(panel.tickers)))
    assert open_holdout(part, spec, 0, tmp_path).trace == open_holdout(panel, spec, 0, tmp_path).trace


@pytest.mark.parametrize("moved", [-12, -1, 1, 12])
def test_open_holdout_another_model_with_a_moved_date_is_refused(panel, spec, tmp_path, moved):
    first = open_holdout(panel, spec, 0, tmp_path)
    other = replace(spec, units=17, holdout_from=str(panel.sessions[40 + moved].date()))
    with pytest.raises(InputError, match="holdout from .* to .*: expected the model that opened"):
        open_holdout(panel, other, 0, tmp_path)
    assert list(tmp_path.iterdir()) == [first.trace]


def test_open_holdout_another_model_on_other_tickers_or_until_another_day_is_refused(panel, spec, tmp_path):
    open_holdout(panel, spec, 0, tmp_path)
    other = replace(spec, units=17)
    for seen in (panel.select(panel.tickers[1:]), panel.select(panel.tickers[:1]), panel.until(panel.sessions[41])):
        with pytest.raises(InputError, match="of the same prices"):
            open_holdout(seen, other, 0, tmp_path)


def test_open_holdout_of_later_sessions_is_another_models_own(panel, spec, tmp_path):
    open_holdout(panel.until(panel.sessions[49]), spec, 0, tmp_path)
    later = replace(spec, units=17, holdout_from=str(panel.sessions[50].date()))
    assert not open_holdout(panel, later, 0, tmp_path).repeated
    with pytest.raises(InputError, match="`units` 17, received 16"):
        open_holdout(panel, spec, 0, tmp_path)  # up to the end, so it would see the other model's sessions


def test_open_holdout_same_model_further_on_is_remembered_as_far(panel, spec, tmp_path):
    trace = open_holdout(panel.until(panel.sessions[44]), spec, 0, tmp_path).trace
    again = open_holdout(panel, spec, 0, tmp_path)
    assert (again.trace, again.repeated) == (trace, True)
    assert json.loads(trace.read_text())["to"] == str(panel.sessions[-1].date())
    late = replace(spec, units=17, holdout_from=str(panel.sessions[55].date()))
    with pytest.raises(InputError, match="`units` 16, received 17"):
        open_holdout(panel, late, 0, tmp_path)


def test_open_holdout_counts_each_way_of_trading_once(panel, spec, tmp_path):
    def look(**how):
        opening = open_holdout(panel, spec, 0, tmp_path, how or None)
        return opening.look, opening.looks, opening.changed

    assert look() == (0, 0, "")
    assert look(strategy="a", cost=1.0) == (1, 1, "")
    assert look(strategy="a", cost=1.0) == (1, 1, "")
    assert look(strategy="a", cost=2.0) == (2, 2, "`cost` 1.0, received 2.0")
    assert look(strategy="a", cost=1.0) == (1, 2, "")
    assert look() == (0, 2, "")


def test_closes_of_months_need_ten_closes_before_and_are_the_same_however_the_panel_ends(panel):
    whole = closes_of_months(panel, 40)
    months = list(dict.fromkeys(panel.sessions.strftime("%Y-%m")[40:]))
    assert {tuple(of) for ticker, of in whole.items() if ticker != panel.tickers[2]} == {tuple(months)}
    assert panel.tickers[2] not in whole or len(whole[panel.tickers[2]]) < len(months)
    short = closes_of_months(panel.until(panel.sessions[40]), 40)
    assert short == {ticker: {months[0]: of[months[0]]} for ticker, of in whole.items() if months[0] in of}


def test_open_holdout_other_prices_are_another_holdout(panel, spec, tmp_path):
    other = replace(panel, close=np.where(np.isnan(panel.close), np.nan, panel.high))
    assert open_holdout(other, spec, 0, tmp_path).trace != open_holdout(panel, spec, 0, tmp_path).trace


def test_open_holdout_without_a_sealed_session_there_is_nothing_to_open(panel, spec, tmp_path):
    assert open_holdout(panel.until(panel.sessions[39]), spec, 0, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_open_holdout_damaged_trace_says_so(panel, spec, tmp_path):
    open_holdout(panel, spec, 0, tmp_path).trace.write_text("no JSON")
    with pytest.raises(EnvironmentFailure, match="cannot keep or read the trace of the holdout"):
        open_holdout(panel, spec, 0, tmp_path)
    next(tmp_path.iterdir()).write_text('{"model": 1}')
    with pytest.raises(EnvironmentFailure, match="the trace of the holdout .*: it has no `closes`; move it away if"):
        open_holdout(panel, spec, 0, tmp_path)


def test_open_holdout_is_predicted_and_its_earlier_folds_stay_the_same(make_panel):
    sessions = make_panel(sessions=1300, tickers=1).sessions
    sealed = resolve("tiny", {"holdout_from": str(sessions[1100].date())})
    opened = replace(sealed, holdout="open")
    assert (usable_sessions(sessions, sealed), usable_sessions(sessions, opened)) == (1100, 1300)
    before, after = make_folds(sessions, sealed), make_folds(sessions, opened)
    assert [(f.train_first, f.test_first) for f in before] == [(f.train_first, f.test_first) for f in after[:2]]
    # The networks of the sealed folds are found again, so opening trains only what comes after.
    assert sealed.canonical() == opened.canonical() == resolve("tiny").canonical()
