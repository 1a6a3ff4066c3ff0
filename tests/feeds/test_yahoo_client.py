"""The client over real HTTP, against a server on this machine that answers as Yahoo does."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from feeds.yahoo_client import ADDRESS_VARIABLE, YahooBusyError, YahooClient, YahooMissingError, last_closed_session
from tests.feeds.yahoo_stand_in import StandIn, serving, walk


@pytest.fixture
def yahoo(monkeypatch):
    stand_in = StandIn()
    with serving(stand_in) as address:
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
        yield stand_in


@pytest.fixture
def client(yahoo, tmp_path):
    return YahooClient(tmp_path / "yfinance", timeout_s=1.0)


def test_history_returns_yahoos_numbers_unadjusted_with_events(yahoo, client):
    frame = walk(dividends=[("2020-02-07", 0.5)], splits=[("2020-03-02", 2, 1)])
    yahoo.frames["ABC"] = frame
    bars = client.history("ABC", None, None)
    assert bars["date"].tolist() == frame.index.tolist()
    for ours, theirs in {
        "open": "open",
        "high": "high",
        "low": "low",
        "close": "close",
        "adj_close": "adjclose",
    }.items():
        np.testing.assert_array_equal(bars[ours], frame[theirs])
    np.testing.assert_array_equal(bars["volume"], frame["volume"])
    paid = bars.set_index("date")
    assert paid["dividends"].loc["2020-02-07"] == 0.5
    assert paid["splits"].loc["2020-03-02"] == 2
    assert (paid["dividends"] != 0).sum() == (paid["splits"] != 0).sum() == 1
    assert yahoo.charts() == ["ABC"]  # one request: one vintage


def test_history_from_and_to_cut_the_rows(yahoo, client):
    yahoo.frames["ABC"] = walk()
    bars = client.history("ABC", date(2020, 2, 3), date(2020, 2, 28))
    assert [str(day.date()) for day in bars["date"].iloc[[0, -1]]] == ["2020-02-03", "2020-02-28"]


def test_history_row_of_nulls_is_no_bar(yahoo, client):
    frame = walk()
    frame.loc["2020-01-07", ["open", "high", "low", "close", "volume", "adjclose"]] = np.nan
    yahoo.frames["ABC"] = frame
    bars = client.history("ABC", None, None)
    assert pd.Timestamp("2020-01-07") not in set(bars["date"])
    assert len(bars) == len(frame) - 1


def test_history_bar_of_a_running_session_is_left_out(yahoo, client):
    today = pd.Timestamp.now("America/New_York").tz_localize(None).normalize()
    yahoo.frames["ABC"] = walk("2020-01-02", "2020-01-10").rename({pd.Timestamp("2020-01-10"): today})
    last = client.history("ABC", None, None)["date"].iloc[-1]
    closed = pd.Timestamp(last_closed_session(datetime.now(UTC)))
    assert last == (today if today == closed else pd.Timestamp("2020-01-09"))


def test_last_closed_session_moves_at_the_close_and_early_closes_are_known():
    at = lambda text: last_closed_session(datetime.fromisoformat(text))  # noqa: E731
    assert at("2023-11-22T20:59:59+00:00") == date(2023, 11, 21)
    assert at("2023-11-22T21:00:00+00:00") == date(2023, 11, 22)
    assert at("2023-11-24T17:59:00+00:00") == date(2023, 11, 22)  # Thanksgiving, then 13:00 in New York
    assert at("2023-11-24T18:00:00+00:00") == date(2023, 11, 24)
    assert at("2023-11-26T12:00:00+00:00") == date(2023, 11, 24)


def test_history_of_an_unknown_ticker_says_what_yahoo_said_after_one_request(yahoo, client):
    with pytest.raises(YahooMissingError, match="^No data found, symbol may be delisted$"):
        client.history("NONE", None, None)
    assert set(yahoo.charts()) == {"NONE"}


def test_history_without_bars_in_the_range_is_missing(yahoo, client):
    yahoo.frames["ABC"] = walk("2024-01-02", "2024-02-02")
    with pytest.raises(YahooMissingError, match="no price data found for closed sessions in the range"):
        client.history("ABC", None, date(2020, 1, 2))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (429, "too many requests"),
        (500, "HTTP 500"),
        (502, "HTTP 502"),
        ("malformed", r"an answer that is not JSON \(HTTP 200\)"),
        ("html", r"an answer that is not JSON \(HTTP 200\)"),
        ("foreign", r"an answer that is no chart \(HTTP 200\)"),
        ("bare", "an answer that is no chart"),
        ("hang", "timed out"),
        ("drop", "curl"),
    ],
)
def test_history_from_a_server_in_trouble_is_busy_and_the_next_try_succeeds(yahoo, client, fault, message):
    yahoo.frames["ABC"] = walk()
    yahoo.faults["ABC"] = [fault]
    with pytest.raises(YahooBusyError, match=message) as caught:
        client.history("ABC", None, None)
    assert caught.value.reached == (fault not in ("hang", "drop"))
    assert len(client.history("ABC", None, None)) == len(yahoo.frames["ABC"])


def test_history_without_a_server_was_not_reached(tmp_path, monkeypatch):
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(YahooBusyError, match="curl: .7.") as caught:
        YahooClient(tmp_path, timeout_s=1.0).history("ABC", None, None)
    assert not caught.value.reached


def test_client_rests_on_these_parts_of_yfinance():
    # Not part of its documented interface: where this fails, feeds/yahoo_client.py must follow.
    import yfinance
    from yfinance._http import is_supported_session
    from yfinance.cache import _CookieCacheManager
    from yfinance.data import YfData

    from feeds.yahoo_client import _session_class

    assert is_supported_session(_session_class()("", 1.0))
    assert callable(YfData.cache_get.cache_clear)
    assert "_tz" in vars(yfinance.Ticker("ABC"))
    assert "_Cookie_cache" in vars(_CookieCacheManager)


def test_history_after_the_folder_of_a_client_before_is_gone_asks_for_the_chart_only(yahoo, tmp_path):
    yahoo.frames["ABC"] = walk()
    for name in ("first", "second"):
        assert len(YahooClient(tmp_path / name).history("ABC", None, None)) == len(walk())
        shutil.rmtree(tmp_path / name)
    assert yahoo.charts() == ["ABC", "ABC"]
