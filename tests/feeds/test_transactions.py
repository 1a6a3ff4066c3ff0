from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.form4 import parse_submission
from feeds.issuers import issuer_columns, read_ticker_file, stated_symbols
from feeds.transactions import (
    COLUMNS,
    read_filings,
    read_parquet,
    table_of_filings,
    ticker_frame,
    write_parquet,
)
from tests.feeds import filing_texts as texts

TICKERS = ticker_frame([("0000000101", "T000", None, None), ("0000000102", "T001", None, None)])
ORIGINAL = "<dateOfOriginalSubmission>2015-02-03</dateOfOriginalSubmission>"


def filing(*rows, number=1, accepted="20150203120000", form="4", prefix="0000000001", **document):
    xml = texts.document(rows or [texts.transaction()], form=form, **document)
    accession = f"{prefix}-15-{number:06d}"
    return parse_submission(texts.submission(xml, accession=accession, accepted=accepted, form=form), accession)


def table(*filings):
    return table_of_filings(filings, TICKERS)


def save(root: Path, company: str, number: int, text: str | None = None, **document) -> Path:
    accession = f"0000000001-15-{number:06d}"
    path = root / "sec-edgar-filings" / company / "4" / accession / "full-submission.txt"
    path.parent.mkdir(parents=True)
    xml = texts.document([texts.transaction()], **document)
    path.write_text(texts.submission(xml, accession=accession) if text is None else text)
    return path


def test_read_filings_of_a_tree_takes_the_folder_for_the_ticker(tmp_path):
    save(tmp_path, "ABC", 1)
    save(tmp_path, "ABC", 2)
    save(tmp_path, "ABC", 3, issuer="0000000555")
    found = read_filings(tmp_path)
    assert tuple(found.rows.columns) == COLUMNS
    assert list(found.rows["ticker"]) == ["ABC", "ABC", None]
    assert list(found.rows["flags"]) == [[], [], ["owner_side"]]
    assert (found.n_files, found.n_filings, found.refused) == (3, 3, ())


def test_read_filings_of_a_cik_folder_takes_the_stated_symbol(tmp_path):
    save(tmp_path, "0000000101", 1, symbol="NYSE:XYZ")
    assert list(read_filings(tmp_path).rows["ticker"]) == ["XYZ"]


def test_read_filings_of_a_loose_file_without_a_symbol_is_not_owner_side(tmp_path):
    (tmp_path / "a.txt").write_text(texts.submission(texts.document([texts.transaction()], symbol="N/A")))
    rows = read_filings(tmp_path / "a.txt").rows
    assert (rows["ticker"].tolist(), rows["flags"].tolist()) == ([None], [["ticker_unknown"]])


def test_read_filings_with_a_ticker_file_maps_by_date_and_marks_other_issuers(tmp_path):
    save(tmp_path, "ABC", 1)
    save(tmp_path, "ABC", 2, issuer="0000000555")
    (tmp_path / "tickers.csv").write_text("cik,ticker,from,to\n101,NEW,2015-02-10,\n101,OLD,2010-01-01,2015-02-09\n")
    rows = read_filings(tmp_path).rows
    assert list(rows["ticker"]) == ["OLD", None]
    assert list(read_filings(tmp_path / "sec-edgar-filings").rows["ticker"]) == ["OLD", None]


def test_read_filings_same_accession_in_two_folders_is_one_filing(tmp_path):
    save(tmp_path, "ABC", 1)
    save(tmp_path, "FUND", 1)
    save(tmp_path, "FUND", 2, issuer="0000000777")
    found = read_filings(tmp_path)
    assert list(found.rows["accession"]) == ["0000000001-15-000001", "0000000001-15-000002"]
    assert (found.n_files, found.n_filings) == (3, 2)


def test_read_filings_bad_copy_is_refused_and_the_good_one_used(tmp_path):
    save(tmp_path, "ABC", 1, text="<html>Request Rate Threshold Exceeded</html>")
    save(tmp_path, "XYZ", 1)
    found = read_filings(tmp_path)
    assert len(found.rows) == 1
    assert [refusal.file for refusal in found.refused] == [
        "sec-edgar-filings/ABC/4/0000000001-15-000001/full-submission.txt"
    ]


def test_read_filings_one_bad_file_never_stops_the_rest(tmp_path):
    save(tmp_path, "ABC", 1)
    save(tmp_path, "ABC", 2, text="")
    save(tmp_path, "ABC", 3, text="<SEC-DOCUMENT><XML><ownershipDocument>")
    found = read_filings(tmp_path)
    assert len(found.rows) == 1
    assert [refusal.reason.split(":")[0] for refusal in found.refused] == ["empty file", "cut off"]


def test_read_filings_bare_document_beside_its_submission_is_not_read_twice(tmp_path):
    path = save(tmp_path, "ABC", 1)
    path.with_name("primary-document.xml").write_text(texts.document([texts.transaction()]))
    (tmp_path / "0000000001-15-000001.xml").write_text(texts.document([texts.transaction()]))
    rows = read_filings(tmp_path).rows
    assert rows["accepted_at"].notna().tolist() == [True]


def test_read_filings_another_file_beside_a_submission_is_looked_at(tmp_path):
    save(tmp_path, "ABC", 1).with_name("throttled.txt").write_text("<html>Request Rate Threshold Exceeded</html>")
    found = read_filings(tmp_path)
    assert (len(found.rows), len(found.refused)) == (1, 1)


def test_read_filings_several_processes_give_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setattr("feeds.filing_store._FILES_WORTH_PROCESSES", 1)
    monkeypatch.setattr("feeds.filing_store.FILES_PER_PART", 2)
    for number in range(5):
        save(tmp_path, "ABC", number)
    pd.testing.assert_frame_equal(read_filings(tmp_path, jobs=2).rows, read_filings(tmp_path).rows)


def test_read_filings_of_a_missing_path_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match="expected a folder or file of Form 4 submissions, received none there"):
        read_filings(tmp_path / "absent")


def test_read_filings_without_any_form_4_says_why(tmp_path):
    with pytest.raises(InputError, match="expected at least one Form 4 submission .*, received none"):
        read_filings(tmp_path)
    (tmp_path / "a.txt").write_text("<html>")
    with pytest.raises(InputError, match=r"received 1 not understood; a\.txt: not a filing: an HTML page"):
        read_filings(tmp_path)
    with pytest.raises(InputError, match=r"received 1 not understood; a\.txt: not a filing"):
        read_filings(tmp_path / "a.txt")


def test_read_ticker_file_with_defects_says_which(tmp_path):
    path = tmp_path / "tickers.csv"
    for text, message in [
        ("cik,ticker,from\n1,A,\n", "received none named 'to'"),
        ("cik,ticker,from,to\nx1,A,,\n", "line 2: expected a CIK of digits and a ticker, received cik 'x1'"),
        ("cik,ticker,from,to\n1,A,01/02/2015,\n", "column 'from': expected dates as YYYY-MM-DD or nothing"),
        ("", "expected a CSV file with columns cik, ticker, from, to"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_ticker_file(path)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("(SIRI)", ["SIRI"]),
        ("PARAA,PARA", ["PARAA", "PARA"]),
        ("AMC/APE", ["AMC", "APE"]),
        ("NYSE:NYCB", ["NYCB"]),
        ("LEN, LEN.B", ["LEN", "LEN.B"]),
        ("Z AND ZG", ["Z", "ZG"]),
        ("N/A", []),
        ("none", []),
        ("M-6697", []),
        ("a", ["A"]),
        (None, []),
    ],
)
def test_stated_symbols_of_real_junk_are_tickers_or_nothing(text, symbols):
    assert stated_symbols(text) == symbols


def test_issuer_columns_of_a_reused_ticker_change_at_the_next_owner():
    tickers = ticker_frame(
        [("1", "TT", None, "2015-02-28"), ("2", "TT", "2015-03-01", None), ("2", "IR-B", None, None)]
    )
    sessions = pd.DatetimeIndex(["2015-02-27", "2015-03-02"])
    columns = issuer_columns(tickers, ("IR.B", "TT", "ZZ"), sessions, pd.Index(["1", "2"]))
    assert columns.tolist() == [[1, 0, -1], [1, 1, -1]]


def test_table_value_is_shares_times_price_and_never_of_derivatives():
    rows = table(filing(texts.transaction("P", 100, 10), texts.transaction("M", 5, 1e9, table="D"))).rows
    assert rows["value_usd"].tolist()[0] == 1000.0
    assert np.isnan(rows["value_usd"].tolist()[1])


def test_amendment_replaces_matched_rows_from_its_own_acceptance_only():
    original = filing(texts.transaction("P", 100, 10), texts.transaction("S", 50, 11))
    amendment = filing(texts.transaction("P", 200, 10), number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL)
    rows = table(original, amendment).rows
    later = pd.Timestamp("2015-03-10 21:00", tz="UTC")
    assert rows["valid_to"].tolist()[0] == later
    assert rows["valid_to"].isna().tolist() == [False, True, True]
    assert rows["amendment_of"].tolist() == [None, None, original.accession]
    assert rows["first_accepted_at"][2] == rows["accepted_at"][0]
    assert rows["flags"][2] == ["late"]


def test_amendment_without_a_match_adds_and_removes_nothing():
    added = filing(
        texts.transaction("S", 7, 9, date="2015-01-30"), number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL
    )
    rows = table(filing(texts.transaction("P", 100, 10)), added).rows
    assert rows["valid_to"].isna().all()
    assert rows["flags"].tolist() == [[], ["late", "amendment_unmatched"]]
    assert rows["amendment_of"].tolist() == [None, "0000000001-15-000001"]


def test_amendment_of_holdings_only_keeps_the_original():
    rows = table(filing(), filing("", number=2, form="4/A", accepted="20150310170000")).rows
    assert rows["valid_to"].isna().tolist() == [True]


def test_amendment_of_another_owner_leaves_the_row():
    other = filing(number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL, owners=[{"cik": "0000009002"}])
    assert table(filing(), other).rows["valid_to"].isna().all()


def test_amendment_of_an_amendment_chains():
    steps = [
        filing(texts.transaction("P", 100)),
        filing(texts.transaction("P", 200), number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL),
        filing(texts.transaction("P", 300), number=3, form="4/A", accepted="20150410170000", extra=ORIGINAL),
    ]
    rows = table(*steps).rows
    assert rows["valid_to"].tolist()[:2] == rows["accepted_at"].tolist()[1:]
    assert rows["amendment_of"].tolist() == [None, steps[0].accession, steps[1].accession]
    assert rows["first_accepted_at"].tolist() == [rows["accepted_at"][0]] * 3


def test_amendment_of_one_tranche_replaces_that_tranche():
    original = filing(texts.transaction("P", 100, 10), texts.transaction("P", 300, 11))
    fixed = filing(texts.transaction("P", 300, 12), number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL)
    assert table(original, fixed).rows["valid_to"].isna().tolist() == [True, False, True]


def test_amendment_that_sums_the_tranches_replaces_them_all():
    original = filing(texts.transaction("P", 100, 10), texts.transaction("P", 300, 11))
    summed = filing(texts.transaction("P", 400, 10.75), number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL)
    assert table(original, summed).rows["valid_to"].isna().tolist() == [False, False, True]


def test_amendment_of_the_date_alone_replaces_the_row():
    fixed = filing(
        texts.transaction("P", date="2015-02-01"), number=2, form="4/A", accepted="20150310170000", extra=ORIGINAL
    )
    assert table(filing(), fixed).rows["valid_to"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("second", "row", "duplicate"),
    [
        ({}, {}, True),
        ({"owners": [{"cik": "0000009002"}]}, {}, False),
        ({"owners": [{"cik": "0000009002"}]}, {"nature": "I"}, True),
        ({"owners": [{"cik": "0000009002"}]}, {"nature": "I", "price": 10.5}, False),
        ({"owners": [{"cik": "0000009002"}]}, {"nature": "I", "title": "Class B Common Stock"}, False),
    ],
)
def test_joint_filings_of_one_trade_are_collapsed_under_the_conditions_only(second, row, duplicate):
    rows = table(filing(texts.transaction("S")), filing(texts.transaction("S", **row), number=2, **second)).rows
    assert rows["duplicate_of"].tolist() == [None, "0000000001-15-000001" if duplicate else None]


@pytest.mark.parametrize(
    ("shares", "accepted", "prefix", "duplicate"),
    [
        (10_000, "20150203121000", "0000000001", True),
        (9_999, "20150203121000", "0000000001", False),
        (10_000, "20150203130000", "0000000001", False),
        (10_000, "20150203121000", "0000000002", False),
    ],
)
def test_joint_filings_of_one_agent_within_minutes_are_collapsed(shares, accepted, prefix, duplicate):
    row = texts.transaction("S", shares)
    second = filing(row, number=2, accepted=accepted, prefix=prefix, owners=[{"cik": "0000009002"}])
    assert table(filing(row), second).rows["duplicate_of"].notna().tolist() == [False, duplicate]


def test_joint_filings_equal_grants_to_several_directors_stay():
    grant = texts.transaction("A", 20_000, 0, nature="I")
    rows = table(filing(grant), filing(grant, number=2, owners=[{"cik": "0000009002"}])).rows
    assert rows["duplicate_of"].isna().all()


def test_joint_filings_equal_tranches_inside_one_filing_stay():
    row = texts.transaction("S")
    rows = table(filing(row, row), filing(row, row, row, number=2)).rows
    assert rows["duplicate_of"].notna().tolist() == [False, False, True, True, False]


def test_joint_filing_amended_stays_a_duplicate():
    late = {"accepted": "20150310170000", "form": "4/A", "extra": ORIGINAL}
    rows = table(filing(), filing(number=2), filing(texts.transaction(price=9), number=2_000, **late)).rows
    # The amendment replaces the second report or the first; each trade keeps one counted version.
    counted = rows[rows["duplicate_of"].isna() & rows["valid_to"].isna()]
    assert len(counted) == 1


def test_write_parquet_then_read_gives_the_same_table(tmp_path):
    odd = filing(texts.transaction(None, None, None, date="0022-02-02"), owners=[{}, {"cik": "0000009002"}])
    plain = parse_submission(texts.document([texts.transaction()]), "bare")
    until = pd.Timestamp("2016-03-31 20:00", tz="UTC")
    before = replace(table(odd, plain, filing(number=3)), complete_until=until)
    write_parquet(before, tmp_path / "made" / "t.parquet")
    after = read_filings(tmp_path / "made" / "t.parquet")
    pd.testing.assert_frame_equal(after.rows, before.rows)
    pd.testing.assert_frame_equal(after.tickers, before.tickers)
    assert (after.coverage, after.refused, after.n_files) == (before.coverage, before.refused, before.n_files)
    assert after.complete_until == until
    write_parquet(replace(before, complete_until=None), tmp_path / "made" / "t.parquet")
    assert read_filings(tmp_path / "made" / "t.parquet").complete_until is None
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["t.parquet"]


def test_write_parquet_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("feeds.transaction_store.pq.write_table", broken)
    with pytest.raises(OSError, match="disk full"):
        write_parquet(table(filing()), tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_read_parquet_of_something_else_says_so(tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(InputError, match="expected an existing file, received none"):
        read_parquet(path)
    path.write_text("no parquet")
    with pytest.raises(InputError, match="expected a parquet file, received something else"):
        read_parquet(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="expected a transactions table, received another parquet file"):
        read_parquet(path)


def _counted_by_hand(folder: Path) -> Counter:
    """Count codes without any parser: the text between the tags of each transaction."""
    counts: Counter = Counter()
    for path in (
        {path.parent.name: path for path in folder.rglob("*") if path.is_file()}.values()
        if (folder.name == "filings")
        else sorted(folder.glob("0*"))
    ):
        text = path.read_text(encoding="utf-8", errors="replace").split("</XML>")[0]
        for tag, letter in (("nonDerivativeTransaction", "N"), ("derivativeTransaction", "D")):
            for block in re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL):
                code = re.search(r"<transactionCode>\s*(\w)\s*</transactionCode>", block)
                counts[letter, code.group(1) if code else None] += 1
    return counts


@pytest.mark.parametrize(("name", "n_filings", "n_refused"), [("filings", 1238, 0), ("filings_odd", 99, 1)])
def test_read_filings_of_real_ones_agrees_with_a_plain_count(real_data, name, n_filings, n_refused):
    found = read_filings(real_data / name)
    assert (found.n_filings, len(found.refused)) == (n_filings, n_refused)
    assert Counter(zip(found.rows["table"], found.rows["code"], strict=True)) == _counted_by_hand(real_data / name)
    assert not found.rows.duplicated(["accession", "table", "ordinal"]).any()
    assert all(refusal.file.startswith("BAD_") for refusal in found.refused)


def test_read_filings_of_real_chain_is_collapsed(real_data):
    rows = read_filings(real_data / "filings_odd").rows
    pair = rows[rows["accession"].str.startswith("0001818382-23-")]
    assert pair["duplicate_of"].tolist() == [None, "0001818382-23-000047"]
