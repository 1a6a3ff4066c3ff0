from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.form4 import parse_submission
from feeds.insider import INSIDER_COLUMNS, SILENT_SESSIONS, average_dollar_volume, explain, insider_features
from feeds.insider_routine import OPPORTUNISTIC, ROUTINE, UNCLASSIFIED, classify
from feeds.sessions import session_closes
from feeds.transaction_table import coverage_of
from feeds.transactions import Coverage, table_of_filings, ticker_frame
from tests.conftest import build_panel
from tests.feeds import filing_texts as texts
from tests.feeds.insider_market import ADJUSTED, AS_TRADED, TICKERS, WHOLE, filing, table

ORIGINAL = "<dateOfOriginalSubmission>2015-02-03</dateOfOriginalSubmission>"
PANEL = ADJUSTED


def values(made, name, ticker="T000", panel=PANEL):
    column = insider_features(made, panel).column(name)[:, panel.tickers.index(ticker)]
    return pd.Series(column, index=panel.sessions)


def first_seen(made, panel=PANEL):
    buys = values(made, "ins_buy_21", panel=panel)
    return buys[buys > 0].index[0].strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("accepted", "session"),
    [
        ("20150203155959", "2015-02-03"),
        ("20150203160000", "2015-02-04"),
        ("20150203205000", "2015-02-04"),
        ("20150204073000", "2015-02-04"),
        ("20150206170000", "2015-02-09"),
        ("20150403120000", "2015-04-06"),
        ("20151127125959", "2015-11-27"),
        ("20151127130000", "2015-11-30"),
    ],
    ids=["before close", "at close", "evening", "morning", "friday evening", "good friday", "early", "early close"],
)
def test_features_filing_appears_in_the_first_session_that_closes_after_it(accepted, session):
    panel = replace(build_panel(sessions=260, tickers=1), price_basis="split_adjusted")
    assert first_seen(table(filing(accepted=accepted)), panel) == session


def test_features_by_hand_agree():
    made = table(filing(texts.transaction("P", 1000, 10), texts.transaction("P", 500, 12)))
    row = int(PANEL.sessions.get_loc("2015-02-03"))
    volume = np.nanmean(PANEL.dollar_volume[max(0, row - 62) : row + 1, 0])
    found = insider_features(made, PANEL)
    assert found.names == INSIDER_COLUMNS
    assert found.values[row, 0] == pytest.approx([1, math.log1p(16_000 / volume), 0, 0.5, 0.2, 1, 1])
    buys, recency = values(made, "ins_buy_21"), values(made, "ins_recency_21")
    assert np.flatnonzero(buys > 0).tolist() == list(range(row, row + 21))
    assert recency.iloc[row + 42] == pytest.approx(math.exp(-2))
    assert np.flatnonzero(values(made, "ins_net_63") > 0).tolist() == list(range(row, row + 63))


def test_features_outside_the_base_set_change_nothing():
    silent = [
        texts.transaction("F"),
        texts.transaction("M"),
        texts.transaction("A"),
        texts.transaction("G"),
        texts.transaction("P", table="D", price=1e9),
        texts.transaction("P", direction="D"),
        texts.transaction("S", direction="A"),
        texts.transaction(None),
        texts.transaction("P", title="Series B Preferred Stock"),
    ]
    made = table(
        filing(*silent),
        filing(number=2, issuer="0000000999"),
        filing(number=3, owners=[{"director": 0, "ten": 1}]),
    )
    found = insider_features(made, PANEL).values[:, 0]
    assert (found == [1, 0, 0, 0, 0, 0, 0]).all(axis=1).any()
    assert not found[:, 1:].any()


def test_features_purchase_without_a_usable_price_counts_the_insider_only():
    made = table(filing(texts.transaction("P", 100, None)))
    assert values(made, "ins_buy_21").max() == 0
    assert values(made, "ins_cluster_21").max() == 0.2


def test_features_price_far_from_the_tape_adds_no_dollars():
    made = table(filing(texts.transaction("P", 100, 50_000)))
    assert values(made, "ins_buy_21", panel=PANEL).max() > 0
    assert values(made, "ins_buy_21", panel=AS_TRADED).max() == 0
    assert values(made, "ins_cluster_21", panel=AS_TRADED).max() == 0.2


@pytest.mark.parametrize(
    ("shares", "price", "flags"),
    [
        ("1e300", 10, ["shares_implausible"]),
        (100, "1e300", ["price_implausible"]),
        (-100, 10, ["shares_negative"]),
        (100, -10, ["price_zero", "price_implausible"]),
        (-100, -10, ["price_zero", "shares_negative", "price_implausible"]),
        ("9e10", 1_000_000, ["value_implausible"]),
        ("1e300", "1e300", ["shares_implausible", "price_implausible"]),
        ("5e8", 30, []),
        (100, 800_000, []),
    ],
)
def test_features_absurd_amounts_are_flagged_and_add_no_dollars(shares, price, flags):
    made = table(filing(texts.transaction("P", shares, price, after=5_000)))
    row = made.rows.iloc[0]
    assert row["flags"] == flags
    assert math.isnan(row["value_usd"]) == bool(flags)
    assert (values(made, "ins_buy_21").max() > 0) == (not flags)
    # An insider bought all the same.
    assert values(made, "ins_cluster_21").max() == 0.2


def test_features_absurd_number_of_shares_tells_no_conviction():
    made = table(filing(texts.transaction("P", -100, 10, after=0)))
    found = insider_features(made, PANEL, ("ins_conviction_21",)).values[:, 0, 0]
    assert set(found[~np.isnan(found)]) == {0}
    assert np.isnan(found).sum() == 21


def test_flags_of_notional_prices_in_the_derivative_table_say_nothing():
    made = table(filing(texts.transaction("P", 1, 1_265_000_000, table="D")))
    assert made.rows["flags"].tolist() == [[]]


def test_features_sold_dollars_and_net_ratio_of_distinct_persons():
    sellers = [filing(texts.transaction("S"), number=n, owners=[{"cik": f"000000900{n}"}]) for n in (1, 2, 3)]
    again = filing(texts.transaction("S", 40), number=4, accepted="20150205120000")
    made = table(*sellers, again, filing(number=5, owners=[{"cik": "0000009009"}]))
    assert values(made, "ins_net_63")["2015-02-05"] == pytest.approx((1 - 3) / 5)
    assert values(made, "ins_sell_21")["2015-02-05"] > values(made, "ins_sell_21")["2015-02-04"]


def test_features_joint_owners_are_one_person_and_one_trade():
    family = [{"cik": "0000009001"}, {"cik": "0000009002"}]
    made = table(
        filing(texts.transaction(nature="I"), owners=family),
        filing(texts.transaction(nature="I"), number=2, owners=[{"cik": "0000009002"}]),
        filing(texts.transaction("P", 7), number=3, owners=[{"cik": "0000009002"}]),
    )
    alone = table(filing(texts.transaction(shares=107)))
    assert values(made, "ins_cluster_21")["2015-02-03"] == 0.2
    assert values(made, "ins_buy_21")["2015-02-03"] == values(alone, "ins_buy_21")["2015-02-03"]


def test_features_amendment_acts_from_its_own_acceptance_and_repeats_nothing():
    original = filing(texts.transaction("P", 100))
    fixed = filing(texts.transaction("P", 300), number=2, form="4/A", accepted="20150210170000")
    before, after = values(table(original), "ins_buy_21"), values(table(original, fixed), "ins_buy_21")
    assert after[:"2015-02-10"].equals(before[:"2015-02-10"])
    tripled = np.log1p(3 * np.expm1(before))
    np.testing.assert_allclose(after["2015-02-11":], tripled["2015-02-11":])
    assert (after > 0).sum() == 21


def test_features_amendment_to_another_code_takes_the_purchase_back():
    fixed = filing(texts.transaction("S"), number=2, form="4/A", accepted="20150210170000", extra=ORIGINAL)
    made = table(filing(), fixed)
    assert values(made, "ins_recency_21")["2015-02-10"] > 0
    assert values(made, "ins_recency_21")["2015-02-11"] == 0
    assert values(made, "ins_sell_21")["2015-02-11"] > 0


def test_features_outside_coverage_are_nan_and_inside_zero():
    covered = Coverage(pd.Timestamp("2015-02-03 22:00", tz="UTC"), pd.Timestamp("2015-03-03 12:00", tz="UTC"))
    made = table(filing(accepted="20150301120000"), coverage=covered)
    known, buys = values(made, "ins_known"), values(made, "ins_buy_21")
    assert known[known == 1].index[[0, -1]].strftime("%Y-%m-%d").tolist() == ["2015-02-04", "2015-03-03"]
    assert buys.isna().equals(known == 0)
    assert buys["2015-02-04"] == 0


def test_features_coverage_of_one_issuer_goes_before_that_of_all():
    short = Coverage(WHOLE.first, pd.Timestamp("2015-02-03 12:00", tz="UTC"))
    made = replace(table(filing()), issuer_coverage={"0000000102": (short,)})
    assert values(made, "ins_known", "T000")["2015-03-02"] == 1
    assert values(made, "ins_known", "T001")["2015-03-02"] == 0


def test_features_issuer_whose_spans_are_stated_is_known_in_them_only():
    # Sessions close at 21:00 UTC: the first span ends with one, the second begins with one and ends before one.
    spans = (
        Coverage(pd.Timestamp("2015-01-20 05:00", tz="UTC"), pd.Timestamp("2015-02-03 21:00", tz="UTC")),
        Coverage(pd.Timestamp("2015-02-05 21:00", tz="UTC"), pd.Timestamp("2015-02-11 20:59", tz="UTC")),
    )
    made = replace(table(filing()), issuer_coverage={"0000000102": spans})
    known = values(made, "ins_known", "T001")
    assert known[known == 1].index.strftime("%m-%d").tolist() == [
        "01-20", "01-21", "01-22", "01-23", "01-26", "01-27", "01-28", "01-29", "01-30", "02-02", "02-03",
        "02-06", "02-09", "02-10",
    ]  # fmt: skip
    assert values(made, "ins_buy_21", "T001").isna().equals(known == 0)


def known_without_a_stated_end(*acceptances):
    """Return `ins_known` of a ticker that nothing was filed about, on 160 sessions from 2015-01-02."""
    made = table(*[filing(accepted=when, number=n) for n, when in enumerate(acceptances, start=1)])
    made = replace(made, complete_until=None, coverage=coverage_of(made.rows["accepted_at"]))
    return values(made, "ins_known", "T001", build_panel(sessions=160, tickers=3))


def test_features_after_the_last_filing_are_known_for_63_sessions_where_no_end_is_stated():
    known = known_without_a_stated_end("20150105120000", "20150402120000")
    last = known.index.get_loc("2015-04-02")
    assert SILENT_SESSIONS == 63
    assert known[known == 1].index.equals(known.index[1 : last + 64])


def test_features_of_a_source_that_was_silent_for_longer_are_known_again_with_its_next_filing():
    known = known_without_a_stated_end("20150105120000", "20150501120000")
    again = known.index.get_loc("2015-05-01")
    assert known[known == 0].index[: again - 64].equals(known.index[:1].append(known.index[65:again]))
    assert (known.iloc[again:146] == 1).all()


def assert_cut_filings_give_the_same_last_row(filings, tickers, panel, rows):
    """A run on filings cut at k sees at k what a run on all of them sees there."""
    whole = insider_features(table_of_filings(filings, tickers), panel).values
    closes = session_closes(panel.sessions)
    for k in rows:
        until = [one for one in filings if one.accepted_at < closes[k]]
        cut = insider_features(table_of_filings(until, tickers), panel.until(panel.sessions[k])).values
        np.testing.assert_array_equal(cut[k], whole[k], err_msg=str(panel.sessions[k]))


def test_features_of_filings_cut_at_a_session_are_the_same_there():
    days = pd.to_datetime(["2015-01-06", "2015-01-09", "2015-01-30", "2015-05-20", "2015-05-21"])
    made = [filing(accepted=f"{day:%Y%m%d}170000", number=n) for n, day in enumerate(days, start=1)]
    assert_cut_filings_give_the_same_last_row(made, TICKERS, PANEL, range(3, 130, 3))


def test_features_of_real_filings_cut_at_a_session_are_the_same_there(real_data):
    tree = real_data / "filings" / "sec-edgar-filings"
    names = sorted(folder.name for folder in tree.iterdir())[:6]
    paths = [path for name in names for path in sorted((tree / name).rglob("*.txt"))]
    filings = [parse_submission(path.read_bytes(), path.parent.name) for path in paths]
    filings = [one for one in {one.accession: one for one in filings}.values() if one.accepted_at is not None]
    ciks = {name: Counter(one.issuer_cik for one in filings if one.issuer_symbol == name) for name in names}
    tickers = ticker_frame([(count.most_common(1)[0][0], name, None, None) for name, count in ciks.items() if count])
    accepted = pd.DatetimeIndex([one.accepted_at for one in filings])
    first = accepted.min().strftime("%Y-%m-%d")
    panel = build_panel(sessions=int((accepted.max() - accepted.min()).days * 0.66), tickers=len(tickers), first=first)
    panel = replace(panel, tickers=tuple(sorted(tickers["ticker"])), price_basis="split_adjusted")
    assert insider_features(table_of_filings(filings, tickers), panel).values[:, :, 1:].any()
    assert_cut_filings_give_the_same_last_row(filings, tickers, panel, range(5, len(panel.sessions), 17))


def test_features_of_a_ticker_that_the_source_does_not_know_are_nan():
    assert (values(table(filing()), "ins_known", "T002") == 0).all()
    assert values(table(filing()), "ins_net_63", "T002").isna().all()


def test_features_where_the_stock_did_not_trade_are_nan():
    panel = build_panel(sessions=60, tickers=1, halts={0: [30]})
    found = insider_features(table(filing()), panel).values
    assert np.isnan(found[30]).all()
    assert not np.isnan(found[31]).any()


def test_features_of_one_issuer_feed_every_listed_class():
    classes = ticker_frame([("0000000101", "T000", None, None), ("0000000101", "T002", None, None)])
    made = table(filing(), tickers=classes)
    pd.testing.assert_series_equal(values(made, "ins_net_63", "T000"), values(made, "ins_net_63", "T002"))
    assert values(made, "ins_buy_21", "T002").max() > 0


def test_features_of_filings_before_the_panel_have_left_its_windows():
    old = filing(texts.transaction(date="2014-06-02"), accepted="20140603120000", period="2014-06-02")
    made = table(old, filing(accepted="20141230120000", number=2))
    assert values(made, "ins_buy_21").iloc[0] > 0
    assert values(made, "ins_buy_21").iloc[25] == 0
    assert values(table(old), "ins_net_63").iloc[0] == 0


def test_features_of_an_empty_source_are_unknown():
    nothing = table(tickers=ticker_frame([]), coverage=None)
    found = insider_features(nothing, PANEL)
    assert (found.column("ins_known") == 0).all()
    assert np.isnan(found.values[:, :, 1:]).all()


def test_average_dollar_volume_counts_traded_bars_only():
    panel = build_panel(sessions=150, tickers=1, halts={0: [80, 81]})
    dollars = pd.Series(panel.dollar_volume[:, 0]).dropna()
    expected = dollars.rolling(63, min_periods=1).mean().reindex(range(150))
    np.testing.assert_allclose(average_dollar_volume(panel)[:, 0], expected)


def classes(days, accepted, valid_to=None):
    instants = pd.Series(pd.to_datetime(accepted, utc=True, format="ISO8601"))
    ends = pd.Series(pd.to_datetime(valid_to or [None] * len(days), utc=True)).astype("datetime64[ns, UTC]")
    return classify(np.zeros(len(days), dtype=int), pd.to_datetime(days).to_numpy(), instants, ends).tolist()


def test_classify_same_month_in_three_years_is_routine():
    days = ["2012-05-02", "2013-05-20", "2014-05-10", "2015-09-01"]
    assert classes(days, days) == [UNCLASSIFIED] * 3 + [ROUTINE]


def test_classify_active_years_without_a_common_month_are_opportunistic():
    days = ["2012-05-02", "2013-06-20", "2014-05-10", "2015-05-01"]
    assert classes(days, days)[3] == OPPORTUNISTIC


def test_classify_history_accepted_after_new_year_does_not_count():
    days = ["2012-12-02", "2013-12-20", "2014-12-30", "2015-03-01"]
    assert classes(days, [*days[:2], "2015-01-02", days[3]])[3] == UNCLASSIFIED
    assert classes(days, [*days[:2], "2015-01-01 04:59", days[3]])[3] == ROUTINE


def test_classify_history_replaced_before_new_year_does_not_count():
    days = ["2012-12-02", "2013-12-20", "2014-12-05", "2015-03-01"]
    assert classes(days, days, [None, None, "2014-12-20", None])[3] == UNCLASSIFIED
    assert classes(days, days, [None, None, "2015-01-20", None])[3] == ROUTINE


def test_classify_trade_dated_after_its_acceptance_belongs_to_the_year_of_acceptance():
    """A year typed wrong never asks for a New Year that nobody has seen."""
    days = ["2012-05-02", "2013-05-20", "2014-05-10", "2015-05-12", "2016-09-01"]
    accepted = [*days[:4], "2015-09-02"]
    assert classes(days, accepted)[4] == ROUTINE
    assert classes([days[0], days[1], days[3]], [days[0], days[1], days[2]])[2] == UNCLASSIFIED
    assert classes([*days[:2], days[3], "2015-09-01"], [*days[:3], "2015-09-02"])[3] == ROUTINE


def test_explain_lists_the_filings_behind_a_session():
    made = table(
        filing(texts.transaction("P", 100), accepted="20150203170000"),
        filing(texts.transaction("S", 9), number=2, accepted="20150301120000"),
        filing(texts.transaction("A"), number=3),
    )
    listed = explain(made, PANEL, "T000", "2015-03-04")
    assert listed["accession"].str[-1].tolist() == ["2", "1"]
    assert listed["known_session"].tolist() == [pd.Timestamp("2015-03-02"), pd.Timestamp("2015-02-04")]
    assert listed["sessions_ago"].tolist() == [2, 19]
    assert listed["lag_days"].tolist() == [27, 1]
    assert listed["counted_usd"].tolist() == [90.0, 1000.0]
    assert listed["insider_class"].tolist() == ["unclassified"] * 2
    assert explain(made, PANEL, "T002", "2015-03-04").empty
    assert explain(made, PANEL, "T000", "2015-02-03").empty


@pytest.mark.parametrize("session", ["banana", "", "2015-13-01", pd.NaT, None, pd.Timestamp("2015-02-03", tz="UTC")])
def test_explain_of_what_is_no_session_is_refused(session):
    with pytest.raises(
        InputError, match=r"`session`: expected one of the panel's sessions from 2015-01-02 to \S+, rec"
    ):
        explain(table(filing()), ADJUSTED, "T000", session)


def test_explain_of_an_unknown_ticker_or_session_says_what_is_valid():
    with pytest.raises(InputError, match="unknown ticker 'T0000'"):
        explain(table(filing()), PANEL, "T0000", "2015-02-03")
    with pytest.raises(InputError, match="expected one of the panel's sessions from 2015-01-02"):
        explain(table(filing()), PANEL, "T000", "2015-02-01")
