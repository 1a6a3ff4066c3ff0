"""The command `check-data`: table, file, exit codes; and what a run says of the findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.commands import main
from engine.inputs import load_inputs
from engine.outputs import data_facts
from engine.settings import resolve
from feeds.progress import silent
from feeds.quality import REPAIRS
from feeds.sessions import trading_sessions

DAYS = trading_sessions("2020-01-02", "2020-12-31")[:60]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sound stocks, one with a row of zeros, one empty, one with a gap of twenty sessions."""
    place = tmp_path / "prices"
    place.mkdir()
    rng = np.random.default_rng(1)
    for name in ("GOOD", "ALSO", "ZERO", "GAPS"):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, 60)))
        frame = pd.DataFrame(
            {"Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close, "Volume": 1e6},
            index=pd.Index(DAYS, name="Date"),
        )
        if name == "ZERO":
            frame.iloc[30] = 0.0
        if name == "GAPS":
            frame = frame.drop(DAYS[10:30])
        frame.to_csv(place / f"{name}.csv")
    (place / "VOID.csv").write_bytes(b"")
    return place


def check(folder: Path, *words: str) -> int:
    return main(["check-data", "--prices", f"csv:{folder}", "--quiet", *words])


def test_check_data_writes_the_findings_and_ends_with_0(folder, tmp_path, capsys):
    assert check(folder, "--out", str(tmp_path / "out")) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["findings.csv"]
    lines = (tmp_path / "out" / "findings.csv").read_text().splitlines()
    assert lines == [
        "ticker,session,kind,severity,values,action",
        f"GAPS,{DAYS[10].date()},missing sessions,warning,20 sessions without a bar until {DAYS[29].date()},kept",
        "VOID,,empty file,error,VOID.csv is empty,refused",
        f"ZERO,{DAYS[30].date()},all-zero bar,error,all four prices are 0,row removed",
    ]
    screen = capsys.readouterr().out
    assert "5 tickers, 220 bars" in screen
    assert "2 error, 1 warning, 0 info" in screen
    assert "Refused for defects of their prices: VOID (empty file)." in screen


@pytest.mark.parametrize(("severity", "count"), [("error", 2), ("warning", 3)])
def test_check_data_fail_on_ends_with_1_and_counts(folder, capsys, severity, count):
    assert check(folder, "--fail-on", severity) == 1
    expected = f"error: findings as grave as `--fail-on {severity}` or graver: {count}\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(("tickers", "severity", "code"), [("GOOD,ALSO", "warning", 0), ("GAPS,GOOD", "error", 0)])
def test_check_data_fail_on_what_is_not_there_ends_with_0(folder, tickers, severity, code):
    assert check(folder, "--fail-on", severity, "--tickers", tickers) == code


def test_check_data_without_repair_says_refused(folder, tmp_path):
    assert check(folder, "--repair", "none", "--out", str(tmp_path / "out")) == 0
    frame = pd.read_csv(tmp_path / "out" / "findings.csv")
    assert dict(zip(frame["ticker"], frame["action"], strict=True)) == {
        "GAPS": "kept",
        "VOID": "refused",
        "ZERO": "refused",
    }


def test_check_data_nothing_but_defects_is_still_told(tmp_path, capsys):
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "VOID.csv").write_bytes(b"")
    assert check(tmp_path / "prices") == 0
    assert "1 ticker, 0 bars: 1 error, 0 warning, 0 info" in capsys.readouterr().out


def test_check_data_embedded_market_finds_nothing_above_info(tmp_path, capsys):
    assert main(["check-data", "--quiet", "--fail-on", "warning", "--out", str(tmp_path / "out")]) == 0
    assert "0 error, 0 warning" in capsys.readouterr().out
    assert set(pd.read_csv(tmp_path / "out" / "findings.csv")["severity"]) == {"info"}


def test_check_data_cut_before_the_defect_does_not_see_it(folder, capsys):
    assert check(folder, "--to", str(DAYS[9].date()), "--tickers", "ZERO,GAPS", "--fail-on", "warning") == 0
    assert "2 tickers, 20 bars: 0 error, 0 warning, 0 info" in capsys.readouterr().out


def test_check_data_cut_before_the_data_is_the_users_mistake(folder, capsys):
    assert check(folder, "--to", "1950-01-03", "--tickers", "GOOD,ALSO") == 2
    assert capsys.readouterr().err == (
        f"error: `--to 1950-01-03`: expected bars of csv:{folder} on or before it, received later ones only; "
        "choose a later date\n"
    )


def test_check_data_names_members_without_prices(folder, tmp_path, capsys):
    (tmp_path / "members.csv").write_text("ticker,from,to\nGOOD,2010-01-01,\nGONE,2010-01-01,\n")
    assert check(folder, "--universe", str(tmp_path / "members.csv")) == 0
    assert "1 of 2 stocks of the universe have no prices: GONE; " in capsys.readouterr().out


def test_load_inputs_warn_of_findings_and_count_them(folder):
    inputs = load_inputs(resolve({"prices": f"csv:{folder}"}), silent)
    assert "Refused for defects of their prices: VOID (empty file)." in inputs.warnings
    assert "Wrong bars were taken out, or false adjustments ignored, in ZERO." in inputs.warnings
    facts = data_facts(inputs)
    assert facts["Findings, error"] == "2 (empty file 1, all-zero bar 1)"
    assert facts["Findings, warning"] == "1 (missing sessions 1)"
    assert inputs.panel.tickers == ("ALSO", "GAPS", "GOOD", "ZERO")


def test_manifest_lists_every_repair(folder):
    from engine.pipeline import Model, _manifest
    from engine.stages import Stages

    settings = resolve({"prices": f"csv:{folder}", "cache": "none"})
    model = Model(None, {}, [])
    manifest = _manifest(settings, load_inputs(settings, silent), model, Stages())
    assert [(entry["ticker"], entry["action"]) for entry in manifest["repairs"]] == [
        ("VOID", "refused"),
        ("ZERO", "row removed"),
    ]
    assert manifest["settings"]["repair"] == "safe"


def test_settings_take_every_repair_there_is():
    assert [resolve({"repair": repair}).repair for repair in REPAIRS] == list(REPAIRS)
