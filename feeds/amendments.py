"""Amendments (4/A), bitemporal: nothing is rewritten before the amendment was public.

A 4/A names the *date* of the filing that it corrects, not its number, and may restate everything,
hold only the corrected line, or only add footnotes. So its rows are matched one by one against the
rows that are valid at its acceptance, of the same issuer and an owner in common: by table, security,
trade date, code and ownership form. One of these five may itself be what was corrected: such a row is
looked for among those filed on the stated date only, because equal trades recur (quarterly grants,
monthly purchases) and an added line would take the place of an older one. A matched row is valid
until the 4/A's acceptance and its replacement from then on; rows that are not matched stay, and rows
of the 4/A without a match are new (flag ``amendment_unmatched``).

Whether a row corrects another or stands beside it is not always told. The holdings of the line do tell
where both rows state them, because what was held before the trade is held after it less what it added:

- same key, other amounts: a correction starts from the same holdings, or ends at the same. A row that
  continues where the other ended (or ends where it started) is a further tranche and replaces nothing.
  Where the holdings tell neither, the row replaces (its key is the same) and has the flag ``amendment_ambiguous``.
- one part of the key *and* the amounts differ: a correction only if both start from the same holdings;
  else the row stands beside the other, as does its original, and has both flags.

Source of the rule: the SEC's ownership XML specification (dateOfOriginalSubmission) and the
experience that deleting an original for a holdings-only amendment loses trades.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

_KEY = ["table", "security", "transacted_on", "code", "direct_indirect"]
_DAYS = ["transacted_on", "filed_on", "original_filed_on"]
_TIMES = ["accepted_at", "filed_on", "original_filed_on", "transacted_on"]
_SIGNS = {"A": 1, "D": -1}
_NOT_STATED = int(np.datetime64("NaT", "s").astype("int64"))
_COLUMNS = [
    "issuer_cik", "accession", "form", "owner_ciks", "shares", "price", "shares_after", "acquired_disposed",
    *_TIMES, *_KEY,
]  # fmt: skip
# Holdings are whole shares but for rounding.
_SAME_SHARES = 0.5


@dataclass(slots=True, eq=False)
class _Row:
    """A row's identity while versions are matched; times are their integers, which are fast to make."""

    position: int
    accession: str
    accepted_at: int
    root_filed_on: int
    first_accepted_at: int
    key: tuple[Any, ...]
    shares: float
    price: float
    held_before: float
    held_after: float
    owners: frozenset[str]
    ambiguous: bool = False
    replaced_at: int | None = None
    replaces: _Row | None = None
    amends: str | None = None


@dataclass(slots=True)
class _Book:
    """The rows of one issuer that are valid so far, by owner."""

    by_owner: dict[str, list[_Row]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            for owner in row.owners:
                self.by_owner[owner].append(row)

    def valid(self, owners: frozenset[str]) -> list[_Row]:
        rows = (row for owner in owners for row in self.by_owner.get(owner, ()))
        found = {row.position: row for row in rows if row.replaced_at is None}
        return [found[position] for position in sorted(found)]


def apply_amendments(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[int, int]]:
    """Fill `valid_to`, `first_accepted_at` and `amendment_of`.

    Parameters
    ----------
    rows : DataFrame
        Sorted by acceptance, unique index. Rows without an acceptance time take no part.

    Returns
    -------
    rows : DataFrame
        4/A rows without a counterpart get the flag ``amendment_unmatched``, those that may or may not
        correct another row ``amendment_ambiguous``.
    replacements : dict
        Index of each replacing row → index of the row that it replaced.

    Notes
    -----
    **Known at** the amendment's own acceptance: a version's rows depend on earlier filings only,
    and `valid_to` has an effect from its own instant on.
    """
    amended = (rows["form"] == "4/A") & rows["accepted_at"].notna()
    if not amended.any():
        return rows, {}
    near = rows[_near_an_amendment(rows, amended.to_numpy()) & rows["accepted_at"].notna()]
    states = _replay(near[_of_amending_owners(near)])
    return _written(rows, states), {s.position: s.replaces.position for s in states if s.replaces is not None}


def _near_an_amendment(rows: pd.DataFrame, amended: np.ndarray) -> np.ndarray:
    """Tell which rows share an issuer and trade date with an amendment's row, or were filed on its stated date."""
    issuer = pd.factorize(rows["issuer_cik"])[0].astype(np.int64) * 10**8
    traded, filed, stated = (issuer + _day_numbers(rows[name]) for name in _DAYS)
    return np.isin(traded, traded[amended]) | np.isin(filed, stated[amended])


def _day_numbers(days: pd.Series) -> np.ndarray:
    """Return days since 1970; a number that is no day where it is not stated."""
    numbers = days.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.where(days.isna(), 10**7, numbers)


def _of_amending_owners(rows: pd.DataFrame) -> np.ndarray:
    """Tell which rows are of an issuer and owner who amended something."""
    pairs = rows.loc[rows["form"] == "4/A", ["issuer_cik", "owner_ciks"]].itertuples(index=False)
    amending = {(cik, owner) for cik, owners in pairs for owner in owners}
    every = zip(rows["issuer_cik"], rows["owner_ciks"], strict=True)
    return np.array([any((cik, owner) in amending for owner in owners) for cik, owners in every], dtype=bool)


def _replay(rows: pd.DataFrame) -> list[_Row]:
    """Go through the filings in the order of acceptance."""
    books: dict[Any, _Book] = defaultdict(_Book)
    states: list[_Row] = []
    for _, group in itertools.groupby(_plain_rows(rows), key=lambda row: row.accession):
        filing = list(group)
        current = [_state(row) for row in filing]
        book = books[filing[0].issuer_cik]
        if filing[0].form == "4/A":
            _amend(current, book.valid(current[0].owners), filing[0].original_filed_on)
        book.add(current)
        states += current
    return states


def _plain_rows(rows: pd.DataFrame) -> Iterable[Any]:
    titles = {t: " ".join((t or "").lower().split()) for t in rows["security_title"].unique()}
    plain = rows.assign(security=[titles[title] for title in rows["security_title"]])[[*dict.fromkeys(_COLUMNS)]]
    return plain.assign(**{name: plain[name].astype("int64") for name in _TIMES}).itertuples()


def _state(row: Any) -> _Row:
    return _Row(
        position=row.Index,
        accession=row.accession,
        accepted_at=row.accepted_at,
        root_filed_on=row.filed_on,
        first_accepted_at=row.accepted_at,
        key=(row.table, row.security, row.transacted_on, row.code, row.direct_indirect),
        shares=row.shares,
        price=row.price,
        held_before=row.shares_after - row.shares * _SIGNS.get(row.acquired_disposed, math.nan),
        held_after=row.shares_after,
        owners=frozenset(row.owner_ciks),
    )


def _amend(amendment: list[_Row], earlier: list[_Row], original_filed_on: int) -> None:
    stated = original_filed_on != _NOT_STATED
    named = [row for row in earlier if stated and row.root_filed_on == original_filed_on]
    pairs = list(_pairs(amendment, named, named) if named else _pairs(amendment, earlier, []))
    for new, old in pairs:
        old.replaced_at = new.accepted_at
        if new.replaces is None:
            new.replaces, new.amends = old, old.accession
            new.first_accepted_at, new.root_filed_on = old.first_accepted_at, old.root_filed_on
    original = pairs[0][1] if pairs else next(iter(named), None)
    for row in amendment:
        if row.amends is None and original is not None:
            # A new line belongs to the same original, so that an amendment of this amendment finds it.
            row.amends, row.root_filed_on = original.accession, original.root_filed_on


def _pairs(
    amendment: Sequence[_Row], earlier: Sequence[_Row], of_original: Sequence[_Row]
) -> Iterable[tuple[_Row, _Row]]:
    """Yield (new, old): same key first, then the original's rows that differ in one part of the key only."""
    new_by_key, old_by_key = _grouped(amendment), _grouped(earlier)
    left_new: list[_Row] = []
    left_old = {row.position: row for row in of_original}
    for key, new in new_by_key.items():
        pairs = _paired(new, old_by_key.get(key, []))
        for pair in pairs:
            left_old.pop(pair[1].position, None)
            yield pair
        matched = {pair[0].position for pair in pairs}
        left_new += [row for row in new if row.position not in matched]
    for row in left_new:
        near = [old for old in left_old.values() if _one_part_differs(row, old)]
        sure = (old for alike in (_same_amounts, _same_start) for old in near if alike(row, old))
        old = next(sure, None)
        if old is not None:
            left_old.pop(old.position)
            yield row, old
        row.ambiguous = old is None and bool(near)


def _grouped(rows: Sequence[_Row]) -> dict[tuple[Any, ...], list[_Row]]:
    groups: dict[tuple[Any, ...], list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.key, []).append(row)
    return groups


def _paired(new: list[_Row], old: list[_Row]) -> list[tuple[_Row, _Row]]:
    """Pair tranches of one key: the most alike first, then in their order, but for those that are further ones.

    A summary of several tranches (fewer rows, the same shares in all) replaces every one of them.
    """
    free = list(old)
    pairs: list[tuple[_Row, _Row]] = []
    for alike in (_same_amounts, _one_amount_corrected, _may_correct):
        for row in new:
            if any(pair[0] is row for pair in pairs):
                continue
            match = next((other for other in free if alike(row, other)), None)
            if match is not None:
                free.remove(match)
                pairs.append((row, match))
                row.ambiguous = not (_same_amounts(row, match) or _same_holdings(row, match))
    summary = len(new) < len(old) and abs(sum(r.shares for r in new) - sum(r.shares for r in old)) < 0.5
    if summary:
        for row in new:
            row.ambiguous = False
        return pairs + [(new[0], other) for other in free]
    return pairs


def _same_amounts(new: _Row, old: _Row) -> bool:
    return new.shares == old.shares and (new.price == old.price or (pd.isna(new.price) and pd.isna(old.price)))


def _one_amount_corrected(new: _Row, old: _Row) -> bool:
    return (new.shares == old.shares or new.price == old.price) and _may_correct(new, old)


def _may_correct(new: _Row, old: _Row) -> bool:
    """Tell whether the holdings allow that one corrects the other, and is no further tranche of the same day."""
    further = _close(new.held_before, old.held_after) or _close(new.held_after, old.held_before)
    return _same_holdings(new, old) or not further


def _same_holdings(new: _Row, old: _Row) -> bool:
    return _same_start(new, old) or _close(new.held_after, old.held_after)


def _same_start(new: _Row, old: _Row) -> bool:
    return _close(new.held_before, old.held_before)


def _close(one: float, other: float) -> bool:
    return abs(one - other) < _SAME_SHARES


def _one_part_differs(new: _Row, old: _Row) -> bool:
    different = sum(a != b for a, b in zip(new.key, old.key, strict=True))
    return new.key[0] == old.key[0] and different == 1


def _written(rows: pd.DataFrame, states: list[_Row]) -> pd.DataFrame:
    rows = rows.copy()
    amended = rows["form"] == "4/A"
    columns: dict[str, dict[int, Any]] = {
        "valid_to": {s.position: s.replaced_at for s in states if s.replaced_at is not None},
        "first_accepted_at": {s.position: s.first_accepted_at for s in states if s.replaces is not None},
        "amendment_of": {s.position: s.amends for s in states if s.amends is not None},
    }
    for name, values in columns.items():
        if values:
            filled = pd.Series(values, dtype="object" if name == "amendment_of" else "int64")
            rows.loc[list(values), name] = filled.astype(rows[name].dtype)
    of_amendments = set(rows.index[amended])
    unmatched = {s.position for s in states if s.replaces is None} & of_amendments
    ambiguous = {s.position for s in states if s.ambiguous} & of_amendments
    for flag, marked in (("amendment_unmatched", unmatched), ("amendment_ambiguous", ambiguous)):
        places = sorted(marked)
        flags = [[*held, flag] for held in rows.loc[places, "flags"]]
        rows.loc[places, "flags"] = pd.Series(flags, index=places, dtype=object)
    return rows
