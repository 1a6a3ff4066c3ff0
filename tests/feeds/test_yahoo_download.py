"""A folder of Yahoo's prices: faults, resumption after a kill, and vintages that are never mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from feeds.errors import EnvironmentFailure, InputError
from feeds.price_folder import ParquetFolder, read_vintage
from feeds.prices import load_prices
from feeds.yahoo_client import ADDRESS_VARIABLE, YahooBusyError, YahooClient, YahooMissingError
from feeds.yahoo_download import MANIFEST, Download, download
from tests.feeds.yahoo_stand_in import StandIn, serving, walk

ROOT = Path(__file__).resolve().parent.parent.parent
NOW = datetime(2020, 4, 1, 12, tzinfo=UTC)
LATER = datetime(2020, 5, 4, 12, tzinfo=UTC)


class FakeClient:
    """Answers from frames; each ticker's faults are raised first, one per request."""

    def __init__(self, frames=None, faults=None):
        self.frames, self.faults, self.asked = frames or {}, faults or {}, []

    def history(self, ticker, first, last):
        self.asked.append(ticker)
        faults = self.faults.get(ticker)
        if faults:
            raise faults.pop(0)
        if ticker not in self.frames:
            raise YahooMissingError("No data found, symbol may be delisted")
        frame = self.frames[ticker].loc[first:last]
        columns = {"adjclose": "adj_close"}
        bars = frame.rename(columns=columns).astype(float).assign(dividends=0.0, splits=0.0)
        return bars.rename_axis("date").reset_index()


def run(folder, client, tickers=None, now=NOW, **settings):
    names = tickers or list(client.frames)
    return download(names, folder, lambda: client, waits_s=(0, 0), now=lambda: now, **settings)


def stored(folder):
    return json.loads((folder / MANIFEST).read_text())


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".parquet"}


# ---- what is written


def test_download_writes_a_file_per_ticker_and_says_where_from(tmp_path):
    client = FakeClient({"AAA": walk(), "^GSPC": walk(seed=1)})
    done = run(tmp_path / "store", client, ["aaa", "^gspc", "AAA"])
    assert done == Download(fetched=["AAA", "^GSPC"])
    manifest = stored(tmp_path / "store")
    assert manifest["price_basis"] == "split_adjusted"
    assert manifest["tickers"]["AAA"] == {
        "downloaded_at": "2020-04-01T12:00:00+00:00",
        "library": "yfinance 1.7.0",
        "asked_from": "",
        "asked_to": "2020-03-31",
        "bars": len(client.frames["AAA"]),
    }
    panel = load_prices(f"parquet:{tmp_path / 'store'}")
    assert panel.price_basis == "split_adjusted"
    np.testing.assert_array_equal(panel.source_price("close")[:, 0], client.frames["AAA"]["close"])


def test_download_between_dates_asks_for_them_and_keeps_them(tmp_path):
    client = FakeClient({"AAA": walk()})
    run(tmp_path, client, first=date(2020, 2, 3), last=date(2020, 2, 28))
    bars = ParquetFolder(tmp_path).read("AAA").bars
    assert (str(bars.dates[0]), str(bars.dates[-1])) == ("2020-02-03", "2020-02-28")


# ---- faults


def test_download_busy_server_is_tried_again_until_it_answers(tmp_path):
    client = FakeClient({"AAA": walk()}, {"AAA": [YahooBusyError("HTTP 500"), YahooBusyError("too many requests")]})
    assert run(tmp_path, client).fetched == ["AAA"]
    assert client.asked == ["AAA"] * 3


def test_download_what_cannot_be_had_is_named_and_the_rest_is_there(tmp_path):
    client = FakeClient(
        {"AAA": walk(), "BBB": walk(seed=1), "CCC": walk(seed=2)}, {"BBB": [YahooBusyError("HTTP 500")] * 3}
    )
    done = run(tmp_path, client, ["AAA", "BBB", "CCC", "GONE"])
    assert done.fetched == ["AAA", "CCC"]
    assert done.missing == {"GONE": "No data found, symbol may be delisted"}
    assert done.failed == {"BBB": "HTTP 500"}
    assert (stored(tmp_path)["missing"], stored(tmp_path)["failed"]) == (done.missing, done.failed)
    again = run(tmp_path, client, ["AAA", "BBB", "CCC"])
    assert (again.kept, again.fetched, again.failed) == (["AAA", "CCC"], ["BBB"], {})
    assert stored(tmp_path)["failed"] == {}


def test_download_from_a_server_that_is_gone_stops_asking(tmp_path):
    names = [f"T{k}" for k in range(9)]
    client = FakeClient({}, {name: [YahooBusyError("refused", reached=False)] * 9 for name in names})
    done = run(tmp_path, client, names)
    assert client.asked == ["T0"] * 3 + ["T1"] * 3 + ["T2"] * 3
    assert list(done.failed) == names
    assert done.failed["T3"] == "not tried any more"


def test_download_waits_longer_before_each_further_try(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr("feeds.yahoo_download.time.sleep", waited.append)
    client = FakeClient({}, {"AAA": [YahooBusyError("HTTP 500")] * 9})
    download(["AAA"], tmp_path, lambda: client, now=lambda: NOW)
    assert waited == [1.0, 3.0, 9.0]


def test_download_interrupted_keeps_what_is_whole_and_says_it(tmp_path):
    client = FakeClient({"AAA": walk(), "BBB": walk()}, {"BBB": [KeyboardInterrupt()]})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, client)
    assert list(stored(tmp_path)["tickers"]) == ["AAA"]
    assert run(tmp_path, client).kept == ["AAA"]


# ---- what is there already


def test_download_of_what_is_there_asks_nobody(tmp_path):
    run(tmp_path, FakeClient({"AAA": walk()}))
    before = content(tmp_path)

    def no_client():
        raise AssertionError("nothing was to be fetched")

    done = download(["AAA"], tmp_path, no_client, first=date(2020, 2, 3), now=lambda: NOW)
    assert done.kept == ["AAA"]
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("stored_range", "wanted_range", "fetched"),
    [
        ({"first": date(2020, 2, 3)}, {}, True),
        ({"first": date(2020, 2, 3)}, {"first": date(2020, 1, 6)}, True),
        ({"first": date(2020, 2, 3)}, {"first": date(2020, 2, 4)}, False),
        ({"last": date(2020, 2, 28)}, {}, True),
        ({"last": date(2020, 2, 28)}, {"last": date(2020, 2, 27)}, False),
        ({}, {"last": date(2099, 1, 1)}, False),
        ({}, {"again": True}, True),
    ],
)
def test_download_fetches_what_the_stored_range_does_not_cover(tmp_path, stored_range, wanted_range, fetched):
    client = FakeClient({"AAA": walk()})
    run(tmp_path, client, **stored_range)
    assert (run(tmp_path, client, **wanted_range).fetched == ["AAA"]) == fetched


def test_download_damaged_file_is_fetched_again(tmp_path):
    client = FakeClient({"AAA": walk()})
    run(tmp_path, client)
    (tmp_path / "AAA.parquet").write_bytes(b"PAR1 half")
    assert run(tmp_path, client).fetched == ["AAA"]


# ---- vintages


def test_download_of_a_longer_range_replaces_the_ticker_whole(tmp_path):
    # The later vintage knows a dividend on 13 April, which rescales every adjusted close before it.
    early = FakeClient({"AAA": walk(), "BBB": walk(seed=1)})
    late = FakeClient({"AAA": walk(last="2020-05-01", dividends=[("2020-04-13", 1.0)])})
    run(tmp_path, early)
    done = run(tmp_path, late, now=LATER)
    assert (done.fetched, done.revised) == (["AAA"], [])
    np.testing.assert_array_equal(ParquetFolder(tmp_path).read("AAA").bars.adj_close, late.frames["AAA"]["adjclose"])
    assert read_vintage(tmp_path / "AAA.parquet").day == "2020-05-04"
    assert read_vintage(tmp_path / "BBB.parquet").day == "2020-04-01"


def test_download_that_finds_the_past_rewritten_names_the_ticker(tmp_path):
    before, after = walk(), walk(last="2020-05-01")
    after.iloc[20, after.columns.get_loc("adjclose")] *= 1.01
    run(tmp_path, FakeClient({"AAA": before}))
    done = run(tmp_path, FakeClient({"AAA": after}), now=LATER)
    assert done.revised == stored(tmp_path)["revised"] == ["AAA"]


# ---- what is refused


@pytest.mark.parametrize("name", ["../up", "A B", "", "-X", "A/B"])
def test_download_of_an_impossible_name_raises(tmp_path, name):
    with pytest.raises(InputError, match=r"`--tickers`: expected names such as AAPL, BRK-B or \^GSPC, received"):
        run(tmp_path, FakeClient(), ["AAA", name])
    with pytest.raises(InputError, match="`--tickers`: expected the stocks to download, received none; add"):
        download([], tmp_path, FakeClient)


def test_download_into_a_folder_of_other_things_raises(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=r"expected a new folder or one of an earlier download, received .* choose"):
        run(tmp_path, FakeClient({"AAA": walk()}))
    with pytest.raises(InputError, match="`--out`: expected a folder, received the file .*thesis.txt"):
        run(tmp_path / "thesis.txt", FakeClient({"AAA": walk()}))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_download_to_a_disk_that_refuses_is_the_environments_failure(tmp_path, monkeypatch):
    def refuse(path, *words, **settings):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EnvironmentFailure, match="store: cannot be used, Read-only file system"):
        run(tmp_path / "store", FakeClient({"AAA": walk()}))
    monkeypatch.undo()
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(EnvironmentFailure, match="manifest.json: cannot be written, Read-only file system"):
        run(tmp_path / "store", FakeClient({"AAA": walk()}))


# ---- over HTTP


def test_download_over_http_through_every_fault(tmp_path, monkeypatch):
    stand_in = StandIn()
    stand_in.frames = {name: walk(seed=k) for k, name in enumerate(["AAA", "BBB", "CCC", "DDD", "EEE"])}
    stand_in.faults.update(AAA=[429], BBB=[503, "malformed"], CCC=["hang"], DDD=["drop", "html"], EEE=[500] * 3)
    with serving(stand_in) as address:
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
        done = download(
            [*stand_in.frames, "GONE"],
            tmp_path / "s",
            lambda: YahooClient(tmp_path / "yf", timeout_s=1),
            waits_s=(0, 0),
        )
    assert done.fetched == ["AAA", "BBB", "CCC", "DDD"]
    assert done.failed == {"EEE": "HTTP 500"}
    assert done.missing == {"GONE": "No data found, symbol may be delisted"}
    for name in done.fetched:
        np.testing.assert_array_equal(
            ParquetFolder(tmp_path / "s").read(name).bars.adj_close, stand_in.frames[name]["adjclose"]
        )


def test_download_killed_in_the_middle_resumes_without_asking_again(tmp_path):
    stand_in = StandIn()
    stand_in.frames = {f"T{k}": walk(seed=k) for k in range(4)}
    stand_in.faults["T2"] = ["hang"]
    words = [sys.executable, "run_backtest.py", "download", "prices", "--tickers", "T0,T1,T2,T3", "--quiet"]
    words += ["--out", str(tmp_path / "store"), "--cache", str(tmp_path / "cache")]
    with serving(stand_in) as address:
        environment = {**os.environ, ADDRESS_VARIABLE: address}
        process = subprocess.Popen(words, cwd=ROOT, env=environment)
        deadline = time.monotonic() + 60
        while "T2" not in stand_in.charts() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert sorted(content(tmp_path / "store")) == ["T0.parquet", "T1.parquet"]
        before = content(tmp_path / "store")
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 downloaded, 2 there already" in done.stdout
    assert stand_in.charts() == ["T0", "T1", "T2", "T2", "T3"]
    after = content(tmp_path / "store")
    assert sorted(after) == [f"T{k}.parquet" for k in range(4)]
    assert {name: after[name] for name in before} == before
    assert [path.name for path in (tmp_path / "store").iterdir() if path.name.startswith(".")] == []
