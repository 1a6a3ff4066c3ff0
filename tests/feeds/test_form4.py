from __future__ import annotations

import datetime as dt
import time

import pytest

from feeds import sgml
from feeds.form4 import Form4Error, is_common_stock, parse_submission
from feeds.insider_roles import role_of
from feeds.sgml import read_submission
from tests.feeds import filing_texts as texts


def parsed(*rows, header=None, **document):
    return parse_submission(texts.submission(texts.document(rows, **document), **(header or {})), "name")


def test_parse_acceptance_in_winter_and_summer_is_new_york_time():
    winter = parsed(texts.transaction(), header={"accepted": "20150203155959"})
    summer = parsed(texts.transaction(), header={"accepted": "20150703155959"})
    assert winter.accepted_at == dt.datetime(2015, 2, 3, 20, 59, 59, tzinfo=dt.UTC)
    assert summer.accepted_at == dt.datetime(2015, 7, 3, 19, 59, 59, tzinfo=dt.UTC)


@pytest.mark.parametrize("issuer_first", [False, True])
def test_parse_issuer_before_or_after_owner_gives_the_same(issuer_first):
    xml = texts.document([texts.transaction()]).replace("<issuerCik>0000000101</issuerCik>", "")
    filing = parse_submission(texts.submission(xml, issuer_first=issuer_first), "name")
    assert filing.issuer_cik == "0000000101"
    assert [owner.cik for owner in filing.owners] == ["0000009001"]


def test_parse_row_keeps_values_as_filed():
    row = parsed(texts.transaction("S", "1,234.5", "$10.25", nature="I", after=7)).transactions[0]
    assert (row.table, row.ordinal, row.code, row.acquired_disposed) == ("N", 1, "S", "D")
    assert (row.shares, row.price, row.direct_indirect, row.shares_after) == (1234.5, 10.25, "I", 7.0)
    assert row.transacted_on == dt.date(2015, 2, 2)
    assert row.flags == ()


def test_parse_transactions_count_in_their_own_table_without_holdings():
    holding = "<nonDerivativeHolding><securityTitle><value>Common Stock</value></securityTitle></nonDerivativeHolding>"
    rows = [texts.transaction("M"), holding, texts.transaction("S"), texts.transaction("M", table="D")]
    filing = parsed(*rows)
    found = [(row.table, row.ordinal, row.code) for row in filing.transactions]
    assert found == [("N", 1, "M"), ("N", 2, "S"), ("D", 1, "M")]


def test_parse_form_comes_from_the_header():
    original = "<dateOfOriginalSubmission>2015-01-05</dateOfOriginalSubmission>"
    filing = parsed(texts.transaction(), header={"form": "4/A"}, extra=original)
    assert (filing.form, filing.original_filed_on) == ("4/A", dt.date(2015, 1, 5))
    assert filing.flags == ("form_differs",)


def test_parse_date_with_zone_is_the_day_it_names():
    assert parsed(texts.transaction(date="2015-02-02-05:00")).transactions[0].transacted_on == dt.date(2015, 2, 2)


@pytest.mark.parametrize(
    ("date", "flag"),
    [("2025-02-02", "date_after_acceptance"), ("0022-02-02", "date_before_1990"), (None, "date_missing")],
)
def test_parse_impossible_date_is_kept_and_checked_against_the_period(date, flag):
    row = parsed(texts.transaction(date=date), period="2015-02-01").transactions[0]
    assert row.transacted_on == (None if date is None else dt.date.fromisoformat(date))
    assert (row.transacted_on_checked, row.flags) == (dt.date(2015, 2, 1), (flag,))


@pytest.mark.parametrize("period", ["2015-05-04", "0015-02-01"])
@pytest.mark.parametrize("date", ["2015-05-04", None])
def test_parse_impossible_period_checks_no_date(date, period):
    row = parsed(texts.transaction(date=date), period=period).transactions[0]
    assert row.transacted_on_checked is None


def test_parse_old_trade_is_flagged_late():
    assert parsed(texts.transaction(date="2014-12-01")).transactions[0].flags == ("late",)


def test_parse_missing_code_keeps_the_row():
    row = parsed(texts.transaction(None)).transactions[0]
    assert (row.code, row.shares, row.flags) == (None, 100.0, ("code_missing",))


@pytest.mark.parametrize(("code", "direction"), [("P", "D"), ("S", "A")])
def test_parse_direction_against_code_is_flagged(code, direction):
    assert parsed(texts.transaction(code, direction=direction)).transactions[0].flags == ("code_contradicts_direction",)


@pytest.mark.parametrize(("price", "flag"), [(None, "price_missing"), (0, "price_zero")])
def test_parse_purchase_without_price_is_flagged(price, flag):
    assert parsed(texts.transaction("P", price=price)).transactions[0].flags == (flag,)
    assert parsed(texts.transaction("A", price=price)).transactions[0].flags == ()


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)]
)
def test_parse_boolean_spellings_are_understood(text, expected):
    assert parsed(texts.transaction(), owners=[{"director": text}]).owners[0].is_director is expected


@pytest.mark.parametrize(
    ("note", "average"),
    [
        ("The price is a weighted average price.", True),
        ("Executed in multiple trades at prices ranging from $9 to $11.", True),
        ("Shares held by a trust.", False),
    ],
)
def test_parse_price_footnote_tells_an_average(note, average):
    row = parsed(texts.transaction(price_note="F1"), footnotes={"F1": note}).transactions[0]
    assert (row.price, row.price_is_average) == (10.0, average)


@pytest.mark.parametrize(
    ("box", "note", "plan"),
    [
        ("<aff10b5One>1</aff10b5One>", "", "true"),
        ("<aff10b5One>false</aff10b5One>", "", "false"),
        ("<aff10b5One>0</aff10b5One>", "Sold under a Rule 10b5-1 plan.", "false"),
        ("", "Sold under a Rule 10b5\u20111 plan.", "true"),
        ("", "Rule 10b-5 of the Act.", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_parse_plan_has_three_states(box, note, plan):
    row = parsed(texts.transaction("S"), extra=box, footnotes={"F1": note}).transactions[0]
    assert row.plan_10b5_1 == plan
    assert ("plan_in_text_only" in row.flags) == (box.startswith("<aff10b5One>0") and bool(note))


def test_parse_plan_footnote_of_one_row_leaves_the_other_unknown():
    rows = [texts.transaction("S", price_note="F1"), texts.transaction("S")]
    filing = parsed(*rows, footnotes={"F1": "Under a 10b5-1 trading plan."})
    assert [row.plan_10b5_1 for row in filing.transactions] == ["true", "unknown"]


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("President & CEO", "ceo"),
        ("Co-CEO", "ceo"),
        ("CEO and CFO", "ceo"),
        ("President & CEO, Consumer Bank", "officer"),
        ("CEO Commercial Banking", "officer"),
        ("CFO of a division", "officer"),
        ("Former CEO", "officer"),
        ("Senior Advisor to the CEO", "officer"),
        ("EVP and Chief Financial Officer", "cfo"),
        ("Principal Financial Officer", "cfo"),
        ("Principal Accounting Officer", "officer"),
        ("See Remarks", "cfo"),
    ],
)
def test_role_of_free_text_title_is_found(title, role):
    boxes = {"is_director": True, "is_officer": True, "is_ten_percent_owner": True}
    assert role_of(**boxes, officer_title=title, remarks="Chief Financial Officer and Treasurer") == role


def test_role_of_boxes_without_a_title_is_their_strongest():
    assert role_of(is_director=True, is_officer=False, is_ten_percent_owner=True, officer_title="CEO") == "director"
    nobody = {"is_director": False, "is_officer": False, "officer_title": None}
    assert role_of(is_ten_percent_owner=True, **nobody) == "ten_percent_owner"
    assert role_of(is_ten_percent_owner=False, **nobody) == "other"


def test_is_common_stock_tells_preferred_shares_apart():
    assert is_common_stock("Class A Common Stock")
    assert is_common_stock(None)
    assert not is_common_stock("Series W Auction Preferred Stock")


def test_parse_bare_document_is_never_timed():
    filing = parse_submission(texts.document([texts.transaction()]), "0000000007-15-000009.xml")
    assert (filing.accession, filing.accepted_at) == ("0000000007-15-000009", None)
    assert filing.transactions[0].flags == ("no_acceptance_time",)


def test_parse_document_with_another_encoding_is_read():
    xml = texts.document([texts.transaction()], owners=[{"name": "MÜLLER"}])
    xml = xml.replace('"1.0"?', '"1.0" encoding="iso-8859-1"?')
    assert parse_submission(xml, "name").owners[0].name == "MÜLLER"
    assert parse_submission(xml.encode("iso-8859-1"), "name").owners[0].name == "MÜLLER"


def test_parse_malformed_xml_is_recovered_and_flagged():
    xml = texts.document([texts.transaction()]).replace("<nonDerivativeTable>", "<nonDerivativeTable ativeTable>")
    filing = parse_submission(texts.submission(xml), "name")
    assert filing.flags == ("recovered_xml",)
    assert filing.transactions[0].price == 10.0


def test_parse_only_the_first_xml_block_counts():
    second = "<DOCUMENT><TEXT><XML><ownershipDocument/></XML></TEXT></DOCUMENT>"
    text = texts.submission(texts.document([texts.transaction()]), after=second)
    assert len(parse_submission(text, "name").transactions) == 1


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<ownershipDocument>&b;</ownershipDocument>"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file: it holds 0 bytes"),
        (b" \n", "empty file: it holds white space only"),
        (BILLION_LAUGHS.encode(), "unsafe XML: a <!DOCTYPE> declaration"),
        (
            BILLION_LAUGHS.replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16"),
            "unsafe XML: a <!DOCTYPE> declaration",
        ),
        (b"<!DOCTYPE html><title>SEC.gov | Request Rate Threshold Exceeded</title>", "refuses too many requests"),
        (b"<html>Not found</html>", "not a filing: an HTML page"),
        (b"<SEC-DOCUMENT>plain text, as before 2003", "no XML block: expected a submission"),
        (b"<SEC-DOCUMENT><XML><ownershipDocument>", "cut off: its XML block is not closed"),
        (
            b"<SEC-HEADER>CONFORMED SUBMISSION TYPE: 424B2\n<XML>a</XML>",
            "expected 4 or 4/A, received 424B2",
        ),
        (b"<?xml version='1.0'?><edgarSubmission/>", "another document: expected <ownershipDocument>"),
        (b"<?xml version='1.0'?>", "unreadable XML, even with recovery"),
        (b"<ownershipDocument/>", "no form type: expected 4 or 4/A"),
        (b"<ownershipDocument><documentType>4</documentType></ownershipDocument>", "no issuer: expected a CIK"),
    ],
)
def test_parse_what_is_no_form_4_is_refused_with_the_reason(content, reason):
    with pytest.raises(Form4Error, match=reason):
        parse_submission(content, "name")


def test_parse_oversized_content_is_refused_at_once():
    with pytest.raises(Form4Error, match=r"too large: expected at most 25 MiB, received 25\.0 MiB"):
        parse_submission(b"x" * (sgml.SIZE_LIMIT_BYTES + 1), "name")


def test_read_submission_of_a_100_mb_file_is_refused_unread(tmp_path):
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(100 * 1024**2)
    started = time.perf_counter()
    with pytest.raises(Form4Error, match=r"too large: expected at most 25 MiB, received 100\.0 MiB"):
        read_submission(huge)
    assert time.perf_counter() - started < 1


def test_read_submission_stops_after_the_first_xml_block(tmp_path):
    text = texts.submission(texts.document([texts.transaction()]), after="x" * 3_000_000)
    file = tmp_path / "full-submission.txt"
    file.write_text(text)
    content = read_submission(file)
    assert len(content) < 200_000
    assert parse_submission(content, "name") == parse_submission(text, "name")


@pytest.mark.parametrize("padding", range(65_500, 65_545, 3))
def test_read_submission_with_the_closing_tag_across_chunks_finds_it(tmp_path, padding):
    start = "<SEC-DOCUMENT>\n<XML>"
    file = tmp_path / "a.txt"
    file.write_text(start + "y" * (padding - len(start)) + "</XML>" + "z" * 500_000)
    assert len(read_submission(file)) <= 2 * 65_536
