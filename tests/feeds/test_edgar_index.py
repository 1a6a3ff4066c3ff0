"""The expected set: which rows, which pages, and what is asked for a second time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from feeds.edgar_http import Client, NotThere, Transient
from feeds.edgar_index import IndexCache, Window, expected_filings
from feeds.edgar_pace import Pace
from tests.edgar_server import Edgar, quick, serving
from tests.feeds import filing_texts as texts

CIK = "0000000101"
XML = texts.document([texts.transaction()])


def filing(number: int, day: str, form: str = "4") -> tuple[str, bytes]:
    accession = f"0000000001-15-{number:06d}"
    return accession, texts.submission(XML, accession=accession, accepted=f"{day}120000", form=form).encode()


@pytest.fixture
def edgar() -> Iterator[Edgar]:
    days = ["20150105", "20150202", "20150303", "20150401", "20150504", "20150601"]
    filings = dict(filing(number, day) for number, day in enumerate(days, start=1))
    filings |= dict([filing(7, "20150303", form="4/A"), filing(8, "20150303", form="3")])
    one = Edgar()
    one.add_company(CIK, ["AAA"], filings, recent=2)
    with serving(one):
        yield one


def cache_in(folder: Path, edgar: Edgar) -> IndexCache:
    return IndexCache(Client(quick(edgar), Pace(500.0, 0.1, lambda text: None)), folder)


def days_in(cache: IndexCache, edgar: Edgar, first: str, last: str) -> list[str]:
    window = Window(date.fromisoformat(first), date.fromisoformat(last))
    filings, tickers = expected_filings(cache, edgar.address, CIK, window)
    assert tickers == ("AAA",)
    return sorted(f"{one.filed_on} {one.form}" for one in filings)


def test_expected_filings_are_forms_4_with_both_ends_of_the_window(tmp_path: Path, edgar: Edgar):
    found = days_in(cache_in(tmp_path, edgar), edgar, "2015-02-02", "2015-05-04")
    assert found == ["2015-02-02 4", "2015-03-03 4", "2015-03-03 4/A", "2015-04-01 4", "2015-05-04 4"]


def test_expected_filings_ask_only_for_pages_that_overlap_the_window(tmp_path: Path, edgar: Edgar):
    days_in(cache_in(tmp_path, edgar), edgar, "2015-05-01", "2015-12-31")
    assert len(edgar.times()) == 1
    days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-01-31")
    assert [one.path.rsplit("/", 1)[1] for one in edgar.asked[1:]] == [
        f"CIK{CIK}.json",
        f"CIK{CIK}-submissions-003.json",
    ]


def test_index_asked_for_again_is_not_sent_again(tmp_path: Path, edgar: Edgar):
    first = days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-12-31")
    assert days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-12-31") == first
    assert edgar.statuses("") == [200] * 4 + [304] * 4


def test_index_that_has_grown_is_seen(tmp_path: Path, edgar: Edgar):
    before = days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-12-31")
    recent = edgar.pages[f"CIK{CIK}.json"]["filings"]["recent"]
    for name, value in zip(recent, ("0000000001-15-000009", "2015-07-01", "4", ""), strict=True):
        recent[name].insert(0, value)
    assert days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-12-31") == [*before, "2015-07-01 4"]


def test_index_file_damaged_on_disk_is_asked_for_anew(tmp_path: Path, edgar: Edgar):
    first = days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-12-31")
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:30])
    assert days_in(cache_in(tmp_path, edgar), edgar, "2015-01-01", "2015-12-31") == first
    assert edgar.statuses("") == [200] * 8


def test_index_of_an_unknown_company_is_not_there(tmp_path: Path, edgar: Edgar):
    window = Window(date(2015, 1, 1), date(2015, 12, 31))
    with pytest.raises(NotThere, match="not on sec.gov"):
        expected_filings(cache_in(tmp_path, edgar), edgar.address, "0000000999", window)


def test_index_with_another_layout_or_company_is_refused(tmp_path: Path, edgar: Edgar):
    window = Window(date(2015, 1, 1), date(2015, 12, 31))
    page = edgar.pages[f"CIK{CIK}.json"]
    edgar.pages[f"CIK{CIK}.json"] = {**page, "filings": {}}
    with pytest.raises(Transient, match="expected the SEC's layout, received another"):
        expected_filings(cache_in(tmp_path, edgar), edgar.address, CIK, window)
    edgar.pages[f"CIK{CIK}.json"] = {**page, "cik": "102"}
    with pytest.raises(Transient, match="expected that of CIK 0000000101, received that of 102"):
        expected_filings(cache_in(tmp_path, edgar), edgar.address, CIK, window)


def test_index_that_is_no_json_is_asked_for_again(tmp_path: Path, edgar: Edgar):
    edgar.faults[f"CIK{CIK}.json"] = ["empty", "short"]
    assert days_in(cache_in(tmp_path, edgar), edgar, "2015-05-01", "2015-12-31") == ["2015-05-04 4", "2015-06-01 4"]
    assert len(edgar.times()) == 3
    edgar.faults[f"CIK{CIK}.json"] = ["short"] * 9
    with pytest.raises(Transient, match="answer is not JSON"):
        days_in(cache_in(tmp_path, edgar), edgar, "2015-05-01", "2015-12-31")


@pytest.mark.parametrize(("cik", "expected"), [("0000320193", 1218), ("0000007084", None)])
def test_expected_filings_of_real_indexes_are_all_of_their_forms(
    cik: str, expected: int | None, tmp_path: Path, real_data: Path
):
    edgar = Edgar(pages={path.name: json.loads(path.read_text()) for path in (real_data / "edgar_json").iterdir()})
    with serving(edgar):
        cache = cache_in(tmp_path, edgar)
        if expected is None:
            found, tickers = expected_filings(cache, edgar.address, cik, Window(date(2019, 3, 14), date(2025, 12, 31)))
            assert (len(found), tickers) == (785, ("ADM",))
            assert len(edgar.times()) == 1
        else:
            found, tickers = expected_filings(cache, edgar.address, cik, Window(date(1990, 1, 1), date(2025, 12, 31)))
            assert (len(found), tickers) == (expected, ("AAPL",))
            assert len(edgar.times()) == 2
