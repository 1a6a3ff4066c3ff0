"""The whole way with small networks in real training processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feeds.errors import EnvironmentFailure, InputError
from feeds.panel import FeaturePanel
from models.fold_training import TrainingData, fold_seeds
from models.fold_window import FoldWindow
from models.folds import Fold
from models.saved_model import read_model, write_model
from models.spec import resolve
from models.training import walk_forward
from models.worker import Task, train_in_processes

SPEC = resolve(
    "tiny",
    {
        "units": 4,
        "epochs": 2,
        "train_sessions": 160,
        "validation_sessions": 50,
        "test_sessions": 60,
        "masked_bars": 15,
        "chunk_bars": 40,
        "warm_up_bars": 60,
    },
)


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(sessions=270, tickers=12, seed=2, late={3: 100}, halts={5: [120, 121]})


@pytest.fixture(scope="module")
def features(panel, all_features) -> FeaturePanel:
    known = np.where(panel.traded, (np.arange(270) > 200)[:, None] * 1.0, np.nan)
    insider = FeaturePanel(panel.sessions, panel.tickers, ("ins_known", "ins_buy_21"), np.stack([known, known * 0], 2))
    return FeaturePanel.concatenate([all_features(panel), insider])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def shown() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def result(panel, features, cache, shown):
    def progress(iterable, label, total):
        items = list(iterable)
        shown.append((label, total, len(items)))
        return items

    return walk_forward(panel, features, SPEC, seed=3, jobs=2, cache=cache, progress=progress)


@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_predicts_the_test_blocks_only(panel, result):
    sessions = result.predictions.frame["session"]
    assert sessions.min() == panel.sessions[160]
    assert sessions.max() == panel.sessions[-1]
    for ticker in ("T000", "T003", "T005"):
        assert np.isfinite(result.predictions.column(ticker, panel.bars(ticker))[-100:]).all()


@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_reports_each_fold(panel, result, shown):
    reports = [report.as_dict() for report in result.folds]
    assert json.loads(json.dumps(reports, allow_nan=False)) == reports
    assert [r["fold"] for r in reports] == [1, 2]
    first = reports[0]
    dates = [str(panel.sessions[row].date()) for row in (0, 109, 110, 159, 160, 219)]
    assert [first[f"{part}_{end}"] for part in ("fit", "validation", "test") for end in ("first", "last")] == dates
    # 50 validation sessions less the 6 purged ones, 12 stocks; T005 halts on two of them, and T003, listed on
    # row 100, has no volatility before row 120.
    assert first["n_validation_labels"] == 44 * 12 - 2 - 10
    assert first["n_test_labels"] == 60 * 12
    assert [first[f"n_{part}_bars"] for part in ("fit", "validation", "test")] == [110 * 11 + 10, 50 * 12 - 2, 60 * 12]
    assert (first["n_fit_purged"], first["n_validation_purged"]) == (6 * 12, 6 * 12)
    # The last label that is used becomes known on the session before the next range.
    assert (first["fit_labels_known"], first["validation_labels_known"]) == (dates[1], dates[3])
    assert first["prior_log_loss"] == pytest.approx(np.log(4), abs=0.02)
    assert shown == [
        (f"training fold {k} of 2 (predicts from {panel.sessions[row].date()})", 2, 2)
        for k, row in ((1, 160), (2, 220))
    ]


@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_warns_of_what_it_cannot_use(result):
    # Noise of this size may also leave nothing to learn; test_fold_training.py holds that warning.
    told = [warning for warning in result.warnings if not warning.startswith("no epoch was better than equal")]
    assert told == [
        "held at 0 in fold 1, 2, because they do not vary in the training window: `momentum`, `ins_buy_21`",
        "effect of filings not measurable on this data: filings cover 69 sessions, one training window has 160",
    ]


@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_resumed_without_one_fold_is_byte_identical(panel, features, cache, result, tmp_path):
    kept = sorted((cache / "folds").iterdir())
    assert len(kept) == 2
    kept[0].unlink()
    untouched = kept[1].stat().st_mtime_ns
    resumed = walk_forward(panel, features, SPEC, seed=3, jobs=1, cache=cache)
    assert sorted((cache / "folds").iterdir()) == kept
    assert kept[1].stat().st_mtime_ns == untouched
    pd.testing.assert_frame_equal(resumed.predictions.frame, result.predictions.frame, check_exact=True)
    result.predictions.write(tmp_path / "one.parquet")
    resumed.predictions.write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_data_cut_short_finds_the_same_networks(panel, features, cache, result):
    """Everything a fold learns from lies before its test block: the cut run trains nothing anew."""
    part = panel.until(panel.sessions[235])
    cut = FeaturePanel(part.sessions, part.tickers, features.names, features.values[:236])
    before = sorted((cache / "folds").iterdir())
    short = walk_forward(part, cut, SPEC, seed=3, cache=cache)
    assert sorted((cache / "folds").iterdir()) == before
    frame = result.predictions.frame
    pd.testing.assert_frame_equal(
        short.predictions.frame, frame[frame["session"] <= part.sessions[-1]], check_exact=False, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(
    "options",
    [
        {"context": "windows", "lookback_bars": 12, "ticker_code": "embedding", "class_weights": "balanced"},
        {"pca_variance": 0.9, "ticker_code": "binary", "normalisation": "batch", "layers": 2, "window": "expanding"},
    ],
)
@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_with_options_read_back_from_disk_predicts_the_same(panel, features, tmp_path, cut, options):
    spec = replace(SPEC, epochs=1, test_sessions=110, winsorise=True, missing_masks=True, **options)
    result = walk_forward(panel, features, spec)
    write_model(result.predictor, tmp_path / "models")
    again = read_model(tmp_path / "models")
    assert again.predict_panel(panel, features).frame.equals(result.predictions.frame)
    for ticker in ("T000", "T003", "T005"):
        bars = panel.bars(ticker, features)
        stepper = again.stepper(ticker)
        steps = np.array([stepper.step(cut(bars, k + 1)) for k in range(len(bars))])
        np.testing.assert_allclose(steps, result.predictions.column(ticker, bars), rtol=0, atol=1e-9)
        assert np.isfinite(steps[-1]).all()


def test_training_and_predicting_code_loads_no_tensorflow():
    code = "import sys, models.training; sys.exit(any(n in sys.modules for n in ('tensorflow', 'keras', 'backtrader')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_walk_forward_few_names_says_what_to_choose(make_panel, all_features):
    panel = make_panel(sessions=30, tickers=3)
    with pytest.raises(InputError, match="choose `--model single`"):
        walk_forward(panel, all_features(panel), SPEC)


def test_walk_forward_short_history_says_how_much_is_needed(make_panel, all_features):
    panel = make_panel(sessions=30, tickers=10)
    with pytest.raises(InputError, match="expected at least 161 sessions .* received 30"):
        walk_forward(panel, all_features(panel), SPEC)


def test_fold_window_without_long_enough_tickers_says_so(make_panel, all_features):
    panel = make_panel(sessions=200, tickers=10, late=dict.fromkeys(range(10), 96))
    data = TrainingData.of(panel, all_features(panel), replace(SPEC, label="absolute"))
    with pytest.raises(InputError, match="expected a ticker with more than 15 bars to fit .* at most 14 bars"):
        FoldWindow.cut(
            data.table, data.values, data.names, data.returns, replace(SPEC, label="absolute"), data.folds[0]
        )


@pytest.mark.parametrize("label", ["relative", "intraday"])
def test_fold_window_labels_overlap_no_later_range(panel, features, label):
    """Brute force over every label: its span ends before the next range begins, and no more bars are left out."""
    spec = replace(SPEC, label=label, horizon=1 if label == "intraday" else SPEC.horizon)
    data = TrainingData.of(panel, features, spec)
    for fold in data.folds:
        window = FoldWindow.cut(data.table, data.values, data.names, data.returns, spec, fold)
        for row, column, found in zip(window.session_row, window.ticker_column, window.classes, strict=True):
            own = np.flatnonzero(panel.traded[:, column])
            span = own[np.searchsorted(own, row) :][: spec.purged_bars + 1]
            end = fold.validation_first if row < fold.validation_first else fold.test_first
            assert found == -1 or span[-1] < end
        last = window.session_row[window.classes != -1].max()
        assert last == fold.test_first - spec.purged_bars - 1


def test_fold_window_future_changed_changes_no_digest(panel, features):
    data = TrainingData.of(panel, features, SPEC)
    fold = data.folds[0]
    later = (np.arange(270) >= fold.test_first)[:, None]
    shaken = replace(panel, open=np.where(later, panel.open * 1.3, panel.open))
    other = TrainingData.of(shaken, replace(features, values=np.where(later[:, :, None], 9.0, features.values)), SPEC)
    one, two = (FoldWindow.cut(d.table, d.values, d.names, d.returns, SPEC, fold).digest(fold) for d in (data, other))
    assert one == two


def test_fold_seeds_do_not_depend_on_how_many_are_asked_for():
    fold = Fold(2, 0, 1, 2, 3)
    assert fold_seeds(1, fold, 5)[:2] == fold_seeds(1, fold, 2)
    assert len({*fold_seeds(1, fold, 5), *fold_seeds(2, fold, 5)}) == 10


def blocked_task(folder) -> Task:
    """A task whose arrays are never there to read: the worker waits at a named pipe."""
    folder.mkdir()
    os.mkfifo(folder / "inputs.npy")
    return Task(Fold(1, 0, 1, 2, 3), SPEC, 1, folder, folder / "result.npz")


def test_worker_failure_carries_its_traceback(tmp_path):
    task = Task(Fold(1, 0, 1, 2, 3), SPEC, 1, tmp_path / "none", tmp_path / "result.npz")
    with pytest.raises(RuntimeError, match=r"training of fold 1 failed:\nTraceback(.|\n)*FileNotFoundError"):
        list(train_in_processes([task], 1))
    assert not multiprocessing.active_children()


def test_worker_killed_is_an_environment_failure(tmp_path):
    threading.Timer(1.0, lambda: [child.kill() for child in multiprocessing.active_children()]).start()
    with pytest.raises(
        EnvironmentFailure, match="training process of fold 1 died with exit code -9: .* fewer `--jobs`"
    ):
        list(train_in_processes([blocked_task(tmp_path / "arrays")], 1))


def test_script_without_a_main_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from models.folds import Fold\nfrom models.spec import ModelSpec\n"
        "from models.worker import Task, train_in_processes\nfrom pathlib import Path\n"
        "list(train_in_processes([Task(Fold(1, 0, 1, 2, 3), ModelSpec(), 1, Path('a'), Path('b'))], 1))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "died with exit code 1: its own error stands above; a script that trains needs `if __name__ ==" in done.stderr
    )


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="a signal reaches the main thread only"
)
def test_worker_interrupted_leaves_no_process(tmp_path):
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        list(train_in_processes([blocked_task(tmp_path / "arrays")], 1))
    assert not multiprocessing.active_children()


@pytest.mark.xdist_group("tensorflow")
def test_walk_forward_with_a_holdout_measures_nothing_on_sealed_sessions(panel, features, cache, result):
    sealed = replace(SPEC, holdout_from=str(panel.sessions[222].date()))
    cut = FeaturePanel(panel.sessions[:222], features.tickers, features.names, features.values[:222])
    whole = walk_forward(panel, features, sealed, seed=3, cache=cache)
    short = walk_forward(panel.until(panel.sessions[221]), cut, sealed, seed=3, cache=cache)
    assert whole.predictions.frame["session"].max() == panel.sessions[221]
    # The last 4 decisions of fold 1 would be sold on sealed opens; the 2 of fold 2 too.
    assert [report.n_test_labels for report in whole.folds] == [(60 - 4) * 12, 0]
    assert whole.pooled == short.pooled
    assert [report.as_dict() for report in whole.folds] == [report.as_dict() for report in short.folds]
