"""The adapter of backtrader: lines that refuse to be read outside the bars that have been."""

from __future__ import annotations

from functools import cache
from typing import Any

import backtrader as bt

from feeds.adapter.lines import SafeLinesFeed
from feeds.adapter.naming import buffers, describe, not_listed
from feeds.errors import InputError

_Anything: Any = object  # what the mixin comes before is a line


class Guarded(_Anything):
    """Put before a line's class: reading what lies after the present bar or before the first raises."""

    def __getitem__(self, ago: int) -> float:
        check_reading(self, ago)
        return super().__getitem__(ago)

    def get(self, ago: int = 0, size: int = 1) -> Any:
        """Return `size` values up to `ago`."""
        check_reading(self, ago)
        if size > 0:
            check_reading(self, ago - size + 1)
        return super().get(ago, size)

    def getzeroval(self, idx: int = 0) -> float:
        """Return the value of a bar counted from the first."""
        check_reading(self, idx + 1 - len(self))
        return super().getzeroval(idx)

    def getzero(self, idx: int = 0, size: int = 1) -> Any:
        """Return `size` values from a bar counted from the first."""
        check_reading(self, idx + 1 - len(self))
        check_reading(self, idx + size - len(self))
        return super().getzero(idx, size)


def check_reading(line: Any, ago: int) -> None:
    """Raise unless `line` has a bar `ago` bars from the present one, and that bar has been.

    Raises
    ------
    InputError
        Naming the line, its feed or indicator, and the index.
    """
    if line.__dict__.get("refused"):
        raise InputError(line.refused)
    if ago > 0:
        raise InputError(
            f"{describe(line)}: expected an index of 0 or below, received [{ago}], {_bars(ago)} after the present; "
            "what is not known yet cannot be read"
        )
    if not len(line):
        raise not_listed(line)
    # A line that keeps only its last bars (exactbars) counts more than it holds.
    if len(line) + ago <= 0:
        raise InputError(
            f"{describe(line)}: expected an index from [{1 - len(line)}] to [0], for it has {_bars(len(line))}, "
            f"received [{ago}]; wait until there are enough"
        )


def _bars(count: int) -> str:
    return f"{count} bar{'s' if count != 1 else ''}"


def guardable(line_or_lines: Any) -> list[Any]:
    """Return the lines that may be guarded: not the dates of a feed of backtrader's own, which peeks at the next."""
    found = buffers(line_or_lines)
    is_theirs = isinstance(line_or_lines, bt.feed.AbstractDataBase) and not isinstance(line_or_lines, SafeLinesFeed)
    return [line for line in found if not (is_theirs and line is line_or_lines.lines.datetime)]


def guard(line: Any) -> None:
    """Let a line raise where it is read outside the bars that have been."""
    if not isinstance(line, Guarded):
        plain: Any = type(line)
        line.__class__ = combined(Guarded, plain)


def refuse_reading(line: Any, why: str) -> None:
    """Let a guarded line raise wherever it is read, with this text."""
    line.refused = why


def unguard(line: Any) -> None:
    """Undo `guard` and `refuse_reading`; a line that has no guard stays as it is."""
    if isinstance(line, Guarded):
        line.__dict__.pop("refused", None)
        line.__class__ = plain_class(line.__class__)


@cache
def combined(mixin: Any, plain: Any) -> Any:
    # Through the metaclass, for the lines that operations of lines are.
    metaclass: Any = type(plain)
    return metaclass(f"{mixin.__name__}{plain.__name__}", (mixin, plain), {"__module__": __name__})


def plain_class(guarded: Any) -> Any:
    return guarded.__bases__[1]
