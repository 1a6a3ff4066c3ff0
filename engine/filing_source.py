"""A source of filings as the command line names it → one transactions table.

``DIR`` or a file of submissions, ``FILE.parquet``, ``openinsider:FILE``, ``sec-quarterly:DIR``. What was
parsed is kept in the cache folder: a tree file by file, quarterly sets as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.provenance import code_digest, path_digest
from engine.settings import split_filings
from feeds.errors import EnvironmentFailure, InputError
from feeds.openinsider import read_openinsider
from feeds.progress import Progress
from feeds.sec_quarterly import read_sec_quarterly
from feeds.transactions import TransactionTable, read_filings, read_parquet, write_parquet


def read_source(
    source: str, *, tickers: Sequence[str] | None, cache: str | None, jobs: int, progress: Progress
) -> TransactionTable:
    """Read a source.

    Parameters
    ----------
    source : str
        As `--filings` takes it; not ``synthetic`` and not ``none``.
    tickers : sequence of str or None
        The stocks that are wanted, where reading only them saves much; other sources give all.
    cache : str or None
        Cache folder; None keeps nothing.

    Raises
    ------
    InputError
        If the source cannot be used.
    EnvironmentFailure
        If the cache folder cannot be made, or the disk is full.
    """
    kind, place = split_filings(source)
    path = Path(place).expanduser()
    if kind == "openinsider":
        return read_openinsider(path)
    if kind == "sec-quarterly":
        return _quarterly(path, tickers, cache, progress)
    store = None if cache is None or path.is_file() else tree_store(Path(cache), path)
    try:
        return read_filings(path, progress=progress, jobs=jobs, store=store)
    except OSError as error:
        kept = "a temporary folder" if store is None else str(store)
        raise EnvironmentFailure(
            f"cannot keep what was parsed of {path} in {kept}: {error.strerror}; make room, or choose another `--cache`"
        ) from error


def require_filings(table: TransactionTable, source: str) -> TransactionTable:
    """Refuse a tree with files that are no filings; elsewhere turn them into a note for the report.

    A tree is repaired by downloading; a table and an export hold what somebody chose to keep.
    """
    if not table.refused:
        return table
    first, number = table.refused[0], len(table.refused)
    kind, place = split_filings(source)
    if kind or place.lower().endswith(".parquet"):
        note = f"filings: {number} files or lines were not understood, first {first.file}: {first.reason}"
        return replace(table, notes=(*table.notes, note))
    raise InputError(
        f"`--filings`: expected Form 4 submissions, received {number} other of {table.n_files} files, "
        f"first {first.file} ({first.reason}); download them again, or leave them out knowingly: "
        f"`run_backtest.py filings {place} --out FILE.parquet` writes the others to a table for `--filings`"
    )


def tree_store(cache: Path, tree: Path) -> Path:
    """Return the folder in which a tree's parsed files are kept, for this version of the code."""
    place = hashlib.sha256(str(tree.absolute()).encode()).hexdigest()[:16]
    store = cache / "filings" / f"{place}-{code_digest('feeds')}"
    make_folder(store)
    return store


def make_folder(folder: Path) -> None:
    """Make a folder of the cache; raises EnvironmentFailure where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot make {folder}: {error.strerror}; choose another `--cache`, or `none`"
        ) from error


def _quarterly(path: Path, tickers: Sequence[str] | None, cache: str | None, progress: Progress) -> TransactionTable:
    if cache is None:
        return read_sec_quarterly(path, tickers=tickers, progress=progress)
    wanted = hashlib.sha256(repr(None if tickers is None else sorted(tickers)).encode()).hexdigest()[:8]
    key = f"{path_digest(path)['sha256'][:16]}-{wanted}-{code_digest('feeds')}"
    stored = Path(cache) / "filings" / f"sec-quarterly-{key}.parquet"
    if not stored.is_file():
        make_folder(stored.parent)
        write_parquet(read_sec_quarterly(path, tickers=tickers, progress=progress), stored)
    return read_parquet(stored)
