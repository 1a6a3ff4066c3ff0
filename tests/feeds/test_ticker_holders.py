"""Who held a ticker when: the two rules by hand, and that later filings change nothing earlier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.issuers import holders_of_folders, issuer_columns, listed_issuers
from feeds.ticker_holders import (
    Change,
    Statement,
    Vote,
    days_known,
    frame_of_changes,
    holders_by_statement,
    holders_by_vote,
)

DAYS = pd.date_range("2015-01-01", periods=400, unit="ns")


@dataclass(frozen=True)
class Said:
    """A filing, as far as tickers are concerned."""

    accession: str
    accepted_at: str | None
    issuer_cik: str
    issuer_symbol: str | None
    folders: tuple[str, ...] = ()


def said(number, day, cik, symbol="NEW", folders=()):
    accepted = None if day is None else f"{DAYS[day]:%Y-%m-%d}T15:00:00+00:00"
    return Said(f"{number:06d}", accepted, f"0000000{cik}", symbol, folders)


def states(day, cik, *tickers):
    return Statement(day, cik, tickers)


def test_holders_by_statement_slip_does_not_take_what_another_holds():
    filings = [states(n, "a", "X") for n in range(5)] + [states(5, "b", "Y"), states(6, "b", "X"), states(7, "b", "Y")]
    assert holders_by_statement(filings) == [Change("X", 0, "a"), Change("Y", 5, "b")]


def test_holders_by_statement_rename_is_a_habit_at_the_third_of_five():
    filings = [states(n, "a", "OLD") for n in range(9)] + [states(9 + n, "a", "NEW") for n in range(5)]
    assert holders_by_statement(filings) == [Change("OLD", 0, "a"), Change("NEW", 11, "a")]


def test_holders_by_statement_silent_holder_is_outdone_by_a_tenth_of_its_year():
    old = [states(0, "a", "X")] * 30
    new = [states(100, "b", "X"), states(101, "b", "X"), states(102, "b", "X")]
    assert holders_by_statement(old + new) == [Change("X", 0, "a"), Change("X", 102, "b")]
    # After a year the old one's filings weigh nothing.
    assert holders_by_statement([*old, states(400, "b", "X")])[-1] == Change("X", 400, "b")


def test_holders_by_vote_majority_so_far_and_ties_to_the_name():
    votes = [Vote(0, "X", "fund", False), Vote(1, "X", "x", True), Vote(2, "X", "fund", False), Vote(3, "X", "x", True)]
    assert holders_by_vote(votes) == [Change("X", 0, "fund"), Change("X", 1, "x"), Change("X", 2, "fund"),
                                      Change("X", 3, "x")]  # fmt: skip
    unnamed = [Vote(0, "X", "a", False), Vote(1, "X", "b", False), Vote(2, "X", "b", False)]
    assert holders_by_vote(unnamed) == [Change("X", 0, "a"), Change("X", 2, "b")]


def test_frame_of_changes_nobody_holds_it_before_and_the_last_of_a_day_counts():
    frame = frame_of_changes([Change("X", 10, "a"), Change("X", 20, "b"), Change("X", 20, "c")])
    assert frame.astype(str).to_numpy().tolist() == [
        ["", "X", "NaT", "1970-01-10"],
        ["a", "X", "1970-01-11", "1970-01-20"],
        ["c", "X", "1970-01-21", "NaT"],
    ]
    days = pd.DatetimeIndex(["1970-01-10", "1970-01-11", "1970-01-21"])
    assert issuer_columns(frame, ("X",), days, listed_issuers(frame)).ravel().tolist() == [-1, 0, 1]


def test_days_known_acceptance_at_the_close_is_of_the_next_session():
    # 16:00 in New York, and a minute before it, on a Friday.
    instants = pd.to_datetime(["2015-02-06T20:59:00Z", "2015-02-06T21:00:00Z"], utc=True)
    assert pd.to_datetime(days_known(instants), unit="D").strftime("%Y-%m-%d").tolist() == ["2015-02-06", "2015-02-09"]


def test_holders_of_folders_folder_overrules_statements_from_its_first_filing_on():
    alone = [said(n, n, 101) for n in range(3)]
    inside = [said(9, 60, 102, "OTHER", ("NEW",)), said(10, 90, 101)]
    frame = holders_of_folders(alone + inside)
    assert frame["cik"].tolist() == ["", "0000000101", "0000000102"]
    assert frame["first"].astype(str).tolist() == ["NaT", "2015-01-02", "2015-03-02"]


def test_holders_of_folders_untimed_filings_decide_only_where_no_other_does():
    frame = holders_of_folders([said(1, None, 101), said(2, None, 102, "OLD"), said(3, 5, 103, "OLD")])
    assert frame.astype(str).to_numpy().tolist() == [
        ["0000000101", "NEW", "NaT", "NaT"],
        ["", "OLD", "NaT", "2015-01-05"],
        ["0000000103", "OLD", "2015-01-06", "NaT"],
    ]
    assert holders_of_folders([]).empty


FILINGS = st.lists(
    st.builds(
        said,
        st.integers(0, 99),
        st.sampled_from([*range(0, 300, 15), None]),
        st.sampled_from([101, 102, 103]),
        st.sampled_from(["NEW", "NEW", "OLD", "OLD, NEW", "NONE"]),
        st.sampled_from([(), (), ("NEW",), ("OLD",), ("NEW", "OLD"), ("0000000101",), ("102",)]),
    ),
    max_size=20,
    unique_by=lambda one: one.accession,
)


@settings(max_examples=30, deadline=None)
@given(FILINGS, FILINGS, st.integers(0, 320))
def test_holders_of_folders_filings_after_a_cut_change_nothing_up_to_it(filings, others, cut):
    def upto(held):
        return issuer_columns(holders_of_folders(held), ("NEW", "OLD"), DAYS[: cut + 1 : 5], issuers).tolist()

    def is_early(one):
        # 10:00 in New York: known at that day's close.
        return one.accepted_at is None or pd.Timestamp(one.accepted_at[:10]) <= DAYS[cut]

    issuers = pd.Index(["0000000101", "0000000102", "0000000103"])
    early = [one for one in filings if is_early(one)]
    late = [one for one in others if not is_early(one)]
    timed = [one for one in early if one.accepted_at is not None]
    assert upto(timed) == upto([*timed, *late])
    assert upto(early) == upto(early[::-1])
    held = {one.issuer_cik for one in timed if one.folders or one.issuer_symbol != "NONE"}
    assert {issuers[i] for row in upto(timed) for i in np.array(row) if i >= 0} <= held


STATEMENTS = st.lists(
    st.builds(
        lambda day, cik, tickers: states(day, cik, *tickers),
        st.sampled_from(range(0, 800, 40)),
        st.sampled_from("abc"),
        st.sampled_from([("X",), ("X",), ("Y",), ("X", "Y"), ()]),
    ),
    max_size=60,
).map(sorted)


@settings(max_examples=100, deadline=None)
@given(STATEMENTS, st.integers(0, 800))
def test_holders_by_statement_of_earlier_days_are_the_earlier_changes(statements, cut):
    early = holders_by_statement(one for one in statements if one.day <= cut)
    assert early == [change for change in holders_by_statement(statements) if change.day <= cut]
