"""The command `download filings`: its mistakes, its account and its exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.commands import main
from engine.filing_download import account_table
from feeds.edgar_account import Account, Failure
from feeds.edgar_http import BASE_VARIABLE
from feeds.transactions import read_filings
from tests.edgar_server import Edgar, serving
from tests.feeds import filing_texts as texts

XML = texts.document([texts.transaction()])
AGENT = ["--user-agent", "Ada Lovelace ada@analytical.org"]
WINDOW = ["--from", "2015-01-01", "--to", "2015-12-31", "--quiet", "--rate", "200"]


@pytest.fixture(autouse=True)
def edgar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Edgar]:
    monkeypatch.chdir(tmp_path)
    one = Edgar()
    accessions = [f"0000000001-15-{number:06d}" for number in range(1, 6)]
    one.add_company(
        "0000000101", ["BRK-B"], {name: texts.submission(XML, accession=name).encode() for name in accessions}
    )
    with serving(one):
        monkeypatch.setenv(BASE_VARIABLE, one.address)
        yield one


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--from", "2015-01-01", "--out", "o", "--tickers", "A"], "`--user-agent`: expected your own name"),
        (["--user-agent", "Ada ada@example.com", "--from", "2015-01-01", "--out", "o"], "received 'Ada ada@example"),
        ([*AGENT, "--out", "o", "--tickers", "A"], "`--from`: expected the first filing date, received none"),
        ([*AGENT, "--from", "2015-01-01"], "`--out`: expected the folder of the download, received none"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o"], "`--tickers`: expected A,B or a file, received none"),
        ([*AGENT, "--from", "2015-01-01", "--to", "2014-01-01", "--out", "o"], "`--from`: expected a date up to"),
        ([*AGENT, "--from", "yesterday", "--out", "o"], "`--from`: expected a date as YYYY-MM-DD"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o", "--rate", "fast"], "`--rate`: expected requests a second"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o", "--rate", "0"], "`--rate`: expected requests a second above 0"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o", "--jobs", "0"], "`--jobs`: expected a whole number from 1"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o", "--ciks", "none.csv"], "`--ciks`: expected a CSV file"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o", "--fast", "none"], "`--fast`: expected a folder"),
        ([*AGENT, "--from", "2015-01-01", "--out", "o", "--tickers", "BRKB"], "Did you mean 'BRK-B'?"),
        ([*AGENT, "--tickrs", "A"], "Did you mean '--tickers'"),
    ],
)
def test_download_with_a_mistake_is_refused_in_one_line(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["download", "filings", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert text in printed.err


@pytest.mark.parametrize(("words", "received"), [([], "'none'"), (["filing"], "Did you mean 'filings'")])
def test_download_of_nothing_known_names_what_there_is(
    words: list[str], received: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["download", *words]) == 2
    assert "`download`: expected one of " in (text := capsys.readouterr().err)
    assert received in text


def test_download_above_the_secs_rate_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv(BASE_VARIABLE)
    words = [*AGENT, "--from", "2015-01-01", "--out", "o", "--tickers", "A", "--rate", "11"]
    assert main(["download", "filings", *words]) == 2
    assert "up to 10, which is the SEC's limit, received 11" in capsys.readouterr().err


def test_download_into_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("mine")
    assert main(["download", "filings", *AGENT, *WINDOW, "--out", "file", "--tickers", "BRK.B"]) == 2
    assert "`--out`: expected a folder, received the file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_download_ends_with_0_and_its_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["download", "filings", *AGENT, *WINDOW, "--out", "o", "--tickers", "BRK.B"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert [line.split() for line in printed.out.splitlines()] == [
        ["companies", "1"],
        ["filings", "expected", "5"],
        ["present", "before", "0"],
        ["downloaded", "now", "5"],
        ["not", "there", "0"],
        ["about", "another", "issuer", "0"],
    ]
    assert (tmp_path / "o" / "tickers.csv").read_text() == "cik,ticker,from,to\n0000000101,BRK.B,,\n"
    assert read_filings(tmp_path / "o").n_filings == 5


def test_download_by_the_users_file_alone_keeps_its_dates(tmp_path: Path):
    (tmp_path / "ciks.csv").write_text("ticker,cik,from,to\nOLD,101,2010-01-01,2016-01-01\n")
    assert main(["download", "filings", *AGENT, *WINDOW, "--out", "o", "--ciks", "ciks.csv"]) == 0
    assert "0000000101,OLD,2010-01-01,2016-01-01" in (tmp_path / "o" / "tickers.csv").read_text()


def test_download_that_is_incomplete_ends_with_1_and_says_why(edgar: Edgar, capsys: pytest.CaptureFixture[str]):
    edgar.ciks["0000000001-15-000003"] = set()
    assert main(["download", "filings", *AGENT, *WINDOW, "--out", "o", "--tickers", "BRK.B"]) == 1
    printed = capsys.readouterr()
    assert "not there             1" in printed.out
    assert "  0000000001-15-000003: not on sec.gov (404); asked again from " in printed.out
    assert printed.err.startswith("error: the download is incomplete: 1 of 5 filings are not there, 1 failures")
    assert printed.err.count("\n") == 1


def test_account_lists_twenty_failures_and_counts_the_rest():
    failures = [Failure(f"F{number}", f"HTTP status 503 (after {number} attempts)") for number in range(25)]
    account = Account(companies=1, expected=30, downloaded=5, failures=failures, unparsed=[Failure("U", "why")])
    table = account_table(account)
    assert "not there, and why:\n  in all: 25 × HTTP status 503\n  F0: HTTP status 503" in table
    assert "  F19: HTTP status 503 (after 19 attempts)" in table
    assert "F20" not in table
    assert "  and 5 more; all are in .edgar/manifest.sqlite" in table
    assert "kept as the SEC sends them, but not readable:\n  U: why" in table


def test_account_of_a_download_that_stopped_is_not_complete():
    assert not Account(expected=5, downloaded=5, stopped="refused").complete
    assert not Account(expected=5, downloaded=4).complete
    assert Account(expected=5, present=2, downloaded=2, skipped=1).complete
