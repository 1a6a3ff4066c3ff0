"""Where a result came from: inputs by content, versions, and the code's commit."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.settings import Settings, split_filings

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    "backtrader", "tensorflow", "keras", "numpy", "pandas", "scipy", "scikit-learn", "pyarrow", "lxml",
    "exchange-calendars", "quantstats", "sec-edgar-downloader",
)  # fmt: skip

_DIGESTS: dict[str, dict[str, Any]] = {}


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a number."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def git_commit() -> str | None:
    """Return the code's commit, with ``+changes`` when files differ from it; None outside a checkout."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def input_digests(settings: Settings) -> dict[str, Any]:
    """Return the sha256 of every input that comes from a file.

    A file's entry is its sha256. A folder's is the number of its files and the sha256 of the sorted
    lines ``<sha256>  <path in the folder>``, which `sha256sum` reproduces.
    """
    paths = {
        "prices": settings.prices.partition(":")[2],
        "filings": "" if settings.filings in ("synthetic", "none") else split_filings(settings.filings)[1],
        "benchmark": (settings.benchmark or "").partition("csv:")[2],
        "predictions": settings.predictions or "",
        "sectors": settings.sectors or "",
        "universe": settings.universe or "",
        "delisting_return": settings.delisting_return if Path(settings.delisting_return).is_file() else "",
        "strategy": settings.strategy.partition(":")[0] if ".py" in settings.strategy else "",
    }
    return {name: {"path": path, **path_digest(Path(path))} for name, path in paths.items() if path}


def path_digest(path: Path) -> dict[str, Any]:
    """Return ``{"sha256": ...}`` of a file, or of a folder's listing with its number of ``files``.

    A file that the disk does not give stands in the listing as ``unreadable``: what comes of it is for the
    source to say. What was read once is not read again in this process unless a size or a time changed.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    state = hashlib.sha256(f"{path.absolute()}\n".encode())
    for file in files:
        state.update(f"{file} {_stamp(file)}\n".encode())
    found = _DIGESTS.get(state.hexdigest())
    if found is None:
        found = _DIGESTS[state.hexdigest()] = _read_digest(path)
    return dict(found)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _read_digest(path: Path) -> dict[str, Any]:
    if path.is_file():
        return {"sha256": _file_digest(path)}
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    listing = "".join(f"{_file_digest(path / name)}  {name}\n" for name in names)
    return {"files": len(names), "sha256": hashlib.sha256(listing.encode()).hexdigest()}


def code_digest(folder: str) -> str:
    """Return what stands for the code of one of our folders."""
    sha = hashlib.sha256()
    for path in sorted((ROOT / folder).rglob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:12]


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"
