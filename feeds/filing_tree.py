"""Finding submissions on disk, and parsing one.

Understood: the tree of sec-edgar-downloader,
``sec-edgar-filings/COMPANY/4/ACCESSION/full-submission.txt`` (COMPANY a ticker or a CIK), at any
depth below the given folder; loose ``.txt`` submissions and ``.xml`` ownership documents; one file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feeds.form4 import Filing, Form4Error, parse_submission
from feeds.sgml import read_submission
from feeds.transaction_table import Refusal

SUBMISSION = "full-submission.txt"
_SUFFIXES = (".txt", ".xml", ".nc")
_ACCESSION = re.compile(r"\d{10}-\d{2}-\d{6}")
_FORM_FOLDERS = frozenset({"4", "4-A", "4A"})
UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One accession on disk: its copies, of which one counts, and the folders they lie in."""

    name: str
    paths: tuple[Path, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What became of one candidate: a filing or none, and the copies that were refused or tell other trades."""

    filing: Filing | None
    folders: tuple[str, ...]
    refused: tuple[Refusal, ...]


def find_candidates(root: Path) -> list[Candidate]:
    """List the accessions below `root`, in the order of their names; copies of one are together."""
    paths = [root] if root.is_file() else list(_files(root))
    copies: dict[str, list[Path]] = {}
    for path in paths:
        copies.setdefault(_name(path), []).append(path)
    # A full submission tells when it was accepted, a bare document does not: try it first.
    ordered = {name: sorted(found, key=lambda path: (path.suffix != ".txt", path)) for name, found in copies.items()}
    return [Candidate(name, tuple(found), _folders(found)) for name, found in sorted(ordered.items())]


def parse_candidate(candidate: Candidate, root: Path) -> Parsed:
    """Parse one candidate: of its copies the first that is timed and well-formed, else the first understood.

    The other copies are read too: one that is cut off, or tells other trades, is reported.
    """
    refused: list[Refusal] = []
    understood: list[tuple[Path, Filing]] = []
    for path in candidate.paths:
        try:
            filing = parse_submission(read_submission(path), candidate.name)
        except Form4Error as error:
            refused.append(Refusal(shown(path, root), str(error)))
        except OSError as error:
            refused.append(Refusal(shown(path, root), f"{UNREADABLE}: {error.strerror}"))
        except ValueError as error:
            # Content that nobody has foreseen must not stop the other files.
            refused.append(Refusal(shown(path, root), f"not understood: {error}"))
        else:
            understood.append((path, filing))
    if not understood:
        return Parsed(None, candidate.folders, tuple(refused))
    used, filing = min(understood, key=lambda copy: (copy[1].accepted_at is None, "recovered_xml" in copy[1].flags))
    refused += [
        Refusal(shown(path, root), f"tells other trades than the copy that is used, {shown(used, root)}")
        for path, copy in understood
        if _trades(copy) != _trades(filing)
    ]
    return Parsed(filing, candidate.folders, tuple(refused))


def _trades(filing: Filing) -> list[tuple[object, ...]]:
    return [(row.table, row.transacted_on, row.code, row.shares, row.price) for row in filing.transactions]


def shown(path: Path, root: Path) -> str:
    """Return a file's path as messages show it: below `root`."""
    if path == root:
        return path.name
    # As `relative_to`, which is much slower; what is shown lies below the root.
    whole, start = path.as_posix(), root.as_posix()
    return whole if start == "." else whole[len(start) :].lstrip("/")


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # Beside a full submission the downloader may put its main document again.
        twice = SUBMISSION in names
        for name in sorted(names):
            if twice and name.startswith("primary-document."):
                continue
            if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(folder, name)


def _name(path: Path) -> str:
    if path.name == SUBMISSION:
        # Outside the downloader's tree many a "full-submission.txt" is not the same filing.
        return path.parent.name if _ACCESSION.fullmatch(path.parent.name) else str(path.parent)
    found = _ACCESSION.search(path.stem)
    # BAD_0001814521-23-000006.txt is not a copy of that accession.
    return path.stem if found is None or found.group() == path.stem else path.name


def _folders(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return the company folders: COMPANY of ``COMPANY/4/ACCESSION/full-submission.txt``."""
    resolved = (path.absolute() for path in paths if path.name == SUBMISSION)
    found = {path.parts[-4] for path in resolved if len(path.parts) > 4 and path.parts[-3] in _FORM_FOLDERS}
    return tuple(sorted(found))
