"""Which stocks belonged to the universe, and when: a CSV file with ticker, from and to.

A ticker may have several spells. `from` and `to` are days, both inside the spell; an empty `from` has no
beginning in the file, an empty `to` means that it is a member still.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.price_table import split_line

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
            rows = [(int(sessions.searchsorted(a)), int(sessions.searchsorted(b, side="right")) - 2) for a, b in spells]
            found[ticker] = tuple((int(days[first]), int(days[last])) for first, last in _joined(rows) if first <= last)
        return found


def _joined(rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spells that follow each other without a session between: at the end of the first, the second has begun."""
    joined: list[tuple[int, int]] = []
    for first, last in rows:
        if joined and first <= joined[-1][1] + 2:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def read_membership(path: Path) -> Membership:
    """Read a membership file.

    Raises
    ------
    InputError
        Naming the line, for what is no CSV file, a missing or repeated column, a line of another length than
        the header (commas at its end do not count), an empty ticker, a date that is none, a spell that ends
        before it begins, or two spells of a ticker that overlap.
    """
    (_, header), *rows = _rows(path)
    places = _places(path, header)
    spells: dict[str, list[tuple[pd.Timestamp, pd.Timestamp, int]]] = {}
    for line, cells in rows:
        if any(cells[len(header) :]) or len(cells) < len(header):
            raise _error(path, f"line {line}: expected {len(header)} cells as in the header, received {len(cells)}")
        ticker, first, last = (cells[place] for place in places)
        if not (ticker or first or last):
            continue
        if not ticker:
            raise _error(path, f"line {line}: expected a ticker, received none")
        begins, ends = _day(path, line, "from", first), _day(path, line, "to", last)
        if begins is not None and ends is not None and begins > ends:
            raise _error(path, f"line {line}: expected `from` up to `to`, received {first} to {last} for {ticker}")
        spells.setdefault(ticker.upper(), []).append((*_spell(begins, ends), line))
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


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return each line that is not blank, its number and its stripped cells; the header is the first."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise _error(path, f"expected a CSV file with ticker, from and to, received {_line(error)}") from None
    if "\0" in text:
        raise _error(path, "expected a CSV file with ticker, from and to, received one with NUL bytes, no text")
    lines = enumerate(text.split("\n"), start=1)
    rows = [(number, [cell.strip() for cell in split_line(line)]) for number, line in lines if line.strip()]
    if not rows:
        raise _error(path, "expected a CSV file with ticker, from and to, received an empty one")
    return rows


def _places(path: Path, header: list[str]) -> list[int]:
    names = [name.lower() for name in header]
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        hint = "; separate them with commas" if len(names) == 1 and ";" in names[0] else ""
        raise _error(path, f"expected the columns ticker, from and to, found no {' and no '.join(missing)}{hint}")
    twice = [name for name in _COLUMNS if names.count(name) > 1]
    if twice:
        raise _error(path, f"expected one column `{twice[0]}`, found {names.count(twice[0])}")
    return [names.index(name) for name in _COLUMNS]


def _day(path: Path, line: int, column: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        shown = text if len(text) <= 40 else f"{text[:40]} …"
        raise _error(path, f"line {line}: expected `{column}` as YYYY-MM-DD or empty, received {shown!r}") from None


def _spell(begins: date | None, ends: date | None) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the spell's days; 9999-12-31, which some lists write, is as good as no end."""
    low, high = _EVER.date(), _STILL.date()
    first, last = (min(max(day, low), high) for day in (begins or low, ends or high))
    return pd.Timestamp(first), pd.Timestamp(last)


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _error(path: Path, text: str) -> InputError:
    return InputError(f"`--universe` {path}: {text}")
