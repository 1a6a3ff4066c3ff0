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
        table = self._read_table()
        codes, self._tickers = self._number_tickers(table["ticker"])
        columns = {name: self._values(table, name) for name in table.column_names if name != "ticker"}
        if np.isnat(columns["date"]).any():
            raise self._bad_date(table, columns["date"], codes)
        self._bars = SourceBars.from_columns(columns)
        if (np.diff(codes) < 0).any():
            order = np.argsort(codes, kind="stable")  # keeps each ticker's own row order
            codes, self._bars = codes[order], self._bars.take(order)
        self._edges = np.searchsorted(codes, np.arange(len(self._tickers) + 1))

    @property
    def tickers(self) -> tuple[str, ...]:
        """Return the table's tickers in capitals, sorted."""
        return self._tickers

    def read(self, ticker: str) -> Reading:
        """Return one ticker's rows, in the table's order."""
        code = self._tickers.index(ticker)
        return Reading(self._bars.take(slice(self._edges[code], self._edges[code + 1])))

    def _error(self, expected: str, received: str) -> InputError:
        return InputError(f"`parquet:{self.path}`: expected {expected}, received {received}")

    def _read_table(self) -> pa.Table:
        if not self.path.exists():
            raise self._error("a Parquet file with a long table of prices", "a path that does not exist")
        if not self.path.is_file():
            raise self._error("a Parquet file", "a folder; for a folder of CSV files use csv:DIR")
        try:
            with pq.ParquetFile(self.path) as file:
                headers = file.schema_arrow.names
                positions = find_columns(headers, ("ticker", *REQUIRED_COLUMNS))
                table = file.read(columns=[headers[position] for position in positions.values()])
        except UnreadableTableError as error:
            raise self._error(f"the columns ticker, {', '.join(REQUIRED_COLUMNS)}", f"a table that {error}") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise self._error("a Parquet file", f"one that cannot be read ({str(error).splitlines()[0]})") from None
        if not table.num_rows:
            raise self._error("a table of prices", "a table without rows")
        return table.select([headers[position] for position in positions.values()]).rename_columns(list(positions))

    def _number_tickers(self, column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return each row's number among the sorted tickers, and the tickers."""
        codes, values = pd.factorize(column.to_pandas())
        names = [str(value).strip().upper() for value in values]
        if (codes < 0).any() or "" in names:
            raise self._error("a ticker in every row", "rows without one")
        tickers = tuple(sorted(set(names)))
        return np.asarray([tickers.index(name) for name in names], dtype=np.int32)[codes], tickers

    def _values(self, table: pa.Table, name: str) -> np.ndarray:
        column = table[name]
        if name == "date":
            return _days(column)
        if not any(is_number(column.type) for is_number in _NUMBER_TYPES):
            raise self._error(f"numbers in column `{name}`", f"values of type {column.type}")
        return column.cast(pa.float64()).to_numpy()

    def _bad_date(self, table: pa.Table, dates: np.ndarray, codes: np.ndarray) -> InputError:
        rows = np.flatnonzero(np.isnat(dates))
        value = table["date"][int(rows[0])].as_py()
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        expected = "dates, or texts YYYY-MM-DD, in column `date`"
        return self._error(expected, f"{value!r} for {self._tickers[codes[rows[0]]]}{more}")


def _days(column: pa.ChunkedArray) -> np.ndarray:
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
