"""The container of an EDGAR submission: a header of labelled lines, then documents.

Only two things are wanted of it: the header (who, which form, **when accepted**) and the first
``<XML>`` block, which in a Form 4 is the ownership document. Attachments after it are never read:
a power of attorney scanned into a filing makes single files of 13 MB.

Facts: EDGAR's header writes ``<ACCEPTANCE-DATETIME>`` as New York wall-clock time without a zone;
the order of the ISSUER and REPORTING-OWNER blocks varies; values may be empty. The feed variant
(``<SUBMISSION><ACCESSION-NUMBER>...``) has no acceptance time at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from feeds.sessions import NEW_YORK

SIZE_LIMIT_BYTES = 25 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_EASTERN = ZoneInfo(NEW_YORK)


def _labelled(label: str, variant: str, content: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"{start}[ \t]*{content}", re.MULTILINE) for start in (label, variant))


_HEADER_END = re.compile(rb"<(?i:/SEC-HEADER>|/IMS-HEADER>|DOCUMENT>)")
_XML_OPEN = re.compile(rb"<(?i:XML>)")
_XML_CLOSE = re.compile(rb"</(?i:XML>)")
_ACCEPTED = (re.compile(r"<ACCEPTANCE-DATETIME>\s*(\d{14})"),)
# EDGAR's label, then the feed variant's: apart, because a pattern that begins with plain text is found fastest.
_ACCESSION = _labelled("ACCESSION NUMBER:", "<ACCESSION-NUMBER>", r"(\d{10}-\d{2}-\d{6})")
_FORM = _labelled("CONFORMED SUBMISSION TYPE:", "^<TYPE>", r"(\S+)")
_PERIOD = _labelled("CONFORMED PERIOD OF REPORT:", "^<PERIOD>", r"(\d{8})")
_FILED = _labelled("FILED AS OF DATE:", "^<FILING-DATE>", r"(\d{8})")
_BLOCK = re.compile(r"^(?:<?(REPORTING-OWNER|ISSUER|SUBJECT-COMPANY|FILER)[:>])", re.MULTILINE)
_CIK = _labelled("CENTRAL INDEX KEY:", "<CIK>", r"(\d{1,10})")
_NAME = _labelled("COMPANY CONFORMED NAME:", "<CONFORMED-NAME>", r"(\S[^\r\n]*)")
# An XML document by itself; the first two are the byte order marks of UTF-16.
_BARE_DOCUMENT = (b"\xff\xfe", b"\xfe\xff", b"<?xml", b"<ownershipDocument")
_THROTTLE = re.compile(rb"Request Rate Threshold Exceeded|Undeclared Automated Tool", re.IGNORECASE)


class Form4Error(ValueError):
    """A document that is not a usable Form 4; the text is the reason, one sentence."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a submission's header says.

    Attributes
    ----------
    accession : str or None
        Accession number, ``0001127602-23-012303``.
    form : str or None
        Submission type, ``4`` or ``4/A`` for what this project reads.
    accepted_at : datetime or None
        When EDGAR accepted it, UTC. The only instant that may time anything.
    filed_on, period : date or None
        EDGAR's filing date (may differ from the acceptance date in either direction) and period of report.
    text : str
        The header itself; the document tells more of the parties, so that they are looked for only when asked for.
    """

    accession: str | None
    form: str | None
    accepted_at: datetime | None
    filed_on: date | None
    period: date | None
    text: str = field(repr=False)

    @property
    def issuer_cik(self) -> str | None:
        """Ten digits; None where the header names no issuer."""
        issuers = (cik for role, cik, _ in _parties(self.text) if role in ("ISSUER", "SUBJECT-COMPANY"))
        return next(issuers, None)

    @property
    def owners(self) -> tuple[tuple[str, str], ...]:
        """(CIK, name) of each reporting owner."""
        return tuple((cik, name) for role, cik, name in _parties(self.text) if role == "REPORTING-OWNER")


def read_submission(path: Path) -> bytes:
    """Read a file up to the end of its first XML block.

    Raises
    ------
    Form4Error
        If the file is empty or larger than `SIZE_LIMIT_BYTES`.
    """
    size = path.stat().st_size
    _check_size(size)
    content = bytearray()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            # A closing tag may lie across two chunks.
            searched = max(0, len(content) - 8)
            content += chunk
            if _XML_CLOSE.search(content, searched):
                break
    return bytes(content)


def split_submission(content: bytes) -> tuple[Header | None, bytes]:
    """Split a submission in its header and its first XML block.

    A bare ownership document (``.xml``) has no header: the first value is then None.

    Raises
    ------
    Form4Error
        If the content is empty, too large, an error page, cut off, or holds no XML block.
    """
    _check_size(len(content))
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise Form4Error("empty file: it holds white space only; download it again")
    if start.startswith(_BARE_DOCUMENT):
        return None, start
    if start[:14].lower() == b"<!doctype html" or start[:5].lower() == b"<html":
        throttled = _THROTTLE.search(start, 0, _CHUNK_BYTES)
        page = "a page of sec.gov that refuses too many requests" if throttled else "an HTML page"
        raise Form4Error(f"not a filing: {page}; download it again")
    return _header(start), _first_xml(start)


def _check_size(size: int) -> None:
    if size == 0:
        raise Form4Error("empty file: it holds 0 bytes; download it again")
    if size > SIZE_LIMIT_BYTES:
        limit = SIZE_LIMIT_BYTES // 1024**2
        raise Form4Error(f"too large: expected at most {limit} MiB, received {size / 1024**2:.1f} MiB")


def _first_xml(content: bytes) -> bytes:
    opened = _XML_OPEN.search(content)
    if opened is None:
        raise Form4Error("no XML block: expected a submission with an ownership document, received text without one")
    closed = _XML_CLOSE.search(content, opened.end())
    if closed is None:
        raise Form4Error("cut off: its XML block is not closed; download it again")
    return content[opened.end() : closed.start()].strip()


def _header(content: bytes) -> Header:
    end = _HEADER_END.search(content)
    text = content[: end.start() if end else _CHUNK_BYTES].decode("utf-8", "replace")
    accepted = _first(_ACCEPTED, text)
    return Header(
        accession=_first(_ACCESSION, text),
        form=_first(_FORM, text),
        accepted_at=None if accepted is None else _eastern_to_utc(accepted),
        filed_on=_compact_date(_first(_FILED, text)),
        period=_compact_date(_first(_PERIOD, text)),
        text=text,
    )


def _parties(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (block, CIK, name) of each party's block, in the order in which they stand."""
    marks = list(_BLOCK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=False):
        block = text[mark.end() : end]
        cik = _first(_CIK, block)
        if cik is not None:
            yield mark.group(1), cik.zfill(10), (_first(_NAME, block) or "").strip()


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> str | None:
    """Return what the first pattern that finds something finds."""
    for pattern in patterns:
        if found := pattern.search(text):
            return found.group(1)
    return None


def _eastern_to_utc(digits: str) -> datetime | None:
    try:
        # ISO 8601's basic form: several times faster to read than strptime.
        local = datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}")
    except ValueError:
        return None
    return local.replace(tzinfo=_EASTERN).astimezone(UTC)


def _compact_date(digits: str | None) -> date | None:
    try:
        return None if digits is None else date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
