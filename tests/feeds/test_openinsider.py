from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.openinsider import read_openinsider
from feeds.transactions import COLUMNS, read_parquet, write_parquet

HEADER = "Filing Date,Trade Date,Ticker,Company Name,Insider Name,Title,Trade Type,Price,Qty,Owned,DeltaOwn,Value"
LINE = {
    "Filing Date": "2021-06-30 19:56:34", "Trade Date": "2021-06-28", "Ticker": "ABC", "Company Name": "Abc Inc",
    "Insider Name": "Doe Jane A.", "Title": "Dir", "Trade Type": "P - Purchase", "Price": "$63.46", "Qty": "100",
    "Owned": "7,937,046", "DeltaOwn": "0%", "Value": "$6,346",
}  # fmt: skip


def save(tmp_path, *lines, header=HEADER, encoding="utf-8"):
    names = header.split(",")
    texts = [",".join(f'"{({**LINE, **line}).get(name, "")}"' for name in names) for line in lines]
    path = tmp_path / "export.csv"
    path.write_text("\n".join([header, *texts]) + "\n", encoding=encoding)
    return path


def read(tmp_path, *lines, **options):
    return read_openinsider(save(tmp_path, *lines, **options))


def test_read_openinsider_line_becomes_a_timed_row(tmp_path):
    table = read(tmp_path, {})
    row = table.rows.iloc[0]
    assert tuple(table.rows.columns) == COLUMNS
    # Daylight saving time: New York is four hours behind UTC.
    assert row["accepted_at"] == pd.Timestamp("2021-06-30 23:56:34", tz="UTC")
    assert (row["ticker"], row["issuer_cik"], row["code"], row["acquired_disposed"]) == ("ABC", "ticker:ABC", "P", "A")
    assert (row["shares"], row["price"], row["value_usd"], row["shares_after"]) == (100, 63.46, 6346, 7_937_046)
    assert (row["owner_ciks"], row["owner_names"]) == (["name:DOE JANE A."], ["Doe Jane A."])
    assert (row["plan_10b5_1"], row["form"], row["table"], row["flags"]) == ("unknown", "4", "N", [])
    assert row["filed_on"] == pd.Timestamp("2021-06-30")
    assert (table.n_filings, table.n_files, table.refused) == (1, 1, ())


def test_read_openinsider_coverage_is_first_to_last_filing_time(tmp_path):
    table = read(tmp_path, {"Filing Date": "2021-12-01 9:00:00"}, {}, {"Ticker": "XYZ"})
    assert [time.isoformat() for time in table.coverage] == ["2021-06-30T23:56:34+00:00", "2021-12-01T14:00:00+00:00"]
    assert table.issuer_coverage == {}
    # 19:56 in New York is after the close: nobody holds ABC before the first of July.
    assert table.tickers.astype(str).to_numpy().tolist() == [
        ["", "ABC", "NaT", "2021-06-30"], ["ticker:ABC", "ABC", "2021-07-01", "NaT"],
        ["", "XYZ", "NaT", "2021-06-30"], ["ticker:XYZ", "XYZ", "2021-07-01", "NaT"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "director", "officer", "ten", "role"),
    [
        ("Dir", True, False, False, "director"),
        ("10%", False, False, True, "ten_percent_owner"),
        ("Dir, 10%", True, False, True, "director"),
        ("Pres, CEO, Chair, 10%", True, True, True, "ceo"),
        ("COB, CEO, 10%", True, True, True, "ceo"),
        ("EVP, CFO", False, True, False, "cfo"),
        ("Possible Member of 10% Group, 10%", False, False, True, "ten_percent_owner"),
        ("Former CEO", False, True, False, "officer"),
        ("See Remarks", False, True, False, "officer"),
        ("", False, False, False, "other"),
    ],
)
def test_read_openinsider_title_gives_the_boxes(tmp_path, title, director, officer, ten, role):
    row = read(tmp_path, {"Title": title}).rows.iloc[0]
    found = (row["is_director"], row["is_officer"], row["is_ten_percent_owner"], row["role"])
    assert found == (director, officer, ten, role)


def test_read_openinsider_sale_after_an_exercise_is_a_sale(tmp_path):
    sale = {"Trade Type": "S - Sale+OE", "Qty": "-1,500", "Value": "-$95,190"}
    row = read(tmp_path, sale).rows.iloc[0]
    assert (row["code"], row["acquired_disposed"], row["shares"], row["flags"]) == ("S", "D", 1500, ["option_exercise"])


def test_read_openinsider_other_codes_take_their_direction_from_the_sign(tmp_path):
    rows = read(tmp_path, {"Trade Type": "F - Tax", "Qty": "-10"}, {"Trade Type": "A - Grant", "Ticker": "B"}).rows
    assert dict(zip(rows["code"], rows["acquired_disposed"], strict=True)) == {"F": "D", "A": "A"}


def test_read_openinsider_damaged_cells_are_read_from_their_second_columns(tmp_path):
    damaged = {"Qty": "#ERROR!", "Value": "#ERROR!", "Qty2": "320000", "Value2": "20306296", "DeltaOwn": "New"}
    row = read(tmp_path, damaged, header=HEADER + ",Qty2,Value2").rows.iloc[0]
    assert (row["shares"], row["price"], row["flags"]) == (320_000, 63.46, [])


def test_read_openinsider_price_of_zero_is_value_over_shares_or_unknown(tmp_path):
    lines = [{"Price": "$0.00", "Value": "$12"}, {"Price": "$0.00", "Value": "$0", "Ticker": "B"}]
    rows = read(tmp_path, *[{**line, "Qty": "100,000"} for line in lines]).rows.set_index("ticker")
    assert (rows.loc["ABC", "price"], rows.loc["ABC", "value_usd"]) == (0.00012, 12)
    assert rows["flags"].to_dict() == {"ABC": ["price_from_value"], "B": ["price_zero"]}
    assert np.isnan(rows.loc["B", "value_usd"])


def test_read_openinsider_fractional_share_is_value_over_price(tmp_path):
    row = read(tmp_path, {"Qty": "0", "Price": "$200.00", "Value": "$86"}).rows.iloc[0]
    assert (row["shares"], row["flags"]) == (0.43, ["shares_from_value"])


def test_read_openinsider_capped_value_has_no_dollars(tmp_path):
    row = read(tmp_path, {"Qty": "20,000,000", "Price": "$200,000,000.00", "Value": "2147483647"}).rows.iloc[0]
    assert (row["price"], row["flags"]) == (2e8, ["value_capped", "price_implausible"])
    assert np.isnan(row["price_checked"])
    assert np.isnan(row["value_usd"])


def test_read_openinsider_headers_of_the_page_are_understood_in_any_order(tmp_path):
    header = "X,Insider\xa0Name,Title,Trade\xa0Type,Price,QTY,Owned,ΔOwn,Value,filing date,Trade Date,Symbol"
    line = {"Insider\xa0Name": "Roe", "Trade\xa0Type": "P\xa0-\xa0Purchase", "QTY": "7", "Symbol": "abc", "X": "AM"}
    row = read(tmp_path, {**line, "filing date": "2021-06-30 19:56:34"}, header=header, encoding="utf-8-sig").rows.iloc[
        0
    ]
    assert (row["ticker"], row["owner_names"], row["shares"], row["code"]) == ("ABC", ["Roe"], 7, "P")
    assert (row["form"], row["price_is_average"]) == ("4/A", True)


def test_read_openinsider_amendment_replaces_from_its_own_filing_time(tmp_path):
    later = {"Filing Date": "2021-07-06 10:00:00", "X": "A", "Qty": "150"}
    rows = read(tmp_path, {}, later, header=HEADER + ",X").rows
    assert rows["valid_to"].tolist()[0] == rows["accepted_at"].tolist()[1]
    assert rows["amendment_of"].tolist() == [None, rows["accession"][0]]


def test_read_openinsider_semicolons_and_a_windows_encoding(tmp_path):
    path = tmp_path / "export.csv"
    line = ";".join({**LINE, "Insider Name": "Peña José", "Owned": "5", "Value": "1", "Price": "2"}.values())
    path.write_bytes(f"{HEADER.replace(',', ';')}\r\n{line}\r\n".encode("cp1252"))
    assert read_openinsider(path).rows["owner_names"].tolist() == [["Peña José"]]


def test_read_openinsider_company_without_a_ticker_keeps_its_rows_untickered(tmp_path):
    companies = [("N.A.", "Gone Inc"), ("", "Gone Inc"), ("n/a", ""), ("NONE", "Other Corp"), ("NA", "Nano Labs")]
    table = read(tmp_path, *[{"Ticker": text, "Company Name": name} for text, name in companies], {})
    assert table.refused == ()
    rows = table.rows.sort_values("issuer_cik").reset_index(drop=True)
    # The first two lines tell the same trade of the same company: one is a repetition.
    assert rows["issuer_cik"].tolist() == [
        "company:DOE JANE A.", "company:GONE INC", "company:OTHER CORP", "ticker:ABC", "ticker:NA",
    ]  # fmt: skip
    assert rows["ticker"].tolist() == [None, None, None, "ABC", "NA"]
    assert rows["issuer_symbol"].tolist() == [None, None, None, "ABC", "NA"]
    assert rows["flags"].tolist() == [["ticker_unknown"]] * 3 + [[]] * 2
    assert rows["accession"].is_unique
    assert "filings from OpenInsider: 4 lines are of companies without a ticker" in table.notes


def test_read_openinsider_of_companies_without_tickers_only_is_a_table(tmp_path):
    assert read(tmp_path, {"Ticker": "N.A."}).rows["ticker"].tolist() == [None]


def test_read_openinsider_lines_not_understood_are_listed_with_their_number(tmp_path):
    wrong = [
        {"Filing Date": "06/30/2021"}, {"Filing Date": "2021-02-30 10:00:00"}, {"Ticker": "(A)"}, {"Insider Name": ""},
        {"Trade Type": "#ERROR!"}, {"Qty": "#ERROR!", "Value": "#ERROR!"},
    ]  # fmt: skip
    path = save(tmp_path, *wrong, {})
    path.write_text(path.read_text() + "a,b\n\n")
    table = read_openinsider(path)
    assert len(table.rows) == 1
    assert [(one.file.split()[-1], one.reason.partition(":")[0]) for one in table.refused] == [
        ("2", "Filing Date"),
        ("3", "Filing Date"),
        ("4", "Ticker"),
        ("5", "Insider Name"),
        ("6", "Trade Type"),
        ("7", "no number of shares"),
        ("9", "expected 12 fields, received 2"),
    ]
    assert table.refused[0].reason == "Filing Date: expected YYYY-MM-DD HH:MM:SS, received '06/30/2021'"


def test_read_openinsider_unreadable_trade_date_is_kept_and_flagged(tmp_path):
    row = read(tmp_path, {"Trade Date": "#ERROR!"}).rows.iloc[0]
    assert row["flags"] == ["date_missing"]
    assert pd.isna(row["transacted_on_checked"])


def test_read_openinsider_keys_do_not_depend_on_the_order_of_lines(tmp_path):
    lines = [{}, {"Qty": "7", "Trade Date": "2021-06-29"}, {"Ticker": "XYZ"}, {"Qty": "3"}]
    first, second = read(tmp_path, *lines), read(tmp_path, *lines[::-1])
    pd.testing.assert_frame_equal(first.rows, second.rows)
    assert first.rows["ordinal"].tolist().count(1) == 2
    assert first.n_filings == 2


def test_read_openinsider_repeated_line_counts_once_and_is_told(tmp_path):
    table = read(tmp_path, {}, {}, {"Ticker": "XYZ", "Company Name": "One"}, {"Ticker": "XYZ", "Company Name": "Two"})
    assert len(table.rows) == 2
    assert "2 lines repeat another and count once" in table.notes[-1]
    assert table.notes[1].endswith("stand several company names: XYZ")


def test_read_openinsider_chain_within_minutes_collapses(tmp_path):
    lines = [{"Insider Name": f"Fund {i}", "Filing Date": f"2021-06-30 19:5{i}:00", "Qty": "20,000"} for i in range(3)]
    duplicates = read(tmp_path, *lines).rows["duplicate_of"]
    assert duplicates.notna().tolist() == [False, True, True]


def test_read_openinsider_survives_the_table_file(tmp_path):
    table = read(tmp_path, {}, {"Ticker": ""})
    write_parquet(table, tmp_path / "t.parquet")
    again = read_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(again.rows, table.rows)
    assert (again.refused, again.notes, again.coverage) == (table.refused, table.notes, table.coverage)


def test_read_openinsider_without_anything_usable_says_why(tmp_path):
    with pytest.raises(InputError, match=r"expected at least one line .*, found first export\.csv line 2: Ticker"):
        read(tmp_path, {"Ticker": "?"})
    with pytest.raises(InputError, match="found no line at all"):
        read(tmp_path)
    with pytest.raises(InputError, match="with the column Trade Type, received Filing Date, Trade Date, Ticker, "):
        read(tmp_path, header="Filing Date,Trade Date,Ticker,Insider Name")
    with pytest.raises(InputError, match="expected a file that can be read"):
        read_openinsider(tmp_path / "absent.csv")
    (tmp_path / "long.csv").write_text(HEADER + "\n" + "x" * 200_000)
    with pytest.raises(InputError, match="expected CSV, line 2: field larger than field limit"):
        read_openinsider(tmp_path / "long.csv")


def test_read_openinsider_real_export_is_understood_whole(real_data):
    table = read_openinsider(real_data / "openinsider_sample.csv")
    assert (len(table.rows), table.refused) == (3000, ())
    # Lines 1411 and 1412 of the file are of a company without a ticker.
    assert table.rows.loc[table.rows["ticker"].isna(), "flags"].tolist() == [["ticker_unknown"]] * 2
    flags = table.rows["flags"].explode().value_counts()
    found = flags[["price_zero", "shares_from_value", "value_capped", "price_from_value"]].tolist()
    assert found == [39, 8, 4, 3]
    # One line says 0 shares for $0: understood, and worth nothing.
    assert (table.rows["shares"] > 0).sum() == 2999
