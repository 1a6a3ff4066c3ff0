"""The folder of a download: the library's tree, and beside it what the download needs for itself.

``sec-edgar-filings/``, ``tickers.csv`` and ``coverage.csv`` are the result. ``.edgar/`` holds the manifest, the SEC's
index files, the staging folder and the quarantine; readers of filings do not look into it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from feeds.edgar_check import BadFiling, Checked, check_filing
from feeds.edgar_index import Expected
from feeds.edgar_library import FORM_FOLDER, filing_path
from feeds.edgar_manifest import Entry
from feeds.errors import EnvironmentFailure, InputError

# A filing takes 13 kB in the mean, its folder and the unused end of its last block the rest.
_BYTES_EACH = 24_000
_BYTES_SPARE = 100 * 1024**2


@dataclass(frozen=True)
class DownloadTree:
    """Where everything of one download lies."""

    root: Path

    @property
    def manifest(self) -> Path:
        """The database of `feeds.edgar_manifest`."""
        return self.root / ".edgar" / "manifest.sqlite"

    @property
    def index(self) -> Path:
        """The SEC's index files."""
        return self.root / ".edgar" / "index"

    @property
    def staging(self) -> Path:
        """Where the library writes; emptied at every start."""
        return self.root / ".edgar" / "staging"

    @property
    def quarantine(self) -> Path:
        """Files that were not what they should be."""
        return self.root / ".edgar" / "quarantine"

    def prepare(self) -> None:
        """Make the folders.

        Raises
        ------
        InputError
            If the root is no folder.
        EnvironmentFailure
            If it cannot be written.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"`--out`: expected a folder, received the file {self.root}")
        try:
            for folder in (self.index, self.quarantine):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentFailure(f"cannot write {self.root}: {error.strerror}; choose another `--out`") from error

    def empty_staging(self) -> None:
        """Throw away what a killed download left half written; only for who holds the manifest."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def company_folders(self) -> dict[str, list[str]]:
        """Return the company folders that hold each accession, whoever downloaded it."""
        held: dict[str, list[str]] = {}
        for company in sorted(_folders(self.root / "sec-edgar-filings")):
            for accession in _folders(self.root / "sec-edgar-filings" / company / FORM_FOLDER):
                held.setdefault(accession, []).append(company)
        return held

    def adopt(self, wanted: Expected, staged: Path, checked: Checked, attempts: int) -> Entry:
        """Move a checked file from the staging folder to its place, in one step, and describe it."""
        path = filing_path(self.root, wanted.cik, wanted.accession)
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.replace(path)
        staged.parent.rmdir()
        return describe(wanted, path, checked, attempts, 200)

    def isolate(self, path: Path, accession: str) -> None:
        """Move a bad file to the quarantine; the last one of an accession is kept."""
        path.replace(self.quarantine / f"{accession}.txt")

    def check_space(self, filings: int) -> None:
        """Refuse to begin what the disk cannot hold.

        Raises
        ------
        EnvironmentFailure
            If there is too little room.
        """
        free, needed = shutil.disk_usage(self.root).free, filings * _BYTES_EACH + _BYTES_SPARE
        if filings and free < needed:
            raise EnvironmentFailure(
                f"{self.root}: expected {needed / 1024**3:.1f} GiB of free space for {filings:,} filings, "
                f"received {free / 1024**3:.1f} GiB; make room or choose another `--out`"
            )


def check_present(
    tree: DownloadTree, wanted: Expected, companies: list[str], known: Entry | None
) -> tuple[Entry | None, int]:
    """Describe a filing that is already in the tree, or None; count bad copies, which go to the quarantine.

    A file that has the size and the time of change which the manifest recorded was checked then.
    """
    bad = 0
    for company in companies:
        path = filing_path(tree.root, company, wanted.accession)
        if not path.is_file():
            continue
        if known is not None and known.status == "verified" and _unchanged(path, known):
            return known, bad
        try:
            checked = check_filing(path.read_bytes(), wanted.accession)
        except BadFiling:
            tree.isolate(path, wanted.accession)
            bad += 1
            continue
        return describe(wanted, path, checked, known.attempts if known else 0, None), bad
    return None, bad


def describe(wanted: Expected, path: Path, checked: Checked, attempts: int, http_status: int | None) -> Entry:
    """Return the manifest's line of a checked file in the tree."""
    content, stat = path.read_bytes(), path.stat()
    return Entry(
        accession=wanted.accession,
        cik=wanted.cik,
        form=checked.form,
        filing_date=wanted.filed_on.isoformat(),
        status="verified",
        attempts=attempts,
        http_status=http_status,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        accepted_at=checked.accepted_at.isoformat() if checked.accepted_at else None,
        issuer_cik=checked.issuer_cik,
        reason=checked.reason,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _unchanged(path: Path, known: Entry) -> bool:
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns) == (known.bytes, known.modified_ns)


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as found:
            return [entry.name for entry in found if entry.is_dir()]
    except FileNotFoundError:
        return []
