"""Reading the ownership document as a tree, safely, and its elements, tolerantly.

Nothing is fetched, no entity is expanded and no document type declaration is accepted: a Form 4 has
none, and a declaration is how a small file becomes gigabytes. Malformed documents (2003 to 2008, and
some odd filing agents) are read a second time in the parser's recovering mode, and say so.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from lxml import etree

from feeds.sgml import Form4Error

Element = Any
ROOT = "ownershipDocument"
_DECLARATION = re.compile(rb"<!((?i:DOCTYPE|ENTITY))")
_TRUE = frozenset({"1", "true", "y", "yes"})


def parse_document(xml: bytes) -> tuple[Element, bool]:
    """Return the ownership document's root and whether it had to be recovered.

    Raises
    ------
    Form4Error
        If it declares a document type or entities, cannot be read even with recovery, or is
        another kind of document.
    """
    # Looking for the two bytes first is ten times faster than the pattern alone.
    if b"<!" in xml and (declared := _DECLARATION.search(xml)):
        raise Form4Error(f"unsafe XML: a <!{declared.group(1).decode()}> declaration, which no Form 4 has")
    root, recovered = _tree(xml)
    if root.getroottree().docinfo.internalDTD is not None:
        # The byte search does not see a declaration in UTF-16.
        raise Form4Error("unsafe XML: a <!DOCTYPE> declaration, which no Form 4 has")
    _strip_namespaces(root)
    if root.tag != ROOT:
        raise Form4Error(f"another document: expected <{ROOT}> at the top of its XML, received <{root.tag}>")
    return root, recovered


def value(element: Element | None, name: str) -> str | None:
    """Return the text of child `name`, wrapped in ``<value>`` or not; None where absent or empty."""
    if element is None:
        return None
    child = element.find(name)
    if child is None:
        return None
    inner = child.find("value")
    text = (child if inner is None else inner).text
    return (text.strip() or None) if text else None


def top_texts(element: Element) -> dict[str, str]:
    """Return child tag → text of an element's own children, as `value` finds it; absent and empty ones are missing.

    One pass instead of a search per name.
    """
    texts: dict[str, str] = {}
    for child in element:
        inner = child.find("value") if len(child) else None
        text = (child if inner is None else inner).text
        if child.tag not in texts:
            texts[child.tag] = text.strip() if text else ""
    return {tag: text for tag, text in texts.items() if text}


def truth(text: str | None) -> bool | None:
    """Return a text (``1``, ``true``, ...) as a boolean; None where there is none."""
    return None if text is None else text.lower() in _TRUE


def number(text: str | None) -> float | None:
    """Return a number as filed (thousands separators and a dollar sign allowed), None where there is none."""
    if text is None:
        return None
    try:
        parsed = float(text)
    except ValueError:
        try:
            parsed = float(text.replace(",", "").replace("$", "").strip())
        except ValueError:
            return None
    return parsed if math.isfinite(parsed) else None


@lru_cache(maxsize=4096)
def day(text: str | None) -> date | None:
    """Return a date; ``2023-06-29-05:00`` (with its zone) is the day that it names. None where unreadable."""
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Leaves:
    """One transaction element, flattened: its tags are unique, so no path is needed.

    Attributes
    ----------
    texts : dict of tag to text
        Text of each element, wrapped in ``<value>`` or not; absent and empty ones are missing.
    notes : tuple of (tag, footnote id)
        Which element refers to which footnote.
    """

    texts: dict[str, str]
    notes: tuple[tuple[str, str], ...]


def leaves(element: Element) -> Leaves:
    """Flatten `element` in one pass over it."""
    texts: dict[str, str] = {}
    notes = []
    name = ""
    for inner in element.iter():
        tag = inner.tag
        if tag == "footnoteId":
            notes.append((name, inner.get("id", "")))
            continue
        if tag != "value":
            name = tag
        text = inner.text
        if text and (text := text.strip()):
            texts.setdefault(name, text)
    return Leaves(texts, tuple(notes))


def full_text(element: Element | None) -> str:
    """Return all text inside `element`, empty where it is absent."""
    return "" if element is None else "".join(element.itertext()).strip()


@lru_cache(maxsize=2)
def _parser(recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=recover,
        remove_comments=True,
        remove_pis=True,
    )


def _tree(xml: bytes) -> tuple[Element, bool]:
    try:
        return etree.fromstring(xml, _parser(recover=False)), False
    except etree.XMLSyntaxError as error:
        reason = error.msg
    try:
        root = etree.fromstring(xml, _parser(recover=True))
    except etree.XMLSyntaxError:
        root = None
    if root is None:
        raise Form4Error(f"unreadable XML, even with recovery: {reason}")
    return root, True


def _strip_namespaces(root: Element) -> None:
    if not isinstance(root.tag, str) or not root.tag.startswith("{"):
        return
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
