from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analyzers.benchmark import equal_weight_monthly, from_closes, from_ticker
from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.sessions import trading_sessions

SESSIONS = trading_sessions("2020-01-29", "2020-02-05")  # Jan 29, 30, 31, Feb 3, 4, 5
FIRST, LAST = SESSIONS[0], SESSIONS[-1]


def panel_of(open_: dict[str, list[float]], close: dict[str, list[float]]) -> PricePanel:
    def matrix(prices: dict[str, list[float]]) -> np.ndarray:
        return np.array([prices[ticker] for ticker in sorted(prices)], dtype=float).T

    o, c = matrix(open_), matrix(close)
    ones = np.where(np.isfinite(c), 1.0, np.nan)
    return PricePanel(SESSIONS, tuple(sorted(open_)), o, np.fmax(o, c), np.fmin(o, c), c, ones, ones, "as_traded")


NAN = float("nan")
TWO = panel_of(
    open_={"A": [10, 10, 11, 20, 20, 20], "B": [50, 50, 50, 50, 50, 50]},
    close={"A": [10, 11, 12, 20, 20, 30], "B": [50, 50, 50, 50, 50, 50]},
)


def test_equal_weight_monthly_gives_hand_computed_value():
    value = equal_weight_monthly(TWO, FIRST, LAST, cash=1000)
    # Jan 30 open: 50 A at 10, 10 B at 50. Feb 3 open: 1,000 + 500 = 1,500, so 37.5 A at 20, 15 B at 50.
    assert value.tolist() == pytest.approx([1000, 1050, 1100, 1500, 1500, 37.5 * 30 + 750])
    assert value.index.equals(SESSIONS)


def test_equal_weight_monthly_costs_are_paid_on_turnover_only():
    value = equal_weight_monthly(TWO, FIRST, LAST, cash=1010, cost_frac_per_side=0.01)
    # 1,010 buys 1,000 of stock. On Feb 3: A 1,000, B 500; x = 750 - c/2 (|x - 1,000| + |x - 500|) = 747.5.
    assert value.iloc[1] == pytest.approx(1050)
    assert value.iloc[3] == pytest.approx(2 * 747.5)


def test_equal_weight_monthly_stock_that_ends_keeps_its_last_value_then_is_cash():
    panel = panel_of(
        open_={"A": [10, 10, NAN, NAN, NAN, NAN], "B": [50, 50, 50, 50, 50, 50]},
        close={"A": [10, 12, NAN, NAN, NAN, NAN], "B": [50, 50, 50, 50, 50, 55]},
    )
    value = equal_weight_monthly(panel, FIRST, LAST, cash=1000)
    assert value.tolist() == pytest.approx([1000, 1100, 1100, 1100, 1100, 1210])


def test_equal_weight_monthly_stock_halted_on_the_day_is_kept_outside_the_weights():
    panel = panel_of(
        open_={"A": [10, 10, 10, NAN, 10, 10], "B": [50, 50, 50, 50, 50, 50], "C": [NAN, NAN, NAN, 5, 5, 5]},
        close={"A": [10, 10, 10, NAN, 20, 20], "B": [50, 50, 50, 50, 50, 50], "C": [NAN, NAN, NAN, 5, 5, 10]},
    )
    value = equal_weight_monthly(panel, FIRST, LAST, cash=1000)
    # A: 500 at its last close on Feb 3, then doubles; B's 500 are spread over B and C.
    assert value.tolist() == pytest.approx([1000, 1000, 1000, 1000, 1500, 1000 + 250 + 500])


def test_equal_weight_monthly_without_any_stock_is_cash():
    nothing = {"A": [NAN] * 6}
    assert equal_weight_monthly(panel_of(nothing, nothing), FIRST, LAST, cash=7).tolist() == [7.0] * 6


def test_equal_weight_monthly_first_month_starts_after_the_first_session():
    value = equal_weight_monthly(TWO, SESSIONS[2], LAST, cash=1000)
    assert value.iloc[0] == 1000
    assert value.tolist() == pytest.approx([1000, 1000, 1000, 1250])


def test_equal_weight_monthly_future_bars_change_nothing_before(make_panel):
    panel = make_panel(sessions=120, tickers=5, late={1: 30}, ends={2: 60}, halts={3: [21, 22, 41]})
    cut = panel.sessions[80]
    noisy = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for values in noisy.values():
        values[81:] *= 3.0
    changed = dataclasses.replace(panel, **noisy)
    first = panel.sessions[5]
    whole = equal_weight_monthly(panel, first, panel.sessions[-1], 1e5, 0.0005)
    for other in (changed, panel.until(cut)):
        upto = equal_weight_monthly(other, first, cut, 1e5, 0.0005)
        np.testing.assert_array_equal(upto, whole.loc[:cut])


def test_equal_weight_monthly_agrees_with_a_plain_loop(make_panel):
    panel = make_panel(sessions=90, tickers=3, seed=4)
    value = equal_weight_monthly(panel, panel.sessions[3], panel.sessions[-1], 1000.0)
    money, shares = 1000.0, {}
    for row in range(4, 90):
        if row == 4 or panel.sessions[row].month != panel.sessions[row - 1].month:
            money = sum(n * panel.open[row, j] for j, n in shares.items()) or money
            shares = {j: money / 3 / panel.open[row, j] for j in range(3)}
        assert value.iloc[row - 3] == pytest.approx(sum(n * panel.close[row, j] for j, n in shares.items()))


def test_equal_weight_monthly_dates_outside_the_prices_are_refused():
    with pytest.raises(InputError, match="expected a session between 2019-01-01 and 2019-02-01, received prices from"):
        equal_weight_monthly(TWO, pd.Timestamp("2019-01-01"), pd.Timestamp("2019-02-01"), 1000)


@pytest.mark.parametrize(
    ("cash", "cost", "text"), [(0, 0, "`cash`: expected more than 0"), (1, 0.5, "`cost_frac_per_side`: expected a")]
)
def test_benchmark_money_out_of_range_is_refused(cash, cost, text):
    with pytest.raises(InputError, match=text):
        equal_weight_monthly(TWO, FIRST, LAST, cash, cost)
    with pytest.raises(InputError, match=text):
        from_closes(pd.Series(1.0, SESSIONS), SESSIONS, cash, cost)


def test_from_closes_without_opens_is_bought_at_the_first_close():
    closes = pd.Series([20.0, 22.0, 11.0, 22.0, 22.0, 44.0], SESSIONS)
    assert from_closes(closes, SESSIONS, 100.0).tolist() == pytest.approx([100, 110, 55, 110, 110, 220])


def test_from_closes_with_opens_is_bought_at_the_second_open_with_cost():
    closes = pd.Series([20.0, 22.0, 11.0, 22.0, 22.0, 44.0], SESSIONS)
    opens = pd.Series(11.0, SESSIONS)
    value = from_closes(closes, SESSIONS, 101.0, 0.01, opens=opens)
    assert value.tolist() == pytest.approx([101, 200, 100, 200, 200, 400])


def test_from_closes_missing_session_takes_the_close_before():
    closes = pd.Series([20.0, 30.0, 40.0], SESSIONS[[0, 2, 5]])
    assert from_closes(closes, SESSIONS, 2.0).tolist() == pytest.approx([2, 2, 3, 3, 3, 4])


def test_from_closes_series_that_does_not_cover_the_run_is_refused():
    with pytest.raises(InputError, match="expected prices from 2020-01-29 to 2020-02-05, received 2020-01-30 to"):
        from_closes(pd.Series(1.0, SESSIONS[1:]), SESSIONS, 1.0)
    with pytest.raises(InputError, match="received no price; choose a benchmark that covers the run"):
        from_closes(pd.Series(dtype=float), SESSIONS, 1.0)


def test_from_closes_price_of_zero_is_refused():
    with pytest.raises(InputError, match="expected prices above 0, received 0.0 on 2020-01-31"):
        from_closes(pd.Series([1, 1, 0, 1, 1, 1.0], SESSIONS), SESSIONS, 1.0)


def test_from_ticker_is_bought_at_the_second_open():
    assert from_ticker(TWO, "A", FIRST, LAST, 10.0).tolist() == pytest.approx([10, 11, 12, 20, 20, 30])
    with pytest.raises(InputError, match="unknown ticker 'Z'"):
        from_ticker(TWO, "Z", FIRST, LAST, 10.0)


def test_equal_weight_monthly_buys_members_of_the_month_only_and_sells_who_left():
    members = np.array([[True, True]] * 3 + [[False, True]] * 3)
    value = equal_weight_monthly(TWO, FIRST, LAST, cash=1000, members=members)
    # January as without membership; on Feb 3 A leaves at 20: all 1,500 are in B, which does not move.
    assert value.tolist() == pytest.approx([1000, 1050, 1100, 1500, 1500, 1500])


def test_equal_weight_monthly_stock_that_left_while_halted_is_kept_for_that_month():
    panel = panel_of(
        open_={"A": [10, 10, 11, NAN, 20, 20], "B": [50, 50, 50, 50, 50, 50]},
        close={"A": [10, 11, 12, NAN, 20, 30], "B": [50, 50, 50, 50, 50, 50]},
    )
    members = np.array([[True, True]] * 3 + [[False, True]] * 3)
    value = equal_weight_monthly(panel, FIRST, LAST, cash=1000, members=members)
    assert value.tolist() == pytest.approx([1000, 1050, 1100, 1100, 1500, 2000])


def test_equal_weight_monthly_without_any_member_stays_in_cash():
    value = equal_weight_monthly(TWO, FIRST, LAST, cash=1000, members=np.zeros((6, 2), dtype=bool))
    assert value.tolist() == [1000] * 6


def test_equal_weight_monthly_delisting_return_is_earned_on_the_session_after_the_end():
    sessions = trading_sessions("2020-01-02", "2020-03-31")
    close = np.full((len(sessions), 2), 10.0)
    close[5:, 1] = np.nan
    one = np.where(np.isnan(close), np.nan, 1.0)
    panel = PricePanel(sessions, ("A", "B"), close, close, close, close, 1e6 * one, one, "as_traded")
    for returned in (-0.5, {"B": -0.5}):
        value = equal_weight_monthly(panel, sessions[0], sessions[-1], 1000.0, delisting_return=returned)
        assert value.iloc[:5].tolist() == [1000.0] * 5
        assert value.iloc[5:].to_numpy() == pytest.approx(750.0)
    halted = dataclasses.replace(panel, halted_at_end=frozenset({"B"}))
    assert equal_weight_monthly(halted, sessions[0], sessions[-1], 1000.0, delisting_return=-0.5).iloc[-1] == 1000.0
