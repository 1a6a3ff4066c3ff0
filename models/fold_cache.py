"""Finished networks on disk, named by everything that made them.

The key covers the settings, every input and label of the fold's window, the seed, this code, the versions of
the libraries and the kind of device, so that a hit is the same network that training again would give. A killed
run takes up where it stopped; whatever changes makes a new name and no stale hit.
"""

from __future__ import annotations

import hashlib
import io
import os
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from feeds.errors import EnvironmentFailure
from models.accelerator import device
from models.fitted import restore
from models.network import FittedNetwork
from models.spec import ModelSpec

_CODE = (
    "accelerator.py", "bar_table.py", "batches.py", "boosting.py", "fitted.py", "fitting.py", "fold_window.py",
    "folds.py", "fused_lstm.py", "labels.py", "lagged.py", "logistic.py", "model_spec.py", "network.py",
    "sequences.py", "simple_baselines.py", "stepper.py", "tabular.py", "worker.py",
)  # fmt: skip
"""What a training process runs; what only makes the inputs and the settings is in the key by what it made."""
_LIBRARIES = ("keras", "tensorflow", "numpy", "scipy", "scikit-learn")
_COUNTS = ("epochs", "best_epoch", "validation_log_loss")


def network_key(spec: ModelSpec, window_digest: str, seed: int) -> str:
    """Return the name of one (fold, seed) result."""
    parts = (spec.canonical(), window_digest, str(seed), _code_version(), device())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def write_network(fitted: FittedNetwork, path: Path) -> None:
    """Write one result: whole or absent, the same bytes for the same network, no pickle.

    Raises
    ------
    EnvironmentFailure
        If the disk is full or refuses it.
    """
    make_store(path.parent)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    counts = {name: np.array(getattr(fitted, name)) for name in _COUNTS}
    try:
        np.savez(unfinished, allow_pickle=False, **fitted.network.arrays(), **counts)
        unfinished.replace(path)
    except OSError as error:
        raise _refused("write", path, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def make_store(folder: Path) -> None:
    """Make the folder of finished networks; raises EnvironmentFailure where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused("make", folder, error) from error


def _refused(what: str, path: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(f"cannot {what} {path}: {error.strerror}; choose another `--cache`, or `none`")


def read_network(path: Path) -> FittedNetwork | None:
    """Return a finished result, None when there is none or the file is damaged."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refused("read", path, error) from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            epochs, best_epoch, loss = (arrays[name].item() for name in _COUNTS)
            network = restore({name: arrays[name] for name in arrays.files if name not in _COUNTS})
    except Exception:  # noqa: BLE001 - zipfile and numpy raise a dozen types on damaged bytes; all mean: train again
        return None
    return FittedNetwork(network, epochs, best_epoch, loss)


@lru_cache(maxsize=1)
def _code_version() -> str:
    sha = hashlib.sha256()
    for name in _CODE:
        sha.update((Path(__file__).parent / name).read_bytes())
    sha.update(" ".join(f"{name} {version(name)}" for name in _LIBRARIES).encode())
    return sha.hexdigest()
