"""Is this really the filing that was asked for? What every downloaded byte is held to.

Downloaders that do not ask store error pages as filings: of 17,985 files that one left, three were
pages "Request Rate Threshold Exceeded" and one was empty; another kept prospectuses under "4".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from feeds.form4 import FORMS, Form4Error, Header, parse_submission
from feeds.sgml import split_submission

_STARTS = (b"<SEC-DOCUMENT>", b"-----BEGIN PRIVACY")
_ENDS = (b"</SEC-DOCUMENT>", b"-----END PRIVACY-ENHANCED MESSAGE-----")
_DOCUMENT = b"<ownershipDocument"


class BadFiling(ValueError):
    """These bytes are not the filing, or not all of it; the text says why. Ask again."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verified filing says of itself.

    Attributes
    ----------
    form : str
        ``4`` or ``4/A``.
    accepted_at : datetime or None
        UTC.
    issuer_cik : str or None
        Ten digits; differs from the company asked for where that is only the owner.
    reason : str or None
        None where there is exactly one ownership document that can be parsed; else why not: before
        mid 2003 filings hold plain text, and a few later ones are damaged at the SEC itself.
    """

    form: str
    accepted_at: datetime | None
    issuer_cik: str | None
    reason: str | None = None


def check_filing(content: bytes, accession: str) -> Checked:
    """Hold a full submission to size, start, end, accession number, form and ownership document.

    Raises
    ------
    BadFiling
        If the container is not this accession's whole Form 4 or 4/A. A document inside that cannot
        be understood is no error: it is the `reason` of the result.
    """
    start, end = content[:64].lstrip(b"\xef\xbb\xbf \t\r\n"), content[-256:].rstrip()
    if not content:
        raise BadFiling("empty: 0 bytes")
    if not start.startswith(_STARTS):
        raise BadFiling(f"not a filing: it begins with {bytes(start[:20])!r}")
    if not end.endswith(_ENDS):
        raise BadFiling(f"cut short: {len(content):,} bytes without the closing line")
    return _checked(content, accession)


def _checked(content: bytes, accession: str) -> Checked:
    try:
        header, _ = split_submission(content)
    except Form4Error as error:
        return _without_document(content, accession, str(error))
    form = _require(header, accession)
    reason, issuer = _document(content, accession)
    return _described(header, form, issuer, reason)


def _require(header: Header | None, accession: str) -> str:
    found, form = (header.accession, header.form) if header else (None, None)
    if found != accession:
        raise BadFiling(f"another filing: its header names {found}")
    if form not in FORMS:
        raise BadFiling(f"another form: expected 4 or 4/A, received {form}")
    return form


def _document(content: bytes, accession: str) -> tuple[str | None, str | None]:
    count = content.count(_DOCUMENT)
    if count != 1:
        return f"holds {count} ownership documents", None
    try:
        return None, parse_submission(content, accession).issuer_cik
    except ValueError as error:
        return str(error), None


def _without_document(content: bytes, accession: str, reason: str) -> Checked:
    """Read the header of a submission without an XML block, by lending it an empty one."""
    head = content[: 64 * 1024].split(b"<DOCUMENT>")[0]
    header, _ = split_submission(head + b"<XML></XML>")
    return _described(header, _require(header, accession), None, reason)


def _described(header: Header | None, form: str, issuer: str | None, reason: str | None) -> Checked:
    accepted_at, stated = (header.accepted_at, header.issuer_cik) if header else (None, None)
    return Checked(form, accepted_at, issuer or stated, reason)
