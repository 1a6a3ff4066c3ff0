"""The embedded market's settings, names and what it says about itself."""

from __future__ import annotations

import pytest

from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.synthetic import MarketSettings, describe, insider_events, make_market, sectors
from feeds.synthetic_settings import SECTORS, universe


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("n_stocks", 1, r"`n_stocks`: expected a whole number between 2 and 2000, received 1"),
        ("n_stocks", 40.0, r"`n_stocks`: expected a whole number between 2 and 2000, received 40.0"),
        ("n_sessions", True, r"`n_sessions`: expected a whole number between 2 and 8000, received True"),
        ("memory_strength", -0.1, r"`memory_strength`: expected a number between 0.0 and 1.0, received -0.1"),
        ("drift_strength", float("nan"), r"`drift_strength`: expected a number between 0.0 and 1.0, received nan"),
        ("late_listings", (0,), r"`late_listings`: expected a whole number between 1 and 100000, received 0"),
        ("splits", ((10, 0.0),), r"`splits`: expected a number between 0.01 and 100.0, received 0.0"),
        (
            "own_volatility_high",
            0.2,
            r"`own_volatility_high`: expected at least `own_volatility_low` \(0.25\), received 0.2",
        ),
    ],
)
def test_settings_value_out_of_range_is_refused(setting, value, text):
    with pytest.raises(InputError, match=text):
        MarketSettings(**{setting: value})


def test_universe_first_session_that_is_no_date_is_refused():
    with pytest.raises(InputError, match=r"`first`: expected a date such as 2017-01-03, received 'soon'"):
        universe(MarketSettings(first="soon"))


def test_universe_more_sessions_than_the_calendar_has_is_refused():
    text = r"`n_sessions`: expected at most \d+ sessions from 2024-01-02 until today, received 5000; choose an earlier"
    with pytest.raises(InputError, match=text):
        universe(MarketSettings(first="2024-01-02", n_sessions=5000))


def test_universe_default_covers_seven_calendar_years():
    sessions = universe(MarketSettings()).sessions
    assert (str(sessions[0].date()), str(sessions[-1].date())) == ("2017-01-03", "2023-12-29")


def test_universe_names_are_distinct_and_look_like_tickers():
    tickers = universe(MarketSettings(n_stocks=2000, n_sessions=2)).tickers
    assert len(set(tickers)) == 2000
    assert all(ticker.isalpha() and ticker.isupper() and len(ticker) == 4 for ticker in tickers)


def test_universe_two_stocks_leave_one_ordinary():
    who = universe(MarketSettings(n_stocks=2, n_sessions=100, halts_per_stock_year=0.0))
    assert sorted(who.traded.sum(axis=0)) == [0, 100]


def test_sectors_every_ticker_has_a_gics_sector_and_none_is_empty():
    settings = MarketSettings(n_sessions=10)
    named = sectors(settings)
    assert tuple(named) == make_market(settings).tickers
    assert set(named.values()) == set(SECTORS)


def test_describe_default_says_synthetic_planted_and_no_evidence():
    text = " ".join(describe(MarketSettings(n_sessions=300)))
    assert "This market is synthetic: 40 invented stocks over 300 sessions (2017-01-03 to 2018-03-13)" in text
    assert "seed 0" in text
    assert "half-life 8 sessions) adds 0.08 times" in text
    assert "the price gains 6.0% over the 40 sessions" in text
    assert "no evidence about real markets" in text


def test_describe_strength_zero_says_that_nothing_is_planted():
    text = " ".join(describe(MarketSettings(n_sessions=10, memory_strength=0.0, drift_strength=0.0)))
    assert "No memory is planted" in text
    assert "No drift after insiders' purchases is planted" in text
    assert "Planted:" not in text


@pytest.mark.parametrize("changed", [{"n_sessions": 2}, {"filings_per_stock_year": 0.0}, {"n_stocks": 2}])
def test_market_smallest_settings_still_give_a_panel_and_a_table(changed):
    settings = MarketSettings(**{"n_sessions": 60, **changed})
    panel, events = make_market(settings), insider_events(settings)
    assert isinstance(panel, PricePanel)
    assert events.empty == (changed != {"n_stocks": 2})
