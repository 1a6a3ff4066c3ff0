"""The main job as a user runs it, on a small embedded market: run folder, repeatability, no look-ahead."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import engine.inputs
from engine.commands import main
from engine.features import build_columns
from engine.inputs import load_inputs
from engine.settings import read_config, resolve
from feeds.form4 import parse_submission
from feeds.progress import silent
from feeds.sessions import session_closes
from feeds.synthetic import MarketSettings, write_filings
from models.predictions import SavedPredictions
from models.saved_model import read_model

pytestmark = pytest.mark.xdist_group("end_to_end")
ROOT = Path(__file__).resolve().parent.parent
CONFIG = """
[market]
n_stocks = 12
n_sessions = 760
late_listings = [150]
delistings = [650]
splits = [[300, 2.0]]
memory_strength = 0.2

[model_options]
train_sessions = 400
validation_sessions = 80
test_sessions = 150
epochs = 3
units = 8
"""
Run = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command of the main job without a cache, each distinct one once; return its folder."""
    folder = tmp_path_factory.mktemp("end_to_end")
    config = folder / "small.toml"
    config.write_text(CONFIG)
    done: dict[tuple[str, ...], Path] = {}

    def once(*words: str, command: str = "run", settings: Path = config) -> Path:
        key = (command, str(settings), *words)
        if key not in done:
            out = folder / f"out{len(done)}"
            common = ["--config", str(settings), "--out", str(out), "--cache", "none", "--quiet"]
            assert main([command, *common, *words]) == 0
            done[key] = out
        return done[key]

    return once


def contents(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


RESULTS = ("trades.csv", "orders.csv", "equity.csv", "predictions.parquet")


def test_run_folder_holds_every_file_and_figures_that_agree(run: Run):
    out = run()
    expected = {*RESULTS, "report.html", "tearsheet.html", "manifest.json", "config.toml"}
    expected |= {"evaluation.json", "evaluation.md"}
    assert {path.name for path in out.iterdir()} == expected
    manifest = json.loads((out / "manifest.json").read_text())
    equity = pd.read_csv(out / "equity.csv", index_col="session", parse_dates=True)
    trades = pd.read_csv(out / "trades.csv")
    assert manifest["metrics"]["n_trades"] == len(trades) > 20
    assert manifest["metrics"]["total_return"] == pytest.approx(equity["value"].iloc[-1] / equity["value"].iloc[0] - 1)
    assert manifest["sessions"]["traded"] == [str(equity.index[0].date()), str(equity.index[-1].date())]
    assert {fold["fold"] for fold in manifest["model"]["folds"]} == {1, 2, 3}
    assert manifest["inputs"]["panel"]["sha256"]
    assert manifest["versions"]["backtrader"] == "1.9.78.123"


def test_run_trades_only_after_its_first_out_of_sample_prediction(run: Run):
    out = run()
    predictions = SavedPredictions.read(out / "predictions.parquet").frame
    orders = pd.read_csv(out / "orders.csv", parse_dates=["created_session"])
    folds = json.loads((out / "manifest.json").read_text())["model"]["folds"]
    assert predictions["session"].min() == pd.Timestamp(folds[0]["test_first"])
    assert orders["created_session"].min() >= predictions["session"].min()
    for fold in folds:
        sessions = predictions.loc[predictions["fold"] == fold["fold"], "session"]
        assert sessions.between(fold["test_first"], fold["test_last"]).all()
        assert fold["validation_last"] < fold["test_first"]


def test_run_from_its_own_config_with_other_jobs_gives_the_same_bytes(run: Run):
    again = run("--jobs", "1", settings=run() / "config.toml")
    assert contents(again, *RESULTS) == contents(run(), *RESULTS)
    assert contents(again, "config.toml") == contents(run(), "config.toml")


def test_run_with_another_seed_gives_another_result(run: Run):
    other = run("--seed", "1")
    assert all(a != b for a, b in zip(contents(other, *RESULTS), contents(run(), *RESULTS), strict=True))


def test_run_on_data_cut_earlier_decides_the_same_up_to_the_cut(run: Run, monkeypatch: pytest.MonkeyPatch):
    """The truncation check of the whole way: files, parser, columns, folds, networks, orders."""
    whole = run()
    sessions = pd.read_csv(whole / "equity.csv", parse_dates=["session"])["session"]
    cut = sessions.iloc[-40]
    removed: list[Path] = []
    monkeypatch.setattr(engine.inputs, "write_filings", partial(_write_filings_until, cut, removed))
    short = run("--to", str(cut.date()))
    assert len(removed) > 5
    before, after = (SavedPredictions.read(out / "predictions.parquet").frame for out in (short, whole))
    assert len(before) > 1000
    pd.testing.assert_frame_equal(before, after[after["session"] <= cut].reset_index(drop=True))
    decided = [_orders_until(out, cut) for out in (short, whole)]
    assert len(decided[0]) > 50
    pd.testing.assert_frame_equal(*decided)
    equity = [pd.read_csv(out / "equity.csv", parse_dates=["session"]).set_index("session") for out in (short, whole)]
    pd.testing.assert_frame_equal(equity[0], equity[1].loc[:cut])


def _write_filings_until(cut: pd.Timestamp, removed: list[Path], market: MarketSettings, tree: Path) -> None:
    """Write the embedded market's documents, but none that was accepted at or after the close of `cut`."""
    write_filings(market, tree)
    close = session_closes(pd.DatetimeIndex([cut]))[0]
    for path in sorted(tree.rglob("full-submission.txt")):
        accepted = parse_submission(path.read_bytes(), path.name).accepted_at
        assert accepted is not None
        if accepted >= close:
            removed.append(path)
            path.unlink()


def _orders_until(out: Path, cut: pd.Timestamp) -> pd.DataFrame:
    """What was decided up to the cut; an order's fate may come later."""
    orders = pd.read_csv(out / "orders.csv", parse_dates=["created_session"])
    known = ["ref", "ticker", "side", "order_type", "size", "created_session", "created_price"]
    return orders.loc[orders["created_session"] <= cut, known].reset_index(drop=True)


def test_run_on_saved_predictions_trades_the_same_without_tensorflow(run: Run, tmp_path: Path):
    words = ["run", "--config", str(run() / "config.toml"), "--predictions", str(run() / "predictions.parquet")]
    words += ["--out", str(tmp_path / "out"), "--cache", "none", "--quiet"]
    code = (
        "import sys; from engine.commands import main\n"
        f"assert main({words!r}) == 0\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'TensorFlow was loaded'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out", "trades.csv", "equity.csv") == contents(run(), "trades.csv", "equity.csv")
    again, first = (json.loads((out / "manifest.json").read_text()) for out in (tmp_path / "out", run()))
    for name in ("information_coefficient", "n_labels", "log_loss", "prior_log_loss", "spread_bps", "direction_auc"):
        assert again["model"]["pooled"][name] == pytest.approx(first["model"]["pooled"][name])
    assert [fold["test_last"] for fold in again["model"]["folds"]] == [f["test_last"] for f in first["model"]["folds"]]
    assert not [text for text in again["warnings"] if text.startswith("predictions ")]


def test_run_on_predictions_of_another_market_and_horizon_says_so_and_holds_for_theirs(run: Run, tmp_path: Path):
    saved = SavedPredictions.read(run() / "predictions.parquet")
    assert saved.origin is not None
    replace(saved, origin=replace(saved.origin, horizon=3)).write(tmp_path / "p.parquet")
    (tmp_path / "small.toml").write_text(CONFIG)
    three = ",".join(saved.frame["ticker"].unique()[:3])
    words = ["run", "--config", str(tmp_path / "small.toml"), "--predictions", str(tmp_path / "p.parquet")]
    words += ["--seed", "5", "--tickers", three, "--filings", "none", "--strategy", "lstm_only"]
    assert main([*words, "--out", str(tmp_path / "out"), "--cache", "none", "--quiet"]) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "predictions p.parquet: made on other prices than these for 3 of 3 stocks" in " ".join(manifest["warnings"])
    assert manifest["settings"]["params"]["max_holding_bars"] == 3
    config = tomllib.loads((tmp_path / "out" / "config.toml").read_text())
    assert config["model_options"]["horizon"] == 3


def test_run_with_a_holdout_trades_and_compares_nothing_from_then_on(run: Run, tmp_path: Path):
    predictions = run() / "predictions.parquet"
    cut = SavedPredictions.read(predictions).frame["session"].max() - pd.Timedelta(days=200)
    config = (run() / "config.toml").read_text()
    (tmp_path / "sealed.toml").write_text(
        config.replace("[model_options]", f'[model_options]\nholdout_from = "{cut.date()}"')
    )
    words = ["run", "--config", str(tmp_path / "sealed.toml"), "--predictions", str(predictions)]
    assert main([*words, "--out", str(tmp_path / "out"), "--cache", "none", "--quiet"]) == 0
    equity = pd.read_csv(tmp_path / "out" / "equity.csv", parse_dates=["session"])
    assert cut - pd.Timedelta(days=5) < equity["session"].max() < cut
    whole = pd.read_csv(run() / "equity.csv", parse_dates=["session"])
    pd.testing.assert_frame_equal(equity, whole.iloc[: len(equity)])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert pd.Timestamp(manifest["sessions"]["data"][1]) < cut
    assert f"Sealed: by `holdout_from`, sessions from {cut.date()} on" in " ".join(manifest["warnings"])


def test_train_writes_the_predictions_of_run_and_weights_that_repeat_them_bar_by_bar(run: Run):
    trained = run(command="train")
    assert contents(trained, "predictions.parquet") == contents(run(), "predictions.parquet")
    assert json.loads((trained / "evaluation.json").read_text())["folds"]
    settings = resolve({}, read_config(trained / "config.toml"))
    inputs = load_inputs(settings, silent)
    columns = build_columns(inputs.panel, inputs.filings)
    predictor = read_model(trained / "models")
    saved = SavedPredictions.read(trained / "predictions.parquet")
    ticker = inputs.panel.tickers[0]
    bars = inputs.panel.bars(ticker, columns.feed)
    expected = saved.column(ticker, bars)
    assert np.isfinite(expected).sum() > 1000
    np.testing.assert_allclose(predictor.column(ticker, bars), expected, rtol=0, atol=1e-12)


def test_report_says_first_that_the_market_is_invented_and_what_was_planted(run: Run):
    page = (run() / "report.html").read_text()
    banner = page.index("This market is synthetic")
    assert banner < page.index("Key figures")
    assert "Planted" in page
    assert not re.findall(r"""(?:src|href)=["']?https?:""", page)


def test_config_holds_every_setting_in_effect(run: Run):
    config = tomllib.loads((run() / "config.toml").read_text())
    assert config["strategy"] == "lstm_insider"
    assert config["model_options"]["epochs"] == 3
    assert config["params"]["max_positions"] == 10
    assert config["params"]["max_holding_bars"] == config["model_options"]["horizon"]
    assert config["market"]["n_stocks"] == 12
    assert "jobs" not in config


def readme_script(heading: str) -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition(heading)[2].partition("\n## ")[0]
    (script,) = re.findall(r"```python\n(.*?)```", section, flags=re.S)
    return script


def test_readme_strategy_file_runs_as_printed_and_is_choosier_than_its_parent(run: Run, tmp_path: Path):
    (tmp_path / "my_strategies.py").write_text(readme_script("## A strategy of your own"))
    trades = []
    for words in (["lstm_only"], [f"{tmp_path}/my_strategies.py:CalmOnly", "--param", "most_daily_range_frac=0.015"]):
        out = tmp_path / f"out{len(trades)}"
        common = ["--config", str(run() / "config.toml"), "--predictions", str(run() / "predictions.parquet")]
        assert main(["run", *common, "--out", str(out), "--cache", "none", "--quiet", "--strategy", *words]) == 0
        trades.append(len(pd.read_csv(out / "trades.csv")))
    assert 0 < trades[1] < trades[0]


READS_INSIDER_LINES = """
from strategies.lstm_only import LSTMOnly


class Followers(LSTMOnly):
    insider_columns = ("ins_n_buyers_63",)

    def entry_signal(self, data):
        return super().entry_signal(data) if data.ins_n_buyers_63[0] >= 2 else None
"""


def test_run_gives_a_strategy_the_insider_columns_that_it_names(run: Run, tmp_path: Path):
    (tmp_path / "followers.py").write_text(READS_INSIDER_LINES)
    words = ["run", "--config", str(run() / "config.toml"), "--predictions", str(run() / "predictions.parquet")]
    words += ["--strategy", f"{tmp_path}/followers.py", "--out", str(tmp_path / "out"), "--cache", "none", "--quiet"]
    assert main(words) == 0
    assert len(pd.read_csv(tmp_path / "out" / "trades.csv"))


def test_readme_script_with_a_plain_cerebro_runs_as_printed(run: Run, tmp_path: Path):
    script = readme_script("## As a plugin")
    assert sum(bool(line.strip()) for line in script.splitlines()) <= 20
    (tmp_path / "demo").symlink_to(run())
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bars, trades = (int(number) for number in re.fullmatch(r"(\d+) bars, (\d+) trades\n", done.stdout).groups())
    assert bars > 1000
    assert trades > 5
