"""The transactions table as one parquet file, types and all, complete or absent."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feeds.errors import InputError
from feeds.transaction_table import COLUMN_KINDS, Coverage, Refusal, TransactionTable, ticker_frame, typed

_METADATA_KEY = b"insider_swing"
_ARROW_TYPES = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "truth": pa.bool_(),
    "number": pa.float64(),
    "count": pa.int32(),
    "date": pa.date32(),
    "instant": pa.timestamp("ns", tz="UTC"),
}
SCHEMA = pa.schema([(name, _ARROW_TYPES[kind]) for name, kind in COLUMN_KINDS.items()])


def write_parquet(table: TransactionTable, path: Path) -> None:
    """Write the table to `path` under a temporary name, then rename it."""
    rows = to_arrow(table.rows).replace_schema_metadata({_METADATA_KEY: json.dumps(_metadata(table)).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: pq.write_table(rows, temporary, compression="zstd"))


def to_arrow(rows: pd.DataFrame) -> pa.Table:
    """Return rows of the transactions table as an Arrow table of `SCHEMA`."""
    return pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)


def from_arrow(stored: pa.Table) -> pd.DataFrame:
    """Return what `to_arrow` made as rows again. Equal lists are one object: never change them in place."""
    rows = stored.to_pandas(date_as_object=False, timestamp_as_object=False, ignore_metadata=True)
    for name, kind in COLUMN_KINDS.items():
        if kind == "date":
            # By hand, in seconds: pandas' nanoseconds cannot hold a filed year of 0022.
            rows[name] = _dates(stored[name])
        elif kind == "texts":
            rows[name] = pd.Series(_lists(stored[name]), index=rows.index, dtype=object)
    return typed(rows)


def write_atomically(path: Path, write: Callable[[str], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(descriptor)
    try:
        write(temporary)
        # mkstemp makes files that only their owner reads; the result is an ordinary one.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def read_parquet(path: Path) -> TransactionTable:
    """Read what `write_parquet` wrote.

    Raises
    ------
    InputError
        If the file is missing, no parquet, or not a transactions table of this project.
    """
    if not path.is_file():
        raise InputError(f"`--filings` {path}: expected an existing file, received none")
    try:
        stored = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"`--filings` {path}: expected a parquet file, received something else: {error}") from error
    metadata = (stored.schema.metadata or {}).get(_METADATA_KEY)
    if metadata is None or stored.schema.names != SCHEMA.names:
        raise InputError(
            f"`--filings` {path}: expected a transactions table, received another parquet file; "
            "make one with `run_backtest.py filings PATH --out FILE.parquet`"
        )
    return _table(stored, json.loads(metadata))


def _metadata(table: TransactionTable) -> dict[str, Any]:
    tickers = table.tickers.astype({"first": str, "last": str})
    return {
        "refused": [list(refusal) for refusal in table.refused],
        "coverage": _coverage_texts(table.coverage),
        "tickers": tickers.to_numpy().tolist(),
        "issuer_coverage": {
            cik: [_coverage_texts(span) for span in spans] for cik, spans in table.issuer_coverage.items()
        },
        "n_files": table.n_files,
        "n_filings": table.n_filings,
        "notes": list(table.notes),
        "complete_until": None if table.complete_until is None else table.complete_until.isoformat(),
    }


def _table(stored: pa.Table, metadata: dict[str, Any]) -> TransactionTable:
    spans = {cik: [_coverage(texts) for texts in held] for cik, held in metadata["issuer_coverage"].items()}
    until = metadata.get("complete_until")  # absent in older files
    return TransactionTable(
        rows=from_arrow(stored),
        refused=tuple(Refusal(*refusal) for refusal in metadata["refused"]),
        coverage=_coverage(metadata["coverage"]),
        tickers=ticker_frame(metadata["tickers"]),
        issuer_coverage={cik: tuple(span for span in held if span is not None) for cik, held in spans.items()},
        n_files=metadata["n_files"],
        n_filings=metadata["n_filings"],
        notes=tuple(metadata["notes"]),
        complete_until=None if until is None else pd.Timestamp(until).as_unit("ns"),
    )


def _dates(column: pa.ChunkedArray) -> np.ndarray:
    missing = column.is_null().to_numpy()
    days = column.cast(pa.int32()).fill_null(0).to_numpy().astype("datetime64[D]").astype("datetime64[s]")
    return np.where(missing, np.datetime64("NaT", "s"), days)


def _lists(column: pa.ChunkedArray) -> list[list[str]]:
    """Return lists of texts as Python lists, equal ones as one object: most rows share few."""
    held: dict[tuple[str, ...], list[str]] = {}
    lists: list[list[str]] = []
    for chunk in column.chunks:
        texts = chunk.flatten().to_pylist()
        bounds = (chunk.offsets.to_numpy() - chunk.offsets[0].as_py()).tolist()
        for start, end in itertools.pairwise(bounds):
            values = tuple(texts[start:end])
            lists.append(held.setdefault(values, list(values)))
    return lists


def _coverage_texts(span: Coverage | None) -> list[str] | None:
    return None if span is None else [span.first.isoformat(), span.last.isoformat()]


def _coverage(texts: list[str] | None) -> Coverage | None:
    return None if texts is None else Coverage(*(pd.Timestamp(text).as_unit("ns") for text in texts))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
