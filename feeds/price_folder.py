"""Bars from a folder with one Parquet file per ticker, such as `download prices` writes.

A file of the download holds in its own schema where it came from: one request, hence one vintage.
Adjusted closes of different vintages differ by the dividends and splits between them, so a ticker
is only ever replaced whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feeds.errors import EnvironmentFailure
from feeds.price_parquet import (
    PARQUET_ERRORS,
    first_line,
    open_parquet,
    parquet_days,
    parquet_numbers,
    parquet_texts,
)
from feeds.price_table import REQUIRED_COLUMNS, Reading, SourceBars, UnreadableTableError, find_columns
from feeds.ticker_files import TickerFiles

SUFFIX = ".parquet"
_KEY = b"insider-swing"


@dataclass(frozen=True)
class Vintage:
    """Where the bars of one file came from.

    Attributes
    ----------
    source : str
        Such as ``yahoo``.
    downloaded_at : str
        UTC, ISO 8601.
    library : str
        Name and version of what fetched them.
    first, last : str
        The sessions asked for, ISO 8601; empty for a whole history.
    price_basis : str
    """

    source: str
    downloaded_at: str
    library: str
    first: str
    last: str
    price_basis: str

    @property
    def day(self) -> str:
        """Return the day of the download: what distinguishes vintages."""
        return self.downloaded_at[:10]


class ParquetFolder(TickerFiles):
    """A folder of price files, one per ticker; see `TickerFiles` for what it refuses."""

    kind = "parquet"
    suffixes = (SUFFIX,)

    def read_file(self, ticker: str, path: Path) -> Reading:
        """Read one price file; raises UnreadableTableError where it holds no table of prices."""
        return Reading(read_file(path))

    def vintages(self) -> dict[str, Vintage]:
        """Return the origin of each file that states one, by ticker."""
        found = {ticker: read_vintage(path) for ticker, path in self._files.items()}
        return {ticker: vintage for ticker, vintage in found.items() if vintage is not None}


def read_file(path: Path) -> SourceBars:
    """Read one ticker's file; raises UnreadableTableError where it holds no table of prices."""
    try:
        with open_parquet(path) as file:
            headers = file.schema_arrow.names
            positions = find_columns(headers, REQUIRED_COLUMNS)
            table = file.read(columns=[headers[position] for position in positions.values()])
        named = table.select([headers[position] for position in positions.values()]).rename_columns(list(positions))
        return SourceBars.from_columns({name: _values(name, named[name]) for name in _wanted(path, named)})
    except PARQUET_ERRORS as error:
        raise UnreadableTableError(
            "unreadable file", f"{path.name} cannot be read as Parquet, {first_line(error)}"
        ) from None


def _wanted(path: Path, table: pa.Table) -> list[str]:
    """Return the columns to read; a file's tickers only have to be one."""
    if "ticker" in table.column_names and len(parquet_texts(table["ticker"]) or ()) > 1:
        raise UnreadableTableError("several tickers", f"{path.name} holds more than one ticker; name the file itself")
    return [name for name in table.column_names if name != "ticker"]


def _values(name: str, column: pa.ChunkedArray) -> np.ndarray:
    values = parquet_days(column) if name == "date" else parquet_numbers(column)
    if values is None:
        kind, what = ("unreadable date", "dates") if name == "date" else ("not a number", "numbers")
        raise UnreadableTableError(kind, f"column `{name}` holds {column.type}, no {what}")
    if name == "date" and np.isnat(values).any():
        raise UnreadableTableError("unreadable date", "column `date` holds what is no date YYYY-MM-DD")
    return values


def read_vintage(path: Path) -> Vintage | None:
    """Return where a file came from; None for one that does not say, or cannot be read."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        stated = json.loads(metadata[_KEY])["vintage"]
        return Vintage(**stated)
    except (*PARQUET_ERRORS, KeyError, TypeError, ValueError):
        return None


def write_ticker(folder: Path, ticker: str, bars: pd.DataFrame, vintage: Vintage) -> None:
    """Write one ticker's file, whole or not at all.

    Raises
    ------
    EnvironmentFailure
        If the disk does not take it.
    """
    table = pa.Table.from_pandas(bars, preserve_index=False)
    stated = json.dumps({"vintage": asdict(vintage)}, sort_keys=True)
    table = table.replace_schema_metadata({_KEY: stated.encode()})
    path = folder / f"{ticker}{SUFFIX}"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentFailure(f"price file {path}: cannot be written, {error.strerror or error}") from error


def describe_vintages(vintages: Mapping[str, Vintage]) -> str | None:
    """Return a sentence that names the days of download where there are several, else None."""
    days: dict[str, list[str]] = {}
    for ticker, vintage in sorted(vintages.items()):
        days.setdefault(vintage.day, []).append(ticker)
    if len(days) < 2:
        return None
    parts = [f"{day} ({_few(tickers)})" for day, tickers in sorted(days.items())]
    return (
        f"prices of different vintages: downloaded {', '.join(parts)}; each stock's series is of one vintage, "
        "but they may end on different days; download them again together to be sure"
    )


def _few(tickers: list[str]) -> str:
    return ", ".join(tickers) if len(tickers) <= 4 else f"{', '.join(tickers[:3])} and {len(tickers) - 3:,} more"
