"""How long work tells how far it is, without knowing who shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """Passes the items of an iterable through and may show how many have gone by.

    The command line supplies one that draws a bar; library code never writes to the terminal.
    """

    def __call__(self, iterable: Iterable[Item], label: str, total: int, /) -> Iterable[Item]:
        """Return the items of `iterable`, of which there are `total`, in their order."""


def silent(iterable: Iterable[Item], label: str, total: int, /) -> Iterable[Item]:
    """Show nothing."""
    return iterable
