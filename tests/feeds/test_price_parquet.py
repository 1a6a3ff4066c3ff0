"""Long tables of any row order and column type, and files that are none."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feeds.errors import InputError
from feeds.price_parquet import ParquetFile


def table(**changes):
    """Two sessions of two tickers, columns replaced by `changes`; None drops one."""
    columns = {
        "date": pd.to_datetime(["2020-01-02", "2020-01-03"] * 2),
        "ticker": ["AAA", "AAA", "BBB", "BBB"],
        "open": [10.0, 10.5, 20.0, 20.5],
        "high": [11.0, 11.5, 21.0, 21.5],
        "low": [9.5, 10.0, 19.5, 20.0],
        "close": [10.5, 11.0, 20.5, 21.0],
        "volume": [100, 200, 300, 400],
        "adj_close": [5.25, 5.5, 20.5, 21.0],
    }
    return pd.DataFrame({name: values for name, values in {**columns, **changes}.items() if values is not None})


@pytest.fixture
def source(tmp_path):
    def write(frame):
        path = tmp_path / "prices.parquet"
        pq.write_table(frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame), path)
        return ParquetFile(path)

    return write


def assert_two_bars(bars, adjusted=True):
    assert bars.dates.astype(str).tolist() == ["2020-01-02", "2020-01-03"]
    assert (bars.open.tolist(), bars.close.tolist(), bars.volume.tolist()) == ([20, 20.5], [20.5, 21], [300, 400])
    assert (bars.adj_close is None) != adjusted


def test_read_long_table_returns_one_tickers_rows(source):
    file = source(table())
    assert file.tickers == ("AAA", "BBB")
    assert_two_bars(file.read("BBB").bars)
    assert file.read("AAA").bars.adj_close.tolist() == [5.25, 5.5]


@pytest.mark.parametrize("order", [[2, 0, 3, 1], [2, 3, 0, 1], [0, 2, 1, 3]])
def test_read_rows_of_tickers_mixed_gives_the_same_bars(source, order):
    assert_two_bars(source(table().iloc[order]).read("BBB").bars)


def test_read_keeps_the_row_order_within_a_ticker(source):
    bars = source(table().iloc[[0, 3, 1, 2]]).read("BBB").bars
    assert bars.dates.astype(str).tolist() == ["2020-01-03", "2020-01-02"]


@pytest.mark.parametrize(
    "dates",
    [
        [date(2020, 1, 2), date(2020, 1, 3)] * 2,
        ["2020-01-02", "2020-01-03"] * 2,
        [20200102, 20200103] * 2,
        pd.to_datetime(["2020-01-02 16:00", "2020-01-03 13:00"] * 2),
        pd.to_datetime(["2020-01-02 20:00", "2020-01-03 20:00"] * 2).tz_localize("America/New_York"),
        pd.to_datetime(["2020-01-02", "2020-01-03"] * 2).as_unit("s"),
    ],
    ids=["date", "text", "number", "time of day", "zone", "seconds"],
)
def test_read_any_type_of_date_gives_the_same_days(source, dates):
    assert_two_bars(source(table(date=dates)).read("BBB").bars)


def test_read_other_names_types_and_order_of_columns(source):
    frame = table(close=[Decimal("10.5"), Decimal("11"), Decimal("20.5"), Decimal("21")], adj_close=None)
    frame = frame.rename(columns={"ticker": "Symbol", "date": "Date", "close": "CLOSE"})[::1]
    frame["sector"] = "none of ours"
    assert_two_bars(source(frame[sorted(frame.columns)]).read("BBB").bars, adjusted=False)


def test_read_ticker_as_category_and_in_small_letters(source):
    frame = table(ticker=pd.Categorical(["aaa", "aaa", "bbb", "bbb"]))
    assert source(frame).tickers == ("AAA", "BBB")


def test_read_date_in_the_frames_index(source):
    assert_two_bars(source(table().set_index("date")).read("BBB").bars)


def test_read_null_number_is_nan(source):
    file = source(table(volume=pd.array([100, None, 300, 400], dtype="Int64")))
    assert np.isnan(file.read("AAA").bars.volume[1])
    assert_two_bars(file.read("BBB").bars)


def test_read_whole_number_beyond_a_floats_digits_is_the_nearest(source):
    file = source(table(volume=[2**53 + 1, 2**62 + 1, 300, 400]))
    assert file.read("AAA").bars.volume.tolist() == [2.0**53, 2.0**62]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            table(close=None),
            "expected the columns ticker, date, open, high, low, close, volume, received a table that lacks the column "
            "`close`, has date, ticker, open",
        ),
        (table(ticker=None), "lacks the column `ticker`"),
        (table(Close=[1.0] * 4), "received a table that has the column `close` twice, as 'close' and 'Close'"),
        (table(open=["10"] * 4), "expected numbers in column `open`, received values of type"),
        (
            table(date=["2020-01-02", "2020-01-03", "2020-01-02", "yesterday"]),
            "expected dates, or texts YYYY-MM-DD, in column `date`, received 'yesterday' for BBB",
        ),
        (
            table(date=pd.to_datetime(["2020-01-02", None, "2020-01-02", None])),
            r"in column `date`, received None for AAA \(and 1 more\)",
        ),
        (table(ticker=["AAA", None, "BBB", "BBB"]), "expected a ticker in every row, received rows without one"),
        (table(ticker=["AAA", " ", "BBB", "BBB"]), "expected a ticker in every row, received rows without one"),
        (
            table(ticker=["AMD", "amd", "BBB", "BBB"]),
            "expected one spelling of each ticker, received 'AMD' and 'amd'; if they are one stock, keep the rows of",
        ),
        (table(ticker=["AAA", "AAA ", "BBB", "BBB"]), "one spelling of each ticker, received 'AAA' and 'AAA '; if"),
        (table(ticker=[b"A"] * 4), "expected texts in column `ticker`, received values of type"),
        (table(ticker=[["A"]] * 4), "expected texts in column `ticker`, received values of type list<"),
        (table(date=[[1]] * 4), "expected dates, .* in column `date`, received values of type list<"),
        (table(date=[{"a": 1}] * 4), "expected dates, .* in column `date`, received values of type struct<"),
        (table(date=[b"\xff"] * 4), "expected dates, .* in column `date`, received values of type binary"),
        (
            table(date=np.array(["0000-01-01", "2020-01-03"] * 2, "datetime64[s]")),
            r"in column `date`, received .* for AAA \(and 1 more\)",
        ),
        (table(close=[{"a": 1}] * 4), "expected numbers in column `close`, received values of type struct<"),
        (table().iloc[:0], "expected a table of prices, received a table without rows"),
    ],
)
def test_file_with_a_wrong_table_raises_and_names_the_file(source, frame, message):
    with pytest.raises(InputError, match=rf"`parquet:.*prices.parquet`: .*{message}"):
        source(frame)


def test_file_that_is_none_raises(tmp_path):
    (tmp_path / "text.parquet").write_text("date,ticker\n")
    with pytest.raises(InputError, match="expected a Parquet file, received one that cannot be read"):
        ParquetFile(tmp_path / "text.parquet")


def test_file_cut_short_raises(tmp_path):
    table().to_parquet(tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    with pytest.raises(InputError, match="expected a Parquet file, received one that cannot be read"):
        ParquetFile(tmp_path / "cut.parquet")


def test_file_with_a_damaged_page_raises(tmp_path):
    path = tmp_path / "p.parquet"
    table().to_parquet(path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[100:700] = bytes(600)
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a Parquet file, received one that cannot be read"):
        ParquetFile(path)


def test_path_missing_raises(tmp_path):
    with pytest.raises(InputError, match=r"none.parquet`: .*, received a path that does not exist"):
        ParquetFile(tmp_path / "none.parquet")
