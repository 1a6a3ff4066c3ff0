"""What a downloaded tree says of itself: of which company it holds every Form 4, and between which instants.

``coverage.csv`` (cik, from, until; UTC) lies beside ``tickers.csv`` at the tree's root. A line is written
when every filing that the SEC's index named for the window lies checked in the tree. It begins with
the first day of the window in New York and ends with the last, or with the instant at which the
index was asked, whichever comes first: of what came later the download knows nothing. What other tools
left has no such file, and `feeds.insider` judges it by its silence.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd

from feeds.errors import EnvironmentFailure, InputError
from feeds.sessions import NEW_YORK
from feeds.transaction_table import Coverage

COVERAGE_FILE = "coverage.csv"
_COLUMNS = ["cik", "from", "until"]
Spans = dict[str, tuple[Coverage, ...]]


def read_coverage(path: Path) -> Spans:
    """Read a coverage file.

    Returns
    -------
    dict of CIK (ten digits) to its spans, in order

    Raises
    ------
    InputError
        If it cannot be read as such.
    """
    spans: Spans = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != _COLUMNS:
                raise ValueError(f"the columns {reader.fieldnames}")
            for line in reader:
                cik, span = line["cik"].zfill(10), Coverage(_instant(line["from"]), _instant(line["until"]))
                spans[cik] = _joined((*spans.get(cik, ()), span))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected the columns cik, from, until with UTC instants, as `download filings` writes it, "
            f"received {error}; run the download again, or delete the file"
        ) from error
    return spans


def window_span(first: date, last: date, asked_at: datetime) -> Coverage | None:
    """Return the instants of a window of filing dates, as far as an index asked at `asked_at` knows it."""
    begin, end = _midnight(first), min(_midnight(last + timedelta(days=1)), pd.Timestamp(asked_at).as_unit("ns"))
    return Coverage(begin, end) if begin < end else None


def state_coverage(
    root: Path, window: tuple[date, date], asked_at: datetime, missing: Mapping[str, date], complete: Iterable[str] = ()
) -> None:
    """Bring the tree's coverage file up to what a download found.

    Parameters
    ----------
    window : (date, date)
        Filing dates, both included.
    asked_at : datetime
        When the SEC's index was asked, UTC.
    missing : mapping of CIK to date
        Companies that lack filings, and the first filing date lacked: from that day to the window's end
        nothing is claimed any more. What was claimed of other days stays.
    complete : iterable of CIK

    Raises
    ------
    InputError
        If the present file is not one.
    EnvironmentFailure
        If it cannot be written.
    """
    path = root / COVERAGE_FILE
    held = read_coverage(path) if path.is_file() else {}
    spans, end = dict(held), _midnight(window[1] + timedelta(days=1))
    for cik, day in missing.items():
        spans[cik] = _cut(spans.get(cik, ()), Coverage(_midnight(day), end))
    if (span := window_span(*window, asked_at)) is not None:
        spans |= {cik: _joined((*spans.get(cik, ()), span)) for cik in complete}
    spans = {cik: held_spans for cik, held_spans in spans.items() if held_spans}
    if spans != held:
        _write(path, spans)


def _write(path: Path, spans: Spans) -> None:
    lines = [",".join(_COLUMNS)]
    lines += [f"{cik},{_text(span.first)},{_text(span.last)}" for cik in sorted(spans) for span in spans[cik]]
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {path}: {error.strerror}") from error


def _joined(spans: Iterable[Coverage]) -> tuple[Coverage, ...]:
    """Return spans in order, those that touch or overlap as one."""
    found: list[Coverage] = []
    for span in sorted(spans):
        if found and span.first <= found[-1].last:
            found[-1] = Coverage(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)


def _cut(spans: Iterable[Coverage], out: Coverage) -> tuple[Coverage, ...]:
    parts = [
        part
        for span in spans
        for part in (Coverage(span.first, min(span.last, out.first)), Coverage(max(span.first, out.last), span.last))
    ]
    return tuple(part for part in parts if part.first < part.last)


def _midnight(day: date) -> pd.Timestamp:
    return pd.Timestamp(day).tz_localize(NEW_YORK).tz_convert("UTC").as_unit("ns")


def _instant(text: str) -> pd.Timestamp:
    instant = pd.Timestamp(text)
    if pd.isna(instant) or instant.tzinfo is None:
        raise ValueError(f"the instant {text!r}")
    return instant.tz_convert("UTC").as_unit("ns")


def _text(instant: pd.Timestamp) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
