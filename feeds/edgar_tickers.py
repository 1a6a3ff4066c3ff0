"""Which companies a list of tickers means: from the user's file, from the tree's own, from the SEC's map.

The SEC's map holds today's tickers only: not FB, TWTR or XLNX, and a ticker that changed hands points
to its newest owner. A file (ticker, cik, from, to) says who had a ticker when, and overrides it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd

from feeds.edgar_index import IndexCache, Window
from feeds.errors import EnvironmentFailure, InputError, did_you_mean
from feeds.issuers import TICKER_FILE, read_ticker_file

TICKER_MAP = "/files/company_tickers_exchange.json"
_FORMAT = "a CSV file with the columns ticker, cik, from, to (dates as YYYY-MM-DD, empty where open)"


@dataclass(frozen=True, slots=True)
class Company:
    """One company, and the ticker that it had from `first` to `last` (None: open).

    `ticker` is empty for a company that was asked for by its CIK.
    """

    cik: str
    ticker: str
    first: date | None = None
    last: date | None = None

    def overlaps(self, window: Window) -> bool:
        """Tell whether it had the ticker at any time in the window."""
        return (self.first is None or self.first <= window.last) and (self.last is None or self.last >= window.first)


def read_companies(path: Path) -> list[Company]:
    """Read a file of companies.

    Raises
    ------
    InputError
        As `feeds.issuers.read_ticker_file`, or if the file cannot be read.
    """
    try:
        frame = read_ticker_file(path)
    except OSError as error:
        raise InputError(f"`--ciks`: expected {_FORMAT}, received {path}: {error.strerror}") from None
    columns = (frame[name] for name in ("cik", "ticker", "first", "last"))
    return [Company(cik, ticker, _day(first), _day(last)) for cik, ticker, first, last in zip(*columns, strict=True)]


def find_companies(
    tickers: Sequence[str], own: Sequence[Company], tree: Path, window: Window, cache: IndexCache, www: str
) -> list[Company]:
    """Return who had each ticker in the window; without tickers, everybody in the user's file.

    Parameters
    ----------
    tickers : sequence of str
        As the user writes them; ``BRK.B`` and ``BRK-B`` are one, digits alone are a CIK.
    own : sequence of Company
        The user's file. A ticker in it is decided by it alone; next comes the tree's `tickers.csv`,
        last the SEC's map, which is asked for only if it is needed.

    Raises
    ------
    InputError
        If there is neither ticker nor file, or for tickers that nobody knows.
    """
    if not tickers and not own:
        raise InputError(f"`--tickers`: expected A,B or a file, received none; or name {_FORMAT} with `--ciks`")
    if not tickers:
        return [company for company in own if company.overlaps(window)]
    found = [Company(name.zfill(10), "") for name in tickers if name.isdigit()]
    wanted = [name.upper() for name in tickers if not name.isdigit()]
    for source in (own, _of_tree(tree)):
        known = _by_ticker(source)
        found += [company for name in wanted for company in known.get(plain(name), ())]
        wanted = [name for name in wanted if plain(name) not in known]
    if wanted:
        found += _of_map(wanted, cache, www)
    return [company for company in dict.fromkeys(found) if company.overlaps(window)]


def merge_ticker_file(tree: Path, companies: Sequence[Company], own: Sequence[Company]) -> None:
    """Write `tickers.csv` at the tree's root: what it held, with the companies added.

    Of a ticker that was asked for and that the user's file `own` decides, the file's lines replace the
    tree's. Tickers of the file that were not asked for stay out: a reader takes a listed company
    without filings for one whose insiders did nothing.

    Raises
    ------
    EnvironmentFailure
        If it cannot be written.
    """
    asked = {plain(company.ticker): company.ticker for company in companies if company.ticker}
    decided = [replace(one, ticker=asked[plain(one.ticker)]) for one in own if plain(one.ticker) in asked]
    names = {plain(company.ticker) for company in decided}
    held = [company for company in _of_tree(tree) if plain(company.ticker) not in names]
    known = {(company.cik, plain(company.ticker)) for company in [*held, *decided]}
    new = [company for company in companies if company.ticker and (company.cik, plain(company.ticker)) not in known]
    rows = sorted({*held, *decided, *new}, key=lambda company: (company.ticker, company.first or date.min, company.cik))
    lines = ["cik,ticker,from,to", *(f"{c.cik},{c.ticker},{c.first or ''},{c.last or ''}" for c in rows)]
    partial = tree / f".{TICKER_FILE}.partial"
    try:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        partial.replace(tree / TICKER_FILE)
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {tree / TICKER_FILE}: {error.strerror}") from error


def plain(ticker: str) -> str:
    """Return the form under which BRK.B, BRK-B and BRK/B are one."""
    return re.sub(r"[./]", "-", ticker.upper())


def _of_tree(tree: Path) -> list[Company]:
    path = tree / TICKER_FILE
    return read_companies(path) if path.is_file() else []


def _of_map(tickers: Sequence[str], cache: IndexCache, www: str) -> list[Company]:
    known = _by_ticker(_read_map(cache, www))
    if unknown := [name for name in tickers if plain(name) not in known]:
        raise InputError(
            f"`--tickers`: expected tickers of the SEC's list, which holds today's only, received "
            f"{', '.join(unknown[:5])}{' and others' if len(unknown) > 5 else ''}."
            f"{did_you_mean(plain(unknown[0]), known)} For former or other names give `--ciks FILE`, {_FORMAT}"
        )
    return [Company(company.cik, name) for name in tickers for company in known[plain(name)]]


def _read_map(cache: IndexCache, www: str) -> list[Company]:
    table = cache.read(f"{www}{TICKER_MAP}")
    try:
        cik, ticker = table["fields"].index("cik"), table["fields"].index("ticker")
        return [Company(str(row[cik]).zfill(10), str(row[ticker])) for row in table["data"]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EnvironmentFailure(
            f"{TICKER_MAP}: expected the SEC's list of tickers, received another layout ({error!r})"
        ) from error


def _by_ticker(companies: Iterable[Company]) -> dict[str, list[Company]]:
    known: dict[str, list[Company]] = {}
    for company in companies:
        known.setdefault(plain(company.ticker), []).append(company)
    return known


def _day(value: pd.Timestamp) -> date | None:
    return None if pd.isna(value) else value.date()
