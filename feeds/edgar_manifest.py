"""What became of every expected filing: a small database that survives a kill at any moment.

One process holds it at a time; the lock goes with the process, however that ends.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from feeds.edgar_pace import Stopped
from feeds.errors import EnvironmentFailure

Status = Literal["verified", "failed", "missing"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS filings (
    accession TEXT PRIMARY KEY, cik TEXT NOT NULL, form TEXT NOT NULL, filing_date TEXT NOT NULL,
    status TEXT NOT NULL, attempts INTEGER NOT NULL, http_status INTEGER, sha256 TEXT, bytes INTEGER,
    modified_ns INTEGER, accepted_at TEXT, issuer_cik TEXT, reason TEXT, fetched_at TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One filing's line.

    Attributes
    ----------
    accession, cik, form, filing_date : str
        As the SEC's index says; `cik` is the company folder, ten digits.
    status : {"verified", "failed", "missing"}
        In the tree and checked; given up for now; not at the SEC (404 under every address).
    attempts : int
        Times asked for, over all runs.
    http_status : int or None
        Of the last answer; None where there was none.
    sha256, bytes, modified_ns : str, int, int, or None
        Of the file in the tree.
    accepted_at : str or None
        ISO 8601, UTC, from the filing's own header.
    issuer_cik : str or None
        Ten digits; another than `cik` where that company is only the owner.
    reason : str or None
        Why it failed, or why the document in a verified container cannot be parsed.
    fetched_at : str
        ISO 8601, UTC.
    """

    accession: str
    cik: str
    form: str
    filing_date: str
    status: Status
    attempts: int
    http_status: int | None
    sha256: str | None
    bytes: int | None
    modified_ns: int | None
    accepted_at: str | None
    issuer_cik: str | None
    reason: str | None
    fetched_at: str


class Manifest:
    """The open database; made by `open_manifest`, usable by any thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._open = True

    def entries(self) -> dict[str, Entry]:
        """Return every line by accession number."""
        names = ", ".join(field.name for field in fields(Entry))
        return {row[0]: Entry(*row) for row in self._connection.execute(f"SELECT {names} FROM filings")}

    def record(self, entries: Iterable[Entry]) -> None:
        """Write lines, replacing those of the same filings; they are safe once this returns.

        Raises
        ------
        Stopped
            If the manifest was closed meanwhile: the download has ended.
        """
        marks = ", ".join("?" for _ in fields(Entry))
        names = ", ".join(field.name for field in fields(Entry))
        with self._lock:
            if not self._open:
                raise Stopped
            with self._connection:
                self._connection.executemany(
                    f"INSERT OR REPLACE INTO filings ({names}) VALUES ({marks})", [astuple(entry) for entry in entries]
                )

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._open = False
            self._connection.close()


@contextmanager
def open_manifest(path: Path) -> Iterator[Manifest]:
    """Open or make the database and hold it alone.

    Raises
    ------
    EnvironmentFailure
        If another process holds it, or it is no database.
    """
    manifest = None
    connection = sqlite3.connect(path, timeout=0.2, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_SCHEMA)
        manifest = Manifest(connection)
        yield manifest
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from error
    finally:
        (manifest or connection).close()


def _unusable(path: Path, error: sqlite3.DatabaseError) -> EnvironmentFailure:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return EnvironmentFailure(f"{path}: another download works in this folder; wait for it, or stop it")
    if isinstance(error, sqlite3.OperationalError) and ("full" in str(error) or "I/O" in str(error)):
        return EnvironmentFailure(f"cannot write {path}: {error}; make room and run the same command again")
    return EnvironmentFailure(
        f"{path}: expected the download's own record, received {error}; "
        "delete this file and run again: files that are there are checked, not downloaded again"
    )
