"""Which stocks belonged to the universe, and when: a CSV file with ticker, from and to.

A ticker may have several spells. `from` and `to` are days, both inside the spell; an empty `from` has no
beginning in the file, an empty `to` means that it is a member still.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from feeds.errors import InputError

_COLUMNS = ("ticker", "from", "to")
_EVER, _STILL = pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")


@dataclass(frozen=True)
class Membership:
    """Spells by ticker.

    Attributes
    ----------
    spells : mapping of ticker to tuples (first day, last day), sorted, both days inside
    """

    spells: Mapping[str, tuple[tuple[pd.Timestamp, pd.Timestamp], ...]]

    @property
    def tickers(self) -> tuple[str, ...]:
        """Return every ticker that ever was a member, sorted."""
        return tuple(sorted(self.spells))

    def matrix(self, sessions: pd.DatetimeIndex, tickers: Iterable[str]) -> np.ndarray:
        """Say who was a member when, bool [T, N]; a ticker that the file lacks never was.

        **Known at** the session's open, for an index announces its changes before they are made.
        """
        names = tuple(tickers)
        inside = np.zeros((len(sessions), len(names)), dtype=bool)
        for column, ticker in enumerate(names):
            for first, last in self.spells.get(ticker, ()):
                inside[sessions.searchsorted(first) : sessions.searchsorted(last, side="right"), column] = True
        return inside

    def entry_spells(self, sessions: pd.DatetimeIndex) -> dict[str, tuple[tuple[int, int], ...]]:
        """Return the days on which a purchase may be decided, as first and last ordinal day per spell.

        What is decided at a close is bought at the next open, so the last of a spell's sessions decides
        nothing: its purchase would fall outside. A spell with fewer than two sessions has no day.
        """
        days = np.array([session.toordinal() for session in sessions], dtype=np.int64)
        found: dict[str, tuple[tuple[int, int], ...]] = {}
        for ticker, spells in self.spells.items():
            rows = [(sessions.searchsorted(a), sessions.searchsorted(b, side="right") - 2) for a, b in spells]
            found[ticker] = tuple((int(days[first]), int(days[last])) for first, last in rows if first <= last)
        return found


def read_membership(path: Path) -> Membership:
    """Read a membership file.

    Raises
    ------
    InputError
        Naming the line, for what is no CSV file, a missing column, an empty ticker, a date that is none,
        a spell that ends before it begins, or two spells of a ticker that overlap.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False)
    except (OSError, ValueError) as error:
        raise _error(path, f"expected a CSV file with ticker, from and to, received {_line(error)}") from None
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise _error(path, f"expected the columns ticker, from and to, found no {' and no '.join(missing)}")
    spells: dict[str, list[tuple[pd.Timestamp, pd.Timestamp, int]]] = {}
    for line, row in enumerate(frame[list(_COLUMNS)].itertuples(index=False), start=2):
        ticker, first, last = (str(cell).strip() for cell in row)
        if not (ticker or first or last):
            continue
        if not ticker:
            raise _error(path, f"line {line}: expected a ticker, received none")
        begins, ends = _day(path, line, "from", first, _EVER), _day(path, line, "to", last, _STILL)
        if begins > ends:
            raise _error(path, f"line {line}: expected `from` up to `to`, received {first} to {last} for {ticker}")
        spells.setdefault(ticker.upper(), []).append((begins, ends, line))
    if not spells:
        raise _error(path, "expected at least one ticker, received none")
    return Membership({ticker: _sorted_spells(path, ticker, found) for ticker, found in sorted(spells.items())})


def _sorted_spells(
    path: Path, ticker: str, found: list[tuple[pd.Timestamp, pd.Timestamp, int]]
) -> tuple[tuple[pd.Timestamp, pd.Timestamp], ...]:
    ordered = sorted(found)
    for one, other in itertools.pairwise(ordered):
        if other[0] <= one[1]:
            lines = sorted((one[2], other[2]))
            raise _error(
                path, f"lines {lines[0]} and {lines[1]}: expected spells of {ticker} that do not overlap; join them"
            )
    return tuple((first, last) for first, last, _ in ordered)


def _day(path: Path, line: int, column: str, text: str, empty: pd.Timestamp) -> pd.Timestamp:
    if not text:
        return empty
    try:
        return pd.to_datetime(text, format="%Y-%m-%d")
    except ValueError:
        raise _error(path, f"line {line}: expected `{column}` as YYYY-MM-DD or empty, received {text!r}") from None


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _error(path: Path, text: str) -> InputError:
    return InputError(f"`--universe` {path}: {text}")
