"""Routine and opportunistic insiders, by the calendar, as known at the start of each year.

An insider is *routine* in year Y who traded in the same calendar month in each of the three years
before, *opportunistic* who traded in each of those years without such a month, and *unclassified*
otherwise (most buyers of large companies). Source: Cohen, Malloy, Pomorski, "Decoding inside
information", Journal of Finance 2012. The whole-sample classification that is often computed
instead looks ahead.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from feeds.sessions import NEW_YORK

UNCLASSIFIED, ROUTINE, OPPORTUNISTIC = 0, 1, 2
CLASS_NAMES = ("unclassified", "routine", "opportunistic")
_YEARS = 3
_NEVER = 9999


def classify(person: np.ndarray, traded_on: np.ndarray, accepted_at: pd.Series, valid_to: pd.Series) -> np.ndarray:
    """Classify each trade by its insider's three calendar years before the trade's own.

    Parameters
    ----------
    person : ndarray of int, shape [M]
        One number per insider and issuer.
    traded_on : ndarray of datetime64, shape [M]
        NaT gives ``UNCLASSIFIED``.
    accepted_at, valid_to : Series of UTC instants, length M
        Only versions accepted before New Year (New York) and not replaced by then are looked at. A trade
        dated in a later year than its acceptance was one of that year.

    Returns
    -------
    ndarray of int8, shape [M]

    Notes
    -----
    **Known at** January 1 of the trade's year, or of its acceptance's where that is earlier: never after it.
    """
    days = pd.Series(traded_on)
    accepted, usable_to = _new_york_year(accepted_at), _new_york_year(valid_to)
    year = np.minimum(days.dt.year.fillna(0).to_numpy(dtype=np.int64), accepted)
    month, usable_from = days.dt.month.fillna(1).to_numpy(dtype=np.int64), accepted + 1
    insider_year = person.astype(np.int64) * 10_000
    months, years = [], []
    for back in range(1, _YEARS + 1):
        at = year + back
        usable = (usable_from <= at) & (at <= usable_to) & (year > 0)
        group = (insider_year + at)[usable]
        years.append(group * _YEARS + back - 1)
        months.append((group * 12 + month[usable] - 1) * _YEARS + back - 1)
    routine = _in_all_years(np.concatenate(months)) // 12
    active = _in_all_years(np.concatenate(years))
    own = insider_year + year
    classes = np.where(np.isin(own, active), OPPORTUNISTIC, UNCLASSIFIED)
    return np.where(np.isin(own, routine) & (year > 0), ROUTINE, classes).astype(np.int8)


def _in_all_years(keys: np.ndarray) -> np.ndarray:
    """Return the groups whose keys (group × 3 + year) hold all three years."""
    groups, counts = np.unique(pd.unique(keys) // _YEARS, return_counts=True)
    return groups[counts == _YEARS]


def _new_york_year(instants: pd.Series) -> np.ndarray:
    return instants.dt.tz_convert(NEW_YORK).dt.year.fillna(_NEVER).to_numpy(dtype=np.int64)
