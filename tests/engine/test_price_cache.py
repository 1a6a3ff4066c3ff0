"""Panels kept by the content of their inputs: what hits, what misses, and what is not believed."""

from __future__ import annotations

import os
import shutil

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
