"""The base of our strategies: it asks small questions on every session, a strategy answers them.

A subclass says which indicators a stock has and answers `entry_signal`; everything else has an
answer here and may be given another::

    class Breakout(SwingStrategy):
        def indicators(self, data):
            return {"high": bt.ind.Highest(data.close, period=55)}

        def entry_signal(self, data):
            return data.close[0] >= self.indicator(data, "high")[0]

What a session decides at its close is filled at the next open:

```
session t, after the close          session t+1
exit_signal / time is up  --> sell  at the open
entry_signal, rank,
stop_price, position_size --> buy   at the open; its stop rests from session t+2 on
```

Execution timing and look-ahead: a question may read ``[0]`` and negative indexes of a stock's lines
only. It is asked for stocks that have a bar in this very session, so a price before listing, or of
a halted stock, is never read.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from feeds.errors import InputError
from indicators.average_true_range import AverageTrueRange
from strategies import risk, sizing, stops
from strategies.parameters import Range, check_parameters

Signal = bool | str | None
STOP, TIME, SIGNAL, MISSED = "stop", "time", "signal", "no bar at the next open"


@dataclass
class Holding:
    """One stock's entry and what became of it.

    Attributes
    ----------
    entry : bt.Order
    stop_distance : float or None
        USD per share, fixed when the entry was decided.
    first_bar : int
        Number of the bar that first filled the entry in the stock's own feed; 0 while it is waiting.
    stop, exit : bt.Order or None
        The orders that may close the position; never both alive.
    """

    entry: Any
    stop_distance: float | None
    first_bar: int = 0
    stop: Any = None
    exit: Any = None


class SwingStrategy(bt.Strategy):
    """Long-only swing trading of many stocks, decided at each close.

    Parameters
    ----------
    predictor : Predictor or None
        What an LSTMSignal asks; see models/predictions.py.
    from_session : date, str or None
        No order is decided before this session; indicators warm up meanwhile.
    round_trip_cost_frac : float
        Commission and slippage of entry and exit together, as a fraction of the price.
    max_positions : int
        Positions at a time. A place that an exit frees is taken again at the same open.
    max_weight_frac : float
        Largest fraction of equity in one position at its entry.
    sectors : mapping of ticker to sector, or None
        Stocks that are not named belong to no sector and are not limited.
    membership : mapping of ticker to (first, last) ordinal days, or None
        Spells in which an entry may be decided; a stock that is not named is never entered. A position
        that outlives its spell is closed by the rules that close any other. None lets every stock in.
    max_sector_frac : float
        Largest fraction of equity in one sector when a position is entered.
    cash_buffer_frac : float
        Fraction of equity that entries leave in cash, so that a gap up can still be paid.
    risk_per_trade_frac : float
        Fraction of equity lost when a position ends at its stop.
    atr_period, atr_multiple : int, float
        The stop lies this many average true ranges under the price.
    max_holding_bars : int
        Bars of the stock, the entry bar included, after which the position is sold.
    target_volatility : float
        Annual; in a market that is more volatile, entries and gross exposure shrink by
        target / market volatility.
    volatility_lookback_sessions : int
        Sessions of the equal-weight market's volatility.
    max_drawdown_frac, cool_down_sessions : float, int
        See `strategies.risk.DrawdownRule`; 1 never halts.

    Notes
    -----
    Every session is decided with the stocks then listed and trading, whatever the youngest stock
    does: ``prenext``, ``nextstart`` and ``next`` all lead to `decide`. An entry, or what is left of it,
    whose stock has no bar at the next open is cancelled. What a session's volume does not hold is bought
    in the next ones; the stop always covers what is held. A subclass that adds parameters gives their ranges in
    `parameter_ranges`, and names in `insider_columns` the lines that its feeds shall have beside the
    model's (any of `feeds.insider.ALL_INSIDER_COLUMNS`).

    Raises
    ------
    InputError
        For an unknown parameter or a value out of range.
    """

    insider_columns: tuple[str, ...] = ()
    params: Any = (
        ("predictor", None),
        ("from_session", None),
        ("round_trip_cost_frac", 0.001),
        ("max_positions", 10),
        ("max_weight_frac", 0.15),
        ("sectors", None),
        ("membership", None),
        ("max_sector_frac", 0.40),
        ("cash_buffer_frac", 0.03),
        ("risk_per_trade_frac", 0.01),
        ("atr_period", 14),
        ("atr_multiple", 3.0),
        ("max_holding_bars", 5),
        ("target_volatility", 0.20),
        ("volatility_lookback_sessions", 21),
        ("max_drawdown_frac", 0.25),
        ("cool_down_sessions", 21),
    )
    needs_filings = False
    parameter_ranges = {
        "round_trip_cost_frac": Range(0, 1),
        "max_positions": Range(1),
        "max_weight_frac": Range(1e-6, 1),
        "max_sector_frac": Range(1e-6, 1),
        "cash_buffer_frac": Range(0, 0.99),
        "risk_per_trade_frac": Range(1e-6, 1),
        "atr_period": Range(1),
        "atr_multiple": Range(1e-6),
        "max_holding_bars": Range(1),
        "target_volatility": Range(1e-6),
        "volatility_lookback_sessions": Range(2),
        "max_drawdown_frac": Range(1e-6, 1),
        "cool_down_sessions": Range(1),
    }

    def __init__(self, **unknown: Any) -> None:
        check_parameters(self, unknown)
        super().__init__()
        self._from = _session_number(self.p.from_session)
        self._holdings: dict[str, Holding] = {}
        self._market_returns: deque[float] = deque(maxlen=self.p.volatility_lookback_sessions)
        self._drawdown = risk.DrawdownRule(self.p.max_drawdown_frac, self.p.cool_down_sessions)
        self._atr = {data._name: AverageTrueRange(data, period=self.p.atr_period) for data in self.datas}
        self._indicators = {data._name: self.indicators(data) for data in self.datas}

    # ------------------------------------------------------------------ questions for a strategy

    def indicators(self, data: Any) -> dict[str, Any]:
        """Return the indicators of one stock by name; `indicator` finds them again."""
        return {}

    def entry_signal(self, data: Any) -> Signal:
        """Say whether to buy: True, or the reason in a few words; False or None for no."""
        raise NotImplementedError(f"{type(self).__name__}.entry_signal")

    def exit_signal(self, data: Any) -> Signal:
        """Say whether to sell a stock that is held: True, or the reason in one word."""
        return None

    def rank(self, data: Any) -> float:
        """Return what orders the candidates, the highest first; the ticker decides a tie."""
        return 0.0

    def score(self, data: Any) -> float:
        """Return the predicted return that is recorded with the entry, NaN without one."""
        return math.nan

    def stop_price(self, data: Any) -> float | None:
        """Return where the stop would lie if the entry filled at this close; None for no stop."""
        return stops.atr_stop_price(data.close[0], self._atr[data._name].atr[0], self.p.atr_multiple)

    def position_size(self, data: Any, equity: float, stop_distance: float | None, scale: float) -> int:
        """Return the shares to buy before cash is looked at.

        Parameters
        ----------
        data : feed
        equity : float
            USD at this close.
        stop_distance : float or None
            USD per share; None without a stop.
        scale : float
            From 0 to 1, less in volatile markets.
        """
        risk_frac, weight_frac = scale * self.p.risk_per_trade_frac, scale * self.p.max_weight_frac
        return sizing.risk_size(equity, data.close[0], stop_distance, risk_frac, weight_frac)

    def on_order(self, order: Any) -> None:
        """Hear of every change of every order, after the base has dealt with it."""

    # ------------------------------------------------------------------ what a strategy may ask

    def indicator(self, data: Any, name: str) -> Any:
        """Return the indicator that `indicators` gave a stock under this name."""
        return self._indicators[data._name][name]

    def bars_held(self, data: Any) -> int:
        """Return the bars of a position so far, the entry bar included; 0 where nothing is held."""
        holding = self._holdings.get(data._name)
        return len(data) - holding.first_bar + 1 if holding and holding.first_bar else 0

    # ------------------------------------------------------------------ the dispatcher

    def prenext(self) -> None:
        """Decide, although a younger stock is not listed yet."""
        self.decide()

    def nextstart(self) -> None:
        """Decide."""
        self.decide()

    def next(self) -> None:
        """Decide."""
        self.decide()

    def decide(self) -> None:
        """Decide one session: exits first, then entries."""
        session = self.lines.datetime[0]
        trading = [data for data in self.datas if len(data) and data.lines.datetime[0] == session]
        self._market_returns.append(risk.mean_return(_last_returns(trading)))
        self._cancel_missed_entries(session)
        if session < self._from:
            return
        for data in trading:
            self._decide_exit(data)
        if self._drawdown.allows_entries(self.broker.getvalue()):
            self._decide_entries(trading)

    def notify_order(self, order: Any) -> None:
        """Follow an order's fate: an entry that fills gets its stop; what is sold is forgotten."""
        ticker = order.data._name
        holding = self._holdings.get(ticker)
        if holding is not None and order == holding.entry:
            self._entry_changed(order, holding)
        elif holding is not None:
            self._exit_changed(order, holding)
        self.on_order(order)

    def _exit_changed(self, order: Any, holding: Holding) -> None:
        if order.executed.size:
            # What the entry still waits for is not bought any more.
            self.cancel(holding.entry)
        if order.status == order.Completed and not self.getposition(order.data).size:
            del self._holdings[order.data._name]
        elif holding.exit is not None and order == holding.exit and not order.alive():
            holding.exit = None

    def _entry_changed(self, order: Any, holding: Holding) -> None:
        """Protect what the entry has bought so far; the volume of a session may not hold all of it."""
        bought = order.executed.size
        if not bought:
            if not order.alive():
                del self._holdings[order.data._name]
        elif order.status in (order.Partial, order.Completed):
            holding.first_bar = holding.first_bar or len(order.data)
            self._send_stop(order, holding)

    def _send_stop(self, order: Any, holding: Holding) -> None:
        if holding.stop is not None:
            self.cancel(holding.stop)
        size = self.getposition(order.data).size
        if holding.stop_distance is not None and size > 0:
            price = order.executed.price - holding.stop_distance
            if price > 0:
                holding.stop = self.sell(order.data, size=size, exectype=bt.Order.Stop, price=price, reason=STOP)

    def _cancel_missed_entries(self, session: float) -> None:
        for holding in list(self._holdings.values()):
            if holding.entry.alive() and holding.entry.data.datetime[0] != session:
                holding.entry.addinfo(reason=f"{holding.entry.info.reason}: {MISSED}")
                self.cancel(holding.entry)

    def _decide_exit(self, data: Any) -> None:
        holding = self._holdings.get(data._name)
        if holding is None or not holding.first_bar or holding.exit is not None:
            return
        reason = _reason(self, "exit_signal", self.exit_signal(data))
        if reason is None and stops.time_is_up(self.bars_held(data), self.p.max_holding_bars):
            reason = TIME
        if reason is not None:
            # One order may close a position: the stop goes before the sale is sent. They are linked too,
            # because backtrader's own broker ignores a cancellation in the session of the order.
            self.cancel(holding.entry)
            if holding.stop is not None:
                self.cancel(holding.stop)
            holding.exit = self.sell(data, size=self.getposition(data).size, oco=holding.stop, reason=reason)

    def _decide_entries(self, trading: list[Any]) -> None:
        places = self.p.max_positions - sum(holding.exit is None for holding in self._holdings.values())
        if places <= 0:
            return
        equity = self.broker.getvalue()
        volatility = risk.market_volatility(self._market_returns, self.p.volatility_lookback_sessions)
        scale = risk.exposure_scale(self.p.target_volatility, volatility)
        room = self._room(equity, scale)
        for data, reason in self._candidates(trading):
            if places <= 0:
                return
            places -= self._enter(data, reason, equity, scale, room)

    def _candidates(self, trading: list[Any]) -> list[tuple[Any, str]]:
        found = []
        for data in trading:
            if data._name not in self._holdings and self._is_member(data):
                reason = _reason(self, "entry_signal", self.entry_signal(data))
                if reason is not None:
                    found.append((data, reason))
        return sorted(found, key=lambda candidate: (_descending(self.rank(candidate[0])), candidate[0]._name))

    def _is_member(self, data: Any) -> bool:
        if self.p.membership is None:
            return True
        day = int(data.lines.datetime[0])
        return any(first <= day <= last for first, last in self.p.membership.get(data._name, ()))

    def _room(self, equity: float, scale: float) -> risk.Room:
        """Return what entries may cost: cash after exits, within the gross and the sectors' exposure."""
        room = risk.Room(
            total=(1 - self.p.cash_buffer_frac) * scale * equity,
            per_sector=self.p.max_sector_frac * equity,
            sectors=self.p.sectors or {},
        )
        for ticker, holding in self._holdings.items():
            if holding.first_bar and holding.exit is None:
                data, entry = holding.entry.data, holding.entry
                waiting = entry.executed.remsize if entry.alive() else 0
                room.take(ticker, (self.getposition(data).size + waiting) * data.close[0])
        return room

    def _enter(self, data: Any, reason: str, equity: float, scale: float, room: risk.Room) -> bool:
        price = data.close[0]
        distance = stops.stop_distance(price, self.stop_price(data))
        wanted = self.position_size(data, equity, distance, scale)
        size = sizing.affordable(wanted, price, room.of(data._name))
        if size <= 0:
            return False
        entry = self.buy(data, size=size, reason=reason, score=self.score(data))
        self._holdings[data._name] = Holding(entry, distance)
        room.take(data._name, size * price)
        return True


def _last_returns(trading: list[Any]) -> list[float]:
    return [data.lines.close[0] / data.lines.close[-1] - 1 for data in trading if len(data) > 1]


def _descending(rank: float) -> float:
    return math.inf if math.isnan(rank) else -rank


def _session_number(session: Any) -> float:
    if session is None:
        return -math.inf
    try:
        return float(bt.date2num(pd.Timestamp(session).normalize().to_pydatetime()))
    except ValueError:
        raise InputError(f"`from_session`: expected a date such as 2015-01-02, received {session!r}") from None


def _reason(strategy: SwingStrategy, question: str, signal: Signal) -> str | None:
    if signal is None or isinstance(signal, str):
        return signal or None
    if isinstance(signal, bool | np.bool_):
        return SIGNAL if signal else None
    raise InputError(
        f"{type(strategy).__name__}.{question}: expected True, False, None or a reason, received {signal!r}; "
        "compare numbers, a line is not a truth"
    )
