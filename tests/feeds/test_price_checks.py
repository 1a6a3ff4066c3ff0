"""Every defect planted by hand in an otherwise right table of five bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.price_checks import CHECKS, check_bars
from feeds.price_table import SourceBars

DAYS = ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"]


def bars(**changes):
    """Five bars that nothing is wrong with, with columns replaced by `changes`."""
    columns = {
        "dates": np.array(DAYS, "datetime64[D]"),
        "open": [10.0, 10.5, 11.0, 10.0, 10.0],
        "high": [11.0, 11.5, 12.0, 10.5, 10.5],
        "low": [9.5, 10.0, 10.0, 9.0, 9.5],
        "close": [10.5, 11.0, 10.0, 10.0, 10.0],
        "volume": [100.0, 0.0, 200.0, 300.0, 100.0],
        "adj_close": [10.5, 11.0, 10.0, 10.0, 10.0],
    }
    return SourceBars(**{name: np.asarray(values) for name, values in {**columns, **changes}.items()})


def at(column, row, value):
    """The right table with one value replaced."""
    values = np.array(getattr(bars(), column))
    values[row] = value
    return bars(**{column: values})


def only_finding(table):
    found = check_bars("ABC", table)
    assert len(found) == 1, found
    return found[0]


def test_check_bars_right_table_finds_nothing():
    assert check_bars("ABC", bars()) == []
    assert check_bars("ABC", replace(bars(), adj_close=None)) == []


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
            at("high", 3, 8.0),
            "2020-01-07",
            "high below low",
            "`high` is below `low`, `open` 10, `high` 8, `low` 9, `close` 10",
        ),
        (
            at("open", 3, 10.6),
            "2020-01-07",
            "price outside range",
            "open or close is outside low to high, `open` 10.6, `high` 10.5, `low` 9, `close` 10",
        ),
        (
            at("open", 3, 8.9),
            "2020-01-07",
            "price outside range",
            "open or close is outside low to high, `open` 8.9, `high` 10.5, `low` 9, `close` 10",
        ),
        (at("volume", 4, -1.0), "2020-01-08", "negative volume", "`volume` is negative, -1"),
        (
            at("adj_close", 4, -0.5),
            "2020-01-08",
            "non-positive adjusted close",
            "`adj_close` is not positive, -0.5",
        ),
    ],
)
def test_check_bars_one_defect_is_found_with_session_and_values(table, session, kind, detail):
    finding = only_finding(table)
    assert (finding.ticker, finding.session, finding.kind, finding.detail) == (
        "ABC",
        pd.Timestamp(session),
        kind,
        detail,
    )


def test_check_bars_without_rows_says_so():
    finding = only_finding(SourceBars.none())
    assert (finding.session, finding.kind, str(finding)) == (None, "no bars", "ABC: holds no bars")


def test_check_bars_unsorted_dates_names_both():
    finding = only_finding(bars().take(np.array([0, 2, 1, 3, 4])))
    assert str(finding) == "ABC 2020-01-03: dates are unsorted, this one follows 2020-01-06"


def test_check_bars_repeated_session_is_found_once_with_its_closes():
    finding = only_finding(bars().take(np.array([0, 1, 1, 1, 2, 3, 4])))
    assert (finding.kind, str(finding)) == (
        "repeated session",
        "ABC 2020-01-03: the session appears 3 times, `close` 11 and 11 and 11",
    )


def test_check_bars_zero_bar_is_one_kind_and_not_also_a_price_defect():
    zeros = {name: np.where(np.arange(5) == 4, 0.0, getattr(bars(), name)) for name in ("open", "high", "low", "close")}
    found = check_bars("ABC", bars(**zeros))
    assert [(finding.kind, finding.detail) for finding in found] == [("all-zero bar", "all four prices are 0")]


@pytest.mark.parametrize("day", ["1987-10-19", "2199-01-04"])
def test_check_bars_date_beyond_the_calendar_says_its_reach(day):
    table = bars().take(np.array([0]))
    table = replace(table, dates=np.array([day], "datetime64[D]"))
    assert only_finding(table).detail.startswith("the date is outside the known sessions of XNYS, 1990-01-02 to ")


@pytest.mark.parametrize(("excess", "count"), [(0.5e-4, 0), (2e-4, 1)])
def test_check_bars_rounding_excess_is_accepted_only_below_the_tolerance(excess, count):
    assert len(check_bars("ABC", at("open", 3, 10.5 * (1 + excess)))) == count
    assert len(check_bars("ABC", at("open", 3, 9.0 * (1 - excess)))) == count


def test_check_bars_phantom_distribution_is_found_with_its_values():
    # Kansas City Southern, 2000-07-13, as Yahoo has it: the close falls to a thirtieth, the factor doubles only.
    falls = bars(
        open=[187.5, 187.5, 6.25, 6.25, 6.25],
        high=[187.5, 187.5, 6.25, 6.25, 6.25],
        low=[187.5, 187.5, 6.25, 6.25, 6.25],
        close=[187.5, 187.5, 6.25, 6.25, 6.25],
        adj_close=[87.5085, 87.5085, 5.65611, 5.65611, 5.65611],
    )
    assert str(only_finding(falls)) == (
        "ABC 2020-01-06: the adjustment factor changes by +94% and no price move explains it, `close` 187.5 then 6.25, "
        "`adj_close` 87.5085 then 5.65611"
    )


@pytest.mark.parametrize("ratio", [0.5, 0.83, 10.0])
def test_check_bars_distribution_that_the_price_answers_is_no_finding(ratio):
    # A split two for one, a spin-off of 17 %, a reverse split: the close moves by what the factor takes back.
    prices = np.array([10.0, 10.0, 10.0 * ratio, 10.0 * ratio, 10.0 * ratio])
    factor = np.array([1.0, 1.0, 1 / ratio, 1 / ratio, 1 / ratio])
    flat = dict.fromkeys(("open", "high", "low", "close"), prices)
    assert check_bars("ABC", bars(**flat, adj_close=prices * factor)) == []


def test_check_bars_real_crash_without_an_adjustment_is_no_finding():
    # Apple lost 51.9 % on 2000-09-29.
    prices = np.array([53.5, 53.5, 25.75, 25.75, 25.75])
    flat = dict.fromkeys(("open", "high", "low", "close"), prices)
    assert check_bars("ABC", bars(**flat, adj_close=prices * 0.03)) == []


def test_check_bars_orders_findings_by_session():
    volumes = bars(volume=[100.0, -1.0, 1.0, -2.0, 1.0], low=[-1.0, 10.0, 10.0, 9.0, 9.5])
    assert [str(finding.session.date()) for finding in check_bars("ABC", volumes)] == [DAYS[0], DAYS[1], DAYS[3]]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_checks_change_no_value_and_take_one_row(check):
    table = at("close", 1, np.nan)
    before = {name: values.copy() for name, values in table.numbers.items()}
    check("ABC", table)
    check("ABC", table.take(slice(0, 1)))
    for name, values in before.items():
        np.testing.assert_array_equal(table.numbers[name], values)
