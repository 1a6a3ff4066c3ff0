"""The run folder: complete or absent, never half.

Everything is written into a hidden folder beside the wanted one, which takes the wanted name only when
the run is complete. A killed run leaves at most that hidden folder, which nothing reads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from feeds.errors import EnvironmentFailure, InputError


def default_folder(name: str, now: datetime) -> Path:
    """Return ``runs/<time>-<name>``; `name` may be a strategy or a model."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in name.rpartition(":")[2])
    return Path("runs") / f"{now:%Y%m%d-%H%M%S}-{plain}"


def check_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds something, unless `force`.

    Raises
    ------
    InputError
        If `folder` is a file, or is not empty and `force` is not given.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"`--out`: expected a folder, received the file {folder}; name another")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(f"`--out`: expected a new or empty folder, received {folder}, which is not empty; "
                         "name another, or replace its results with `--force`")  # fmt: skip


def check_free_file(path: Path, *, force: bool) -> None:
    """Refuse a file that exists, unless `force`."""
    if path.is_dir() or (path.exists() and not force):
        raise InputError(f"`--out`: expected a new file, received {path}, which exists; name another, or use `--force`")


@contextmanager
def run_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Give a hidden folder to write into; on success it becomes `folder`, on any error it vanishes.

    With `force`, results of the same name are replaced and every other file in `folder` is kept.

    Raises
    ------
    InputError
        As `check_free`.
    EnvironmentFailure
        If the folder cannot be made or renamed.
    """
    check_free(folder, force=force)
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
    for stranger in old.iterdir():
        if not (folder / stranger.name).exists():
            stranger.rename(folder / stranger.name)
    shutil.rmtree(old)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it, so that it is never seen half written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentFailure(f"cannot write {path}: {error.strerror}") from error
