"""The adapter of backtrader, its loop: what it does with strategies, indicators and news on each session.

`engine.clocked_cerebro` says why the loop is ours; `feeds.adapter.clock` has the lines that it moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import backtrader as bt
from backtrader.trade import Trade

from feeds.adapter.naming import root_feed


def all_indicators(strategy: Any) -> Iterator[Any]:
    """Yield the indicators of a strategy and those inside them."""
    waiting = list(strategy.getindicators())
    while waiting:
        indicator = waiting.pop()
        waiting.extend(indicator.getindicators())
        yield indicator


def mixes_calendars(indicator: Any) -> bool:
    """Tell whether an indicator reads stocks whose bars are of different days.

    backtrader computes whole columns by the number of a bar, so it would set a stock's bar beside one of another
    day, one of the future among them.
    """
    return len({feed.lines.datetime.array.tobytes() for feed in _feeds_of(indicator)}) > 1


def _feeds_of(indicator: Any) -> list[Any]:
    read: Any = getattr(indicator, "_datas", None) or getattr(indicator, "datas", ())
    return list({id(feed): feed for feed in map(root_feed, read) if feed is not None}.values())


def wait_for_listings(indicator: Any) -> None:
    """Let an indicator that reads several stocks be NaN, in a run bar by bar, until each of them has a bar."""
    feeds = _feeds_of(indicator)
    if len(feeds) < 2:
        return

    def waiting(method: Any) -> Any:
        return lambda: method() if all(len(feed) for feed in feeds) else None

    for name in ("prenext", "nextstart", "next"):
        setattr(indicator, name, waiting(getattr(indicator, name)))


def leave_short(indicator: Any) -> None:
    """Let an indicator whose stock has fewer bars than it needs stay NaN; backtrader ends with an IndexError."""
    feed = root_feed(indicator)
    if feed is None or feed.buflen() >= indicator._minperiod:
        return
    bars, before = feed.buflen(), indicator.preonce
    indicator.preonce = lambda start, end: before(start, min(end, bars))
    indicator.oncestart = indicator.once = lambda start, end: None


def compute_indicators(strategy: Any) -> None:
    """Give all indicators of a strategy all their values, and go back to before the first bar."""
    strategy._once()
    strategy.reset()


def minimum_bars(strategy: Any) -> list[int]:
    """Return how many bars a strategy needs of each feed."""
    return list(strategy._minperiods)


def has_own_step(strategy: Any) -> bool:
    """Tell whether a strategy's class replaces what backtrader does with it on a session."""
    kind, own = type(strategy), bt.Strategy
    return kind._oncepost is not own._oncepost or kind._getminperstatus is not own._getminperstatus


def step_at_open(strategy: Any) -> None:
    """Let a strategy act before a session's orders fill."""
    strategy._oncepost_open()


def step(strategy: Any, number: float, missing: int) -> None:
    """Do what backtrader's `Strategy._oncepost` does, without its loops over indicators and feeds."""
    strategy.forward()
    strategy.lines.datetime[0] = number
    strategy._notify()
    strategy._minperstatus = missing
    if missing < 0:
        strategy.next()
    elif missing == 0:
        strategy.nextstart()
    else:
        strategy.prenext()
    strategy._next_analyzers(missing, once=True)
    strategy._next_observers(missing, once=True)
    strategy.clear()


def deliver(broker: Any, strategies: list[Any]) -> None:
    """Hand what the broker has to say to the strategies that sent the orders, at a third of backtrader's cost.

    Trades are backtrader's own, updated by its arithmetic; what is saved is `copy.copy`, a dozen calls for
    each trade that opens or closes, and the look-ups for orders that have not filled yet.
    """
    while (order := broker.get_notification()) is not None:
        strategy = strategies[0] if order.owner is None else order.owner
        if type(strategy)._addnotification is not bt.Strategy._addnotification:
            strategy._addnotification(order)
            continue
        if not order.p.simulated:
            strategy._orderspending.append(order)
        if order.executed.size:
            _update_trades(strategy, order)


def _update_trades(strategy: Any, order: Any) -> None:
    """Do what the second half of backtrader's `Strategy._addnotification` does."""
    data = order.data if order.data._compensate is None else order.data._compensate
    trades = strategy._trades[data][order.tradeid]
    if not trades:
        trades.append(_trade(strategy, data, order))
    for bit in order.executed.iterpending():
        if bit is None:
            break
        if bit.closed:
            _update(strategy, trades[-1], order, bit, (bit.closed, bit.price, bit.closedvalue, bit.closedcomm))
        if bit.opened:
            if trades[-1].isclosed:
                trades.append(_trade(strategy, data, order))
            _update(strategy, trades[-1], order, bit, (bit.opened, bit.price, bit.openedvalue, bit.openedcomm))
        if trades[-1].justopened:
            strategy._tradespending.append(_copy(trades[-1]))


def _trade(strategy: Any, data: Any, order: Any) -> Trade:
    return Trade(data=data, tradeid=order.tradeid, historyon=strategy._tradehistoryon)


def _update(strategy: Any, trade: Trade, order: Any, bit: Any, what: tuple[float, float, float, float]) -> None:
    trade.update(order, *what, bit.pnl, comminfo=order.comminfo)
    if trade.isclosed:
        strategy._tradespending.append(_copy(trade))


def _copy(trade: Trade) -> Trade:
    copied: Trade = object.__new__(Trade)
    copied.__dict__ = trade.__dict__.copy()
    return copied


class OwnLoop(bt.Cerebro):
    """A Cerebro whose loops over sessions have names and can be replaced."""

    def run_columns(self, strategies: list[Any]) -> None:
        """Run with all bars and indicators computed before."""
        super()._runonce(strategies)

    def run_bars(self, strategies: list[Any]) -> None:
        """Run bar by bar."""
        super()._runnext(strategies)

    def run_columns_old(self, strategies: list[Any]) -> None:
        """Run as `run_columns` does, in the way of ``oldsync``."""
        super()._runonce_old(strategies)

    def run_bars_old(self, strategies: list[Any]) -> None:
        """Run as `run_bars` does, in the way of ``oldsync``."""
        super()._runnext_old(strategies)

    def _runonce_old(self, runstrats: list[Any]) -> None:
        self.run_columns_old(runstrats)

    def _runnext_old(self, runstrats: list[Any]) -> None:
        self.run_bars_old(runstrats)

    def _runonce(self, runstrats: list[Any]) -> None:
        self.run_columns(runstrats)

    def _runnext(self, runstrats: list[Any]) -> None:
        self.run_bars(runstrats)

    @property
    def is_stopped(self) -> bool:
        """True once somebody called `runstop`."""
        return bool(self._event_stop)

    def fire_timers(self, strategies: list[Any], number: float, *, before_orders: bool) -> None:
        """Call the timers that are due in a session."""
        self._check_timers(strategies, number, cheat=before_orders)

    def fill_orders(self) -> None:
        """Let the broker fill orders and tell what became of them."""
        if self.p.quicknotify:
            self._brokernotify()
            return
        self._broker.next()
        deliver(self._broker, self.runningstrats)

    def write_row(self, strategies: list[Any]) -> None:
        """Let the writers write a session."""
        self._next_writers(strategies)
