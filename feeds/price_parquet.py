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
    canonical_name,
    find_columns,
    parse_dates,
)

_NUMBER_TYPES = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


class ParquetFile:
    """A long table of bars, read whole and handed out by ticker.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If the path is no Parquet file, a column is missing or has the wrong type, or a date or
        ticker cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as file:
            headers = self._headers(file)
            codes, self._tickers = self._number_tickers(self._column(file, headers["ticker"]))
            # One column at a time and the right way round at once: 40 million bars fit beside their panel.
            mixed = bool((codes[1:] < codes[:-1]).any())
            order = np.argsort(codes, kind="stable") if mixed else slice(None)  # keeps each ticker's own row order
            codes = codes[order]
            columns = {
                name: self._values(name, self._column(file, header), codes, order)
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

    def _opened(self) -> pq.ParquetFile:
        if not self.path.exists():
            raise self._error("a Parquet file with a long table of prices", "a path that does not exist")
        try:
            headers = pq.read_schema(self.path).names
            tickers = [header for header in headers if canonical_name(header) == "ticker"]
            return pq.ParquetFile(self.path, read_dictionary=tickers)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from None

    def _column(self, file: pq.ParquetFile, header: str) -> pa.ChunkedArray:
        try:
            return file.read(columns=[header]).column(0)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> InputError:
        return self._error("a Parquet file", f"one that cannot be read ({str(error).splitlines()[0]})")

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
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        parts = coded.unify_dictionaries().chunks
        codes = np.concatenate([part.indices.fill_null(-1).to_numpy() for part in parts]).astype(np.int32, copy=False)
        used = np.unique(codes)
        values = parts[0].dictionary.to_pylist()
        names = {int(code): str(values[code]).strip().upper() for code in used if code >= 0}
        if used[0] < 0 or "" in names.values():
            raise self._error("a ticker in every row", "rows without one")
        tickers = tuple(sorted(set(names.values())))
        ranks = {ticker: rank for rank, ticker in enumerate(tickers)}
        rank_of_code = np.zeros(len(values), dtype=np.int32)
        for code, name in names.items():
            rank_of_code[code] = ranks[name]
        return rank_of_code[codes], tickers

    def _values(self, name: str, column: pa.ChunkedArray, codes: np.ndarray, order: np.ndarray | slice) -> np.ndarray:
        if name == "date":
            days = parquet_days(column)[order]
            if np.isnat(days).any():
                raise self._bad_date(column.to_pandas()[order], days, codes)
            return days
        values = parquet_numbers(column)
        if values is None:
            raise self._error(f"numbers in column `{name}`", f"values of type {column.type}")
        return values[order]

    def _bad_date(self, texts: pd.Series, days: np.ndarray, codes: np.ndarray) -> InputError:
        rows = np.flatnonzero(np.isnat(days))
        value = texts.iloc[rows[0]]
        shown = None if pd.isna(value) else value
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        expected = "dates, or texts YYYY-MM-DD, in column `date`"
        return self._error(expected, f"{shown!r} for {self._tickers[codes[rows[0]]]}{more}")


def parquet_numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """Return a column of numbers as float64, NaN where it is null; None for a column of something else."""
    if not any(is_number(column.type) for is_number in _NUMBER_TYPES):
        return None
    return np.asarray(column.cast(pa.float64()).to_numpy())


def parquet_days(column: pa.ChunkedArray) -> np.ndarray:
    """Return the column's days as datetime64[D]; a time of day is dropped, the day is that of its own zone."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        local = pc.local_timestamp(column) if kind.tz else column
        return np.asarray(local.to_numpy()).astype("datetime64[D]")
    if pa.types.is_date(kind):
        return np.asarray(column.cast(pa.date32()).to_numpy()).astype("datetime64[D]")
    codes, texts = pd.factorize(column.to_pandas())
    days = parse_dates(pd.Series(texts).astype(str))
    return np.append(days, np.datetime64("NaT"))[codes]  # a missing value has the code -1 and takes the last
