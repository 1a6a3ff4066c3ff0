"""A stand-in for sec.gov and data.sec.gov on 127.0.0.1: real HTTP, and faults on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from feeds.edgar_http import EdgarSettings, UserAgent
from feeds.sgml import split_submission

THROTTLE_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>SEC.gov | Request Rate Threshold Exceeded</title></head>"
    b"<body><h1>Your Request Originates from an Undeclared Automated Tool</h1></body></html>"
)
FORM_COLUMNS = ("accessionNumber", "filingDate", "form", "primaryDocument")


@dataclass
class Request:
    """One request as the server saw it; `status` is 0 until it is answered."""

    at: float
    path: str
    headers: Mapping[str, str]
    status: int = 0


@dataclass
class Edgar:
    """What the server knows, which faults it shows, and what it was asked.

    Attributes
    ----------
    filings : mapping of accession number to bytes
    ciks : mapping of accession number to the CIKs (without zeros) under which it is served
    pages : mapping of name (``CIK0000000001.json``) to a submissions page
    tickers : list of [cik, name, ticker, exchange]
    faults : mapping of accession number or page name to the faults shown, one a request, before the answer
    hung_up : int
        Answers that dripped until the other side closed the connection.
    """

    filings: dict[str, bytes] = field(default_factory=dict)
    ciks: dict[str, set[str]] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)
    tickers: list[list[Any]] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    hang_s: float = 3.0
    delay_s: float = 0.0
    hung_up: int = 0
    asked: list[Request] = field(default_factory=list)
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_company(self, cik: str, tickers: Sequence[str], filings: Mapping[str, bytes], recent: int = 1000) -> None:
        """Serve a company's filings; the newest `recent` in the first page, the others in older pages."""
        rows = sorted((_row(accession, content) for accession, content in filings.items()), reverse=True)
        older = [rows[at : at + recent] for at in range(recent, len(rows), recent)]
        files = []
        for number, part in enumerate(older, start=1):
            name = f"CIK{cik}-submissions-{number:03d}.json"
            files.append({"name": name, "filingCount": len(part), "filingFrom": part[-1][0], "filingTo": part[0][0]})
            self.pages[name] = _columns(part)
        recent_rows = _columns(rows[:recent])
        self.pages[f"CIK{cik}.json"] = {
            "cik": str(int(cik)),
            "tickers": list(tickers),
            "filings": {"recent": recent_rows, "files": files},
        }
        for accession, content in filings.items():
            self.filings[accession] = content
            self.ciks.setdefault(accession, set()).add(str(int(cik)))
        self.tickers += [[int(cik), "COMPANY", ticker, "NYSE"] for ticker in tickers]

    def times(self, part: str = "") -> list[float]:
        """Return the instants at which paths with `part` were asked for."""
        return [one.at for one in self.asked if part in one.path]

    def statuses(self, part: str) -> list[int]:
        """Return the statuses answered to paths with `part`."""
        return [one.status for one in self.asked if part in one.path]

    def _next_fault(self, name: str) -> str | None:
        with self.lock:
            faults = self.faults.get(name)
            return faults.pop(0) if faults else None


def _row(accession: str, content: bytes) -> tuple[str, str, str]:
    header, _ = split_submission(content)
    assert header is not None
    return str(header.filed_on), accession, header.form or ""


def _columns(rows: Sequence[tuple[str, str, str]]) -> dict[str, list[str]]:
    days, accessions, forms = ([row[at] for row in rows] for at in range(3))
    return dict(zip(FORM_COLUMNS, (accessions, days, forms, ["form4.xml"] * len(rows)), strict=True))


def filings_below(folder: Path) -> dict[str, bytes]:
    """Read every full submission below a folder, by accession number."""
    return {path.parent.name: path.read_bytes() for path in sorted(folder.rglob("full-submission.txt"))}


@contextmanager
def serving(edgar: Edgar) -> Iterator[Edgar]:
    """Serve on a free port of 127.0.0.1; `edgar.address` is its base."""

    class Handler(_Handler):
        world = edgar

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    edgar.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield edgar
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: Edgar

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        request = Request(time.monotonic(), self.path, dict(self.headers.items()))
        self.world.asked.append(request)
        time.sleep(self.world.delay_s)
        name = self.path.rsplit("/", 1)[1].removesuffix(".txt")
        fault = self.world._next_fault(name)
        request.status = self._answer(fault, self._content(name))

    def _content(self, name: str) -> bytes | None:
        if self.path == "/files/company_tickers_exchange.json":
            return json.dumps({"fields": ["cik", "name", "ticker", "exchange"], "data": self.world.tickers}).encode()
        if self.path.startswith("/submissions/"):
            page = self.world.pages.get(name)
            return None if page is None else json.dumps(page).encode()
        _, _, _, _, cik, folder, _ = self.path.split("/")
        assert folder == name.replace("-", "")
        return self.world.filings.get(name) if cik in self.world.ciks.get(name, ()) else None

    def _answer(self, fault: str | None, content: bytes | None) -> int:
        if fault == "hang":
            time.sleep(self.world.hang_s)
            self.close_connection = True
            return 0
        if fault == "drip":
            return self._drip()
        if fault == "throttle page":
            return self._send(200, THROTTLE_PAGE)
        if fault in ("403", "429"):
            return self._send(int(fault), THROTTLE_PAGE)
        if fault == "404":
            return self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if fault is not None and fault.isdigit():
            return self._send(int(fault), b"Service Unavailable")
        if content is None:
            return self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if fault == "truncated":
            return self._send(200, content[: len(content) // 2], declared=len(content))
        if fault == "short":
            return self._send(200, content[: len(content) // 2])
        if fault == "empty":
            return self._send(200, b"")
        if fault == "wrong form":
            return self._send(200, content.replace(b"SUBMISSION TYPE:\t4", b"SUBMISSION TYPE:\t424B2", 1))
        if fault == "wrong accession":
            return self._send(200, content.replace(b"ACCESSION NUMBER:\t\t0", b"ACCESSION NUMBER:\t\t9", 1))
        tag = f'"{hash(content):x}"'
        if self.headers.get("If-None-Match") == tag:
            return self._send(304, b"", tag=tag)
        return self._send(200, content, tag=tag)

    def _send(self, status: int, content: bytes, declared: int | None = None, tag: str | None = None) -> int:
        self.send_response(status)
        if tag is not None:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) if declared is None else declared))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = declared is not None
        return status

    def _drip(self) -> int:
        """Send a byte now and then, for ever: no single read ever times out."""
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        end = time.monotonic() + self.world.hang_s
        try:
            while time.monotonic() < end:
                self.wfile.write(b" ")
                time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            with self.world.lock:
                self.world.hung_up += 1
        self.close_connection = True
        return 200


def quick(edgar: Edgar, **changes: Any) -> EdgarSettings:
    """Settings for the stand-in: waits of milliseconds where the SEC gets minutes."""
    values: dict[str, Any] = {
        "per_second": 500.0,
        "pause_s": 0.3,
        "backoff_s": 0.01,
        "read_s": 10.0,
        "www": edgar.address,
        "data": edgar.address,
    }
    return EdgarSettings(UserAgent("Ada Lovelace", "ada@analytical.org"), **{**values, **changes})
