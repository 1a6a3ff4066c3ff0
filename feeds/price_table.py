"""One ticker's bars as a source wrote them, before anything is judged or derived.

Every price source ends in the same `SourceBars`, in the source's own row order. What could not be
understood travels beside it as findings.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from feeds.panel import PriceBasis

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume")
REQUIRED_COLUMNS = ("date", *NUMBERS)
# What Python's dates, and so every message about them, can hold.
_FIRST_DAY, _LAST_DAY = np.datetime64("0001-01-01"), np.datetime64("9999-12-31")
Severity = Literal["info", "warning", "error"]

# Headers of Yahoo ("Adj Close"), Stooq ("<DATE>", "<VOL>") and Alpha Vantage ("timestamp",
# "adjusted_close"), compared after everything but letters and digits is removed.
_NAMES = {
    "date": "date",
    "timestamp": "date",
    "session": "date",
    "ticker": "ticker",
    "symbol": "ticker",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "vol": "volume",
    "adjclose": "adj_close",
    "adjustedclose": "adj_close",
}


@dataclass(frozen=True)
class Finding:
    """What is worth knowing of one ticker's bars: a defect, or a true event that looks like one.

    Attributes
    ----------
    ticker : str
    session : Timestamp or None
        The first affected one; None for a defect of the whole file.
    kind : str
        Short and stable, such as ``"repeated session"``; to be counted and filtered by.
    detail : str
        A sentence's worth, with the values seen.
    severity : str
        ``info``, ``warning`` or ``error``.
    action : str
        What was done about it: ``kept``, ``row removed``, ``excluded from 2019-03-11``, ``refused``, ...
    """

    ticker: str
    session: pd.Timestamp | None
    kind: str
    detail: str
    severity: Severity = "error"
    action: str = "refused"

    def __str__(self) -> str:
        place = self.ticker if self.session is None else f"{self.ticker} {self.session.date()}"
        return f"{place}: {self.detail}"


@dataclass(frozen=True)
class SourceBars:
    """One ticker's rows, unchecked.

    Attributes
    ----------
    dates : ndarray of datetime64[D], shape [K]
        NaT where none could be read.
    open, high, low, close, volume : ndarray of float64, shape [K]
        As the source quotes them; NaN where missing.
    adj_close : ndarray of float64, shape [K], or None
        Close adjusted for splits and dividends, where the source has it.
    declared_basis : str or None
        What open to close are, where the source says it: ``as_traded`` or ``split_adjusted``.
    """

    dates: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    adj_close: np.ndarray | None = None
    declared_basis: PriceBasis | None = None

    def __len__(self) -> int:
        return len(self.dates)

    @property
    def price_basis(self) -> PriceBasis:
        """Return the declared basis; without one an adjusted close says that dividends are not in the close."""
        return self.declared_basis or ("fully_adjusted" if self.adj_close is None else "split_adjusted")

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """Return the columns but `dates` by name, those that the source has."""
        columns = {name: getattr(self, name) for name in NUMBERS}
        return columns if self.adj_close is None else {**columns, "adj_close": self.adj_close}

    def take(self, rows: np.ndarray | slice) -> SourceBars:
        """Keep only `rows`: a mask, row numbers or a slice."""
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return SourceBars(self.dates[rows], **numbers, declared_basis=self.declared_basis)

    @staticmethod
    def from_columns(columns: Mapping[str, np.ndarray], declared_basis: PriceBasis | None = None) -> SourceBars:
        """Build from arrays by name; `date` holds the dates."""
        numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items() if name != "date"}
        days = columns["date"].astype("datetime64[D]", copy=False)
        return SourceBars(days, **numbers, declared_basis=declared_basis)

    @staticmethod
    def none() -> SourceBars:
        """Return bars without a row."""
        return SourceBars(np.empty(0, "datetime64[D]"), *np.empty((len(NUMBERS), 0)))


@dataclass(frozen=True)
class Reading:
    """What a source holds on one ticker, and what of it could not be read."""

    bars: SourceBars
    findings: tuple[Finding, ...] = ()


class PriceSource(Protocol):
    """A place with bars of several tickers, read one ticker at a time."""

    @property
    def tickers(self) -> tuple[str, ...]:
        """Return the tickers it has, sorted, in capitals."""

    def read(self, ticker: str) -> Reading:
        """Return one ticker's bars; a defect of its data is a finding, never an exception."""


class UnreadableTableError(ValueError):
    """A table that is none: `kind` and the text become a finding or the user's error."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def split_line(line: str) -> list[str]:
    """Return a line's cells; a quote that is never closed ends with its line, and swallows no other."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]))
    except csv.Error:  # a cell beyond the module's limit
        return [line]


def canonical_name(header: str) -> str | None:
    """Return our name of a source's column, None for a column that is not used."""
    return _NAMES.get("".join(character for character in header.lower() if character.isalnum()))


def find_columns(headers: Sequence[str], required: Sequence[str]) -> dict[str, int]:
    """Map our column names to positions among `headers`, in any order and case.

    Raises
    ------
    UnreadableTableError
        If a required column is missing or two headers mean the same column.
    """
    positions: dict[str, int] = {}
    for position, header in enumerate(headers):
        name = canonical_name(header)
        if name in positions:
            raise UnreadableTableError(
                "repeated column", f"has the column `{name}` twice, as {headers[positions[name]]!r} and {header!r}"
            )
        if name is not None:
            positions[name] = position
    missing = [name for name in required if name not in positions]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        received = ", ".join(header.strip() for header in headers)
        shown = received if len(received) <= 150 else f"{received[:150]} …"
        raise UnreadableTableError("missing column", f"lacks the column {names}, has {shown}")
    return positions


def parse_dates(texts: pd.Series) -> np.ndarray:
    """Return the days that `texts` name, as datetime64[D]; NaT where they name none.

    Understood are 2020-01-31, with or without a time of day and zone after it (the day is taken as
    written), and 20200131. Nothing else is: 01/02/2020 is another day on each side of the Atlantic.
    """
    days = texts.str.strip().str.replace(r"[T ].*$", "", regex=True)
    days = days.str.replace(r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3", regex=True)
    parsed = pd.to_datetime(days.where(days.str.fullmatch(r"\d{8}")), format="%Y%m%d", errors="coerce")
    return parsed.to_numpy().astype("datetime64[D]")


def are_credible(days: np.ndarray) -> np.ndarray:
    """Say which days a calendar can hold, the years 1 to 9999; NaT is none. Shape as `days`, datetime64[D]."""
    return np.asarray((days >= _FIRST_DAY) & (days <= _LAST_DAY))


def without_empty_rows(bars: SourceBars) -> SourceBars:
    """Drop the rows that hold no bar: every price missing, and no volume.

    Sources write them for days on which a stock did not trade ("null" in Yahoo's files); a missing
    row says the same.
    """
    prices = [values for name, values in bars.numbers.items() if name != "volume"]
    empty = np.logical_and.reduce([np.isnan(values) for values in prices]) & ~(np.abs(bars.volume) > 0)
    return bars.take(~empty) if empty.any() else bars
