"""The currency of the project: dense arrays ``[session, ticker]`` of what is traded.

One series is traded and seen by every line, feature, label and stop: the source's prices times a
total-return factor `adjust` that is 1 at the ticker's first bar. Splits and dividends enter it on
their own ex-date, so a value at t holds nothing that happened after t. A bar that did not trade is
NaN in every array, never a copy of the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from feeds.errors import InputError, unknown_name

PriceBasis = Literal["as_traded", "split_adjusted", "fully_adjusted"]
PRICE_FIELDS = ("open", "high", "low", "close")
BAR_FIELDS = (*PRICE_FIELDS, "volume", "adjust")


@dataclass(frozen=True)
class Bars:
    """One ticker's traded bars, oldest first: what an indicator sees of its own feed.

    Attributes
    ----------
    sessions : ndarray of datetime64[D], shape [K]
    open, high, low, close : ndarray of float64, shape [K]
        The traded series (source price times `adjust`).
    volume : ndarray of float64, shape [K]
        Shares, divided by `adjust`, so that price times volume is the source's dollar volume.
    adjust : ndarray of float64, shape [K]
        Total-return factor, 1 at the first bar.
    columns : mapping of name to ndarray of float64, shape [K]
        Insider (``ins_``) and cross-sectional (``xs_``) columns, known at each session's close.
    """

    sessions: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    adjust: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sessions)


@dataclass(frozen=True)
class FeaturePanel:
    """Named columns per session and ticker, each known at that session's close.

    Attributes
    ----------
    sessions : DatetimeIndex, shape [T]
    tickers : tuple of str, length N
    names : tuple of str, length F
    values : ndarray of float64, shape [T, N, F]
        NaN where the stock did not trade or the column is unknown (see the maker of the column).
    """

    sessions: pd.DatetimeIndex
    tickers: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        expected = (len(self.sessions), len(self.tickers), len(self.names))
        if self.values.shape != expected:
            raise InputError(f"`values`: expected shape {expected}, received {self.values.shape}")

    def column(self, name: str) -> np.ndarray:
        """Return one column, shape [T, N]."""
        if name not in self.names:
            raise unknown_name("column", name, self.names)
        return self.values[:, :, self.names.index(name)]

    @staticmethod
    def concatenate(blocks: Iterable[FeaturePanel]) -> FeaturePanel:
        """Join the columns of blocks that share sessions and tickers."""
        parts = list(blocks)
        first = parts[0]
        for part in parts[1:]:
            if part.tickers != first.tickers or not part.sessions.equals(first.sessions):
                raise InputError(
                    "feature blocks: expected the same sessions and tickers in each, received different ones"
                )
        names = tuple(name for part in parts for name in part.names)
        return FeaturePanel(first.sessions, first.tickers, names, np.concatenate([p.values for p in parts], axis=2))


@dataclass(frozen=True)
class PricePanel:
    """Daily bars of many stocks on the exchange's sessions.

    Attributes
    ----------
    sessions : DatetimeIndex, shape [T]
        Consecutive exchange sessions, naive midnights.
    tickers : tuple of str, length N
        Sorted and unique.
    open, high, low, close : ndarray of float64, shape [T, N]
        The traded series: source price times `adjust`. NaN where the stock did not trade.
    volume : ndarray of float64, shape [T, N]
        Shares divided by `adjust`.
    adjust : ndarray of float64, shape [T, N]
        Total-return factor, 1 at the ticker's first bar.
    price_basis : str
        What price / `adjust` is: ``as_traded`` (the price on the tape), ``split_adjusted`` or
        ``fully_adjusted``. What needs the tape's price is skipped unless it is ``as_traded``.
    halted_at_end : frozenset of str
        Tickers whose bars end before the panel does although the source has later ones, which `until` cut
        away: they are halted, not delisted, and a run cut short treats them as the whole run does. No part
        of the digest.

    Notes
    -----
    **Known at** the close of each session; the open is known at the open.
    """

    sessions: pd.DatetimeIndex
    tickers: tuple[str, ...]
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    adjust: np.ndarray
    price_basis: PriceBasis
    halted_at_end: Any = frozenset()  # Any, because panels are made from dicts of arrays

    def __post_init__(self) -> None:
        shape = (len(self.sessions), len(self.tickers))
        for name in BAR_FIELDS:
            if getattr(self, name).shape != shape:
                raise InputError(f"`{name}`: expected shape {shape}, received {getattr(self, name).shape}")
        if self.price_basis not in get_args(PriceBasis):
            raise unknown_name("price basis", self.price_basis, get_args(PriceBasis))
        if not (self.sessions.is_monotonic_increasing and self.sessions.is_unique):
            raise InputError("`sessions`: expected sorted, unique sessions, received unsorted or repeated ones")
        if list(self.tickers) != sorted(set(self.tickers)):
            raise InputError("`tickers`: expected sorted, unique tickers, received unsorted or repeated ones")

    @cached_property
    def traded(self) -> np.ndarray:
        """True where the stock has a bar, shape [T, N]."""
        return np.isfinite(self.close)

    @cached_property
    def first_rows(self) -> np.ndarray:
        """Row of each ticker's first bar, shape [N]; T for a ticker without bars."""
        return np.where(self.traded.any(axis=0), self.traded.argmax(axis=0), len(self.sessions))

    @cached_property
    def last_rows(self) -> np.ndarray:
        """Row of each ticker's last bar, shape [N]; -1 for a ticker without bars."""
        backwards = self.traded[::-1].argmax(axis=0)
        return np.where(self.traded.any(axis=0), len(self.sessions) - 1 - backwards, -1)

    def source_price(self, name: str) -> np.ndarray:
        """Return `name` (open, high, low or close) as the source quoted it, shape [T, N]."""
        return np.asarray(getattr(self, name) / self.adjust)

    @cached_property
    def source_volume(self) -> np.ndarray:
        """Return the shares as the source counted them, shape [T, N]."""
        return self.volume * self.adjust

    @cached_property
    def first_sessions(self) -> pd.DatetimeIndex:
        """Session of each ticker's first bar: its listing, or the start of its data; NaT without bars, shape [N]."""
        return _sessions_at(self.sessions, self.first_rows)

    @cached_property
    def last_sessions(self) -> pd.DatetimeIndex:
        """Session of each ticker's last bar: its delisting where it lies before the panel's end; shape [N].

        **Known at** the panel's last session only: a stock that stopped trading is told from one that
        is halted by the bars that never came.
        """
        return _sessions_at(self.sessions, self.last_rows)

    @cached_property
    def dollar_volume(self) -> np.ndarray:
        """Close times volume in USD, shape [T, N]; the adjustment cancels."""
        return self.close * self.volume

    def until(self, last: pd.Timestamp) -> PricePanel:
        """Cut everything after session `last`; a stock that is cut inside a halt stays known as halted."""
        kept = np.flatnonzero(self.sessions <= last)
        goes_on = np.asarray(self.traded[len(kept) :].any(axis=0))
        halted = {ticker for ticker, more in zip(self.tickers, goes_on, strict=True) if more}
        return replace(self._rows(kept), halted_at_end=self.halted_at_end | halted)

    def select(self, tickers: Iterable[str]) -> PricePanel:
        """Keep only `tickers`, in any case of letters; raises InputError for one that the panel lacks."""
        by_capitals = {ticker.upper(): ticker for ticker in self.tickers}
        wanted = sorted({t if t in self.tickers else by_capitals.get(t.upper(), t) for t in tickers})
        missing = [ticker for ticker in wanted if ticker not in self.tickers]
        if missing:
            raise unknown_name("ticker", missing[0], self.tickers)
        columns = [self.tickers.index(ticker) for ticker in wanted]
        arrays = {name: getattr(self, name)[:, columns] for name in BAR_FIELDS}
        return replace(self, tickers=tuple(wanted), **arrays)

    def bars(self, ticker: str, columns: FeaturePanel | None = None) -> Bars:
        """Return one ticker's traded bars, with `columns` of the same shape beside them.

        Arrays are views of the panel where no session is missing between the first bar and the last.
        """
        if ticker not in self.tickers:
            raise unknown_name("ticker", ticker, self.tickers)
        j = self.tickers.index(ticker)
        first, last = int(self.first_rows[j]), int(self.last_rows[j])
        is_gapless = bool(self.traded[first : last + 1, j].all())
        rows: Any = slice(first, last + 1) if is_gapless else np.flatnonzero(self.traded[:, j])
        extra = {} if columns is None else {n: columns.values[rows, j, i] for i, n in enumerate(columns.names)}
        arrays = {name: getattr(self, name)[rows, j] for name in BAR_FIELDS}
        return Bars(self.sessions.to_numpy()[rows].astype("datetime64[D]"), columns=extra, **arrays)

    def digest(self) -> str:
        """Return the sha256 of every bar, session and ticker."""
        sha = hashlib.sha256("\n".join((self.price_basis, *self.tickers)).encode())
        sha.update(self.sessions.to_numpy().astype("datetime64[D]").tobytes())
        for name in BAR_FIELDS:
            sha.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return sha.hexdigest()

    def _rows(self, rows: np.ndarray) -> PricePanel:
        arrays = {name: getattr(self, name)[rows] for name in BAR_FIELDS}
        return replace(self, sessions=self.sessions[rows], **arrays)


def _sessions_at(sessions: pd.DatetimeIndex, rows: np.ndarray) -> pd.DatetimeIndex:
    inside = (rows >= 0) & (rows < len(sessions))
    days = sessions.to_numpy()[np.where(inside, rows, 0)]
    return pd.DatetimeIndex(np.where(inside, days, np.datetime64("NaT", "ns")))
