from __future__ import annotations

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
