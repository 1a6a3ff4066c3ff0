"""What goes wrong in a training process, without one; `test_training.py` runs real ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from feeds.errors import EnvironmentFailure, InputError
from models import worker
from models.folds import Fold
from models.network import FittedNetwork
from models.spec import resolve
from models.worker import Task, write_window
from tests.models.conftest import random_network

_FOLD = Fold(3, 0, 10, 20, 30)


class _Pipe:
    """Gives what it was made with, keeps what it is sent."""

    def __init__(self, *contents: Any) -> None:
        self.contents, self.sent = list(contents), []

    def send(self, content: Any) -> None:
        self.sent.append(content)

    def recv(self) -> Any:
        return self.contents.pop(0)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(_FOLD, resolve("tiny", {}), 1, tmp_path / "arrays", tmp_path / "a.npz")


def test_write_window_leaves_arrays_that_can_be_mapped(tmp_path: Path):
    arrays = {name: np.arange(3.0) for name in ("inputs", "classes", "session_row", "ticker_column")}
    write_window(SimpleNamespace(**arrays), tmp_path / "new")
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "classes.npy", mmap_mode="r"), [0.0, 1.0, 2.0])


def test_write_window_where_nothing_can_be_written_is_an_environment_failure(tmp_path: Path):
    (tmp_path / "file").write_text("1")
    with pytest.raises(
        EnvironmentFailure, match="cannot write .*make room, or name another temporary folder in `TMPDIR`"
    ):
        write_window(SimpleNamespace(), tmp_path / "file" / "x")


def test_outcome_tells_a_refusal_of_the_disk_from_a_bug(task: Task, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise EnvironmentFailure("cannot write a.npz: No space left on device")

    def break_down(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(worker, "share_accelerators", lambda number: None)
    monkeypatch.setattr(worker, "train", refuse)
    assert worker._outcome(task, _Pipe(), 0) == ("refused", "cannot write a.npz: No space left on device")
    monkeypatch.setattr(worker, "train", break_down)
    kind, text = worker._outcome(task, _Pipe(), 0)
    assert kind == "failed"
    assert "ZeroDivisionError: of ours" in str(text)


@pytest.fixture
def diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FittedNetwork(random_network(3, 2, seed=0), epochs=5, best_epoch=0, validation_log_loss=np.inf)
    monkeypatch.setattr(worker, "share_accelerators", lambda number: None)
    monkeypatch.setattr(worker, "fit_data", lambda *_: None)
    monkeypatch.setattr(worker, "fit", lambda *_: network)


@pytest.mark.usefixtures("diverged")
def test_train_that_diverges_is_an_input_error_and_keeps_nothing(task: Task):
    write_window(SimpleNamespace(**dict.fromkeys(worker._ARRAYS, np.zeros(2))), task.arrays)
    told = (
        "training of fold 3 with seed 1 diverged: expected a finite validation log-loss, received none in 5 epochs; "
        r"lower the model settings `learning_rate` \(now 0.001\) and `clipnorm` \(now 1\)"
    )
    with pytest.raises(InputError, match=told):
        worker.train(task, lambda epoch: None)
    assert not task.result.exists()
    kind, text = worker._outcome(task, _Pipe(), 0)
    assert kind == "mistaken"
    with pytest.raises(InputError, match=told):
        worker._receive(worker._Worker(None, _Pipe((kind, text)), task))


def test_outcome_counts_epochs_as_they_are_finished(task: Task, monkeypatch: pytest.MonkeyPatch):
    def two_epochs(_: Task, on_epoch: Any) -> None:
        on_epoch(1)
        on_epoch(2)

    monkeypatch.setattr(worker, "share_accelerators", lambda number: None)
    monkeypatch.setattr(worker, "train", two_epochs)
    pipe = _Pipe()
    assert worker._outcome(task, pipe, 0) == ("done", 2)
    assert pipe.sent == [("epoch", 1), ("epoch", 2)]


def test_receive_raises_what_the_process_met(task: Task):
    with pytest.raises(EnvironmentFailure, match="^cannot write a.npz$"):
        worker._receive(worker._Worker(None, _Pipe(("refused", "cannot write a.npz")), task))
    with pytest.raises(RuntimeError, match="training of fold 3 failed:\ntraceback"):
        worker._receive(worker._Worker(None, _Pipe(("failed", "traceback")), task))
    event = worker._receive(worker._Worker(None, _Pipe(("done", 7)), task))
    assert (event.epoch, event.finished) == (7, True)
