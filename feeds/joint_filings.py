"""The same trade reported under several accession numbers, collapsed without losing a row.

Members of a chain (a fund, its manager, its partners) each file the one trade. Equal rows may also be
genuine: several directors who bought equal lots. So rows that agree in issuer, security, day, code,
direction, shares and price across accessions are one trade only if

- (a) they share an owner, or
- (b) one of them is held indirectly, or
- (c) the same filing agent sent both within 15 minutes, at least 10,000 shares, equal holdings after.

Grants, exercises and the like (codes A, F, I, M) are personal: boards and officers get equal ones by
the dozen, some in trusts, so there only (a) counts; so it is for any code but P and S between two
officers (two of one company settled 5,471 restricted units each on one day, one through a trust).

Inside one filing nothing is collapsed: equal tranches are real, and the k-th of one filing can only
be the k-th of another. A form holds 30 lines, so a long list of trades goes out as several filings:
equal lots of the same owners from one agent within 15 minutes are tranches too when the holdings
after them differ. The later row names the earlier in `duplicate_of` and stays in the table.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

_AGENT_WINDOW = pd.Timedelta(minutes=15)
_AGENT_SHARES = 10_000
_AGENT_DIGITS = 10
_PERSONAL_CODES = frozenset({"A", "F", "I", "M"})
_MARKET_CODES = frozenset({"P", "S"})
_KEY = ["issuer_cik", "table", "security", "transacted_on", "code", "acquired_disposed", "shares", "price"]


_COLUMNS = [
    *(name for name in _KEY if name != "security"),
    "accession", "accepted_at", "owner_ciks", "direct_indirect", "shares_after", "is_officer",
]  # fmt: skip


def mark_duplicates(rows: pd.DataFrame, replacements: dict[int, int]) -> pd.DataFrame:
    """Fill `duplicate_of` with the accession that reported the same trade first.

    Parameters
    ----------
    rows : DataFrame
        Sorted by acceptance (unknown last), unique index.
    replacements : dict
        From `apply_amendments`: a row that replaced another is a duplicate if the replaced one was.

    Notes
    -----
    **Known at** the row's own acceptance: only earlier rows decide.
    """
    told = rows["shares"].notna() & rows["transacted_on"].notna() & rows["code"].notna()
    plain = {title: " ".join(title.lower().split()) for title in rows["security_title"].dropna().unique()}
    keyed = rows.loc[told, [*_COLUMNS]].assign(security=rows["security_title"].map(plain))
    keyed = keyed.drop(index=list(replacements), errors="ignore")
    keyed = keyed[keyed.duplicated(_KEY, keep=False)]
    duplicates: dict[Any, str] = {}
    groups = keyed.groupby(_KEY, dropna=False, sort=False)
    keyed = keyed.assign(group=groups.ngroup())[groups["accession"].transform("nunique") > 1]
    # All at once and then by group: a frame per group costs a hundred times more.
    rows_by_group = keyed.sort_values("group", kind="stable").itertuples()
    for _, group in itertools.groupby(rows_by_group, key=lambda row: row.group):
        duplicates |= _duplicates_in(group)
    for new, old in replacements.items():
        if old in duplicates:
            duplicates[new] = duplicates[old]
    rows = rows.copy()
    if duplicates:
        rows.loc[list(duplicates), "duplicate_of"] = pd.Series(duplicates, dtype=object)
    return rows


def _duplicates_in(group: Iterable[Any]) -> dict[Any, str]:
    """Return index → accession of the first report, for rows that agree in everything of the key."""
    seen: list[tuple[int, Any]] = []
    found: dict[Any, str] = {}
    tranche: Counter[Any] = Counter()
    for row in group:
        tranche[row.accession] += 1
        number = tranche[row.accession]
        for other_number, other in seen:
            if other_number == number and other.accession != row.accession and _one_trade(other, row):
                found[row.Index] = found.get(other.Index, other.accession)
                break
        seen.append((number, row))
    return found


def _one_trade(first: Any, second: Any) -> bool:
    if not set(first.owner_ciks).isdisjoint(second.owner_ciks):
        return not _parts_of_one_list(first, second)
    if second.code in _PERSONAL_CODES:
        return False
    if second.code not in _MARKET_CODES and first.is_officer and second.is_officer:
        return False
    if "I" in (first.direct_indirect, second.direct_indirect):
        return True
    return _sent_together(first, second) and first.shares >= _AGENT_SHARES and first.shares_after == second.shares_after


def _parts_of_one_list(first: Any, second: Any) -> bool:
    """Tell tranches of a list that is split over filings from a trade that is reported again."""
    known = pd.notna(first.shares_after) and pd.notna(second.shares_after)
    return (
        known
        and first.shares_after != second.shares_after
        and set(first.owner_ciks) == set(second.owner_ciks)
        and _sent_together(first, second)
    )


def _sent_together(first: Any, second: Any) -> bool:
    same_agent = first.accession[:_AGENT_DIGITS] == second.accession[:_AGENT_DIGITS]
    return bool(same_agent and abs(second.accepted_at - first.accepted_at) <= _AGENT_WINDOW)
