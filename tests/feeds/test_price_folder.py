"""One Parquet file per ticker: what is read, what is named, and where each file came from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from feeds.errors import EnvironmentFailure, InputError
from feeds.price_folder import ParquetFolder, Vintage, describe_vintages, read_vintage, write_ticker
from feeds.prices import load_prices

DAYS = pd.to_datetime(["2020-01-02", "2020-01-03"])
VINTAGE = Vintage("yahoo", "2024-03-09T10:00:00+00:00", "yfinance 1.7.0", "", "2024-03-08", "split_adjusted")


def bars(**changes):
    columns = {
        "date": DAYS,
        "open": [10.0, 10.5],
        "high": [11.0, 11.5],
        "low": [9.5, 10.0],
        "close": [10.5, 11.0],
        "adj_close": [5.25, 5.5],
        "volume": [100, 200],
        "dividends": [0.0, 0.1],
    }
    return pd.DataFrame({name: values for name, values in {**columns, **changes}.items() if values is not None})


def test_read_returns_what_was_written_and_its_vintage(tmp_path):
    write_ticker(tmp_path, "ABC", bars(), VINTAGE)
    folder = ParquetFolder(tmp_path)
    assert folder.tickers == ("ABC",)
    read = folder.read("ABC").bars
    assert read.dates.astype(str).tolist() == ["2020-01-02", "2020-01-03"]
    assert (read.close.tolist(), read.adj_close.tolist(), read.volume.tolist()) == ([10.5, 11], [5.25, 5.5], [100, 200])
    assert folder.vintages() == {"ABC": VINTAGE}
    assert [path.name for path in tmp_path.iterdir()] == ["ABC.parquet"]


def test_read_plain_files_of_another_program(tmp_path):
    bars(date=["2020-01-02", "2020-01-03"], adj_close=None).to_parquet(tmp_path / "abc.PARQUET")
    bars(ticker=["XYZ"] * 2, adj_close=None).set_index("date").to_parquet(tmp_path / "XYZ.parquet")
    panel = load_prices(f"parquet:{tmp_path}")
    assert panel.tickers == ("ABC", "XYZ")
    assert panel.close.tolist() == [[10.5, 10.5], [11, 11]]
    assert ParquetFolder(tmp_path).vintages() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ABC: ABC.parquet cannot be read as Parquet, "),
        (b"PAR1 and then nothing of use PAR1", "ABC: ABC.parquet cannot be read as Parquet, "),
        (bars(close=None), "ABC: lacks the column `close`, has date, open"),
        (bars(ticker=["A", "B"]), "ABC: ABC.parquet holds more than one ticker"),
        (bars(date=[[1], [2]]), "ABC: column `date` holds list<.*, no dates"),
        (bars(date=[b"\xff", b"x"]), "ABC: column `date` holds binary, no dates"),
        (bars(date=np.array(["0000-01-01", "2020-01-03"], "datetime64[s]")), "`date` holds what is no date YYYY"),
        (bars(ticker=["AMD", "amd"]), "ABC: ABC.parquet holds more than one ticker"),
        (bars(close=[{"a": 1}] * 2), "ABC: column `close` holds struct<.*, no numbers"),
        (bars(open=["10", "x"]), "ABC: column `open` holds .*string, no numbers"),
        (bars(date=["2020-01-02", "soon"]), "ABC: column `date` holds what is no date YYYY-MM-DD"),
    ],
)
def test_read_file_that_is_no_price_table_gives_one_finding(tmp_path, content, message):
    path = tmp_path / "ABC.parquet"
    path.write_bytes(content) if isinstance(content, bytes) else content.to_parquet(path)
    reading = ParquetFolder(tmp_path).read("ABC")
    assert len(reading.bars) == 0
    (found,) = reading.findings
    assert pytest.raises(ValueError, match=message).matches(ValueError(str(found)))
    assert read_vintage(path) is None


def test_folder_with_two_files_for_one_ticker_or_none_raises(tmp_path):
    with pytest.raises(InputError, match="expected files TICKER.parquet, received none in it"):
        ParquetFolder(tmp_path)
    for name in ("ABC.parquet", "abc.parquet"):
        bars().to_parquet(tmp_path / name)
    with pytest.raises(InputError, match="one file per ticker, received ABC.parquet and abc.parquet; remove one"):
        ParquetFolder(tmp_path)


def test_write_ticker_that_the_disk_refuses_leaves_the_old_file(tmp_path, monkeypatch):
    write_ticker(tmp_path, "ABC", bars(), VINTAGE)
    before = (tmp_path / "ABC.parquet").read_bytes()

    def full(table, path, **settings):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("feeds.price_folder.pq.write_table", full)
    with pytest.raises(EnvironmentFailure, match=r"price file .*ABC.parquet: cannot be written, No space left"):
        write_ticker(tmp_path, "ABC", bars(close=[1.0, 2.0]), VINTAGE)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("ABC.parquet", before)]


def test_describe_vintages_names_each_day_of_download():
    later = Vintage("yahoo", "2024-04-01T10:00:00+00:00", "yfinance 1.7.0", "", "2024-03-28", "split_adjusted")
    assert describe_vintages({"AAA": VINTAGE, "BBB": VINTAGE}) is None
    assert describe_vintages({}) is None
    many = {f"T{k}": VINTAGE for k in range(6)}
    text = describe_vintages({**many, "AAA": later})
    assert text.startswith(
        "prices of different vintages: downloaded 2024-03-09 (T0, T1, T2 and 3 more), 2024-04-01 (AAA); each stock's"
    )


def test_load_prices_file_order_and_row_order_of_tickers_do_not_matter(tmp_path):
    for name, folder in (("one", ["AAA", "BBB"]), ("two", ["BBB", "AAA"])):
        (tmp_path / name).mkdir()
        for ticker in folder:
            write_ticker(tmp_path / name, ticker, bars(volume=[1, 2]), VINTAGE)
    one, two = (load_prices(f"parquet:{tmp_path / name}") for name in ("one", "two"))
    assert one.digest() == two.digest()
    assert np.isfinite(one.close).all()
