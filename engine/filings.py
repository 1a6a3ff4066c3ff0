"""The command `filings`: saved Form 4 documents to one table, and an account of what was not understood."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from engine.filing_source import read_source
from engine.outputs import json_safe
from feeds.errors import EnvironmentFailure, InputError
from feeds.progress import Progress
from feeds.transactions import Refusal, TransactionTable, write_parquet

_MOST_SHOWN = 20


@dataclass(frozen=True)
class Summary:
    """What a folder of filings held.

    Attributes
    ----------
    files, filings, rows : int
        Looked at, understood, and transaction rows in the table.
    codes, forms, flags : mapping of name to number of rows
    refused : tuple of Refusal
    coverage : tuple of two texts, or None
        First and last acceptance, UTC.
    """

    files: int
    filings: int
    rows: int
    codes: dict[str, int]
    forms: dict[str, int]
    flags: dict[str, int]
    refused: tuple[Refusal, ...]
    coverage: tuple[str, str] | None

    @staticmethod
    def of(table: TransactionTable) -> Summary:
        """Count a table."""
        rows, span = table.rows, table.coverage
        flags = rows["flags"].explode().dropna()
        return Summary(
            files=table.n_files,
            filings=table.n_filings,
            rows=len(rows),
            codes={str(k): int(v) for k, v in rows["code"].fillna("none").value_counts().items()},
            forms={str(k): int(v) for k, v in rows["form"].fillna("none").value_counts().items()},
            flags={str(k): int(v) for k, v in flags.value_counts().items()},
            refused=table.refused,
            coverage=None if span is None else (span.first.isoformat(), span.last.isoformat()),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON can hold it."""
        refused = [{"file": one.file, "reason": one.reason} for one in self.refused]
        values = {name: getattr(self, name) for name in ("files", "filings", "rows", "codes", "forms", "flags")}
        return dict(json_safe({**values, "coverage": self.coverage, "refused": refused}))

    @property
    def unit(self) -> str:
        """Return what the refused ones are counted against: an export's lines are many to one file."""
        return f"of {self.files} files" if len(self.refused) <= self.files else "lines"

    @property
    def table(self) -> str:
        """Return the summary for the screen."""
        lines = [
            ("files", self.files),
            ("filings understood", self.filings),
            ("transaction rows", self.rows),
            ("rows by form", _counts(self.forms)),
            ("rows by code", _counts(self.codes)),
            ("flags", _counts(self.flags)),
            ("accepted, UTC", " to ".join(self.coverage) if self.coverage else "unknown"),
            ("not understood", len(self.refused)),
        ]
        text = tabulate(lines, tablefmt="plain", maxcolwidths=[None, 90])
        shown = [f"  {one.file}: {one.reason}" for one in self.refused[:_MOST_SHOWN]]
        if len(self.refused) > _MOST_SHOWN:
            shown.append(f"  and {len(self.refused) - _MOST_SHOWN} more; `--report FILE` lists all")
        return "\n".join([text, *shown])


def parse_to_parquet(source: str, out: Path, *, jobs: int, cache: str | None, progress: Progress) -> Summary:
    """Parse a source (see `engine.filing_source`) into `out` and count what it held.

    Raises
    ------
    InputError
        If nothing in `source` is a Form 4.
    EnvironmentFailure
        If `out` cannot be written.
    """
    if source.lower().endswith(".parquet"):
        raise InputError(f"`PATH`: expected a tree or file of Form 4 submissions, received the table {source}")
    table = read_source(source, tickers=None, cache=cache, jobs=jobs, progress=progress)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(table, out)
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {out}: {error.strerror}; choose another `--out`") from error
    return Summary.of(table)


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items()) or "none"
