"""Checked prices kept between runs, found again by the content of what they were made from.

    CACHE/panels/KEY/meta.json, sessions.npy, open.npy, ...

The key is made of every input byte, what was asked of them, the code of `feeds` and the versions of
the libraries that read them: touching a file changes nothing, changing one byte of it finds another
entry. Arrays are mapped into memory; the sha256 of each is compared before it is used, so a damaged entry is made anew.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.provenance import code_digest, path_digest
from feeds.errors import EnvironmentFailure
from feeds.panel import BAR_FIELDS, PricePanel
from feeds.price_table import Finding
from feeds.prices import CheckedPrices

_FORMAT = 1
_LIBRARIES = ("numpy", "pandas", "pyarrow", "exchange-calendars")
# A panel of 464 stocks and ten years takes 60 MB: enough for the variants of one piece of work.
_MOST_ENTRIES = 12
_PART = 1 << 22
# Writing an entry takes seconds, on the slowest disk minutes.
_STALE_S = 3600.0


@dataclass(frozen=True)
class PriceRequest:
    """What is asked of a price source; with the source's content it decides the panel.

    Attributes
    ----------
    path : Path
        File or folder of the source.
    kind : str
    tickers, universe : sequence of str, or None
    last : str or None
    repair : str
    """

    path: Path
    kind: str
    tickers: Sequence[str] | None
    universe: Sequence[str] | None
    last: str | None
    repair: str

    def key(self) -> str:
        """Return what stands for the inputs' bytes, the request, the code and the libraries."""
        asked = {name: value for name, value in asdict(self).items() if name != "path"}
        parts = {
            "format": _FORMAT,
            "asked": asked,
            "name": self.path.name if self.path.is_file() else "",
            "content": path_digest(self.path)["sha256"],
            "code": code_digest("feeds"),
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def cached_prices(cache: Path | None, request: PriceRequest, load: Callable[[], CheckedPrices]) -> CheckedPrices:
    """Return what `load` would return, from the cache where it is there and whole.

    Parameters
    ----------
    cache : Path or None
        None always loads and keeps nothing.
    request : PriceRequest
    load : callable

    Raises
    ------
    EnvironmentFailure
        If the cache folder cannot be written. What `load` raises passes through.
    """
    if cache is None:
        return load()
    key = request.key()
    entry = cache / "panels" / key
    found = _read(entry)
    if found is not None:
        return found
    loaded = load()
    if request.key() == key:  # else an input changed while it was read, and what was made of it has no name
        _write(entry, loaded)
    return _read(entry) or loaded  # another process may have removed the entry already


def _read(entry: Path) -> CheckedPrices | None:
    """Return an entry's content; None where there is none, or it is not what was written."""
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        if meta["sha256"] != {name: _digest(entry / name) for name in meta["sha256"]} or not _is_sealed(meta):
            return None
        arrays = {name: np.asarray(np.load(entry / f"{name}.npy", mmap_mode="r")) for name in BAR_FIELDS}
        sessions = pd.DatetimeIndex(np.load(entry / "sessions.npy"), name="session")
        panel = PricePanel(sessions, tuple(meta["tickers"]), price_basis=meta["price_basis"], **arrays)
        findings = tuple(_finding(values) for values in meta["findings"])
        with contextlib.suppress(OSError):  # a cache that may only be read still serves
            os.utime(entry)
        return CheckedPrices(panel, findings, meta["n_tickers"], meta["n_bars"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(entry: Path, checked: CheckedPrices) -> None:
    """Write an entry beside its place and move it there whole."""
    partial = entry.with_name(f".{entry.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    panel = checked.panel
    try:
        partial.mkdir(parents=True)
        np.save(partial / "sessions.npy", panel.sessions.to_numpy())
        for name in BAR_FIELDS:
            np.save(partial / f"{name}.npy", np.ascontiguousarray(getattr(panel, name)))
        meta: dict[str, Any] = {
            "tickers": panel.tickers,
            "price_basis": panel.price_basis,
            "n_tickers": checked.tickers,
            "n_bars": checked.bars,
            "findings": [_as_dict(finding) for finding in checked.findings],
            "sha256": {path.name: _digest(path) for path in sorted(partial.glob("*.npy"))},
        }
        meta["seal"] = _seal(meta)
        (partial / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        _forget(entry.parent)
        _move(partial, entry)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot keep the panel in {entry}: {error.strerror}; choose another `--cache`, or `none`"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, entry: Path) -> None:
    """Put a whole entry in its place, unless another process was first with the same content."""
    if _read(entry) is None:
        _remove(entry)
    try:
        partial.rename(entry)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _forget(folder: Path) -> None:
    """Remove the entries that were not used for longest, and what killed processes left half-written."""
    paths = list(folder.iterdir())
    entries = [path for path in paths if not path.name.startswith(".")]
    forgotten = sorted(entries, key=_used_at)[: -(_MOST_ENTRIES - 1)]
    stale = [path for path in paths if path.name.startswith(".") and 0 < _used_at(path) < time.time() - _STALE_S]
    for path in (*forgotten, *stale):
        _remove(path)


def _used_at(path: Path) -> float:
    """Return when a path was last used, 0 where another process has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    """Remove what may be a folder, a file or gone already; another process may put an entry there meanwhile."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            sha.update(part)
    return sha.hexdigest()


def _seal(meta: dict[str, Any]) -> str:
    rest = {name: value for name, value in meta.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _is_sealed(meta: dict[str, Any]) -> bool:
    return bool(meta["seal"] == _seal(meta))


def _as_dict(finding: Finding) -> dict[str, Any]:
    session = None if finding.session is None else finding.session.isoformat()
    return {**asdict(finding), "session": session}


def _finding(values: dict[str, Any]) -> Finding:
    session = None if values["session"] is None else pd.Timestamp(values["session"])
    return Finding(**{**values, "session": session})
