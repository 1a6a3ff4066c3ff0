from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from feeds.filed_prices import check_prices
from feeds.form4 import parse_submission
from feeds.prices import load_prices
from feeds.transactions import read_filings, table_of_filings, ticker_frame
from tests.conftest import build_panel
from tests.feeds import filing_texts as texts

TICKERS = ticker_frame([("0000000101", "T000", None, None), ("0000000102", "T001", None, None)])
ADJUSTED = replace(build_panel(sessions=120, tickers=2), price_basis="split_adjusted")


def filing(row, number=1, accepted="20150203120000", owner="0000009001"):
    accession = f"0000000001-15-{number:06d}"
    text = texts.submission(texts.document([row], owners=[{"cik": owner}]), accession=accession, accepted=accepted)
    return parse_submission(text, accession)


def table(*filings):
    return table_of_filings(filings, TICKERS)


def priced(make_panel, price_of):
    panel = make_panel(sessions=40, tickers=2)
    row = int(np.flatnonzero(panel.sessions == "2015-02-02")[0])
    filed = price_of(panel.low[row, 0], panel.high[row, 0])
    return panel, table(filing(texts.transaction("P", 50, filed)))


@pytest.mark.parametrize(
    ("price_of", "flag"),
    [
        (lambda low, high: low, None),
        (lambda low, high: high * 2.9, None),
        (lambda low, high: low * 50, "price_was_total"),
        (lambda low, high: high * 3.1, "price_out_of_range"),
        (lambda low, high: low / 100, "price_out_of_range"),
    ],
)
def test_check_prices_keeps_repairs_or_excludes(make_panel, price_of, flag):
    panel, made = priced(make_panel, price_of)
    row = check_prices(check_prices(made, panel), panel).rows.iloc[0]
    expected = {None: row["price"], "price_was_total": row["price"] / 50, "price_out_of_range": np.nan}[flag]
    np.testing.assert_equal(row["price_checked"], expected)
    np.testing.assert_equal(row["value_usd"], expected * 50)
    assert row["flags"] == ([] if flag is None else [flag])


def filed(trades):
    """One filing per (session row traded, session row accepted, owner, factor on the adjusted close)."""
    made = []
    for number, (traded, accepted, owner, factor) in enumerate(trades, start=1):
        days = (ADJUSTED.sessions[row].strftime("%Y%m%d") for row in (traded, accepted))
        day, accepted_on = days
        price = round(factor * ADJUSTED.close[traded, 0], 4)
        row = texts.transaction("S", 100 + number, price, date=f"{day[:4]}-{day[4:6]}-{day[6:]}")
        made.append(filing(row, number, f"{accepted_on}120000", f"000000900{owner}"))
    return table(*made)


def unlike(trades):
    rows = check_prices(filed(trades), ADJUSTED).rows
    marked = ["price_unlike_peers" in flags for flags in rows["flags"]]
    assert rows["price_checked"].isna().tolist() == marked
    assert rows["value_usd"].isna().tolist() == marked
    return np.flatnonzero(marked).tolist()


PEERS = [(10, 11, 1, 28), (12, 13, 2, 28), (30, 31, 3, 28)]


@pytest.mark.parametrize(
    ("trades", "found"),
    [
        ([*PEERS, (20, 40, 4, 28)], []),
        ([*PEERS, (20, 40, 4, 280)], [3]),
        ([*PEERS, (20, 40, 4, 2.8)], [3]),
        ([*PEERS, (20, 40, 4, 28 * 2.8)], []),
        ([*PEERS, (40, 41, 4, 7), (41, 42, 5, 7), (42, 43, 6, 7), (43, 44, 5, 7)], []),
        ([*PEERS, (40, 41, 4, 280)], []),
        ([*PEERS, (40, 41, 4, 28_000)], [3]),
        ([(10, 11, 1, 28), (12, 13, 1, 28), (30, 31, 1, 28), (20, 40, 4, 280)], []),
        ([(10, 11, 1, 28), (30, 31, 2, 28), (20, 40, 4, 280)], []),
        ([(10, 11, 1, 28), (12, 13, 2, 28), (30, 31, 3, 7), (31, 32, 1, 7), (20, 40, 4, 280)], []),
        ([(20, 21, 4, 280), *((traded, accepted + 20, *rest) for traded, accepted, *rest in PEERS)], []),
    ],
    ids=[
        "alike", "ten times", "a tenth", "inside the band", "split", "maybe a reverse split", "no split is so large",
        "one person's word", "too few", "peers disagree", "judged by later ones",
    ],
)  # fmt: skip
def test_check_prices_adjusted_source_excludes_what_no_split_explains(trades, found):
    assert unlike(trades) == found


@pytest.mark.parametrize(
    ("factors", "found"),
    [
        ([28, 28.1, 28.2, 280], [3]),
        ([28, 28.1, 28.2, 2.8], [3]),
        ([28, 28.1, 28.2, 28 * 2.9], []),
        ([28, 28.1, 280], []),
        ([28, 28.1, 280, 281], []),
        ([28, 28.1, 28.2, 280, 281, 282, 283], []),
    ],
    ids=["ten times", "a tenth", "inside the band", "too few", "two against two", "three against four"],
)
def test_check_prices_adjusted_source_holds_a_price_against_the_same_filings_day(factors, found):
    """No split lies between two sales of one day, so one filing alone can tell its typo."""
    row = int(np.flatnonzero(ADJUSTED.sessions == "2015-02-02")[0])
    sales = [texts.transaction("S", 100, round(factor * ADJUSTED.close[row, 0], 4)) for factor in factors]
    accession = "0000000001-15-000001"
    made = table(parse_submission(texts.submission(texts.document(sales), accession=accession), accession))
    rows = check_prices(made, ADJUSTED).rows
    assert np.flatnonzero(rows["price_checked"].isna()).tolist() == found
    assert [at for at, flags in enumerate(rows["flags"]) if "price_unlike_peers" in flags] == found


def test_check_prices_adjusted_source_compares_days_of_one_filing_as_if_a_split_lay_between():
    days = [ADJUSTED.sessions[row].strftime("%Y-%m-%d") for row in (10, 11, 12, 20)]
    sales = [texts.transaction("S", 100, price, date=day) for day, price in zip(days, (28, 28, 28, 280), strict=True)]
    accession = "0000000001-15-000001"
    text = texts.submission(texts.document(sales), accession=accession, accepted="20150303120000")
    rows = check_prices(table(parse_submission(text, accession)), ADJUSTED).rows
    assert rows["price_checked"].notna().all()


def test_check_prices_adjusted_source_tells_securities_of_one_issuer_apart():
    trades = [*PEERS, (20, 40, 4, 280)]
    rows = filed(trades).rows.assign(security_title=["Class A Common Stock"] * 3 + ["Class B Common Stock"])
    checked = check_prices(replace(filed(trades), rows=rows), ADJUSTED)
    assert checked.rows["price_checked"].notna().all()


def test_check_prices_adjusted_source_says_so_once_and_repairs_nothing():
    made = table(filing(texts.transaction("P", 50, 5_000)))
    checked = check_prices(check_prices(made, ADJUSTED), ADJUSTED)
    assert checked.rows["price_checked"].tolist() == [5_000]
    assert checked.notes == (
        "filed prices were compared only with each other: the price source is split_adjusted, not as_traded",
    )


def test_check_prices_without_anything_to_change_returns_the_same_table():
    panel = build_panel(sessions=120, tickers=2)
    made = table(filing(texts.transaction("P", 50, 50)), filing(texts.transaction("A", 50, 0), 2))
    assert check_prices(made, panel) is made


@pytest.mark.parametrize("split", [1, 4, 20])
def test_check_prices_of_real_filings_exclude_the_one_typo_whatever_splits_later(real_data, split):
    """188139.0 for a share of 188: one of 423 prices; a split of every stock in April 2023 accuses nobody else."""
    panel = load_prices(f"parquet:{real_data / 'prices_60.parquet'}")
    before = (panel.sessions < "2023-04-03")[:, None]
    panel = replace(
        panel,
        **{name: np.where(before, 1 / split, 1) * getattr(panel, name) for name in ("open", "high", "low", "close")},
    )
    rows = check_prices(read_filings(real_data / "filings"), panel).rows
    found = rows[["price_unlike_peers" in flags for flags in rows["flags"]]]
    assert found[["accession", "price"]].to_numpy().tolist() == [["0001209191-23-018495", 188_139.0]]


def test_check_prices_of_the_real_typo_alone_is_told_by_its_own_filing(real_data):
    """188139.0 beside five sales of the same day from 183.49 to 187.32, without any other filing of the company."""
    panel = load_prices(f"parquet:{real_data / 'prices_60.parquet'}")
    rows = check_prices(read_filings(real_data / "filings_odd" / "0001209191-23-018495.txt"), panel).rows
    wrong = rows[rows["price_checked"].isna()]
    assert wrong[["price", "flags"]].to_numpy().tolist() == [[188_139.0, ["price_unlike_peers"]]]
    assert rows["value_usd"].max() < 3e6


def test_check_prices_day_after_the_acceptance_is_compared_with_no_bar(make_panel):
    """What a later day's prices were is not known to a filing, whatever date stands in it."""
    panel = make_panel(sessions=40, tickers=2)
    made = table(filing(texts.transaction("P", 50, 9_000)))
    late = made.rows.assign(transacted_on_checked=np.datetime64("2015-02-06", "s"))
    assert check_prices(made, panel).rows["price_checked"].isna().tolist() == [True]
    assert check_prices(replace(made, rows=late), panel).rows["price_checked"].tolist() == [9_000]


def test_check_prices_total_beyond_any_price_is_repaired_where_there_is_a_bar(make_panel):
    panel = make_panel(sessions=40, tickers=2)
    made = table(filing(texts.transaction("P", 400_000, 50 * 400_000)))
    assert (made.rows["flags"][0], made.rows["price_checked"].isna()[0]) == (["price_implausible"], True)
    row = check_prices(made, panel).rows.iloc[0]
    assert (row["price_checked"], row["value_usd"]) == (50, 20_000_000)
    assert row["flags"] == ["price_implausible", "price_was_total"]


def test_check_prices_adjusted_source_flags_a_lone_price_no_split_explains_and_keeps_it():
    row = int(np.flatnonzero(ADJUSTED.sessions == "2015-02-02")[0])
    middle = float(np.sqrt(ADJUSTED.source_price("low")[row, 0] * ADJUSTED.source_price("high")[row, 0]))
    for ratio, expected in ((140, []), (160, ["price_far_from_market"]), (1 / 160, ["price_far_from_market"])):
        checked = check_prices(table(filing(texts.transaction("P", 1, middle * ratio))), ADJUSTED).rows.iloc[0]
        assert checked["flags"] == expected
        assert checked["price_checked"] == checked["price"]
