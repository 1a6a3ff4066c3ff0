"""The transactions table: one row per transaction row of a filing, whatever the source.

A source makes raw rows (`frame_of_filings` for Form 4 submissions) and a list of the tickers that it
covers; `feeds.transactions.complete` adds what depends on other filings. Stable key of a row:
(accession, table, ordinal).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from feeds.form4 import Filing, Owner, Transaction, owners_role

_TEXT, _TEXTS, _TRUTH, _NUMBER, _COUNT, _DATE, _INSTANT = "text", "texts", "truth", "number", "count", "date", "instant"

COLUMN_KINDS: dict[str, str] = {
    "ordinal": _COUNT,
    "ticker": _TEXT,
    "issuer_cik": _TEXT,
    "issuer_symbol": _TEXT,
    "accession": _TEXT,
    "form": _TEXT,
    "accepted_at": _INSTANT,
    "filed_on": _DATE,
    "period": _DATE,
    "owner_ciks": _TEXTS,
    "owner_names": _TEXTS,
    "n_owners": _COUNT,
    "is_director": _TRUTH,
    "is_officer": _TRUTH,
    "is_ten_percent_owner": _TRUTH,
    "officer_title": _TEXT,
    "role": _TEXT,
    "table": _TEXT,
    "security_title": _TEXT,
    "transacted_on": _DATE,
    "code": _TEXT,
    "acquired_disposed": _TEXT,
    "shares": _NUMBER,
    "price": _NUMBER,
    "value_usd": _NUMBER,
    "direct_indirect": _TEXT,
    "shares_after": _NUMBER,
    "plan_10b5_1": _TEXT,
    "price_is_average": _TRUTH,
    "amendment_of": _TEXT,
    "valid_to": _INSTANT,
    "duplicate_of": _TEXT,
    "flags": _TEXTS,
    "price_checked": _NUMBER,
    "transacted_on_checked": _DATE,
    "original_filed_on": _DATE,
    "first_accepted_at": _INSTANT,
    "first_report": _TEXT,
}
COLUMNS = tuple(COLUMN_KINDS)
# Seconds, not nanoseconds: filed dates hold typos such as the year 0022, which are kept as filed.
_DTYPES: dict[str, Any] = {
    _TEXT: "object",
    _TEXTS: "object",
    _TRUTH: "bool",
    _NUMBER: "float64",
    _COUNT: "int32",
    _DATE: "datetime64[s]",
    _INSTANT: "datetime64[ns, UTC]",
}
TICKER_COLUMNS = ("cik", "ticker", "first", "last")
NOBODY = ""
"""In place of a CIK: until then the source could not tell whose the ticker is (`feeds.ticker_holders`)."""
MOST_SHARES = 1e11
"""More than any company listed in New York has outstanding."""
LARGEST_PRICE_USD = 1e7
"""More than ten times the dearest share (Berkshire Hathaway's class A, some 0.8 million)."""
LARGEST_VALUE_USD = 1e12
"""A trillion: more than any trade."""


class Refusal(NamedTuple):
    """A file that was not understood, and why."""

    file: str
    reason: str


class Coverage(NamedTuple):
    """First and last acceptance (UTC) in a source; of one issuer, the span in which it is complete."""

    first: pd.Timestamp
    last: pd.Timestamp


@dataclass(frozen=True)
class TransactionTable:
    """Transactions of insiders, from any source.

    Attributes
    ----------
    rows : DataFrame
        One row per transaction, columns `COLUMNS`, sorted by acceptance. Missing values are None
        (texts), NaN (numbers), NaT (times). Beside what was filed:

        - `accepted_at` (UTC): the only column that may time anything; NaT = never timed.
        - `valid_to` (UTC): acceptance of the amendment that replaced the row; NaT = still valid.
        - `first_accepted_at` (UTC): when the trade's first version was accepted; equals
          `accepted_at` except for a row that replaced an earlier one.
        - `amendment_of`: on a 4/A, accession of the filing that it amends; None where not found.
        - `duplicate_of`: accession that reported the same trade earlier; None where first.
        - `first_report`: ``accession:table:ordinal`` of the row that told of the trade first, on every later
          row about it (other owners' reports and amendments); None on that row itself.
        - `price_checked` (USD a share): `price`, repaired or NaN where it cannot be true.
        - `transacted_on_checked`: the trade's day, or the period of report where that cannot be true.
        - `value_usd`: shares × `price_checked`; NaN in the derivative table, whose prices are notionals,
          and where it cannot be true.
        - `flags`: of the document (`feeds.form4`), its amendment (`feeds.amendments`), its issuer
          (`feeds.issuers`), its amounts (`flag_absurd_amounts`), its price (`feeds.filed_prices`).
        - `ticker`: None on owner-side rows (flag ``owner_side``), and where an issuer states none
          (``ticker_unknown``).
    refused : tuple of Refusal
    coverage : Coverage or None
        Over all issuers; None where no filing has an acceptance time.
    complete_until : Timestamp (UTC) or None
        Until when the source states that it lacks nothing, which its last acceptance does not tell;
        None where it states nothing (`feeds.insider` then judges by its silence).
    tickers : DataFrame
        Columns `cik, ticker, first, last`: which tickers the source covers and from when to when
        (NaT = open) each belonged to which issuer; `cik` is `NOBODY` where the source could not tell yet.
    issuer_coverage : mapping of CIK to Coverages
        Where a source states of an issuer when it lacks nothing; the others share that of the whole source.
    n_files, n_filings : int
        Files looked at; filings understood (also those without a transaction).
    notes : tuple of str
        What was not done and why, for the report.
    """

    rows: pd.DataFrame
    refused: tuple[Refusal, ...] = ()
    coverage: Coverage | None = None
    tickers: pd.DataFrame = field(default_factory=lambda: ticker_frame(()))
    issuer_coverage: Mapping[str, tuple[Coverage, ...]] = field(default_factory=dict)
    n_files: int = 0
    n_filings: int = 0
    notes: tuple[str, ...] = ()
    complete_until: pd.Timestamp | None = None


def ticker_frame(rows: Iterable[tuple[str, str, Any, Any]]) -> pd.DataFrame:
    """Return (cik, ticker, first, last) rows as a frame, sorted by ticker and start."""
    frame = pd.DataFrame(list(rows), columns=list(TICKER_COLUMNS)).astype({"cik": object, "ticker": object})
    for name in ("first", "last"):
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[s]")
    return frame.sort_values(["ticker", "first", "cik"], na_position="first", ignore_index=True)


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Give every column of `COLUMNS` its type, in order."""
    return pd.DataFrame({name: _typed_column(rows[name], kind) for name, kind in COLUMN_KINDS.items()})


def coverage_of(accepted_at: pd.Series) -> Coverage | None:
    """Return the first and last acceptance, None where there is none."""
    known = accepted_at.dropna()
    return None if known.empty else Coverage(known.min(), known.max())


def frame_of_filings(filings: Iterable[Filing]) -> pd.DataFrame:
    """Return the raw rows of filings: every column of `COLUMNS`, those about other filings still empty."""
    records = [(*_filing_part(filing), *_row_part(row)) for filing in filings for row in filing.transactions]
    columns = list(zip(*records, strict=True)) if records else [()] * len(_RAW_COLUMNS)
    raw = {name: _array(list(values), COLUMN_KINDS[name]) for name, values in zip(_RAW_COLUMNS, columns, strict=True)}
    frame = pd.DataFrame(raw, index=pd.RangeIndex(len(records)))
    for name in ("ticker", "amendment_of", "duplicate_of", "first_report"):
        frame[name] = _nothing(len(frame))
    frame["valid_to"] = pd.Series(pd.NaT, index=frame.index, dtype=_DTYPES[_INSTANT])
    frame["first_accepted_at"] = frame["accepted_at"]
    frame["price_checked"] = checked_price(frame)
    frame["value_usd"] = dollar_value(frame)
    return typed(frame)


def checked_price(rows: pd.DataFrame) -> pd.Series:
    """Return the filed price, NaN where a purchase or sale on the market has none above zero, or one beyond any."""
    market_trade = (rows["table"] == "N") & rows["code"].isin(["P", "S"])
    return rows["price"].mask(market_trade & ~((rows["price"] > 0) & (rows["price"] <= LARGEST_PRICE_USD)))


def credible_shares(rows: pd.DataFrame) -> pd.Series:
    """Tell which numbers of shares can have been traded: none below zero, none beyond what any company has issued."""
    return (rows["shares"] >= 0) & (rows["shares"] <= MOST_SHARES)


def dollar_value(rows: pd.DataFrame) -> pd.Series:
    """Return shares × `price_checked` in USD; NaN for the derivative table, and where it cannot be true."""
    value = rows["shares"].where(credible_shares(rows)) * rows["price_checked"]
    return value.where((rows["table"] == "N") & (value <= LARGEST_VALUE_USD))


def flag_absurd_amounts(rows: pd.DataFrame) -> pd.DataFrame:
    """Flag amounts that no trade can have; they stay as filed and enter no dollars.

    ``shares_negative``    fewer than no shares
    ``shares_implausible`` more shares than any company has issued (`MOST_SHARES`)
    ``price_implausible``  a negative price, or beyond any share's (`LARGEST_PRICE_USD`); not in the derivative
                           table, whose prices are notionals
    ``value_implausible``  the two are possible, their product is not (`LARGEST_VALUE_USD`)
    """
    shares, price, plain = rows["shares"], rows["price"], rows["table"] == "N"
    marks = {
        "shares_negative": shares < 0,
        "shares_implausible": shares > MOST_SHARES,
        "price_implausible": plain & ((price < 0) | (price > LARGEST_PRICE_USD)),
    }
    value = shares * price
    marks["value_implausible"] = (
        plain & (value > LARGEST_VALUE_USD) & ~(shares > MOST_SHARES) & (price <= LARGEST_PRICE_USD)
    )
    absurd = np.logical_or.reduce([mark.to_numpy() for mark in marks.values()])
    if not absurd.any():
        return rows
    flags = rows["flags"].copy()
    for row in rows.index[absurd]:
        flags[row] = [*flags[row], *(name for name, mark in marks.items() if mark[row])]
    return rows.assign(flags=flags)


_FILING_COLUMNS = (
    "issuer_cik", "issuer_symbol", "accession", "form", "accepted_at", "filed_on", "period", "original_filed_on",
    "owner_ciks", "owner_names", "n_owners", "is_director", "is_officer", "is_ten_percent_owner", "officer_title",
    "role",
)  # fmt: skip
_ROW_COLUMNS = (
    "table", "ordinal", "security_title", "transacted_on", "transacted_on_checked", "code", "acquired_disposed",
    "shares", "price", "direct_indirect", "shares_after", "plan_10b5_1", "price_is_average", "flags",
)  # fmt: skip
_RAW_COLUMNS = _FILING_COLUMNS + _ROW_COLUMNS


def _filing_part(filing: Filing) -> tuple[Any, ...]:
    owners = filing.owners
    return (
        filing.issuer_cik, filing.issuer_symbol, filing.accession, filing.form, filing.accepted_at, filing.filed_on,
        filing.period, filing.original_filed_on, [owner.cik for owner in owners], [owner.name for owner in owners],
        len(owners), any(owner.is_director for owner in owners), any(owner.is_officer for owner in owners),
        any(owner.is_ten_percent_owner for owner in owners), _title(owners), owners_role(owners),
    )  # fmt: skip


def _title(owners: tuple[Owner, ...]) -> str | None:
    return next((owner.officer_title for owner in owners if owner.officer_title), None)


def _row_part(row: Transaction) -> tuple[Any, ...]:
    return (
        row.table, row.ordinal, row.security_title, row.transacted_on, row.transacted_on_checked, row.code,
        row.acquired_disposed, row.shares, row.price, row.direct_indirect, row.shares_after, row.plan_10b5_1,
        row.price_is_average, list(row.flags),
    )  # fmt: skip


def _array(values: list[Any], kind: str) -> Any:
    if kind == _DATE:
        return np.array(values, dtype="datetime64[D]").astype("datetime64[s]")
    if kind == _INSTANT:
        naive = np.array([None if v is None else v.replace(tzinfo=None) for v in values], dtype="datetime64[us]")
        return pd.DatetimeIndex(naive.astype("datetime64[ns]")).tz_localize("UTC")
    if kind in (_TEXT, _TEXTS):
        held = _nothing(len(values))
        held[:] = values
        return held
    return np.array([np.nan if v is None else v for v in values], dtype=_DTYPES[kind])


def _nothing(length: int) -> np.ndarray:
    return np.full(length, None, dtype=object)


def _typed_column(column: pd.Series, kind: str) -> pd.Series:
    if kind in (_TEXT, _TEXTS):
        return column.astype(object)
    if kind == _INSTANT and column.dtype != _DTYPES[_INSTANT]:
        return pd.to_datetime(column, utc=True).astype(_DTYPES[_INSTANT])
    return column.astype(_DTYPES[kind])
