"""The insiders' schedule: when filings are accepted, who files, and that it never sees a price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.sessions import NEW_YORK, session_rows, trading_sessions
from feeds.synthetic_insiders import ROLES, cluster_rows, filing_schedule
from feeds.synthetic_settings import MarketSettings, universe

DEFAULT = MarketSettings()


@pytest.fixture(scope="module")
def schedule() -> pd.DataFrame:
    return filing_schedule(DEFAULT, universe(DEFAULT))


def plan(*filings: tuple[int, int, int], **columns: object) -> pd.DataFrame:
    """A schedule of (stock, person, known_row) purchases."""
    frame = pd.DataFrame(list(filings), columns=["stock", "person", "known_row"])
    return frame.assign(**{"kind": "purchase", "side": 0.9, "amends": False, "copy": False, **columns})


@pytest.mark.parametrize(
    ("filings", "rows"),
    [
        ([(0, 1, 10), (0, 2, 19)], [19]),  # the window of ten holds both
        ([(0, 1, 10), (0, 2, 20)], []),  # one session too far
        ([(0, 1, 10), (0, 1, 12)], []),  # the same insider twice
        ([(0, 1, 10), (1, 2, 12)], []),  # two issuers
        ([(0, 1, 10), (0, 2, 10)], [10]),  # both on one session
        ([(0, 1, 10), (0, 2, 12), (0, 1, 15)], [12, 15]),  # formed again
    ],
)
def test_cluster_rows_counts_distinct_insiders_of_one_issuer(filings, rows):
    assert sorted(set(cluster_rows(plan(*filings), 10)[0])) == rows


@pytest.mark.parametrize("column", ["amends", "copy"])
def test_cluster_rows_amendments_and_copies_are_no_new_purchase(column):
    assert len(cluster_rows(plan((0, 1, 10), (0, 2, 12), **{column: [False, True]}), 10)[0]) == 0


def test_cluster_rows_fund_counts_when_it_buys_and_not_when_it_sells():
    kinds = {"kind": ["purchase", "fund_trade"]}
    assert len(cluster_rows(plan((0, 1, 10), (0, 6, 12), side=0.4, **kinds), 10)[0]) == 1
    assert len(cluster_rows(plan((0, 1, 10), (0, 6, 12), side=0.6, **kinds), 10)[0]) == 0


def test_filing_schedule_has_about_three_thousand_filings_of_every_kind(schedule):
    assert 2_800 < len(schedule) < 3_300
    shares = schedule["kind"].value_counts(normalize=True)
    assert len(shares) == 8
    assert shares.min() > 0.03
    assert 20 <= schedule["amends"].sum() <= 80
    assert 20 <= schedule["copy"].sum() <= 80
    assert 40 <= schedule["joint"].sum() <= 120


def test_filing_schedule_twice_the_filings_per_stock_year_gives_nearly_twice_the_filings(schedule):
    doubled = filing_schedule(replace(DEFAULT, filings_per_stock_year=22.0), universe(DEFAULT))
    assert 1.6 < len(doubled) / len(schedule) < 2.0  # what happens once a year cannot double


@pytest.mark.parametrize("rows", [100, 700, 1201])
def test_filing_schedule_fewer_sessions_are_the_beginning_of_more(schedule, rows):
    settings = replace(DEFAULT, n_sessions=rows)
    shorter = filing_schedule(settings, universe(settings))
    longer = schedule[schedule["known_row"] < rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(shorter, longer)


def test_filing_schedule_does_not_depend_on_what_moves_prices(schedule):
    other = replace(DEFAULT, memory_strength=0.0, drift_strength=0.5, market_volatility=0.3, own_volatility_high=0.9)
    pd.testing.assert_frame_equal(filing_schedule(other, universe(other)), schedule)


def test_filing_schedule_is_accepted_on_sessions_within_edgar_hours_mostly_after_the_close(schedule):
    local = schedule["accepted_at"].dt.tz_convert(NEW_YORK)
    days = pd.DatetimeIndex(local.dt.tz_localize(None).dt.normalize())
    assert days.isin(trading_sessions("2017-01-03", "2023-12-29")).all()
    hour = local.dt.hour + local.dt.minute / 60
    assert hour.min() >= 6
    assert hour.max() < 22
    assert 0.78 < (hour >= 16).mean() < 0.88
    assert 0.02 < (hour < 9.5).mean() < 0.08


def test_filing_schedule_known_row_is_the_first_close_after_acceptance(schedule):
    sessions = universe(DEFAULT).sessions
    expected = session_rows(pd.DatetimeIndex(schedule["accepted_at"]), sessions)
    np.testing.assert_array_equal(schedule["known_row"], expected)
    assert (schedule["known_row"] > schedule["row"]).all()  # the day of the trade never knows it
    assert schedule["accepted_at"].is_monotonic_increasing


def test_filing_schedule_most_are_in_time_and_a_few_are_late(schedule):
    first = schedule[~schedule["amends"]]
    lag = first["known_row"] - first["row"]
    assert (lag <= 3).mean() > 0.95
    assert 0.01 < (lag > 5).mean() < 0.06


def test_filing_schedule_trades_happen_on_bars_only(schedule):
    assert universe(DEFAULT).traded[schedule["row"], schedule["stock"]].all()


def test_filing_schedule_copy_and_original_are_minutes_apart_and_amendments_sessions(schedule):
    original = schedule[~schedule["amends"] & ~schedule["copy"]].set_index("act")
    copies, amended = schedule[schedule["copy"]], schedule[schedule["amends"]]
    gap = copies["accepted_at"].to_numpy() - original.loc[copies["act"], "accepted_at"].to_numpy()
    assert gap.min() >= pd.Timedelta(seconds=39)
    assert gap.max() < pd.Timedelta(minutes=5)
    assert (copies["person"] == 7).all()
    delay = amended["known_row"].to_numpy() - original.loc[amended["act"], "known_row"].to_numpy()
    assert delay.min() >= 4
    assert delay.max() <= 61


def test_filing_schedule_routine_traders_return_to_their_month_every_year(schedule):
    who = universe(DEFAULT)
    sales = schedule[(schedule["kind"] == "sale") & (schedule["person"] == 3) & ~schedule["amends"]]
    sales = sales.assign(month=who.sessions[sales["row"]].month, year=who.sessions[sales["row"]].year)
    years = sales.groupby(["stock", "month"])["year"].nunique()
    routine = years[years >= 5]
    assert 5 <= len(routine) <= 25


def test_roles_hold_every_relationship():
    assert {(role.director, role.officer, role.ten_percent) for role in ROLES} == {
        (True, True, False),
        (False, True, False),
        (True, False, False),
        (False, False, True),
    }
