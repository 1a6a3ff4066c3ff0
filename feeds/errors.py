"""Errors that the command line turns into one line and an exit code.

Every other exception is a bug of ours and keeps its traceback. The texts follow one form:
what is wrong (the argument or column in backticks): expected ..., received ...; what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import takewhile


class InputError(ValueError):
    """The user's mistake, or data that cannot be used: exit code 2."""


class EnvironmentFailure(RuntimeError):
    """Network, disk or another program failed, or the work ended incomplete: exit code 1."""


def did_you_mean(received: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest valid name, else an empty string."""
    names = difflib.get_close_matches(received, list(valid), n=5, cutoff=0.6)
    return f" Did you mean {max(names, key=lambda name: _likeness(received, name))!r}?" if names else ""


def _likeness(received: str, name: str) -> tuple[float, int]:
    """Rank by difflib's ratio, then by the common beginning: of two equally near, people mistype the end."""
    ratio = difflib.SequenceMatcher(None, name, received).ratio()
    same_beginning = takewhile(lambda pair: pair[0] == pair[1], zip(received, name, strict=False))
    return ratio, len(list(same_beginning))


def unknown_name(what: str, received: str, valid: Iterable[str]) -> InputError:
    """Build the error for a name that is not among `valid`, with the nearest valid one."""
    names = sorted(valid)
    return InputError(
        f"unknown {what} {received!r}: expected one of {', '.join(names)}.{did_you_mean(received, names)}"
    )
