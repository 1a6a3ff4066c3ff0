"""A membership file: who was a member when, when a purchase may be decided, and what is refused."""

from __future__ import annotations

import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.membership import read_membership
from feeds.sessions import trading_sessions

# Thu 2, Fri 3, Mon 6, Tue 7, Wed 8, Thu 9, Fri 10 January 2020
SESSIONS = trading_sessions("2020-01-02", "2020-01-10")


def membership(tmp_path, text):
    path = tmp_path / "members.csv"
    path.write_text(text, encoding="utf-8")
    return read_membership(path)


def test_matrix_holds_both_days_of_every_spell(tmp_path):
    members = membership(tmp_path, "ticker,from,to\nAAA,2020-01-03,2020-01-06\nAAA,2020-01-09,\nbbb,,2020-01-05\n")
    assert members.tickers == ("AAA", "BBB")
    assert members.matrix(SESSIONS, ["AAA", "BBB", "CCC"]).T.astype(int).tolist() == [
        [0, 1, 1, 0, 0, 1, 1],
        [1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]


def test_entry_spells_leave_the_last_session_out_because_its_purchase_would_fall_outside(tmp_path):
    text = "ticker,from,to\nAAA,2020-01-03,2020-01-07\nAAA,2020-01-09,2020-01-09\nBBB,2020-01-04,2020-01-07\nCCC,,\n"
    spells = membership(tmp_path, text).entry_spells(SESSIONS)
    as_days = {
        ticker: [tuple(str(pd.Timestamp.fromordinal(day).date())[5:] for day in spell) for spell in found]
        for ticker, found in spells.items()
    }
    assert as_days == {"AAA": [("01-03", "01-06")], "BBB": [("01-06", "01-06")], "CCC": [("01-02", "01-09")]}


def test_read_columns_in_any_order_and_case_with_others_beside(tmp_path):
    text = "\ufeffName,TO , From,Ticker\nAcme, 2020-01-06 ,2020-01-03, aaa \n,,,\n"
    assert membership(tmp_path, text).spells == {"AAA": ((pd.Timestamp("2020-01-03"), pd.Timestamp("2020-01-06")),)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a CSV file with ticker, from and to, received an empty one"),
        ("ticker\nAAA\n", "expected the columns ticker, from and to, found no from and no to"),
        ("ticker,from,to\n", "expected at least one ticker, received none"),
        ("ticker,from,to\nAAA,,\n,2020-01-01,\n", "line 3: expected a ticker, received none"),
        ("ticker,from,to\nAAA,01/02/2020,\n", "line 2: expected `from` as YYYY-MM-DD or empty, received '01/02/2020'"),
        ("ticker,from,to\nAAA,,2020-02-30\n", "line 2: expected `to` as YYYY-MM-DD or empty, received '2020-02-30'"),
        (
            "ticker,from,to\nAAA,2020-01-03,2020-01-02\n",
            "line 2: expected `from` up to `to`, received 2020-01-03 to 2020-01-02 for AAA",
        ),
        ("ticker,from,to\nAAA\n", "line 2: expected 3 cells as in the header, received 1"),
        ("ticker,from,to\nAAA,,,2020-01-06\n", "line 2: expected 3 cells as in the header, received 4"),
        ("ticker,from,FROM,to\nAAA,,,\n", "expected one column `from`, found 2"),
        ("ticker;from;to\nAAA;;\n", "found no ticker and no from and no to; separate them with commas"),
        ("ticker,from,to\nA\0A,,\n", "expected a CSV .* received one with NUL bytes, no text"),
        ("ticker,from,to\nAAA,2020-01-\0,\n", "expected a CSV .* received one with NUL bytes, no text"),
        ('ticker,from,to\n"AAA,2020-01-03,\nBBB,,\n', "line 2: expected 3 cells as in the header, received 1"),
        ("ticker,from,to\nAAA,0000-01-01,\n", "line 2: expected `from` as YYYY-MM-DD or empty, received '0000-01-01'"),
        (
            "ticker,from,to\nAAA,2020-01-03,2020-01-06\nAAA,2020-01-03,\n",
            "lines 2 and 3: expected spells of AAA that do not overlap; join them",
        ),
        (
            "ticker,from,to\nAAA,2020-01-06,\nBBB,,\nAAA,2019-01-01,2020-01-06\n",
            "lines 2 and 4: expected spells of AAA that do not overlap; join them",
        ),
    ],
)
def test_read_file_that_says_nothing_clear_raises(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"`--universe` .*members.csv: .*{message}"):
        membership(tmp_path, text)


def test_read_missing_or_binary_file_raises(tmp_path):
    with pytest.raises(InputError, match=r"expected a CSV file with .* received .*No such file"):
        read_membership(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a CSV file with ticker, from and to, received "):
        read_membership(tmp_path / "b.csv")


def test_read_commas_at_the_end_of_lines_move_no_column(tmp_path):
    text = "ticker,from,to\nAAA,2020-01-03,2020-01-06,\nBBB,2020-01-03,,,\n"
    assert membership(tmp_path, text).matrix(SESSIONS, ["AAA", "BBB"]).T.astype(int).tolist() == [
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 1],
    ]


def test_read_year_9999_is_a_member_still(tmp_path):
    text = "ticker,from,to\nAAA,2020-01-09,9999-12-31\nBBB,1650-01-01,1850-01-01\nCCC,9999-12-31,\n"
    assert membership(tmp_path, text).matrix(SESSIONS, ["AAA", "BBB", "CCC"]).sum(axis=0).tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    ("begins", "spells"),
    [
        ("2020-01-07", [(0, 5)]),  # the next session
        ("2020-01-08", [(0, 1), (4, 5)]),  # a session between: bought on the 6th it would be filled outside
    ],
)
def test_entry_spells_of_adjacent_spells_are_one(tmp_path, begins, spells):
    found = membership(tmp_path, f"ticker,from,to\nAAA,,2020-01-06\nAAA,{begins},\n").entry_spells(SESSIONS)
    days = [session.toordinal() for session in SESSIONS]
    assert found == {"AAA": tuple((days[first], days[last]) for first, last in spells)}
