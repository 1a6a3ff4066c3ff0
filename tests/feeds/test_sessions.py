"""The exchange's clock, against dates that the NYSE published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.sessions import known_sessions, session_closes, session_rows, trading_sessions


def _days(index):
    return [str(day.date()) for day in index]


def test_trading_sessions_week_of_independence_day_skips_the_holiday_and_the_weekend():
    assert _days(trading_sessions("2019-07-03", "2019-07-08")) == ["2019-07-03", "2019-07-05", "2019-07-08"]


def test_trading_sessions_unscheduled_closures_are_known():
    # Hurricane Sandy closed the NYSE on 29 and 30 October 2012; 11 September 2001 until 17 September.
    assert _days(trading_sessions("2012-10-26", "2012-10-31")) == ["2012-10-26", "2012-10-31"]
    assert _days(trading_sessions("2001-09-10", "2001-09-17")) == ["2001-09-10", "2001-09-17"]


def test_trading_sessions_are_naive_nanosecond_midnights_with_both_ends():
    sessions = trading_sessions(pd.Timestamp("2020-01-02 15:00"), "2020-01-03")
    assert sessions.tz is None
    assert sessions.dtype == "datetime64[ns]"
    assert _days(sessions) == ["2020-01-02", "2020-01-03"]
    assert (sessions == sessions.normalize()).all()


def test_trading_sessions_last_before_first_raises():
    with pytest.raises(InputError, match="`last` session: expected a date on or after 2020-01-03, received 2020-01-02"):
        trading_sessions("2020-01-03", "2020-01-02")


@pytest.mark.parametrize(("first", "last"), [("1950-01-03", "1950-01-10"), ("2020-01-02", "2199-01-02")])
def test_trading_sessions_beyond_the_calendar_raises_with_its_ends(first, last):
    with pytest.raises(InputError, match=rf"between 1990-01-02 and \d{{4}}-.*, received {first} to {last}"):
        trading_sessions(first, last)


def test_known_sessions_begin_in_1990_and_reach_beyond_today():
    sessions = known_sessions()
    assert sessions[0] == pd.Timestamp("1990-01-02")
    assert sessions[-1] > pd.Timestamp.now()
    assert sessions.is_monotonic_increasing


@pytest.mark.parametrize(
    ("session", "close"),
    [
        ("2020-01-02", "2020-01-02 21:00"),  # winter: New York is UTC-5
        ("2020-07-02", "2020-07-02 20:00"),  # summer: UTC-4
        ("2019-11-29", "2019-11-29 18:00"),  # the day after Thanksgiving closes at 13:00
        ("2019-12-24", "2019-12-24 18:00"),
    ],
)
def test_session_closes_are_those_of_new_york_early_ones_included(session, close):
    assert list(session_closes(pd.DatetimeIndex([session]))) == [pd.Timestamp(close, tz="UTC")]


def test_session_closes_of_a_holiday_raises():
    days = pd.DatetimeIndex(["2019-12-24", "2019-12-25"])
    with pytest.raises(InputError, match="2019-12-25: expected a session of XNYS, received a day without trading"):
        session_closes(days)


@pytest.mark.parametrize(
    ("accepted_in_new_york", "row"),
    [
        ("2019-11-26 15:59:59", 0),  # a second before the close: known at that close
        ("2019-11-26 16:00:00", 1),  # at the close: the next session's
        ("2019-11-27 20:00:00", 2),  # the evening before Thanksgiving: Friday's
        ("2019-11-29 12:59:59", 2),
        ("2019-11-29 13:00:00", 3),  # the early close counts, not 16:00
        ("2019-11-30 10:00:00", 3),  # Saturday: Monday's
        ("2019-12-02 16:00:00", 4),  # after the last session: T
        ("2019-11-01 10:00:00", 0),  # long before: the first row
    ],
)
def test_session_rows_acceptance_maps_to_the_first_session_that_may_know_it(accepted_in_new_york, row):
    sessions = pd.DatetimeIndex(["2019-11-26", "2019-11-27", "2019-11-29", "2019-12-02"])
    accepted = pd.DatetimeIndex([accepted_in_new_york], tz="America/New_York").tz_convert("UTC")
    assert session_rows(accepted, sessions).tolist() == [row]


def test_session_rows_any_clock_resolution_gives_the_same_rows():
    sessions = trading_sessions("2019-01-02", "2019-12-31")
    accepted = pd.date_range("2018-12-30", "2020-01-05", freq="7h", tz="UTC")
    rows = session_rows(accepted.as_unit("ns"), sessions)
    np.testing.assert_array_equal(session_rows(accepted.as_unit("s"), sessions.as_unit("s")), rows)


def test_session_rows_close_of_the_row_is_after_acceptance_and_that_of_the_row_before_is_not():
    sessions = trading_sessions("2019-01-02", "2019-12-31")
    closes = session_closes(sessions)
    accepted = pd.date_range("2019-01-02", "2019-12-30", freq="97min", tz="UTC")
    rows = session_rows(accepted, sessions)
    assert (closes[rows] > accepted).all()
    later = rows > 0
    assert (closes[rows[later] - 1] <= accepted[later]).all()
