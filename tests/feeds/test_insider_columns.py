"""All insider columns: by hand, against their definitions taken one row at a time, and never from the future."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.errors import InputError
from feeds.insider import ALL_INSIDER_COLUMNS, INSIDER_COLUMNS, explain, insider_features
from feeds.insider_columns import COLUMNS, column_table
from feeds.insider_windows import max_over_intervals
from feeds.sessions import session_closes, trading_sessions
from feeds.transaction_table import coverage_of
from tests.feeds import filing_texts as texts
from tests.feeds.insider_market import (
    ADJUSTED,
    AS_TRADED,
    BOXES,
    CLOSES,
    TICKERS,
    filing,
    owner,
    some_filings,
    table,
    tree_tickers,
)


def at(made, session, ticker="T000", panel=ADJUSTED):
    found = insider_features(made, panel, ALL_INSIDER_COLUMNS)
    row, column = panel.sessions.get_loc(session), panel.tickers.index(ticker)
    return dict(zip(found.names, found.values[row, column], strict=True))


def test_columns_are_declared_once_each_and_say_everything():
    shown = column_table()
    assert shown["name"].is_unique
    assert shown["name"].tolist() == list(ALL_INSIDER_COLUMNS[1:])
    assert ALL_INSIDER_COLUMNS[: len(INSIDER_COLUMNS)] == INSIDER_COLUMNS
    assert set(shown["nothing"]) == {"0", "NaN"}
    assert (shown[["unit", "meaning"]].map(len) > 0).all(axis=None)


def test_columns_with_no_filing_behind_them_are_the_nothing_that_they_declare():
    found = at(table(filing(texts.transaction("A"))), "2015-03-02")
    wrong = [c.name for c in COLUMNS if not (math.isnan(found[c.name]) if c.nothing == "NaN" else found[c.name] == 0)]
    assert wrong == []
    assert found["ins_known"] == 1


def test_columns_by_hand_agree():
    made = table(
        filing(texts.transaction("P", 100, 50, after=300), number=1, owners=[owner(1, 1)]),
        filing(texts.transaction("P", 200, 50, after=200), number=2, owners=[owner(2, 2)]),
        filing(texts.transaction("P", 40, 50, after=1040), number=3, owners=[owner(3)]),
        filing(texts.transaction("S", 60, 50), number=4, owners=[owner(4, 3)], extra=BOXES[1]),
        filing(texts.transaction("S", 20, 50), number=5, owners=[owner(5)], accepted="20150204120000"),
        filing(texts.transaction("P", 9_000, 50), number=6, owners=[owner(6, 4)]),
    )
    found = at(made, "2015-02-04")
    volume = np.nanmean(ADJUSTED.dollar_volume[:23, 0])
    expected = {
        "ins_buy_usd_21": 17_000, "ins_sell_usd_63": 4_000, "ins_net_to_adv_21": 13_000 / volume,
        "ins_npr_usd_63": 13 / 21, "ins_npr_21": 1 / 5, "ins_n_buyers_21": 3, "ins_n_sellers_63": 2,
        "ins_cluster2_21": 1, "ins_cluster3_21": 1, "ins_conviction_21": 10,
        "ins_officer_buy_usd_63": 15_000, "ins_ceo_buy_usd_63": 5_000, "ins_cfo_buy_usd_63": 10_000,
        "ins_officer_sell_usd_63": 3_000, "ins_officer_n_buyers_63": 2, "ins_officer_npr_63": 1 / 3,
        "ins_director_buy_usd_63": 2_000, "ins_director_sell_usd_63": 1_000, "ins_director_npr_63": 0,
        "ins_ten_percent_buy_usd_63": 450_000, "ins_ten_percent_n_buyers_63": 1, "ins_ten_percent_npr_63": 1,
        "ins_unclassified_buy_usd_63": 17_000, "ins_opp_buy_usd_63": 0, "ins_routine_n_buyers_63": 0,
        "ins_plan_share_63": 3 / 4, "ins_plan_unknown_63": 1 / 4,
        "ins_sessions_since_buy": 1, "ins_sessions_since_sell": 0, "ins_new_today": 1,
        "ins_last_accept": pd.Timestamp("2015-02-04 17:00").timestamp(),
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("after", "conviction"), [(110, 10), (150, 2), (1_100, 0.1), (100, 10), (90, math.nan), (None, math.nan)]
)
def test_conviction_is_bought_to_held_before(after, conviction):
    made = table(filing(texts.transaction("P", 100, 50, after=after)))
    assert at(made, "2015-02-03")["ins_conviction_21"] == pytest.approx(conviction, nan_ok=True)


def test_opportunistic_and_routine_are_kept_apart_from_unclassified():
    history = [(2012, "05"), (2013, "05"), (2014, "05"), (2012, "06"), (2013, "09"), (2014, "03")]
    old = [
        filing(
            texts.transaction("S", date=f"{year}-{month}-02"),
            number=number,
            accepted=f"{year}{month}03120000",
            owners=[owner(1 if number < 3 else 2)],
        )
        for number, (year, month) in enumerate(history)
    ]
    now = [filing(texts.transaction("P", n, 100), number=10 + n, owners=[owner(n)]) for n in (1, 2, 3)]
    found = at(table(*old, *now), "2015-02-03")
    names = [f"ins_{name}_buy_usd_63" for name in ("routine", "opp", "unclassified")]
    assert [found[name] for name in names] == [100, 200, 300]
    assert found["ins_opp_npr_63"] == found["ins_opp_n_buyers_63"] == 1
    assert found["ins_opportunistic_21"] == pytest.approx(5 / 6)


def test_last_acceptance_and_new_filings_count_amendments():
    fixed = filing(texts.transaction("P", 300), number=2, form="4/A", accepted="20150209120000")
    made = table(filing(), fixed, filing(texts.transaction("A"), number=3, accepted="20150210120000"))
    assert [at(made, day)["ins_new_today"] for day in ("2015-02-03", "2015-02-06", "2015-02-09")] == [1, 0, 1]
    assert at(made, "2015-02-12")["ins_last_accept"] == fixed.accepted_at.timestamp()
    assert at(made, "2015-02-12")["ins_sessions_since_buy"] == 7


def test_insider_features_of_some_columns_are_those_of_all():
    made, names = (
        table(filing(), filing(texts.transaction("S"), number=2)),
        ("ins_new_today", "ins_known", "ins_npr_63"),
    )
    some, whole = (insider_features(made, ADJUSTED, chosen) for chosen in (names, ALL_INSIDER_COLUMNS))
    for name in names:
        np.testing.assert_array_equal(some.column(name), whole.column(name))
    assert some.names == names


def test_insider_features_of_an_unknown_column_name_the_nearest():
    with pytest.raises(InputError, match="unknown insider column 'ins_npr_62'.*Did you mean 'ins_npr_6?[32]"):
        insider_features(table(), ADJUSTED, ("ins_npr_62",))


def test_max_over_intervals_agrees_with_a_loop():
    rng = np.random.default_rng(5)
    start = rng.integers(0, 50, 400)
    end, issuer = start + rng.integers(-2, 30, 400), rng.integers(0, 3, 400)
    value = np.where(rng.random(400) < 0.1, np.nan, rng.normal(size=400))
    expected = np.full((50, 3), -np.inf)
    for a, b, i, v in zip(start, end, issuer, value, strict=True):
        if a < b and not math.isnan(v):
            expected[a:b, i] = np.maximum(expected[a:b, i], v)
    np.testing.assert_array_equal(max_over_intervals(issuer, start, end, value, (50, 3)), expected)


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    some_filings(),
    some_filings(),
    st.integers(5, 100),
    st.sampled_from([AS_TRADED, ADJUSTED]),
    st.booleans(),
    st.booleans(),
)
def test_features_up_to_a_cut_ignore_every_later_filing(filings, others, cut, panel, end_is_stated, tickers_are_stated):
    """Later filings removed, others added in their place, later amendments among both: every column."""

    def upto(held, on=panel):
        made = table(*held, tickers=TICKERS if tickers_are_stated else tree_tickers(held))
        if not end_is_stated:
            made = replace(made, complete_until=None, coverage=coverage_of(made.rows["accepted_at"]))
        return insider_features(made, on, ALL_INSIDER_COLUMNS).values[: cut + 1]

    early = [one for one in filings if one.accepted_at < CLOSES[cut]]
    late = [replace(one, accession=f"9{one.accession[1:]}") for one in others if one.accepted_at >= CLOSES[cut]]
    full = upto(filings)
    np.testing.assert_array_equal(upto(early, panel.until(panel.sessions[cut])), full)
    np.testing.assert_array_equal(upto([*early, *late]), full)


def random_market(rng, count=700):
    """Filings of lone owners: roles, plans, holdings and amendments at random, some of earlier years."""
    filings, told = [], []
    for number in range(count):
        row = int(rng.integers(1, 120))
        back = pd.Timedelta(days=364 * int(rng.choice([0, 0, 1, 2, 3])))
        accepted = (CLOSES[row] - back + pd.Timedelta(hours=int(rng.integers(-5, 6)))).tz_convert("America/New_York")
        day = (AS_TRADED.sessions[row - 1] - back).strftime("%Y-%m-%d")
        trade = str(rng.choice(["P", "S", "M"])), day, int(rng.integers(10, 26)), str(rng.choice(["101", "102"]))
        amends = bool(told) and rng.random() < 0.2
        code, day, who, issuer = told[rng.integers(len(told))] if amends else trade
        told.append(trade)
        row_text = texts.transaction(code, int(rng.integers(1, 900)), 50, date=day, after=int(rng.integers(0, 2_000)))
        filings.append(
            filing(
                row_text,
                number=number,
                form="4/A" if amends else "4",
                accepted=accepted.strftime("%Y%m%d%H%M%S"),
                issuer=f"0000000{issuer}",
                owners=[owner(who, who % 5)],
                extra=str(rng.choice(BOXES)),
            )
        )
    return table(*filings)


LONG_CLOSES = session_closes(trading_sessions("2011-01-03", AS_TRADED.sessions[-1]))


def known_row(instant):
    """The panel row (negative before it) of the first session that closes after an instant."""
    return int((instant >= LONG_CLOSES).sum()) - (len(LONG_CLOSES) - len(CLOSES))


def slow_events(made, row, ticker):
    """The valid events at a panel row, in plain dictionaries, straight from the definitions."""
    events, history = [], []
    for one in made.rows.itertuples():
        if one.code not in ("P", "S") or one.duplicate_of or one.ticker != ticker:
            continue
        history.append(one)
        known, ago = known_row(one.accepted_at), row - known_row(one.first_accepted_at)
        if known <= row and (pd.isna(one.valid_to) or row < known_row(one.valid_to)):
            before = one.shares_after - one.shares if one.code == "P" else one.shares_after + one.shares
            events.append({"row": one, "buy": one.code == "P", "ago": ago, "new": known == row, "before": before})
    for event in events:
        event["class"] = slow_class(history, event["row"])
    return events


def slow_class(history, one):
    """Cohen, Malloy and Pomorski for one trade, with what was accepted and valid at New Year."""
    if pd.isna(one.transacted_on_checked):
        return "unclassified"
    year = one.transacted_on_checked.year
    new_year = pd.Timestamp(year=year, month=1, day=1, tz="America/New_York")
    months = {1: set(), 2: set(), 3: set()}
    for other in history:
        large = other.role == "ten_percent_owner"
        usable = other.accepted_at < new_year and (pd.isna(other.valid_to) or other.valid_to >= new_year)
        if usable and other.owner_ciks == one.owner_ciks and large == (one.role == "ten_percent_owner"):
            months.get(year - other.transacted_on_checked.year, set()).add(other.transacted_on_checked.month)
    if set.intersection(*months.values()):
        return "routine"
    return "opp" if all(months.values()) else "unclassified"


def slow_features(made, row, column):
    """Every column at one row and ticker, one definition after the other."""
    events = slow_events(made, row, AS_TRADED.tickers[column])
    base = [e for e in events if e["row"].role != "ten_percent_owner"]
    volume = np.nanmean(AS_TRADED.dollar_volume[max(0, row - 62) : row + 1, column])

    def usd(chosen, buy, window):
        return sum(e["row"].shares * e["row"].price for e in chosen if e["buy"] == buy and e["ago"] < window)

    def people(chosen, buy, window):
        return len({e["row"].owner_ciks[0] for e in chosen if e["buy"] == buy and e["ago"] < window})

    def net(plus, minus):
        return (plus - minus) / (plus + minus) if plus + minus else math.nan

    def latest(buy):
        return min((e["ago"] for e in base if e["buy"] == buy), default=math.nan)

    out = {"ins_known": 1.0}
    bought, routine = usd(base, True, 21), usd([e for e in base if e["class"] == "routine"], True, 21)
    n_buyers, n_sellers = people(base, True, 63), people(base, False, 63)
    out["ins_buy_21"], out["ins_sell_21"] = math.log1p(bought / volume), math.log1p(usd(base, False, 21) / volume)
    out["ins_net_63"] = (n_buyers - n_sellers) / (n_buyers + n_sellers + 1)
    out["ins_cluster_21"] = min(people(base, True, 21), 5) / 5
    out["ins_opportunistic_21"] = (bought - routine) / bought if bought else 0
    out["ins_recency_21"] = 0 if math.isnan(latest(True)) else math.exp(-latest(True) / 21)
    for w in (21, 63):
        out[f"ins_buy_usd_{w}"], out[f"ins_sell_usd_{w}"] = usd(base, True, w), usd(base, False, w)
        out[f"ins_net_to_adv_{w}"] = (usd(base, True, w) - usd(base, False, w)) / volume
        out[f"ins_npr_usd_{w}"] = net(usd(base, True, w), usd(base, False, w))
        out[f"ins_npr_{w}"] = net(people(base, True, w), people(base, False, w))
        out[f"ins_n_buyers_{w}"], out[f"ins_n_sellers_{w}"] = people(base, True, w), people(base, False, w)
        out[f"ins_cluster2_{w}"], out[f"ins_cluster3_{w}"] = (people(base, True, w) >= k for k in (2, 3))
        buys = [e for e in base if e["buy"] and e["ago"] < w]
        told = [e["row"].shares / e["before"] if e["before"] else math.inf for e in buys if e["before"] >= 0]
        out[f"ins_conviction_{w}"] = min(max(told), 10) if told else math.nan if buys else 0
    officers = ("ceo", "cfo", "officer")
    groups = {name: [e for e in base if e["class"] == name] for name in ("opp", "routine", "unclassified")}
    groups |= {name: [e for e in base if e["row"].role == name] for name in ("ceo", "cfo", "director")}
    groups["officer"] = [e for e in base if e["row"].role in officers]
    groups["ten_percent"] = [e for e in events if e["row"].role == "ten_percent_owner"]
    for name, chosen in groups.items():
        out[f"ins_{name}_buy_usd_63"], out[f"ins_{name}_sell_usd_63"] = usd(chosen, True, 63), usd(chosen, False, 63)
        out[f"ins_{name}_n_buyers_63"] = people(chosen, True, 63)
        out[f"ins_{name}_npr_63"] = net(people(chosen, True, 63), people(chosen, False, 63))
    sold = usd(base, False, 63)
    for name, answer in (("share", "true"), ("unknown", "unknown")):
        part = usd([e for e in base if e["row"].plan_10b5_1 == answer], False, 63)
        out[f"ins_plan_{name}_63"] = part / sold if sold else math.nan
    out["ins_sessions_since_buy"], out["ins_sessions_since_sell"] = latest(True), latest(False)
    out["ins_new_today"] = len({e["row"].accession for e in base if e["new"]})
    out["ins_last_accept"] = max((e["row"].accepted_at.timestamp() for e in base), default=math.nan)
    return out


@pytest.fixture(scope="module")
def market():
    return random_market(np.random.default_rng(3))


def test_features_agree_with_their_definitions_taken_one_row_at_a_time(market):
    assert market.rows["valid_to"].notna().sum() > 50
    found = insider_features(market, ADJUSTED, ALL_INSIDER_COLUMNS)
    different: set[str] = set()
    seen: dict[str, set[float]] = {name: set() for name in found.names}
    for row in range(1, 130, 8):
        for column in (0, 1):
            slow = slow_features(market, row, column)
            assert set(slow) == set(found.names)
            for i, name in enumerate(found.names):
                value = found.values[row, column, i]
                seen[name].add(value)
                if not np.isclose(value, slow[name], atol=1e-12, equal_nan=True):
                    different.add(name)
    assert different == set()
    constant = [name for name, values in seen.items() if len(values) < 2]
    assert constant == ["ins_known"], "the market does not move these columns, so they were not tested"


def test_explain_lists_for_every_column_what_its_value_is_made_of(market):
    checked = set()
    for row in (20, 70, 125):
        session = ADJUSTED.sessions[row]
        found, listed = at(market, session), explain(market, ADJUSTED, "T000", session)
        for column in COLUMNS:
            part = listed[[column.name in names for names in listed["columns"]]]
            value = found[column.name]
            if column.name.endswith(("buy_usd_63", "buy_usd_21", "sell_usd_63", "sell_usd_21")):
                assert part["counted_usd"].sum() == pytest.approx(value), column.name
            elif "_n_" in column.name:
                assert len({owners[0] for owners in part["owner_ciks"]}) == value, column.name
            elif column.name == "ins_new_today":
                assert part["accession"].nunique() == value
            elif column.name == "ins_last_accept":
                assert [stamp.timestamp() for stamp in part["accepted_at"]] == [value]
            elif column.latest == "anchor" and value == value:
                assert set(part["sessions_ago"]) == {found[f"ins_sessions_since_{column.side}"]}
            else:
                assert bool(len(part)) == (value == value and (value != 0 or len(part) > 0)), column.name
            checked.add(column.name)
    assert checked == {column.name for column in COLUMNS}


def test_explain_keeps_large_holders_to_their_own_columns():
    made = table(filing(owners=[owner(1, 4)]), filing(number=2, owners=[owner(2)]))
    listed = explain(made, ADJUSTED, "T000", "2015-02-03").set_index("accession")["columns"]
    assert all("ten_percent" in name for name in listed["0000000001-15-000001"])
    assert not any("ten_percent" in name for name in listed["0000000001-15-000002"])
