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
after them differ. The later row names the earlier in `duplicate_of` and stays in the table, because
the later filing may know more: who else owned the shares, and what office they hold. What counts when
is decided by `feeds.joint_versions`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
    """Fill `duplicate_of` and `first_report`.

    Parameters
    ----------
    rows : DataFrame
        Sorted by acceptance (unknown last), unique index.
    replacements : dict
        From `apply_amendments`: a row that replaced another tells of the trade that the replaced one told of.

    Returns
    -------
    rows : DataFrame
        `duplicate_of`: accession of the filing that told of the same trade first; None in that filing
        and its amendments. `first_report`: key of the row that told of the trade first, None on that row.

    Notes
    -----
    **Known at** the row's own acceptance: only earlier rows decide.
    """
    earlier = _earlier_reports(_alike(rows), replacements)
    if not earlier:
        return rows
    first = {row: _origin(row, earlier) for row in earlier}
    amended = {row: _origin(row, replacements) for row in earlier}
    again = [row for row in earlier if first[row] != amended[row]]
    rows, positions = rows.copy(), list(first.values())
    rows.loc[list(first), "first_report"] = pd.Series(row_keys(rows.loc[positions]).to_numpy(), index=list(first))
    told_in = rows.loc[[first[row] for row in again], "accession"].to_numpy()
    rows.loc[again, "duplicate_of"] = pd.Series(told_in, index=again, dtype=object)
    return rows


def row_keys(rows: pd.DataFrame) -> pd.Series:
    """Return the stable key of each row as one text: ``accession:table:ordinal``."""
    return rows["accession"] + ":" + rows["table"] + ":" + rows["ordinal"].astype(str)


def _alike(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that agree in everything of the key with one of another filing, with their `group`."""
    told = rows["shares"].notna() & rows["transacted_on"].notna() & rows["code"].notna()
    plain = {title: " ".join(title.lower().split()) for title in rows["security_title"].dropna().unique()}
    keyed = rows.loc[told, [*_COLUMNS]].assign(security=rows["security_title"].map(plain))
    keyed = keyed[keyed.duplicated(_KEY, keep=False)]
    groups = keyed.groupby(_KEY, dropna=False, sort=False)
    return keyed.assign(group=groups.ngroup())[groups["accession"].transform("nunique") > 1]


def _earlier_reports(alike: pd.DataFrame, replacements: dict[int, int]) -> dict[int, int]:
    """Return row → an earlier row that tells of the same trade: the one that it replaces, or another's report."""
    earlier = dict(replacements)
    seen: dict[int, list[tuple[int, Any]]] = defaultdict(list)
    tranche: Counter[Any] = Counter()
    row: Any
    for row in alike.itertuples():
        tranche[row.group, row.accession] += 1
        number, told_before = tranche[row.group, row.accession], seen[row.group]
        for other_number, other in told_before:
            if other_number == number and other.accession != row.accession and _new_link(other, row, earlier):
                earlier[row.Index] = other.Index
                break
        told_before.append((number, row))
    return earlier


def _new_link(other: Any, row: Any, earlier: dict[int, int]) -> bool:
    """Tell whether two rows are one trade, which their amendments do not tell already."""
    replaced = earlier.get(row.Index)
    if replaced is not None and _origin(replaced, earlier) == _origin(other.Index, earlier):
        return False
    return _one_trade(other, row)


def _origin(row: int, earlier: dict[int, int]) -> int:
    while row in earlier:
        row = earlier[row]
    return row


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
