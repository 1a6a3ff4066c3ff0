"""From settings to checked prices: faulty folders, the cache, Yahoo, and a universe."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.commands import main
from engine.inputs import load_inputs
from engine.settings import resolve
from feeds.errors import EnvironmentFailure, InputError
from feeds.price_folder import read_vintage, write_ticker
from feeds.progress import silent
from feeds.sessions import trading_sessions
from feeds.yahoo_client import ADDRESS_VARIABLE
from tests.feeds.yahoo_stand_in import StandIn, serving, walk


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("feeds.yahoo_download.WAITS_S", (0.0,))


@pytest.fixture
def yahoo(monkeypatch):
    stand_in = StandIn()
    with serving(stand_in) as address:
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
        yield stand_in


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://127.0.0.1:9")


@pytest.fixture
def folder(tmp_path):
    """Four sound files."""
    place = tmp_path / "prices"
    place.mkdir()
    sessions = trading_sessions("2020-01-02", "2020-06-30")
    for k, name in enumerate(["AAA", "BBB", "CCC", "DDD"]):
        close = 50 * np.exp(np.cumsum(np.random.default_rng(k).normal(0, 0.01, len(sessions))))
        columns = {"Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close, "Volume": 1e6 + close}
        pd.DataFrame(columns, index=pd.Index(sessions, name="Date")).to_csv(place / f"{name}.csv")
    return place


def inputs(**flags):
    return load_inputs(resolve(flags), silent)


# ---- a folder with files that are none


def spoil(folder):
    (folder / "EMPTY.csv").write_bytes(b"")
    (folder / "IMAGE.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    (folder / "LOST.csv").mkdir()  # what no user may read, the administrator included


def test_folder_with_an_unreadable_an_empty_and_a_binary_file_loads_the_rest_and_names_the_three(folder):
    spoil(folder)
    found = inputs(prices=f"csv:{folder}")
    assert found.panel.tickers == ("AAA", "BBB", "CCC", "DDD")
    named = {
        (finding.ticker, finding.kind, finding.severity) for finding in found.findings if finding.action == "refused"
    }
    assert named == {
        ("EMPTY", "empty file", "error"),
        ("IMAGE", "not a text file", "error"),
        ("LOST", "not a file", "error"),
    }
    assert all(any(name in text for text in found.warnings) for name in ("EMPTY", "IMAGE", "LOST"))


def test_folder_with_one_file_without_a_column_loads_the_rest_and_names_it(folder):
    header, _, rows = (folder / "BBB.csv").read_text().partition("\n")
    (folder / "BBB.csv").write_text(header.replace("Close", "Clxse") + "\n" + rows)
    found = inputs(prices=f"csv:{folder}")
    assert found.panel.tickers == ("AAA", "CCC", "DDD")
    refused = [finding for finding in found.findings if finding.action == "refused"]
    assert [(one.ticker, one.kind, one.severity) for one in refused] == [("BBB", "missing column", "error")]
    assert any("Refused for defects of their prices: BBB (missing column)." in text for text in found.warnings)
    with pytest.raises(InputError, match="defects in 1 of 4 tickers: BBB: lacks the column `close`"):
        inputs(prices=f"csv:{folder}", repair="none")


def test_the_same_folder_without_repairs_is_refused_in_one_line_that_names_the_three(folder):
    spoil(folder)
    with pytest.raises(InputError, match="defects in 3 of 7 tickers: EMPTY: .* is empty; IMAGE: .*; LOST: ") as caught:
        inputs(prices=f"csv:{folder}", repair="none")
    assert "\n" not in str(caught.value)


def test_file_that_may_not_be_read_is_named_like_the_others(folder, monkeypatch):
    whole, opened = Path.read_bytes, Path.open

    def read_bytes(path):
        if path.name == "BBB.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    def open_(path, *words, **settings):
        if path.name == "BBB.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *words, **settings)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    monkeypatch.setattr(Path, "open", open_)
    found = inputs(prices=f"csv:{folder}")
    assert found.panel.tickers == ("AAA", "CCC", "DDD")
    assert [str(f) for f in found.findings if f.severity == "error"] == [
        "BBB: BBB.csv cannot be read, Permission denied"
    ]


# ---- the cache


def test_cached_prices_equal_fresh_ones_and_touching_an_input_hits(folder, monkeypatch):
    settings = {"prices": f"csv:{folder}"}
    fresh = inputs(**settings, cache="none")
    first = inputs(**settings)
    os.utime(folder / "AAA.csv", (1, 1))
    monkeypatch.setattr("engine.price_inputs.load_checked", None)  # a second reading would fail
    second = inputs(**settings)
    assert first.panel.digest() == second.panel.digest() == fresh.panel.digest()
    assert first.findings == second.findings == fresh.findings


def test_changed_byte_of_an_input_is_read_again(folder):
    before = inputs(prices=f"csv:{folder}").panel
    text = (folder / "AAA.csv").read_text()
    (folder / "AAA.csv").write_text(text.replace(",1000", ",1001", 1))
    after = inputs(prices=f"csv:{folder}").panel
    assert before.digest() != after.digest()
    np.testing.assert_array_equal(before.close, after.close)


# ---- Yahoo


def test_prices_yahoo_are_downloaded_once_and_then_taken_from_the_cache(yahoo):
    yahoo.frames = {"AAA": walk(dividends=[("2020-02-07", 0.5)]), "BBB": walk(seed=1)}
    settings = {"prices": "yahoo", "tickers": "AAA,BBB", "last": "2020-03-31"}
    found = inputs(**settings)
    assert yahoo.charts() == ["AAA", "BBB"]
    assert found.panel.price_basis == "split_adjusted"
    np.testing.assert_allclose(found.panel.source_price("close")[:, 0], yahoo.frames["AAA"]["close"], rtol=1e-14)
    adjusted = yahoo.frames["AAA"]["adjclose"].to_numpy()
    np.testing.assert_allclose(found.panel.close[:, 0] / found.panel.close[0, 0], adjusted / adjusted[0], rtol=1e-14)
    yahoo.frames.clear()
    assert inputs(**settings).panel.digest() == found.panel.digest()
    assert yahoo.charts() == ["AAA", "BBB"]


def test_prices_yahoo_without_a_cache_leave_nothing_behind(yahoo, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    yahoo.frames = {"AAA": walk()}
    found = inputs(prices="yahoo", tickers="AAA", last="2020-03-31", cache="none")
    assert found.panel.tickers == ("AAA",)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_prices_yahoo_unknown_ticker_is_the_users_mistake(yahoo):
    yahoo.frames = {"AAA": walk()}
    expected = r"expected stocks that Yahoo knows, received GONE \(first GONE: No data found, .* leave them out"
    with pytest.raises(InputError, match=expected):
        inputs(prices="yahoo", tickers="AAA,GONE", last="2020-03-31")


def test_prices_yahoo_class_of_shares_with_a_dot_is_told_yahoos_spelling(yahoo, capsys):
    yahoo.frames = {"AAA": walk()}
    spelling = "; Yahoo writes BRK-B for a class of shares such as BRK.B"
    with pytest.raises(InputError, match=rf"first BRK.B: No data found, .*; leave them out{spelling}$"):
        inputs(prices="yahoo", tickers="AAA,BRK.B", last="2020-03-31")
    assert main(["download", "prices", "--tickers", "AAA,BRK.B", "--out", "store", "--quiet"]) == 1
    assert capsys.readouterr().err.endswith(f"symbol may be delisted){spelling}\n")


def test_prices_yahoo_of_a_universe_leave_out_what_yahoo_lost_and_say_it(yahoo, tmp_path):
    yahoo.frames = {"AAA": walk()}
    (tmp_path / "members.csv").write_text("ticker,from,to\nAAA,,\nGONE,,2020-02-01\n")
    found = inputs(prices="yahoo", universe="members.csv", last="2020-03-31")
    assert found.panel.tickers == ("AAA",)
    assert any(
        "Yahoo has no prices of 1 of the universe's stocks, which are left out: GONE; if" in w for w in found.warnings
    )


def test_prices_yahoo_without_a_network_name_the_stocks_and_exit_with_1(no_network, capsys):
    assert main(["check-data", "--prices", "yahoo", "--tickers", "AAA,BBB", "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "error: `--prices yahoo`: expected prices of every stock, received none of AAA, BBB (first AAA: curl: (7) "
    )
    assert error.count("\n") == 1
    with pytest.raises(EnvironmentFailure, match="run it again when Yahoo can be reached, or with a `--to` that the"):
        inputs(prices="yahoo", tickers="AAA")


def test_download_prices_incomplete_names_the_stocks_and_exits_with_1(yahoo, capsys, tmp_path):
    yahoo.frames = {"AAA": walk()}
    words = ["download", "prices", "--tickers", "AAA,GONE", "--to", "2020-03-31", "--out", "store", "--quiet"]
    assert main(words) == 1
    printed = capsys.readouterr()
    assert "store: 1 downloaded, 0 there already, 1 not at Yahoo" in printed.out
    assert "not at Yahoo: GONE, No data found, symbol may be delisted" in printed.out
    assert printed.err == (
        "error: 1 of 2 stocks could not be downloaded: GONE (first GONE: No data found, symbol may be delisted)\n"
    )
    assert json.loads((tmp_path / "store" / "manifest.json").read_text())["missing"]["GONE"].startswith("No data")
    assert main(["download", "prices", "--tickers", "AAA", "--to", "2020-03-31", "--out", "store", "--quiet"]) == 0
    assert capsys.readouterr().out == "store: 0 downloaded, 1 there already\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--tickers", "AAA"], "`--out`: expected the folder for the prices, received none; add `--out DIR`"),
        (["--out", "store"], "`--prices yahoo`: expected the stocks to download, received none"),
    ],
)
def test_download_prices_that_says_too_little_is_a_mistake(words, text, capsys):
    assert main(["download", "prices", *words]) == 2
    assert text in capsys.readouterr().err


def test_store_of_two_vintages_says_so(yahoo, tmp_path):
    yahoo.frames = {"AAA": walk(), "BBB": walk(seed=1)}
    words = ["download", "prices", "--tickers", "AAA,BBB", "--to", "2020-03-31", "--out", "store", "--quiet"]
    assert main(words) == 0
    assert not any("vintages" in text for text in inputs(prices="parquet:store").warnings)
    bars = pd.read_parquet(tmp_path / "store" / "BBB.parquet")
    old = replace(read_vintage(tmp_path / "store" / "BBB.parquet"), downloaded_at="2020-04-01T00:00:00+00:00")
    write_ticker(tmp_path / "store", "BBB", bars, old)
    told = inputs(prices="parquet:store").warnings
    assert any("different vintages: downloaded 2020-04-01 (BBB), " in text for text in told)


# ---- a universe


def test_universe_reads_its_stocks_only_and_names_members_without_prices(folder, tmp_path):
    (tmp_path / "members.csv").write_text("ticker,from,to\nAAA,,2020-03-31\nCCC,,\nZZZ,,\n")
    found = inputs(prices=f"csv:{folder}", universe="members.csv")
    assert found.panel.tickers == ("AAA", "CCC")
    assert found.membership.tickers == ("AAA", "CCC", "ZZZ")
    assert any("1 of 3 stocks of the universe have no prices: ZZZ; if they are" in text for text in found.warnings)
    assert found.notes[0].startswith("Universe: members by members.csv. A stock is bought only while")
    with_benchmark = inputs(prices=f"csv:{folder}", universe="members.csv", benchmark="ddd")
    assert with_benchmark.panel.tickers == ("AAA", "CCC", "DDD")


def test_universe_without_any_stock_of_the_source_raises(folder, tmp_path):
    (tmp_path / "members.csv").write_text("ticker,from,to\nYYY,,\nZZZ,,\n")
    with pytest.raises(
        InputError, match="`--universe`: expected tickers of csv:.*, which has AAA, .*received YYY, ZZZ"
    ):
        inputs(prices=f"csv:{folder}", universe="members.csv")


def test_without_a_universe_the_report_says_survivors(folder):
    found = inputs(prices=f"csv:{folder}")
    assert found.membership is None
    assert "survivors" in found.notes[0]
