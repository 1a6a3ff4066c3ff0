"""One Form 4 submission → a `Filing`: header, owners and every transaction row as filed.

Nothing is interpreted beyond what the document itself says: values stay as filed and what looks
wrong is flagged. What depends on other filings (amendments, joint filings, tickers) is decided on
the table (`feeds.transactions`). The schema's version is never asked for: absent elements are simply
absent. Holdings are no transactions and give no row.

Flags on a row:

``no_acceptance_time``  the document tells no acceptance time, so the row may never be timed
``recovered_xml``       malformed XML, read in recovering mode
``form_differs``        header and document disagree on the form; the header's is used
``filed_before_accepted`` EDGAR's filing date is before the acceptance date
``date_missing``, ``date_after_acceptance``, ``date_before_1990``
                        `transacted_on` unusable; `transacted_on_checked` is the period of report
``code_missing``        no transaction code
``code_contradicts_direction`` P with D, or S with A
``price_missing``, ``price_zero`` a purchase or sale without a usable price
``not_common_stock``    a preferred share, note, warrant or trust certificate, by its title
``plan_in_text_only``   the 10b5-1 box says no, a footnote names the rule
``late``                accepted more than 30 days after the trade
``form_5_item``, ``equity_swap``, ``not_subject_to_section_16`` as the document says
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from feeds.filing_notes import Plan, PlanReader, price_is_average, read_footnotes
from feeds.insider_roles import Role, role_of, strongest
from feeds.ownership_xml import Element, Leaves, day, full_text, leaves, number, parse_document, top_texts, truth
from feeds.sessions import NEW_YORK
from feeds.sgml import Form4Error, Header, split_submission

__all__ = ["Filing", "Form4Error", "Header", "Owner", "Transaction", "parse_submission"]

FORMS = ("4", "4/A")
TableLetter = Literal["N", "D"]
_TABLES: tuple[tuple[TableLetter, str], ...] = (
    ("N", "nonDerivativeTable/nonDerivativeTransaction"),
    ("D", "derivativeTable/derivativeTransaction"),
)
_EASTERN = ZoneInfo(NEW_YORK)
FIRST_CREDIBLE_YEAR = 1990
LATE_DAYS = 30
_ACCESSION = re.compile(r"(\d{10}-\d{2}-\d{6})")
_OTHER_SECURITY = re.compile(
    r"\b(?:preferred|preference|debentures?|notes?|warrants?|bonds?|trust\s+certificates?)\b", re.IGNORECASE
)
_COMMON_SECURITY = re.compile(r"^\W*(?:class\s+\w+\W+|series\s+\w+\W+)?(?:common|ordinary)\b", re.IGNORECASE)
_DIRECTION_OF_CODE = {"P": "A", "S": "D"}


@dataclass(frozen=True, slots=True)
class Owner:
    """One reporting owner: CIK (ten digits), name as filed (LAST FIRST MIDDLE), boxes, title, role."""

    cik: str
    name: str
    is_director: bool
    is_officer: bool
    is_ten_percent_owner: bool
    officer_title: str | None
    role: Role


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction row as filed; None where the document says nothing.

    Attributes
    ----------
    table : {"N", "D"}
        Non-derivative or derivative table.
    ordinal : int
        1 for the table's first transaction (holdings not counted).
    transacted_on : date or None
        As filed. It times nothing; `transacted_on_checked` is the same, or the period of report
        where the filed date cannot be true.
    shares, price : float or None
        As filed: not adjusted for splits; `price` in USD a share, in table D often a notional.
    flags : tuple of str
        See the module's list.
    """

    table: TableLetter
    ordinal: int
    security_title: str | None
    transacted_on: date | None
    transacted_on_checked: date | None
    code: str | None
    acquired_disposed: str | None
    shares: float | None
    price: float | None
    direct_indirect: str | None
    shares_after: float | None
    plan_10b5_1: Plan
    price_is_average: bool
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filing:
    """One submission of Form 4 or 4/A.

    Attributes
    ----------
    accession, form : str
    accepted_at : datetime or None
        UTC. None for a bare ownership document: such a filing is never timed.
    filed_on, period, original_filed_on : date or None
        EDGAR's filing date; period of report; for a 4/A the date of the original submission.
    issuer_cik : str
        Ten digits, from the ownership document.
    issuer_symbol : str or None
        As filed, often not a ticker.
    owners, transactions : tuple
    """

    accession: str
    form: str
    accepted_at: datetime | None
    filed_on: date | None
    period: date | None
    original_filed_on: date | None
    issuer_cik: str
    issuer_name: str | None
    issuer_symbol: str | None
    owners: tuple[Owner, ...]
    transactions: tuple[Transaction, ...]
    flags: tuple[str, ...]


def parse_submission(text: str | bytes, name: str) -> Filing:
    """Parse a full submission, or an ownership document alone.

    Parameters
    ----------
    text : str or bytes
        The content of ``full-submission.txt`` (what follows the first XML block is not needed), or
        of the ownership ``.xml``.
    name : str
        The file's or folder's name; gives the accession number where the content tells none.

    Raises
    ------
    Form4Error
        If it is not a Form 4 or 4/A that can be understood; the text says why.

    Notes
    -----
    **Known at** `Filing.accepted_at`.
    """
    content = text.encode("utf-8") if isinstance(text, str) else text
    header, xml = split_submission(content)
    if header is not None and header.form is not None:
        _require_form(header.form)
    if isinstance(text, str):
        xml = re.sub(rb'(<\?xml[^>]*?)\s+encoding\s*=\s*["\'][^"\']*["\']', rb"\1", xml, count=1)
    document, recovered = parse_document(xml)
    return _filing(header, document, name, recovered)


def _require_form(form: str) -> None:
    if form not in FORMS:
        raise Form4Error(f"another form: expected 4 or 4/A, received {form}")


def _filing(header: Header | None, document: Element, name: str, recovered: bool) -> Filing:
    said = top_texts(document)
    stated_form = said.get("documentType")
    form = (header.form if header else None) or stated_form
    if form is None:
        raise Form4Error("no form type: expected 4 or 4/A in the header or the document, received none")
    _require_form(form)
    accepted_at = header.accepted_at if header else None
    flags = _document_flags(said, header, form, recovered)
    period = day(said.get("periodOfReport")) or (header.period if header else None)
    issuer = top_texts(element) if (element := document.find("issuer")) is not None else {}
    return Filing(
        accession=_accession(header, name),
        form=form,
        accepted_at=accepted_at,
        filed_on=header.filed_on if header else None,
        period=period,
        original_filed_on=day(said.get("dateOfOriginalSubmission")),
        issuer_cik=_issuer_cik(header, issuer),
        issuer_name=issuer.get("issuerName"),
        issuer_symbol=issuer.get("issuerTradingSymbol"),
        owners=_owners(header, document),
        transactions=_transactions(document, period, accepted_at, flags),
        flags=flags,
    )


def _document_flags(said: dict[str, str], header: Header | None, form: str, recovered: bool) -> tuple[str, ...]:
    accepted_at = header.accepted_at if header else None
    filed_on = header.filed_on if header else None
    accepted_on = None if accepted_at is None else accepted_at.astimezone(_EASTERN).date()
    found = {
        "no_acceptance_time": accepted_at is None,
        "recovered_xml": recovered,
        "form_differs": said.get("documentType", form) != form,
        "filed_before_accepted": filed_on is not None and accepted_on is not None and filed_on < accepted_on,
        "not_subject_to_section_16": bool(truth(said.get("notSubjectToSection16"))),
    }
    return tuple(flag for flag, holds in found.items() if holds)


def _accession(header: Header | None, name: str) -> str:
    if header and header.accession:
        return header.accession
    found = _ACCESSION.search(name)
    return found.group(1) if found else name


def _issuer_cik(header: Header | None, issuer: dict[str, str]) -> str:
    cik = issuer.get("issuerCik") or (header.issuer_cik if header else None)
    if cik is None or not cik.isdigit():
        raise Form4Error(f"no issuer: expected a CIK in <issuerCik>, received {cik!r}")
    return cik.zfill(10)


def _owners(header: Header | None, document: Element) -> tuple[Owner, ...]:
    remarks = full_text(document.find("remarks"))
    owners = tuple(
        owner for element in document.iterfind("reportingOwner") if (owner := _owner(element, remarks)) is not None
    )
    if owners or header is None:
        return owners
    return tuple(Owner(cik, name, False, False, False, None, "other") for cik, name in header.owners)


def _owner(element: Element, remarks: str) -> Owner | None:
    text = leaves(element).texts.get
    cik = text("rptOwnerCik")
    if cik is None:
        return None
    relationship = {
        "is_director": bool(truth(text("isDirector"))),
        "is_officer": bool(truth(text("isOfficer"))),
        "is_ten_percent_owner": bool(truth(text("isTenPercentOwner"))),
    }
    title = text("officerTitle")
    role = role_of(**relationship, officer_title=title, remarks=remarks)
    return Owner(cik.zfill(10), text("rptOwnerName") or "", **relationship, officer_title=title, role=role)


def owners_role(owners: tuple[Owner, ...]) -> Role:
    """Return the strongest role among a filing's owners."""
    return owners[0].role if len(owners) == 1 else strongest([owner.role for owner in owners])


def _transactions(
    document: Element, period: date | None, accepted_at: datetime | None, document_flags: tuple[str, ...]
) -> tuple[Transaction, ...]:
    rows = [
        (letter, ordinal, leaves(element))
        for letter, path in _TABLES
        for ordinal, element in enumerate(document.iterfind(path), start=1)
    ]
    footnotes = read_footnotes(document)
    plans = PlanReader(document, footnotes, (row for _, _, row in rows))
    accepted_on = None if accepted_at is None else accepted_at.astimezone(_EASTERN).date()
    common = (*document_flags, "plan_in_text_only") if plans.contradicts_box else document_flags
    return tuple(
        _transaction(letter, ordinal, row, plans, footnotes, period, accepted_on, common)
        for letter, ordinal, row in rows
    )


def _transaction(
    letter: TableLetter,
    ordinal: int,
    row: Leaves,
    plans: PlanReader,
    footnotes: dict[str, str],
    period: date | None,
    accepted_on: date | None,
    document_flags: tuple[str, ...],
) -> Transaction:
    text = row.texts.get
    title = text("securityTitle")
    transacted_on = day(text("transactionDate"))
    checked, date_flags = _checked_date(transacted_on, period, accepted_on)
    code = text("transactionCode")
    direction = text("transactionAcquiredDisposedCode")
    price = number(text("transactionPricePerShare"))
    flags = (*document_flags, *date_flags, *_row_flags(row, letter, title, code, direction, price))
    return Transaction(
        table=letter,
        ordinal=ordinal,
        security_title=title,
        transacted_on=transacted_on,
        transacted_on_checked=checked,
        code=code,
        acquired_disposed=direction,
        shares=number(text("transactionShares")),
        price=price,
        direct_indirect=text("directOrIndirectOwnership"),
        shares_after=number(text("sharesOwnedFollowingTransaction")),
        plan_10b5_1=plans.plan(row),
        price_is_average=price_is_average(row, footnotes),
        flags=flags,
    )


def _checked_date(
    filed: date | None, period: date | None, accepted_on: date | None
) -> tuple[date | None, tuple[str, ...]]:
    """Return the trade's date; where it cannot be true the period of report; None where that cannot either."""
    credible = period if period is not None and is_credible(period, accepted_on) else None
    if filed is None:
        return credible, ("date_missing",)
    if filed.year < FIRST_CREDIBLE_YEAR:
        return credible, ("date_before_1990",)
    if accepted_on is None:
        return filed, ()
    if filed > accepted_on:
        return credible, ("date_after_acceptance",)
    return filed, ("late",) if (accepted_on - filed).days > LATE_DAYS else ()


def is_credible(day: date, accepted_on: date | None) -> bool:
    """Tell whether something can have happened on `day` that was filed on `accepted_on`."""
    return day.year >= FIRST_CREDIBLE_YEAR and (accepted_on is None or day <= accepted_on)


def _row_flags(
    row: Leaves, letter: TableLetter, title: str | None, code: str | None, direction: str | None, price: float | None
) -> tuple[str, ...]:
    market_trade = letter == "N" and code in _DIRECTION_OF_CODE
    found = {
        "code_missing": code is None,
        "code_contradicts_direction": market_trade and direction not in (None, _DIRECTION_OF_CODE[code or ""]),
        "price_missing": market_trade and price is None,
        "price_zero": market_trade and price is not None and price <= 0,
        "not_common_stock": letter == "N" and not is_common_stock(title),
        "form_5_item": row.texts.get("transactionFormType") == "5",
        "equity_swap": bool(truth(row.texts.get("equitySwapInvolved"))),
    }
    return tuple(flag for flag, holds in found.items() if holds)


def is_common_stock(title: str | None) -> bool:
    """Tell whether a security's title may name the listed share: not a preferred, note, warrant or the like."""
    if title is None or _COMMON_SECURITY.search(title):
        return True
    return _OTHER_SECURITY.search(title) is None
