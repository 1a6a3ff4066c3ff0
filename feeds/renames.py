"""A company that changes its ticker stays one stock: one column, one feed, one position.

A price source that files the old name's bars and the new name's apart shows a delisting and a listing. Joined,
the stock goes on: its position, stops, holding time and indicators live through the change::

    panel = join_renamed(panel, {"FB": "META"})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from feeds.errors import InputError, unknown_name
from feeds.panel import PRICE_FIELDS, PricePanel


def join_renamed(panel: PricePanel, renames: Mapping[str, str]) -> PricePanel:
    """Return the panel with each old ticker's bars put before those of its new one.

    Parameters
    ----------
    panel : PricePanel, [T, N]
    renames : mapping of old to new ticker
        Chains are followed from the oldest (A to B, B to C).

    Returns
    -------
    PricePanel, [T, N - len(renames)]
        Under the last name. The total-return factor goes on where the old ticker's stood, so prices from
        the change on are multiplied by it and volumes divided.

    Raises
    ------
    InputError
        For an unknown ticker, a new one that is younger than its old one's end, or names in a circle.

    Notes
    -----
    The change itself is taken to be neither split nor dividend: whatever the source says of one on that very
    day is lost. **Known at**: as the panel; a bar's values use nothing after it.
    """
    for old, new in _oldest_first(renames):
        panel = _joined(panel, old, new)
    return panel


def _oldest_first(renames: Mapping[str, str]) -> list[tuple[str, str]]:
    left, ordered = dict(renames), []
    while left:
        first = next((old for old in left if old not in left.values()), None)
        if first is None:
            raise InputError(f"renames: expected no circle, received one through {', '.join(sorted(left))}")
        ordered.append((first, left.pop(first)))
    return ordered


def _joined(panel: PricePanel, old: str, new: str) -> PricePanel:
    for ticker in (old, new):
        if ticker not in panel.tickers:
            raise unknown_name("ticker", ticker, panel.tickers)
    i, j = panel.tickers.index(old), panel.tickers.index(new)
    end, begin = int(panel.last_rows[i]), int(panel.first_rows[j])
    if end >= begin:
        raise InputError(
            f"renames: expected {old} to end before {new} begins, received a bar of {old} on "
            f"{panel.sessions[end].date()} and one of {new} on {panel.sessions[begin].date()}; they are two stocks"
        )
    factor = float(panel.adjust[end, i]) if end >= 0 else 1.0
    arrays: dict[str, Any] = {name: _column(panel, name, i, j, factor) for name in (*PRICE_FIELDS, "volume", "adjust")}
    kept = tuple(ticker for ticker in panel.tickers if ticker != old)
    return replace(panel, tickers=kept, **arrays)


def _column(panel: PricePanel, name: str, i: int, j: int, factor: float) -> np.ndarray:
    values: np.ndarray = getattr(panel, name).copy()
    scaled = values[:, j] / factor if name == "volume" else values[:, j] * factor
    values[:, j] = np.where(panel.traded[:, i], values[:, i], scaled)
    return np.delete(values, i, axis=1)
