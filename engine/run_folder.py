"""The run folder: complete or absent, never half.

Everything is written into a hidden folder beside the wanted one, which takes the wanted name only when
the run is complete. A killed run leaves at most that hidden folder, which nothing reads.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from feeds.errors import EnvironmentFailure, InputError

RESULTS = (
    "report.html", "tearsheet.html", "manifest.json", "trades.csv", "orders.csv", "equity.csv", "config.toml",
    "predictions.parquet", "evaluation.json", "evaluation.md", "findings.csv",
)  # fmt: skip
"""The files that our commands write; the folder ``models`` of `train` goes with them."""

# What a disk says when it is not ours to write, or full: nothing of that is a bug.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}


def default_folder(name: str, now: datetime) -> Path:
    """Return ``runs/<time>-<name>``; `name` may be a strategy or a model."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in name.rpartition(":")[2])
    return Path("runs") / f"{now:%Y%m%d-%H%M%S}-{plain}"


def check_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds something, unless `force`.

    Raises
    ------
    InputError
        If `folder` is a file, is or holds the current folder, or is not empty and `force` is not given.
    """
    here, place = Path.cwd().resolve(), folder.resolve()
    if place == here or place in here.parents:
        raise InputError(f"`--out`: expected a folder of its own, received {str(folder)!r}, which is or holds the "
                         "current folder; name another, such as `--out runs/first`")  # fmt: skip
    if folder.exists() and not folder.is_dir():
        raise InputError(f"`--out`: expected a folder, received the file {folder}; name another")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(f"`--out`: expected a new or empty folder, received {folder}, which is not empty; "
                         "name another, or replace its results with `--force`")  # fmt: skip


def check_free_file(path: Path, *, force: bool, flag: str = "--out") -> None:
    """Refuse a file that exists, unless `force`; `flag` named it."""
    if path.is_dir() or (path.exists() and not force):
        raise InputError(
            f"`{flag}`: expected a new file, received {path}, which exists; name another, or use `--force`"
        )


@contextmanager
def run_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Give a hidden folder to write into; on success it becomes `folder`, on any error it vanishes.

    With `force`, results of the same name are replaced, a new manifest also removes every other result of an
    older command, and whatever is not ours in `folder` is kept.

    Raises
    ------
    InputError
        As `check_free`.
    EnvironmentFailure
        If the folder cannot be made or renamed, or the disk is full or refuses what is written meanwhile.
    """
    check_free(folder, force=force)
    folder = folder.resolve()
    new_parents = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    except OSError as error:
        raise EnvironmentFailure(f"cannot write beside {folder}: {error.strerror}; choose another `--out`") from error
    try:
        yield partial
        # mkdtemp gives 0700; results are as readable as anything else the user makes.
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o777 & ~umask)
        _take_place(partial, folder)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise EnvironmentFailure(
            f"cannot write {error.filename or folder}: {error.strerror}; nothing was kept, "
            "make room or choose another `--out` or `--cache`"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in new_parents:  # innermost first; a parent that holds the result stays
            if not any(parent.iterdir()):
                parent.rmdir()


def _take_place(partial: Path, folder: Path) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    old = folder.with_name(f"{partial.name}.old")
    folder.rename(old)
    partial.rename(folder)
    renewed = (folder / "manifest.json").exists()
    for entry in old.iterdir():
        if not (folder / entry.name).exists() and not (renewed and _is_result(entry)):
            entry.rename(folder / entry.name)
    shutil.rmtree(old)


def _is_result(entry: Path) -> bool:
    """Tell what our commands wrote: beside a newer manifest it would belong to no run."""
    return entry.name in RESULTS or (entry.name == "models" and any(entry.glob("*/spec.json")))


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it, so that it is never seen half written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentFailure(f"cannot write {path}: {error.strerror}") from error
