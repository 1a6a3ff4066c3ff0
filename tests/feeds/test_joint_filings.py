from __future__ import annotations

import pytest

from feeds.form4 import parse_submission
from feeds.transactions import read_filings, table_of_filings, ticker_frame
from tests.feeds import filing_texts as texts

TICKERS = ticker_frame([("0000000101", "T000", None, None)])
OFFICER = {"director": 0, "officer": 1, "title": "President"}
OTHER = {"cik": "0000009002"}


def duplicates(first, second, owners=({}, OTHER), accepted=("20150203120000", "20150203121000"), prefix="0000000001"):
    """Tell which rows of two filings are marked as told before."""
    filings = []
    for number, (row, owner, when) in enumerate(zip((first, second), owners, accepted, strict=True), start=1):
        accession = f"{prefix if number == 2 else '0000000001'}-15-{number:06d}"
        text = texts.submission(texts.document([row], owners=[owner]), accession=accession, accepted=when)
        filings.append(parse_submission(text, accession))
    return table_of_filings(filings, TICKERS).rows["duplicate_of"].notna().tolist()


@pytest.mark.parametrize(
    ("code", "second_owner", "duplicate"),
    [("C", {**OTHER, **OFFICER}, False), ("C", OTHER, True), ("S", {**OTHER, **OFFICER}, True)],
    ids=["two officers' units", "officer and fund", "officers' market trade"],
)
def test_joint_filings_of_two_officers_are_one_only_on_the_market(code, second_owner, duplicate):
    rows = texts.transaction(code, 5471, 0, nature="I"), texts.transaction(code, 5471, 0)
    assert duplicates(*rows, owners=(OFFICER, second_owner)) == [False, duplicate]


@pytest.mark.parametrize(
    ("after", "accepted", "prefix", "duplicate"),
    [
        (900, "20150203121000", "0000000001", False),
        (1000, "20150203121000", "0000000001", True),
        (None, "20150203121000", "0000000001", True),
        (900, "20150204121000", "0000000001", True),
        (900, "20150203121000", "0000000002", True),
    ],
    ids=["tranche", "sent twice", "holding not told", "corrected next day", "another agent"],
)
def test_joint_filings_equal_lots_of_a_split_list_stay(after, accepted, prefix, duplicate):
    first, second = texts.transaction("S", after=1000), texts.transaction("S", after=after)
    found = duplicates(first, second, ({}, {}), ("20150203120000", accepted), prefix)
    assert found == [False, duplicate]


def test_joint_filings_of_real_ones_are_those_that_a_person_would_collapse(real_data):
    """A family's holding chain (three times), one director's filing sent twice; nothing else of 3,080 rows."""
    rows = read_filings(real_data / "filings").rows
    told_again = rows[rows["duplicate_of"].notna()]
    pairs = told_again[["accession", "duplicate_of"]].drop_duplicates().to_numpy().tolist()
    assert sorted(map(tuple, pairs)) == [
        ("0001567619-23-000583", "0001567619-23-000582"),
        ("0001567619-23-001845", "0001567619-23-001843"),
        ("0001839882-23-007220", "0001839882-23-007218"),
        ("0001883850-23-000015", "0001883850-23-000014"),
    ]
