"""Yahoo's prices into a folder: batches, retries, resumption, and what could not be had.

    DIR/TICKER.parquet   one ticker, from one request, so of one vintage
    DIR/manifest.json    per ticker the day of download, library, sessions and bars; what failed

A ticker is only ever replaced whole: a later download of the same stock has other adjusted closes, and
two of them in one series would invent returns. A run that was killed leaves whole files; the next one
takes those that cover what is wanted and fetches the others.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from feeds.errors import EnvironmentFailure, InputError
from feeds.price_folder import SUFFIX, ParquetFolder, Vintage, read_file, read_vintage, write_ticker
from feeds.price_table import UnreadableTableError
from feeds.progress import Progress, silent
from feeds.yahoo_client import YahooBusyError, YahooMissingError, last_closed_session, yfinance_version

MANIFEST = "manifest.json"
SOURCE, BASIS = "yahoo", "split_adjusted"
BATCH = 50
WAITS_S = (1.0, 3.0, 9.0)
# So many tickers in a row in vain: the server is gone, and asking for the rest would only take hours.
MOST_FAILURES_IN_A_ROW = 3
REVISION = 1e-4
_TICKER = re.compile(r"\^?[A-Z0-9][A-Z0-9.=-]*")


class Client(Protocol):
    """What fetches one ticker; see `feeds.yahoo_client.YahooClient`."""

    def history(self, ticker: str, first: date | None, last: date | None, /) -> pd.DataFrame:
        """Return one ticker's bars, or raise YahooMissingError or YahooBusyError."""


@dataclass(frozen=True)
class Download:
    """What a download did.

    Attributes
    ----------
    fetched, kept : list of str
        Tickers downloaded now, and those that an earlier run had downloaded.
    missing : dict of ticker to reason
        Yahoo has no data for them.
    failed : dict of ticker to reason
        Not had: the server was busy or could not be reached, or was not asked any more.
    revised : list of str
        Fetched anew, and Yahoo's returns of the past are not what they were.
    """

    fetched: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    revised: list[str] = field(default_factory=list)


def download(
    tickers: Sequence[str],
    folder: Path,
    make_client: Callable[[], Client],
    *,
    first: date | None = None,
    last: date | None = None,
    again: bool = False,
    waits_s: Sequence[float] | None = None,
    progress: Progress = silent,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Download:
    """Bring a folder of prices up to what is wanted.

    Parameters
    ----------
    tickers : sequence of str
        Yahoo's names, such as AAPL, BRK-B or ^GSPC.
    folder : Path
        New, empty, or of an earlier download.
    make_client : callable
        Called once, and only when something must be fetched.
    first, last : date, optional
        Sessions wanted; by default the whole history until the last session that has closed.
    again : bool
        Fetch also what is there already.
    waits_s : sequence of float
        Seconds before each further try of a busy server, by default 1, 3 and 9; its length is the
        number of them.

    Raises
    ------
    InputError
        For a name that cannot be a ticker, or a folder that holds something else.
    EnvironmentFailure
        If the disk does not take a file. What Yahoo refuses is in the result.
    """
    names = check_tickers(tickers)
    _prepare(folder)
    until = min(last, last_closed_session(now())) if last else last_closed_session(now())
    wanted = Vintage(SOURCE, "", "", first.isoformat() if first else "", until.isoformat(), BASIS)
    done = Download()
    missing = [ticker for ticker in names if again or not _covers(folder, ticker, wanted)]
    done.kept.extend(ticker for ticker in names if ticker not in set(missing))
    if not missing:
        return done
    fetch = _Fetcher(make_client(), folder, wanted, first, until, WAITS_S if waits_s is None else waits_s, now)
    try:
        for number, ticker in enumerate(progress(missing, "downloading prices", len(missing)), start=1):
            fetch(ticker, done)
            if number % BATCH == 0:
                write_manifest(folder, done)
    finally:
        write_manifest(folder, done)
    return done


def check_tickers(tickers: Sequence[str]) -> list[str]:
    """Return the names in capitals, each once, sorted.

    Raises
    ------
    InputError
        For none, or for one that could not be a file's name.
    """
    names = sorted({ticker.strip().upper() for ticker in tickers})
    if not names:
        raise InputError("`--tickers`: expected the stocks to download, received none; add --tickers A,B,C or a file")
    for name in names:
        if not _TICKER.fullmatch(name):
            raise InputError(f"`--tickers`: expected names such as AAPL, BRK-B or ^GSPC, received {name!r}")
    return names


def write_manifest(folder: Path, done: Download) -> None:
    """Say what the folder holds now, and what the last download could not get."""
    content = {
        "source": SOURCE,
        "price_basis": BASIS,
        "tickers": {path.stem: _entry(path) for path in sorted(folder.glob(f"*{SUFFIX}")) if path.name[0] != "."},
        "missing": dict(sorted(done.missing.items())),
        "failed": dict(sorted(done.failed.items())),
        "revised": sorted(done.revised),
    }
    path, partial = folder / MANIFEST, folder / f".{MANIFEST}.{os.getpid()}"
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise EnvironmentFailure(f"{path}: cannot be written, {error.strerror}") from error


class _Fetcher:
    """Fetches one ticker after the other, and stops asking a server that is gone."""

    def __init__(
        self,
        client: Client,
        folder: Path,
        wanted: Vintage,
        first: date | None,
        last: date,
        waits_s: Sequence[float],
        now: Callable[[], datetime],
    ) -> None:
        self.client, self.folder, self.wanted = client, folder, wanted
        self.first, self.last, self.waits_s, self.now = first, last, waits_s, now
        self.failures_in_a_row = 0

    def __call__(self, ticker: str, done: Download) -> None:
        if self.failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            done.failed[ticker] = "not tried any more"
            return
        try:
            bars, at = self._tried(ticker)
        except YahooMissingError as error:
            done.missing[ticker] = str(error)
            self.failures_in_a_row = 0
            return
        except YahooBusyError as error:
            done.failed[ticker] = str(error)
            self.failures_in_a_row += 1
            return
        self.failures_in_a_row = 0
        if _is_revised(self.folder / f"{ticker}{SUFFIX}", bars):
            done.revised.append(ticker)
        stated = {"downloaded_at": at.isoformat(timespec="seconds"), "library": f"yfinance {yfinance_version()}"}
        write_ticker(self.folder, ticker, bars, Vintage(**{**vars(self.wanted), **stated}))
        done.fetched.append(ticker)

    def _tried(self, ticker: str) -> tuple[pd.DataFrame, datetime]:
        for wait in self.waits_s:
            try:
                return self.client.history(ticker, self.first, self.last), self.now()
            except YahooBusyError:
                time.sleep(wait)
        return self.client.history(ticker, self.first, self.last), self.now()


def _prepare(folder: Path) -> None:
    """Make the folder one of ours, without what a killed run left half-written."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"`--out`: expected a folder, received the file {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = any(path.name[0] != "." for path in folder.iterdir()) and not (folder / MANIFEST).is_file()
        for path in folder.glob(f".*{SUFFIX}.*"):
            path.unlink()
    except OSError as error:
        raise EnvironmentFailure(f"{folder}: cannot be used, {error.strerror}") from error
    if foreign:
        raise InputError(
            f"`--out`: expected a new folder or one of an earlier download, received {folder}, which holds other "
            "files; choose another"
        )
    if not (folder / MANIFEST).is_file():
        write_manifest(folder, Download())


def _covers(folder: Path, ticker: str, wanted: Vintage) -> bool:
    """Say whether a ticker's file was asked for at least the sessions wanted."""
    stored = read_vintage(folder / f"{ticker}{SUFFIX}")
    return (
        stored is not None
        and stored.source == wanted.source
        and stored.first <= wanted.first  # empty, the whole history, is before every date
        and stored.last >= wanted.last
    )


def _is_revised(path: Path, bars: pd.DataFrame) -> bool:
    """Say whether total returns that both vintages know differ: Yahoo rewrote the past."""
    try:
        old = read_file(path)
    except UnreadableTableError:
        return False
    if old.adj_close is None:
        return False
    new_days = bars["date"].to_numpy().astype("datetime64[D]")
    _, at_old, at_new = np.intersect1d(old.dates, new_days, return_indices=True)
    level = old.adj_close[at_old] / bars["adj_close"].to_numpy()[at_new]
    # A dividend since then rescales all of the past by one number, which is no revision.
    return bool(len(level) > 1 and np.nanmax(np.abs(level[1:] / level[:-1] - 1), initial=0.0) > REVISION)


def _entry(path: Path) -> dict[str, Any]:
    """Return what the manifest says of one file, from the file itself."""
    vintage = read_vintage(path)
    if vintage is None:
        return {"unreadable": True}
    stated: Mapping[str, str] = {
        "downloaded_at": vintage.downloaded_at,
        "library": vintage.library,
        "asked_from": vintage.first,
        "asked_to": vintage.last,
    }
    return {**stated, "bars": pq.read_metadata(path).num_rows}


def vintages_of(folder: Path, tickers: Sequence[str]) -> dict[str, Vintage]:
    """Return the vintages of some of a folder's tickers."""
    return {ticker: vintage for ticker, vintage in ParquetFolder(folder).vintages().items() if ticker in set(tickers)}
