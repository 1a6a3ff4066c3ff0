"""Random damage to price files: it is named, and it never reaches another stock or becomes a traceback."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feeds.errors import InputError
from feeds.price_folder import Vintage, write_ticker
from feeds.prices import check_prices, load_checked
from tests.feeds.made_bars import sound_bars

TOKENS = (b'"', b"\n", b"\r", b",", b";", b"\0", b"\xff", b"\xe9", b"1E2147483648", b"-", b"0000-01-01", b"9999-12-31")
VINTAGE = Vintage("yahoo", "2024-03-09T10:00:00+00:00", "yfinance 1.7.0", "", "2024-03-08", "split_adjusted")


def frame(seed):
    bars = sound_bars(80, seed=seed)
    return pd.DataFrame({"date": bars.dates.astype("datetime64[s]"), **bars.numbers}).round(4)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to eight bytes changed, pieces cut out, doubled or put in, or the end cut off."""
    spoilt = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        # Half of the damage goes to the two ends, where headers and footers are.
        place = int(rng.integers(len(spoilt) or 1))
        if rng.random() < 0.5:
            place = min(place, 120) if rng.random() < 0.5 else max(0, len(spoilt) - 1 - place % 400)
        length = int(rng.integers(1, 60))
        match rng.integers(6):
            case 0 if spoilt:
                spoilt[place] = rng.integers(256)
            case 1 if spoilt:
                spoilt[place] ^= 1 << int(rng.integers(8))
            case 2:
                del spoilt[place : place + length]
            case 3:
                spoilt[place:place] = spoilt[place : place + length]
            case 4:
                spoilt[place:place] = TOKENS[rng.integers(len(TOKENS))]
            case 5 if rng.random() < 0.2:
                del spoilt[place:]
    return bytes(spoilt)


def loaded_or_refused(load, spec):
    """What is loaded, and the text with which it is refused; every other exception passes through."""
    try:
        return load(spec), ""
    except InputError as error:
        return None, str(error)


def assert_others_unharmed(spec, whole):
    """A stock that nothing was done to is as before, and the damaged one named: by findings, or by a refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for load in (check_prices, load_checked):
            prices, error = loaded_or_refused(load, spec)
            if prices is None:
                assert "BAD" in error
                assert "\n" not in error
                continue
            assert_same_bars(prices, whole)
            assert "BAD" in prices.panel.tickers or "BAD" in prices.refused


def assert_same_bars(prices, whole):
    for ticker in whole.panel.tickers:
        found, expected = prices.panel.bars(ticker), whole.panel.bars(ticker)
        for name in ("sessions", "open", "high", "low", "close", "volume", "adjust"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_load_csv_folder_with_a_randomly_damaged_file_names_it_and_loads_the_others(tmp_path, suffix, seed):
    rng = np.random.default_rng([seed, len(suffix)])
    for number, name in enumerate(("AAA", "CCC")):
        frame(number).to_csv(tmp_path / f"{name}.csv", index=False)
    whole = load_checked(f"csv:{tmp_path}")
    text = frame(2).to_csv(index=False).encode()
    content = gzip.compress(text, mtime=0) if suffix == ".csv.gz" else text
    for _ in range(8):
        (tmp_path / f"BAD{suffix}").write_bytes(mutated(content, rng))
        assert_others_unharmed(f"csv:{tmp_path}", whole)


def write_plain(folder, ticker, bars):
    pq.write_table(pa.Table.from_pandas(bars, preserve_index=False), folder / f"{ticker}.parquet", compression="none")


def write_download(folder, ticker, bars):
    write_ticker(folder, ticker, bars, VINTAGE)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("write", [write_plain, write_download])
def test_load_parquet_folder_with_a_randomly_damaged_file_names_it_and_loads_the_others(tmp_path, write, seed):
    rng = np.random.default_rng([seed, write is write_plain])
    for number, name in enumerate(("AAA", "CCC", "BAD")):
        write(tmp_path, name, frame(number))
    content = (tmp_path / "BAD.parquet").read_bytes()
    (tmp_path / "BAD.parquet").unlink()
    whole = load_checked(f"parquet:{tmp_path}")
    for _ in range(8):
        (tmp_path / "BAD.parquet").write_bytes(mutated(content, rng))
        assert_others_unharmed(f"parquet:{tmp_path}", whole)


@pytest.mark.parametrize("seed", range(4))
def test_load_randomly_damaged_long_table_raises_nothing_but_input_errors(tmp_path, seed):
    rng = np.random.default_rng([seed, 2])
    path = tmp_path / "prices.parquet"
    long = pd.concat([frame(number).assign(ticker=name) for number, name in enumerate(("AAA", "BBB", "CCC"))])
    long.to_parquet(path, index=False)
    content = path.read_bytes()
    errors = []
    for _ in range(10):
        path.write_bytes(mutated(content, rng))
        errors.append(loaded_or_refused(load_checked, f"parquet:{path}")[1])
    assert any(errors)
    assert not any("\n" in error for error in errors)


def test_load_download_with_one_flipped_bit_is_never_another_price(tmp_path):
    for number, name in enumerate(("AAA", "BAD")):
        write_download(tmp_path, name, frame(number))
    path = Path(tmp_path / "BAD.parquet")
    content, whole = path.read_bytes(), load_checked(f"parquet:{tmp_path}")
    data = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # before the footer: the pages
    for place in np.linspace(4, data - 1, 60).astype(int):
        spoilt = bytearray(content)
        spoilt[place] ^= 1
        path.write_bytes(bytes(spoilt))
        checked = check_prices(f"parquet:{tmp_path}")
        if "BAD" in checked.panel.tickers:
            np.testing.assert_array_equal(checked.panel.bars("BAD").close, whole.panel.bars("BAD").close)
