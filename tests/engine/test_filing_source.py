from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest

import engine.filing_source as filing_source
from engine.filing_source import make_folder, read_source, require_filings, tree_store
from engine.filings import parse_to_parquet
from engine.provenance import input_digests
from engine.settings import resolve, split_filings
from feeds.errors import EnvironmentFailure, InputError
from feeds.progress import silent
from feeds.synthetic import MarketSettings
from feeds.synthetic_filings import write_filings
from feeds.transactions import TransactionTable, write_parquet

EXPORT = """Filing Date,Trade Date,Ticker,Insider Name,Trade Type,Price,Qty
2021-06-30 19:56:34,2021-06-28,ABC,Doe Jane,P - Purchase,$10.00,100
2021-06-30 19:56:34,2021-06-28,(ABC),Doe Jane,P - Purchase,$10.00,100
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(EXPORT)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    settings = MarketSettings(n_stocks=2, n_sessions=300, late_listings=(), delistings=(), splits=())
    write_filings(settings, tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def quarters(tmp_path: Path) -> Path:
    tables = {
        "SUBMISSION": "ACCESSION_NUMBER\tFILING_DATE\tPERIOD_OF_REPORT\tDATE_OF_ORIG_SUB\tDOCUMENT_TYPE\tISSUERCIK\t"
        "ISSUERTRADINGSYMBOL\n1\t03-FEB-2023\t\t\t4\t7\tABC\n2\t03-FEB-2023\t\t\t4\t8\tXYZ\n",
        "REPORTINGOWNER": "ACCESSION_NUMBER\tRPTOWNERCIK\tRPTOWNERNAME\tRPTOWNER_RELATIONSHIP\tRPTOWNER_TITLE\n",
        "FOOTNOTES": "ACCESSION_NUMBER\tFOOTNOTE_ID\tFOOTNOTE_TXT\n",
    }
    trade = (
        "ACCESSION_NUMBER\t{}_SK\tSECURITY_TITLE\tTRANS_DATE\tTRANS_CODE\tTRANS_SHARES\tTRANS_PRICEPERSHARE\t"
        "TRANS_ACQUIRED_DISP_CD\tSHRS_OWND_FOLWNG_TRANS\tDIRECT_INDIRECT_OWNERSHIP\n"
    )
    line = "{}\t1\tCommon Stock\t01-FEB-2023\tP\t5.0\t2.0\tA\t9.0\tD\n"
    tables["NONDERIV_TRANS"] = trade.format("NONDERIV_TRANS") + line.format(1) + line.format(2)
    tables["DERIV_TRANS"] = trade.format("DERIV_TRANS")
    (tmp_path / "sets").mkdir()
    with zipfile.ZipFile(tmp_path / "sets" / "2023q1_form345.zip", "w") as archive:
        for name, text in tables.items():
            archive.writestr(f"{name}.tsv", text)
    return tmp_path / "sets"


def read(source: object, cache: Path | None = None, tickers: list[str] | None = None) -> TransactionTable:
    return read_source(str(source), tickers=tickers, cache=str(cache) if cache else None, jobs=1, progress=silent)


def test_split_filings_knows_the_kinds_and_leaves_paths_alone():
    assert split_filings("openinsider:a:b.csv") == ("openinsider", "a:b.csv")
    assert split_filings("sec-quarterly:x") == ("sec-quarterly", "x")
    assert split_filings("C:/filings") == ("", "C:/filings")


def test_resolve_filings_sources_become_absolute_and_must_exist(export, quarters, monkeypatch):
    monkeypatch.chdir(export.parent)
    prices = {"prices": f"csv:{export.parent}"}
    settings = resolve({**prices, "filings": "openinsider:export.csv"})
    assert settings.filings == f"openinsider:{export}"
    assert set(input_digests(settings)["filings"]) == {"path", "sha256"}
    settings = resolve({**prices, "filings": "sec-quarterly:sets"})
    assert settings.filings == f"sec-quarterly:{quarters}"
    assert input_digests(settings)["filings"]["files"] == 1
    for wrong in ("openinsider:sets", "sec-quarterly:export.csv", "openinsider:", "sec-quarterly:absent"):
        with pytest.raises(InputError, match=f"openinsider:FILE or sec-quarterly:DIR, received '{wrong}'"):
            resolve({**prices, "filings": wrong})
    with pytest.raises(InputError, match="Did you mean 'openinsider'"):
        resolve({**prices, "filings": "openinsder:export.csv"})


def test_read_source_dispatches_by_kind(export, quarters):
    assert read(f"openinsider:{export}").rows["ticker"].tolist() == ["ABC"]
    assert read(f"sec-quarterly:{quarters}").rows["ticker"].tolist() == ["ABC", "XYZ"]
    assert read(f"sec-quarterly:{quarters}", tickers=["XYZ"]).rows["ticker"].tolist() == ["XYZ"]


def test_read_source_of_a_tree_keeps_what_was_parsed(tree, tmp_path, monkeypatch):
    first = read(tree, tmp_path / "cache")
    monkeypatch.setattr("feeds.filing_store.parse_candidate", None)
    pd.testing.assert_frame_equal(read(tree, tmp_path / "cache").rows, first.rows)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(read(tree).rows, first.rows)


def test_read_source_of_quarterly_sets_is_kept_by_content_and_tickers(quarters, tmp_path, monkeypatch):
    source, cache = f"sec-quarterly:{quarters}", tmp_path / "cache"
    first = read(source, cache, ["ABC"])
    monkeypatch.setattr(filing_source, "read_sec_quarterly", None)
    pd.testing.assert_frame_equal(read(source, cache, ["ABC"]).rows, first.rows)
    with pytest.raises(TypeError):  # of other tickers nothing is kept
        read(source, cache, ["XYZ"])


def test_parse_to_parquet_takes_any_source_and_counts_lines_where_a_file_has_many(export, tree, tmp_path):
    text = export.read_text()
    export.write_text(text + text.splitlines()[2] + "\n")
    out = tmp_path / "t.parquet"
    summary = parse_to_parquet(f"openinsider:{export}", out, jobs=1, cache=None, progress=silent)
    assert (summary.rows, summary.files, len(summary.refused), summary.unit) == (1, 1, 2, "lines")
    (tree / "page.txt").write_text("<html>")
    summary = parse_to_parquet(str(tree), out, jobs=1, cache=str(tmp_path / "cache"), progress=silent)
    assert summary.unit == f"of {summary.files} files"
    assert list((tmp_path / "cache" / "filings").iterdir())
    with pytest.raises(InputError, match="`PATH`: expected a tree or file of Form 4 submissions, received the table"):
        parse_to_parquet(str(out), out, jobs=1, cache=None, progress=silent)


def test_require_filings_turns_what_was_left_out_knowingly_into_a_note(export, tmp_path):
    source = f"openinsider:{export}"
    table = read(source)
    assert require_filings(table, source).notes[-1] == (
        "filings: 1 files or lines were not understood, first export.csv line 3: "
        "Ticker: expected a ticker, received '(ABC)'"
    )
    write_parquet(table, tmp_path / "t.parquet")
    saved = require_filings(read(tmp_path / "t.parquet"), str(tmp_path / "t.parquet"))
    assert "1 files or lines were not understood" in saved.notes[-1]


def test_require_filings_of_a_tree_refuses_and_says_the_way_out(tree):
    assert require_filings(read(tree), str(tree)).refused == ()
    page = tree / "page.txt"
    page.write_text("<html>")
    with pytest.raises(InputError, match=r"received 1 other of \d+ files, first page\.txt .*run_backtest\.py filings"):
        require_filings(read(tree), str(tree))


def test_tree_store_is_one_per_tree(tmp_path):
    assert tree_store(tmp_path, Path("a")) == tree_store(tmp_path, Path("a"))
    assert tree_store(tmp_path, Path("a")) != tree_store(tmp_path, Path("b"))


def test_make_folder_where_a_file_stands_is_the_environments_failure(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(EnvironmentFailure, match="cannot make .*choose another `--cache`, or `none`"):
        make_folder(tmp_path / "x" / "y")
