"""Sixteen bugs of public Form 4 code, each as a test that fails where the bug is.

== ====================================================================================
#  the bug, and under it its test
== ====================================================================================
1  a trade's own date is taken for the day of its signal
   test_bug_01_transaction_date_is_not_the_signal_date
2  fills at the close of the filing date, hours before it was filed
   test_bug_02_filing_date_close_has_not_seen_the_filing
3  acceptance read as UTC, not as New York time
   test_bug_03_acceptance_is_new_york_time_in_winter_and_summer
4  filings in which the company is only an owner are taken for its own
   test_bug_04_owner_side_filing_is_not_the_owners_own
5  a 4/A counts twice, or wipes out the original
   test_bug_05_amendment_neither_doubles_nor_wipes_the_original
6  equal tranches dropped by a narrow key
   test_bug_06_equal_tranches_of_one_filing_are_all_kept
7  one trade told by a chain of owners counts for each
   test_bug_07_chain_of_owners_is_one_trade_and_one_person
8  notionals of derivatives in dollar totals
   test_bug_08_derivative_notionals_are_in_no_total
9  withholding, exercises and grants told as sales and purchases by A/D alone
   test_bug_09_grants_and_withholding_are_neither_purchases_nor_sales
10 the total value filed as the price
   test_bug_10_total_value_in_the_price_field_is_repaired
11 filed prices "repaired" against adjusted ones
   test_bug_11_prices_of_stocks_that_have_split_since_stay_as_filed
12 an incremental run takes a short window for a career
   test_bug_12_panel_that_starts_later_knows_the_same_careers
13 trade dates in the future
   test_bug_13_trade_in_the_future_is_dated_by_the_period
14 holes of a download pass in silence
   test_bug_14_file_that_holds_no_filing_is_named; the download has its own tests
15 today's companies, and tickers, for the past
   test_bug_15_company_that_is_gone_keeps_its_ticker_and_its_filings
16 routine insiders found with the whole sample
   test_bug_16_routine_is_decided_by_the_years_before
== ====================================================================================
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.filed_prices import check_prices
from feeds.insider import ALL_INSIDER_COLUMNS, insider_features
from feeds.transactions import read_filings, ticker_frame
from tests.conftest import build_panel
from tests.feeds import filing_texts as texts
from tests.feeds.insider_market import ADJUSTED, AS_TRADED, filing, table

LATER = "20150210170000"
ORIGINAL = "<dateOfOriginalSubmission>2015-02-03</dateOfOriginalSubmission>"


def line(made, name, ticker="T000", panel=ADJUSTED):
    found = insider_features(made, panel, (name,)).values[:, panel.tickers.index(ticker), 0]
    return pd.Series(found, index=panel.sessions)


def first_bought(made, panel=ADJUSTED):
    bought = line(made, "ins_buy_usd_63", panel=panel)
    return f"{bought.index[bought > 0][0]:%Y-%m-%d}"


def test_bug_01_transaction_date_is_not_the_signal_date():
    late = table(filing(texts.transaction(date="2015-01-06"), accepted="20150302120000"))
    assert first_bought(late) == "2015-03-02"
    # The window counts from the acceptance too: 63 sessions after the trade it is still full.
    assert line(late, "ins_buy_usd_21")["2015-03-30"] == 1000
    assert line(late, "ins_buy_usd_21")["2015-03-31"] == 0


@pytest.mark.parametrize(("accepted", "session"), [("155900", "2015-02-03"), ("160000", "2015-02-04")])
def test_bug_02_filing_date_close_has_not_seen_the_filing(accepted, session):
    assert first_bought(table(filing(accepted=f"20150203{accepted}"))) == session


@pytest.mark.parametrize(("day", "utc"), [("20150203", "20:30"), ("20150602", "19:30")])
def test_bug_03_acceptance_is_new_york_time_in_winter_and_summer(day, utc):
    """Half past three in New York; read as UTC the close would be hours away, in the other sense past."""
    one = filing(accepted=f"{day}153000")
    assert f"{one.accepted_at:%H:%M}" == utc
    assert first_bought(table(one)) == f"{day[:4]}-{day[4:6]}-{day[6:]}"
    evening = filing(accepted=f"{day}190000")
    assert first_bought(table(evening)) > f"{day[:4]}-{day[4:6]}-{day[6:]}"


def test_bug_04_owner_side_filing_is_not_the_owners_own(tmp_path):
    for number, issuer in ((1, "0000000101"), (2, "0000000101"), (3, "0000000777")):
        accession = f"0000000001-15-{number:06d}"
        path = tmp_path / "sec-edgar-filings" / "T000" / "4" / accession / "full-submission.txt"
        path.parent.mkdir(parents=True)
        xml = texts.document([texts.transaction(shares=100 if number < 3 else 10**6)], issuer=issuer)
        path.write_text(texts.submission(xml, accession=accession, accepted=f"2015020{number}120000"))
    made = read_filings(tmp_path)
    assert made.rows["ticker"].tolist() == ["T000", "T000", None]
    assert made.rows["flags"].tolist()[2] == ["owner_side"]
    assert line(made, "ins_buy_usd_63").max() == 1000


def test_bug_05_amendment_neither_doubles_nor_wipes_the_original():
    original = filing(texts.transaction("P", 100), texts.transaction("P", 50, 20))
    restated = filing(
        texts.transaction("P", 300),
        texts.transaction("P", 50, 20),
        number=2,
        form="4/A",
        accepted=LATER,
        extra=ORIGINAL,
    )
    holdings_only = filing("", number=2, form="4/A", accepted=LATER, extra=ORIGINAL)
    days = ["2015-02-10", "2015-02-11"]
    assert line(table(original, restated), "ins_buy_usd_21")[days].tolist() == [2000, 4000]
    assert line(table(original, holdings_only), "ins_buy_usd_21")[days].tolist() == [2000, 2000]


def test_bug_06_equal_tranches_of_one_filing_are_all_kept():
    tranche = texts.transaction("P", 100)
    made = table(filing(tranche, tranche, tranche))
    assert not made.rows.duplicated(["accession", "table", "ordinal"]).any()
    assert line(made, "ins_buy_usd_21").max() == 3000


def test_bug_07_chain_of_owners_is_one_trade_and_one_person():
    chain = [
        filing(texts.transaction(nature="I"), number=number, owners=[{"cik": f"000000900{n}"} for n in owners])
        for number, owners in enumerate([(1, 2), (2, 3), (3,)], start=1)
    ]
    made = table(*chain)
    assert made.rows["duplicate_of"].tolist() == [None, *["0000000001-15-000001"] * 2]
    assert line(made, "ins_buy_usd_21").max() == 1000
    assert line(made, "ins_n_buyers_21").max() == 1


def test_bug_08_derivative_notionals_are_in_no_total():
    made = table(filing(texts.transaction("P", 1, 1_265_000_000, table="D"), texts.transaction("P")))
    assert made.rows["value_usd"].dropna().tolist() == [1000]
    assert line(made, "ins_buy_usd_63").max() == 1000


def test_bug_09_grants_and_withholding_are_neither_purchases_nor_sales():
    codes = [("A", "A"), ("M", "A"), ("F", "D"), ("G", "D"), ("D", "D"), ("J", "A"), ("C", "A"), ("P", "D"), ("S", "A")]
    made = table(filing(*[texts.transaction(code, direction=direction) for code, direction in codes]))
    found = insider_features(made, ADJUSTED, ALL_INSIDER_COLUMNS)
    for name in found.names:
        if name != "ins_known":
            assert not np.nan_to_num(found.column(name)[:, 0]).any(), name


def test_bug_10_total_value_in_the_price_field_is_repaired():
    price = AS_TRADED.close[20, 0]
    made = table(filing(texts.transaction("P", 2_000, 2_000 * price)))
    row = check_prices(made, AS_TRADED).rows.iloc[0]
    assert row["price_checked"] == pytest.approx(price)
    assert row["flags"] == ["price_was_total"]
    assert line(made, "ins_buy_usd_63", panel=AS_TRADED).max() == pytest.approx(2_000 * price)


def test_bug_11_prices_of_stocks_that_have_split_since_stay_as_filed():
    """A 20-for-1 split after the panel: every filed price is twenty times the adjusted one."""
    filed = [filing(texts.transaction(price=1_000), number=n, owners=[{"cik": f"000000900{n}"}]) for n in range(1, 7)]
    checked = check_prices(table(*filed), ADJUSTED)
    assert checked.rows["price_checked"].tolist() == [1_000] * 6
    assert set(checked.rows["flags"].map(len)) == {0}


def test_bug_12_panel_that_starts_later_knows_the_same_careers():
    old = [
        filing(texts.transaction("S", date=f"{year}-03-02"), number=year, accepted=f"{year}0303120000")
        for year in (2012, 2013, 2014)
    ]
    made = table(*old, filing(texts.transaction("P", 70), accepted="20150105120000"), filing(texts.transaction("S", 7)))
    arrays = {name: getattr(ADJUSTED, name)[60:] for name in ("open", "high", "low", "close", "volume", "adjust")}
    late = replace(ADJUSTED, sessions=ADJUSTED.sessions[60:], **arrays)
    for name in ("ins_sessions_since_buy", "ins_routine_sell_usd_63", "ins_recency_21", "ins_npr_63"):
        whole, tail = line(made, name)[late.sessions], line(made, name, panel=late)
        pd.testing.assert_series_equal(tail, whole)
    assert line(made, "ins_sessions_since_buy", panel=late).iloc[0] == 59
    assert line(made, "ins_routine_sell_usd_63", panel=late).iloc[0] == 70


def test_bug_13_trade_in_the_future_is_dated_by_the_period():
    made = table(filing(texts.transaction(date="2028-03-01"), period="2015-02-02"))
    row = made.rows.iloc[0]
    assert [f"{row[name]:%Y-%m-%d}" for name in ("transacted_on", "transacted_on_checked")] == [
        "2028-03-01",
        "2015-02-02",
    ]
    assert row["flags"] == ["date_after_acceptance"]
    assert first_bought(made) == "2015-02-03"


def test_bug_14_file_that_holds_no_filing_is_named(tmp_path):
    (tmp_path / "good.txt").write_text(texts.submission(texts.document([texts.transaction()])))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "throttled.txt").write_text("<!DOCTYPE html><title>Request Rate Threshold Exceeded</title>")
    made = read_filings(tmp_path)
    assert (made.n_files, made.n_filings) == (3, 1)
    assert [refusal.file for refusal in made.refused] == ["empty.txt", "throttled.txt"]


def test_bug_15_company_that_is_gone_keeps_its_ticker_and_its_filings():
    tickers = ticker_frame([("0000000101", "T000", None, "2015-03-31"), ("0000000102", "T000", "2015-04-01", None)])
    panel = replace(build_panel(sessions=130, tickers=1, ends={0: 100}), price_basis="split_adjusted")
    gone, heir = filing(), filing(number=2, issuer="0000000102", accepted="20150415120000")
    bought = line(table(gone, heir, tickers=tickers), "ins_sessions_since_buy", panel=panel)
    assert bought["2015-03-31"] == 39
    assert math.isnan(bought["2015-04-01"])
    assert bought["2015-04-16"] == 1
    assert bought.iloc[101:].isna().all()


def test_bug_16_routine_is_decided_by_the_years_before():
    years = [
        filing(texts.transaction("S", 100 + year, date=f"{year}-03-02"), number=year, accepted=f"{year}0303120000")
        for year in (2013, 2014, 2015, 2016, 2017)
    ]
    early, all_of_it = table(*years[:3]), table(*years)
    # March 2015 has but two Marches before it; those of 2016 and 2017 do not make it routine.
    for made in (early, all_of_it):
        assert line(made, "ins_unclassified_sell_usd_63")["2015-03-04"] > 0
        assert line(made, "ins_routine_sell_usd_63")["2015-03-04"] == 0
