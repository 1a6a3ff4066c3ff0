from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engine import provenance
from engine.provenance import code_digest, git_commit, input_digests, package_versions, path_digest
from engine.settings import resolve


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read to be hashed."""
    files: list[Path] = []
    original = provenance._file_digest
    monkeypatch.setattr(provenance, "_file_digest", lambda path: files.append(path) or original(path))
    return files


def test_path_digest_of_a_file_is_its_sha256(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert path_digest(tmp_path / "a") == {"sha256": hashlib.sha256(b"abc").hexdigest()}


def test_path_digest_of_a_folder_is_that_of_its_listing(tmp_path: Path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"1", b"2"))
    listing = hashlib.sha256(f"{one}  a\n{two}  x/b\n".encode()).hexdigest()
    assert path_digest(tmp_path) == {"files": 2, "sha256": listing}


def test_path_digest_reads_a_folder_once_until_a_file_changes(tmp_path: Path, read: list[Path]):
    (tmp_path / "a").write_bytes(b"1")
    first = path_digest(tmp_path)
    assert path_digest(tmp_path) == first
    assert len(read) == 1
    (tmp_path / "a").write_bytes(b"22")
    assert path_digest(tmp_path) != first
    assert len(read) == 2


def test_input_digests_name_every_file_and_nothing_invented(tmp_path: Path):
    assert input_digests(resolve({})) == {}
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "A.csv").write_text("x")
    (tmp_path / "sectors.csv").write_text("ticker,sector\n")
    given = resolve({"prices": f"csv:{tmp_path / 'p'}", "sectors": str(tmp_path / "sectors.csv")})
    found = input_digests(given)
    assert set(found) == {"prices", "sectors"}
    assert found["prices"]["files"] == 1
    assert found["sectors"]["sha256"] == hashlib.sha256(b"ticker,sector\n").hexdigest()


def test_versions_and_code_say_what_can_change_a_number():
    assert {"python", "numpy", "backtrader", "tensorflow"} <= set(package_versions())
    assert code_digest("feeds") == code_digest("feeds") != code_digest("models")


def test_git_commit_outside_a_checkout_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() is None
