"""What insider features count: open-market purchases and sales, placed on sessions.

Out of the table come the rows of the non-derivative table with code P acquired or S disposed, of a
listed issuer that the source covers, timed, and of common stock. Several reports of the same trade
count as one, whose owners and roles are those known by then (`feeds.joint_versions`). Grants, exercises,
tax withholding, gifts and table II never enter. Ten-percent owners who are neither officers nor
directors (funds, parent companies) are kept apart from the insiders. A row whose price or number of
shares cannot be true counts its person and adds no dollars.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from feeds.form4 import is_common_stock
from feeds.insider_routine import classify
from feeds.joint_versions import counted_versions
from feeds.sessions import session_closes, trading_sessions
from feeds.transaction_table import credible_shares, dollar_value

_EARLIEST = pd.Timestamp("1990-01-02")
# Far beyond any session: "never replaced".
NEVER = np.int64(2**40)


@dataclass(frozen=True)
class Clock:
    """Consecutive sessions from the first filing (or the panel's start) to the panel's end.

    Attributes
    ----------
    sessions : DatetimeIndex, shape [E]
        `offset` sessions before the panel, then the panel's own.
    """

    sessions: pd.DatetimeIndex
    offset: int

    @staticmethod
    def reaching_back(panel_sessions: pd.DatetimeIndex, first: pd.Timestamp | None) -> Clock:
        """Put the exchange's sessions since `first` (UTC) before those of the panel."""
        start = panel_sessions[0]
        day = start if first is None else max(first.tz_localize(None).normalize(), _EARLIEST)
        if day >= start:
            return Clock(panel_sessions, 0)
        before = trading_sessions(day, start)
        before = before[before < start]
        return Clock(pd.DatetimeIndex(before.append(panel_sessions)), len(before))

    def rows(self, instants: pd.Series) -> np.ndarray:
        """Return the row of the first session that may know each instant; `NEVER` for NaT, E beyond the end."""
        rows = np.full(len(instants), NEVER, dtype=np.int64)
        known = instants.notna().to_numpy()
        rows[known] = self.closes.searchsorted(pd.DatetimeIndex(instants[known]), side="right")
        return rows

    @cached_property
    def closes(self) -> pd.DatetimeIndex:
        """Closes of the sessions, UTC."""
        return session_closes(self.sessions)


@dataclass(frozen=True)
class Events:
    """Counted rows as arrays of length M, in the order in which they count.

    Attributes
    ----------
    index : ndarray
        Index of each event's row in the table.
    issuer : ndarray of int64
        Position of the issuer among the source's issuers.
    person : ndarray of int64
        One number per issuer and insider; the owners of a joint filing are one.
    filing : ndarray of int64
        One number per accession.
    buy : ndarray of bool
        Purchase, else sale.
    cents : ndarray of int64
        Value in US cents, 0 where the price is unusable. Whole cents, so that sums do not depend on
        their order and a window that empties is exactly 0.
    start, stop : ndarray of int64
        Clock rows between which this version of the trade is the valid one, `stop` excluded.
    reported : ndarray of int64
        Clock row in which the version's latest filing became known; `start` or before it.
    anchor : ndarray of int64
        Clock row at which the trade's first version became known: windows count from here, so that
        an amendment corrects a trade and does not repeat it.
    routine : ndarray of int8
        See `feeds.insider_routine`.
    role : ndarray of str
        See `feeds.insider_roles`; the strongest of joint owners.
    plan : ndarray of str
        Under a 10b5-1 plan: ``true``, ``false`` or ``unknown``.
    conviction : ndarray of float64
        Shares traded / shares held before on the same line of ownership; infinite for a first
        holding, NaN where the filing does not tell. A ratio inside one filing, so splits cancel.
    accepted_s : ndarray of float64
        Acceptance in seconds since 1970 (UTC).
    """

    index: np.ndarray
    issuer: np.ndarray
    person: np.ndarray
    filing: np.ndarray
    buy: np.ndarray
    cents: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    reported: np.ndarray
    anchor: np.ndarray
    routine: np.ndarray
    role: np.ndarray
    plan: np.ndarray
    conviction: np.ndarray
    accepted_s: np.ndarray

    def window_end(self, sessions: int) -> np.ndarray:
        """Return the clock row at which each event leaves a window of `sessions` or is replaced."""
        return np.minimum(self.anchor + sessions, self.stop)


def market_rows(rows: pd.DataFrame, issuers: pd.Index) -> pd.DataFrame:
    """Return the versions of trades that can count, of insiders and ten-percent owners alike.

    Columns of the table and those of `feeds.joint_versions.counted_versions`; in the order in which they count.
    """
    code, direction = rows["code"], rows["acquired_disposed"]
    kept = rows[((code == "P") & (direction == "A")) | ((code == "S") & (direction == "D"))]
    kept = kept[(kept["table"] == "N") & kept["accepted_at"].notna()]
    kept = kept[kept["issuer_cik"].isin(issuers)]
    common = {title: is_common_stock(title) for title in kept["security_title"].unique()}
    return counted_versions(kept[np.array([common[title] for title in kept["security_title"]], dtype=bool)])


def of_large_holders(rows: pd.DataFrame) -> pd.Series:
    """Tell which rows are of ten-percent owners who are neither officers nor directors."""
    return rows["is_ten_percent_owner"] & ~rows["is_director"] & ~rows["is_officer"]


def events_of(rows: pd.DataFrame, issuers: pd.Index, clock: Clock) -> Events:
    """Return `market_rows` as arrays; `issuers` are the source's, in the order of the features."""
    person = persons(rows)
    value = dollar_value(rows).fillna(0)
    return Events(
        index=rows.index.to_numpy(),
        issuer=issuers.get_indexer(pd.Index(rows["issuer_cik"])).astype(np.int64),
        person=person,
        filing=np.asarray(pd.factorize(rows["accession"])[0], dtype=np.int64),
        buy=(rows["code"] == "P").to_numpy(),
        cents=np.rint(value.to_numpy() * 100).astype(np.int64),
        start=clock.rows(rows["counted_from"]),
        stop=clock.rows(rows["counted_to"]),
        reported=clock.rows(rows["accepted_at"]),
        anchor=clock.rows(rows["first_accepted_at"]),
        routine=classify(person, rows["transacted_on_checked"].to_numpy(), rows["counted_from"], rows["counted_to"]),
        role=rows["role"].to_numpy().astype(str),
        plan=rows["plan_10b5_1"].to_numpy().astype(str),
        conviction=_conviction(rows),
        accepted_s=(rows["accepted_at"].astype(np.int64) // 10**9).to_numpy(dtype=np.float64),
    )


def _conviction(rows: pd.DataFrame) -> np.ndarray:
    """Return shares / shares held before the trade."""
    shares = rows["shares"].where(credible_shares(rows)).to_numpy()
    after = rows["shares_after"].to_numpy()
    before = np.where((rows["code"] == "P").to_numpy(), after - shares, after + shares)
    ratio = np.divide(shares, before, out=np.full_like(shares, np.nan), where=before > 0)
    return np.where((before == 0) & (shares > 0), np.inf, ratio)


def persons(rows: pd.DataFrame) -> np.ndarray:
    """Number the insiders behind rows, by owner CIK within each issuer.

    Owners who file together count as one: a joint filing takes the number of the member known
    longest. Rows are gone through in the order in which they count and no number is ever revised, so a
    later joint filing does not merge earlier counts.
    """
    first_owner = [owners[0] if owners else "" for owners in rows["owner_ciks"]]
    number = np.asarray(pd.factorize(rows["issuer_cik"].to_numpy() + np.array(first_owner, dtype=object))[0], np.int64)
    joint = rows["issuer_cik"].isin(rows.loc[rows["n_owners"] > 1, "issuer_cik"].unique()).to_numpy()
    number[joint] = _joint_numbers(rows[joint]) + number.max(initial=0) + 1
    return number


def _joint_numbers(rows: pd.DataFrame) -> np.ndarray:
    """Number the insiders of issuers with joint filings, one filing after the other."""
    known: dict[str, int] = {}
    numbers = np.empty(len(rows), dtype=np.int64)
    for position, (cik, owners) in enumerate(zip(rows["issuer_cik"], rows["owner_ciks"], strict=True)):
        members = [cik + owner for owner in owners] or [cik]
        # The next unused number is the highest, so any member who is known wins.
        numbers[position] = min([known.get(member, len(known)) for member in members])
        for member in members:
            known.setdefault(member, int(numbers[position]))
    return numbers
