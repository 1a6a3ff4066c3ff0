"""The command `filings`: its table, its account, its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import engine.filings
from engine.commands import main
from feeds.sessions import trading_sessions
from feeds.transactions import Refusal, read_filings
from tests.feeds import filing_texts as texts

ORIGINAL = "<dateOfOriginalSubmission>2015-02-03</dateOfOriginalSubmission>"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def save(number: int, *rows: str, accepted: str = "20150203120000", form: str = "4", **document: object) -> None:
    """Write a filing into the folder T000 of the tree."""
    accession = f"0000000001-15-{number:06d}"
    path = Path("tree/sec-edgar-filings/T000/4", accession, "full-submission.txt")
    path.parent.mkdir(parents=True)
    xml = texts.document(rows, form=form, **document)  # type: ignore[arg-type]
    path.write_text(texts.submission(xml, accession=accession, accepted=accepted, form=form))


@pytest.fixture
def tree() -> None:
    """Six filings: trades, a joint one told twice, an amendment, an owner-side one, and a page."""
    chain = [{"cik": "0000009001"}], [{"cik": "0000009002"}]
    save(1, texts.transaction(), texts.transaction("M", 5, None, table="D"), texts.transaction("S", 50, 188139))
    save(2, texts.transaction("P", 20_000, nature="I"), owners=chain[0])
    save(3, texts.transaction("P", 20_000, nature="I"), owners=chain[1])
    save(4, texts.transaction("P", 300), form="4/A", accepted="20150210170000", extra=ORIGINAL)
    save(5, texts.transaction("S", 9), issuer="0000000777", symbol="OTHR", owners=[{"cik": "0000000101"}])
    save(6, texts.transaction(None, None, None, date=None), owners=[{"cik": "0000009003"}])
    Path("tree/page.txt").write_text("<html><title>Request Rate Threshold Exceeded</title></html>")


def write_prices(close: float = 10.0, *, adjusted: bool = False) -> str:
    """Write bars of T000, around the traded prices; without an adjusted close in Alpha Vantage's words."""
    Path("prices").mkdir()
    days = trading_sessions("2014-12-01", "2015-03-31")
    bars = pd.DataFrame({"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}, index=days)
    bars = bars.assign(**({"Adj Close": close} if adjusted else {"adjusted close": close}), volume=1e6)
    if not adjusted:
        bars = bars.assign(**{"dividend amount": 0.0, "split coefficient": 1.0})
    bars.rename_axis("date" if adjusted else "timestamp").to_csv("prices/T000.csv")
    return "csv:prices"


def command(*words: str) -> int:
    return main(["filings", "tree", "--out", "t.parquet", "--quiet", *words])


@pytest.mark.usefixtures("tree")
def test_filings_summary_counts_what_was_read_and_the_report_holds_the_same(capsys: pytest.CaptureFixture[str]):
    assert command("--report", "r.json") == 1
    report, shown = json.loads(Path("r.json").read_text()), capsys.readouterr().out
    assert (report["files"], report["filings"], report["rows"]) == (7, 6, 8)
    assert report["tables"] == {"N": 7, "D": 1}
    assert report["codes"] == {"P": 4, "S": 2, "M": 1, "none": 1}
    assert report["forms"] == {"4": 7, "4/A": 1}
    assert report["counts"] == {
        "reported_once": 7, "reported_again": 1, "superseded": 1, "owner_side": 1, "market_rows": 6, "market_once": 5,
    }  # fmt: skip
    assert report["prices"] == "not checked: no prices were given"
    reason = "not a filing: a page of sec.gov that refuses too many requests; download it again"
    assert report["refused"] == [{"file": "page.txt", "reason": reason}]
    for part in (
        "transaction rows    8 (N 7, D 1;", "7; 1 tell a trade again", "1 by an amendment", "1 about another issuer",
        "6 rows in table N, 5 trades", "4 7, 4/A 1", "P 4, S 2, M 1, none 1", f"page.txt: {reason}",
    ):  # fmt: skip
        assert part in shown, part


def test_summary_of_thousands_of_rows_fits_the_screen():
    summary = engine.filings.Summary(
        files=12_345, filings=12_345, rows=23_456, tables={"N": 23_456}, codes={"P": 23_456}, forms={"4": 23_456},
        counts=dict.fromkeys(("reported_once", "reported_again", "superseded", "owner_side", "market_rows",
                              "market_once"), 1_234),
        flags={f"flag_{number}": 1_000 for number in range(20)}, prices="none", coverage=None, complete=1_234,
        refused=tuple(Refusal(f"{number}.txt", "why") for number in range(25)), notes=("a note",),
    )  # fmt: skip
    lines = summary.table.splitlines()
    assert lines[0].split() == ["files", "12,345"]
    assert max(map(len, lines)) <= 120
    assert lines[-1] == "  and 5 more; `--report FILE` lists all"


@pytest.mark.usefixtures("tree")
def test_filings_owner_side_rows_have_no_ticker_and_values_are_as_filed_or_null():
    command()
    rows = {
        row["accession"][-1] + row["table"] + str(row["ordinal"]): row for row in pq.read_table("t.parquet").to_pylist()
    }
    assert len(rows) == 8
    assert (rows["5N1"]["ticker"], rows["5N1"]["flags"]) == (None, ["owner_side"])
    assert [rows["6N1"][name] for name in ("code", "shares", "price", "transacted_on")] == [None] * 4
    assert (rows["1D1"]["price"], rows["1N2"]["price"], rows["1N2"]["shares"]) == (None, 188139, 50)
    assert f"{rows['1N1']['transacted_on']}" == "2015-02-02"


@pytest.mark.usefixtures("tree")
def test_filings_with_as_traded_prices_marks_the_one_that_cannot_be_true(capsys: pytest.CaptureFixture[str]):
    command("--prices", write_prices(), "--report", "r.json")
    rows = read_filings(Path("t.parquet")).rows
    wrong = rows[rows["price"] == 188139].iloc[0]
    assert (wrong["flags"], pd.isna(wrong["price_checked"])) == (["price_out_of_range"], True)
    assert rows.loc[rows["price"] == 10, "price_checked"].eq(10).all()
    told = f"checked against the day's range: csv:{Path.cwd()}/prices (as_traded), 1 stocks"
    assert json.loads(Path("r.json").read_text())["prices"] == told
    assert told in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("tree")
def test_filings_with_adjusted_prices_says_that_the_days_range_was_not_asked(capsys: pytest.CaptureFixture[str]):
    command("--prices", write_prices(adjusted=True))
    shown = " ".join(capsys.readouterr().out.split())
    assert "checked against other filings only (see the note): csv:" in shown
    assert "filed prices were compared only with each other: the price source is split_adjusted" in shown
    assert read_filings(Path("t.parquet")).rows["price_checked"].max() == 188139


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["tree", "--out", "t.csv"], "`--out`: expected a name that ends in .parquet, received 't.csv'"),
        (["tree", "--out", "held.parquet"], "`--out`: expected a new file, received held.parquet, which exists"),
        (["tree", "--out", "t.parquet", "--report", "held.parquet"], "`--report`: expected a new file, received held"),
        (
            ["tree", "--out", "t.parquet", "--prices", "csv:absent"],
            "absent`: expected prices, received a path that does not exist",
        ),
        (["tree", "--out", "t.parquet", "--prices", "cvs:p"], "Did you mean 'csv'?"),
        (["absent", "--out", "t.parquet"], "`PATH` absent: expected a folder or file of Form 4 submissions"),
        (["tree/page.txt", "--out", "t.parquet"], "`PATH` tree/page.txt: expected at least one Form 4 submission"),
        (["openinsider:", "--out", "t.parquet"], "`PATH`: expected openinsider:FILE, received 'openinsider:'"),
        (["sec-quarterly:", "--out", "t.parquet"], "`PATH`: expected sec-quarterly:DIR, received 'sec-quarterly:'"),
        (["openinsider:absent", "--out", "t.parquet"], "`PATH` openinsider:absent: expected a file that can be read"),
        (["sec-quarterly:absent", "--out", "t.parquet"], "`PATH`"),
        (["", "--out", "t.parquet"], "`PATH`: expected a tree or file, received ''"),
        (["held.parquet", "--out", "t.parquet"], "`PATH`: expected a tree or file of Form 4 submissions, received the"),
    ],
)
def test_filings_with_a_mistake_is_refused_in_one_line_that_names_what_was_typed(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
):
    Path("held.parquet").write_text("mine")
    assert main(["filings", *words, "--quiet"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert text in printed.err
    assert "--filings" not in printed.err
    assert Path("held.parquet").read_text() == "mine"
    assert not Path("t.parquet").exists()


@pytest.mark.usefixtures("tree")
def test_filings_onto_an_earlier_table_replaces_it_with_force_and_only_when_it_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert command() == 1
    earlier = Path("t.parquet").read_bytes()
    Path("tree/page.txt").unlink()
    assert command() == 2
    assert "name another, or use `--force`" in capsys.readouterr().err

    def broken(*words: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("feeds.transaction_store.pq.write_table", broken)
        assert command("--force", "--cache", "none") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert Path("t.parquet").read_bytes() == earlier
    assert command("--force") == 0
    assert read_filings(Path("t.parquet")).refused == ()
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["cache", "t.parquet", "tree"]


def test_filings_of_the_price_typed_a_thousand_times_too_high(real_data: Path, monkeypatch: pytest.MonkeyPatch):
    """PANW 0001209191-23-018495: its neighbours were sold at 183 to 187, the last at 188,139."""
    words = [f"{real_data}/filings", "--out", "t.parquet", "--prices", f"parquet:{real_data}/prices_60.parquet"]
    assert main(["filings", *words, "--quiet"]) == 0
    rows = read_filings(Path("t.parquet")).rows
    mine = rows[(rows["accession"] == "0001209191-23-018495") & (rows["code"] == "S")]
    assert mine.loc[mine["price"] > 1000, "flags"].tolist() == [["price_unlike_peers"]]
    assert mine["price_checked"].isna().tolist() == (mine["price"] > 1000).tolist()
    assert engine.filings.Summary.of(read_filings(Path("t.parquet"))).flags["price_unlike_peers"] == 1
