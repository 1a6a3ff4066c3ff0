"""A small panel, filings placed on it, and the tables made of them, for the tests of insider features."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
from hypothesis import strategies as st

from feeds.form4 import parse_submission
from feeds.issuers import holders_of_folders
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


def tree_tickers(filings):
    """Who holds which ticker where the filings lie in a tree without a ticker file, some in others' folders."""
    places = ((), ("T000",), ("T001",), ("T000", "T001"), ("0000000101",), ("0000000102",))
    facts = [(int(one.accession[-2:]), one) for one in filings]
    return holders_of_folders(
        SimpleNamespace(
            accession=one.accession,
            accepted_at=one.accepted_at.isoformat(),
            issuer_cik=one.issuer_cik,
            issuer_symbol=("T000", "T001", "T001, T002", "NONE")[number % 4],
            folders=places[(number // 4 + int(one.issuer_cik)) % len(places)],
        )
        for number, one in facts
    )


ROLES = (
    {"director": 1},
    {"director": 1, "officer": 1, "title": "CEO"},
    {"director": 0, "officer": 1, "title": "Chief Financial Officer"},
    {"director": 0, "officer": 1, "title": "General Counsel"},
    {"director": 0, "ten": 1},
)
BOXES = ("", "<aff10b5One>1</aff10b5One>", "<aff10b5One>0</aff10b5One>")


def owner(number, role=0):
    return {"cik": f"00000090{number:02d}", **ROLES[role]}


@st.composite
def _days(draw, row, back):
    """The day of a trade as filed: mostly a few sessions before, sometimes one that cannot be true, or none."""
    sessions = AS_TRADED.sessions
    plain = (sessions[draw(st.integers(max(0, row - 4), row - 1))] - back).strftime("%Y-%m-%d")
    kind = draw(st.sampled_from(["plain"] * 6 + ["after", "next year", "far future", "year 22", "long ago", "none"]))
    days = {
        "after": (sessions[row] - back + pd.Timedelta(days=draw(st.integers(1, 40)))).strftime("%Y-%m-%d"),
        "next year": f"{int(plain[:4]) + 1}{plain[4:]}",
        "far future": f"2105{plain[4:]}",
        "year 22": f"0022{plain[4:]}",
        "long ago": f"{int(plain[:4]) - 1}{plain[4:]}",
        "none": None,
    }
    return days.get(kind, plain)


@st.composite
def _trades(draw, row, back):
    """A trade's arguments for `filing_texts.transaction`; amounts that cannot be true among them."""
    return {
        "code": draw(st.sampled_from("PPSM")),
        "shares": draw(st.sampled_from([10, 10, 10, 20, 20, -5, "1e300"])),
        "price": draw(st.sampled_from([50, 50, 50, 60, 5_000, 50_000, "1e300", None])),
        "date": draw(_days(row, back)),
        "nature": draw(st.sampled_from("DI")),
        "after": draw(st.sampled_from([10, 20, 500, None])),
    }


@st.composite
def some_filings(draw):
    """Filings of three years before the panel (for what is routine) and along it.

    Some repeat an earlier filing's trades under other owners and later roles, some amend one, all of the
    trade or a part; dates, periods and amounts may be impossible.
    """
    filings, told = [], []
    for number in range(draw(st.integers(0, 14))):
        row = draw(st.integers(1, 100))
        back = pd.Timedelta(days=364 * draw(st.sampled_from([0, 0, 0, 1, 2, 3])))
        issuer = draw(st.sampled_from(["0000000101", "0000000102"]))
        trades = draw(st.lists(_trades(row, back), max_size=2))
        owners = draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=2, unique=True))
        form, original = "4", None
        kind = draw(st.sampled_from(["new", "new", "again", "amended"]))
        if told and kind != "new":
            first_row, back, issuer, trades, first_owners = told[draw(st.integers(0, len(told) - 1))]
            row = draw(st.integers(first_row, 110))
            if kind == "amended":
                form, owners = "4/A", first_owners
                original = draw(st.sampled_from([AS_TRADED.sessions[first_row] - back, None]))
                changed = {name: draw(_trades(row, back))[name] for name in draw(st.sets(st.sampled_from(_PARTS)))}
                trades = [{**trade, **changed} for trade in trades]
        told.append((row, back, issuer, trades, owners))
        accepted = (CLOSES[row] - back + pd.Timedelta(hours=draw(st.integers(-5, 5)))).tz_convert("America/New_York")
        stated = "" if original is None else f"<dateOfOriginalSubmission>{original:%Y-%m-%d}</dateOfOriginalSubmission>"
        filings.append(
            filing(
                *([texts.transaction(**trade) for trade in trades] or [""]),
                number=number,
                form=form,
                accepted=accepted.strftime("%Y%m%d%H%M%S"),
                issuer=issuer,
                owners=[owner(one, draw(st.integers(0, 4))) for one in owners],
                period=draw(st.sampled_from(["2015-02-02", "2015-06-30", "2105-02-02", "0022-02-02"])),
                extra=draw(st.sampled_from(BOXES)) + stated,
            )
        )
    return filings


_PARTS = ("code", "shares", "price", "date", "after")
