"""Parsed filings on disk, so that a second reading of a tree parses only what is new or changed.

A store is a folder of parts. A part is a parquet file with the raw rows of up to a thousand filings, and
beside it a JSON file that says of every file looked at its identity and what became of it, refusals
included. Both are written under a temporary name and renamed: a killed parse continues after its
last finished part. What depends on
several filings is not stored; `feeds.transactions` decides it anew each time, so a table read from a
store is the table of a fresh reading, byte for byte.

A file's identity is its size, modification time and inode change time (nanoseconds). The last one
cannot be set by a program, so a file that was replaced by one of equal size and equal modification
time (``rsync -t``, ``cp -p``) is noticed. File systems count time in steps of up to two seconds: a file
changed so shortly before it was read is identified by the sha256 of its content instead. What
remains unnoticed is a clock that was set back, and a file system that keeps no change time (FAT, some
network drives) when a tool also restores the modification time; delete the store there.

Memory is bounded by one batch per process while parsing, and by the table itself at the end.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feeds.collector import collector_paused
from feeds.filing_tree import UNREADABLE, Candidate, Parsed, parse_candidate, shown
from feeds.progress import Progress
from feeds.transaction_store import SCHEMA, from_arrow, to_arrow, write_atomically
from feeds.transaction_table import Refusal, frame_of_filings

FILES_PER_PART = 1000
# Below this, starting processes costs more than it saves.
_FILES_WORTH_PROCESSES = 10_000
_SETTLED_NS = 2_000_000_000
_MOST_SMALL_PARTS = 32
_ABANDONED_S = 86_400


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one candidate.

    Attributes
    ----------
    name : str
        The candidate's.
    copies : tuple of (path in the tree, identity)
        An empty identity equals no file's.
    folders : tuple of str
        Company folders in which it lies.
    refused : tuple of Refusal
    accession, issuer_cik : str or None
        None where nothing was understood.
    issuer_symbol : str or None
    accepted_at : str or None
        UTC in ISO form; None also where the document tells no acceptance time.
    """

    name: str
    copies: tuple[tuple[str, str], ...]
    folders: tuple[str, ...]
    refused: tuple[Refusal, ...]
    accession: str | None = None
    issuer_cik: str = ""
    issuer_symbol: str | None = None
    accepted_at: str | None = None


class _Part(NamedTuple):
    path: Path
    entries: list[Entry]


class _Place(NamedTuple):
    """Where an entry stands: its part and its number there."""

    part: _Part
    number: int

    @property
    def entry(self) -> Entry:
        return self.part.entries[self.number]


@dataclass(frozen=True)
class ParsedTree:
    """What a tree holds.

    Attributes
    ----------
    entries : list of Entry
        Of all candidates, in their order.
    filings : list of Entry
        One per accession number: the timed copy where there is one, with the folders of all copies.
    rows : DataFrame
        Raw rows of `filings`.
    """

    entries: list[Entry]
    filings: list[Entry]
    rows: pd.DataFrame


def read_tree(root: Path, candidates: list[Candidate], store: Path, *, progress: Progress, jobs: int) -> ParsedTree:
    """Bring a store up to date with a tree and return what the tree holds now.

    Parameters
    ----------
    root : Path
        The tree, or one file.
    candidates : list of Candidate
        What `feeds.filing_tree.find_candidates` found there.
    store : Path
        Folder of this tree's parts, made when absent. Whoever names it puts the code's version in.
    progress : Progress
        Wraps the files that are parsed.
    jobs : int
        Processes to parse with; one where there are few files.
    """
    try:
        return _read_tree(root, candidates, store, progress, jobs)
    except FileNotFoundError:
        # Another run on the same store has tidied it meanwhile.
        return _read_tree(root, candidates, store, progress, jobs)


def _read_tree(root: Path, candidates: list[Candidate], store: Path, progress: Progress, jobs: int) -> ParsedTree:
    store.mkdir(parents=True, exist_ok=True)
    stored = _parts(store)
    known = _known(candidates, root, stored)
    missing = [candidate for candidate in candidates if candidate.name not in known]
    for part in _parse(missing, root, store, progress=progress, jobs=jobs):
        known |= {entry.name: _Place(part, number) for number, entry in enumerate(part.entries)}
    places = [known[candidate.name] for candidate in candidates]
    chosen = _distinct(places)
    rows = from_arrow(_read(place for place, _ in chosen))
    _tidy(store, stored, places)
    filings = [_with_folders(place.entry, folders) for place, folders in chosen]
    return ParsedTree([place.entry for place in places], filings, rows)


def _known(candidates: list[Candidate], root: Path, parts: list[_Part]) -> dict[str, _Place]:
    """Return the stored candidates of which no copy was added, removed or changed."""
    stored = {entry.name: _Place(part, number) for part in parts for number, entry in enumerate(part.entries)}
    now = time.time_ns()
    return {
        candidate.name: stored[candidate.name]
        for candidate in candidates
        if candidate.name in stored and _unchanged(candidate, root, stored[candidate.name].entry, now)
    }


def _unchanged(candidate: Candidate, root: Path, entry: Entry, now: int) -> bool:
    if len(entry.copies) != len(candidate.paths):
        return False
    for path, (name, identity) in zip(candidate.paths, entry.copies, strict=True):
        if not identity or shown(path, root) != name:
            return False
        try:
            current = _content_identity(path) if identity.startswith("sha256:") else _identity(path, now)
        except OSError:
            return False
        if current != identity:
            return False
    return True


def _identity(path: Path, now: int) -> str:
    status = path.stat()
    if now - max(status.st_mtime_ns, status.st_ctime_ns) < _SETTLED_NS:
        return _content_identity(path)
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _content_identity(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _parse(candidates: list[Candidate], root: Path, store: Path, *, progress: Progress, jobs: int) -> Iterator[_Part]:
    """Parse in batches, each to a part of its own; in `jobs` processes where there are enough files."""
    starts = range(0, len(candidates), FILES_PER_PART)
    tasks = [(candidates[start : start + FILES_PER_PART], root, store) for start in starts]
    parallel = jobs > 1 and len(candidates) >= _FILES_WORTH_PROCESSES
    made: list[_Part] = []
    for _ in progress(_counted(_in_processes(tasks, jobs) if parallel else map(_parse_batch, tasks), made),
                      "reading filings", len(candidates)):  # fmt: skip
        pass
    yield from made


def _counted(paths: Iterable[Path], made: list[_Part]) -> Iterator[None]:
    """Collect the parts and yield once per file in them, which is what a progress bar counts."""
    for path in paths:
        made.append(_part(path))
        yield from (None for _ in made[-1].entries)


def _in_processes(tasks: list[tuple[list[Candidate], Path, Path]], jobs: int) -> Iterator[Path]:
    # Spawned, not forked: a fork of a process that runs threads may hang.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_parse_batch, tasks)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _parse_batch(task: tuple[list[Candidate], Path, Path]) -> Path:
    candidates, root, store = task
    with collector_paused():  # a tenth of the time
        pairs = [_parsed(candidate, root) for candidate in candidates]
    entries = [entry for entry, _ in pairs]
    filings = [parsed.filing for _, parsed in pairs if parsed.filing is not None]
    counts = [0 if parsed.filing is None else len(parsed.filing.transactions) for _, parsed in pairs]
    numbers = np.repeat(np.arange(len(pairs), dtype=np.int32), counts)
    return _write(to_arrow(frame_of_filings(filings)).append_column("entry", pa.array(numbers)), entries, store)


def _parsed(candidate: Candidate, root: Path) -> tuple[Entry, Parsed]:
    # Identified before it is read: a change in between is seen the next time.
    copies = tuple((shown(path, root), _identity_or_none(path)) for path in candidate.paths)
    parsed = parse_candidate(candidate, root)
    if any(refusal.reason.startswith(UNREADABLE) for refusal in parsed.refused):
        copies = tuple((name, "") for name, _ in copies)
    filing = parsed.filing
    if filing is None:
        return Entry(candidate.name, copies, candidate.folders, parsed.refused), parsed
    accepted_at = None if filing.accepted_at is None else filing.accepted_at.isoformat()
    said = (filing.accession, filing.issuer_cik, filing.issuer_symbol, accepted_at)
    return Entry(candidate.name, copies, candidate.folders, parsed.refused, *said), parsed


def _identity_or_none(path: Path) -> str:
    try:
        return _identity(path, time.time_ns())
    except OSError:
        return ""


def _distinct(places: list[_Place]) -> list[tuple[_Place, tuple[str, ...]]]:
    """Keep one filing of each accession number (the timed one), with all the folders it was found in."""
    held: dict[str, tuple[_Place, tuple[str, ...]]] = {}
    for place in places:
        entry = place.entry
        if entry.accession is None:
            continue
        known, folders = held.get(entry.accession, (place, ()))
        better = known if known.entry.accepted_at is not None else place
        held[entry.accession] = (better, tuple(sorted({*folders, *entry.folders})))
    return list(held.values())


def _with_folders(entry: Entry, folders: tuple[str, ...]) -> Entry:
    said = (entry.accession, entry.issuer_cik, entry.issuer_symbol, entry.accepted_at)
    return Entry(entry.name, entry.copies, folders, entry.refused, *said)


def _read(places: Iterable[_Place]) -> pa.Table:
    """Read the rows of some entries, in the order of the parts."""
    wanted: dict[Path, list[int]] = {}
    for place in places:
        wanted.setdefault(place.part.path, []).append(place.number)
    tables = [_rows_of(path, np.array(numbers)) for path, numbers in wanted.items()]
    return pa.concat_tables(tables).drop_columns("entry") if tables else SCHEMA.empty_table()


def _rows_of(path: Path, numbers: np.ndarray) -> pa.Table:
    # Without its entries, a megabyte that has been read before.
    table = pq.read_table(path).replace_schema_metadata()
    return table.filter(pa.array(np.isin(table["entry"].to_numpy(), numbers)))


def _tidy(store: Path, stored: list[_Part], places: list[_Place]) -> None:
    """Remove parts that hold nothing valid, and join many small ones. Parts of a run beside this one stay."""
    living: dict[Path, list[int]] = {}
    parts = {place.part.path: place.part for place in places}
    for place in places:
        living.setdefault(place.part.path, []).append(place.number)
    small = [path for path, numbers in living.items() if len(numbers) < FILES_PER_PART // 2]
    kept = set(living)
    if len(small) > _MOST_SMALL_PARTS:
        kept -= set(small)
        kept.add(_join([(parts[path], np.sort(living[path])) for path in small], store))
    for path in {*parts, *(part.path for part in stored)} - kept:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
    for path in store.glob(".part-*.tmp"):
        if time.time() - path.stat().st_mtime > _ABANDONED_S:
            path.unlink(missing_ok=True)


def _join(parts: list[tuple[_Part, np.ndarray]], store: Path) -> Path:
    entries: list[Entry] = []
    tables = []
    for part, numbers in parts:
        rows = _rows_of(part.path, numbers)
        renumbered = len(entries) + np.searchsorted(numbers, rows["entry"].to_numpy())
        tables.append(rows.drop_columns("entry").append_column("entry", pa.array(renumbered.astype(np.int32))))
        entries += [part.entries[number] for number in numbers]
    return _write(pa.concat_tables(tables), entries, store)


def _write(rows: pa.Table, entries: list[Entry], store: Path) -> Path:
    """Write a part: first its entries, then its rows, whose file makes the part exist."""
    content = json.dumps([_as_list(entry) for entry in entries]).encode()
    path = store / f"part-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    write_atomically(path.with_suffix(".json"), lambda file: Path(file).write_bytes(content))
    write_atomically(path, lambda file: pq.write_table(rows, file, compression="zstd"))
    return path


def _parts(store: Path) -> list[_Part]:
    """Return the parts that can be read; what a failing disk left of one is parsed again."""
    found = []
    for path in sorted(store.glob("part-*.parquet")):
        try:
            pq.read_metadata(path)
            found.append(_part(path))
        except (OSError, ValueError):  # of which Arrow's and JSON's errors are
            continue
    return found


def _part(path: Path) -> _Part:
    return _Part(path, [_from_list(held) for held in json.loads(path.with_suffix(".json").read_bytes())])


def _as_list(entry: Entry) -> list[Any]:
    return [
        entry.name, entry.copies, entry.folders, entry.refused, entry.accession, entry.issuer_cik,
        entry.issuer_symbol, entry.accepted_at,
    ]  # fmt: skip


def _from_list(held: list[Any]) -> Entry:
    name, copies, folders, refused, *said = held
    pairs = tuple((path, identity) for path, identity in copies)
    return Entry(name, pairs, tuple(folders), tuple(Refusal(*one) for one in refused), *said)
