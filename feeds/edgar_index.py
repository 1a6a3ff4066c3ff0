"""Which Form 4 filings the SEC has of a company: the expected set, from its submissions index.

``submissions/CIK##########.json`` holds the newest thousand or so filings of any form and names older
pages with the span of filing dates that each covers. Only pages that overlap the window are asked for.
Every file is kept with its validators, so that asking again costs one short answer (304).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from feeds.edgar_http import Client, Transient
from feeds.form4 import FORMS

_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


@dataclass(frozen=True, slots=True)
class Expected:
    """One filing that the index lists: the company asked for, and what the SEC says of it."""

    accession: str
    cik: str
    form: str
    filed_on: date


@dataclass(frozen=True, slots=True)
class Window:
    """Filing dates of interest, both included."""

    first: date
    last: date

    def holds(self, day: date) -> bool:
        """Tell whether a day lies inside."""
        return self.first <= day <= self.last


class IndexCache:
    """JSON files of the SEC, kept in a folder, with the validators of HTTP."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def read(self, address: str) -> Any:
        """Return the JSON at an address, from the folder where the SEC says that it has not changed.

        Raises
        ------
        Transient, NotThere, Stopped
            As `Client.persist`; an answer that is not JSON is asked for again.
        """
        return self._client.persist(lambda: self._ask(address))

    def _ask(self, address: str) -> Any:
        path = self._folder / f"{address.rsplit('/', 1)[1]}.gz"
        kept = _kept(path)
        headers = {_VALIDATORS[name]: value for name, value in kept[0].items()} if kept else {}
        response = self._client.get(address, headers)
        if response.status == 304 and kept:
            return kept[1]
        try:
            value = json.loads(response.content)
        except ValueError:
            raise Transient("answer is not JSON", response.status) from None
        self._keep(path, {name: response.headers[name] for name in _VALIDATORS if name in response.headers}, value)
        return value

    def _keep(self, path: Path, validators: dict[str, str], value: Any) -> None:
        partial = path.with_name(f".{path.name}.partial")
        kept = json.dumps({"validators": validators, "value": value}).encode()
        partial.write_bytes(gzip.compress(kept, compresslevel=1))
        partial.replace(path)


def expected_filings(cache: IndexCache, data: str, cik: str, window: Window) -> tuple[list[Expected], tuple[str, ...]]:
    """Return a company's Form 4 and 4/A filings with a filing date in the window, and its tickers of today.

    Parameters
    ----------
    data : str
        Base address of data.sec.gov.
    cik : str
        Ten digits.

    Raises
    ------
    Transient, NotThere, Stopped
        As `Client.persist`; Transient too if the index is not built as the SEC's is.
    """
    base = f"{data}/submissions"
    name = f"CIK{cik}.json"
    first = cache.read(f"{base}/{name}")
    try:
        if str(first["cik"]).zfill(10) != cik:
            raise Transient(f"expected that of CIK {cik}, received that of {first['cik']}")
        tickers = tuple(str(ticker) for ticker in first.get("tickers") or ())
        filings = list(_rows(first["filings"]["recent"], cik, window))
        for page in first["filings"]["files"]:
            if date.fromisoformat(page["filingFrom"]) <= window.last and (
                date.fromisoformat(page["filingTo"]) >= window.first
            ):
                filings += _rows(cache.read(f"{base}/{page['name']}"), cik, window)
    except (KeyError, TypeError, ValueError) as error:
        raise Transient(f"expected the SEC's layout, received another ({error!r})") from error
    return list({filing.accession: filing for filing in filings}.values()), tickers


def _rows(page: dict[str, list[str]], cik: str, window: Window) -> Iterator[Expected]:
    for accession, form, filed in zip(page["accessionNumber"], page["form"], page["filingDate"], strict=True):
        if form in FORMS and window.holds(day := date.fromisoformat(filed)):
            yield Expected(accession, cik, form, day)


def _kept(path: Path) -> tuple[dict[str, str], Any] | None:
    try:
        kept = json.loads(gzip.decompress(path.read_bytes()))
        return kept["validators"], kept["value"]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
        return None
