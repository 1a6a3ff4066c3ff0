"""The command line's contract: what each mistake answers, and that nothing half-written stays behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.arguments import parse
from engine.commands import main
from feeds.sessions import trading_sessions
from feeds.synthetic import MarketSettings, write_filings
from feeds.transactions import read_filings

ROOT = Path(__file__).resolve().parent.parent
BARS = "Date,Open,High,Low,Close,Volume\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own cache and working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def write_prices(folder: Path, tickers: int = 12, sessions: int = 60, late: int = 0) -> Path:
    """Write one CSV per ticker with random prices on consecutive sessions of 2020."""
    folder.mkdir()
    dates = trading_sessions("2020-01-02", "2024-12-31")[late : late + sessions]
    rng = np.random.default_rng(0)
    for i in range(tickers):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, sessions)))
        columns = {"Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close, "Volume": 1e6}
        pd.DataFrame(columns, index=pd.Index(dates, name="Date")).to_csv(folder / f"AA{chr(65 + i)}.csv")
    return folder


def _entries() -> list[str]:
    """What lies in the working folder, but for what Python and our cache keep."""
    return sorted(path.name for path in Path.cwd().iterdir() if path.name not in ("cache", "__pycache__"))


def expect_mistake(words: list[str], text: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> None:
    """Run the words and hold that they end with `code`, one error line with `text`, and no new folder."""
    before = _entries()
    assert main([*words, "--quiet"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert text in printed.err
    assert _entries() == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--prices", "csv:nowhere", "--strategy", "lstm_only"], "nowhere"),
        (["--prices", "parquet:nowhere.parquet", "--strategy", "lstm_only"], "nowhere.parquet"),
        (["--filings", "nowhere"], "`--filings`: expected synthetic, none, or an existing DIR"),
        (["--strategy", "lstm_insidr"], "Did you mean 'lstm_insider'"),
        (["--strategy", "nowhere.py:Mine"], "nowhere.py"),
        (["--param", "max_position=3"], "Did you mean 'max_positions'"),
        (["--param", "max_positions=many"], "max_positions"),
        (["--param", "max_positions=0"], "`max_positions` of LSTMInsider: expected a whole number from 1, received 0"),
        (["--benchmark", "NOSUCH"], "unknown ticker 'NOSUCH'"),
        (["--model", "tinny"], "Did you mean 'tiny'"),
        (["--against", "logistik"], "unknown baseline of `--against`: 'logistik'"),
        (["--against", ""], "`--against`: expected names as a,b or none, received ''"),
        (["--tickers", "NOSUCH"], "NOSUCH"),
        (["--from", "2100-01-01"], "`--from`: expected a date inside the data"),
        (["--to", "1999-01-01"], "`--to`"),
        (["--to", "2018-06-29"], "too little history"),
        (["--repair", "all"], "`--repair`: expected none or safe, received 'all'"),
        (["--tickers", "A,B", "--force"], "unknown ticker 'A'"),
    ],
)
def test_run_with_a_mistake_is_refused_in_one_line(words: list[str], text: str, capsys: pytest.CaptureFixture[str]):
    expect_mistake(["run", *words], text, capsys)


@pytest.mark.parametrize("command", ["run", "train"])
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--volume-percent", "0"], "`--volume-percent`: expected a number above 0 to 100, received '0'"),
        (["--commission", "foo"], "`--commission`: expected bps:N, percent:N, per-trade:USD"),
        (["--slippage", "impact:x"], "`--slippage`: expected a number from 0 to 100 after the colon"),
        (["--delisting-return", "-2"], "`--delisting-return`: expected a return from -1 such as -0.3, received -2"),
        (["--delisting-return", "returns.csv"], "expected one return per ticker, received several for DEAD"),
        (["--commission-bps", "10000"], "`commission_bps`: expected from 0 to below 10000 basis points per side"),
    ],
)
def test_costs_that_cannot_be_are_refused_before_any_data_are_read(
    command: str, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
):
    Path("returns.csv").write_text("ticker,return\nDEAD,-1\nDEAD,0\n")
    nowhere = ["--prices", "csv:nowhere", "--strategy", "lstm_only"]
    expect_mistake([command, *nowhere, *words], text, capsys)


def test_holdout_before_the_first_bar_names_itself(capsys: pytest.CaptureFixture[str]):
    Path("sealed.toml").write_text('[model_options]\nholdout_from = "1999-01-01"\n')
    text = "model setting `holdout_from`: expected a date after the first bar, received 1999-01-01: every session is"
    expect_mistake(["run", "--config", "sealed.toml"], text, capsys)


def test_run_into_a_folder_with_content_is_refused_and_it_is_untouched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    expect_mistake(["run", "--out", "out"], "`--out`: expected a new or empty folder", capsys)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Date,Open,High,Low,Volume\n2020-01-02,1,1,1,1\n", "close"),
        (BARS + "2020-01-02,1,1,1,1,1\n2020-01-02,2,2,2,2,1\n", "2020-01-02"),
        (BARS + "2020-01-02,1,1,2,1,1\n", "2020-01-02"),
        (BARS + "2020-01-02,one,1,1,1,1\n", "one"),
        ("", "empty"),
    ],
    ids=["missing column", "duplicate", "high below low", "not a number", "empty"],
)
def test_run_on_a_broken_csv_without_repair_names_ticker_and_defect(
    content: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = write_prices(tmp_path / "prices")
    (folder / "BAD.csv").write_text(content)
    words = ["run", "--prices", f"csv:{folder}", "--strategy", "lstm_only", "--repair", "none"]
    expect_mistake(words, "BAD", capsys)
    expect_mistake(words, text, capsys)


def test_run_on_files_without_a_column_only_is_refused_under_any_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("AAA", "BAD"):
        (tmp_path / f"{name}.csv").write_text("Date,Open,High,Low,Volume\n2020-01-02,1,1,1,1\n")
    expect_mistake(["run", "--prices", f"csv:{tmp_path}", "--strategy", "lstm_only"], "BAD: lacks the column", capsys)


def test_run_on_too_little_history_says_how_much_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_prices(tmp_path / "prices")
    expect_mistake(["run", "--prices", f"csv:{folder}", "--strategy", "lstm_only"], "60", capsys)


def test_run_on_few_stocks_names_the_model_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_prices(tmp_path / "prices", tickers=3)
    expect_mistake(["run", "--prices", f"csv:{folder}", "--strategy", "lstm_only"], "--model single", capsys)


def test_run_without_filings_names_the_strategy_for_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_prices(tmp_path / "prices")
    expect_mistake(["run", "--prices", f"csv:{folder}"], "--strategy lstm_only", capsys)


@pytest.fixture
def tree_with_a_page(tmp_path: Path) -> Path:
    """Real-format filings of a small invented market, and one throttle page saved as a filing."""
    tree = tmp_path / "tree"
    write_filings(MarketSettings(n_stocks=2, n_sessions=300, late_listings=(), delistings=(), splits=()), tree)
    page = tree / "sec-edgar-filings" / "AAA" / "4" / "0000000001-20-000001" / "full-submission.txt"
    page.parent.mkdir(parents=True)
    page.write_text("<html><title>SEC.gov | Request Rate Threshold Exceeded</title></html>")
    return tree


def test_run_of_a_subclass_that_needs_filings_is_refused_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "mine.py").write_text(
        "from strategies.lstm_insider import LSTMInsider\n\nclass Mine(LSTMInsider): pass\n"
    )
    words = ["run", "--filings", "none", "--strategy", "mine.py:Mine"]
    expect_mistake(words, "expected a source of filings, received `--filings none`", capsys)


def test_run_against_a_benchmark_that_begins_too_late_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_prices(tmp_path / "late", tickers=1, sessions=60)
    expect_mistake(["run", "--benchmark", f"csv:{folder / 'AAA.csv'}"], "benchmark: expected prices from 2020", capsys)


def test_train_of_saved_predictions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "p.parquet").write_text("")
    expect_mistake(["train", "--predictions", "p.parquet"], "`train`: expected no `--predictions`", capsys)


@pytest.mark.parametrize(
    "words", [["--against", "logistic"], ["--ablation"], ["--placebo", "20"]], ids=lambda words: words[0]
)
def test_run_of_saved_predictions_beside_what_must_be_trained_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "p.parquet"
    file.write_text("")
    expected = f"`{words[0]}`: expected none with `--predictions`, which trains nothing, received it beside {file}"
    expect_mistake(["run", "--predictions", str(file), *words], expected, capsys)


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^python run_backtest\.py (.*)$", text, flags=re.M)
    return [line.partition("  #")[0].replace(" ...", "").strip() for line in lines]


@pytest.mark.parametrize("line", readme_commands())
def test_readme_command_is_understood(line: str):
    assert parse(shlex.split(line)).command


def test_run_with_a_page_stored_as_a_filing_names_it_and_the_way_out(
    tmp_path: Path, tree_with_a_page: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["run", "--prices", f"csv:{write_prices(tmp_path / 'prices')}", "--filings", str(tree_with_a_page)]
    expect_mistake(words, "0000000001-20-000001", capsys)
    expect_mistake(words, "run_backtest.py filings", capsys)


def test_filings_of_a_tree_with_a_page_writes_the_others_and_ends_incomplete(
    tmp_path: Path, tree_with_a_page: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["filings", str(tree_with_a_page), "--out", "x.parquet", "--report", "x.json", "--quiet"]
    assert main(words) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: 1 of ")
    assert "0000000001-20-000001" in printed.out
    summary = json.loads((tmp_path / "x.json").read_text())
    table = read_filings(tmp_path / "x.parquet")
    assert summary["rows"] == len(table.rows) == sum(summary["codes"].values()) > 20
    assert [one["file"].split("/")[3] for one in summary["refused"]] == ["0000000001-20-000001"]
    expect_mistake(words, "`--out`: expected a new file", capsys)


def test_filings_without_out_and_of_a_page_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "page.txt"
    page.write_text("<html>Request Rate Threshold Exceeded</html>")
    expect_mistake(["filings", "page.txt"], "`--out`: expected the Parquet file to write", capsys)
    expect_mistake(["filings", "page.txt", "--out", "x.parquet"], "page.txt", capsys)
    expect_mistake(["filings", "nowhere", "--out", "x.parquet"], "nowhere", capsys)


@pytest.mark.parametrize("what", ["strategies", "indicators", "sources", "models"])
def test_list_names_each_with_a_sentence(what: str, capsys: pytest.CaptureFixture[str]):
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all(len(line.split("  ", 1)[1].strip()) > 10 for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_interrupted_ends_with_130_and_leaves_no_folder(number: signal.Signals, tmp_path: Path):
    words = [sys.executable, str(ROOT / "run_backtest.py"), "run", "--out", "out", "--cache", "none"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    _wait_for(lambda: any(p.name.endswith(".partial") for p in tmp_path.iterdir()))
    time.sleep(1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def _wait_for(condition: Callable[[], bool], limit: float = 60) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
