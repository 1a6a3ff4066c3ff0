"""sec-edgar-downloader 5.1, made safe: the only module that touches the library's private names.

What the library does well is used as it is: the addresses of filings, the tree on disk
(``sec-edgar-filings/CIK/4/ACCESSION/full-submission.txt``, amendments in the same folder), its choice
by form and date. What it does that a long, unattended download cannot live with, and what is done here:

- It asks through ``requests.get`` without a time-out, without reusing connections and without trying
  again. Its one function that asks, ``_sec_gateway._call_sec``, is replaced by ours: our time-outs, our
  pace, our refusals (`feeds.edgar_http`). Its limiter, which is behind that function, is ours too.
- It writes straight to the final name and takes "exists" for "done", so a killed process leaves a
  short file that is never repaired. It downloads into a staging folder here; what it wrote is checked
  and moved into the tree in one step (`feeds.edgar_download`).
- It catches every exception of a filing and prints it. Its ``print`` is replaced by one that keeps it.
- Its constructor asks for the SEC's ticker map, and ``get`` reads every page of a company's index each
  time. Both are answered from memory: CIKs need no map, and the index holds just the filing wanted,
  because which filings are expected is settled before, from the whole index (`feeds.edgar_index`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from feeds.edgar_http import DATA, WWW, Client, UserAgent
from feeds.errors import EnvironmentFailure

FORM_FOLDER = "4"
# The library knows of nothing before; what it is told about one filing is told from here on.
_FIRST_DAY = date(1994, 1, 1)
_REPLACED = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Answer:
    """As much of ``requests.Response`` as the library uses."""

    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class LibraryTransfer:
    """Downloads single filings with the library; made by `library_transfer`."""

    def __init__(self, client: Client, staging: Path) -> None:
        self._client = client
        self._staging = staging
        self._wanted = threading.local()
        self._downloader = _downloader(client.settings.user_agent, staging)

    def fetch(self, cik: str, accession: str, form: str, filed_on: date) -> Path:
        """Download one filing into the staging folder and return its path.

        Raises
        ------
        Transient, NotThere, Stopped
            As `Client.get`.
        OSError
            If the library could not write the file.
        """
        path = self.path(cik, accession)
        # What exists the library does not ask for again.
        path.unlink(missing_ok=True)
        day = max(filed_on, _FIRST_DAY)
        self._wanted.index = _index_of_one(accession, form, day)
        self._wanted.error = None
        self._downloader.get(FORM_FOLDER, cik, after=day, before=day, include_amends=True)
        if self._wanted.error is not None:
            raise self._wanted.error
        if not path.is_file():
            raise RuntimeError(f"sec-edgar-downloader: expected it to write {path}, and it did not")
        return path

    def path(self, cik: str, accession: str) -> Path:
        """Return where the library puts a filing below the staging folder."""
        return filing_path(self._staging, cik, accession)

    def _call_sec(self, uri: str, user_agent: str, host: str) -> _Answer:
        """Stand in for the library's function of this name, which every request of it goes through."""
        if "/Archives/" not in uri:
            return _Answer(self._wanted.index)
        return _Answer(self._client.get(_on(uri, self._client)).content)

    def _heard(self, *words: Any) -> None:
        """Stand in for ``print``, which the library tells (text, accession number, exception)."""
        errors = [word for word in words if isinstance(word, Exception)]
        self._wanted.error = errors[0] if errors else EnvironmentFailure(" ".join(map(str, words)))


def filing_path(root: Path, company: str, accession: str) -> Path:
    """Return the place of a filing in the library's tree below `root`."""
    return root / "sec-edgar-filings" / company / FORM_FOLDER / accession / "full-submission.txt"


@contextmanager
def library_transfer(client: Client, staging: Path) -> Iterator[LibraryTransfer]:
    """Replace the library's private functions for the block's duration; one at a time in a process."""
    from sec_edgar_downloader import _orchestrator, _sec_gateway

    with _REPLACED:
        transfer = LibraryTransfer(client, staging)
        original = _sec_gateway._call_sec
        _sec_gateway._call_sec = transfer._call_sec
        _orchestrator.print = transfer._heard
        try:
            yield transfer
        finally:
            _sec_gateway._call_sec = original
            del _orchestrator.print


def _downloader(user_agent: UserAgent, staging: Path) -> Any:
    from sec_edgar_downloader import Downloader, _sec_gateway

    original = _sec_gateway._call_sec
    _sec_gateway._call_sec = _no_tickers
    try:
        return Downloader(user_agent.name, user_agent.mail, staging)
    finally:
        _sec_gateway._call_sec = original


def _no_tickers(uri: str, user_agent: str, host: str) -> _Answer:
    return _Answer(b'{"fields": ["cik", "ticker"], "data": []}')


def _index_of_one(accession: str, form: str, filed_on: date) -> bytes:
    row = {
        "accessionNumber": [accession],
        "form": [form],
        "filingDate": [filed_on.isoformat()],
        "primaryDocument": [""],
    }
    return json.dumps({"filings": {"recent": row, "files": []}}).encode()


def _on(uri: str, client: Client) -> str:
    for standard, base in ((WWW, client.settings.www), (DATA, client.settings.data)):
        if uri.startswith(standard):
            return base + uri.removeprefix(standard)
    return uri
