"""Who traded, as it became known: one trade that several filings report, from each filing on.

A fund files a purchase as a ten-percent owner, and a week later its partner, a director, files the same
one (`feeds.joint_filings`). It is one trade, counted once in dollars; but from the second acceptance on
it is known to be a director's, and before it nobody knew. So a trade with several reports has versions,
each valid from one acceptance to the next:

- amounts are those of its first report that is valid then, or of what amended it;
- owners are the union of the valid reports', the role is the strongest of theirs;
- a report that is amended to something else (a purchase that was none) leaves; the others remain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from feeds.insider_roles import strongest
from feeds.joint_filings import row_keys

_BOXES = ("is_director", "is_officer", "is_ten_percent_owner")
_MEMBER = [
    "accepted_at", "valid_to", "first_accepted_at", "duplicate_of", "owner_ciks", "owner_names", "role",
    "officer_title", *_BOXES,
]  # fmt: skip
_REPORT = ["accession", "form", "accepted_at", "filed_on", "ordinal", "duplicate_of", "flags"]
_OPEN = np.iinfo(np.int64).max


class _Version(NamedTuple):
    """What is known of a trade between two instants (ns): indexes of rows, and who is in it."""

    counted: Any
    newest: Any
    since: int
    until: int
    first_accepted: int
    people: dict[str, Any]


def counted_versions(rows: pd.DataFrame) -> pd.DataFrame:
    """Replace the several reports of one trade by its versions.

    Parameters
    ----------
    rows : DataFrame
        Timed rows of the transactions table, every report among them.

    Returns
    -------
    DataFrame
        Sorted by `counted_from`; beside the table's columns `counted_from` and `counted_to` (UTC; NaT
        open), between which the row counts. A version carries the accession and acceptance of the latest
        filing that it is made of.

    Notes
    -----
    **Known at** `counted_from`: only filings accepted by then are in a version.
    """
    rows = rows.assign(counted_from=rows["accepted_at"], counted_to=rows["valid_to"])
    shared = _told_again(rows)
    if shared.empty:
        return rows
    versions = [version for _, group in shared.groupby(["trade", "code"], sort=False) for version in _versions(group)]
    whole = pd.concat([rows.drop(index=shared.index), _rows_of(versions, rows)], ignore_index=True)
    return whole.sort_values("counted_from", kind="stable", ignore_index=True)


def _told_again(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trades that several filings report, with `trade`, the key of the first of them."""
    again = set(rows.loc[rows["duplicate_of"].notna(), "first_report"])
    firsts = {key.partition(":")[0] for key in again}
    near = rows[rows["accession"].isin(firsts) | rows["first_report"].isin(again)]
    trade = near["first_report"].where(near["first_report"].notna(), row_keys(near))
    near = near.assign(trade=trade)[trade.isin(again)]
    return near[near.duplicated(["trade", "code"], keep=False)]


def _versions(group: pd.DataFrame) -> Iterator[_Version]:
    """Yield what was known of one trade, in order; what changes nothing begins no version."""
    members: list[Any] = list(_instants_as_numbers(group[_MEMBER]).itertuples())
    instants = sorted({one.accepted_at for one in members} | {one.valid_to for one in members})
    last: _Version | None = None
    for since, until in itertools.pairwise(instants):
        valid = [one for one in members if one.accepted_at <= since < one.valid_to]
        if not valid:
            continue
        version = _version(valid, [one for one in members if one.accepted_at <= since], since, until)
        same = last and (last.counted, last.until, last.people) == (version.counted, since, version.people)
        if last is not None and not same:
            yield last
        last = last._replace(until=until) if last is not None and same else version
    if last is not None:
        yield last


def _instants_as_numbers(group: pd.DataFrame) -> pd.DataFrame:
    open_end = group["valid_to"].isna().to_numpy()
    numbers = {name: group[name].astype("int64") for name in ("accepted_at", "valid_to", "first_accepted_at")}
    return group.assign(**numbers).assign(valid_to=np.where(open_end, _OPEN, numbers["valid_to"]))


def _version(valid: list[Any], known: list[Any], since: int, until: int) -> _Version:
    counted = min(valid, key=lambda one: (one.duplicate_of is not None, one.first_accepted_at, one.Index))
    newest = max(valid, key=lambda one: (one.accepted_at, one.Index))
    owners = {cik: name for one in valid for cik, name in zip(one.owner_ciks, one.owner_names, strict=True)}
    people: dict[str, Any] = {
        "owner_ciks": list(owners),
        "owner_names": list(owners.values()),
        "n_owners": len(owners),
        "role": strongest([one.role for one in valid]),
        "officer_title": next((one.officer_title for one in valid if one.officer_title), None),
        **{box: any(getattr(one, box) for one in valid) for box in _BOXES},
    }
    first_accepted = min(one.first_accepted_at for one in known)
    return _Version(counted.Index, newest.Index, since, until, first_accepted, people)


def _rows_of(versions: list[_Version], rows: pd.DataFrame) -> pd.DataFrame:
    made = rows.loc[[one.counted for one in versions]].reset_index(drop=True)
    newest = rows.loc[[one.newest for one in versions], _REPORT].reset_index(drop=True)
    made[_REPORT] = newest
    for name in versions[0].people:
        made[name] = pd.Series([one.people[name] for one in versions], dtype=rows[name].dtype)
    made["counted_from"] = _instants([one.since for one in versions])
    made["counted_to"] = _instants([one.until for one in versions])
    made["first_accepted_at"] = _instants([one.first_accepted for one in versions])
    return made


def _instants(numbers: list[int]) -> pd.Series:
    held = np.array(numbers, dtype=np.int64)
    naive = held.astype("datetime64[ns]")
    naive[held == _OPEN] = np.datetime64("NaT")
    return pd.Series(naive).dt.tz_localize("UTC")
