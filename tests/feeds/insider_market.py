"""A small panel, filings placed on it, and the tables made of them, for the tests of insider features."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from feeds.form4 import parse_submission
from feeds.sessions import session_closes
from feeds.transactions import Coverage, table_of_filings, ticker_frame
from tests.conftest import build_panel
from tests.feeds import filing_texts as texts

TICKERS = ticker_frame([("0000000101", "T000", None, None), ("0000000102", "T001", None, None)])
WHOLE = Coverage(pd.Timestamp("2011-01-03 12:00", tz="UTC"), pd.Timestamp("2016-12-30", tz="UTC"))
AS_TRADED = build_panel(sessions=130, tickers=3)
# Filed prices are not compared with these bars, so that tests may use round ones.
ADJUSTED = replace(AS_TRADED, price_basis="split_adjusted")
CLOSES = session_closes(AS_TRADED.sessions)


def filing(*rows, number=1, accepted="20150203120000", form="4", **document):
    """A filing accepted on 2015-02-03 at noon (New York), unless told otherwise."""
    xml = texts.document(rows or [texts.transaction()], form=form, **document)
    accession = f"0000000001-15-{number:06d}"
    return parse_submission(texts.submission(xml, accession=accession, accepted=accepted, form=form), accession)


def table(*filings, tickers=TICKERS, coverage=WHOLE):
    """A table of a source that states when it ends."""
    until = None if coverage is None else coverage.last
    return replace(table_of_filings(filings, tickers), coverage=coverage, complete_until=until)
