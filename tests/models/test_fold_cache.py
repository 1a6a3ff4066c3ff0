from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from feeds.errors import EnvironmentFailure
from models.fold_cache import make_store, read_network, write_network
from models.network import FittedNetwork
from tests.models.conftest import random_network


@pytest.fixture
def fitted() -> FittedNetwork:
    return FittedNetwork(random_network(3, 2, seed=0), epochs=4, best_epoch=2, validation_log_loss=1.25)


def test_network_written_and_read_is_the_same(tmp_path: Path, fitted: FittedNetwork):
    write_network(fitted, tmp_path / "new" / "a.npz")
    found = read_network(tmp_path / "new" / "a.npz")
    assert found is not None
    assert (found.epochs, found.best_epoch, found.validation_log_loss) == (4, 2, 1.25)
    for name, values in fitted.network.arrays().items():
        np.testing.assert_array_equal(found.network.arrays()[name], values)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]


def test_network_absent_or_damaged_is_none(tmp_path: Path, fitted: FittedNetwork):
    assert read_network(tmp_path / "a.npz") is None
    write_network(fitted, tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    assert read_network(tmp_path / "a.npz") is None


def test_store_that_cannot_be_made_names_the_cache(tmp_path: Path, fitted: FittedNetwork):
    (tmp_path / "file").write_text("1")
    with pytest.raises(EnvironmentFailure, match="cannot make .*folds: .*choose another `--cache`, or `none`"):
        make_store(tmp_path / "file" / "folds")
    with pytest.raises(EnvironmentFailure, match="cannot make"):
        write_network(fitted, tmp_path / "file" / "folds" / "a.npz")
    assert read_network(tmp_path / "file" / "a.npz") is None


def test_network_on_a_full_disk_is_refused_and_leaves_nothing(
    tmp_path: Path, fitted: FittedNetwork, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(EnvironmentFailure, match="cannot write .*: No space left on device; choose another `--cache`"):
        write_network(fitted, tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


def test_network_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(np, "load", forbidden)
    with pytest.raises(EnvironmentFailure, match="cannot read .*a.npz: Permission denied"):
        read_network(tmp_path / "a.npz")
