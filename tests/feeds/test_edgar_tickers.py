"""Which companies a list of tickers means, and what the tree remembers of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from feeds.edgar_download import Order, download_filings
from feeds.edgar_http import Client
from feeds.edgar_index import IndexCache, Window
from feeds.edgar_pace import Pace
from feeds.edgar_tickers import Company, find_companies, merge_ticker_file, read_companies
from feeds.errors import EnvironmentFailure, InputError
from feeds.issuers import read_ticker_file
from tests.edgar_server import Edgar, quick, serving

WINDOW = Window(date(2014, 1, 1), date(2020, 12, 31))
GOOGLE = [
    Company("0001288776", "GOOG", None, date(2015, 10, 1)),
    Company("0001652044", "GOOG", date(2015, 10, 2), None),
]


@pytest.fixture
def edgar() -> Iterator[Edgar]:
    rows = [[320193, "Apple", "AAPL", "Nasdaq"], [1067983, "Berkshire", "BRK-B", "NYSE"], [1652044, "A", "GOOG", "N"]]
    with serving(Edgar(tickers=rows)) as one:
        yield one


def find(edgar: Edgar, folder: Path, tickers: list[str], own: list[Company] | None = None) -> list[Company]:
    cache = IndexCache(Client(quick(edgar), Pace(500.0, 0.1, lambda text: None)), folder)
    return find_companies(tickers, own or [], folder, WINDOW, cache, edgar.address)


@pytest.mark.parametrize("name", ["BRK.B", "BRK-B", "brk/b"])
def test_ticker_of_a_share_class_is_found_however_it_is_written(name: str, tmp_path: Path, edgar: Edgar):
    assert find(edgar, tmp_path, [name]) == [Company("0001067983", name.upper())]


def test_ticker_in_the_users_file_is_decided_by_it_alone(tmp_path: Path, edgar: Edgar):
    assert find(edgar, tmp_path, ["GOOG"], GOOGLE) == GOOGLE
    assert edgar.asked == []


def test_ticker_owner_outside_the_window_is_left_out(tmp_path: Path, edgar: Edgar):
    early = [Company("0000000001", "GOOG", None, date(2013, 12, 31)), *GOOGLE]
    assert find(edgar, tmp_path, ["GOOG"], early) == GOOGLE


def test_no_tickers_mean_everybody_in_the_users_file(tmp_path: Path, edgar: Edgar):
    assert find(edgar, tmp_path, [], GOOGLE) == GOOGLE


def test_digits_are_a_cik(tmp_path: Path, edgar: Edgar):
    assert find(edgar, tmp_path, ["320193"]) == [Company("0000320193", "")]
    assert edgar.asked == []


def test_ticker_in_the_trees_file_needs_no_network(tmp_path: Path, edgar: Edgar):
    merge_ticker_file(tmp_path, GOOGLE, [])
    assert find(edgar, tmp_path, ["goog"]) == GOOGLE
    assert edgar.asked == []


def test_unknown_ticker_is_named_with_the_nearest_and_the_files_format(tmp_path: Path, edgar: Edgar):
    with pytest.raises(InputError, match=r"received APPL, FB\. Did you mean 'AAPL'\?.*columns ticker, cik, from, to"):
        find(edgar, tmp_path, ["APPL", "GOOG", "FB"])


def test_neither_tickers_nor_file_is_refused(tmp_path: Path, edgar: Edgar):
    with pytest.raises(InputError, match=r"`--tickers`: expected A,B or a file, received none"):
        find(edgar, tmp_path, [])


def test_map_with_another_layout_is_told(tmp_path: Path, edgar: Edgar):
    edgar.tickers = [[1]]
    with pytest.raises(EnvironmentFailure, match="expected the SEC's list of tickers, received another layout"):
        find(edgar, tmp_path, ["AAPL"])


def test_map_that_cannot_be_had_names_the_way_out(tmp_path: Path, edgar: Edgar):
    edgar.faults["company_tickers_exchange.json"] = ["503"] * 9
    order = Order(["AAPL"], [], WINDOW)
    with pytest.raises(EnvironmentFailure, match=r"the SEC's list of tickers: HTTP status 503; try again later, or"):
        download_filings(order, tmp_path, quick(edgar))


def test_ticker_file_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "tickers.csv").mkdir()
    with pytest.raises(EnvironmentFailure, match=r"cannot write .*tickers\.csv: Is a directory"):
        merge_ticker_file(tmp_path, GOOGLE, [])


def test_file_of_companies_that_cannot_be_read_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(InputError, match=r"`--ciks`: expected a CSV file with the columns ticker, cik, from, to"):
        read_companies(tmp_path / "none.csv")


def test_file_of_companies_is_read_in_any_column_order(tmp_path: Path):
    (tmp_path / "c.csv").write_text("ticker,cik,from,to\ngoog,1288776,,2015-10-01\nGOOG,1652044,2015-10-02,\n")
    assert read_companies(tmp_path / "c.csv") == GOOGLE


def test_ticker_file_keeps_what_the_user_wrote_in_it_and_adds_the_new(tmp_path: Path):
    (tmp_path / "tickers.csv").write_text("cik,ticker,from,to\n320193,AAPL,1980-12-12,\n1,OLD,,2015-01-01\n")
    merge_ticker_file(tmp_path, [Company("0000320193", "AAPL"), Company("0001067983", "BRK.B")], [])
    assert (tmp_path / "tickers.csv").read_text().splitlines() == [
        "cik,ticker,from,to",
        "0000320193,AAPL,1980-12-12,",
        "0001067983,BRK.B,,",
        "0000000001,OLD,,2015-01-01",
    ]
    assert list(read_ticker_file(tmp_path / "tickers.csv")["ticker"]) == ["AAPL", "BRK.B", "OLD"]


def test_ticker_file_gives_way_to_the_users_own(tmp_path: Path):
    merge_ticker_file(tmp_path, [Company("0001652044", "GOOG"), Company("0000320193", "AAPL")], [])
    merge_ticker_file(tmp_path, GOOGLE, GOOGLE)
    assert read_companies(tmp_path / "tickers.csv") == [Company("0000320193", "AAPL"), *GOOGLE]


def test_ticker_file_takes_of_the_users_own_only_what_was_asked_for(tmp_path: Path):
    other = Company("0000000001", "BBB")
    merge_ticker_file(tmp_path, [GOOGLE[1]], [*GOOGLE, other])
    assert read_companies(tmp_path / "tickers.csv") == GOOGLE
    merge_ticker_file(tmp_path, [other], [*GOOGLE, other])
    assert read_companies(tmp_path / "tickers.csv") == [other, *GOOGLE]
