"""The command `filings`: saved Form 4 documents to one table, and an account of what was not understood."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from engine.filing_source import read_source
from engine.outputs import json_safe
from engine.progress import progress_bars
from engine.run_folder import check_free_file, write_text
from engine.settings import Settings, resolve, split_filings
from feeds.errors import EnvironmentFailure, InputError
from feeds.progress import Progress
from feeds.transactions import Refusal, TransactionTable, check_prices, write_parquet

_MOST_SHOWN = 20
_WIDTH = 90
_NOT_CHECKED = "not checked: no prices were given"


@dataclass(frozen=True)
class Summary:
    """What a source of filings held.

    Attributes
    ----------
    files, filings, rows : int
        Looked at, understood, and transaction rows in the table.
    counts : mapping of name to number of rows
        ``reported_again`` (the same trade under another accession number), ``reported_once`` (the others),
        ``superseded`` (replaced by an amendment), ``owner_side`` (about another issuer than the one that
        was asked for); of purchases and sales of the non-derivative table ``market_rows`` and
        ``market_once``.
    tables, codes, forms, flags : mapping of name to number of rows
    prices : str
        Whether prices were checked, and against what.
    refused : tuple of Refusal
    coverage : tuple of two texts, or None
        First and last acceptance, UTC.
    complete : int
        Issuers of which the source states when it lacks nothing.
    notes : tuple of str
    """

    files: int
    filings: int
    rows: int
    counts: dict[str, int]
    tables: dict[str, int]
    codes: dict[str, int]
    forms: dict[str, int]
    flags: dict[str, int]
    prices: str
    refused: tuple[Refusal, ...]
    coverage: tuple[str, str] | None
    complete: int
    notes: tuple[str, ...]

    @staticmethod
    def of(table: TransactionTable, prices: str = _NOT_CHECKED) -> Summary:
        """Count a table."""
        rows, span = table.rows, table.coverage
        tables, codes, forms, flags = (_number_of(rows[name]) for name in ("table", "code", "form", "flags"))
        return Summary(
            files=table.n_files,
            filings=table.n_filings,
            rows=len(rows),
            counts=_row_counts(rows),
            tables=tables,
            codes=codes,
            forms=forms,
            flags=flags,
            prices=prices,
            refused=table.refused,
            coverage=None if span is None else (span.first.isoformat(), span.last.isoformat()),
            complete=len(table.issuer_coverage),
            notes=table.notes,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON can hold it."""
        refused = [{"file": one.file, "reason": one.reason} for one in self.refused]
        return dict(json_safe({**vars(self), "refused": refused}))

    @property
    def unit(self) -> str:
        """Return what the refused ones are counted against: an export's lines are many to one file."""
        return f"of {self.files} files" if len(self.refused) <= self.files else "lines"

    @property
    def table(self) -> str:
        """Return the summary for the screen."""
        count = self.counts
        lines = [
            ("files", f"{self.files:,}"),
            ("filings understood", f"{self.filings:,}"),
            ("transaction rows", f"{self.rows:,} ({_counts(self.tables)}; N non-derivative, D derivative)"),
            ("  each trade once", f"{count['reported_once']:,}; {count['reported_again']:,} tell a trade again"),
            ("  replaced", f"{count['superseded']:,} by an amendment, from its acceptance on"),
            ("  owner side", f"{count['owner_side']:,} about another issuer; no ticker"),
            ("purchases, sales", f"{count['market_rows']:,} rows in table N, {count['market_once']:,} trades"),
            ("rows by form", _counts(self.forms)),
            ("rows by code", _counts(self.codes)),
            ("flags", _counts(self.flags)),
            ("filed prices", self.prices),
            ("accepted, UTC", " to ".join(self.coverage) if self.coverage else "unknown"),
            ("stated complete", f"{self.complete:,} issuers"),
            *(("note", note) for note in self.notes),
            ("not understood", f"{len(self.refused):,}"),
        ]
        shown = [f"  {one.file}: {one.reason}" for one in self.refused[:_MOST_SHOWN]]
        if len(self.refused) > _MOST_SHOWN:
            shown.append(f"  and {len(self.refused) - _MOST_SHOWN} more; `--report FILE` lists all")
        return "\n".join([*_laid_out(lines), *shown])


def filings(namespace: argparse.Namespace) -> int:
    """Carry out the command.

    Raises
    ------
    InputError
        For a mistake in the call, or if nothing in PATH is a Form 4.
    EnvironmentFailure
        If a file cannot be written, or something was not understood; the table of the rest is written then.
    """
    out, report = _places(namespace)
    given = resolve({name: getattr(namespace, name) for name in ("jobs", "cache", "prices") if name in namespace})
    progress = progress_bars(quiet="quiet" in namespace)
    prices = given if "prices" in namespace else None
    summary = parse_to_parquet(
        namespace.path, out, jobs=given.jobs, cache=given.cache, progress=progress, prices=prices
    )
    if report is not None:
        write_text(report, json.dumps(summary.as_dict(), indent=2) + "\n")
    sys.stdout.write(summary.table + "\n")
    if summary.refused:
        raise EnvironmentFailure(
            f"{len(summary.refused)} {summary.unit} were not understood and are not in {out}: "
            f"first {summary.refused[0].file} ({summary.refused[0].reason}); see the list above"
        )
    return 0


def parse_to_parquet(
    source: str, out: Path, *, jobs: int, cache: str | None, progress: Progress, prices: Settings | None = None
) -> Summary:
    """Parse a source (see `engine.filing_source`) into `out` and count what it held.

    Parameters
    ----------
    prices : Settings or None
        Names a source of prices that filed ones are held against (`feeds.filed_prices`); None for none.

    Raises
    ------
    InputError
        If nothing in `source` is a Form 4, or the prices cannot be used.
    EnvironmentFailure
        If `out` cannot be written.
    """
    _check_source(source)
    with _called_path():
        table = read_source(source, tickers=None, cache=cache, jobs=jobs, progress=progress)
    table, told = (table, _NOT_CHECKED) if prices is None else _price_checked(table, prices, progress)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(table, out)
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {out}: {error.strerror}; choose another `--out`") from error
    return Summary.of(table, told)


def _places(namespace: argparse.Namespace) -> tuple[Path, Path | None]:
    """Return where the table and the report go; nothing is replaced without `--force`."""
    if "out" not in namespace:
        raise InputError("`--out`: expected the Parquet file to write, received none; add `--out FILE.parquet`")
    out, force = Path(namespace.out).expanduser(), "force" in namespace
    if out.suffix.lower() != ".parquet":
        raise InputError(f"`--out`: expected a name that ends in .parquet, received {str(out)!r}; the table is Parquet")
    check_free_file(out, force=force)
    report = Path(namespace.report).expanduser() if "report" in namespace else None
    if report is not None:
        check_free_file(report, force=force, flag="--report")
    return out, report


def _check_source(source: str) -> None:
    kind, place = split_filings(source)
    if source.lower().endswith(".parquet"):
        raise InputError(f"`PATH`: expected a tree or file of Form 4 submissions, received the table {source}")
    if not place:
        what = "DIR" if kind == "sec-quarterly" else "FILE"
        raise InputError(f"`PATH`: expected {f'{kind}:{what}' if kind else 'a tree or file'}, received {source!r}")


@contextmanager
def _called_path() -> Iterator[None]:
    """Let errors call the source what it is called here: the readers know it as the flag of `run`."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("`--filings`", "`PATH`")) from error


def _price_checked(table: TransactionTable, prices: Settings, progress: Progress) -> tuple[TransactionTable, str]:
    """Hold filed prices against a source; of one that downloads, against the stocks of the table."""
    from engine.inputs import load_panel
    from engine.price_inputs import check_place

    if prices.prices == "yahoo":
        stocks = sorted(set(table.rows["ticker"].dropna()))
        if not stocks:
            return table, f"not checked: no ticker is known to ask {prices.prices} for"
        prices = replace(prices, tickers=tuple(stocks))
    check_place(prices)
    panel = load_panel(prices, progress)[0].panel
    covered = len(set(panel.tickers) & set(table.rows["ticker"].dropna()))
    against = "the day's range" if panel.price_basis == "as_traded" else "other filings only (see the note)"
    told = f"checked against {against}: {prices.prices} ({panel.price_basis}), {covered:,} stocks"
    return check_prices(table, panel), told


def _row_counts(rows: pd.DataFrame) -> dict[str, int]:
    first = rows["duplicate_of"].isna()
    market = (rows["table"] == "N") & rows["code"].isin(["P", "S"])
    marks = {
        "reported_once": first,
        "reported_again": ~first,
        "superseded": rows["valid_to"].notna(),
        "owner_side": rows["flags"].map(lambda flags: "owner_side" in flags),
        "market_rows": market,
        "market_once": market & first,
    }
    return {name: int(mark.sum()) for name, mark in marks.items()}


def _number_of(values: pd.Series) -> dict[str, int]:
    """Count rows by value; of lists, by their members."""
    listed = values.name == "flags"
    found = values.explode().dropna() if listed else values.fillna("none")
    return {str(name): int(number) for name, number in found.value_counts().items()}


def _laid_out(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Return labels and texts in two columns; paths are not broken, so that they can be copied."""
    width = max(len(label) for label, _ in lines) + 2
    for label, text in lines:
        first, *more = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
        yield f"{label:<{width}}{first}"
        yield from (" " * width + part for part in more)


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items()) or "none"
