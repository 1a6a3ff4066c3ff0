"""What the insiders of the embedded market file: a table of transactions, and the tree of documents.

The schedule (`feeds.synthetic_insiders`) says who files when; here each act gets its lines, with shares
and prices as the tape of that day allows: an open-market price lies within the day's low and high.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.sessions import NEW_YORK
from feeds.synthetic_documents import AGENTS, Line, Owner, Submission, full_submission
from feeds.synthetic_insiders import (
    FIRST_ISSUER_CIK,
    FIRST_OWNER_CIK,
    FUND,
    MANAGER,
    ROLES,
    filing_schedule,
    is_purchase,
)
from feeds.synthetic_market import make_market
from feeds.synthetic_settings import SECTORS, MarketSettings, Universe, universe

_FIRST_AGENT_CIK = 970_000_001
_VALUE_USD = {
    "purchase": 6e4,
    "sale": 4e5,
    "grant": 2.5e5,
    "exercise": 3e5,
    "withholding": 6e4,
    "gift": 1e5,
    "option_grant": 4e5,
    "fund_trade": 3e6,
}
_CODES = {
    "purchase": "P",
    "sale": "S",
    "grant": "A",
    "exercise": "M",
    "withholding": "F",
    "gift": "G",
    "option_grant": "A",
}
_PLANNED_SHARE = 0.45  # of sales, under a Rule 10b5-1 plan
_AVERAGED_SHARE = 0.55  # of open-market trades, filed at a weighted average price
_SURNAMES = (
    *("Aldervane", "Brackwith", "Cormoran", "Dunmarrow", "Elsinger", "Farquell", "Grenholt", "Hathermoor"),
    *("Islebrook", "Jorvane"),
)
_FORENAMES = (
    *("Ada", "Bertil", "Corin", "Delphine", "Edda", "Florin", "Gwenna", "Hollis", "Ismene", "Joris"),
    *("Katrin", "Lorcan", "Maren"),
)

EVENT_COLUMNS = (
    *("accession", "ordinal", "form", "kind", "ticker", "issuer_cik", "owner_ciks", "table", "code"),
    *("acquired_disposed", "transacted_on", "accepted_at", "known_row", "shares", "price", "exercise_price"),
    *("shares_after", "price_is_average", "planned", "original_on", "act", "copy", "stock", "person", "agent"),
    *("low", "high"),
)


def insider_events(settings: MarketSettings) -> pd.DataFrame:
    """Return one row per transaction, as the filings tell it, without writing a file.

    Returns
    -------
    DataFrame
        In the order of acceptance. ``ordinal`` counts the lines of a ``table`` (``N`` or ``D``) from 1;
        ``shares`` and ``price`` (USD) as filed, before any later split, the price NaN where none is
        filed; ``low`` and ``high`` the tape's range of the day; ``original_on`` the first filing's date
        where ``form`` is ``4/A``, else NaT; ``act`` numbers the economic act, which a ``copy`` and an
        amendment share; ``owner_ciks`` a tuple; ``accepted_at`` UTC.

    Notes
    -----
    **Known at** the close of the session in row ``known_row``. Who trades and when is decided without
    looking at prices.
    """
    who = universe(settings)
    return _events(settings, who, make_market(settings))


def write_filings(settings: MarketSettings, directory: Path) -> None:
    """Write every filing in the tree that sec-edgar-downloader writes, and ``tickers.csv`` beside it.

    The tree is made under a temporary name in the same folder and renamed when it is whole.

    Raises
    ------
    InputError
        If `directory` exists and is not empty.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"`directory`: expected a new or empty folder, received {directory}; choose another one")
    who = universe(settings)
    events = _events(settings, who, make_market(settings))
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        for filing in _submissions(events, who):
            folder = unfinished / "sec-edgar-filings" / filing.ticker / "4" / filing.accession
            folder.mkdir(parents=True)
            (folder / "full-submission.txt").write_text(full_submission(filing), encoding="utf-8")
        _issuers(who).to_csv(unfinished / "tickers.csv", index=False)
        unfinished.chmod(0o755)
        unfinished.replace(directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def issuer_cik(stock: int) -> str:
    """Return the issuer's fictitious CIK, ten digits."""
    return f"{FIRST_ISSUER_CIK + stock:010d}"


def owner_cik(stock: int, person: int) -> str:
    """Return the insider's fictitious CIK, ten digits."""
    return f"{FIRST_OWNER_CIK + stock * len(ROLES) + person:010d}"


def _issuers(who: Universe) -> pd.DataFrame:
    # `to` is empty for a stock that still trades.
    last = len(who.sessions) - 1
    listed = [stock for stock in range(len(who.tickers)) if who.first_rows[stock] <= last]
    dates = who.sessions.strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "cik": [issuer_cik(stock) for stock in listed],
            "ticker": [who.tickers[stock] for stock in listed],
            "from": [dates[who.first_rows[stock]] for stock in listed],
            "to": [dates[who.last_rows[stock]] if who.last_rows[stock] < last else "" for stock in listed],
        }
    )


def _events(settings: MarketSettings, who: Universe, panel: PricePanel) -> pd.DataFrame:
    filings = _numbered(filing_schedule(settings, who), who)
    rows, stocks = filings["row"].to_numpy(), filings["stock"].to_numpy()
    for name in ("low", "high", "close"):
        filings[name] = np.round(panel.source_price(name)[rows, stocks], 2)
    lines = pd.concat(list(_lines(filings)), ignore_index=True)
    lines = lines.sort_values(["filing", "table", "ordinal"], ascending=[True, False, True], ignore_index=True)
    lines["ordinal"] = lines.groupby(["filing", "table"]).cumcount() + 1
    lines["acquired_disposed"] = np.where(lines["acquired"], "A", "D")
    lines["shares_after"] = _holdings(lines, np.cumprod(who.splits, axis=0))
    return lines[list(EVENT_COLUMNS)]


def _numbered(filings: pd.DataFrame, who: Universe) -> pd.DataFrame:
    """Give every filing its accession number, its agent and its parties."""
    agent = (filings["style"] * len(AGENTS)).astype(int)
    local = filings["accepted_at"].dt.tz_convert(NEW_YORK)
    year = local.dt.year % 100
    number = filings.groupby([agent, year]).cumcount() + 1
    filed_on = local.dt.tz_localize(None).dt.normalize()
    first_filed = filed_on[~filings["amends"] & ~filings["copy"]].set_axis(
        filings.loc[~filings["amends"] & ~filings["copy"], "act"]
    )
    parties = zip(filings["stock"], filings["person"], filings["joint"], strict=True)
    return filings.assign(
        filing=np.arange(len(filings)),
        agent=agent,
        accession=[f"{_FIRST_AGENT_CIK + a:010d}-{y:02d}-{n:06d}" for a, y, n in zip(agent, year, number, strict=True)],
        form=np.where(filings["amends"], "4/A", "4"),
        original_on=filings["act"].map(first_filed).where(filings["amends"]),
        ticker=np.array(who.tickers)[filings["stock"]],
        issuer_cik=[issuer_cik(stock) for stock in filings["stock"]],
        owner_ciks=pd.Series([_parties(*party) for party in parties], index=filings.index, dtype=object),
        transacted_on=who.sessions[filings["row"]],
        planned=(filings["kind"] == "sale") & (filings["planned"] < _PLANNED_SHARE),
    )


def _parties(stock: int, person: int, joint: bool) -> tuple[str, ...]:
    return tuple(owner_cik(stock, owner) for owner in ((person, MANAGER) if joint else (person,)))


def _lines(filings: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the lines of each kind of act; an amendment restates them with other shares."""
    main = filings.assign(
        table=np.where(filings["kind"] == "option_grant", "D", "N"),
        ordinal=0,
        code=filings["kind"].map(_CODES),
        acquired=filings["kind"].isin(["purchase", "grant", "exercise", "option_grant"]),
        price_is_average=False,
        exercise_price=np.nan,
    )
    fund = main["kind"] == "fund_trade"
    main.loc[fund, "acquired"] = is_purchase(filings)
    main["code"] = main["code"].fillna(pd.Series(np.where(main["acquired"], "P", "S"), index=main.index))
    market = main["code"].isin(["P", "S"])
    main["price_is_average"] = market & (main["form_draw"] < _AVERAGED_SHARE)
    traded_at = _within_day(main, main["price_draw"])
    main["price"] = np.select([market, main["code"] == "F"], [traded_at, main["close"]], 0.0)
    value = main["kind"].map(_VALUE_USD) * np.exp(4 * (main["size"] - 0.5)) * np.where(main["amends"], 0.9, 1.0)
    main["shares"] = np.maximum(np.round(value / main["close"]), 1.0)
    # Some software leaves a gift's price out, with a footnote in its place; other software writes 0.
    main.loc[(main["code"] == "G") & (main["agent"] == 0), "price"] = np.nan
    granted = main["kind"] == "option_grant"
    main.loc[granted, "exercise_price"] = main["close"]
    option = main["kind"] == "exercise"
    strike = (main["low"] * (0.2 + 0.6 * main["price_draw"])).round(2).clip(lower=0.01)
    main.loc[option, "price"] = strike
    yield main
    yield from _further_lines(main, market & ~main["price_is_average"] & (main["form_draw"] > 0.8), option, strike)


def _further_lines(
    main: pd.DataFrame, tranche: pd.Series, option: pd.Series, strike: pd.Series
) -> Iterator[pd.DataFrame]:
    """Yield second tranches, the options given up in an exercise, and what is sold or withheld with it."""
    second = main[tranche]
    other_price = _within_day(second, (second["price_draw"] + 0.37) % 1)
    yield second.assign(ordinal=1, shares=np.ceil(second["shares"] * 0.6), price=other_price)
    exercised = main[option]
    yield exercised.assign(table="D", acquired=False, price=0.0, exercise_price=strike[option])
    sells = exercised["side"] < 0.55
    yield exercised.assign(
        ordinal=1,
        acquired=False,
        code=np.where(sells, "S", "F"),
        price=np.where(sells, _within_day(exercised, exercised["share"]), exercised["close"]),
        shares=np.where(sells, exercised["shares"], np.ceil(exercised["shares"] * 0.4)),
    )


def _within_day(lines: pd.DataFrame, draw: pd.Series) -> np.ndarray:
    """Return a price between the tape's low and high: four decimals for an average, else whole cents."""
    price = lines["low"] + (lines["high"] - lines["low"]) * draw
    return np.where(lines["price_is_average"], np.round(price, 4), np.round(price, 2))


def _holdings(lines: pd.DataFrame, shares_per_old: np.ndarray) -> np.ndarray:
    """Return the shares owned after each line, in the shares of that day, as reported so far."""
    split = shares_per_old[lines["row"], lines["stock"]]
    told_before = lines["copy"] | lines["amends"]
    common = lines["table"] == "N"
    change = np.where(told_before, 0.0, np.where(lines["acquired"], 1, -1) * lines["shares"] / split)
    person = lines["person"].replace(MANAGER, FUND)  # the manager reports what the fund holds
    keys = [lines["stock"], person, lines["table"]]
    before = np.where(common, 2e5 + 3e4 * person, 5e4) * np.where(lines["kind"] == "fund_trade", 20, 1)
    owned = before + pd.Series(change).groupby(keys).cumsum()
    after = pd.Series(np.maximum(np.round(owned * split), 0.0))
    # Whoever tells a trade again states what was held after it.
    return after.groupby([lines["act"], lines["table"], lines["ordinal"]]).transform("first").to_numpy()


def _submissions(events: pd.DataFrame, who: Universe) -> Iterator[Submission]:
    rows = events.assign(accepted_at=events["accepted_at"].dt.tz_convert(NEW_YORK)).itertuples(index=False)
    for accession, group in itertools.groupby(rows, key=lambda row: row.accession):
        lines: list[Any] = list(group)
        first = lines[0]
        yield Submission(
            accession=accession,
            amended=first.original_on.date() if first.form == "4/A" else None,
            accepted=first.accepted_at.to_pydatetime(),
            period=first.transacted_on.date(),
            issuer_cik=first.issuer_cik,
            issuer_name=f"{first.ticker.title()} Synthetic & Co.",
            ticker=first.ticker,
            sector=SECTORS[who.sector[first.stock]],
            owners=tuple(_owner(first.stock, cik) for cik in first.owner_ciks),
            planned=first.planned,
            lines=tuple(_line(line) for line in lines),
            agent=AGENTS[first.agent],
            remarks="Chief Operating Officer" if ROLES[first.person].title == "See Remarks" else "",
        )


def _owner(stock: int, cik: str) -> Owner:
    person = (int(cik) - FIRST_OWNER_CIK) % len(ROLES)
    role = ROLES[person]
    surname, forename = (
        _SURNAMES[(stock * 3 + person) % len(_SURNAMES)],
        _FORENAMES[(stock + person * 5) % len(_FORENAMES)],
    )
    name = f"{surname.upper()} {forename}" if stock % 2 else f"{surname} {forename}"
    if role.ten_percent:
        name = f"{surname} {'Capital Management LLC' if person == MANAGER else f'Fund {stock + 1} LP'}"
    return Owner(cik, name, role.director, role.officer, role.ten_percent, role.title)


def _line(line: Any) -> Line:
    notes = []
    if line.price_is_average:
        notes.append(f"Weighted average of several trades at prices from ${line.low:.2f} to ${line.high:.2f}.")
    if line.planned:
        notes.append("This sale was made under a Rule 10b5-1 trading plan.")
    if line.code == "F":
        notes.append("Shares withheld by the issuer to pay taxes.")
    day = line.transacted_on.date()
    return Line(
        derivative=line.table == "D",
        title="Common Stock" if line.table == "N" else "Stock Option (right to buy)",
        code=line.code,
        acquired=line.acquired_disposed == "A",
        transacted_on=day,
        shares=f"{line.shares:.0f}",
        price=None if np.isnan(line.price) else _decimal(line.price),
        shares_following=f"{line.shares_after:.0f}",
        indirect="By fund" if line.person == MANAGER else "",
        footnotes=(*notes, "A gift, without payment.") if line.code == "G" else tuple(notes),
        exercise_price=None if np.isnan(line.exercise_price) else _decimal(line.exercise_price),
        expires_on=day + timedelta(days=3652),
    )


def _decimal(price: float) -> str:
    return f"{price:.4f}".rstrip("0").rstrip(".")
