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
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feeds.errors import EnvironmentFailure, InputError
from feeds.price_parquet import parquet_days, parquet_numbers
from feeds.price_table import REQUIRED_COLUMNS, Finding, Reading, SourceBars, UnreadableTableError, find_columns

SUFFIX = ".parquet"
_KEY = b"insider-swing"
_UNREADABLE = (pa.ArrowException, OSError)


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


class ParquetFolder:
    """A folder of price files, one per ticker.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If the folder holds no Parquet file, or two for one ticker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not self._files:
            raise InputError(f"`parquet:{folder}`: expected files TICKER.parquet, received none in it")

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        files: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(".") or path.suffix.lower() != SUFFIX:
                continue
            ticker = path.stem.upper()
            if ticker in files:
                raise InputError(
                    f"`parquet:{self.folder}`: expected one file per ticker, received {files[ticker].name} "
                    f"and {path.name}; remove one of them"
                )
            files[ticker] = path
        return files

    @cached_property
    def tickers(self) -> tuple[str, ...]:
        """Return the files' names without suffix, in capitals, sorted."""
        return tuple(sorted(self._files))

    def read(self, ticker: str) -> Reading:
        """Return one file's bars; what is wrong with the file is a finding."""
        try:
            return Reading(read_file(self._files[ticker]))
        except UnreadableTableError as error:
            return Reading(SourceBars.none(), (Finding(ticker, None, error.kind, str(error)),))

    def vintages(self) -> dict[str, Vintage]:
        """Return the origin of each file that states one, by ticker."""
        found = {ticker: read_vintage(path) for ticker, path in self._files.items()}
        return {ticker: vintage for ticker, vintage in found.items() if vintage is not None}


def read_file(path: Path) -> SourceBars:
    """Read one ticker's file; raises UnreadableTableError where it holds no table of prices."""
    try:
        with pq.ParquetFile(path) as file:
            headers = file.schema_arrow.names
            positions = find_columns(headers, REQUIRED_COLUMNS)
            table = file.read(columns=[headers[position] for position in positions.values()])
    except _UNREADABLE as error:
        raise UnreadableTableError(
            "unreadable file", f"{path.name} cannot be read as Parquet, {_line(error)}"
        ) from None
    named = table.select([headers[position] for position in positions.values()]).rename_columns(list(positions))
    if "ticker" in positions and len(named["ticker"].unique()) > 1:
        raise UnreadableTableError("several tickers", f"{path.name} holds more than one ticker; name the file itself")
    columns = {name: parquet_numbers(named[name]) for name in positions if name not in ("date", "ticker")}
    strange = [name for name, values in columns.items() if values is None]
    if strange:
        raise UnreadableTableError("not a number", f"column `{strange[0]}` holds {named[strange[0]].type}, no numbers")
    dates = parquet_days(named["date"])
    if np.isnat(dates).any():
        raise UnreadableTableError("unreadable date", "column `date` holds what is no date YYYY-MM-DD")
    return SourceBars.from_columns(
        {"date": dates, **{name: values for name, values in columns.items() if values is not None}}
    )


def read_vintage(path: Path) -> Vintage | None:
    """Return where a file came from; None for one that does not say, or cannot be read."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        stated = json.loads(metadata[_KEY])["vintage"]
        return Vintage(**stated)
    except (*_UNREADABLE, KeyError, TypeError, ValueError):
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
        pq.write_table(table, partial, compression="zstd")
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


def _line(error: Any) -> str:
    return str(error).strip().split("\n")[0]
