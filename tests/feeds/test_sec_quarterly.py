from __future__ import annotations

import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.form4 import parse_submission
from feeds.insider import insider_features
from feeds.sec_quarterly import read_sec_quarterly
from feeds.transactions import COLUMNS, read_parquet, table_of_filings, ticker_frame, write_parquet
from tests.feeds import filing_texts as texts
from tests.feeds.quarterly_sets import AMENDED, FIRST, SECOND, footnote, owner, submission, trade, write_set

ZIP = "2023q1_form345.zip"


def read(tmp_path, submissions=None, **tables):
    options = {name: tables.pop(name) for name in ("tickers",) if name in tables}
    write_set(tmp_path / ZIP, submissions or [submission()], **tables)
    return read_sec_quarterly(tmp_path, **options)


def test_read_sec_quarterly_row_holds_what_the_set_tells(tmp_path):
    table = read(tmp_path, trades=[trade()])
    row = table.rows.iloc[0]
    assert tuple(table.rows.columns) == COLUMNS
    assert (row["accession"], row["ordinal"], row["table"], row["form"]) == (FIRST, 1, "N", "4")
    assert (row["ticker"], row["issuer_cik"], row["owner_ciks"]) == ("TST", "0000000101", ["0000009001"])
    assert (row["shares"], row["price"], row["value_usd"], row["shares_after"]) == (100, 10.25, 1025, 1100)
    assert (row["transacted_on"], row["period"]) == (pd.Timestamp("2023-02-01"), pd.Timestamp("2023-02-01"))
    assert (row["is_director"], row["is_officer"], row["role"]) == (True, False, "director")
    assert row["flags"] == ["acceptance_time_assumed"]
    assert (table.n_files, table.n_filings, table.refused) == (1, 1, ())


def test_read_sec_quarterly_agrees_with_the_documents_themselves(tmp_path):
    """The same two filings as documents and as a set give the same rows but for what sets lack."""
    notes = {"F1": "Weighted average price.", "F2": "Under a Rule 10b5-1 plan.", "F3": "Sold in multiple trades."}
    people = [
        {"cik": "0000009001", "name": "DOE 9001", "director": 0, "officer": 1, "title": "See Remarks"},
        {"cik": "0000009002", "name": "DOE 9002", "ten": 1},
    ]
    trades = [
        texts.transaction("S", 100, 10.25, price_note="F1"),
        texts.transaction("S", 50, 10.5, nature="I", price_note="F3"),
        texts.transaction("M", 5, 0, table="D", title="Option", price_note="F2"),
        texts.transaction("P", 5, None, title="Series A Preferred"),
    ]
    amended = texts.document(
        [texts.transaction("S", 100, 10.75)],
        form="4/A",
        symbol="TST",
        owners=people,
        extra="<dateOfOriginalSubmission>2015-02-03</dateOfOriginalSubmission>",
    )
    document = texts.document(trades, symbol="TST", owners=people, footnotes=notes, remarks="Chief Executive Officer")
    documents = [
        texts.submission(document, accession=FIRST, accepted="20150203220000"),
        texts.submission(amended, accession=AMENDED, accepted="20150210220000", form="4/A"),
    ]
    tickers = ticker_frame([("0000000101", "TST", None, None)])
    expected = table_of_filings([parse_submission(text, "x") for text in documents], tickers).rows

    said = {"PERIOD_OF_REPORT": "02-FEB-2015", "REMARKS": "Chief Executive Officer"}
    owners = [
        part
        for accession in (FIRST, AMENDED)
        for part in (
            owner(accession, relation="Officer", RPTOWNER_TITLE="See Remarks"),
            owner(accession, "0000009002", "Director,TenPercentOwner"),
        )
    ]
    on = {"TRANS_DATE": "02-FEB-2015", "SHRS_OWND_FOLWNG_TRANS": "1000"}
    made = [
        trade(FIRST, 23, "P", TRANS_SHARES="5", TRANS_PRICEPERSHARE="", SECURITY_TITLE="Series A Preferred", **on),
        trade(FIRST, 21, "S", TRANS_PRICEPERSHARE_FN="F1", **on),
        trade(
            FIRST, 22, "S", TRANS_SHARES="50", TRANS_PRICEPERSHARE="10.5", TRANS_PRICEPERSHARE_FN="F3",
            **{**on, "DIRECT_INDIRECT_OWNERSHIP": "I"},
        ),
        trade(AMENDED, 31, "S", TRANS_PRICEPERSHARE="10.75", **on),
    ]  # fmt: skip
    option = {
        "TRANS_SHARES": "5",
        "TRANS_PRICEPERSHARE": "0",
        "TRANS_PRICEPERSHARE_FN": "F2",
        "SECURITY_TITLE": "Option",
    }
    write_set(
        tmp_path / "2015q1_form345.zip",
        [
            submission(FIRST, "03-FEB-2015", **said),
            submission(AMENDED, "10-FEB-2015", "4/A", DATE_OF_ORIG_SUB="03-FEB-2015", PERIOD_OF_REPORT="02-FEB-2015"),
        ],
        owners,
        made,
        [trade(FIRST, 9, "M", "D", **option, **on)],
        [footnote(FIRST, key, text) for key, text in notes.items()],
    )
    found = read_sec_quarterly(tmp_path).rows
    found["flags"] = [[flag for flag in flags if flag != "acceptance_time_assumed"] for flags in found["flags"]]
    pd.testing.assert_frame_equal(found, expected)
    assert found["valid_to"].notna().sum() == 1
    assert found["role"].unique().tolist() == ["ceo", "officer"]


def test_read_sec_quarterly_filing_is_known_at_the_next_sessions_close(tmp_path, make_panel):
    # Friday 2023-02-03: whenever it was accepted that day, Monday's row is the first that may know it.
    (tmp_path / "tickers.csv").write_text("cik,ticker,from,to\n101,T000,,\n")
    panel = make_panel(sessions=60, tickers=1, first="2023-01-03")
    table = read(
        tmp_path,
        [submission(filed="03-JAN-2023"), submission(SECOND, "03-FEB-2023"), submission(AMENDED, "31-MAR-2023")],
        trades=[trade(SECOND, TRANS_PRICEPERSHARE="50.0")],
    )
    bought = insider_features(table, panel).column("ins_buy_21")[:, 0]
    sessions = panel.sessions[bought > 0]
    assert [sessions[0], len(sessions)] == [pd.Timestamp("2023-02-06"), 21]
    assert table.rows["accepted_at"][0] == pd.Timestamp("2023-02-04T03:00:00Z")


@pytest.mark.parametrize("filed", ["07-APR-2023", "08-APR-2023"])
def test_read_sec_quarterly_filed_on_a_closed_day_is_known_at_the_next_session(tmp_path, make_panel, filed):
    (tmp_path / "tickers.csv").write_text("cik,ticker,from,to\n101,T000,,\n")
    panel = make_panel(sessions=120, tickers=1, first="2023-01-03")
    ends = [submission(FIRST, "03-JAN-2023"), submission(AMENDED, "31-MAY-2023")]
    table = read(tmp_path, [*ends, submission(SECOND, filed)], trades=[trade(SECOND, TRANS_PRICEPERSHARE="50")])
    bought = insider_features(table, panel).column("ins_buy_21")[:, 0]
    assert panel.sessions[bought > 0][0] == pd.Timestamp("2023-04-10")


@pytest.mark.parametrize(("box", "plan"), [("1", "true"), ("true", "true"), ("0", "false"), ("false", "false")])
def test_read_sec_quarterly_box_speaks_for_the_filing(tmp_path, box, plan):
    table = read(
        tmp_path,
        [submission(AFF10B5ONE=box)],
        trades=[trade()],
        footnotes=[footnote(FIRST, "F1", "a 10b5-1 plan")],
        with_box=True,
    )
    assert table.rows["plan_10b5_1"].tolist() == [plan]
    assert ("plan_in_text_only" in table.rows["flags"][0]) == (plan == "false")
    assert len(table.notes) == 1


def test_read_sec_quarterly_without_a_box_the_footnotes_of_the_row_tell(tmp_path):
    rows = [trade(number=1, TRANS_SHARES_FN="F1, F2"), trade(number=2, TRANS_SHARES_FN="F1"), trade(SECOND)]
    table = read(
        tmp_path,
        [submission(), submission(SECOND)],
        trades=rows,
        footnotes=[footnote(FIRST, "F1", "x"), footnote(FIRST, "F2", "Rule 10b5-1"), footnote(SECOND, "F9", "10b5-1")],
    )
    # Of the second filing no row refers to the note, so it speaks for the whole.
    assert table.rows["plan_10b5_1"].tolist() == ["true", "unknown", "true"]
    assert "no 10b5-1 box in 1 quarters (2023q1 to 2023q1), footnotes only" in table.notes[1]


def test_read_sec_quarterly_other_forms_and_lost_rows_are_left_out_and_told(tmp_path):
    table = read(
        tmp_path,
        [submission(), submission(SECOND, form="5")],
        trades=[trade(), trade(SECOND), trade("0000000001-23-000009")],
    )
    assert table.rows["accession"].tolist() == [FIRST]
    assert table.refused[0].file == f"{ZIP} NONDERIV_TRANS.tsv"
    assert table.refused[0].reason == "1 rows belong to no submission of the set, first 0000000001-23-000009"


def test_read_sec_quarterly_lines_that_do_not_fit_are_counted(tmp_path):
    folder = write_set(tmp_path / "2023q1_form345", [submission()], trades=[trade()])
    with (folder / "NONDERIV_TRANS.tsv").open("a") as file:
        file.write("half\ta line\n")
    table = read_sec_quarterly(folder)
    assert len(table.rows) == 1
    assert table.refused == (
        ("2023q1_form345 NONDERIV_TRANS.tsv", "1 lines have another number of fields than the header"),
    )


def test_read_sec_quarterly_only_the_tickers_asked_for(tmp_path):
    other = {"ISSUERCIK": "102", "ISSUERTRADINGSYMBOL": "BRK.B"}
    table = read(
        tmp_path, [submission(), submission(SECOND, **other)], trades=[trade(), trade(SECOND)], tickers=["BRK-B"]
    )
    assert (table.rows["issuer_cik"].tolist(), table.n_filings) == (["0000000102"], 1)
    assert table.tickers["ticker"].unique().tolist() == ["BRK.B"]
    # The source still covers the time of all filings.
    assert table.coverage is not None
    assert table.complete_until == pd.Timestamp("2023-04-01", tz="UTC")


MONTHS = {1: "JAN", 2: "APR", 3: "JUL", 4: "OCT"}


def stating(cik, symbol, quarter, count, year=2023):
    """Filings of a quarter in which an issuer states a ticker, from the tenth of its first month on."""
    said = {"ISSUERCIK": cik, "ISSUERTRADINGSYMBOL": symbol}
    return [
        submission(f"{int(cik):010d}-{year % 100}-{quarter}{n:05d}", f"{10 + n}-{MONTHS[quarter]}-{year}", **said)
        for n in range(count)
    ]


def write_quarters(folder, *quarters):
    for number, submissions in enumerate(quarters):
        write_set(folder / f"{2023 + number // 4}q{number % 4 + 1}_form345.zip", submissions)
    return folder


def spans(folder):
    return read_sec_quarterly(folder).tickers.astype(str).to_numpy().tolist()


def test_read_sec_quarterly_slip_of_the_pen_takes_no_ticker_while_its_holder_is_silent(tmp_path):
    """In the third quarter only 102 states it; a tenth of the holder's filings of the year would do."""
    slip = write_quarters(tmp_path / "slip", stating("101", "OLD", 1, 12), [], stating("102", "OLD", 3, 1))
    assert spans(slip) == [
        ["0000000102", "", "NaT", "NaT"],
        ["", "OLD", "NaT", "2023-01-10"],
        ["0000000101", "OLD", "2023-01-11", "NaT"],
    ]
    taken = write_quarters(tmp_path / "taken", stating("101", "OLD", 1, 12), [], stating("102", "OLD", 3, 2))
    assert spans(taken)[1:] == [
        ["0000000101", "OLD", "2023-01-11", "2023-07-11"],
        ["0000000102", "OLD", "2023-07-12", "NaT"],
    ]


def test_read_sec_quarterly_ticker_changes_hands_the_day_after_the_filing_that_decides(tmp_path):
    # 101 is renamed from OLD to NEW on the tenth of April: a habit from its second filing on.
    write_quarters(tmp_path, stating("101", "OLD", 1, 2), stating("101", "NEW", 2, 4) + stating("102", "OLD", 2, 4))
    assert spans(tmp_path) == [
        ["", "NEW", "NaT", "2023-04-11"],
        ["0000000101", "NEW", "2023-04-12", "NaT"],
        ["", "OLD", "NaT", "2023-01-10"],
        ["0000000101", "OLD", "2023-01-11", "2023-04-11"],
        ["0000000102", "OLD", "2023-04-12", "NaT"],
    ]


def test_read_sec_quarterly_tickers_asked_for_start_with_their_first_filing(tmp_path):
    write_quarters(tmp_path, stating("101", "OLD", 1, 1) + stating("102", "NEW", 1, 1))
    known = read_sec_quarterly(tmp_path, tickers=["new"]).tickers
    assert known.astype(str).to_numpy().tolist() == [
        ["", "NEW", "NaT", "2023-01-10"],
        ["0000000102", "NEW", "2023-01-11", "NaT"],
    ]


def test_read_sec_quarterly_issuer_without_a_ticker_is_kept_without_a_name(tmp_path):
    table = read(tmp_path, [submission(ISSUERTRADINGSYMBOL="NONE")], trades=[trade()])
    assert (table.rows["ticker"][0], table.rows["flags"][0]) == (None, ["acceptance_time_assumed", "ticker_unknown"])


def test_read_sec_quarterly_ticker_file_overrides(tmp_path):
    (tmp_path / "tickers.csv").write_text("cik,ticker,from,to\n101,MINE,,\n")
    assert read(tmp_path, trades=[trade()]).rows["ticker"].tolist() == ["MINE"]


def test_read_sec_quarterly_filing_in_two_quarters_counts_once(tmp_path):
    write_set(tmp_path / ZIP, [submission(filed="31-MAR-2023")], trades=[trade()])
    write_set(
        tmp_path / "2023q2_form345",
        [submission(filed="31-MAR-2023"), submission(SECOND, "03-APR-2023")],
        trades=[trade(), trade(SECOND, TRANS_SHARES="7")],
    )
    table = read_sec_quarterly(tmp_path)
    assert (table.rows["accession"].tolist(), table.n_filings) == ([FIRST, SECOND], 2)


def test_read_sec_quarterly_with_a_gap_is_refused(tmp_path):
    write_set(tmp_path / ZIP, [submission()])
    write_set(tmp_path / "2023q3_form345.zip", [submission(SECOND, "03-JUL-2023")])
    with pytest.raises(
        InputError, match="received 2023q1 and 2023q3: without 2023q2, silence and missing data look alike"
    ):
        read_sec_quarterly(tmp_path)


def test_read_sec_quarterly_odd_values_are_kept_and_flagged(tmp_path):
    odd = trade(TRANS_DATE="01-FEB-0022", TRANS_CODE="", EQUITY_SWAP_INVOLVED="true", TRANS_FORM_TYPE="5")
    row = read(tmp_path, [submission(NOT_SUBJECT_SEC16="1")], owners=[], trades=[odd]).rows.iloc[0]
    assert (row["code"], row["owner_ciks"], row["n_owners"], row["role"]) == (None, [], 0, "other")
    assert row["transacted_on_checked"] == pd.Timestamp("2023-02-01")
    assert row["flags"] == [
        "acceptance_time_assumed", "not_subject_to_section_16", "form_5_item", "equity_swap", "date_before_1990",
        "code_missing",
    ]  # fmt: skip


def test_read_sec_quarterly_without_a_filing_date_is_never_timed(tmp_path):
    row = read(tmp_path, [submission(filed=""), submission(SECOND)], trades=[trade()]).rows.iloc[0]
    assert pd.isna(row["accepted_at"])
    assert row["flags"] == ["no_acceptance_time"]


def test_read_sec_quarterly_survives_the_table_file(tmp_path):
    table = read(tmp_path, trades=[trade(), trade(number=2, code="S")])
    write_parquet(table, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "t.parquet").rows, table.rows)
