"""Every defect of a single row, planted by hand in an otherwise right table of five bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from feeds.price_table import SourceBars
from feeds.quality_bars import ROW_CHECKS
from tests.feeds.made_bars import checked, told

DAYS = ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"]


def bars(**changes):
    """Five bars that nothing is wrong with, with columns replaced by `changes`."""
    columns = {
        "dates": np.array(DAYS, "datetime64[D]"),
        "open": [10.0, 10.5, 11.0, 10.0, 10.0],
        "high": [11.0, 11.5, 12.0, 10.5, 10.5],
        "low": [9.5, 10.0, 10.0, 9.0, 9.5],
        "close": [10.5, 11.0, 10.0, 10.0, 10.0],
        "volume": [100.0, 150.0, 200.0, 300.0, 100.0],
        "adj_close": [10.5, 11.0, 10.0, 10.0, 10.0],
    }
    return SourceBars(**{name: np.asarray(values) for name, values in {**columns, **changes}.items()})


def at(column, row, value):
    """The right table with one value replaced."""
    values = np.array(getattr(bars(), column))
    values[row] = value
    return bars(**{column: values})


def zeros_at(row):
    """The right table with a row of zeros."""
    prices = ("open", "high", "low", "close", "volume", "adj_close")
    return bars(**{name: np.where(np.arange(5) == row, 0.0, getattr(bars(), name)) for name in prices})


def test_check_ticker_right_table_finds_nothing_and_changes_nothing():
    for table in (bars(), replace(bars(), adj_close=None)):
        result = checked(table)
        assert result.findings == ()
        assert result.bars is table
        assert result.rows == 5


@pytest.mark.parametrize(
    ("table", "session", "kind", "detail"),
    [
        (at("dates", 2, "2020-01-04"), "2020-01-04", "not a session", "the date is no session of XNYS"),
        (at("close", 1, np.nan), "2020-01-03", "missing value", "`close` is missing"),
        (at("volume", 1, np.nan), "2020-01-03", "missing value", "`volume` is missing"),
        (at("adj_close", 1, np.nan), "2020-01-03", "missing value", "`adj_close` is missing"),
        (at("high", 1, np.inf), "2020-01-03", "missing value", "`high` is infinite"),
        (
            at("low", 3, -9.0),
            "2020-01-07",
            "non-positive price",
            "a price is not positive, `open` 10, `high` 10.5, `low` -9, `close` 10",
        ),
        (
            at("open", 3, 0.0),
            "2020-01-07",
            "non-positive price",
            "a price is not positive, `open` 0, `high` 10.5, `low` 9, `close` 10",
        ),
        (
            at("high", 3, 8.0),
            "2020-01-07",
            "impossible bar",
            "`high` is below `low`, `open` 10, `high` 8, `low` 9, `close` 10",
        ),
        (
            at("open", 3, 10.6),
            "2020-01-07",
            "impossible bar",
            "open or close is outside low to high, `open` 10.6, `high` 10.5, `low` 9, `close` 10",
        ),
        (
            at("open", 3, 8.9),
            "2020-01-07",
            "impossible bar",
            "open or close is outside low to high, `open` 8.9, `high` 10.5, `low` 9, `close` 10",
        ),
        (at("volume", 4, -1.0), "2020-01-08", "negative volume", "`volume` is negative, -1"),
        (at("adj_close", 4, 0.0), "2020-01-08", "non-positive adjusted close", "`adj_close` is 0"),
        (zeros_at(4), "2020-01-08", "all-zero bar", "all four prices are 0"),
    ],
)
def test_check_ticker_row_that_is_no_bar_is_told_once_and_removed(table, session, kind, detail):
    result = checked(table)
    found = [finding for finding in result.findings if finding.kind != "missing sessions"]
    assert [(finding.ticker, finding.detail) for finding in found] == [("ABC", detail)]
    assert told(result, kind) == [(session, kind, "error", "row removed")]
    assert result.bars.dates.tolist() == table.dates[table.dates != np.datetime64(session)].tolist()
    assert not result.refused


def test_check_ticker_run_of_bad_rows_is_one_finding():
    result = checked(bars(volume=[100.0, -1.0, -2.0, -3.0, 100.0]))
    assert told(result) == [("2020-01-03", "negative volume", "error", "rows removed")]
    assert result.findings[0].detail == "`volume` is negative, -1 (3 rows until 2020-01-07)"
    assert len(result.bars) == 2


def test_check_ticker_date_moved_off_its_session_leaves_a_gap():
    assert told(checked(at("dates", 2, "2020-01-04")), "missing sessions") == [
        ("2020-01-06", "missing sessions", "info", "kept")
    ]


def test_check_ticker_without_rows_is_refused():
    result = checked(SourceBars.none())
    assert told(result) == [(None, "no bars", "error", "refused")]
    assert (result.refused, str(result.findings[0])) == (True, "ABC: holds no bars")


def test_check_ticker_only_bad_rows_is_refused():
    result = checked(bars(close=np.full(5, -1.0)))
    assert told(result) == [("2020-01-02", "non-positive price", "error", "refused")]
    assert result.refused
    assert len(result.bars) == 0


def test_check_ticker_unsorted_rows_are_sorted_and_equal_the_sorted_source():
    for repair in ("safe", "none"):
        result = checked(bars().take(np.array([3, 0, 2, 1, 4])), repair)
        assert told(result) == [("2020-01-02", "unsorted rows", "info", "sorted")]
        assert result.findings[0].detail == "2 times a row stands below a later one, first 2020-01-02"
        for name, values in bars().numbers.items():
            np.testing.assert_array_equal(getattr(result.bars, name), values)


@pytest.mark.parametrize("day", ["1987-10-19", "2199-01-04"])
def test_check_ticker_date_beyond_the_calendar_says_its_reach(day):
    table = replace(bars().take(np.array([0])), dates=np.array([day], "datetime64[D]"))
    finding = checked(table).findings[0]
    assert finding.detail.startswith("the date is outside the known sessions of XNYS, 1990-01-02 to ")
    assert finding.action == "refused"


@pytest.mark.parametrize(("excess", "count"), [(0.5e-4, 0), (2e-4, 1)])
def test_check_ticker_rounding_excess_is_accepted_only_below_the_tolerance(excess, count):
    assert len(checked(at("open", 3, 10.5 * (1 + excess))).findings) == count
    assert len(checked(at("open", 3, 9.0 * (1 - excess))).findings) == count


@pytest.mark.parametrize("check", ROW_CHECKS, ids=lambda check: check.__name__)
def test_row_checks_change_no_value_and_take_one_row(check):
    table = at("close", 1, np.nan)
    before = {name: values.copy() for name, values in table.numbers.items()}
    assert check(table).rows.shape == (5,)
    assert check(table.take(slice(0, 1))).rows.tolist() == [False]
    for name, values in before.items():
        np.testing.assert_array_equal(table.numbers[name], values)


# ---- one session, several rows


def doubled(**changes):
    """The right table with its second session twice, the copy changed."""
    table = bars().take(np.array([0, 1, 1, 2, 3, 4]))
    columns = {name: np.array(values) for name, values in table.numbers.items()}
    for name, value in changes.items():
        columns[name][2] = value
    return replace(table, **columns)


def test_check_ticker_duplicate_of_zeros_goes_and_the_bar_stays():
    # CBS, 2019-12-04, as Yahoo has it.
    result = checked(doubled(open=0, high=0, low=0, close=0, volume=0, adj_close=0))
    assert told(result) == [
        ("2020-01-03", "all-zero bar", "error", "row removed"),
        ("2020-01-03", "duplicated session", "error", "row removed"),
    ]
    assert result.findings[1].detail == "the session appears 2 times, `close` 11 and 0"
    np.testing.assert_array_equal(result.bars.close, bars().close)


def test_check_ticker_equal_duplicate_is_one_bar_with_a_warning():
    result = checked(doubled())
    assert told(result) == [("2020-01-03", "duplicated session", "warning", "row removed")]
    np.testing.assert_array_equal(result.bars.close, bars().close)


def test_check_ticker_different_duplicates_leave_no_bar():
    result = checked(doubled(close=10.9))
    assert told(result) == [("2020-01-03", "duplicated session", "error", "row removed")]
    assert result.bars.dates.astype(str).tolist() == [DAYS[0], *DAYS[2:]]


def test_check_ticker_order_of_duplicates_does_not_matter():
    one = doubled(open=0, high=0, low=0, close=0, volume=0, adj_close=0)
    other = one.take(np.array([0, 2, 1, 3, 4, 5]))
    np.testing.assert_array_equal(checked(one).bars.close, checked(other).bars.close)
