"""One trade that several filings report: counted once, its people as they became known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from feeds.insider import ALL_INSIDER_COLUMNS, explain, insider_features
from feeds.transactions import read_parquet, write_parquet
from tests.feeds import filing_texts as texts
from tests.feeds.insider_market import ADJUSTED, filing, table

FUND = {"cik": "0000009001", "director": 0, "ten": 1}
PARTNER = {"cik": "0000009002", "director": 1}
CEO = {"cik": "0000009003", "director": 0, "officer": 1, "title": "CEO"}


def report(number, owner, day, code="P", shares=100, **document):
    row = texts.transaction(code, shares, 50, nature="I", after=1000)
    return filing(row, number=number, owners=[owner], accepted=f"2015{day}120000", **document)


def amended(number, owner, day, code="P", shares=100, original="2015-02-03"):
    stated = f"<dateOfOriginalSubmission>{original}</dateOfOriginalSubmission>"
    return report(number, owner, day, code, shares, form="4/A", extra=stated)


def values(made, name):
    found = insider_features(made, ADJUSTED, ALL_INSIDER_COLUMNS).column(name)[:, 0]
    return pd.Series(found, index=ADJUSTED.sessions)


def on(made, name, *days):
    column = values(made, name)
    return [column[f"2015-{day}"] for day in days]


def test_versions_of_a_fund_and_then_its_director_count_for_insiders_from_the_directors_filing():
    made = table(report(1, FUND, "0203"), report(2, PARTNER, "0210"))
    assert on(made, "ins_buy_usd_63", "02-09", "02-10") == [0, 5_000]
    assert on(made, "ins_director_buy_usd_63", "02-09", "02-10") == [0, 5_000]
    assert on(made, "ins_ten_percent_buy_usd_63", "02-09", "02-10") == [5_000, 0]
    assert on(made, "ins_new_today", "02-03", "02-10", "02-11") == [0, 1, 0]
    # The trade became known on the third, whoever was known to have made it.
    assert on(made, "ins_sessions_since_buy", "02-10") == [5]


def test_versions_of_a_director_and_then_the_chief_executive_add_the_role_and_no_dollars():
    made = table(report(1, PARTNER, "0203"), report(2, CEO, "0205"))
    assert on(made, "ins_buy_usd_63", "02-04", "02-05") == [5_000, 5_000]
    assert on(made, "ins_ceo_buy_usd_63", "02-04", "02-05") == [0, 5_000]
    assert on(made, "ins_director_buy_usd_63", "02-04", "02-05") == [5_000, 0]
    assert on(made, "ins_n_buyers_63", "02-04", "02-05") == [1, 1]
    third = report(3, {**PARTNER, "cik": "0000009004"}, "0206", shares=7)
    assert on(table(report(1, PARTNER, "0203"), report(2, CEO, "0205"), third), "ins_n_buyers_63", "02-06") == [2]


def test_versions_owners_known_by_now_are_one_person_with_their_later_trades():
    later = report(3, PARTNER, "0212", shares=40)
    made = table(report(1, FUND, "0203"), report(2, PARTNER, "0210"), later)
    assert on(made, "ins_n_buyers_63", "02-09", "02-11", "02-12") == [0, 1, 1]
    assert on(made, "ins_buy_usd_63", "02-12") == [7_000]


@pytest.mark.parametrize(
    ("correction", "after"),
    [
        (amended(3, FUND, "0217", "J"), {"ins_buy_usd_63": 5_000, "ins_ten_percent_buy_usd_63": 0}),
        (
            amended(3, PARTNER, "0217", "J", original="2015-02-10"),
            {"ins_buy_usd_63": 0, "ins_ten_percent_buy_usd_63": 5_000},
        ),
        (amended(3, FUND, "0217", shares=300), {"ins_buy_usd_63": 15_000, "ins_ten_percent_buy_usd_63": 0}),
    ],
    ids=["first taken back", "second taken back", "first corrected"],
)
def test_versions_after_an_amendment_of_one_report_are_the_reports_that_are_left(correction, after):
    before = {"ins_buy_usd_63": 5_000, "ins_ten_percent_buy_usd_63": 0}
    made = table(report(1, FUND, "0203"), report(2, PARTNER, "0210"), correction)
    assert {name: on(made, name, "02-13")[0] for name in before} == before
    assert {name: on(made, name, "02-17")[0] for name in after} == after
    # No filing is new because another one was taken back; a corrected purchase is.
    assert on(made, "ins_new_today", "02-17", "02-18") == [float(after["ins_buy_usd_63"] == 15_000), 0]


def test_versions_of_a_report_equal_to_an_amended_one_are_one_trade():
    """The director repeats what the fund's amendment says, not what its first filing said."""
    made = table(report(1, FUND, "0203"), amended(2, FUND, "0206", shares=300), report(3, PARTNER, "0210", shares=300))
    assert on(made, "ins_buy_usd_63", "02-09", "02-10") == [0, 15_000]
    assert on(made, "ins_ten_percent_buy_usd_63", "02-05", "02-09", "02-10") == [5_000, 15_000, 0]


def test_versions_of_a_report_corrected_to_anothers_are_one_trade_from_the_correction_on():
    wrong, right = report(1, PARTNER, "0203"), report(2, CEO, "0204", shares=300)
    made = table(wrong, right, amended(3, PARTNER, "0206", shares=300))
    assert on(made, "ins_buy_usd_63", "02-05", "02-06") == [20_000, 15_000]


def test_versions_of_a_repeated_report_that_says_nothing_new_change_nothing():
    once, twice = table(report(1, PARTNER, "0203")), table(report(1, PARTNER, "0203"), report(2, PARTNER, "0205"))
    found, expected = (insider_features(made, ADJUSTED, ALL_INSIDER_COLUMNS).values for made in (twice, once))
    np.testing.assert_array_equal(found, expected)


def test_versions_are_explained_by_the_latest_filing_and_all_owners():
    made = table(report(1, FUND, "0203"), report(2, PARTNER, "0210"))
    listed = explain(made, ADJUSTED, "T000", "2015-02-10")
    assert listed["accession"].str[-1].tolist() == ["2"]
    assert listed["duplicate_of"].str[-1].tolist() == ["1"]
    assert listed["owner_ciks"].tolist() == [["0000009001", "0000009002"]]
    assert (listed["role"].item(), listed["counted_usd"].item()) == ("director", 5_000)
    assert explain(made, ADJUSTED, "T000", "2015-02-09")["accession"].str[-1].tolist() == ["1"]


def test_first_report_names_the_row_that_told_first_and_survives_the_table_file(tmp_path):
    made = table(report(1, FUND, "0203"), report(2, PARTNER, "0210"), amended(3, FUND, "0217", shares=300))
    first = "0000000001-15-000001"
    assert made.rows["first_report"].tolist() == [None, f"{first}:N:1", f"{first}:N:1"]
    assert made.rows["duplicate_of"].tolist() == [None, first, None]
    write_parquet(made, tmp_path / "t.parquet")
    assert read_parquet(tmp_path / "t.parquet").rows["first_report"].tolist() == made.rows["first_report"].tolist()
