from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.fold_training import _finished
from models.folds import Fold
from models.network import FittedNetwork
from models.spec import resolve
from models.training import _unlearnt_warnings
from models.worker import Task
from tests.models.conftest import random_network


def test_unlearnt_warning_names_the_folds_and_seeds_that_never_beat_equal_probabilities():
    def trained(number: int, *losses: float) -> Any:
        networks = [FittedNetwork(random_network(3, 2, seed=0), 5, 1, loss) for loss in losses]
        return SimpleNamespace(fold=Fold(number, 0, 10, 20, 30)), networks

    folds = [trained(1, 1.3862, 1.387), trained(2, 1.2), trained(3, 40.0)]
    assert _unlearnt_warnings(folds, resolve("tiny")) == [
        "no epoch was better than equal probabilities (validation log-loss 1.3863) in fold 1 seed 2 (1.3870), "
        "fold 3 seed 1 (40.0000): there was nothing to learn, or `learning_rate` is too high"
    ]
    assert _unlearnt_warnings(folds[1:2], resolve("tiny")) == []
    assert _unlearnt_warnings(folds, resolve("logistic")) == []


def test_finished_network_that_is_not_there_is_a_bug_that_names_its_file(tmp_path: Path):
    task = Task(Fold(1, 0, 10, 20, 30), resolve("tiny", {}), 1, tmp_path / "arrays", tmp_path / "a.npz")
    with pytest.raises(RuntimeError, match="training result .*a.npz: expected a finished network, found none"):
        _finished(task)
