"""Bars from a folder with one file TICKER.csv (or TICKER.csv.gz) per ticker.

Columns are found by name, so the files of Yahoo, Stooq and Alpha Vantage are read as they were
downloaded. Plain files go through Arrow's typed reader; a file that it refuses is read again as
text, slower, to say which row and value are wrong.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from feeds.errors import InputError
from feeds.price_table import (
    REQUIRED_COLUMNS,
    Finding,
    Reading,
    SourceBars,
    UnreadableTableError,
    find_columns,
    parse_dates,
)

_SUFFIXES = (".csv", ".csv.gz")
_MISSING = ["", "null", "none", "nan", "na", "n/a", "#n/a"]
_ALL_MISSING = [*_MISSING, *(text.upper() for text in _MISSING[1:]), "NaN", "None"]


class CsvFolder:
    """A folder of price files, one per ticker.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If the folder is missing, is a file, holds no price file, or holds two for one ticker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            received = "a file; name its folder" if folder.exists() else "a path that does not exist"
            raise InputError(f"`csv:{folder}`: expected a folder with one TICKER.csv per ticker, received {received}")
        if not self._files:
            raise InputError(f"`csv:{folder}`: expected files TICKER.csv or TICKER.csv.gz, received none in it")

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        files: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir()):
            ticker = _ticker(path)
            if ticker in files:
                raise InputError(
                    f"`csv:{self.folder}`: expected one file per ticker, received {files[ticker].name} "
                    f"and {path.name}; remove one of them"
                )
            if ticker:
                files[ticker] = path
        return files

    @cached_property
    def tickers(self) -> tuple[str, ...]:
        """Return the files' names without suffix, in capitals, sorted."""
        return tuple(sorted(self._files))

    def read(self, ticker: str) -> Reading:
        """Return one file's bars; what is wrong with the file is a finding, and so is a disk that does not read it."""
        try:
            return read_file(ticker, self._files[ticker])
        except UnreadableTableError as error:
            return Reading(SourceBars.none(), (Finding(ticker, None, error.kind, str(error)),))


def read_file(ticker: str, path: Path) -> Reading:
    """Read one price file; raises UnreadableTableError where it holds no table of prices."""
    header, body = _split_header(_content(path))
    columns = find_columns(header, REQUIRED_COLUMNS)
    columns.pop("ticker", None)  # the file's name says it, and Stooq's reads AAPL.US
    names = [f"unused {position}" for position in range(len(header))]
    for name, position in columns.items():
        names[position] = name
    try:
        reading = Reading(_read_typed(body, names, list(columns)))
    except pa.ArrowInvalid:
        reading = _read_text(ticker, body, names, list(columns))
    return _as_alpha_vantage(reading) if header[columns["date"]].strip().lower() == "timestamp" else reading


def _as_alpha_vantage(reading: Reading) -> Reading:
    """Declare what its daily files are: as traded, whether or not an adjusted close stands beside, and newest first.

    Source: Alpha Vantage's documentation of TIME_SERIES_DAILY and TIME_SERIES_DAILY_ADJUSTED.
    """
    return Reading(replace(_oldest_first(reading.bars), declared_basis="as_traded"), reading.findings)


def _ticker(path: Path) -> str:
    """Return the ticker that a file is named after, empty for what is no price file."""
    if path.name.startswith("."):
        return ""
    stems = [path.name[: -len(suffix)] for suffix in _SUFFIXES if path.name.lower().endswith(suffix)]
    return stems[0].upper() if stems else ""


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise UnreadableTableError("not a file", f"{path.name} is not a file")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UnreadableTableError("damaged file", f"{path.name} is not a whole gzip file") from None
    except OSError as error:
        raise UnreadableTableError("unreadable file", f"{path.name} cannot be read, {error.strerror}") from None
    if not content.strip():
        raise UnreadableTableError("empty file", f"{path.name} is empty")
    if b"\0" in content:
        raise UnreadableTableError("not a text file", f"{path.name} is not a text file")
    return content


def _split_header(content: bytes) -> tuple[list[str], bytes]:
    line, _, body = content.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    if not body.strip():
        raise UnreadableTableError("no bars", "holds one line only; expected a header and bars")
    text = line.decode("utf-8", "replace").strip()
    if not text.replace("\t", "").isprintable() or "\ufffd" in text:
        raise UnreadableTableError("not a text file", "is not a text file")
    return next(csv.reader([text])), body


def _read_typed(body: bytes, names: list[str], wanted: list[str]) -> SourceBars:
    types = {name: pa.date32() if name == "date" else pa.float64() for name in wanted}
    table = arrow_csv.read_csv(
        io.BytesIO(body),
        read_options=arrow_csv.ReadOptions(column_names=names),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, include_columns=wanted, null_values=_ALL_MISSING, check_utf8=False
        ),
    )
    if table["date"].null_count:
        raise pa.ArrowInvalid("a missing date: read again as text, to say which")
    return SourceBars.from_columns({name: table[name].to_numpy() for name in wanted})


def _read_text(ticker: str, body: bytes, names: list[str], wanted: list[str]) -> Reading:
    texts, findings = _text_columns(ticker, body, names, wanted)
    dates = parse_dates(texts["date"])
    findings += [
        Finding(ticker, None, "unreadable date", f"row {k + 1} has the date {texts['date'][k]!r}, expected YYYY-MM-DD")
        for k in np.flatnonzero(np.isnat(dates))
    ]
    columns = {"date": dates}
    for name in wanted:
        if name != "date":
            columns[name], unread = _parse_numbers(texts[name])
            findings += [
                Finding(ticker, pd.Timestamp(dates[k]), "not a number", f"`{name}` is not a number, {texts[name][k]!r}")
                for k in np.flatnonzero(unread & ~np.isnat(dates))
            ]
    return Reading(SourceBars.from_columns(columns), tuple(findings))


def _text_columns(
    ticker: str, body: bytes, names: list[str], wanted: list[str]
) -> tuple[dict[str, pd.Series], list[Finding]]:
    """Return the wanted columns as stripped text, and a finding for each row of another length."""
    ragged: list[Finding] = []

    def refuse_row(row: arrow_csv.InvalidRow) -> str:
        detail = f"row {row.number} has another length than the header, {row.actual_columns} not {row.expected_columns}"
        ragged.append(Finding(ticker, None, "malformed row", detail))
        return "skip"

    table = arrow_csv.read_csv(
        io.BytesIO(body),
        read_options=arrow_csv.ReadOptions(column_names=names, use_threads=False),
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=refuse_row),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.binary()), include_columns=wanted, check_utf8=False
        ),
    )
    cells = {name: pd.Series(table[name].to_pylist(), dtype=object) for name in wanted}
    return {name: column.str.decode("utf-8", "replace").str.strip() for name, column in cells.items()}, ragged


def _parse_numbers(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers, NaN where there is none, and where a text stands that is no number."""
    missing = texts.str.lower().isin(_MISSING)
    numbers = pd.to_numeric(texts.mask(missing), errors="coerce").to_numpy(dtype=np.float64)
    return numbers, np.isnan(numbers) & ~missing.to_numpy()


def _oldest_first(bars: SourceBars) -> SourceBars:
    turned = len(bars) > 1 and bool((bars.dates[1:] < bars.dates[:-1]).all())
    return bars.take(slice(None, None, -1)) if turned else bars
