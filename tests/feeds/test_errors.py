from __future__ import annotations

import pytest

from feeds.errors import EnvironmentFailure, InputError, did_you_mean, unknown_name


@pytest.mark.parametrize(
    ("received", "expected"),
    [("lstm_onyl", " Did you mean 'lstm_only'?"), ("lstm_insidr", " Did you mean 'lstm_insider'?"), ("zzz", "")],
)
def test_did_you_mean_near_or_far_names_the_nearest_or_nothing(received, expected):
    assert did_you_mean(received, ["lstm_only", "lstm_insider"]) == expected


@pytest.mark.parametrize("valid", [["PYPL", "AAPL"], ["AAPL", "PYPL"]])
def test_did_you_mean_two_equally_near_prefers_the_same_beginning(valid):
    assert did_you_mean("APPL", valid) == " Did you mean 'AAPL'?"


def test_did_you_mean_one_clearly_nearer_wins_over_the_same_beginning():
    assert did_you_mean("stop_los", ["stop_watch", "xstop_los"]) == " Did you mean 'xstop_los'?"


def test_did_you_mean_without_candidates_is_empty():
    assert did_you_mean("anything", []) == ""


def test_unknown_name_lists_valid_names_sorted_and_is_the_users_mistake():
    error = unknown_name("strategy", "lstm_onyl", ["lstm_only", "lstm_insider"])
    assert isinstance(error, InputError)
    assert str(error) == (
        "unknown strategy 'lstm_onyl': expected one of lstm_insider, lstm_only. Did you mean 'lstm_only'?"
    )


def test_environment_failure_is_not_the_users_mistake():
    assert not issubclass(EnvironmentFailure, InputError)
