"""The traps of real Form 4 filings, and the tests that stand in each; then ten real filings read by hand.

==== =====================================================================================
1.1  container: order of blocks, several documents, size
     test_parse_issuer_before_or_after_owner_gives_the_same
     test_read_submission_stops_after_the_first_xml_block
1.2  clock: New York time, filing date before acceptance, holidays, early closes
     test_parse_acceptance_in_winter_and_summer_is_new_york_time
     test_trap_filing_date_before_the_acceptance_times_nothing
     test_features_filing_appears_in_the_first_session_that_closes_after_it
1.3  schema versions
     test_trap_schema_version_is_never_asked
1.4  XML: values that are wrapped or missing, booleans, dates, malformed documents
     test_parse_malformed_xml_is_recovered_and_flagged
     test_parse_boolean_spellings_are_understood
     test_parse_date_with_zone_is_the_day_it_names
     test_parse_impossible_date_is_kept_and_checked_against_the_period
     test_parse_missing_code_keeps_the_row
1.5  codes: only P acquired and S disposed speak
     test_bug_09_grants_and_withholding_are_neither_purchases_nor_sales
     test_parse_direction_against_code_is_flagged
1.6  derivative table: notionals
     test_bug_08_derivative_notionals_are_in_no_total
1.7  prices: missing, averaged, totals, decimal shifts
     test_check_prices_keeps_repairs_or_excludes
     test_check_prices_adjusted_source_excludes_what_no_split_explains
     test_parse_price_footnote_tells_an_average
     test_features_purchase_without_a_usable_price_counts_the_insider_only
1.8  splits: filed numbers are of their day
     test_trap_split_changes_neither_dollars_nor_conviction
1.9  who: titles, boxes, ten-percent owners
     test_role_of_free_text_title_is_found
     test_explain_keeps_large_holders_to_their_own_columns
1.10 joint filings and duplicates
     test_joint_filings_of_one_trade_are_collapsed_under_the_conditions_only
     test_joint_filings_equal_lots_of_a_split_list_stay
     test_read_filings_same_accession_in_two_folders_is_one_filing
1.11 issuer against owner
     test_bug_04_owner_side_filing_is_not_the_owners_own
1.12 tickers: free text, several classes, names that change
     test_stated_symbols_of_real_junk_are_tickers_or_nothing
     test_features_of_one_issuer_feed_every_listed_class
     test_bug_15_company_that_is_gone_keeps_its_ticker_and_its_filings
1.13 amendments
     test_bug_05_amendment_neither_doubles_nor_wipes_the_original
     test_amendment_of_an_amendment_chains
     test_amendment_that_adds_a_grant_leaves_last_quarters_equal_one
1.14 lateness
     test_bug_01_transaction_date_is_not_the_signal_date
     test_parse_old_trade_is_flagged_late
1.15 10b5-1
     test_parse_plan_has_three_states
     test_parse_plan_footnote_of_one_row_leaves_the_other_unknown
1.16 holdings per line of ownership, swaps, items of Form 5
     test_trap_holdings_of_another_line_do_not_enter_conviction
     test_trap_swaps_and_form_5_items_are_flagged
==== =====================================================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from feeds.form4 import parse_submission
from feeds.insider import insider_features
from feeds.transactions import read_filings
from tests.feeds import filing_texts as texts
from tests.feeds import test_filing_bugs
from tests.feeds.insider_market import ADJUSTED, filing, table

FOLDER = Path(__file__).parent


def highest(made, name):
    return insider_features(made, ADJUSTED, (name,)).values[:, 0, 0].max()


@pytest.mark.parametrize(
    ("listed", "count"), [(__doc__, 16), (test_filing_bugs.__doc__, 16)], ids=["these traps", "the sixteen bugs"]
)
def test_trap_tables_name_tests_that_exist(listed, count):
    defined = {
        name for path in FOLDER.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert set(re.findall(r"\btest_\w+", listed)) <= defined
    assert len(re.findall(r"^(?:1\.)?\d+ +\w", listed, re.M)) == count


def test_trap_filing_date_before_the_acceptance_times_nothing():
    text = texts.submission(texts.document([texts.transaction()]), accepted="20150203193000", filed="20150202")
    made = table(parse_submission(text, "name"))
    assert made.rows["flags"].tolist() == [["filed_before_accepted"]]
    bought = insider_features(made, ADJUSTED, ("ins_buy_usd_21",)).values[:, 0, 0]
    assert ADJUSTED.sessions[bought > 0][0] == pd.Timestamp("2015-02-04")


def test_trap_schema_version_is_never_asked():
    plain = filing()
    for version in ("X0101", "X0202", "X0303", "X0306", "X0407", "X0508", "X0609", "X9999"):
        assert filing(extra=f"<schemaVersion>{version}</schemaVersion>") == plain


def test_trap_split_changes_neither_dollars_nor_conviction():
    before = table(filing(texts.transaction("P", 100, 50, after=300)))
    after = table(filing(texts.transaction("P", 2_000, 2.5, after=6_000)))
    for name in ("ins_buy_usd_21", "ins_conviction_21"):
        assert highest(after, name) == highest(before, name) > 0


def test_trap_holdings_of_another_line_do_not_enter_conviction():
    made = table(
        filing(
            texts.transaction("P", 100, 50, after=1_100),
            texts.transaction("P", 100, 50, after=500, nature="I"),
        )
    )
    assert highest(made, "ins_conviction_21") == pytest.approx(100 / 400)


def test_trap_swaps_and_form_5_items_are_flagged():
    plain = texts.transaction("S")
    swap = plain.replace("<equitySwapInvolved>0<", "<equitySwapInvolved>1<")
    late_item = plain.replace("<transactionFormType>4<", "<transactionFormType>5<")
    flags = [row.flags for row in filing(plain, swap, late_item).transactions]
    assert flags == [(), ("equity_swap",), ("form_5_item",)]


class Read(NamedTuple):
    """What a person read off one row of a real document."""

    accession: str
    key: str
    expected: dict[str, object]


# The trap of each in the comment; accepted is the header's wall-clock time in New York.
BY_HAND = (
    # 1.1: the issuer's block stands before the owner's
    Read("0000004281-17-000095", "N1", {
        "accepted": "2017-06-01 17:33:00", "issuer_cik": "0000004281", "owner_ciks": ["0001241599"], "role": "director",
        "code": "A", "acquired_disposed": "A", "shares": 4409, "price": 0, "shares_after": 4409,
    }),
    # 1.2: the submissions JSON calls 18:30:57 New York time "Z"; 1.15: plan told by a footnote of the title
    Read("0000320193-22-000061", "N7", {
        "accepted": "2022-05-06 18:30:57", "ticker": "AAPL", "role": "officer", "code": "S", "shares": 2292,
        "price": 165.95, "shares_after": 452334, "plan_10b5_1": "true", "price_is_average": True,
    }),
    # 1.4: a trade of the year 2028; the title has an escaped "&"
    Read("0001209191-23-014269", "N16", {
        "accepted": "2023-03-01 18:06:40", "officer_title": "EVP & CFO", "role": "cfo", "code": "S", "shares": 1867,
        "price": 167.07, "transacted_on": "2028-03-01", "transacted_on_checked": "2023-02-27",
        "flags": ["date_after_acceptance"],
    }),
    # 1.5: a sale that is marked as acquired
    Read("0001104659-23-023941", "N1", {
        "accepted": "2023-02-21 21:32:38", "role": "cfo", "code": "S", "acquired_disposed": "A", "shares": 111209,
        "price": 43.0729, "price_is_average": True, "flags": ["code_contradicts_direction"],
    }),
    # 1.6: debentures whose price is their total value; no number of shares
    Read("0001104659-23-027343", "D2", {
        "ticker": "CHTR", "accepted": "2023-03-01 16:31:59", "code": "P", "price": 822994000, "shares": None,
        "value_usd": None, "is_director": True, "is_ten_percent_owner": True, "role": "director",
    }),
    # 1.7: thousand times too dear
    Read("0001209191-23-018495", "N7", {
        "ticker": "PANW", "accepted": "2023-03-14 16:42:55", "code": "S", "shares": 1500, "price": 188139,
        "shares_after": 612745, "plan_10b5_1": "true",
    }),
    # 1.10: the chief executive tells a company's sale, which it told itself four minutes before
    Read("0001818382-23-000049", "N1", {
        "accepted": "2023-06-15 16:21:19", "role": "ceo", "code": "S", "shares": 4875000, "price": 2.60,
        "direct_indirect": "I", "shares_after": 10490736, "plan_10b5_1": "false",
        "duplicate_of": "0001818382-23-000047",
    }),
    # 1.11: in GOOG's folder, about GTLB, by four funds
    Read("0001209191-23-018969", "N3", {
        "ticker": None, "issuer_cik": "0001653482", "issuer_symbol": "GTLB", "n_owners": 4, "role": "other",
        "code": "P", "shares": 126938, "price": 30.2739, "shares_after": 1693514, "flags": ["owner_side"],
    }),
    # 1.12: two tickers in one field; ten owners
    Read("0000899243-23-015057", "N1", {
        "issuer_symbol": "GTX,GTXAP", "accepted": "2023-06-09 06:15:07", "n_owners": 10, "code": "A",
        "shares": 774354, "price": 8.177, "direct_indirect": "I", "shares_after": 8448888,
    }),
    # 1.13: an amendment for holdings that restates two grants without a price
    Read("0001179110-20-006518", "N2", {
        "form": "4/A", "accepted": "2020-05-22 17:47:39", "original_filed_on": "2020-05-12", "code": "A",
        "shares": 2333, "price": None, "shares_after": 119675, "flags": ["amendment_unmatched"],
    }),
    # 1.15: the box says no plan, the footnote says plan
    Read("0001214659-23-004156", "N1", {
        "accepted": "2023-03-23 17:20:39", "is_officer": True, "role": "officer", "code": "S", "shares": 2952,
        "price": 4.01, "shares_after": 29506, "plan_10b5_1": "false", "flags": ["plan_in_text_only"],
    }),
)  # fmt: skip


@pytest.fixture(scope="module")
def real_rows(real_data):
    rows = pd.concat([read_filings(real_data / name).rows for name in ("filings", "filings_odd")])
    rows = rows.drop_duplicates(["accession", "table", "ordinal"])
    return rows.set_index(["accession", rows["table"] + rows["ordinal"].astype(str)])


@pytest.mark.parametrize("read", BY_HAND, ids=[read.accession for read in BY_HAND])
def test_real_filing_row_is_what_the_document_says(real_rows, read):
    row = real_rows.loc[(read.accession, read.key)]
    told = {name: row[name] for name in read.expected if name != "accepted"}
    told["accepted"] = row["accepted_at"].tz_convert("America/New_York").strftime("%Y-%m-%d %H:%M:%S")
    for name, value in told.items():
        if isinstance(value, pd.Timestamp):
            told[name] = f"{value:%Y-%m-%d}"
        elif isinstance(value, float) and pd.isna(value):
            told[name] = None
    assert {name: told[name] for name in read.expected} == read.expected
