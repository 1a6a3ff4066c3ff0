"""What doing nothing clever would have earned, in the same money and at the same costs.

A benchmark begins as the strategy does: all in cash at the close of its first session. Its first
purchase is at the open after that, the first open at which the strategy can fill an order too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.panel import PricePanel

_COST_ROUNDS = 50  # the fixed point below converges by the cost fraction per round


def equal_weight_monthly(
    panel: PricePanel,
    first: pd.Timestamp,
    last: pd.Timestamp,
    cash: float,
    cost_frac_per_side: float = 0.0,
    members: np.ndarray | None = None,
    delisting_return: float | Mapping[str, float] = 0.0,
) -> pd.Series:
    """Hold every stock that can be traded in equal weight, set anew each month.

    At the open of each month's first session the money is spread over all stocks that trade on
    that session; the first month begins at the session after `first`. The traded series is a
    total return, so dividends are reinvested. A stock that stops trading keeps its last close
    and is cash from the next month on; one that is only halted on the day of the exchange is
    kept as it is for that month, outside the equal weights.

    Parameters
    ----------
    panel : PricePanel
    first, last : Timestamp
        Sessions at which the series begins and ends, both included.
    cash : float
        USD at `first`.
    cost_frac_per_side : float
        Share of every dollar bought or sold that is lost (commission and slippage), in [0, 0.5).
    members : ndarray of bool, shape [T, N], optional
        Who belongs to the universe when; only a month's members are bought, and a stock that is one no
        more is sold at the first month's open at which it trades. By default everything belongs.
    delisting_return : float or mapping of ticker to float
        Return on the last close of a stock that ends before the panel does.

    Returns
    -------
    Series of float64, index `session`
        USD at each close; the first is `cash`.

    Raises
    ------
    InputError
        If no session lies between `first` and `last`, or a cost or sum is out of range.

    Notes
    -----
    **Known at** each session's close. Membership of a month uses its first session's bars alone.
    Whether an absent stock is halted or gone is read from the panel's later bars; its value is
    its last close, times 1 + `delisting_return` where it is gone.
    """
    _check_money(cash, cost_frac_per_side)
    rows = _rows_between(panel.sessions, first, last)
    close = _closes_after_delisting(panel, delisting_return)
    value = np.full(len(rows), float(cash))
    shares, idle = np.zeros(len(panel.tickers)), float(cash)
    for start, stop in _months(panel.sessions, rows):
        traded = panel.traded[start]
        wanted = traded if members is None else traded & members[start]
        gone = (panel.last_rows < start) | (traded & ~wanted)
        money = np.nan_to_num(shares * np.where(traded, panel.open[start], close[start]))
        each, idle = _spread(idle, money[wanted], float(money[gone].sum()), cost_frac_per_side)
        shares[gone] = 0.0
        shares[wanted] = each / panel.open[start, wanted]
        held = shares > 0
        value[start - rows[0] : stop - rows[0]] = idle + close[start:stop, held] @ shares[held]
    return pd.Series(value, index=panel.sessions[rows].rename("session"), name="benchmark")


def from_closes(
    closes: pd.Series,
    sessions: pd.DatetimeIndex,
    cash: float,
    cost_frac_per_side: float = 0.0,
    opens: pd.Series | None = None,
) -> pd.Series:
    """Buy one series and hold it: a ticker of the panel, an index or a fund.

    Parameters
    ----------
    closes : Series of float, sorted index of dates
        Total-return closes where dividends shall count. Sessions that it lacks take the close
        before.
    sessions : DatetimeIndex
        Sessions of the run; the series must reach from the first to the last of them.
    cash : float
        USD at the first session.
    cost_frac_per_side : float
        Share of the purchase that is lost, in [0, 0.5).
    opens : Series of float, optional
        Bought at the second session's open where there is one, else at the first session's close.

    Returns
    -------
    Series of float64, index `session`
        USD at each close; the first is `cash`.

    Raises
    ------
    InputError
        If the series does not cover the sessions, holds a price that is not positive, or a cost
        or sum is out of range.
    """
    _check_money(cash, cost_frac_per_side)
    known = closes.dropna()
    _check_cover(known, sessions)
    levels = known.reindex(sessions, method="ffill").to_numpy(dtype=float)
    open_ = float(opens.get(sessions[1], math.nan)) if opens is not None and len(sessions) > 1 else math.nan
    paid = open_ if math.isfinite(open_) else float(levels[0])
    value = cash / (1.0 + cost_frac_per_side) * levels / paid
    value[0] = cash
    return pd.Series(value, index=sessions.rename("session"), name="benchmark")


def from_ticker(
    panel: PricePanel,
    ticker: str,
    first: pd.Timestamp,
    last: pd.Timestamp,
    cash: float,
    cost_frac_per_side: float = 0.0,
) -> pd.Series:
    """Buy one stock of the panel and hold it; see `from_closes`."""
    bars = panel.bars(ticker)
    index = pd.DatetimeIndex(bars.sessions)
    opens, closes = pd.Series(bars.open, index=index), pd.Series(bars.close, index=index)
    sessions = panel.sessions[_rows_between(panel.sessions, first, last)]
    return from_closes(closes, sessions, cash, cost_frac_per_side, opens=opens)


def _closes_after_delisting(panel: PricePanel, delisting_return: float | Mapping[str, float]) -> np.ndarray:
    close = pd.DataFrame(panel.close).ffill().to_numpy(copy=True)
    for j, ticker in enumerate(panel.tickers):
        returned = delisting_return.get(ticker, 0.0) if isinstance(delisting_return, Mapping) else delisting_return
        if returned and ticker not in panel.halted_at_end:
            close[panel.last_rows[j] + 1 :, j] *= 1.0 + returned
    return close


def _spread(idle: float, money: np.ndarray, sold: float, cost: float) -> tuple[float, float]:
    """Return USD to hold of each of the tradable stocks, and the cash left.

    `money` is what each of them is worth now, `sold` what leaves for good. The equal amount x
    solves n x + cost (sum |x - money| + sold) = everything there is.
    """
    everything = idle + float(money.sum()) + sold
    if not len(money):
        return 0.0, everything - cost * sold
    each = everything / len(money)
    for _ in range(_COST_ROUNDS):
        lost = cost * (float(np.abs(each - money).sum()) + sold)
        each = (everything - lost) / len(money)
    return each, 0.0


def _months(sessions: pd.DatetimeIndex, rows: np.ndarray) -> list[tuple[int, int]]:
    """Return first row and end of every month after the first row."""
    month = (sessions.year * 12 + sessions.month).to_numpy()
    starts = [int(row) for row in rows[1:] if row == rows[1] or month[row] != month[row - 1]]
    return list(zip(starts, [*starts[1:], int(rows[-1]) + 1], strict=True))


def _rows_between(sessions: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp) -> np.ndarray:
    rows = np.flatnonzero((sessions >= first) & (sessions <= last))
    if not len(rows):
        raise InputError(
            f"benchmark: expected a session between {first.date()} and {last.date()}, received prices from "
            f"{sessions[0].date()} to {sessions[-1].date()}; choose dates inside them"
        )
    return rows


def _check_money(cash: float, cost: float) -> None:
    if not cash > 0:
        raise InputError(f"`cash`: expected more than 0 USD, received {cash}")
    if not 0 <= cost < 0.5:
        raise InputError(f"`cost_frac_per_side`: expected a fraction from 0 to below 0.5, received {cost}")


def _check_cover(closes: pd.Series, sessions: pd.DatetimeIndex) -> None:
    if closes.empty or closes.index[0] > sessions[0] or closes.index[-1] < sessions[-1]:
        received = f"{closes.index[0].date()} to {closes.index[-1].date()}" if len(closes) else "no price"
        raise InputError(
            f"benchmark: expected prices from {sessions[0].date()} to {sessions[-1].date()}, received {received}; "
            "choose a benchmark that covers the run, or set `--from` and `--to` inside it"
        )
    if not (closes > 0).all():
        lowest = int(closes.to_numpy().argmin())
        raise InputError(
            f"benchmark: expected prices above 0, received {closes.iloc[lowest]} on {closes.index[lowest].date()}; "
            "mend the source or choose another benchmark"
        )
