"""Python's collector of reference cycles, kept out of work that makes many objects and few cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 50_000  # Python's own 700 search through the orders of a run hundreds of times


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector from searching what is being made, again and again, for cycles that it does not have."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@contextmanager
def collector_rare() -> Iterator[None]:
    """Let the collector search seldom, and only what is made from here on, not what is there already.

    For work of any length that runs a user's code: cycles that it makes are still found. What is there stays in the
    search where somebody else has frozen objects (`gc.freeze`): they could not be kept frozen at the end.
    """
    mine = not gc.get_freeze_count()
    thresholds = gc.get_threshold()
    gc.set_threshold(max(thresholds[0], _NEW_OBJECTS) if thresholds[0] else 0, *thresholds[1:])
    if mine:
        gc.freeze()
    try:
        yield
    finally:
        if mine:
            gc.unfreeze()
        gc.set_threshold(*thresholds)
