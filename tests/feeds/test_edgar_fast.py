"""The fast mode leaves out only what the SEC's sets surely say to be without a trade."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from feeds.edgar_fast import worth_downloading
from feeds.edgar_index import Expected
from feeds.errors import InputError

TABLES = {
    "SUBMISSION.tsv": "ACCESSION_NUMBER\tFILING_DATE\tDOCUMENT_TYPE\nbuy\t05-JAN-2023\t4\ngrant\t05-JAN-2023\t4\n",
    "NONDERIV_TRANS.tsv": "ACCESSION_NUMBER\tTRANS_CODE\nbuy\tA\nbuy\tP\ngrant\tA\n",
    "DERIV_TRANS.tsv": "ACCESSION_NUMBER\tTRANS_CODE\ngrant\tM\n",
}


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    for quarter in ("2023q1", "2023q2"):
        (tmp_path / f"{quarter}_form345").mkdir()
        for name, text in TABLES.items():
            (tmp_path / f"{quarter}_form345" / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("accession", "form", "day", "expected"),
    [
        ("buy", "4", "2023-01-05", True),
        ("grant", "4", "2023-01-05", False),
        ("grant", "4", "2023-03-31", False),
        ("grant", "4/A", "2023-01-05", True),
        ("grant", "4", "2022-12-30", True),
        ("grant", "4", "2023-06-26", False),
        ("grant", "4", "2023-06-30", True),
        ("grant", "4", "2023-07-03", True),
    ],
    ids=["trade", "none", "end, next covered", "amendment", "before", "late", "end, next not covered", "after"],
)
def test_worth_downloading_unless_the_sets_cover_it_and_know_of_no_trade(
    accession: str, form: str, day: str, expected: bool, sets: Path
):
    filing = Expected(accession, "0000000101", form, date.fromisoformat(day))
    assert worth_downloading(sets)(filing) is expected


def test_worth_downloading_without_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="`--fast`: expected a folder with the SEC's quarterly data sets, received"):
        worth_downloading(tmp_path / "nowhere")
    with pytest.raises(InputError, match="`--fast`: .*expected archives named like"):
        worth_downloading(tmp_path)
