"""The SEC's quarterly Insider Transactions Data Sets → the transactions table.

One download of some 13 MB a quarter holds every Form 4 of every issuer (`feeds.quarterly_files`).
What the sets lack beside the filings themselves:

- The acceptance time: there is only the filing date. A filing of day D may be accepted until 22:00
  New York time, so `accepted_at` is set to that and the row is known at the close of the next
  session, never earlier; flag ``acceptance_time_assumed``. Where the SEC later moved a filing date
  back (3 filings in 10,000), the row appears before it was public.
- Decimals: prices and shares are rounded to two.
- The 10b5-1 box before the quarter in which the column AFF10B5ONE appears; until then footnotes tell.

Amendments and joint filings are as filed and are treated like those of single documents.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.filing_notes import AVERAGE, PLAN, SEVERAL
from feeds.insider_roles import ROLES, role_of
from feeds.issuers import TICKER_FILE, plain_ticker, read_ticker_file, stated_symbols
from feeds.ownership_xml import truth
from feeds.progress import Progress, silent
from feeds.quarterly_files import (
    FORMS,
    Quarter,
    QuarterFiles,
    TradeIndex,
    accessions_with_trades,
    contains,
    days,
    find_quarters,
)
from feeds.raw_rows import per_text, raw_rows
from feeds.sessions import NEW_YORK
from feeds.ticker_holders import Statement, frame_of_changes, holders_by_statement
from feeds.transaction_table import NOBODY, Refusal, TransactionTable, coverage_of, ticker_frame
from feeds.transactions import complete

__all__ = ["Quarter", "TradeIndex", "accessions_with_trades", "read_sec_quarterly"]

_LATEST_ACCEPTANCE = pd.Timedelta(hours=22)
_SUBMISSION = [
    "ACCESSION_NUMBER", "FILING_DATE", "PERIOD_OF_REPORT", "DATE_OF_ORIG_SUB", "DOCUMENT_TYPE", "ISSUERCIK",
    "ISSUERTRADINGSYMBOL",
]  # fmt: skip
_SUBMISSION_OPTIONAL = ["NOT_SUBJECT_SEC16", "REMARKS", "AFF10B5ONE"]
_OWNER = ["ACCESSION_NUMBER", "RPTOWNERCIK", "RPTOWNERNAME", "RPTOWNER_RELATIONSHIP", "RPTOWNER_TITLE"]
_TRADE = [
    "ACCESSION_NUMBER", "SECURITY_TITLE", "TRANS_DATE", "TRANS_CODE", "TRANS_SHARES", "TRANS_PRICEPERSHARE",
    "TRANS_ACQUIRED_DISP_CD", "SHRS_OWND_FOLWNG_TRANS", "DIRECT_INDIRECT_OWNERSHIP",
]  # fmt: skip
_PRICE_NOTE = "TRANS_PRICEPERSHARE_FN"
_NOTES = [
    _PRICE_NOTE, "SECURITY_TITLE_FN", "TRANS_DATE_FN", "DEEMED_EXECUTION_DATE_FN", "EQUITY_SWAP_TRANS_CD_FN",
    "TRANS_TIMELINESS_FN", "TRANS_SHARES_FN", "TRANS_ACQUIRED_DISP_CD_FN", "SHRS_OWND_FOLWNG_TRANS_FN",
    "VALU_OWND_FOLWNG_TRANS_FN", "DIRECT_INDIRECT_OWNERSHIP_FN", "NATURE_OF_OWNERSHIP_FN", "TRANS_TOTAL_VALUE_FN",
    "CONV_EXERCISE_PRICE_FN", "EXCERCISE_DATE_FN", "EXPIRATION_DATE_FN", "UNDLYNG_SEC_TITLE_FN",
    "UNDLYNG_SEC_SHARES_FN", "UNDLYNG_SEC_VALUE_FN",
]  # fmt: skip
_TABLES = (("N", "NONDERIV_TRANS"), ("D", "DERIV_TRANS"))
_YES, _NO = 1, 0


@dataclass(frozen=True)
class _Set:
    """One quarter's Forms 4: `submissions` by accession, and what its tables' rows may belong to."""

    files: QuarterFiles
    submissions: pd.DataFrame
    every_accession: pd.Index


def read_sec_quarterly(
    directory: Path, *, tickers: Sequence[str] | None = None, progress: Progress = silent
) -> TransactionTable:
    """Read a folder of quarterly sets.

    Parameters
    ----------
    directory : Path
        Holds consecutive quarters, ``{YYYY}q{Q}_form345.zip`` or extracted folders, and perhaps a
        ``tickers.csv`` (cik, ticker, from, to). Without that file a ticker belongs to the issuer that
        states it (`feeds.ticker_holders.holders_by_statement`), from the day after the filing date on.
    tickers : sequence of str or None
        Only the issuers of these; None for all, which takes several gigabytes for ten years.
    progress : Progress
        Wraps the quarters.

    Returns
    -------
    TransactionTable
        Coverage is the first to the last filing date in the sets, for every issuer in `tickers`; the
        sets are complete until the last quarter's end.

    Raises
    ------
    InputError
        If there is no set, a set is damaged, or a quarter between others is missing.

    Notes
    -----
    **Known at** the close of the first session after the filing date.
    """
    sets = _without_repetitions([_open(files) for files in find_quarters(directory)])
    _require_no_gap([one.files.quarter for one in sets])
    known = _tickers(directory, sets)
    if tickers is not None:
        asked = {plain_ticker(ticker) for ticker in tickers}
        ciks = set(known.loc[known["ticker"].map(plain_ticker).isin(asked), "cik"]) - {NOBODY}
        theirs = known["cik"].isin(ciks)
        known = known[theirs | ((known["cik"] == NOBODY) & known["ticker"].isin(known.loc[theirs, "ticker"]))]
    covered = frozenset(known["cik"]) if tickers is not None else None
    parts, refused = [], []
    for one in progress(sets, "reading quarterly sets", len(sets)):
        rows, strange = _quarter_rows(one, covered)
        parts.append(rows)
        refused += strange
    accepted = pd.concat([_accepted_at(one.submissions["FILING_DATE"]) for one in sets])
    table = complete(
        pd.concat(parts, ignore_index=True),
        known.reset_index(drop=True),
        coverage=coverage_of(accepted),
        refused=tuple(refused),
        n_files=len(sets),
        n_filings=sum(len(_wanted(one, covered)) for one in sets),
        notes=_notes(sets),
    )
    return replace(table, complete_until=max(sets[-1].files.quarter.end, accepted.max()))


def _open(files: QuarterFiles) -> _Set:
    submissions = files.read("SUBMISSION", _SUBMISSION, _SUBMISSION_OPTIONAL)
    form4 = submissions[submissions["DOCUMENT_TYPE"].isin(FORMS)].drop_duplicates("ACCESSION_NUMBER")
    form4 = form4.assign(ISSUERCIK=form4["ISSUERCIK"].str.zfill(10)).set_index("ACCESSION_NUMBER")
    return _Set(files, form4, pd.Index(submissions["ACCESSION_NUMBER"]))


def _without_repetitions(sets: list[_Set]) -> list[_Set]:
    """A filing that two quarters hold counts in the first."""
    seen: pd.Index = pd.Index([], dtype=object)
    distinct = []
    for one in sets:
        distinct.append(_Set(one.files, one.submissions[~one.submissions.index.isin(seen)], one.every_accession))
        seen = seen.append(one.submissions.index)
    return distinct


def _require_no_gap(quarters: list[Quarter]) -> None:
    for one, other in itertools.pairwise(quarters):
        if one.following != other:
            raise InputError(
                f"`--filings` sec-quarterly: expected consecutive quarters, received {one} and {other}: without "
                f"{one.following}, silence and missing data look alike; download it, or leave out one side"
            )


def _tickers(directory: Path, sets: list[_Set]) -> pd.DataFrame:
    file = directory / TICKER_FILE
    return read_ticker_file(file) if file.is_file() else _stated_tickers(sets)


def _stated_tickers(sets: list[_Set]) -> pd.DataFrame:
    """Say who held each ticker when, from the symbols that issuers state (`feeds.ticker_holders`).

    **Known at** the day after each filing date: later filings, of the same quarter too, change nothing earlier.
    """
    filed = pd.concat([one.submissions[["FILING_DATE", "ISSUERCIK", "ISSUERTRADINGSYMBOL"]] for one in sets])
    symbols = per_text(filed["ISSUERTRADINGSYMBOL"], lambda text: tuple(stated_symbols(text)))
    day = days(filed["FILING_DATE"]).astype("datetime64[D]")
    order = np.lexsort((filed.index.to_numpy(dtype=str), day))
    order = order[~np.isnat(day[order])]
    facts = (day[order].astype(np.int64) + 1).tolist(), filed["ISSUERCIK"].to_numpy()[order], symbols[order]
    held = frame_of_changes(holders_by_statement(map(Statement._make, zip(*facts, strict=True))))
    # An issuer that states no ticker of its own is kept, without a name.
    nameless = set(filed["ISSUERCIK"]) - set(held["cik"])
    return ticker_frame([*held.itertuples(index=False), *((cik, "", None, None) for cik in sorted(nameless))])


def _wanted(one: _Set, covered: frozenset[str] | None) -> pd.DataFrame:
    held = one.submissions
    return held if covered is None else held[held["ISSUERCIK"].isin(covered)]


def _quarter_rows(one: _Set, covered: frozenset[str] | None) -> tuple[pd.DataFrame, list[Refusal]]:
    submissions = _wanted(one, covered)
    trades, refused = _trades(one, submissions.index)
    filing = submissions.index.get_indexer(pd.Index(trades["ACCESSION_NUMBER"]))
    said = submissions.take(filing).reset_index(names="accession")
    plan, in_text_only, average = _from_notes(one.files, submissions, trades, filing)
    accepted_at = _accepted_at(said["FILING_DATE"])
    columns: dict[str, Any] = {
        "accession": said["accession"],
        "issuer_cik": said["ISSUERCIK"],
        "issuer_symbol": said["ISSUERTRADINGSYMBOL"],
        "form": said["DOCUMENT_TYPE"],
        "accepted_at": accepted_at,
        "filed_on": days(said["FILING_DATE"]),
        "period": days(said["PERIOD_OF_REPORT"]),
        "original_filed_on": days(said["DATE_OF_ORIG_SUB"]),
        **_owners(one.files, submissions, filing),
        "table": trades["table"],
        "ordinal": trades["ordinal"],
        "security_title": trades["SECURITY_TITLE"],
        "transacted_on": days(trades["TRANS_DATE"]),
        "code": trades["TRANS_CODE"],
        "acquired_disposed": trades["TRANS_ACQUIRED_DISP_CD"],
        "shares": _numbers(trades["TRANS_SHARES"]),
        "price": _numbers(trades["TRANS_PRICEPERSHARE"]),
        "shares_after": _numbers(trades["SHRS_OWND_FOLWNG_TRANS"]),
        "direct_indirect": trades["DIRECT_INDIRECT_OWNERSHIP"],
        "plan_10b5_1": plan,
        "price_is_average": average,
    }
    flags = {
        "acceptance_time_assumed": accepted_at.notna().to_numpy(),
        "no_acceptance_time": accepted_at.isna().to_numpy(),
        "not_subject_to_section_16": _truths(said["NOT_SUBJECT_SEC16"]) == _YES,
        "plan_in_text_only": in_text_only,
        "form_5_item": (trades["TRANS_FORM_TYPE"] == "5").to_numpy(),
        "equity_swap": _truths(trades["EQUITY_SWAP_INVOLVED"]) == _YES,
    }
    return raw_rows(columns, flags), refused


def _accepted_at(filed: pd.Series) -> pd.Series:
    """Return 22:00 New York time of the filing date, in UTC: the latest instant at which it was accepted."""
    local = pd.Series(days(filed)).astype("datetime64[ns]") + _LATEST_ACCEPTANCE
    return local.dt.tz_localize(NEW_YORK).dt.tz_convert("UTC").astype("datetime64[ns, UTC]")


def _trades(one: _Set, accessions: pd.Index) -> tuple[pd.DataFrame, list[Refusal]]:
    """Return the rows of both tables, numbered as `ordinal`, and an account of those that belong to no filing."""
    parts, refused = [], []
    for letter, table in _TABLES:
        key = f"{table}_SK"
        rows = one.files.read(table, [*_TRADE, key], ["TRANS_FORM_TYPE", "EQUITY_SWAP_INVOLVED", *_NOTES])
        if rows.attrs["left_out"]:
            reason = f"{rows.attrs['left_out']} lines have another number of fields than the header"
            refused.append(Refusal(f"{one.files.path.name} {table}.tsv", reason))
        lost = rows[~rows["ACCESSION_NUMBER"].isin(one.every_accession)]
        if len(lost):
            first = lost["ACCESSION_NUMBER"].iloc[0]
            reason = f"{len(lost)} rows belong to no submission of the set, first {first}"
            refused.append(Refusal(f"{one.files.path.name} {table}.tsv", reason))
        rows = rows[rows["ACCESSION_NUMBER"].isin(accessions)]
        rows = rows.assign(table=letter, order=_numbers(rows[key])).sort_values(["ACCESSION_NUMBER", "order"])
        ordinal = rows.groupby("ACCESSION_NUMBER").cumcount() + 1
        parts.append(rows.drop(columns=[key, "order"]).assign(ordinal=ordinal.astype("int32")))
    return pd.concat(parts, ignore_index=True), refused


def _owners(files: QuarterFiles, submissions: pd.DataFrame, filing: np.ndarray) -> dict[str, np.ndarray]:
    """Return the owners' columns for rows of the filings at `filing`."""
    accessions, owners = submissions.index, files.read("REPORTINGOWNER", _OWNER)
    at = accessions.get_indexer(pd.Index(owners["ACCESSION_NUMBER"]))
    order = np.argsort(at, kind="stable")[(at < 0).sum() :]
    owners, at = owners.take(order), at[order]
    bounds = np.searchsorted(at, np.arange(len(accessions) + 1))
    relation = owners["RPTOWNER_RELATIONSHIP"].fillna("").str.lower()
    titles = owners["RPTOWNER_TITLE"].to_numpy(dtype=object)
    boxes = {
        "is_director": relation.str.contains("director"),
        "is_officer": relation.str.contains("officer"),
        "is_ten_percent_owner": relation.str.contains(r"ten\s?percent|10\s?%"),
    }
    remarks = submissions["REMARKS"].to_numpy(dtype=object)[at]
    held = zip(*(box.tolist() for box in boxes.values()), titles, remarks, strict=True)
    rank = np.full(len(accessions), ROLES.index("other"))
    np.minimum.at(rank, at, [_rank(*one) for one in held])
    columns: dict[str, np.ndarray] = {
        "owner_ciks": _lists(owners["RPTOWNERCIK"].fillna("").str.zfill(10), bounds),
        "owner_names": _lists(owners["RPTOWNERNAME"].fillna(""), bounds),
        "n_owners": np.diff(bounds).astype(np.int32),
        "officer_title": _first_texts(titles, at, len(accessions)),
        "role": np.array(ROLES, dtype=object)[rank],
    }
    for name, box in boxes.items():
        columns[name] = np.bincount(at, weights=box, minlength=len(accessions)) > 0
    return {name: values[filing] for name, values in columns.items()}


def _rank(director: bool, officer: bool, ten_percent: bool, title: str | None, remarks: str | None) -> int:
    # "See Remarks": only then are they needed, and role_of remembers its arguments.
    looked_up = (remarks or "") if title and "see" in title.lower() else ""
    boxes = {"is_director": director, "is_officer": officer, "is_ten_percent_owner": ten_percent}
    return ROLES.index(role_of(**boxes, officer_title=title, remarks=looked_up))


def _lists(texts: pd.Series, bounds: np.ndarray) -> np.ndarray:
    values = texts.tolist()
    lists = np.empty(len(bounds) - 1, dtype=object)
    lists[:] = [values[start:end] for start, end in itertools.pairwise(bounds.tolist())]
    return lists


def _first_texts(texts: np.ndarray, at: np.ndarray, length: int) -> np.ndarray:
    found = np.full(length, None, dtype=object)
    given = np.flatnonzero(pd.notna(texts))[::-1]
    found[at[given]] = texts[given]
    return found


def _from_notes(
    files: QuarterFiles, submissions: pd.DataFrame, trades: pd.DataFrame, filing: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, per row, the 10b5-1 answer, whether only the text names a plan, and whether the price is a mean.

    The rules of `feeds.filing_notes.PlanReader` and `price_is_average`.
    """
    notes = _telling_notes(files, submissions.index)
    met = _references(trades, filing).merge(notes, on=["filing", "note"])
    average, planned = np.zeros(len(trades), dtype=bool), np.zeros(len(trades), dtype=bool)
    average[met.loc[met["average"] | (met["several"] & met["of_price"]), "row"]] = True
    planned[met.loc[met["plan"], "row"]] = True
    plan_notes = notes[notes["plan"]]
    referred = pd.MultiIndex.from_frame(met[["filing", "note"]])
    unreferred = plan_notes[~pd.MultiIndex.from_frame(plan_notes[["filing", "note"]]).isin(referred)]
    whole = contains(submissions["REMARKS"], PLAN, "10b5")
    mentioned = whole.copy()
    mentioned[plan_notes["filing"]] = True
    whole[unreferred["filing"]] = True
    box = _truths(submissions["AFF10B5ONE"])[filing]
    by_text = np.where(whole[filing] | planned, "true", "unknown")
    plan = np.select([box == _YES, box == _NO], ["true", "false"], by_text).astype(object)
    return plan, (box == _NO) & mentioned[filing], average


def _telling_notes(files: QuarterFiles, accessions: pd.Index) -> pd.DataFrame:
    """Return the footnotes that name a plan or a price of several trades: filing, note, average, several, plan."""
    notes = files.read("FOOTNOTES", ["ACCESSION_NUMBER", "FOOTNOTE_ID", "FOOTNOTE_TXT"])
    notes = notes.assign(filing=accessions.get_indexer(pd.Index(notes["ACCESSION_NUMBER"])))
    notes = notes[notes["filing"] >= 0]
    text = notes["FOOTNOTE_TXT"]
    found = pd.DataFrame(
        {
            "filing": notes["filing"].to_numpy(),
            "note": notes["FOOTNOTE_ID"].to_numpy(),
            "average": contains(text, AVERAGE, "average", "weighted"),
            "several": contains(text, SEVERAL, "multiple", "pric"),
            "plan": contains(text, PLAN, "10b5"),
        }
    )
    return found[found["average"] | found["several"] | found["plan"]]


def _references(trades: pd.DataFrame, filing: np.ndarray) -> pd.DataFrame:
    """Return which row refers to which footnote: row, filing, note, of_price. A cell may name several: "F1, F2"."""
    parts = []
    for name in _NOTES:
        cells = trades[name]
        at = np.flatnonzero(cells.notna().to_numpy())
        found = pd.DataFrame({"row": at, "filing": filing[at], "of_price": name == _PRICE_NOTE})
        parts.append(found.assign(note=cells.iloc[at].str.findall(r"\w+").to_numpy()).explode("note"))
    return pd.concat(parts, ignore_index=True)


def _numbers(texts: pd.Series) -> np.ndarray:
    return pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)


def _truths(texts: pd.Series) -> np.ndarray:
    """Return 1 for yes, 0 for no, -1 where nothing is said; the sets mix 0, 1, true and false."""
    return per_text(texts, lambda text: -1 if text is None else int(truth(text) or False)).astype(np.int8)


def _notes(sets: list[_Set]) -> tuple[str, ...]:
    notes = [
        "filings from the SEC's quarterly sets: they tell no acceptance time, so a filing is known at the close of the "
        "session after its filing date; prices are rounded to cents"
    ]
    silent_sets = [one.files.quarter for one in sets if one.submissions["AFF10B5ONE"].isna().all()]
    if silent_sets:
        notes.append(
            f"filings from the SEC's quarterly sets: no 10b5-1 box in {len(silent_sets)} quarters "
            f"({silent_sets[0]} to {silent_sets[-1]}), footnotes only"
        )
    return tuple(notes)
