"""Panels kept by the content of their inputs: what hits, what misses, and what is not believed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.price_cache import PriceRequest, cached_prices
from feeds.errors import EnvironmentFailure
from feeds.panel import BAR_FIELDS
from feeds.price_table import Finding
from feeds.prices import CheckedPrices


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "prices"
    folder.mkdir()
    for name in ("AAA", "BBB"):
        (folder / f"{name}.csv").write_text("Date,Open\n2020-01-02,1\n")
    return folder


class Loader:
    """Loads the same panel each time and counts how often."""

    def __init__(self, panel):
        findings = (
            Finding("T000", pd.Timestamp("2020-01-03"), "stale run", "as before", "warning", "kept"),
            Finding("T001", None, "empty file", "T001.csv is empty"),
        )
        self.prices, self.count = CheckedPrices(panel, findings, 5, 1234), 0

    def __call__(self):
        self.count += 1
        return self.prices


@pytest.fixture
def load(make_panel):
    return Loader(make_panel(sessions=30, late={1: 7}, halts={2: [3, 4]}))


def request(source, **changes):
    values = {"kind": "csv", "tickers": None, "universe": None, "last": None, "repair": "safe"}
    return PriceRequest(source, **{**values, **changes})


def test_cached_prices_second_time_are_the_same_and_not_loaded(tmp_path, source, load):
    first = cached_prices(tmp_path / "cache", request(source), load)
    second = cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 1
    for found in (first, second):
        assert found.panel.digest() == load.prices.panel.digest()
        assert (found.findings, found.tickers, found.bars) == (load.prices.findings, 5, 1234)
        assert found.panel.sessions.equals(load.prices.panel.sessions)
        assert not isinstance(found.panel.close, np.memmap)
        assert not found.panel.close.flags.writeable
    assert [path.name for path in (tmp_path / "cache" / "panels").iterdir() if path.name.startswith(".")] == []


def test_cached_prices_without_a_cache_are_loaded_afresh(source, load):
    cached_prices(None, request(source), load)
    cached_prices(None, request(source), load)
    assert load.count == 2


def test_touching_a_file_hits_and_one_changed_byte_misses(tmp_path, source, load):
    cached_prices(tmp_path / "cache", request(source), load)
    os.utime(source / "AAA.csv", (1, 1))
    moved = tmp_path / "elsewhere"
    shutil.copytree(source, moved)
    cached_prices(tmp_path / "cache", request(source), load)
    cached_prices(tmp_path / "cache", request(moved), load)
    assert load.count == 1
    (source / "AAA.csv").write_text("Date,Open\n2020-01-02,2\n")
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 2
    (source / "AAA.csv").rename(source / "AAC.csv")
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 3


@pytest.mark.parametrize(
    "change", [{"tickers": ("AAA",)}, {"universe": ("AAA",)}, {"last": "2020-01-02"}, {"repair": "none"}, {"kind": "x"}]
)
def test_another_request_misses(tmp_path, source, load, change):
    cached_prices(tmp_path / "cache", request(source), load)
    cached_prices(tmp_path / "cache", request(source, **change), load)
    assert load.count == 2


def test_other_code_or_library_misses(tmp_path, source, load, monkeypatch):
    cached_prices(tmp_path / "cache", request(source), load)
    monkeypatch.setattr("engine.price_cache.code_digest", lambda folder: "changed")
    cached_prices(tmp_path / "cache", request(source), load)
    monkeypatch.setattr("engine.price_cache.version", lambda name: "99")
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 3


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", [*(f"{field}.npy" for field in BAR_FIELDS), "sessions.npy", "meta.json"])
@pytest.mark.parametrize("harm", [damage, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_damaged_entry_is_made_anew(tmp_path, source, load, name, harm):
    cached_prices(tmp_path / "cache", request(source), load)
    (entry,) = (tmp_path / "cache" / "panels").iterdir()
    harm(entry / name)
    assert cached_prices(tmp_path / "cache", request(source), load).panel.digest() == load.prices.panel.digest()
    assert load.count == 2
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 2


def test_changed_finding_in_an_entry_is_not_believed(tmp_path, source, load):
    cached_prices(tmp_path / "cache", request(source), load)
    (entry,) = (tmp_path / "cache" / "panels").iterdir()
    text = (entry / "meta.json").read_text()
    assert "stale run" in text
    (entry / "meta.json").write_text(text.replace("stale run", "fresh run"))
    assert cached_prices(tmp_path / "cache", request(source), load).findings == load.prices.findings


def test_panels_in_use_survive_that_their_entry_is_made_anew(tmp_path, source, load):
    held = cached_prices(tmp_path / "cache", request(source), load).panel
    shutil.rmtree(tmp_path / "cache")
    assert held.digest() == load.prices.panel.digest()


def test_oldest_entries_are_forgotten(tmp_path, source, load):
    for year in range(2000, 2020):
        cached_prices(tmp_path / "cache", request(source, last=f"{year}-01-03"), load)
    assert len(list((tmp_path / "cache" / "panels").iterdir())) == 12
    cached_prices(tmp_path / "cache", request(source, last="2019-01-03"), load)
    assert load.count == 20


def test_cache_that_cannot_be_written_is_the_environments_failure(tmp_path, source, load):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EnvironmentFailure, match="cannot keep the panel in .*; choose another `--cache`, or `none`"):
        cached_prices(tmp_path / "cache", request(source), load)


def entry_of(tmp_path):
    (entry,) = (tmp_path / "cache" / "panels").iterdir()
    return entry


@pytest.mark.parametrize("what", ["file", "link to nowhere", "link to a folder", "empty folder"])
def test_entry_that_is_no_folder_of_ours_is_made_anew(tmp_path, source, load, what):
    cached_prices(tmp_path / "cache", request(source), load)
    entry = entry_of(tmp_path)
    shutil.rmtree(entry)
    match what:
        case "file":
            entry.write_text("not a folder")
        case "link to nowhere":
            entry.symlink_to(tmp_path / "nowhere")
        case "link to a folder":
            entry.symlink_to(source)
        case "empty folder":
            entry.mkdir()
    for _ in range(2):
        assert cached_prices(tmp_path / "cache", request(source), load).panel.digest() == load.prices.panel.digest()
    assert load.count == 2
    assert len(list(source.iterdir())) == 2


def test_oldest_entries_that_another_process_removed_meanwhile_are_no_matter(tmp_path, source, load, monkeypatch):
    for year in range(2000, 2012):
        cached_prices(tmp_path / "cache", request(source, last=f"{year}-01-03"), load)
    whole = Path.iterdir

    def iterdir(path):  # as it looks when the entry vanishes between the listing and the look at it
        yield from whole(path)
        if path.name == "panels":
            yield path / "gone"

    monkeypatch.setattr(Path, "iterdir", iterdir)
    cached_prices(tmp_path / "cache", request(source), load)
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 13


def test_leavings_of_a_killed_process_are_removed_and_a_running_ones_are_not(tmp_path, source, load):
    panels = tmp_path / "cache" / "panels"
    for name in (".dead.1", ".busy.2"):
        (panels / name).mkdir(parents=True)
        (panels / name / "open.npy").write_bytes(b"half")
    os.utime(panels / ".dead.1", (1, 1))
    cached_prices(tmp_path / "cache", request(source), load)
    assert sorted(path.name for path in panels.iterdir() if path.name.startswith(".")) == [".busy.2"]


def test_inputs_that_change_while_they_are_read_are_not_kept_under_their_old_name(tmp_path, source, load):
    def change_and_load():
        (source / "AAA.csv").write_text("Date,Open\n2020-01-02,3\n")
        return load()

    before = (source / "AAA.csv").read_bytes()
    cached_prices(tmp_path / "cache", request(source), change_and_load)
    (source / "AAA.csv").write_bytes(before)
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 2


def test_entry_that_cannot_be_marked_as_used_still_serves(tmp_path, source, load, monkeypatch):
    cached_prices(tmp_path / "cache", request(source), load)

    def refuse(*words, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("engine.price_cache.os.utime", refuse)
    cached_prices(tmp_path / "cache", request(source), load)
    assert load.count == 1


PROGRAM = """
import sys, time
from pathlib import Path
from engine.price_cache import PriceRequest, cached_prices
from feeds.prices import load_checked

place, cache, mine = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

def load():  # nobody has an entry yet when the last one begins to load
    mine.touch()
    while len(list(mine.parent.iterdir())) < int(sys.argv[4]):
        time.sleep(0.01)
    return load_checked(f"csv:{place}")

for last in (None, *(f"2020-01-{day:02}" for day in range(8, 28))):
    request = PriceRequest(place, "csv", None, None, last, "safe")
    print(cached_prices(cache, request, load).panel.digest())
"""


def test_processes_that_make_the_same_entries_at_once_all_get_them(tmp_path):
    prices, ready = tmp_path / "prices", tmp_path / "ready"
    prices.mkdir()
    ready.mkdir()
    rows = "".join(f"2020-01-{day:02},1,1,1,1,1\n" for day in (2, 3, 6, 7, 8, 9, 10))
    for name in ("AAA", "BBB"):
        (prices / f"{name}.csv").write_text(f"Date,Open,High,Low,Close,Volume\n{rows}")
    words = [sys.executable, "-c", PROGRAM, str(prices), str(tmp_path / "cache")]
    root = Path(__file__).resolve().parents[2]
    started = [
        subprocess.Popen([*words, str(ready / str(k)), "3"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for k in range(3)
    ]
    ended = [process.communicate(timeout=300) for process in started]
    assert [error.decode() for _, error in ended] == [""] * 3
    assert len({printed for printed, _ in ended}) == 1
    assert len(ended[0][0].split()) == 21
    kept = list((tmp_path / "cache" / "panels").iterdir())
    assert not [path for path in kept if path.name.startswith(".")]
    assert len(kept) <= 14  # twelve, and what the others put there between looking and writing
