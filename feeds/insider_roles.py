"""Who traded: the relationship boxes and the free-text title, as one role.

Titles are free text (1,462 different ones in 18,000 filings). A chief executive of a subsidiary, a
former one and an assistant to one are not the chief executive; "See Remarks" sends the reader there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Role = Literal["ceo", "cfo", "officer", "director", "ten_percent_owner", "other"]
ROLES: tuple[Role, ...] = ("ceo", "cfo", "officer", "director", "ten_percent_owner", "other")

_CEO = re.compile(r"\bC\.?E\.?O\b\.?|chief\s+exec\w*\.?(?:\s+off\w*\.?)?", re.IGNORECASE)
_CFO = re.compile(r"\bC\.?F\.?O\b\.?|chief\s+fin\w*\.?(?:\s+off\w*\.?)?|principal\s+financial\s+officer", re.IGNORECASE)
# What may follow the title of the whole company's chief. Any other word ("CEO Commercial Banking",
# "CEO of X", "Pres. & CEO, Streaming") names a part of the company.
_WHOLE_COMPANY = re.compile(
    r"\W*(?:of\s+)?(?:(?:and|the)\b)?\W*(?:$|company\b|issuer\b|registrant\b|and\b|co-|chair|pres|dir|sec|treas|"
    r"[es]?vp\b|c[a-z]o\b|chief\b|principal\b|exec|senior\b|sr\b|vice\b|interim\b|acting\b|founder|member|"
    r"manag|general\b|gen\b|corp|admin|finance\b|account)",
    re.IGNORECASE,
)
_NOT_THE_HOLDER = re.compile(
    r"\b(?:former|formerly|ex-|retired|past|deputy|assistant|asst|advis[eo]r|associate|division(?:al)?|subsidiary|"
    r"office\s+of\s+the|to\s+the\s+c[ef]o|designate|elect)\b|\bex-",
    re.IGNORECASE,
)
_SEE_ELSEWHERE = re.compile(r"\bsee\b.*\b(?:remark|foot|note|below|explanation)|^\s*\(?\d\)?\s*$", re.IGNORECASE)


@lru_cache(maxsize=8192)
def role_of(
    *, is_director: bool, is_officer: bool, is_ten_percent_owner: bool, officer_title: str | None, remarks: str = ""
) -> Role:
    """Return the strongest role that a reporting owner holds.

    Parameters
    ----------
    is_director, is_officer, is_ten_percent_owner : bool
        The form's boxes.
    officer_title : str or None
        As filed; one that sends the reader elsewhere is looked up in `remarks`.
    """
    if is_officer:
        return _officer_role(_title_text(officer_title, remarks))
    if is_director:
        return "director"
    return "ten_percent_owner" if is_ten_percent_owner else "other"


def strongest(roles: list[Role]) -> Role:
    """Return the strongest of several owners' roles; ``other`` for none."""
    return min(roles, key=ROLES.index, default="other")


def _title_text(title: str | None, remarks: str) -> str:
    if title and _SEE_ELSEWHERE.search(title):
        return remarks
    return title or ""


def _officer_role(title: str) -> Role:
    if _NOT_THE_HOLDER.search(title):
        return "officer"
    if chief := _CEO.search(title):
        return "ceo" if _WHOLE_COMPANY.match(title, chief.end()) else "officer"
    chief = _CFO.search(title)
    return "cfo" if chief and _WHOLE_COMPANY.match(title, chief.end()) else "officer"
