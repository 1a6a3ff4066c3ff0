"""Saved filings (a tree, a file, or the parquet made of them) → one `TransactionTable`.

Every source ends in `complete`: raw rows with the columns of `transaction_table.COLUMNS` and the
list of tickers that the source covers. What depends on several filings is decided there, once:
tickers and owner-side rows, amendments, joint filings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from feeds.amendments import apply_amendments
from feeds.errors import InputError
from feeds.filed_prices import check_prices
from feeds.filing_store import read_tree
from feeds.filing_tree import find_candidates
from feeds.form4 import Filing
from feeds.issuers import TICKER_FILE, assign_tickers, holders_of_folders, read_ticker_file, tickers_of_folders
from feeds.joint_filings import mark_duplicates
from feeds.progress import Progress, silent
from feeds.transaction_store import read_parquet, write_parquet
from feeds.transaction_table import (
    COLUMNS,
    Coverage,
    Refusal,
    TransactionTable,
    coverage_of,
    flag_absurd_amounts,
    frame_of_filings,
    ticker_frame,
)
from feeds.tree_coverage import COVERAGE_FILE, Spans, read_coverage

__all__ = [
    "COLUMNS",
    "Coverage",
    "Refusal",
    "TransactionTable",
    "check_prices",
    "complete",
    "frame_of_filings",
    "read_filings",
    "read_parquet",
    "table_of_filings",
    "ticker_frame",
    "write_parquet",
]


def read_filings(
    path: Path, *, progress: Progress = silent, jobs: int = 1, store: Path | None = None
) -> TransactionTable:
    """Read a tree of submissions, one file of them, or a parquet file made by `write_parquet`.

    Parameters
    ----------
    path : Path
        See `feeds.filing_tree`. A ``tickers.csv`` (cik, ticker, from, to) at the tree's root names
        the tickers; without it a folder's name does (`feeds.issuers.holders_of_folders`). A
        ``coverage.csv`` beside it says of which issuers the tree is complete (`feeds.tree_coverage`).
    progress : Progress
        Wraps the files that are parsed.
    jobs : int
        Processes to parse with; one where there are few files.
    store : Path or None
        Folder that keeps what was parsed, for this tree and this version of the code
        (`feeds.filing_store`); None parses every file and keeps nothing. The table is the same.

    Returns
    -------
    TransactionTable
        With every file that was not understood in `refused`; one bad file never stops the rest.

    Raises
    ------
    InputError
        If the path is missing or nothing in it is a Form 4.
    """
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    if not path.exists():
        raise InputError(f"`--filings` {path}: expected a folder or file of Form 4 submissions, received none there")
    if store is not None:
        return _table_of_tree(path, store, progress, jobs)
    with tempfile.TemporaryDirectory(prefix="insider-swing-") as folder:
        return _table_of_tree(path, Path(folder), progress, jobs)


def _table_of_tree(path: Path, store: Path, progress: Progress, jobs: int) -> TransactionTable:
    candidates = find_candidates(path)
    tree = read_tree(path, candidates, store, progress=progress, jobs=jobs)
    refused = tuple(refusal for entry in tree.entries for refusal in entry.refused)
    if not tree.filings:
        raise InputError(_nothing_understood(path, refused))
    ticker_file = _beside(path, TICKER_FILE)
    named = None if ticker_file is None else read_ticker_file(ticker_file)
    return complete(
        tree.rows,
        holders_of_folders(tree.filings) if named is None else named,
        shown_tickers=tickers_of_folders(tree.filings) if named is None else None,
        coverage=coverage_of(_instants(entry.accepted_at for entry in tree.filings)),
        issuer_coverage=_stated_coverage(path),
        refused=refused,
        n_files=sum(len(candidate.paths) for candidate in candidates),
        n_filings=len(tree.filings),
    )


def _instants(values: Iterable[Any]) -> pd.Series:
    return pd.Series(pd.to_datetime(list(values), utc=True, format="ISO8601")).astype("datetime64[ns, UTC]")


def table_of_filings(
    filings: Iterable[Filing], tickers: pd.DataFrame, *, refused: tuple[Refusal, ...] = (), n_files: int = 0
) -> TransactionTable:
    """Make the table of parsed filings (accessions distinct).

    Parameters
    ----------
    tickers : DataFrame
        Columns `cik, ticker, first, last`, see `ticker_frame`.
    """
    held = list(filings)
    accepted = _instants(filing.accepted_at for filing in held)
    return complete(
        frame_of_filings(held),
        tickers,
        coverage=coverage_of(accepted),
        refused=refused,
        n_files=n_files or len(held),
        n_filings=len(held),
    )


def complete(
    raw: pd.DataFrame,
    tickers: pd.DataFrame,
    *,
    coverage: Coverage | None,
    shown_tickers: pd.DataFrame | None = None,
    issuer_coverage: Mapping[str, tuple[Coverage, ...]] | None = None,
    refused: tuple[Refusal, ...] = (),
    n_files: int = 0,
    n_filings: int = 0,
    notes: tuple[str, ...] = (),
) -> TransactionTable:
    """Decide what depends on several filings: the common end of every source.

    Parameters
    ----------
    raw : DataFrame
        Columns `transaction_table.COLUMNS`; `ticker`, `amendment_of`, `duplicate_of`, `first_report` and
        `valid_to` empty.
    tickers : DataFrame
        Who held which ticker when, for the features.
    shown_tickers : DataFrame or None
        What rows show as their `ticker`, where that is not `tickers`.

    Notes
    -----
    **Known at** `accepted_at`: adding, removing or amending later filings changes no earlier row,
    except for `valid_to`, which has an effect from its own instant on, and for `ticker` with its flags
    where filings name the tickers, which features do not use.
    """
    order = ["accepted_at", "accession", "table", "ordinal"]
    ascending = [True, True, False, True]
    rows = raw.sort_values(order, ascending=ascending, ignore_index=True, na_position="last")
    rows, replacements = apply_amendments(
        flag_absurd_amounts(assign_tickers(rows, tickers if shown_tickers is None else shown_tickers))
    )
    return TransactionTable(
        rows=mark_duplicates(rows, replacements),
        refused=refused,
        coverage=coverage,
        tickers=tickers,
        issuer_coverage=dict(issuer_coverage or {}),
        n_files=n_files,
        n_filings=n_filings,
        notes=notes,
    )


def _stated_coverage(path: Path) -> Spans:
    stated = _beside(path, COVERAGE_FILE)
    return {} if stated is None else read_coverage(stated)


def _beside(path: Path, name: str) -> Path | None:
    """Return a file at the root of a tree, of which `path` may be the library's own folder."""
    places = [path, path.parent] if path.name == "sec-edgar-filings" else [path, path / "sec-edgar-filings"]
    return next((place / name for place in places if (place / name).is_file()), None)


def _nothing_understood(path: Path, refused: tuple[Refusal, ...]) -> str:
    expected = f"`--filings` {path}: expected at least one Form 4 submission (.txt) or ownership document (.xml)"
    if not refused:
        return f"{expected}, received none"
    return f"{expected}, received {len(refused)} not understood; {refused[0].file}: {refused[0].reason}"
