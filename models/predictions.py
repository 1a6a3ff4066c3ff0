"""Predictions: who gives them to the indicator, and the file that keeps them.

A predictor answers in two ways that must agree: `column` for a stock's whole history, `stepper` for one
bar after another. Which fold's model serves a bar is decided by its date; a bar without an out-of-sample
prediction is NaN.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feeds.errors import InputError, unknown_name
from feeds.panel import Bars
from models.labels import CLASS_NAMES
from models.prediction_origin import Origin

PREDICTION_COLUMNS = (*CLASS_NAMES, "score")
FRAME_COLUMNS = ("session", "ticker", "fold", *PREDICTION_COLUMNS)
_SUM_TOLERANCE = 1e-6
_METADATA_KEY = b"insider_swing"


class Stepper(Protocol):
    """Predicts one stock bar by bar."""

    def step(self, bars: Bars) -> np.ndarray:
        """Return the prediction for the last of `bars`, shape [5], NaN where there is none.

        Called once per new bar, with the stock's history up to and including it.
        """


class Predictor(Protocol):
    """Predicts stocks of one market."""

    def column(self, ticker: str, bars: Bars) -> np.ndarray:
        """Return the predictions of a whole history, shape [K, 5], NaN where there is none."""

    def stepper(self, ticker: str) -> Stepper:
        """Return a fresh stepper for one stock."""


@dataclass(frozen=True)
class SavedPredictions:
    """Out-of-sample predictions that were computed before; needs no model and no TensorFlow.

    Attributes
    ----------
    frame : DataFrame
        Columns session (naive midnight), ticker, fold (from 1), the probabilities greater_loss,
        lesser_loss, lesser_profit, greater_profit, and score (expected return over the horizon), one row
        per session and ticker that has a prediction, sorted by session, then ticker.
        **Known at** the session's close.
    origin : Origin or None
        Which model made them on which prices; None where the file does not tell.
    """

    frame: pd.DataFrame
    origin: Origin | None = None

    def column(self, ticker: str, bars: Bars) -> np.ndarray:
        """Return the predictions on the sessions of `bars`, shape [K, 5], NaN where there is none."""
        return self._table(ticker).at(bars.sessions)

    def stepper(self, ticker: str) -> Stepper:
        """Return a stepper that looks each bar's session up."""
        return self._table(ticker)

    def matrix(self, name: str, sessions: pd.DatetimeIndex, tickers: Sequence[str]) -> np.ndarray:
        """Return one column as a panel, shape [T, N], NaN where there is no prediction."""
        if name not in PREDICTION_COLUMNS:
            raise unknown_name("prediction column", name, PREDICTION_COLUMNS)
        table = self.frame.set_index(["session", "ticker"])[name].unstack()  # noqa: PD010 - a repeated row must raise, not average
        return table.reindex(index=sessions, columns=list(tickers)).to_numpy(dtype=float)

    def write(self, path: Path) -> None:
        """Write a Parquet file: the same predictions give the same bytes, and the file is whole or absent."""
        about = None if self.origin is None else {_METADATA_KEY: self.origin.as_json()}
        table = pa.Table.from_pandas(self.frame, schema=_SCHEMA, preserve_index=False).replace_schema_metadata(about)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            pq.write_table(table, unfinished, compression="zstd")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    @staticmethod
    def read(path: Path) -> SavedPredictions:
        """Read what `write` wrote, or a table with its columns from elsewhere.

        A time of day and a time zone in `session` are dropped: the day that is written is the session.

        Raises
        ------
        InputError
            If the file is missing, is not such a file, or its rows are incomplete, repeated or impossible.
        """
        try:
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise InputError(
                f"predictions {path}: expected a file, received none; `train --out DIR` writes one"
            ) from error
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"predictions {path}: expected a Parquet file, received another; `train --out DIR` writes one"
            ) from error
        frame = table.to_pandas(date_as_object=False)
        return SavedPredictions(_validated(frame, path), _origin(table.schema.metadata or {}, path))

    @cached_property
    def _by_ticker(self) -> dict[str, _TickerTable]:
        columns = list(PREDICTION_COLUMNS)
        return {
            str(ticker): _TickerTable(
                rows["session"].to_numpy().astype("datetime64[D]"), rows[columns].to_numpy(dtype=float)
            )
            for ticker, rows in self.frame.groupby("ticker", sort=False)
        }

    def _table(self, ticker: str) -> _TickerTable:
        nothing = _TickerTable(np.empty(0, "datetime64[D]"), np.empty((0, len(PREDICTION_COLUMNS))))
        return self._by_ticker.get(ticker, nothing)


@dataclass(frozen=True)
class _TickerTable:
    """One ticker's saved rows, sessions ascending."""

    sessions: np.ndarray
    values: np.ndarray

    def at(self, sessions: np.ndarray) -> np.ndarray:
        found = np.full((len(sessions), len(PREDICTION_COLUMNS)), np.nan)
        place = np.searchsorted(self.sessions, sessions)
        known = place < len(self.sessions)
        known[known] = self.sessions[place[known]] == sessions[known]
        found[known] = self.values[place[known]]
        return found

    def step(self, bars: Bars) -> np.ndarray:
        return self.at(bars.sessions[-1:])[0]


_SCHEMA = pa.schema(
    [("session", pa.timestamp("ns")), ("ticker", pa.string()), ("fold", pa.int32())]
    + [(name, pa.float64()) for name in PREDICTION_COLUMNS]
)


def sorted_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return prediction rows in the one order in which they are kept."""
    return frame.sort_values(["session", "ticker"], kind="stable").reset_index(drop=True)[list(FRAME_COLUMNS)]


def _validated(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    for name in FRAME_COLUMNS:
        if name not in frame.columns:
            wanted = ", ".join(FRAME_COLUMNS)
            raise InputError(f"predictions {path}: expected the columns {wanted}; received none named `{name}`")
    if frame.empty:
        raise InputError(f"predictions {path}: expected at least one row, received none")
    _require_types(frame, path)
    days = frame["session"].dt.tz_localize(None).dt.normalize().astype("datetime64[ns]")
    frame = frame.assign(session=days, ticker=frame["ticker"].astype(object))
    wrong = _first_wrong_row(frame)
    if wrong is not None:
        row, what = wrong
        raise InputError(f"predictions {path}: row {row} ({frame['ticker'].iloc[row]}): {what}")
    return sorted_frame(frame)


def _origin(metadata: Mapping[bytes, bytes], path: Path) -> Origin | None:
    if _METADATA_KEY not in metadata:
        return None
    try:
        return Origin.parse(metadata[_METADATA_KEY])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"predictions {path}: expected a description of model and prices in the file's metadata, received a "
            "damaged one; write the file again with `train --out DIR`"
        ) from error


def _require_types(frame: pd.DataFrame, path: Path) -> None:
    numeric = all(pd.api.types.is_numeric_dtype(frame[name]) for name in ("fold", *PREDICTION_COLUMNS))
    if not numeric or not pd.api.types.is_datetime64_any_dtype(frame["session"]):
        raise InputError(
            f"predictions {path}: expected dates in `session`, numbers in `fold`, {', '.join(PREDICTION_COLUMNS)}; "
            f"received {', '.join(f'{name} {kind}' for name, kind in frame.dtypes.items())}"
        )


def _first_wrong_row(frame: pd.DataFrame) -> tuple[int, str] | None:
    """Return the first row that cannot be a prediction, and why."""
    chances = frame[list(CLASS_NAMES)].to_numpy(dtype=float)
    numbers = frame[list(PREDICTION_COLUMNS)].to_numpy(dtype=float)
    whole = np.abs(chances.sum(axis=1) - 1) <= _SUM_TOLERANCE
    checks = (
        (frame[list(FRAME_COLUMNS)].isna().any(axis=1).to_numpy(), "expected a value in every column, received none"),
        (~np.isfinite(numbers).all(axis=1), "expected finite numbers, received infinite ones"),
        (~(whole & (chances >= 0).all(axis=1)), "expected four probabilities that sum to 1, received others"),
        (
            frame.duplicated(["session", "ticker"]).to_numpy(),
            "expected one row per session and ticker, received a second one",
        ),
    )
    for bad, what in checks:
        if bad.any():
            return int(bad.argmax()), what
    return None
