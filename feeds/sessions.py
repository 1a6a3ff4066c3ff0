"""The exchange's clock: real NYSE sessions, their closes, and the session to which news belongs.

A session's row may hold what was public strictly before that session's close (16:00 New York,
13:00 on early closes). What is accepted at the close or later belongs to the next session.
"""

from __future__ import annotations

from functools import lru_cache

import exchange_calendars
import numpy as np
import pandas as pd

from feeds.errors import InputError

EXCHANGE = "XNYS"
NEW_YORK = "America/New_York"
_FIRST_YEAR = 1990


@lru_cache(maxsize=1)
def _calendar() -> exchange_calendars.ExchangeCalendar:
    # One calendar, ending after any filing that can exist today, so that cached data keep their meaning.
    end = pd.Timestamp.now().normalize() + pd.DateOffset(years=1)
    return exchange_calendars.get_calendar(EXCHANGE, start=f"{_FIRST_YEAR}-01-01", end=end)


def known_sessions() -> pd.DatetimeIndex:
    """Return every session that the calendar knows, past and near future, as naive midnights."""
    return _calendar().sessions.rename("session").as_unit("ns")


def trading_sessions(first: str | pd.Timestamp, last: str | pd.Timestamp) -> pd.DatetimeIndex:
    """Return the exchange's sessions from `first` to `last`, both included, as naive midnights.

    Raises
    ------
    InputError
        If `last` is before `first`, or the calendar does not reach that far.
    """
    start, stop = pd.Timestamp(first).normalize(), pd.Timestamp(last).normalize()
    calendar = _calendar()
    if stop < start:
        raise InputError(f"`last` session: expected a date on or after {start.date()}, received {stop.date()}")
    if start < calendar.first_session or stop > calendar.last_session:
        raise InputError(
            f"session range: expected dates between {calendar.first_session.date()} and "
            f"{calendar.last_session.date()}, received {start.date()} to {stop.date()}"
        )
    sessions = calendar.sessions
    return sessions[(sessions >= start) & (sessions <= stop)].rename("session").as_unit("ns")


def session_closes(sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return each session's close in UTC, early closes included."""
    closes = _calendar().closes.reindex(sessions)
    if closes.isna().any():
        strange = sessions[closes.isna().to_numpy()][0]
        raise InputError(f"session {strange.date()}: expected a session of {EXCHANGE}, received a day without trading")
    return pd.DatetimeIndex(closes.to_numpy(), tz="UTC", name="close")


def session_rows(accepted_at: pd.DatetimeIndex, sessions: pd.DatetimeIndex) -> np.ndarray:
    """Map acceptance instants to the row of the first session that may know them.

    Parameters
    ----------
    accepted_at : DatetimeIndex, UTC, shape [M]
        When the SEC accepted each filing.
    sessions : DatetimeIndex, shape [T]
        Sorted, consecutive sessions of the exchange.

    Returns
    -------
    ndarray of int64, shape [M]
        Row of the first session whose close is strictly after the acceptance; T where it lies
        beyond the last session. What was accepted before the first session's close maps to row 0:
        callers that must tell "before the data" apart compare `accepted_at` themselves.

    Notes
    -----
    **Known at** the close of the returned session.
    """
    closes = _nanoseconds(session_closes(sessions))
    return np.searchsorted(closes, _nanoseconds(accepted_at), side="right").astype(np.int64)


def _nanoseconds(instants: pd.DatetimeIndex) -> np.ndarray:
    return instants.as_unit("ns").to_numpy(dtype="datetime64[ns]").astype(np.int64)
