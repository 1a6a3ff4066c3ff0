"""Synthetic Form 4 submissions for the tests: text of our own in EDGAR's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def wrapped(name: str, value: object, note: str | None = None) -> str:
    reference = f'<footnoteId id="{note}"/>' if note else ""
    inner = "" if value is None else f"<value>{value}</value>"
    return f"<{name}>{inner}{reference}</{name}>"


def transaction(
    code: str | None = "P",
    shares: object = 100,
    price: object = 10,
    direction: str | None = None,
    date: str | None = "2015-02-02",
    *,
    table: str = "N",
    title: str = "Common Stock",
    nature: str = "D",
    after: object = 1000,
    price_note: str | None = None,
    extra: str = "",
) -> str:
    """One transaction element; the direction follows the code unless given."""
    direction = direction or ("A" if code in ("P", "A", "M", "L") else "D")
    tag = "nonDerivativeTransaction" if table == "N" else "derivativeTransaction"
    coding = (
        ""
        if code is None
        else (
            f"<transactionCoding><transactionFormType>4</transactionFormType><transactionCode>{code}</transactionCode>"
            f"<equitySwapInvolved>0</equitySwapInvolved></transactionCoding>"
        )
    )
    return (
        f"<{tag}>{wrapped('securityTitle', title)}{wrapped('transactionDate', date) if date else ''}{coding}{extra}"
        f"<transactionAmounts>{wrapped('transactionShares', shares)}"
        f"{wrapped('transactionPricePerShare', price, price_note)}"
        f"{wrapped('transactionAcquiredDisposedCode', direction)}</transactionAmounts>"
        f"<postTransactionAmounts>{wrapped('sharesOwnedFollowingTransaction', after)}</postTransactionAmounts>"
        f"<ownershipNature>{wrapped('directOrIndirectOwnership', nature)}</ownershipNature></{tag}>"
    )


def document(
    rows: Sequence[str],
    *,
    form: str = "4",
    issuer: str = "0000000101",
    symbol: str = "T000",
    owners: Sequence[dict[str, Any]] = ({},),
    period: str = "2015-02-02",
    footnotes: dict[str, str] | None = None,
    extra: str = "",
    remarks: str = "",
) -> str:
    """The ownership document alone."""
    people = "".join(_owner(**owner) for owner in owners)
    plain = "".join(row for row in rows if row.startswith("<nonD"))
    derived = "".join(row for row in rows if row.startswith("<deriv"))
    notes = "".join(f'<footnote id="{key}">{text}</footnote>' for key, text in (footnotes or {}).items())
    return (
        f'<?xml version="1.0"?>\n<ownershipDocument><documentType>{form}</documentType>'
        f"<periodOfReport>{period}</periodOfReport>{extra}<issuer><issuerCik>{issuer}</issuerCik>"
        f"<issuerName>ISSUER</issuerName><issuerTradingSymbol>{symbol}</issuerTradingSymbol></issuer>{people}"
        f"<nonDerivativeTable>{plain}</nonDerivativeTable><derivativeTable>{derived}</derivativeTable>"
        f"<footnotes>{notes}</footnotes><remarks>{remarks}</remarks></ownershipDocument>"
    )


def _owner(
    cik: str = "0000009001",
    name: str = "DOE JANE",
    director: object = 1,
    officer: object = 0,
    ten: object = 0,
    title: str = "",
) -> str:
    return (
        f"<reportingOwner><reportingOwnerId><rptOwnerCik>{cik}</rptOwnerCik><rptOwnerName>{name}</rptOwnerName>"
        f"</reportingOwnerId><reportingOwnerRelationship><isDirector>{director}</isDirector>"
        f"<isOfficer>{officer}</isOfficer><isTenPercentOwner>{ten}</isTenPercentOwner>"
        f"<officerTitle>{title}</officerTitle></reportingOwnerRelationship></reportingOwner>"
    )


def submission(
    xml: str,
    *,
    accession: str = "0000000001-15-000001",
    accepted: str = "20150203120000",
    form: str = "4",
    filed: str | None = None,
    issuer_first: bool = False,
    after: str = "",
) -> str:
    """A full submission around an ownership document; `accepted` is New York wall-clock time."""
    owner = _party("REPORTING-OWNER:\t", "OWNER", "DOE JANE", "0000009001")
    issuer = _party("ISSUER:\t\t", "COMPANY", "ISSUER", "0000000101")
    parties = issuer + owner if issuer_first else owner + issuer
    return (
        f"<SEC-DOCUMENT>{accession}.txt : {accepted[:8]}\n<SEC-HEADER>{accession}.hdr.sgml : {accepted[:8]}\n"
        f"<ACCEPTANCE-DATETIME>{accepted}\nACCESSION NUMBER:\t\t{accession}\nCONFORMED SUBMISSION TYPE:\t{form}\n"
        "PUBLIC DOCUMENT COUNT:\t\t1\nCONFORMED PERIOD OF REPORT:\t20150202\n"
        f"FILED AS OF DATE:\t\t{filed or accepted[:8]}\n\n"
        f"{parties}</SEC-HEADER>\n<DOCUMENT>\n<TYPE>{form}\n<TEXT>\n<XML>\n{xml}\n</XML>\n</TEXT>\n</DOCUMENT>\n{after}"
        "</SEC-DOCUMENT>\n"
    )


def _party(block: str, kind: str, name: str, cik: str) -> str:
    return (
        f"{block}\n\n\t{kind} DATA:\t\n\t\tCOMPANY CONFORMED NAME:\t\t\t{name}\n\t\tCENTRAL INDEX KEY:\t\t\t{cik}\n\n"
    )
