"""Bars from a folder with one file TICKER.csv (or TICKER.csv.gz) per ticker.

Columns are found by name, so the files of Yahoo, Stooq and Alpha Vantage are read as they were
downloaded. Plain files go through Arrow's typed reader; a file that it refuses is read again as
text, slower, to say which row and value are wrong.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from feeds.price_table import (
    REQUIRED_COLUMNS,
    Finding,
    Reading,
    SourceBars,
    UnreadableTableError,
    are_credible,
    canonical_name,
    find_columns,
    parse_dates,
    split_line,
)
from feeds.ticker_files import TickerFiles

_MISSING = ["", "null", "none", "nan", "na", "n/a", "#n/a"]
_ALL_MISSING = [*_MISSING, *(text.upper() for text in _MISSING[1:]), "NaN", "None"]
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIRST_LINE = re.compile(rb"(\s*)([^\r\n]*)(.*)", re.DOTALL)
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_LONGEST_HEADER, _LONGEST_SHOWN = 100_000, 40
_ISO_LENGTH = len("2020-01-31")


class CsvFolder(TickerFiles):
    """A folder of price files, one per ticker; see `TickerFiles` for what it refuses."""

    kind = "csv"
    suffixes = (".csv", ".csv.gz")

    def read_file(self, ticker: str, path: Path) -> Reading:
        """Read one price file; raises UnreadableTableError where it holds no table of prices."""
        return read_file(ticker, path)


@dataclass(frozen=True)
class _Table:
    """A file cut into its header, the bytes behind it, and the number of the header's line."""

    header: list[str]
    body: bytes
    header_line: int


def read_file(ticker: str, path: Path) -> Reading:
    """Read one price file; raises UnreadableTableError where it holds no table of prices."""
    table = _split(_content(path))
    columns = find_columns(table.header, REQUIRED_COLUMNS)
    columns.pop("ticker", None)  # the file's name says it, and Stooq's reads AAPL.US
    try:
        reading = Reading(_read_typed(table, columns))
    except pa.ArrowException:
        reading = _read_text(ticker, table, columns)
    newest_first = table.header[columns["date"]].strip().lower() == "timestamp"
    return _as_alpha_vantage(reading) if newest_first else reading


def _as_alpha_vantage(reading: Reading) -> Reading:
    """Declare what its daily files are: as traded, whether or not an adjusted close stands beside, and newest first.

    Source: Alpha Vantage's documentation of TIME_SERIES_DAILY and TIME_SERIES_DAILY_ADJUSTED.
    """
    return Reading(replace(_oldest_first(reading.bars), declared_basis="as_traded"), reading.findings)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UnreadableTableError("not a file", f"{path.name} is not a file")
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


def _split(content: bytes) -> _Table:
    """Find the header; raises UnreadableTableError where there is no line that could be one."""
    text = content.removeprefix(b"\xef\xbb\xbf")
    blank, line, body = _FIRST_LINE.fullmatch(text).groups()  # type: ignore[union-attr]  # matches any text
    if not body.strip():
        raise UnreadableTableError("no bars", "holds one line only; expected a header and bars")
    if len(line) > _LONGEST_HEADER:
        raise UnreadableTableError("no header", f"begins with a line of {len(line):,} bytes; expected names of columns")
    header = line.decode("utf-8", "replace").strip()
    if not header.replace("\t", "").isprintable() or "\ufffd" in header:
        raise UnreadableTableError("not a text file", "is not a text file")
    _refuse_other_separators(header)
    return _Table(split_line(header), body, len(_LINE_END.findall(blank)) + 1)


def _refuse_other_separators(header: str) -> None:
    for sign, name in _OTHER_SEPARATORS.items():
        if "close" in {canonical_name(word) for word in header.split(sign)} and sign in header:
            raise UnreadableTableError(
                "other separator",
                f"has its columns separated by {name}, expected commas; save it again with commas, and with points "
                "in its numbers",
            )


def _read_typed(table: _Table, columns: Mapping[str, int]) -> SourceBars:
    """Read with Arrow; raises ArrowException for what must be read as text, to say what is wrong."""
    names = [f"unused {position}" for position in range(len(table.header))]
    for name, position in columns.items():
        names[position] = name
    read = arrow_csv.read_csv(
        io.BytesIO(table.body),
        read_options=arrow_csv.ReadOptions(column_names=names),
        convert_options=arrow_csv.ConvertOptions(
            column_types={**dict.fromkeys(columns, pa.float64()), "date": _date_type(table, columns["date"])},
            include_columns=list(columns),
            null_values=_ALL_MISSING,
            check_utf8=False,
        ),
    )
    if b'"' in table.body and read.num_rows != sum(1 for line in table.body.splitlines() if line.strip()):
        raise pa.ArrowInvalid("a quote took several lines for one")
    dates = read["date"]
    if pa.types.is_string(dates.type):
        dates = _typed_dates(dates)
    days = dates.to_numpy()
    if dates.null_count or not are_credible(days).all():
        raise pa.ArrowInvalid("a date that is none")
    return SourceBars.from_columns({"date": days, **{n: read[n].to_numpy() for n in columns if n != "date"}})


def _date_type(table: _Table, position: int) -> pa.DataType:
    """Say as what to read the dates: 2020-01-31 is Arrow's own form, what else the first row may hold is text."""
    cells = split_line(table.body.lstrip().split(b"\n", 1)[0].decode("utf-8", "replace"))
    return pa.date32() if len(cells) > position and len(cells[position].strip()) == _ISO_LENGTH else pa.string()


def _typed_dates(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the days of a column all in Stooq's form, 20200131, or all with a time behind, as date32.

    Raises ArrowException for any other column, which `parse_dates` then judges text by text.
    """
    if pc.all(pc.match_substring_regex(texts, r"^\d{8}$")).as_py():
        year, month, day = (pc.utf8_slice_codeunits(texts, *part) for part in ((0, 4), (4, 6), (6, 8)))
        return pc.binary_join_element_wise(year, month, day, "-").cast(pa.date32())
    if not pc.all(pc.match_substring_regex(texts, r"^\d{4}-\d\d-\d\d([T ].*)?$")).as_py():
        raise pa.ArrowInvalid("dates in another form")
    return pc.utf8_slice_codeunits(texts, 0, _ISO_LENGTH).cast(pa.date32())


def _read_text(ticker: str, table: _Table, columns: Mapping[str, int]) -> Reading:
    texts, lines, findings = _text_columns(ticker, table, columns)
    dates = parse_dates(texts["date"])
    findings += [
        Finding(
            ticker,
            None,
            "unreadable date",
            f"line {lines[k]} has the date {_shown(texts['date'][k])}, expected YYYY-MM-DD",
        )
        for k in np.flatnonzero(np.isnat(dates))
    ]
    numbers = {}
    for name in columns:
        if name != "date":
            numbers[name], unread = _parse_numbers(texts[name])
            findings += [
                Finding(
                    ticker,
                    pd.Timestamp(dates[k]),
                    "not a number",
                    f"`{name}` is not a number, {_shown(texts[name][k])}",
                )
                for k in np.flatnonzero(unread & ~np.isnat(dates))
            ]
    return Reading(SourceBars.from_columns({"date": dates, **numbers}), tuple(findings))


def _text_columns(
    ticker: str, table: _Table, columns: Mapping[str, int]
) -> tuple[dict[str, pd.Series], list[int], list[Finding]]:
    """Return the wanted columns as stripped text, each row's line, and a finding for each row of another length."""
    rows, lines, ragged = [], [], []
    for number, line in enumerate(table.body.splitlines(), start=table.header_line):
        if not line.strip():
            continue
        cells = split_line(line.decode("utf-8", "replace"))
        if len(cells) == len(table.header):
            rows.append(cells)
            lines.append(number)
            continue
        detail = f"line {number} has another length than the header, {len(cells)} not {len(table.header)}"
        ragged.append(Finding(ticker, None, "malformed row", detail))
    texts = {
        name: pd.Series([cells[position].strip() for cells in rows], dtype=object) for name, position in columns.items()
    }
    return texts, lines, ragged


def _parse_numbers(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers, NaN where there is none, and where a text stands that is no number."""
    missing = texts.str.lower().isin(_MISSING).to_numpy(dtype=bool)
    given = pa.array(texts, pa.string(), mask=missing)
    try:
        numbers = given.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        numbers = np.array([_number(text) for text in given], dtype=np.float64)
    return numbers, np.isnan(numbers) & ~missing


def _number(text: pa.Scalar) -> float:
    """Return one text's number as the typed reader reads it, NaN where it is none."""
    try:
        number = text.cast(pa.float64()).as_py()
    except pa.ArrowInvalid:
        return np.nan
    return np.nan if number is None else float(number)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]} …")


def _oldest_first(bars: SourceBars) -> SourceBars:
    turned = len(bars) > 1 and bool((bars.dates[1:] < bars.dates[:-1]).all())
    return bars.take(slice(None, None, -1)) if turned else bars
