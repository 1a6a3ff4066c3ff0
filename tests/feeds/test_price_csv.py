"""Files as the providers write them, and files that are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from feeds.errors import InputError
from feeds.price_csv import CsvFolder

YAHOO = """Date,High,Low,Open,Close,Volume,Adj Close
2020-01-02,11,9.5,10,10.5,100.0,5.25
2020-01-03,11.5,10,10.5,11,200.0,5.5
"""
YAHOO_DOWNLOAD = """Date,Open,High,Low,Close,Adj Close,Volume
2020-01-02,10,11,9.5,10.5,5.25,100
2020-01-03,10.5,11.5,10,11,5.5,200
"""
YAHOO_HISTORY = """Date,Open,High,Low,Close,Volume,Dividends,Stock Splits
2020-01-02 00:00:00-05:00,10,11,9.5,10.5,100,0.0,0.0
2020-01-03 00:00:00-05:00,10.5,11.5,10,11,200,0.0,0.0
"""
STOOQ = """<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>
ABC.US,D,20200102,000000,10,11,9.5,10.5,100,0
ABC.US,D,20200103,000000,10.5,11.5,10,11,200,0
"""
STOOQ_SHORT = """Date,Open,High,Low,Close,Volume
2020-01-02,10,11,9.5,10.5,100
2020-01-03,10.5,11.5,10,11,200
"""
ALPHA_VANTAGE = """timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient
2020-01-03,10.5,11.5,10,11,5.5,200,0.0000,1.0
2020-01-02,10,11,9.5,10.5,5.25,100,0.0000,1.0
"""

ALL_COLUMNS = "`date`, `open`, `high`, `low`, `close`, `volume`"


def read(folder: Path, text: str | bytes, name: str = "ABC.csv"):
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return CsvFolder(folder).read("ABC")


def finding(reading):
    assert len(reading.findings) == 1, reading.findings
    return reading.findings[0]


@pytest.mark.parametrize(
    ("text", "adjusted"),
    [
        (YAHOO, True),
        (YAHOO_DOWNLOAD, True),
        (YAHOO_HISTORY, False),
        (STOOQ, False),
        (STOOQ_SHORT, False),
        (ALPHA_VANTAGE, True),
        (STOOQ_SHORT.upper(), False),
        (YAHOO.replace("\n", "\r\n"), True),
        ("\ufeff" + YAHOO, True),
        ("\n" + YAHOO.replace(",", ", ") + "\n\n", True),
    ],
    ids=[
        "yahoo",
        "yahoo download",
        "yahoo history",
        "stooq",
        "stooq short",
        "alpha vantage",
        "capitals",
        "crlf",
        "bom",
        "blanks",
    ],
)
def test_read_each_providers_file_gives_the_same_two_bars(tmp_path, text, adjusted):
    reading = read(tmp_path, text)
    assert reading.findings == ()
    bars = reading.bars
    assert bars.dates.tolist() == np.array(["2020-01-02", "2020-01-03"], "datetime64[D]").tolist()
    assert (bars.open.tolist(), bars.high.tolist()) == ([10, 10.5], [11, 11.5])
    assert (bars.low.tolist(), bars.close.tolist()) == ([9.5, 10], [10.5, 11])
    assert bars.volume.tolist() == [100, 200]
    assert (bars.adj_close is not None) == adjusted
    if adjusted:
        assert bars.adj_close.tolist() == [5.25, 5.5]


def test_read_gzip_file_gives_the_same_bars(tmp_path):
    reading = read(tmp_path, gzip.compress(YAHOO.encode()), "abc.CSV.gz")
    assert reading.bars.close.tolist() == [10.5, 11]


def test_read_keeps_every_digit(tmp_path):
    # 0.1 + 0.2 and a number that a fast, inexact parser rounds to its neighbour.
    text = STOOQ_SHORT.replace("10.5,100", "0.30000000000000004,100").replace("11,200", "9.007199254740993,200")
    reading = read(tmp_path, text)
    assert reading.bars.close.tolist() == [0.1 + 0.2, 9.007199254740993]


def test_read_newest_first_is_turned_for_alpha_vantage_only(tmp_path):
    lines = STOOQ_SHORT.splitlines()
    reading = read(tmp_path, "\n".join([lines[0], lines[2], lines[1]]))
    assert reading.bars.close.tolist() == [11, 10.5]


def test_read_missing_numbers_are_nan(tmp_path):
    reading = read(tmp_path, STOOQ_SHORT.replace("10,11,9.5,10.5,100", "null,NaN,,n/a,"))
    assert reading.findings == ()
    assert np.isnan([reading.bars.open[0], reading.bars.high[0], reading.bars.low[0], reading.bars.volume[0]]).all()


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (b"", "empty file", "ABC: ABC.csv is empty"),
        (b" \n\n", "empty file", "ABC: ABC.csv is empty"),
        (b"PK\x03\x04\x00\x00\x08\nabc\x00\n", "not a text file", "ABC: ABC.csv is not a text file"),
        (b"\x89PNG\r\xff\xfe\n\x1a\nIHDR", "not a text file", "ABC: is not a text file"),
        (b"Date,Open,High,Low,Close,Volume\n", "no bars", "ABC: holds one line only; expected a header and bars"),
        (
            STOOQ_SHORT.replace("Close", "Last"),
            "missing column",
            "ABC: lacks the column `close`, has Date, Open, High, Low, Last, Volume",
        ),
        ("No data\nNo data", "missing column", f"ABC: lacks the column {ALL_COLUMNS}, has No data"),
        (
            YAHOO.replace("Adj Close", "CLOSE"),
            "repeated column",
            "ABC: has the column `close` twice, as 'Close' and 'CLOSE'",
        ),
        (
            STOOQ_SHORT.replace("2020-01-03", "01/03/2020"),
            "unreadable date",
            "ABC: line 3 has the date '01/03/2020', expected YYYY-MM-DD",
        ),
        (
            STOOQ_SHORT.replace("2020-01-03", "2020-02-30"),
            "unreadable date",
            "ABC: line 3 has the date '2020-02-30', expected YYYY-MM-DD",
        ),
        (STOOQ_SHORT.replace("2020-01-03", ""), "unreadable date", "ABC: line 3 has the date '', expected YYYY-MM-DD"),
        (STOOQ_SHORT.replace("11.5", "abc"), "not a number", "ABC 2020-01-03: `high` is not a number, 'abc'"),
        (STOOQ_SHORT.replace("200", '"1,200"'), "not a number", "ABC 2020-01-03: `volume` is not a number, '1,200'"),
        (
            STOOQ_SHORT.replace("11,200", "11,200,caf\xe9").encode("latin-1"),
            "malformed row",
            "ABC: line 3 has another length than the header, 7 not 6",
        ),
        (
            STOOQ_SHORT.replace("11,200", "11,\xe9").encode("latin-1"),
            "not a number",
            "ABC 2020-01-03: `volume` is not a number, '\ufffd'",
        ),
        (
            STOOQ_SHORT.replace("11.5", "x" * 3_000_000),
            "not a number",
            f"ABC 2020-01-03: `high` is not a number, '{'x' * 40} …'",
        ),
        (
            STOOQ_SHORT.replace("2020-01-03", '"2020-01-03' + "x" * 3_000_000),
            "malformed row",
            "ABC: line 3 has another length than the header, 1 not 6",
        ),
        (
            f"{'A' * 200_000}," + STOOQ_SHORT,
            "no header",
            "ABC: begins with a line of 200,032 bytes; expected names of columns",
        ),
        (
            STOOQ_SHORT.replace("2020-01-03", "0000-01-01"),
            "unreadable date",
            "ABC: line 3 has the date '0000-01-01', expected YYYY-MM-DD",
        ),
        (STOOQ_SHORT.replace("2020-01-03", "2020\x0001-03"), "not a text file", "ABC: ABC.csv is not a text file"),
        *(
            (
                STOOQ_SHORT.replace(",", sign),
                "other separator",
                f"ABC: has its columns separated by {name}, expected commas; save it again with commas, and with "
                "points in its numbers",
            )
            for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"))
        ),
        (
            STOOQ_SHORT.replace("11,200", "11,200,7"),
            "malformed row",
            "ABC: line 3 has another length than the header, 7 not 6",
        ),
        (
            STOOQ_SHORT.replace("11,200", "11"),
            "malformed row",
            "ABC: line 3 has another length than the header, 5 not 6",
        ),
    ],
)
def test_read_file_that_is_no_price_table_gives_one_finding(tmp_path, text, kind, message):
    found = finding(read(tmp_path, text))
    assert (found.kind, str(found)) == (kind, message)


def test_read_number_beyond_any_beside_a_text_is_infinite(tmp_path):
    # pandas' own parser ends the process on this exponent.
    reading = read(tmp_path, STOOQ_SHORT.replace("10.5,100", "10.5,1E2147483648").replace("11,200", "11,many"))
    assert [str(found) for found in reading.findings] == ["ABC 2020-01-03: `volume` is not a number, 'many'"]
    assert reading.bars.volume[0] == np.inf


def test_read_quote_that_is_never_closed_costs_its_own_line_only(tmp_path):
    lines = "".join(f"2020-01-{day:02},1,1,1,1,1\n" for day in (2, 3, 6, 7))
    reading = read(tmp_path, "Date,Open,High,Low,Close,Volume\n\n" + lines.replace("2020-01-03", '"2020-01-03'))
    assert str(finding(reading)) == "ABC: line 4 has another length than the header, 1 not 6"
    assert reading.bars.dates.astype(str).tolist() == ["2020-01-02", "2020-01-06", "2020-01-07"]


def test_read_quotes_around_a_line_end_do_not_take_two_bars_for_one(tmp_path):
    text = 'Date,Open,High,Low,Close,Volume,Name\n2020-01-02,1,1,1,1,1,"A\n2020-01-03,1,1,1,1,1,B"\n'
    assert len(read(tmp_path, text).bars) == 2


@pytest.mark.parametrize(
    "days",
    [
        ("20200102", "20200103"),
        ("2020-01-02 00:00:00-05:00", "2020-01-03 00:00:00-05:00"),
        ("2020-01-02T16:00:00Z", "2020-01-03"),
    ],
)
def test_read_other_forms_of_dates_need_no_reading_as_text(tmp_path, monkeypatch, days):
    def refuse(*words):
        raise AssertionError("read as text, which takes ten times as long")

    monkeypatch.setattr("feeds.price_csv._read_text", refuse)
    bars = read(tmp_path, STOOQ_SHORT.replace("2020-01-02", days[0]).replace("2020-01-03", days[1])).bars
    assert bars.dates.astype(str).tolist() == ["2020-01-02", "2020-01-03"]
    assert bars.close.tolist() == [10.5, 11]


@pytest.mark.parametrize("wrong", ["20200230", "20201301", "2020013", "202001031", "2020-02-30 09:30", "20200103 x"])
def test_read_one_wrong_date_among_stooqs_is_named(tmp_path, wrong):
    text = STOOQ_SHORT.replace("2020-01-02", "20200102").replace("2020-01-03", wrong)
    reading = read(tmp_path, text)
    if wrong == "20200103 x":  # a time of day is whatever stands behind the day
        assert reading.bars.dates.astype(str).tolist() == ["2020-01-02", "2020-01-03"]
        return
    assert str(finding(reading)) == f"ABC: line 3 has the date '{wrong}', expected YYYY-MM-DD"
    assert np.isnat(reading.bars.dates).tolist() == [False, True]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_read_any_line_end_gives_the_same_bars(tmp_path, end):
    reading = read(tmp_path, STOOQ_SHORT.replace("\n", end))
    assert (reading.findings, reading.bars.close.tolist()) == ((), [10.5, 11])


def test_read_long_foreign_header_is_cut_in_the_message(tmp_path):
    found = finding(read(tmp_path, ",".join(f"column {k}" for k in range(99)) + "\n1"))
    assert found.detail.endswith("…")
    assert len(found.detail) < 260


def test_read_folder_named_like_a_file_is_a_finding(tmp_path):
    (tmp_path / "ABC.csv").mkdir()
    assert str(finding(CsvFolder(tmp_path).read("ABC"))) == "ABC: ABC.csv is not a file"


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(YAHOO.encode())[:-9]], ids=["foreign", "cut"])
def test_read_damaged_gzip_is_a_finding(tmp_path, content):
    found = finding(read(tmp_path, content, "ABC.csv.gz"))
    assert str(found) == "ABC: ABC.csv.gz is not a whole gzip file"


def test_read_unreadable_file_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "ABC.csv").write_text(YAHOO)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = finding(CsvFolder(tmp_path).read("ABC"))
    assert (found.kind, str(found)) == ("unreadable file", "ABC: ABC.csv cannot be read, Permission denied")


@pytest.mark.parametrize(
    ("text", "basis"),
    [
        (ALPHA_VANTAGE, "as_traded"),
        ("timestamp,open,high,low,close,volume\n2020-01-02,10,11,9.5,10.5,100", "as_traded"),
        (YAHOO, "split_adjusted"),
        (YAHOO_HISTORY, "fully_adjusted"),
        (STOOQ, "fully_adjusted"),
    ],
)
def test_read_each_providers_file_declares_its_basis(tmp_path, text, basis):
    bars = read(tmp_path, text).bars
    assert bars.price_basis == basis
    assert bars.take(slice(0, 1)).price_basis == basis


def test_folder_tickers_are_the_files_names_in_capitals_sorted(tmp_path):
    for name in ("msft.csv", "AAPL.csv.gz", "BRK-B.CSV", ".hidden.csv", "README.md", ".csv"):
        (tmp_path / name).write_text("")
    assert CsvFolder(tmp_path).tickers == ("AAPL", "BRK-B", "MSFT")


def test_folder_with_two_files_for_one_ticker_raises(tmp_path):
    (tmp_path / "ABC.csv").write_text(YAHOO)
    (tmp_path / "abc.csv.gz").write_text(YAHOO)
    with pytest.raises(InputError, match=r"expected one file per ticker, received ABC.csv and abc.csv.gz; remove one"):
        CsvFolder(tmp_path)


@pytest.mark.parametrize(
    ("place", "received"),
    [("missing", "received a path that does not exist"), ("ABC.csv", "received a file; name its folder")],
)
def test_folder_that_is_none_raises_with_its_path(tmp_path, place, received):
    (tmp_path / "ABC.csv").write_text(YAHOO)
    with pytest.raises(InputError, match=rf"`csv:.*{place}`: expected a folder with one .* per ticker, {received}"):
        CsvFolder(tmp_path / place)


def test_folder_without_price_files_raises(tmp_path):
    with pytest.raises(InputError, match=r"expected files TICKER.csv or TICKER.csv.gz, received none in it"):
        CsvFolder(tmp_path)
