"""The download's record: kept at once, held by one process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from feeds.edgar_manifest import Entry, open_manifest
from feeds.edgar_pace import Stopped
from feeds.errors import EnvironmentFailure

ROOT = Path(__file__).resolve().parents[2]
ENTRY = Entry(
    accession="0000000001-15-000001",
    cik="0000000101",
    form="4/A",
    filing_date="2015-02-03",
    status="verified",
    attempts=2,
    http_status=200,
    sha256="ab" * 32,
    bytes=1234,
    modified_ns=1_700_000_000_123_456_789,
    accepted_at="2015-02-03T17:00:00+00:00",
    issuer_cik="0000000101",
    reason=None,
    fetched_at="2015-02-04T00:00:00+00:00",
)


def test_manifest_gives_back_every_field(tmp_path: Path):
    failed = replace(ENTRY, accession="b", status="failed", sha256=None, bytes=None, reason="HTTP status 503")
    with open_manifest(tmp_path / "m.sqlite") as manifest:
        manifest.record([ENTRY, failed])
    with open_manifest(tmp_path / "m.sqlite") as manifest:
        assert manifest.entries() == {ENTRY.accession: ENTRY, "b": failed}


def test_manifest_replaces_a_filings_line(tmp_path: Path):
    with open_manifest(tmp_path / "m.sqlite") as manifest:
        manifest.record([ENTRY])
        manifest.record([replace(ENTRY, attempts=3)])
        assert manifest.entries()[ENTRY.accession].attempts == 3


def test_manifest_keeps_what_was_recorded_before_a_kill(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tests.feeds.test_edgar_manifest import ENTRY\n"
        "from feeds.edgar_manifest import open_manifest\n"
        "with open_manifest(Path(sys.argv[1])) as manifest:\n"
        "    manifest.record([ENTRY])\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.sqlite")], cwd=ROOT, check=False)
    assert done.returncode == -9
    with open_manifest(tmp_path / "m.sqlite") as manifest:
        assert manifest.entries() == {ENTRY.accession: ENTRY}


def test_manifest_held_by_another_download_is_refused(tmp_path: Path):
    with (
        open_manifest(tmp_path / "m.sqlite"),
        pytest.raises(EnvironmentFailure, match="another download works in this folder"),
        open_manifest(tmp_path / "m.sqlite"),
    ):
        pass


def test_manifest_that_is_no_database_is_named(tmp_path: Path):
    (tmp_path / "m.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with (
        pytest.raises(EnvironmentFailure, match="expected the download's own record, received file is not a database"),
        open_manifest(tmp_path / "m.sqlite"),
    ):
        pass


def test_manifest_on_a_full_disk_says_so(tmp_path: Path):
    with (
        pytest.raises(EnvironmentFailure, match=r"cannot write .*m\.sqlite: database or disk is full; make room"),
        open_manifest(tmp_path / "m.sqlite"),
    ):
        raise sqlite3.OperationalError("database or disk is full")


def test_manifest_closed_takes_no_more(tmp_path: Path):
    with open_manifest(tmp_path / "m.sqlite") as manifest:
        pass
    with pytest.raises(Stopped):
        manifest.record([ENTRY])
