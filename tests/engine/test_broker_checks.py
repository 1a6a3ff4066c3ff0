from __future__ import annotations

import datetime
import math

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from engine.broker import SafeBroker
from engine.broker_checks import INSTEAD
from engine.costs import Slippage, parse_commission
from feeds.adapter.naming import parameter_values
from feeds.errors import InputError
from tests.engine.candles import flat, run, stock

DROPPED = [
    ("slip_perc", 0.1, r"expected 0.0, received 0.1; use slippage_bps"),
    ("slip_fixed", 0.5, r"expected 0.0, received 0.5; use slippage_bps: USD per share mean nothing on total-return"),
    ("slip_open", True, "expected False, received True; slippage_bps is charged on every fill, at the open too"),
    ("slip_match", False, "expected True, received False; a fill slips out of the bar's range if need be"),
    ("slip_limit", False, "expected True, received False; a limit order fills at its limit at the worst"),
    ("slip_out", True, "expected False, received True; a fill slips out of the bar's range if need be in any case"),
    ("coc", True, "expected False, received True; a close already seen cannot be traded"),
    ("coo", True, "expected False, received True; an open already seen cannot be traded"),
    ("filler", bt.fillers.FixedSize(), "expected None, received <.*FixedSize.*>; use volume_frac, the part of a"),
    ("shortcash", False, "expected True, received False; what a short sale brings is cash"),
    ("int2pnl", False, "expected True, received False; the fee on shorts, borrow_rate, is paid from cash"),
    ("eosbar", True, "expected False, received True; daily bars have no end of session inside"),
    ("checksubmit", True, "expected False, received True; cash is checked when an order fills; `unaffordable` says"),
]


@pytest.mark.parametrize(("name", "value", "text"), DROPPED, ids=[name for name, *_ in DROPPED])
def test_parameter_of_backtraders_broker_that_ours_would_drop_is_refused(name, value, text):
    with pytest.raises(InputError, match=f"`{name}` of SafeBroker: {text}"):
        SafeBroker(**{name: value})


def test_every_parameter_of_backtraders_broker_is_refused_or_heeded():
    heeded = {"cash", "commission", "fundstartval", "fundmode"}
    assert set(parameter_values(bt.brokers.BackBroker.params)) == {*INSTEAD, *heeded}
    defaults = {**parameter_values(bt.brokers.BackBroker.params), "commission": None, "checksubmit": False}
    assert SafeBroker(**defaults).getcash() == 10_000


@pytest.mark.parametrize(("name", "value"), [("filler", bt.fillers.FixedSize()), ("shortcash", 0), ("int2pnl", False)])
def test_setter_of_backtraders_broker_refuses_what_the_parameter_refuses(name, value):
    broker = SafeBroker()
    default = getattr(bt.brokers.BackBroker.params, name)
    getattr(broker, f"set_{name}")(default)
    with pytest.raises(InputError, match=f"SafeBroker.set_{name}: expected {default}, received .*; "):
        getattr(broker, f"set_{name}")(value)


def test_setters_without_effect_are_taken():
    broker = SafeBroker(cash=1000.0, commission_bps=0, slippage_bps=0)
    broker.set_checksubmit(True)
    broker.set_eosbar(True)
    broker.seteosbar(True)
    gap = stock(flat(100), flat(50), flat(50))
    # backtrader's check would refuse at the close what the open makes cheap enough.
    assert run({0: lambda s: s.buy(size=20)}, broker, X=gap).fates() == [(1, "X", "Completed", 50.0, "")]
    assert (broker.p.checksubmit, broker.p.eosbar) == (False, False)


@pytest.mark.parametrize("cash", [math.nan, math.inf, 0, -5, "1000", None, True])
def test_cash_that_no_account_begins_with_is_refused(cash):
    text = f"`cash`: expected USD above 0, received {cash!r}"
    with pytest.raises(InputError, match=text):
        SafeBroker(cash=cash)
    broker = SafeBroker(cash=1000.0)
    for setter in (broker.setcash, broker.set_cash):
        with pytest.raises(InputError, match=text):
            setter(cash)
    assert (broker.getcash(), broker.getvalue(), broker.fundshares) == (1000.0, 1000.0, 10.0)


@pytest.mark.parametrize("frac", [-0.1, math.nan, 1.0, "0.1"])
def test_slippage_that_no_fill_can_lose_is_refused(frac):
    broker = SafeBroker()
    text = f"SafeBroker.set_slippage_perc: expected a fraction of the price from 0 to below 1, received {frac!r}"
    with pytest.raises(InputError, match=text):
        broker.set_slippage_perc(frac)
    assert broker.slippage == Slippage(4.0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"interest": 0.5}, "`interest` of a commission .* expected 0, received 0.5; use borrow_rate of SafeBroker"),
        ({"mult": 10.0}, "`mult` of a commission of SafeBroker: expected 1, received 10.0; a share counts once"),
        ({"commission": -0.001}, "commission of SafeBroker: expected a number from 0, received -0.001"),
        ({"commission": math.nan}, "commission of SafeBroker: expected a number from 0, received nan"),
        ({"commission": "0.1"}, "commission of SafeBroker: expected a number from 0, received '0.1'"),
        ({"margin": 1000.0}, "commission of SafeBroker: expected one for stocks without margin or leverage"),
    ],
)
def test_commission_of_rules_that_are_not_the_brokers_is_refused_and_leaves_the_old_one(settings, text):
    broker = SafeBroker(commission_bps=10)
    with pytest.raises(InputError, match=text):
        broker.setcommission(**{"commission": 0.002, **settings})
    with pytest.raises(InputError, match=text):
        broker.addcommissioninfo(bt.CommissionInfo(commtype=None, **settings))
    assert [info.p.commission for info in broker.comminfo.values()] == [0.001]


DAY = bt.date2num(datetime.datetime(2020, 1, 6))
WRONG = [
    ({"fundstartval": 0}, "`fundstartval`: expected a value per share above 0, received 0"),
    ({"commission": 0.001}, r"`commission`: expected a model such as parse_commission.*, received 0.001; for a part"),
    ({"commission": "per-trade:5"}, "`commission`: expected a model .*received 'per-trade:5'; .* use commission_bps"),
    ({"commission": bt.CommInfoBase()}, "`commission`: expected a model .*, for a commission of backtrader addcomm"),
    ({"commission": bt.CommInfoBase}, "`commission`: expected a model such as parse_commission"),
    ({"slippage": 0.001}, "`slippage`: expected a Slippage of engine.costs, received 0.001; .* use slippage_bps"),
    ({"slippage": 0}, "`slippage`: expected a Slippage of engine.costs, received 0; "),
    ({"volume_frac": "all"}, "`volume_frac`: expected a fraction above 0 up to 1, or None, received 'all'"),
    ({"volume_frac": 2.5}, "`volume_frac`: expected a fraction above 0 up to 1, or None, received 2.5"),
    ({"borrow_rate": "0.1"}, "`borrow_rate`: expected an annual rate from 0, received '0.1'"),
    ({"slippage_bps": None}, "`slippage_bps`: expected from 0 to below 10000 basis points per side, received None"),
    ({"unaffordable": 3}, "unknown value of `unaffordable`: '3': expected one of borrow, refuse, resize"),
    ({"halted_at_end": "ABC"}, r"`halted_at_end`: expected a collection of tickers such as \('ABC',\), received 'ABC'"),
    ({"halted_at_end": None}, "`halted_at_end`: expected a collection of tickers such as .*, received None"),
    ({"halted_at_end": [1]}, r"`halted_at_end`: expected a collection of tickers such as .*, received \[1\]"),
    ({"delisting_return": {"X": -2}}, "`delisting_return`: expected a return from -1 such as -0.3, received -2"),
    ({"delisting_return": {"X": None}}, "`delisting_return`: expected a return from -1 such as -0.3, received None"),
    ({"delisting_return": True}, "`delisting_return`: expected a return from -1 such as -0.3, received True"),
    ({"dividends": [1.5]}, r"`dividends`: expected a mapping of ticker to mapping of day number to USD, .* \[1.5\]"),
    ({"dividends": {"X": 1.5}}, "`dividends` of 'X': expected a ticker and a mapping of day number to USD, .* 1.5"),
    ({"dividends": {7: {DAY: 1.5}}}, "`dividends` of 7: expected a ticker and a mapping of day number to USD"),
    (
        {"dividends": {"X": {datetime.date(2020, 1, 6): 1.5}}},
        r"`dividends` of X: expected backtrader's number of a day, received datetime.date\(2020, 1, 6\); take bt.date2",
    ),
    ({"dividends": {"X": {pd.Timestamp("2020-01-06"): 1.5}}}, "`dividends` of X: expected backtrader's number .*Time"),
    ({"dividends": {"X": {"2020-01-06": 1.5}}}, "`dividends` of X: expected backtrader's number of a day, .*'2020-01"),
    ({"dividends": {"X": {20200106: 1.5}}}, "`dividends` of X: expected backtrader's number of a day, .* 20200106"),
    ({"dividends": {"X": {18267: 1.5}}}, "`dividends` of X: expected backtrader's number of a day, received 18267"),
    ({"dividends": {"X": {DAY: math.nan}}}, r"`dividends` of X on 737430.0: expected USD per share, received nan"),
    ({"dividends": {"X": {DAY: "1"}}}, r"`dividends` of X on 737430.0: expected USD per share, received '1'"),
]


@pytest.mark.parametrize(("settings", "text"), WRONG)
def test_parameter_of_a_wrong_kind_is_refused_at_once(settings, text):
    with pytest.raises(InputError, match=text):
        SafeBroker(**settings)


def test_parameters_of_any_right_kind_are_taken():
    broker = SafeBroker(
        cash=np.int64(1000),
        commission=parse_commission("commission", "per-trade:5"),
        slippage=Slippage(2.0),
        volume_frac=np.float32(0.5),
        delisting_return={"X": np.float32(-0.5), "Y": -1},
        dividends={"X": {int(DAY): 1, DAY + 1: np.float64(0.5)}},
        halted_at_end=frozenset({"ABC"}),
    )
    assert broker.getcash() == 1000


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bps": -1}, "`bps` of Slippage: expected a number from 0 to below 10000, received -1"),
        ({"bps": math.nan}, "`bps` of Slippage: expected a number from 0 to below 10000, received nan"),
        ({"impact": -1.0}, "`impact` of Slippage: expected a number from 0, received -1.0"),
        ({"lookback_bars": 1}, "`lookback_bars` of Slippage: expected a number from 2, received 1"),
    ],
)
def test_slippage_of_parts_that_cannot_be_is_refused(settings, text):
    with pytest.raises(InputError, match=text):
        Slippage(**settings)


@pytest.mark.parametrize("cash", [float("nan"), float("inf"), "1000"])
def test_cash_that_is_no_number_is_not_added(cash):
    broker = SafeBroker()
    broker.init()
    with pytest.raises(InputError, match="SafeBroker.add_cash: expected a number of USD, received"):
        broker.add_cash(cash)
    assert broker.getcash() == broker.getvalue() == 100_000.0
