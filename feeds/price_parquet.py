"""Bars from one Parquet file: a long table with a row per ticker and session.

The tickers' rows may stand in any order among each other; within a ticker they are oldest first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feeds.errors import InputError
from feeds.price_table import (
    REQUIRED_COLUMNS,
    Reading,
    SourceBars,
    UnreadableTableError,
    are_credible,
    canonical_name,
    find_columns,
    parse_dates,
)

# What pyarrow raises for a file that is damaged or of an odd type; OverflowError for dates beyond Python's.
PARQUET_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError)
_NUMBER_TYPES = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer)


class ParquetFile:
    """A long table of bars, read whole and handed out by ticker.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If the path is no Parquet file, a column is missing or has the wrong type, a date or ticker
        cannot be read, or two tickers differ only in capitals or blanks: AMD and amd may be two
        vintages of one stock, and their rows are never mixed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._read()
        except PARQUET_ERRORS as error:
            raise self._error("a Parquet file", f"one that cannot be read ({first_line(error)})") from None

    def _read(self) -> None:
        if not self.path.exists():
            raise self._error("a Parquet file with a long table of prices", "a path that does not exist")
        with open_parquet(self.path) as file:
            headers = self._headers(file)
            codes, self._tickers = self._number_tickers(_column(file, headers["ticker"]))
            # One column at a time and the right way round at once: 40 million bars fit beside their panel.
            mixed = bool((codes[1:] < codes[:-1]).any())
            order = np.argsort(codes, kind="stable") if mixed else slice(None)  # keeps each ticker's own row order
            codes = codes[order]
            columns = {
                name: self._values(name, _column(file, header), codes, order)
                for name, header in headers.items()
                if name != "ticker"
            }
        self._bars = SourceBars.from_columns(columns)
        self._codes = {ticker: code for code, ticker in enumerate(self._tickers)}
        self._edges = np.searchsorted(codes, np.arange(len(self._tickers) + 1))

    @property
    def tickers(self) -> tuple[str, ...]:
        """Return the table's tickers in capitals, sorted."""
        return self._tickers

    def read(self, ticker: str) -> Reading:
        """Return one ticker's rows, in the table's order."""
        code = self._codes[ticker]
        return Reading(self._bars.take(slice(self._edges[code], self._edges[code + 1])))

    def _error(self, expected: str, received: str) -> InputError:
        return InputError(f"`parquet:{self.path}`: expected {expected}, received {received}")

    def _headers(self, file: pq.ParquetFile) -> dict[str, str]:
        """Return the file's name of each column that we know."""
        headers = file.schema_arrow.names
        try:
            positions = find_columns(headers, ("ticker", *REQUIRED_COLUMNS))
        except UnreadableTableError as error:
            raise self._error(f"the columns ticker, {', '.join(REQUIRED_COLUMNS)}", f"a table that {error}") from None
        if not file.metadata.num_rows:
            raise self._error("a table of prices", "a table without rows")
        return {name: headers[position] for name, position in positions.items()}

    def _number_tickers(self, column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return each row's number among the sorted tickers, and the tickers."""
        codes, texts = _coded(column)
        if texts is None:
            raise self._error("texts in column `ticker`", f"values of type {column.type}")
        used = np.unique(codes)
        if used[0] < 0 or any(not texts[code].strip() for code in used):
            raise self._error("a ticker in every row", "rows without one")
        written: dict[str, str] = {}
        for code in used:
            other = written.setdefault(texts[code].strip().upper(), texts[code])
            if other != texts[code]:
                raise self._error(
                    "one spelling of each ticker",
                    f"{other!r} and {texts[code]!r}; if they are one stock, keep the rows of one vintage only",
                )
        ranks = {ticker: rank for rank, ticker in enumerate(sorted(written))}
        rank_of_code = np.array([ranks.get(text.strip().upper(), -1) for text in texts], dtype=np.int32)
        return rank_of_code[codes], tuple(ranks)

    def _values(self, name: str, column: pa.ChunkedArray, codes: np.ndarray, order: np.ndarray | slice) -> np.ndarray:
        values = parquet_days(column) if name == "date" else parquet_numbers(column)
        if values is None:
            kind = "dates, or texts YYYY-MM-DD," if name == "date" else "numbers"
            raise self._error(f"{kind} in column `{name}`", f"values of type {column.type}")
        if name == "date" and np.isnat(values).any():
            raise self._bad_date(column, values, codes, order)
        return values[order]

    def _bad_date(
        self, column: pa.ChunkedArray, days: np.ndarray, codes: np.ndarray, order: np.ndarray | slice
    ) -> InputError:
        rows = np.flatnonzero(np.isnat(days[order]))
        row = int(np.arange(len(days))[order][rows[0]])
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        expected = "dates, or texts YYYY-MM-DD, in column `date`"
        return self._error(expected, f"{_shown(column[row])} for {self._tickers[codes[rows[0]]]}{more}")


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file whose tickers stay coded and whose checksums, where it has any, are compared."""
    columns = pq.read_schema(path)
    tickers = [field.name for field in columns if canonical_name(field.name) == "ticker" and not _is_nested(field)]
    return pq.ParquetFile(path, read_dictionary=tickers, page_checksum_verification=True)


def _is_nested(field: pa.Field) -> bool:
    return bool(pa.types.is_nested(field.type))


def parquet_numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """Return a column of numbers as float64, NaN where it is null; None for a column of something else.

    A whole number beyond 2**53 becomes its nearest float64.
    """
    if not any(is_number(column.type) for is_number in _NUMBER_TYPES):
        return None
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def parquet_days(column: pa.ChunkedArray) -> np.ndarray | None:
    """Return the column's days as datetime64[D], NaT for none; None for a column of something else.

    A time of day is dropped, the day is that of its own zone.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        local = pc.local_timestamp(column) if pa.types.is_timestamp(kind) and kind.tz else column
        days = np.asarray(local.to_numpy()).astype("datetime64[D]")
    else:
        codes, texts = _coded(column)
        if texts is None:
            return None
        known = parse_dates(pd.Series(texts, dtype=object).astype(str))
        days = np.append(known, np.datetime64("NaT"))[codes]  # a missing value has the code -1 and takes the last
    return np.where(are_credible(days), days, np.datetime64("NaT"))


def parquet_texts(column: pa.ChunkedArray) -> list[str] | None:
    """Return a column's different texts; None for a column of something else."""
    return _coded(column)[1]


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str] | None]:
    """Return each row's place among the column's texts, -1 for a null, and the texts; None for another type."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_text(kind) for is_text in _TEXT_TYPES):
        return np.empty(0, np.int32), None
    coded = column if pa.types.is_dictionary(column.type) else column.cast(pa.large_string()).dictionary_encode()
    parts = coded.unify_dictionaries().chunks
    codes = [part.indices.fill_null(-1).to_numpy() for part in parts]
    texts = [str(text) for text in parts[0].dictionary.to_pylist()] if parts else []
    return np.concatenate([np.empty(0, np.int32), *codes]).astype(np.int32, copy=False), texts


def _column(file: pq.ParquetFile, header: str) -> pa.ChunkedArray:
    return file.read(columns=[header]).column(0)


def _shown(value: pa.Scalar) -> str:
    try:
        return repr(value.as_py())
    except (ValueError, OverflowError):
        return "a day outside the years 1 to 9999"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, its name where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
