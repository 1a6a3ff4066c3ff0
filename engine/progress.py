"""Progress bars on stderr, or none."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

from feeds.progress import Progress, silent

T = TypeVar("T")


def progress_bars(*, quiet: bool) -> Progress:
    """Return the hook that draws a bar for each piece of long work; with `quiet`, one that draws none."""
    return silent if quiet else _bar


def _bar(iterable: Iterable[T], label: str, total: int) -> Iterable[T]:
    # Without a terminal a bar is a new line each time: then one every ten seconds is enough.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        iterable,
        desc=f"{label:<28}",
        total=total,
        file=sys.stderr,
        mininterval=interval,
        dynamic_ncols=True,
        leave=True,
    )
