"""What a broker, an account and a commission can be: the rest is refused where it is given, not at the first fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import backtrader as bt

from engine.costs import Slippage, delisting_returns, is_number
from engine.session_fills import BORROW, CLOSE, HIGH, REFUSE, RESIZE
from feeds.adapter.naming import parameter_values
from feeds.errors import InputError, unknown_name

# What backtrader's broker has and ours would drop, and what to do here.
INSTEAD = {
    "filler": "use volume_frac, the part of a session's volume that may fill",
    "slip_perc": "use slippage_bps, in hundredths of a percent",
    "slip_fixed": "use slippage_bps: USD per share mean nothing on total-return prices",
    "slip_open": "slippage_bps is charged on every fill, at the open too",
    "slip_match": "a fill slips out of the bar's range if need be, as slip_out in backtrader",
    "slip_limit": "a limit order fills at its limit at the worst, as in backtrader",
    "slip_out": "a fill slips out of the bar's range if need be in any case",
    "coc": "a close already seen cannot be traded",
    "coo": "an open already seen cannot be traded: with cheat_on_open=True say broker_coo=False, and orders fill on "
    "the bar after",
    "int2pnl": "the fee on shorts, borrow_rate, is paid from cash and belongs to no trade",
    "shortcash": "what a short sale brings is cash, and its position counts below 0",
    "eosbar": "daily bars have no end of session inside",
    "checksubmit": "cash is checked when an order fills; `unaffordable` says what becomes of what it cannot pay",
}
_FIRST_DAY, _LAST_DAY = date(1800, 1, 1).toordinal(), date(2199, 12, 31).toordinal()


def check_parameters(given: Any) -> None:
    """Refuse parameters of `SafeBroker` that cannot be.

    Raises
    ------
    InputError
        Naming the parameter, what is expected and, where there is one, the parameter that was meant.
    """
    for name in INSTEAD:
        refuse_other(f"`{name}` of SafeBroker", name, getattr(given, name))
    check_cash(given.cash)
    if not (is_number(given.fundstartval) and given.fundstartval > 0):
        raise InputError(f"`fundstartval`: expected a value per share above 0, received {given.fundstartval!r}")
    for name in ("commission_bps", "slippage_bps"):
        value = getattr(given, name)
        if not (is_number(value) and 0 <= value < 10_000):
            raise InputError(f"`{name}`: expected from 0 to below 10000 basis points per side, received {value!r}")
    volume = given.volume_frac
    if volume is not None and not (is_number(volume) and 0 < volume <= 1):
        raise InputError(f"`volume_frac`: expected a fraction above 0 up to 1, or None, received {volume!r}")
    if not (is_number(given.borrow_rate) and given.borrow_rate >= 0):
        raise InputError(f"`borrow_rate`: expected an annual rate from 0, received {given.borrow_rate!r}")
    for name, choices in (("unaffordable", (RESIZE, REFUSE, BORROW)), ("trail_on", (HIGH, CLOSE))):
        if getattr(given, name) not in choices:
            raise unknown_name(f"value of `{name}`:", str(getattr(given, name)), choices)
    _check_models(given.commission, given.slippage)
    delisting_returns(given.delisting_return)
    _check_dividends({} if given.dividends is None else given.dividends)
    _check_tickers(given.halted_at_end)


def refuse_other(label: str, name: str, value: Any) -> None:
    """Refuse a value that backtrader's broker would heed and ours would not.

    Raises
    ------
    InputError
        Where it is not the default.
    """
    default = {**parameter_values(bt.brokers.BackBroker.params), "checksubmit": False}[name]
    if value is not default and value != default:
        raise InputError(f"{label}: expected {default}, received {value!r}; {INSTEAD[name]}")


def check_cash(cash: Any) -> None:
    """Refuse an account that starts with nothing; raises InputError."""
    if not (is_number(cash) and cash > 0):
        raise InputError(f"`cash`: expected USD above 0, received {cash!r}")


def check_commission(info: Any) -> None:
    """Refuse a commission of backtrader whose rules are not this broker's.

    Raises
    ------
    InputError
        For margin, leverage, a multiplier or interest, and a commission below 0.
    """
    if not info.stocklike or info.get_leverage() != 1:
        raise InputError("commission of SafeBroker: expected one for stocks without margin or leverage")
    hints = {"interest": (0, "use borrow_rate of SafeBroker"), "mult": (1, "a share counts once")}
    for name, (expected, hint) in hints.items():
        value = getattr(info.p, name)
        if value != expected:
            raise InputError(f"`{name}` of a commission of SafeBroker: expected {expected}, received {value!r}; {hint}")
    if not (is_number(info.p.commission) and info.p.commission >= 0):
        raise InputError(f"commission of SafeBroker: expected a number from 0, received {info.p.commission!r}")


def check_slippage_frac(frac: Any) -> None:
    """Refuse a fraction of the price that no fill can lose; raises InputError."""
    if not (is_number(frac) and 0 <= frac < 1):
        raise InputError(
            f"SafeBroker.set_slippage_perc: expected a fraction of the price from 0 to below 1, received {frac!r}"
        )


def _check_models(commission: Any, slippage: Any) -> None:
    if commission is not None and (not callable(commission) or isinstance(commission, type)):
        raise InputError(
            "`commission`: expected a model such as parse_commission('commission', 'per-trade:5') of engine.costs, "
            f"received {commission!r}; for a part of the value use commission_bps, for a commission of backtrader "
            "addcommissioninfo"
        )
    if slippage is not None and not isinstance(slippage, Slippage):
        raise InputError(
            f"`slippage`: expected a Slippage of engine.costs, received {slippage!r}; for a part of the price use "
            "slippage_bps"
        )


def _check_dividends(dividends: Any) -> None:
    if not isinstance(dividends, Mapping):
        raise InputError(
            f"`dividends`: expected a mapping of ticker to mapping of day number to USD, received {dividends!r}"
        )
    for ticker, paid in dividends.items():
        if not isinstance(paid, Mapping) or not isinstance(ticker, str):
            raise InputError(
                f"`dividends` of {ticker!r}: expected a ticker and a mapping of day number to USD, received {paid!r}"
            )
        for day, amount in paid.items():
            if not (is_number(day) and _FIRST_DAY <= day < _LAST_DAY + 1):
                raise InputError(
                    f"`dividends` of {ticker}: expected backtrader's number of a day, received {day!r}; "
                    "take bt.date2num of its datetime"
                )
            if not is_number(amount):
                raise InputError(f"`dividends` of {ticker} on {day}: expected USD per share, received {amount!r}")


def _check_tickers(tickers: Any) -> None:
    if isinstance(tickers, str) or not isinstance(tickers, Collection) or not all(isinstance(t, str) for t in tickers):
        raise InputError(f"`halted_at_end`: expected a collection of tickers such as ('ABC',), received {tickers!r}")
