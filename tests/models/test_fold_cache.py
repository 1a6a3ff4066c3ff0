from __future__ import annotations

import ast
import errno
from pathlib import Path

import numpy as np
import pytest

from feeds.errors import EnvironmentFailure
from models import fold_cache
from models.fold_cache import make_store, network_key, read_network, write_network
from models.network import FittedNetwork
from models.spec import resolve
from tests.models.conftest import random_network

MODELS = Path(fold_cache.__file__).parent


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


@pytest.mark.parametrize("kind", ["bits", "cut", "bytes"])
def test_network_with_random_damage_is_none_or_the_same(tmp_path: Path, fitted: FittedNetwork, kind: str):
    """Most damage breaks the file; a flipped date of an entry changes nothing that is read."""
    path = tmp_path / "a.npz"
    write_network(fitted, path)
    whole, rng, absent = path.read_bytes(), np.random.default_rng(7), 0
    for _ in range(400):
        path.write_bytes(damaged(whole, kind, rng))
        found = read_network(path)
        absent += found is None
        if found is not None:
            for name, values in fitted.network.arrays().items():
                np.testing.assert_array_equal(found.network.arrays()[name], values)
    assert absent > 200


def damaged(whole: bytes, kind: str, rng: np.random.Generator) -> bytes:
    if kind == "cut":
        return whole[: rng.integers(len(whole))]
    content = np.frombuffer(whole, dtype=np.uint8).copy()
    at = rng.integers(len(content), size=rng.integers(1, 9))
    content[at] ^= (1 << rng.integers(8, size=len(at)) if kind == "bits" else rng.integers(256, size=len(at))).astype(
        np.uint8
    )
    return content.tobytes()


# What these make is in the key itself: the inputs, scaled, and the settings.
IN_THE_KEY = {
    "components.py", "features.py", "level_features.py", "preprocess.py", "presets.py", "running_averages.py",
    "scaler.py", "spec.py", "spec_checks.py", "spec_choices.py", "ticker_code.py", "fold_cache.py",
}  # fmt: skip


def imported_by(name: str) -> set[str]:
    """Return the files of `models` that one of them imports, at its top or inside a function."""
    tree = ast.parse((MODELS / name).read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {f"{module.removeprefix('models.')}.py" for module in modules if module.startswith("models.")}


def test_key_covers_all_code_that_a_training_process_runs():
    found, left = set(), {"worker.py", "network.py"}
    while left:
        found |= left
        left = set().union(*map(imported_by, left)) - found
    assert "fused_lstm.py" in found
    assert found - IN_THE_KEY == set(fold_cache._CODE)


def test_key_differs_by_device(monkeypatch: pytest.MonkeyPatch):
    keys = set()
    for kind in ("cpu", "gpu"):
        monkeypatch.setattr(fold_cache, "device", lambda kind=kind: kind)
        keys.add(network_key(resolve("tiny"), "window", 1))
    assert len(keys) == 2


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
    def forbidden(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(EnvironmentFailure, match="cannot read .*a.npz: Permission denied"):
        read_network(tmp_path / "a.npz")
