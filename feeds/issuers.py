"""Which issuer a ticker belongs to, point in time, and which ticker a filing is about.

Identity is the issuer's CIK in the filing. A company's folder also holds filings in which it is only
the *owner* (GOOGL's holds GTLB's, through a fund): those are about another issuer and feed no ticker.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.ticker_holders import (
    Change,
    Statement,
    Vote,
    days_known,
    frame_of_changes,
    holders_by_statement,
    holders_by_vote,
)
from feeds.transaction_table import NOBODY, ticker_frame

TICKER_FILE = "tickers.csv"
_FILE_COLUMNS = ("cik", "ticker", "from", "to")
_SYMBOL = re.compile(r"[A-Z]{1,5}(?:[.-][A-Z]{1,2})?")
_NO_SYMBOL = frozenset({"NONE", "NA", "N", "A", "AND"})


class StatedIssuer(Protocol):
    """What one filing says of its issuer, when it was accepted, and the company folders in which it lies."""

    @property
    def accession(self) -> str | None:
        """As filed."""

    @property
    def accepted_at(self) -> Any:
        """UTC, or a text of it; None where the document does not tell."""

    @property
    def issuer_cik(self) -> str:
        """Ten digits."""

    @property
    def issuer_symbol(self) -> str | None:
        """As filed."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Empty for a loose file."""


def read_ticker_file(path: Path) -> pd.DataFrame:
    """Read ``tickers.csv`` (cik, ticker, from, to; empty dates are open) as a ticker frame.

    Raises
    ------
    InputError
        If a column is missing, a CIK is no number, a ticker is empty or a date cannot be read.
    """
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a CSV file with columns {', '.join(_FILE_COLUMNS)}; {error}") from error
    raw.columns = raw.columns.str.strip().str.lower()
    if missing := [name for name in _FILE_COLUMNS if name not in raw]:
        raise InputError(f"{path}: expected columns {', '.join(_FILE_COLUMNS)}, received none named {missing[0]!r}")
    ciks, symbols = raw["cik"].str.strip(), raw["ticker"].str.strip().str.upper()
    strange = ~ciks.str.fullmatch(r"\d{1,10}") | (symbols == "")
    if strange.any():
        line = int(strange.to_numpy().argmax())
        raise InputError(
            f"{path}: line {line + 2}: expected a CIK of digits and a ticker, "
            f"received cik {ciks[line]!r}, ticker {symbols[line]!r}"
        )
    spans = [_dates(raw[name], path, name) for name in ("from", "to")]
    return ticker_frame(zip(ciks.str.zfill(10), symbols, *spans, strict=True))


def holders_of_folders(filings: Iterable[StatedIssuer]) -> pd.DataFrame:
    """Say who held which ticker when in a tree without a ticker file, from each filing's acceptance on.

    A ticker's folder belongs to the issuer of most filings in it so far (`feeds.ticker_holders.holders_by_vote`);
    filings in a folder named by their issuer's CIK, or in none, speak for the tickers that they state
    (`holders_by_statement`). Filings without an acceptance time decide only where no other does.

    Notes
    -----
    **Known at** each span's `first`: later filings change nothing before it.
    """
    held = list(filings)
    timed = [filing for filing in held if filing.accepted_at is not None]
    untimed = sorted((one for one in held if one.accepted_at is None), key=lambda one: one.accession or "")
    accepted = pd.to_datetime([filing.accepted_at for filing in timed], utc=True, format="ISO8601")
    order = np.lexsort((np.array([filing.accession or "" for filing in timed], dtype=str), accepted.to_numpy()))
    known = zip(days_known(accepted[order]).tolist(), (timed[i] for i in order), strict=True)
    found = frame_of_changes(_changes(known))
    never = frame_of_changes(_changes((0, filing) for filing in untimed))
    alone = never[(never["cik"] != NOBODY) & ~never["ticker"].isin(found["ticker"])]
    return ticker_frame([*found.itertuples(index=False), *((cik, t, None, None) for cik, t, *_ in alone.to_numpy())])


def _changes(filings: Iterable[tuple[int, StatedIssuer]]) -> list[Change]:
    votes: list[Vote] = []
    statements: list[Statement] = []
    symbols: dict[str | None, tuple[tuple[str, ...], set[str]]] = {}
    for day, filing in filings:
        if filing.issuer_symbol not in symbols:
            names = tuple(stated_symbols(filing.issuer_symbol))
            symbols[filing.issuer_symbol] = names, set(map(plain_ticker, names))
        stated, plain = symbols[filing.issuer_symbol]
        for folder in filing.folders:
            if not folder.isdigit():
                ticker = folder.upper()
                votes.append(Vote(day, ticker, filing.issuer_cik, plain_ticker(ticker) in plain))
        if not filing.folders or filing.issuer_cik in {folder.zfill(10) for folder in filing.folders}:
            statements.append(Statement(day, filing.issuer_cik, stated))
    by_name = holders_by_vote(votes)
    # From its first filing on the folder tells; of one day the last change counts.
    told = {change.ticker: change.day for change in reversed(by_name)}
    stated_before = [one for one in holders_by_statement(statements) if one.day <= told.get(one.ticker, one.day)]
    return [*stated_before, *by_name]


def tickers_of_folders(filings: Iterable[StatedIssuer]) -> pd.DataFrame:
    """Map company folders to issuers without a ticker file, all filings deciding: what rows show as their `ticker`.

    Features do not use it (`holders_of_folders`).

    A ticker's folder belongs to the issuer of most of its filings (a tie goes to the one whose own
    symbol is the folder's name). A folder named by a CIK is that CIK, and files outside any folder
    are their own issuer; these two take their tickers from the symbol that the issuer states most often.
    """
    votes: dict[str, Counter[str]] = {}
    symbols: dict[str, Counter[str]] = {}
    alone: set[str] = set()
    for filing in filings:
        symbols.setdefault(filing.issuer_cik, Counter())[filing.issuer_symbol or ""] += 1
        if not filing.folders:
            alone.add(filing.issuer_cik)
        for folder in filing.folders:
            votes.setdefault(folder, Counter())[filing.issuer_cik] += 1
    named_folders = [folder for folder in votes if not folder.isdigit()]
    pairs = {(_elect(votes[folder], folder, symbols), folder.upper()) for folder in named_folders}
    by_cik = alone | {folder.zfill(10) for folder in votes if folder.isdigit()}
    named = {cik for cik, _ in pairs}
    # An issuer that states no ticker is still the one asked for: it is kept, without a name.
    pairs |= {(cik, s) for cik in by_cik - named for s in _stated_symbols(symbols.get(cik, Counter())) or [""]}
    return ticker_frame((cik, ticker, None, None) for cik, ticker in sorted(pairs))


def assign_tickers(rows: pd.DataFrame, tickers: pd.DataFrame) -> pd.DataFrame:
    """Fill `ticker`; rows of an issuer that was not asked for stay without and get the flag ``owner_side``.

    Rows of an issuer that was asked for by CIK or file, and states no ticker, have the flag
    ``ticker_unknown`` instead.

    Of several tickers of one issuer the row takes one that was valid on the day of acceptance, and
    among these the one that the filing itself names, else the first by name. Features do not use
    this choice: they feed every listed class.
    """
    held = dict(iter(tickers.groupby("cik", sort=False)))
    plain = {cik: part["ticker"].iloc[0] for cik, part in held.items() if len(part) == 1}
    ticker = rows["issuer_cik"].map(plain).astype(object)
    several = rows["issuer_cik"].isin([cik for cik, part in held.items() if len(part) > 1])
    day = rows["accepted_at"].dt.tz_localize(None).dt.normalize().fillna(rows["filed_on"]).fillna(rows["period"])
    for row, cik, symbol in rows.loc[several, ["issuer_cik", "issuer_symbol"]].itertuples():
        ticker[row] = _choose(held[cik], day[row], symbol)
    flag = np.where(ticker.isna(), "owner_side", np.where(ticker == "", "ticker_unknown", ""))
    ticker[flag != ""] = None
    flags = [
        [*held_flags, str(new)] if new else held_flags for held_flags, new in zip(rows["flags"], flag, strict=True)
    ]
    return rows.assign(ticker=ticker, flags=pd.Series(flags, index=rows.index, dtype=object))


def issuer_columns(
    tickers: pd.DataFrame, panel_tickers: tuple[str, ...], sessions: pd.DatetimeIndex, issuers: pd.Index
) -> np.ndarray:
    """Return, per session and panel ticker, the position in `issuers` of the company behind the ticker.

    Parameters
    ----------
    issuers : Index of CIK, length I

    Returns
    -------
    ndarray of int64, shape [T, N]
        -1 where the source does not cover the ticker (yet). A ticker's first owner holds it since ever, its
        last for ever, and each until the next one begins: a renamed company's price history carries
        its newest ticker, so one owner means one owner throughout.
    """
    result = np.full((len(sessions), len(panel_tickers)), -1, dtype=np.int64)
    named = tickers.assign(key=tickers["ticker"].map(plain_ticker))
    held = dict(iter(named.groupby("key", sort=False)))
    for column, ticker in enumerate(panel_tickers):
        part = held.get(plain_ticker(ticker))
        if part is None:
            continue
        starts = part["first"].to_numpy()[1:].astype("datetime64[ns]")
        order = np.searchsorted(starts, sessions.to_numpy().astype("datetime64[ns]"), side="right")
        owners = np.where(part["cik"] == NOBODY, -1, issuers.get_indexer(pd.Index(part["cik"])))
        result[:, column] = owners[order]
    return result


def listed_issuers(tickers: pd.DataFrame) -> pd.Index:
    """Return the CIKs of a ticker frame, sorted."""
    return pd.Index(sorted(set(tickers["cik"]) - {NOBODY}), dtype=object)


def _dates(texts: pd.Series, path: Path, name: str) -> pd.Series:
    days = pd.to_datetime(texts.str.strip().replace("", None), format="%Y-%m-%d", errors="coerce")
    strange = days.isna() & (texts.str.strip() != "")
    if strange.any():
        received = texts[strange].iloc[0]
        raise InputError(f"{path}: column {name!r}: expected dates as YYYY-MM-DD or nothing, received {received!r}")
    return days


def _elect(count: Counter[str], folder: str, symbols: dict[str, Counter[str]]) -> str:
    def strength(cik: str) -> tuple[int, bool, str]:
        named = any(plain_ticker(folder) in map(plain_ticker, stated_symbols(text)) for text in symbols[cik])
        return -count[cik], not named, cik

    return min(count, key=strength)


def stated_symbols(text: str | None) -> list[str]:
    """Return the tickers that a filing's free-text symbol names: ``(SIRI)``, ``NYSE:NYCB``, ``AMC/APE``, ..."""
    upper = re.sub(r"\b(?:NYSE|NASDAQ|AMEX|OTC\w*)\s*:", " ", (text or "").upper())
    words = [word for word in re.split(r"[^A-Z0-9.-]+", upper) if word]
    # A lone N or A is a ticker (Agilent); together they are "N/A".
    if len(words) == 1 and words[0] not in ("NONE", "NA"):
        return [word for word in words if _SYMBOL.fullmatch(word)]
    return [word for word in words if _SYMBOL.fullmatch(word) and word not in _NO_SYMBOL]


def _stated_symbols(count: Counter[str]) -> list[str]:
    usable = Counter({text: n for text, n in count.items() if stated_symbols(text)})
    best = min(usable, key=lambda text: (-usable[text], text), default="")
    return stated_symbols(best)


def _choose(part: pd.DataFrame, day: pd.Timestamp, symbol: str | None) -> str:
    valid = part[~(part["first"] > day) & ~(part["last"] < day)]
    names = sorted((part if valid.empty else valid)["ticker"])
    stated = set(map(plain_ticker, stated_symbols(symbol)))
    return next((name for name in names if plain_ticker(name) in stated), names[0])


def plain_ticker(ticker: str) -> str:
    """BRK.B, BRK-B and BRK/B are one."""
    return re.sub(r"[./]", "-", ticker.upper())
