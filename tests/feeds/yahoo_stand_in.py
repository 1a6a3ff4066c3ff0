"""A server that answers as Yahoo's chart API does, with the faults that it is told to have."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

from feeds.sessions import NEW_YORK, trading_sessions

CHART = "/v8/finance/chart/"


def walk(first="2020-01-02", last="2020-03-31", seed=0, dividends=(), splits=(), start=50.0):
    """A frame of Yahoo's columns; `dividends` are (date, amount), `splits` (date, new, old)."""
    sessions = trading_sessions(first, last)
    rng = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(rng.normal(0, 0.01, len(sessions))))
    frame = pd.DataFrame({"open": close * 0.999, "high": close * 1.01, "low": close * 0.99, "close": close})
    frame["volume"] = rng.integers(1_000, 9_000, len(sessions))
    factor = np.ones(len(sessions))
    for day, amount in dividends:
        row = sessions.get_loc(pd.Timestamp(day))
        factor[:row] *= 1 - amount / close[row - 1]
    frame["adjclose"] = close * factor
    frame.index = sessions
    frame.attrs = {"dividends": list(dividends), "splits": list(splits)}
    return frame


class StandIn:
    """What the server knows, what it was asked, and the faults it has still to show per ticker."""

    def __init__(self):
        self.frames = {}
        self.faults = defaultdict(list)
        self.asked = []
        self.release = threading.Event()

    def charts(self):
        """Return the tickers asked for, in order."""
        return [path[len(CHART) :] for path, _ in self.asked if path.startswith(CHART)]


@contextmanager
def serving(stand_in):
    """Serve on a free port of this machine; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def answer(self, status, body, kind="application/json"):
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self):
            place = urlsplit(self.path)
            stand_in.asked.append((place.path, parse_qs(place.query)))
            if place.path.startswith(CHART):
                self.chart(place.path[len(CHART) :].replace("%5E", "^"), parse_qs(place.query))
            elif place.path.endswith("getcrumb"):
                self.answer(200, "crumb", "text/plain")
            else:
                self.answer(404, "Not Found", "text/plain")

        def chart(self, ticker, query):
            fault = stand_in.faults[ticker].pop(0) if stand_in.faults[ticker] else None
            if fault == "drop":
                self.close_connection = True
                self.connection.close()
            elif fault == "hang":
                stand_in.release.wait(20)
            elif fault == "malformed":
                self.answer(200, '{"chart": {"result": [{"meta"')
            elif fault == "foreign":
                self.answer(200, "[1, 2]")
            elif fault == "html":
                self.answer(200, "<html>Will be right back...</html>", "text/html")
            elif fault == "bare":
                self.answer(200, json.dumps({"chart": {"result": [{"meta": {}}], "error": None}}))
            elif isinstance(fault, int):
                self.answer(fault, "Edge: Too Many Requests" if fault == 429 else "oops", "text/plain")
            elif ticker not in stand_in.frames:
                error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
                self.answer(404, json.dumps({"chart": {"result": None, "error": error}}))
            else:
                self.answer(200, json.dumps(chart(ticker, stand_in.frames[ticker], query)))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stand_in.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def chart(ticker, frame, query):
    """The chart API's JSON of the rows between period1 and period2."""
    opens = (frame.index + pd.Timedelta(hours=9, minutes=30)).tz_localize(NEW_YORK)
    stamps = opens.as_unit("s").asi8 if hasattr(opens, "as_unit") else opens.asi8 // 10**9
    inside = np.ones(len(frame), bool)
    if "period1" in query:
        inside = (stamps >= int(query["period1"][0])) & (stamps < int(query["period2"][0]))
    rows, stamps = frame[inside], stamps[inside]
    by_day = dict(zip(rows.index, stamps.tolist(), strict=True))
    events = {"dividends": {}, "splits": {}}
    for day, amount in frame.attrs["dividends"]:
        if pd.Timestamp(day) in by_day:
            stamp = by_day[pd.Timestamp(day)]
            events["dividends"][str(stamp)] = {"amount": amount, "date": stamp}
    for day, new, old in frame.attrs["splits"]:
        if pd.Timestamp(day) in by_day:
            stamp = by_day[pd.Timestamp(day)]
            split = {"date": stamp, "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
            events["splits"][str(stamp)] = split
    numbers = {name: _nulls(rows[name]) for name in ("open", "high", "low", "close", "volume")}
    meta = {
        "currency": "USD",
        "symbol": ticker,
        "exchangeName": "NYQ",
        "instrumentType": "EQUITY",
        "firstTradeDate": int(stamps[0]) if len(stamps) else 0,
        "regularMarketTime": int(stamps[-1]) if len(stamps) else 0,
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": NEW_YORK,
        "priceHint": 2,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "1y", "max"],
    }
    result = {
        "meta": meta,
        "timestamp": stamps.tolist(),
        "events": {name: found for name, found in events.items() if found},
        "indicators": {"quote": [numbers], "adjclose": [{"adjclose": _nulls(rows["adjclose"])}]},
    }
    return {"chart": {"result": [result], "error": None}}


def _nulls(column):
    return [None if pd.isna(value) else value for value in column.tolist()]
