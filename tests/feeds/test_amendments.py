from __future__ import annotations

import pytest

from feeds.form4 import parse_submission
from feeds.transactions import table_of_filings, ticker_frame
from tests.feeds import filing_texts as texts

TICKERS = ticker_frame([("0000000101", "T000", None, None)])


def filing(*rows, number=1, accepted="20150203120000", form="4", original=None, **document):
    extra = f"<dateOfOriginalSubmission>{original}</dateOfOriginalSubmission>" if original else ""
    accession = f"0000000001-15-{number:06d}"
    xml = texts.document(rows, form=form, extra=extra, **document)
    return parse_submission(texts.submission(xml, accession=accession, accepted=accepted, form=form), accession)


def still_valid(*filings):
    return table_of_filings(filings, TICKERS).rows["valid_to"].isna().tolist()


def test_amendment_that_adds_a_grant_leaves_last_quarters_equal_one():
    """Its original is not in the source, so that only the same trade may be replaced."""
    old = filing(texts.transaction("A", 500, 0, date="2014-11-03"), accepted="20141104120000", period="2014-11-03")
    added = filing(
        texts.transaction("A", 500, 0), number=2, form="4/A", accepted="20150310170000", original="2015-02-04"
    )
    assert still_valid(old, added) == [True, True]


def test_amendment_with_a_wrong_original_date_still_replaces_the_same_trade():
    fixed = filing(texts.transaction("P", 300), number=2, form="4/A", accepted="20150310170000", original="2015-01-30")
    assert still_valid(filing(texts.transaction("P", 100)), fixed) == [False, True]


def test_amendment_of_the_code_replaces_the_row_of_the_stated_original():
    fixed = filing(texts.transaction("S"), number=2, form="4/A", accepted="20150310170000", original="2015-02-03")
    assert still_valid(filing(texts.transaction("P")), fixed) == [False, True]


def told(*filings):
    """Return, per row: shares, whether it is still valid, and the amendment's flags."""
    rows = table_of_filings(filings, TICKERS).rows
    flags = [[flag for flag in held if flag.startswith("amendment")] for held in rows["flags"]]
    return list(zip(rows["shares"], rows["valid_to"].isna(), flags, strict=True))


def corrected(*rows):
    return filing(*rows, number=2, form="4/A", accepted="20150310170000", original="2015-02-03")


@pytest.mark.parametrize(
    ("after", "price", "original_stays", "flags"),
    [
        (1050, 11, True, ["amendment_unmatched"]),
        (900, 11, True, ["amendment_unmatched"]),
        (1050, 10, True, ["amendment_unmatched"]),
        (950, 11, False, []),
        (950, 10, False, []),
        (1000, 11, False, []),
        (None, 11, False, ["amendment_ambiguous"]),
        (777, 10, False, ["amendment_ambiguous"]),
    ],
    ids=[
        "next tranche",
        "tranche before",
        "same price",
        "correction",
        "shares corrected",
        "same end",
        "not told",
        "no relation",
    ],
)
def test_amendment_row_of_the_same_key_replaces_unless_the_holdings_continue(after, price, original_stays, flags):
    """The original bought 100 and held 900 before, 1,000 after; the 4/A's row buys 50."""
    original = filing(texts.transaction("P", 100, 10, after=1000))
    found = told(original, corrected(texts.transaction("P", 50, price, after=after)))
    assert found == [(100, original_stays, []), (50, True, flags)]


def test_amendment_that_restates_a_list_replaces_each_row_by_its_own():
    original = filing(texts.transaction("S", 100, 10, after=900), texts.transaction("S", 50, 11, after=850))
    fixed = corrected(texts.transaction("S", 110, 10.5, after=890), texts.transaction("S", 50, 11, after=840))
    assert told(original, fixed) == [(100, False, []), (50, False, []), (110, True, []), (50, True, [])]


@pytest.mark.parametrize(
    ("after", "original_stays", "flags"),
    [
        (950, False, []),
        (1050, True, ["amendment_unmatched", "amendment_ambiguous"]),
        (None, True, ["amendment_unmatched", "amendment_ambiguous"]),
    ],
    ids=["same holdings before", "a later trade", "not told"],
)
def test_amendment_of_date_and_shares_together_replaces_where_the_holdings_agree(after, original_stays, flags):
    original = filing(texts.transaction("P", 100, 10, after=1000))
    found = told(original, corrected(texts.transaction("P", 50, 10, date="2015-02-03", after=after)))
    assert found == [(100, original_stays, []), (50, True, flags)]
