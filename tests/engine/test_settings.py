from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest

from engine.settings import Settings, default_cache, read_config, resolve
from feeds.errors import InputError


def test_resolve_nothing_given_is_the_embedded_market_with_the_tiny_model():
    settings = resolve({})
    assert (settings.prices, settings.filings, settings.model, settings.strategy) == (
        "synthetic", "synthetic", "tiny", "lstm_insider",
    )  # fmt: skip
    assert settings.round_trip_cost_frac == pytest.approx(0.001)


def test_resolve_real_prices_default_to_no_filings_and_the_default_model(tmp_path: Path):
    settings = resolve({"prices": f"csv:{tmp_path}", "strategy": "lstm_only"})
    assert (settings.filings, settings.model) == ("none", "default")


def test_resolve_flags_override_the_file_and_tables_merge():
    settings = resolve({"seed": "3", "params": {"max_positions": "5"}}, {"seed": 1, "cash": 5, "params": {"a": 1}})
    assert (settings.seed, settings.cash, dict(settings.params)) == (3, 5.0, {"a": 1, "max_positions": "5"})


def test_resolve_flag_that_names_another_strategy_or_model_drops_the_files_values_for_the_old_one():
    config = {
        "strategy": "lstm_insider", "params": {"min_insider_pressure": 0.1},
        "model": "tiny", "model_options": {"units": 4},
    }  # fmt: skip
    other = resolve({"strategy": "lstm_only", "model": "default"}, config)
    assert (dict(other.params), dict(other.model_options)) == ({}, {})
    same = resolve({"strategy": "lstm_insider"}, config)
    assert (dict(same.params), dict(same.model_options)) == ({"min_insider_pressure": 0.1}, {"units": 4})


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"prices": "cvs:x"}, r"`--prices`: expected synthetic.*received 'cvs:x'.*Did you mean 'csv'"),
        ({"prices": "csv"}, r"`--prices`: expected synthetic, csv:DIR, parquet:FILE.DIR or yahoo, received 'csv'"),
        ({"prices": "synthetic:x"}, r"`--prices`: expected synthetic"),
        ({"filings": "/nowhere"}, r"`--filings`: expected synthetic, none, or an existing DIR or FILE.parquet"),
        ({"first": "2020-13-01"}, r"`--from`: expected a date as YYYY-MM-DD, received '2020-13-01'"),
        ({"first": "2020-02-01", "last": "2020-01-01"}, r"`--from`: expected a date up to `--to` 2020-01-01"),
        ({"cash": "0"}, r"`--cash`: expected a number above 0, received '0'"),
        ({"cash": "nan"}, r"`--cash`: expected a number above 0, received 'nan'"),
        ({"cash": "inf"}, r"`--cash`: expected a number above 0, received 'inf'"),
        ({"commission_bps": "-1"}, r"`--commission-bps`: expected a number from 0 to 10000, received '-1'"),
        ({"placebo": "19"}, r"`--placebo`: expected at least 20 fits, because .*, or 0 for none, received '19'"),
        ({"placebo": 20.5}, r"`--placebo`: expected at least 20 fits"),
        ({"seeds": "0"}, r"`--seeds`: expected a whole number from 1, received '0'"),
        ({"seed": "1.5"}, r"`--seed`: expected a whole number from 0, received '1.5'"),
        ({"predictions": "/nowhere"}, r"`--predictions`: expected an existing file, received '/nowhere'"),
        ({"benchmark": "csv:/nowhere"}, r"`--benchmark`: expected an existing file"),
        ({"prices": "yahoo:x"}, r"parquet:FILE.DIR or yahoo, received 'yahoo:x'"),
        ({"prices": "yahoo"}, r"`--prices yahoo`: expected the stocks to download, received none; add `--tickers"),
        ({"universe": "none.csv"}, r"`--universe`: expected an existing file, received 'none.csv'"),
        ({"tickers": " , "}, r"`--tickers`: expected at least one ticker"),
        ({"tickers": "/no/such/file"}, r"`--tickers`: expected .* '/no/such/file', a path that does not exist"),
        ({"tickers": "mine.txt"}, r"`--tickers`: expected A,B,C or a file .* 'mine.txt', a path that does not exist"),
        ({"tickers": "/tmp"}, r"`--tickers`: expected A,B,C or a file with one ticker a line, .* '/tmp', a folder"),
        ({"tickers": "/bin/sh"}, r"`--tickers`: expected a text file, received '/bin/sh': 'utf-8' codec can't"),
        ({"tickers": ["A", 3]}, r"`--tickers`: expected A,B,C or a file"),
        ({"model": ""}, r"`--model`: expected a text"),
        ({"params": "x"}, r"`params`: expected a table of name = value"),
    ],
)  # fmt: skip
def test_resolve_bad_value_says_what_was_expected(flags: dict[str, object], text: str):
    with pytest.raises(InputError, match=text):
        resolve(flags)


def test_resolve_synthetic_filings_with_real_prices_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="expected both synthetic or neither"):
        resolve({"prices": f"csv:{tmp_path}", "filings": "synthetic"})
    with pytest.raises(InputError, match="expected both synthetic or neither"):
        resolve({"filings": str(tmp_path)})


def test_resolve_market_table_with_real_prices_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="`market`: expected only with `--prices synthetic`"):
        resolve({"prices": f"csv:{tmp_path}", "strategy": "lstm_only"}, {"market": {"n_stocks": 3}})


def test_resolve_tickers_from_text_and_file(tmp_path: Path):
    path = tmp_path / "names.txt"
    path.write_text("AAA # first\n\nBBB, CCC\n")
    assert resolve({"tickers": str(path)}).tickers == ("AAA", "BBB", "CCC")
    assert resolve({"tickers": "AAA,BBB,AAA"}).tickers == ("AAA", "BBB")


def test_toml_of_resolved_settings_repeats_them(tmp_path: Path):
    flags = {"first": "2015-01-05", "params": {"max_positions": 4}, "market": {"n_stocks": 12}, "tickers": "A,B"}
    settings = resolve(flags)
    path = tmp_path / "config.toml"
    path.write_text(settings.as_toml())
    assert tomllib.loads(path.read_text())["from"] == date(2015, 1, 5)
    assert resolve({}, read_config(path)) == settings


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("prices = ", "`--config`: expected TOML"),
        ("pricse = 'synthetic'", "unknown setting in .* 'pricse'.*Did you mean 'prices'"),
    ],
)
def test_read_config_bad_file_says_why(tmp_path: Path, text: str, match: str):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        read_config(path)


def test_read_config_missing_file_says_so(tmp_path: Path):
    with pytest.raises(InputError, match="`--config`: expected a TOML file that can be read"):
        read_config(tmp_path / "none.toml")


def test_default_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "insider-swing"
    assert resolve({"cache": "none"}).cache is None
    assert Settings().cache is None


def test_resolve_placebo_of_no_fits_is_none_and_of_twenty_is_kept():
    assert resolve({"placebo": "0"}).placebo is None
    assert "placebo" not in resolve({}).as_dict()
    assert resolve({"placebo": "20"}).as_dict()["placebo"] == 20
