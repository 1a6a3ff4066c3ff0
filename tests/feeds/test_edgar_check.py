"""What makes bytes the filing that was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from feeds.edgar_check import BadFiling, check_filing
from tests.edgar_server import THROTTLE_PAGE
from tests.feeds import filing_texts as texts

ACCESSION = "0000000001-15-000001"
GOOD = texts.submission(texts.document([texts.transaction()])).encode()


def test_check_of_a_whole_filing_gives_what_it_says_of_itself():
    checked = check_filing(GOOD, ACCESSION)
    assert checked.form == "4"
    assert checked.accepted_at == datetime(2015, 2, 3, 17, 0, tzinfo=UTC)
    assert checked.issuer_cik == "0000000101"
    assert checked.reason is None


def test_check_of_an_amendment_accepts_it():
    content = texts.submission(texts.document([texts.transaction()], form="4/A"), form="4/A").encode()
    assert check_filing(content, ACCESSION).form == "4/A"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty: 0 bytes"),
        (THROTTLE_PAGE, "not a filing: it begins with b'<!DOCTYPE html>"),
        (GOOD[:-40], "cut short: "),
        (GOOD.replace(b"ACCESSION NUMBER:\t\t0", b"ACCESSION NUMBER:\t\t9"), "another filing: its header names 9"),
        (GOOD.replace(b"TYPE:\t4\n", b"TYPE:\t424B2\n"), "another form: expected 4 or 4/A, received 424B2"),
        (b"<SEC-DOCUMENT></SEC-DOCUMENT>", "another filing: its header names None"),
    ],
    ids=["empty", "page", "short", "accession", "form", "no header"],
)
def test_check_of_what_is_not_the_filing_says_why(content: bytes, text: str):
    with pytest.raises(BadFiling) as raised:
        check_filing(content, ACCESSION)
    assert text in str(raised.value)


def test_check_of_a_filing_with_two_documents_keeps_it_with_the_reason():
    twice = GOOD.replace(b"</XML>", b"</XML><XML><ownershipDocument></ownershipDocument></XML>")
    assert check_filing(twice, ACCESSION).reason == "holds 2 ownership documents"


def test_check_of_a_plain_text_filing_of_old_keeps_it_with_the_reason():
    head, _, _ = GOOD.partition(b"<XML>")
    checked = check_filing(head + b"FORM 4\nName: DOE JANE\n</TEXT>\n</DOCUMENT>\n</SEC-DOCUMENT>\n", ACCESSION)
    assert checked.reason is not None
    assert "no XML block" in checked.reason
    assert checked.form == "4"


def test_check_of_a_filing_of_the_privacy_mail_era_accepts_its_start():
    content = b"-----BEGIN PRIVACY-ENHANCED MESSAGE-----\n" + GOOD + b"-----END PRIVACY-ENHANCED MESSAGE-----\n"
    assert check_filing(content, ACCESSION).form == "4"


def test_check_accepts_every_real_filing(real_data: Path):
    paths = sorted((real_data / "filings").rglob("full-submission.txt"))[::4]
    reasons = [check_filing(path.read_bytes(), path.parent.name).reason for path in paths]
    assert len(paths) > 300
    assert reasons == [None] * len(paths)


def test_check_refuses_a_real_throttle_page(real_data: Path):
    page = next((real_data / "filings_odd").glob("BAD_*")).read_bytes()
    with pytest.raises(BadFiling, match="not a filing"):
        check_filing(page, "0001814521-23-000006")
