from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from feeds.errors import EnvironmentFailure, InputError
from feeds.transaction_table import Coverage
from feeds.tree_coverage import read_coverage, state_coverage, window_span

LATER = datetime(2030, 1, 1, tzinfo=UTC)
YEAR = (date(2015, 1, 1), date(2015, 12, 31))
CIK = "0000000101"


def span(first: str, last: str) -> Coverage:
    return Coverage(pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))


@pytest.mark.parametrize(
    ("asked_at", "expected"),
    [
        (LATER, span("2015-06-01 04:00", "2015-12-01 05:00")),  # New York's midnights, summer and winter
        (datetime(2015, 7, 4, 12, 30, tzinfo=UTC), span("2015-06-01 04:00", "2015-07-04 12:30")),
        (datetime(2015, 6, 1, 3, tzinfo=UTC), None),
    ],
)
def test_window_span_ends_with_the_window_or_when_the_index_was_asked(asked_at: datetime, expected: Coverage | None):
    assert window_span(date(2015, 6, 1), date(2015, 11, 30), asked_at) == expected


def test_state_coverage_of_a_day_that_is_missing_again_keeps_the_days_around_the_window(tmp_path: Path):
    state_coverage(tmp_path, (date(2010, 1, 1), date(2020, 12, 31)), LATER, {}, [CIK])
    state_coverage(tmp_path, YEAR, LATER, {CIK: date(2015, 3, 1)})
    assert read_coverage(tmp_path / "coverage.csv") == {
        CIK: (span("2010-01-01 05:00", "2015-03-01 05:00"), span("2016-01-01 05:00", "2021-01-01 05:00"))
    }
    assert (tmp_path / "coverage.csv").read_text().splitlines()[:2] == [
        "cik,from,until",
        "0000000101,2010-01-01T05:00:00Z,2015-03-01T05:00:00Z",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["coverage.csv"]


def test_state_coverage_of_nothing_writes_nothing(tmp_path: Path):
    state_coverage(tmp_path, YEAR, LATER, {CIK: date(2015, 3, 1)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("cik,from\n1,2015-01-01T00:00:00Z\n", "the columns"),
        ("cik,from,until\n1,2015-01-01T00:00:00Z\n", "received"),
        ("cik,from,until\n1,2015-01-01,2016-01-01\n", "the instant '2015-01-01'"),
        ("cik,from,until\n1,2015-01-01T00:00:00Z,soon\n", "soon"),
    ],
)
def test_read_coverage_of_something_else_is_refused(text: str, received: str, tmp_path: Path):
    (tmp_path / "coverage.csv").write_text(text)
    with pytest.raises(InputError, match=rf"(?s)expected the columns cik, from, until with UTC instants.*{received}"):
        read_coverage(tmp_path / "coverage.csv")


def test_state_coverage_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / ".coverage.csv.partial").mkdir()
    with pytest.raises(EnvironmentFailure, match=r"cannot write .*coverage\.csv: Is a directory"):
        state_coverage(tmp_path, YEAR, LATER, {}, [CIK])
