"""One ticker's whole daily history from Yahoo, through yfinance.

yfinance speaks to Yahoo's chart API; we give it a session of our own, which is its public way to
reach the network. The session settles what yfinance leaves open: a busy or broken server and an
answer that is no chart raise `YahooBusyError` and are worth another try, while
Yahoo's word that it has no such data raises `YahooMissingError` and is final.

Prices come unadjusted by us (``auto_adjust=False``): Yahoo's open, high, low, close and volume are
adjusted for splits, its adjusted close for dividends too.
"""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from feeds.sessions import NEW_YORK, session_closes, trading_sessions

# Address of a server that answers in Yahoo's place, for a mirror and for tests.
ADDRESS_VARIABLE = "INSIDER_SWING_YAHOO"
FIRST_DAY = date(1990, 1, 2)
TIMEOUT_S = 20.0
COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adj_close",
    "Volume": "volume",
    "Dividends": "dividends",
    "Stock Splits": "splits",
}
_CHART = "/v8/finance/chart/"
_CURL_WORDS = re.compile(r"^Failed to perform, |\.? See https://curl\S+.*$")


class YahooMissingError(Exception):
    """Yahoo answered that it has no such data."""


class YahooBusyError(OSError):
    """Yahoo could not be reached, was busy, or answered nonsense: to be tried again.

    Parameters
    ----------
    text : str
    reached : bool
        False where no server answered at all.
    """

    def __init__(self, text: str, *, reached: bool = True) -> None:
        super().__init__(text)
        self.reached = reached


def yfinance_version() -> str:
    """Return the version of the library that fetches."""
    return version("yfinance")


class YahooClient:
    """Fetches histories, one request at a time.

    Parameters
    ----------
    folder : Path
        Where yfinance keeps its own small files (cookies).
    timeout_s : float
        Seconds after which a server that says nothing is given up.
    """

    def __init__(self, folder: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        import yfinance

        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what fails is raised, not logged
        yfinance.config.debug.hide_exceptions = False
        folder.mkdir(parents=True, exist_ok=True)
        yfinance.set_tz_cache_location(str(folder))
        _forget_answers()
        self._session = _session_class()(os.environ.get(ADDRESS_VARIABLE, "").rstrip("/"), timeout_s)

    def history(self, ticker: str, first: date | None, last: date | None) -> pd.DataFrame:
        """Return one ticker's bars from `first` to `last`.

        Parameters
        ----------
        ticker : str
        first, last : date or None
            The whole history, or until now.

        Returns
        -------
        DataFrame
            Columns ``date`` (datetime64), open, high, low, close, adj_close, volume, dividends
            (USD per share on the ex-date) and splits (new shares per old; 0 for none). Only
            sessions that had closed when it was fetched.

        Raises
        ------
        YahooMissingError, YahooBusyError
        """
        import yfinance
        from yfinance.exceptions import YFException, YFRateLimitError

        fetched_at = datetime.now(UTC)
        stock = yfinance.Ticker(ticker, session=self._session)
        _tell_time_zone(stock)
        try:
            # Up to now whatever is wanted: the adjusted values are those of one request.
            frame = stock.history(
                start=(first or FIRST_DAY).isoformat(), auto_adjust=False, timeout=self._session.timeout_s
            )
        except YFRateLimitError as error:
            raise YahooBusyError("too many requests") from error
        except YFException as error:
            raise YahooMissingError(_reason(error, ticker)) from error
        except YahooBusyError:
            raise
        except OSError as error:
            text = _CURL_WORDS.sub("", _first_line(error))
            raise YahooBusyError(text or type(error).__name__, reached=False) from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise YahooBusyError(f"an answer that is no chart ({type(error).__name__}: {error})") from error
        return _bars(ticker, frame, last, fetched_at)


def _bars(ticker: str, frame: pd.DataFrame, last: date | None, fetched_at: datetime) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing and len(frame):
        raise YahooBusyError(f"an answer without {', '.join(missing)}")
    if frame.empty:
        raise YahooMissingError("no price data found")
    days = pd.DatetimeIndex(frame.index).tz_localize(None).normalize().as_unit("ns")
    bars = frame[list(COLUMNS)].rename(columns=COLUMNS).reset_index(drop=True).astype(np.float64)
    bars.insert(0, "date", days)
    bars = bars[_closed(days, fetched_at)]
    bars = bars[bars["date"] <= pd.Timestamp(last)] if last is not None else bars
    if bars.empty:
        raise YahooMissingError("no price data found for closed sessions in the range")
    return bars.reset_index(drop=True)


def _closed(days: pd.DatetimeIndex, fetched_at: datetime) -> np.ndarray:
    """Say which days had closed: the bar of a running session is not its last word."""
    return np.asarray(days <= pd.Timestamp(last_closed_session(fetched_at)))


def last_closed_session(now: datetime) -> date:
    """Return the last session that had closed at `now` (with a time zone)."""
    today = pd.Timestamp(now).tz_convert(NEW_YORK).tz_localize(None).normalize()
    sessions = trading_sessions(today - pd.Timedelta(days=14), today)
    return sessions[session_closes(sessions) <= pd.Timestamp(now)][-1].date()


def _reason(error: Exception, ticker: str) -> str:
    return _first_line(error).removeprefix(f"${ticker}: ")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


# ------------------------------------------------------------------ what rests on yfinance's inside


def _forget_answers() -> None:
    """Drop yfinance's memory of earlier answers and of the folder before.

    It would repeat a refusal after the server mended, and write to a folder that may be gone.
    """
    from yfinance.cache import _CookieCacheManager
    from yfinance.data import YfData

    YfData.cache_get.cache_clear()
    _CookieCacheManager._Cookie_cache = None


def _tell_time_zone(stock: Any) -> None:
    """Spare yfinance its question for the exchange's time zone: for a lost ticker it asks several pages in vain."""
    stock._tz = NEW_YORK


@lru_cache(maxsize=1)
def _session_class() -> Any:
    """Return the class of our sessions, made once because its base must not be imported early."""
    from curl_cffi import requests

    class Session(requests.Session):
        """A browser-like session that judges the chart API's answers."""

        def __init__(self, address: str, timeout_s: float) -> None:
            super().__init__(impersonate="chrome")
            self.address = address
            self.timeout_s = timeout_s

        def request(self, method: str, url: str, **settings: Any) -> Any:
            """Send one request, to the stand-in where there is one."""
            place = urlsplit(url)
            settings["timeout"] = self.timeout_s
            if self.address and (place.hostname or "").endswith("yahoo.com"):
                url = f"{self.address}{place.path}" + (f"?{place.query}" if place.query else "")
            answer = super().request(method, url, **settings)
            if place.path.startswith(_CHART):
                _judge(answer)
            return answer

    return Session


def _judge(answer: Any) -> None:
    """Raise YahooBusyError for an answer of the chart API that another try may better."""
    status = int(answer.status_code)
    if status == 429:
        raise YahooBusyError("too many requests (HTTP 429)")
    if status >= 500:
        raise YahooBusyError(f"HTTP {status}")
    try:
        found = json.loads(answer.text)
    except ValueError:
        raise YahooBusyError(f"an answer that is not JSON (HTTP {status})") from None
    if not isinstance(found, dict) or not isinstance(found.get("chart"), dict):
        raise YahooBusyError(f"an answer that is no chart (HTTP {status})")
