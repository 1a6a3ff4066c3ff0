from __future__ import annotations

import pytest

from feeds.errors import InputError
from feeds.sessions import trading_sessions
from models.folds import make_folds
from models.spec import resolve

SESSIONS = trading_sessions("2013-01-02", "2020-12-31")
SPEC = resolve("tiny")


def rows(fold):
    return fold.train_first, fold.validation_first, fold.test_first, fold.test_stop


def test_make_folds_counts_forward_and_keeps_the_short_last_block():
    folds = make_folds(SESSIONS[:1100], SPEC)
    assert [rows(fold) for fold in folds] == [(0, 630, 756, 1008), (252, 882, 1008, 1100)]


def test_make_folds_expanding_learns_from_the_first_session_on():
    rolling, expanding = (make_folds(SESSIONS[:1300], resolve("tiny", {"window": w})) for w in ("rolling", "expanding"))
    assert [fold.train_first for fold in expanding] == [0, 0, 0]
    assert [rows(fold)[1:] for fold in expanding] == [rows(fold)[1:] for fold in rolling]


def test_make_folds_more_sessions_change_no_earlier_fold():
    short, long = make_folds(SESSIONS[:1300], SPEC), make_folds(SESSIONS[:1900], SPEC)
    assert [rows(f)[:3] for f in short] == [rows(f)[:3] for f in long[: len(short)]]


def test_make_folds_holdout_is_neither_trained_nor_tested():
    spec = resolve("tiny", {"holdout_from": str(SESSIONS[1010].date())})
    assert [rows(fold) for fold in make_folds(SESSIONS, spec)] == [(0, 630, 756, 1008), (252, 882, 1008, 1010)]


def test_make_folds_too_short_says_what_is_needed():
    with pytest.raises(
        InputError, match=r"expected at least 757 sessions .* received 756; use earlier data, or a model"
    ):
        make_folds(SESSIONS[:756], SPEC)


def test_make_folds_holdout_leaves_too_little_names_it():
    with pytest.raises(InputError, match="received 21 before `holdout_from` 2013-02-01"):
        make_folds(SESSIONS, resolve("tiny", {"holdout_from": "2013-02-01"}))


def test_describe_reads_as_dates():
    text = make_folds(SESSIONS[:1100], SPEC)[0].describe(SESSIONS)
    assert text == (
        "fold 1: fit 2013-01-02 to 2015-07-02 (630 sessions), validation 2015-07-06 to 2015-12-31 (126 sessions), "
        "test 2016-01-04 to 2016-12-30 (252 sessions)"
    )
