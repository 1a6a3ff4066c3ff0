"""Filed prices against each other, for price sources that are adjusted for later splits.

The tape's price divided by an adjusted one is a factor that no filing can know (28 for AAPL in 2014,
when it has split 4 and 7 times since). But it is the *same* factor for everyone who traded the stock
in those weeks, and a mistyped price is not: so a filing's ratio of price to the day's adjusted range
is compared with that of other insiders' filings accepted before it, and with the other rows of the same
filing and day, between which no split lies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

BAND = 3.0
LARGEST_SPLIT = 50.0
_NEAR_DAYS = 91
_LEAST_PEERS, _LEAST_PERSONS = 3, 2
_ALIKE = np.log(1.5)
_AGREEING_SHARE = 2 / 3
_FACTS = ("level", "filing", "day", "accepted", "person", "first_report")


def unlike_peers(rows: pd.DataFrame, ratio: np.ndarray) -> np.ndarray:
    """Tell which filed prices are far from the factor common to their neighbours.

    A price more than three times off what at least three others of the same filing, security and day, and
    two thirds of all rows there, agree on is unlike them. Otherwise a row's peers are rows of the same issuer
    and security by other persons, accepted before it, traded within 91 days of it, and no second report of a
    trade. They count where there are at least three, by two persons, two thirds of which agree on a factor.
    Then a price more than three times off that factor is unlike them

    - if peers who agree traded on or before, and on or after, its day: no split lies between; or
    - if it is more than 150 times off: no split explains that.

    Anything else is left alone: the first filing after a split looks like a typo.

    Parameters
    ----------
    rows : DataFrame, length M
        Columns of the transactions table.
    ratio : ndarray of float64, shape [M]
        Filed price / middle of the day's range; NaN where unknown.

    Returns
    -------
    ndarray of bool, shape [M]

    Notes
    -----
    **Known at** the row's own acceptance: no later filing decides, and a split after the panel's end
    moves all ratios together.
    """
    found = np.zeros(len(rows), dtype=bool)
    usable = np.flatnonzero(np.isfinite(ratio) & rows["accepted_at"].notna().to_numpy())
    facts = _facts(rows.iloc[usable], np.log(ratio[usable]))
    spread = facts.groupby("stock")["level"].agg(["min", "max", "size"])
    # Within one band nobody can be outside of it, whoever the peers are.
    suspect = spread.index[(spread["max"] - spread["min"] > np.log(BAND)) & (spread["size"] > _LEAST_PEERS)]
    for _, stock in facts[facts["stock"].isin(suspect)].groupby("stock"):
        columns = {name: stock[name].to_numpy() for name in _FACTS}
        places = stock["place"].to_numpy()
        for i in range(len(stock)):
            found[usable[places[i]]] = _is_unlike(i, **columns)
    return found


def _facts(rows: pd.DataFrame, level: np.ndarray) -> pd.DataFrame:
    owners = [min(owners, default="") for owners in rows["owner_ciks"]]
    titles = rows["security_title"].str.lower().str.split().str.join(" ").fillna("")
    return pd.DataFrame(
        {
            "place": np.arange(len(rows)),
            "stock": pd.factorize(rows["issuer_cik"].to_numpy() + "\n" + titles.to_numpy())[0],
            "level": level,
            "filing": pd.factorize(rows["accession"])[0],
            "day": rows["transacted_on_checked"].to_numpy().astype("datetime64[D]").astype(np.int64),
            "accepted": rows["accepted_at"].astype(np.int64).to_numpy(),
            "person": pd.factorize(np.array(owners, dtype=object))[0],
            "first_report": rows["duplicate_of"].isna().to_numpy(),
        }
    )


def _is_unlike(
    i: int,
    level: np.ndarray,
    filing: np.ndarray,
    day: np.ndarray,
    accepted: np.ndarray,
    person: np.ndarray,
    first_report: np.ndarray,
) -> bool:
    beside = np.flatnonzero((filing == filing[i]) & (day == day[i]) & (np.arange(len(day)) != i))
    if _distance(level[i], level[beside], among=len(beside) + 1)[0] > np.log(BAND):
        return True
    near = (accepted < accepted[i]) & (person != person[i]) & (np.abs(day - day[i]) <= _NEAR_DAYS) & first_report
    peers = np.flatnonzero(near)
    off, alike = _distance(level[i], level[peers], among=len(peers))
    if len(np.unique(person[peers])) < _LEAST_PERSONS or off <= np.log(BAND):
        return False
    agreeing = day[peers[alike]]
    between = (agreeing <= day[i]).any() and (agreeing >= day[i]).any()
    return bool(between or off > np.log(BAND * LARGEST_SPLIT))


def _distance(level: float, peers: np.ndarray, among: int) -> tuple[float, np.ndarray]:
    """Return how far a level is from what enough `among` its peers agree on, else 0; and which of them agree."""
    if len(peers) < _LEAST_PEERS:
        return 0.0, np.zeros(len(peers), dtype=bool)
    common = np.median(peers)
    alike = np.abs(peers - common) <= _ALIKE
    return (abs(level - common) if alike.sum() >= _AGREEING_SHARE * among else 0.0), alike
