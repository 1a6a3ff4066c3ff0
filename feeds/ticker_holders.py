"""Who held which ticker when, decided filing by filing from what the filings themselves say.

Sources without a list of tickers name them only through their filings. If all of them decided together, a
filing of next year would change whose trades a stock is shown today. So each filing is counted when it
became known, a holder keeps a ticker until another outdoes it, and before the first filing that names
a ticker nobody holds it: the source could not have told that it covers that stock.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from feeds.sessions import known_sessions, session_closes
from feeds.transaction_table import NOBODY, ticker_frame

_HABIT_FILINGS = 5
_HABIT = 0.5
_RECENT_DAYS, _YEAR_DAYS = 91, 365
_RIVAL = 0.1


class Statement(NamedTuple):
    """What one filing says of tickers: from `day` (days since 1970) on it is known that `cik` states `tickers`."""

    day: int
    cik: str
    tickers: tuple[str, ...]


class Vote(NamedTuple):
    """A filing of `cik` that lies in a folder named `ticker`; `named` where it states that ticker itself."""

    day: int
    ticker: str
    cik: str
    named: bool


class Change(NamedTuple):
    """From `day` on `cik` holds `ticker`."""

    ticker: str
    day: int
    cik: str


def days_known(accepted_at: Any) -> np.ndarray:
    """Return the day (since 1970) of the first session that may know each acceptance (UTC, none missing)."""
    closes, days = _clock()
    rows = closes.searchsorted(pd.DatetimeIndex(accepted_at), side="right")
    return np.asarray(days[np.minimum(rows, len(days) - 1)])


@cache
def _clock() -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Return the closes and the days (since 1970) of every session."""
    sessions = known_sessions()
    return session_closes(sessions), sessions.to_numpy().astype("datetime64[D]").astype(np.int64)


def holders_by_statement(statements: Iterable[Statement]) -> list[Change]:
    """Give each ticker to the issuer that states it.

    An issuer that states a ticker in at least half of its last five filings takes it if nobody holds it; from
    its holder, if in the last 91 days it stated it in more filings, and in the last year in at
    least a tenth as many as any other. Whoever states another's ticker by mistake does it seldom.

    Parameters
    ----------
    statements : iterable of Statement
        In the order of their days; the order within a day must not depend on other filings.
    """
    recent: dict[str, deque[tuple[str, ...]]] = defaultdict(lambda: deque(maxlen=_HABIT_FILINGS))
    stated: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    holder: dict[str, str] = {}
    changes: list[Change] = []
    for day, cik, tickers in statements:
        recent[cik].append(tickers)
        for ticker in tickers:
            stated[ticker][cik].append(day)
            if holder.get(ticker) == cik:
                continue
            if _is_habit(ticker, recent[cik]) and _outdoes(cik, holder.get(ticker), stated[ticker], day):
                holder[ticker] = cik
                changes.append(Change(ticker, day, cik))
    return changes


def _is_habit(ticker: str, recent: deque[tuple[str, ...]]) -> bool:
    return sum(ticker in tickers for tickers in recent) >= _HABIT * len(recent)


def _outdoes(cik: str, holder: str | None, stated: dict[str, list[int]], day: int) -> bool:
    if holder is None:
        return True
    if _since(stated[cik], day - _RECENT_DAYS) <= _since(stated[holder], day - _RECENT_DAYS):
        return False
    start = day - _YEAR_DAYS
    return _since(stated[cik], start) >= _RIVAL * max(_since(days, start) for days in stated.values())


def _since(days: list[int], start: int) -> int:
    return len(days) - bisect_right(days, start)


def holders_by_vote(votes: Iterable[Vote]) -> list[Change]:
    """Give each folder's ticker to the issuer of most filings in it so far.

    A tie goes to the one that states the folder's name itself, then to whoever held it. `votes` as for
    `holders_by_statement`.
    """
    count: dict[str, Counter[str]] = defaultdict(Counter)
    named: set[tuple[str, str]] = set()
    holder: dict[str, str] = {}
    changes: list[Change] = []
    for day, ticker, cik, states_it in votes:
        count[ticker][cik] += 1
        named |= {(ticker, cik)} if states_it else set()
        first, held = (count[ticker][cik], (ticker, cik) in named), holder.get(ticker)
        if held is None or (held != cik and first > (count[ticker][held], (ticker, held) in named)):
            holder[ticker] = cik
            changes.append(Change(ticker, day, cik))
    return changes


def frame_of_changes(changes: Iterable[Change]) -> pd.DataFrame:
    """Return the changes as a ticker frame, in which nobody holds a ticker before its first holder.

    Of several changes on one day the last counts.
    """
    last = {(change.ticker, change.day): change for change in changes}
    ordered = sorted(last.values(), key=lambda change: (change.ticker, change.day))
    rows: list[tuple[str, str, Any, Any]] = []
    for ticker, held in itertools.groupby(ordered, key=lambda change: change.ticker):
        spans = list(held)
        starts = [np.datetime64(change.day, "D") for change in spans]
        rows.append((NOBODY, ticker, None, starts[0] - 1))
        ends = [*(start - 1 for start in starts[1:]), None]
        rows += [(one.cik, ticker, start, end) for one, start, end in zip(spans, starts, ends, strict=True)]
    return ticker_frame(rows)
