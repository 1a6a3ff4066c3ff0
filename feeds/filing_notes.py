"""What footnotes and remarks say about a trade: an averaged price, a 10b5-1 plan.

The box ``aff10b5One`` exists since schema X0407 (March 2023) and speaks for the whole document.
Before it, only the footnotes tell, and their silence means unknown, not "no plan".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from feeds.ownership_xml import Element, Leaves, full_text, truth, value

Plan = Literal["true", "false", "unknown"]

# Not 10b-5 (the antifraud rule): the 5 stands before the 1, with any of the dashes in use.
PLAN = re.compile(r"10b5\s*[-\u2010-\u2015\u2212]?\s*1", re.IGNORECASE)
AVERAGE = re.compile(r"weighted[\s-]*average|average\s+(?:\w+\s+)?price|volume[\s-]*weighted", re.IGNORECASE)
SEVERAL = re.compile(r"multiple\s+(?:\w+\s+)?(?:trades|transactions|prices)|pric\w+\s+rang\w+", re.IGNORECASE)
_PRICE_ELEMENT = "transactionPricePerShare"


def read_footnotes(document: Element) -> dict[str, str]:
    """Return footnote id → text."""
    return {note.get("id", ""): full_text(note) for note in document.iterfind("footnotes/footnote")}


def price_is_average(transaction: Leaves, footnotes: Mapping[str, str]) -> bool:
    """Tell whether the price stands for several trades, by the footnotes of the price and of the row."""
    for tag, key in transaction.notes:
        text = footnotes.get(key, "")
        if AVERAGE.search(text) or (tag == _PRICE_ELEMENT and SEVERAL.search(text)):
            return True
    return False


class PlanReader:
    """Answers for one document which of its rows were traded under a 10b5-1 plan.

    With the box ticked or unticked every row has that answer. Without a box, a row is ``true`` when
    one of its own footnotes, the remarks, or a footnote that no row refers to names the rule;
    otherwise ``unknown``.
    """

    def __init__(self, document: Element, footnotes: Mapping[str, str], transactions: Iterable[Leaves]) -> None:
        self._box = truth(value(document, "aff10b5One"))
        remarks = full_text(document.find("remarks"))
        self._plan_notes = {key for key, text in footnotes.items() if PLAN.search(text)}
        self.mentioned = bool(self._plan_notes) or PLAN.search(remarks) is not None
        self._whole_document = False
        if self._box is None and self.mentioned:
            referred = {key for transaction in transactions for _, key in transaction.notes}
            self._whole_document = bool(self._plan_notes - referred) or PLAN.search(remarks) is not None

    @property
    def contradicts_box(self) -> bool:
        """True where the box says no and the text names the rule (another plan, or its adoption)."""
        return self._box is False and self.mentioned

    def plan(self, transaction: Leaves) -> Plan:
        """Return the answer for one transaction."""
        if self._box is not None:
            return "true" if self._box else "false"
        if self._whole_document or any(key in self._plan_notes for _, key in transaction.notes):
            return "true"
        return "unknown"
