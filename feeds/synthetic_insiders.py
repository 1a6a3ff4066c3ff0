"""Who the insiders of the embedded market are, and when they file: a schedule that never sees a price.

An act is one economic trade (or grant, exercise, ...) by one insider on one session. A filing tells
one act; a few acts are told twice (a fund and its manager under two accession numbers) and a few
are amended later. Acts are drawn in session order, so a shorter market has the same filings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feeds.sessions import NEW_YORK, session_rows
from feeds.synthetic_settings import SESSIONS_PER_YEAR, MarketSettings, Stream, Universe, generator

FIRST_ISSUER_CIK = 990_000_001
FIRST_OWNER_CIK = 980_000_001


@dataclass(frozen=True)
class Role:
    """What an insider is at the issuer."""

    director: bool = False
    officer: bool = False
    ten_percent: bool = False
    title: str = ""


ROLES = (
    Role(director=True, officer=True, title="President & CEO"),
    Role(officer=True, title="Chief Financial Officer"),
    Role(officer=True, title="EVP, General Counsel"),
    Role(director=True),
    Role(director=True),
    Role(director=True, officer=True, title="See Remarks"),
    Role(ten_percent=True),  # a fund
    Role(ten_percent=True),  # the fund's manager
)
PEOPLE = 6  # the first of ROLES; the others are the fund and its manager
FUND, MANAGER = 6, 7

# Acts per stock and year when `filings_per_stock_year` is _USUAL_FILINGS, and whether a person or the fund acts.
_USUAL_FILINGS = 11.0
_SPONTANEOUS = {
    "purchase": 0.95,
    "sale": 2.0,
    "exercise": 1.3,
    "withholding": 1.1,
    "gift": 0.5,
    "option_grant": 0.7,
    "fund_trade": 0.45,
}
_CLUSTERS_PER_YEAR = 0.6
_CLUSTER_SPREAD_SESSIONS = 8
_GRANTS_PER_YEAR = 2
_ROUTINE_SHARE = {"purchase": 0.25, "sale": 0.35}  # of the issuers have one insider who trades in one month only
_AMENDED_SHARE = 0.015
_CHAIN_SHARE = 0.35  # of the fund's trades are told under two accession numbers, the others jointly under one

# Uniform draws that each act takes with it; the first ones time its filing, the others shape its content.
_DRAWS = (
    *("lag", "lateness", "hour", "moment", "amend", "amend_lag", "chain"),
    *("side", "planned", "size", "price_draw", "form_draw", "style", "share"),
)


def filing_schedule(settings: MarketSettings, who: Universe) -> pd.DataFrame:
    """Return one row per filing, in the order of acceptance.

    Returns
    -------
    DataFrame
        ``act`` (number of the economic act), ``row`` (session of the trade), ``stock``, ``kind``,
        ``person`` (index into `ROLES`), ``joint`` (fund and manager file together), ``copy`` (the
        second accession number of the same act), ``amends`` (True for a 4/A), ``accepted_at`` (UTC),
        ``known_row`` (session whose close knows it), and uniform draws for the content.

    Notes
    -----
    A filing that no session of the market can know is left out. Nothing here depends on prices.
    """
    acts = _acts(settings, who)
    draws = generator(settings, Stream.FILINGS).random((len(acts), len(_DRAWS)))
    acts = acts.join(pd.DataFrame(draws, columns=list(_DRAWS)))
    acts["act"] = np.arange(len(acts))
    fund = acts["kind"] == "fund_trade"
    chained = fund & (acts["chain"] < _CHAIN_SHARE)
    acts["joint"], acts["copy"], acts["amends"] = fund & ~chained, False, False
    acts["seconds"] = _seconds(acts)
    acts["accepted_row"] = acts["row"] + _lag_sessions(acts)
    copies = acts[chained].assign(person=MANAGER, copy=True, seconds=lambda d: d["seconds"] + 40 + d["share"] * 200)
    amended = acts[acts["amend"] < _AMENDED_SHARE]
    amended = amended.assign(amends=True, accepted_row=amended["accepted_row"] + 5 + (amended["amend_lag"] * 55) // 1)
    return _timed(pd.concat([acts, copies, amended], ignore_index=True), who.sessions)


def cluster_rows(schedule: pd.DataFrame, cluster_sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and stocks at which two distinct insiders' purchases have become public.

    Parameters
    ----------
    schedule : DataFrame
        From `filing_schedule`.
    cluster_sessions : int
        Both filings became known within this many sessions, the first and the last included.

    Returns
    -------
    tuple of ndarray of int
        **Known at** the close of each returned row.
    """
    bought = (schedule["kind"] == "purchase") | ((schedule["kind"] == "fund_trade") & is_purchase(schedule))
    buys = schedule.loc[bought & ~schedule["amends"] & ~schedule["copy"], ["stock", "person", "known_row"]]
    pairs = buys.merge(buys, on="stock", suffixes=("", "_earlier"))
    gap = pairs["known_row"] - pairs["known_row_earlier"]
    formed = pairs[(pairs["person"] != pairs["person_earlier"]) & (gap >= 0) & (gap < cluster_sessions)]
    return formed["known_row"].to_numpy(), formed["stock"].to_numpy()


def is_purchase(schedule: pd.DataFrame) -> pd.Series:
    """True where a fund's trade is a purchase."""
    return schedule["side"] < 0.5


def _timed(filings: pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    filings = filings[filings["accepted_row"] < len(sessions)].copy()
    days = sessions[filings["accepted_row"].to_numpy(dtype=np.int64)]
    wall_clock = days + pd.to_timedelta(filings["seconds"].to_numpy() // 1, unit="s")
    filings["accepted_at"] = wall_clock.tz_localize(NEW_YORK).tz_convert("UTC").as_unit("ns")
    filings["known_row"] = session_rows(pd.DatetimeIndex(filings["accepted_at"]), sessions)
    filings = filings[filings["known_row"] < len(sessions)]
    ordered = filings.sort_values(["accepted_at", "act", "copy", "amends"], ignore_index=True)
    return ordered.drop(columns=["seconds", "accepted_row", *_DRAWS[:6]])


def _lag_sessions(acts: pd.DataFrame) -> np.ndarray:
    """Mostly one or two sessions after the trade, as the rule wants; one filing in thirty is late."""
    in_time = np.searchsorted([0.10, 0.52], acts["lag"], side="right")
    return np.where(acts["lag"] < 0.967, in_time, 5 + acts["lateness"] * 40 // 1).astype(np.int64)


def _seconds(acts: pd.DataFrame) -> np.ndarray:
    """Return seconds after midnight in New York; what is filed on the day of the trade comes after the close."""
    hour, moment, late_hour = acts["hour"], acts["moment"], 3600 * (16 + 5.9 * acts["moment"] ** 2)
    morning, midday = 3600 * (6 + 3.5 * moment), 3600 * (9.5 + 6.5 * moment)
    seconds = np.select([acts["lag"] < 0.10, hour < 0.05, hour < 0.19], [late_hour, morning, midday], late_hour)
    return np.asarray(seconds)


def _acts(settings: MarketSettings, who: Universe) -> pd.DataFrame:
    scale = settings.filings_per_stock_year / _USUAL_FILINGS
    parts = [_spontaneous(settings, scale), _clustered(settings, scale), _by_calendar(settings, who, scale)]
    acts = pd.concat(parts, ignore_index=True).drop_duplicates()
    acts = acts[acts["row"] < settings.n_sessions]
    acts = acts[who.traded[acts["row"].to_numpy(), acts["stock"].to_numpy()]]
    return acts.sort_values(["row", "stock", "kind", "person"], ignore_index=True)


def _table(row: np.ndarray, stock: np.ndarray, kind: np.ndarray | str, person: np.ndarray | int) -> pd.DataFrame:
    return pd.DataFrame({"row": row, "stock": stock, "kind": kind, "person": person})


def _spontaneous(settings: MarketSettings, scale: float) -> pd.DataFrame:
    kinds = np.array(list(_SPONTANEOUS))
    chances = np.array(list(_SPONTANEOUS.values())) * scale / SESSIONS_PER_YEAR
    shape = (settings.n_sessions, settings.n_stocks, len(kinds))
    row, stock, kind = np.nonzero(generator(settings, Stream.ACTS).random(shape) < chances)
    person = generator(settings, Stream.ACT_PEOPLE).integers(0, PEOPLE, len(row))
    return _table(row, stock, kinds[kind], np.where(kinds[kind] == "fund_trade", FUND, person))


def _clustered(settings: MarketSettings, scale: float) -> pd.DataFrame:
    """Two to four insiders of one issuer buy within a few sessions."""
    shape = (settings.n_sessions, settings.n_stocks)
    chance = _CLUSTERS_PER_YEAR * scale / SESSIONS_PER_YEAR
    row, stock = np.nonzero(generator(settings, Stream.CLUSTERS).random(shape) < chance)
    draws = generator(settings, Stream.CLUSTER_PEOPLE).random((len(row), 6))
    first, members = (draws[:, 0] * PEOPLE).astype(int), 2 + (draws[:, 1] * 3).astype(int)
    parts = []
    for member in range(4):
        here = members > member
        later = (draws[here, 2 + member] * _CLUSTER_SPREAD_SESSIONS).astype(int)
        parts.append(_table(row[here] + later, stock[here], "purchase", (first[here] + member) % PEOPLE))
    return pd.concat(parts, ignore_index=True)


def _by_calendar(settings: MarketSettings, who: Universe, scale: float) -> pd.DataFrame:
    """Yearly grants, and the routine traders who trade in the same month of every year."""
    rng = generator(settings, Stream.CALENDAR)
    stocks = np.arange(settings.n_stocks)
    plans = [("grant", person, rng.integers(31, 140, len(stocks)), 1.0) for person in range(_GRANTS_PER_YEAR)]
    for person, (kind, share) in enumerate(_ROUTINE_SHARE.items(), start=2):
        plans.append((kind, person, rng.integers(0, 12, len(stocks)) * 30 + 8, share))
    joins = rng.random((len(plans), len(stocks)))
    years = range(who.sessions[0].year, who.sessions[-1].year + 1)
    happens = generator(settings, Stream.CALENDAR_YEARS).random((len(years), len(plans), len(stocks))) < scale
    parts = []
    for y, year in enumerate(years):
        for p, (kind, person, day_of_year, share) in enumerate(plans):
            dates = pd.Timestamp(year, 1, 1) + pd.to_timedelta(day_of_year, unit="D")
            here = happens[y, p] & (joins[p] < share) & (dates >= who.sessions[0])
            parts.append(_table(np.searchsorted(who.sessions, dates[here]), stocks[here], kind, person))
    return pd.concat(parts, ignore_index=True)
