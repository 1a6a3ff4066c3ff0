"""The private names of sec-edgar-downloader that we replace: a new version that changes them fails here."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sec_edgar_downloader import Downloader, _orchestrator, _sec_gateway

from feeds.edgar_http import Client, NotThere, Transient
from feeds.edgar_library import filing_path, library_transfer
from feeds.edgar_pace import Pace, Stopped
from tests.edgar_server import Edgar, quick, serving
from tests.feeds import filing_texts as texts

CIK, ACCESSION = "0000000101", "0000000001-15-000001"
GOOD = texts.submission(texts.document([texts.transaction()])).encode()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def edgar() -> Iterator[Edgar]:
    one = Edgar()
    one.add_company(CIK, ["AAA"], {ACCESSION: GOOD})
    with serving(one):
        yield one


def client(edgar: Edgar) -> Client:
    return Client(quick(edgar), Pace(500.0, 0.01, lambda text: None))


def fetch(edgar: Edgar, staging: Path, form: str = "4") -> Path:
    with library_transfer(client(edgar), staging) as transfer:
        return transfer.fetch(CIK, ACCESSION, form, date(2015, 2, 3))


def test_every_request_of_the_library_goes_through_the_function_that_we_replace():
    assert list(inspect.signature(_sec_gateway._call_sec).parameters) == ["uri", "user_agent", "host"]
    functions = {node.name: node for node in ast.parse(inspect.getsource(_sec_gateway)).body if hasattr(node, "name")}
    asking = {name for name, node in functions.items() if "requests.get" in ast.unparse(node)}
    assert asking == {"_call_sec"}
    for name in set(functions) - {"_call_sec"}:
        assert "_call_sec(" in ast.unparse(functions[name])
    for part in (_orchestrator, inspect.getmodule(Downloader)):
        assert "requests" not in vars(part)


def test_library_tells_of_a_failed_filing_by_print_with_the_exception():
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(_orchestrator)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert len(calls) == 1
    assert [ast.unparse(word) for word in calls[0].args[1:]] == ["td.accession_number", "e"]


@pytest.mark.parametrize("form", ["4", "4/A"])
def test_fetch_downloads_with_one_request_into_the_librarys_tree(form: str, tmp_path: Path, edgar: Edgar):
    path = fetch(edgar, tmp_path, form)
    assert path == tmp_path / "sec-edgar-filings" / CIK / "4" / ACCESSION / "full-submission.txt"
    assert path == filing_path(tmp_path, CIK, ACCESSION)
    assert path.read_bytes() == GOOD
    assert [one.path for one in edgar.asked] == [f"/Archives/edgar/data/101/000000000115000001/{ACCESSION}.txt"]


def test_fetch_of_a_filing_older_than_the_library_allows_is_downloaded(tmp_path: Path, edgar: Edgar):
    with library_transfer(client(edgar), tmp_path) as transfer:
        assert transfer.fetch(CIK, ACCESSION, "4", date(1993, 6, 1)).read_bytes() == GOOD


def test_fetch_that_the_library_passes_over_is_an_error(tmp_path: Path, edgar: Edgar):
    with pytest.raises(RuntimeError, match="sec-edgar-downloader: expected it to write"):
        fetch(edgar, tmp_path, form="10-K")


def test_fetch_replaces_what_an_earlier_attempt_left(tmp_path: Path, edgar: Edgar):
    filing_path(tmp_path, CIK, ACCESSION).parent.mkdir(parents=True)
    filing_path(tmp_path, CIK, ACCESSION).write_bytes(b"")
    assert fetch(edgar, tmp_path).read_bytes() == GOOD


def test_fetch_raises_what_the_library_would_print(tmp_path: Path, edgar: Edgar, capsys: pytest.CaptureFixture[str]):
    edgar.faults[ACCESSION] = ["503", "404"]
    with pytest.raises(Transient, match="HTTP status 503"):
        fetch(edgar, tmp_path)
    with pytest.raises(NotThere):
        fetch(edgar, tmp_path)
    assert capsys.readouterr().out == ""


def test_fetch_raises_the_disks_error(tmp_path: Path, edgar: Edgar, monkeypatch: pytest.MonkeyPatch):
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(edgar, tmp_path)


def test_fetch_is_not_swallowed_when_the_download_stops(tmp_path: Path, edgar: Edgar):
    one = client(edgar)
    with library_transfer(one, tmp_path) as transfer:
        one.pace.stop()
        with pytest.raises(Stopped):
            transfer.fetch(CIK, ACCESSION, "4", date(2015, 2, 3))


def test_library_is_itself_again_afterwards(tmp_path: Path, edgar: Edgar):
    original = _sec_gateway._call_sec
    fetch(edgar, tmp_path)
    assert _sec_gateway._call_sec is original
    assert "print" not in vars(_orchestrator)


def test_no_other_module_knows_the_librarys_private_names():
    users = [path.name for path in sorted((ROOT / "feeds").glob("*.py")) if "sec_edgar_downloader" in path.read_text()]
    assert users == ["edgar_library.py"]
