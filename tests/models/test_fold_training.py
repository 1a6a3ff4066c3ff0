from __future__ import annotations

from pathlib import Path

import pytest

from models.fold_training import _finished
from models.folds import Fold
from models.spec import resolve
from models.worker import Task


def test_finished_network_that_is_not_there_is_a_bug_that_names_its_file(tmp_path: Path):
    task = Task(Fold(1, 0, 10, 20, 30), resolve("tiny", {}), 1, tmp_path / "arrays", tmp_path / "a.npz")
    with pytest.raises(RuntimeError, match="training result .*a.npz: expected a finished network, found none"):
        _finished(task)
