"""The rule of `benchmarks.engine_rule` on other engines, as their documentation tells to write it.

Each function runs in the environment of `benchmarks/requirements-peers.txt`. Where an engine checks
cash it begins with credit, which is taken off again wherever the rule looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from benchmarks.engine_rule import BARS_HELD, CASH, COST_FRAC, FIELDS, PLACES, Market, Outcome, classes

CREDIT = 1_000_000.0


class _Decider:
    """The rule over arrays, for engines that ask for all stocks at once and fill at every next open."""

    def __init__(self, market: Market) -> None:
        self._classes, self._close = classes(*market.close.shape), market.close
        self.held: dict[int, int] = {}
        self.row_of_fill: dict[int, int] = {}

    def decide(self, row: int, equity: float) -> list[tuple[int, int]]:
        """Return (column, signed shares) of the orders of a close; each is taken to fill at the next open."""
        drawn = self._classes[row]
        leaving = [j for j in sorted(self.held) if drawn[j] == 0 or row - self.row_of_fill[j] >= BARS_HELD]
        orders = [(column, -self.held[column]) for column in leaving]
        places = PLACES - len(self.held) + len(leaving)
        for column in np.flatnonzero(drawn == 3).tolist() if places > 0 else ():
            size = int(equity / PLACES / self._close[row, column]) if column not in self.held else 0
            if size > 0 and places > 0:
                orders.append((column, size))
                places -= 1
        for column, size in orders:
            if size < 0:
                del self.held[column], self.row_of_fill[column]
            else:
                self.held[column], self.row_of_fill[column] = size, row + 1
        return orders


def pybroker(market: Market) -> Outcome:
    """Run PyBroker: one function before each session's executions, orders with a delay of one bar."""
    from pybroker import FeeMode, PriceType, Strategy, StrategyConfig

    outcome, decider = Outcome(), _Decider(market)

    def decide(contexts: Mapping[str, Any]) -> None:
        row, one = len(outcome.equity), next(iter(contexts.values()))
        equity = float(one.total_equity) - CREDIT
        outcome.equity.append(equity)
        outcome.cash.append(float(one.cash) - CREDIT)
        for column, size in decider.decide(row, equity):
            context = contexts[market.tickers[column]]
            outcome.orders += 1
            if size > 0:
                context.buy_shares, context.buy_fill_price = size, PriceType.OPEN
            else:
                context.sell_shares, context.sell_fill_price = -size, PriceType.OPEN

    config = StrategyConfig(
        initial_cash=CASH + CREDIT,
        fee_mode=FeeMode.ORDER_PERCENT,
        fee_amount=COST_FRAC * 100,
        round_fill_price=False,
        round_test_result=False,
    )
    days = pd.DatetimeIndex(market.sessions)
    strategy = Strategy(_long_frame(market), days[0], days[-1], config)
    strategy.add_execution(None, market.tickers)
    strategy.set_before_exec(decide)
    result = strategy.backtest(warmup=None)
    rows, columns = pd.Index(days), pd.Index(market.tickers)
    filled = result.orders
    signs = np.where(filled["type"] == "buy", 1, -1)
    found = zip(
        rows.get_indexer(pd.DatetimeIndex(filled["date"])),
        columns.get_indexer(filled["symbol"]),
        signs * filled["shares"].astype(float),
        filled["fill_price"].astype(float),
        strict=True,
    )
    outcome.fills = [(int(row), int(column), int(size), float(price)) for row, column, size, price in found]
    return outcome


def _long_frame(market: Market) -> pd.DataFrame:
    sessions, tickers = market.close.shape
    arrays = {name: getattr(market, name).T.ravel() for name in FIELDS}
    days = np.tile(pd.DatetimeIndex(market.sessions).to_numpy(), tickers)
    return pd.DataFrame({"symbol": np.repeat(market.tickers, sessions), "date": days, **arrays}).dropna()


def bt(market: Market) -> Outcome:
    """Run bt, which has no orders: the rule's shares become holdings at the session after the decision.

    bt trades at one price a session, so it is given the opens; its equity is then that of the opens.
    """
    import bt as library

    days = pd.DatetimeIndex(market.sessions)
    opens = pd.DataFrame(market.open, index=days, columns=market.tickers)
    outcome, decider = Outcome(), _Decider(market)
    rows = {day: row for row, day in enumerate(days)}

    class Decide(library.Algo):
        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[tuple[int, int]] = []
            self.shares: dict[int, int] = {}

        def __call__(self, target: Any) -> bool:
            if target.now not in rows:  # bt begins a day before the first
                return True
            row = rows[target.now]
            for column, size in self.waiting:
                target.transact(size, market.tickers[column])
                self.shares[column] = self.shares.get(column, 0) + size
                outcome.fills.append((row, column, size, float(market.open[row, column])))
            cash = float(target.capital)
            equity = cash + float(sum(size * market.close[row, column] for column, size in self.shares.items()))
            outcome.cash.append(cash - CREDIT)
            outcome.equity.append(equity - CREDIT)
            self.waiting = decider.decide(row, equity - CREDIT)
            outcome.orders += len(self.waiting)
            return True

    strategy = library.Strategy("rule", [Decide()], market.tickers)

    def fee(size: float, price: float) -> float:
        return abs(size) * price * COST_FRAC

    test = library.Backtest(strategy, opens, initial_capital=CASH + CREDIT, commissions=fee, progress_bar=False)
    test.run()
    return outcome


def zipline_reloaded(market: Market) -> Outcome:
    """Run zipline-reloaded on arrays in memory; its slippage model is told to take the next bar's open."""
    from zipline.algorithm import TradingAlgorithm
    from zipline.data.data_portal import DataPortal
    from zipline.data.in_memory_daily_bars import InMemoryDailyBarReader
    from zipline.finance.commission import EquityCommissionModel
    from zipline.finance.slippage import SlippageModel
    from zipline.finance.trading import SimulationParameters

    outcome, decider = Outcome(), _Decider(market)
    calendar, days = _zipline_calendar(market), pd.DatetimeIndex(market.sessions).as_unit("ns")
    finder = _zipline_assets(market)
    assets = finder.retrieve_all(range(len(market.tickers)))
    frames = {name: pd.DataFrame(getattr(market, name), index=days) for name in FIELDS}
    rows = {day: row for row, day in enumerate(days)}

    class Reader(InMemoryDailyBarReader):
        # What its parent says of itself is out of date: attributes that it no longer has.
        last_available_dt = days[-1]

        def get_value(self, sid: Any, dt: Any, field: str) -> float:
            return float(self._values[field][rows[dt], int(sid)])

        def get_last_traded_dt(self, asset: Any, dt: Any) -> Any:
            return dt if np.isfinite(market.close[rows[dt], int(asset)]) else pd.NaT

    reader = Reader(frames, calendar, pd.Series(["USD"] * len(assets)))
    portal = DataPortal(finder, calendar, reader.first_trading_day, equity_daily_reader=reader)

    class AtOpen(SlippageModel):
        def process_order(self, data: Any, order: Any) -> tuple[float, int]:
            price, row = float(data.current(order.asset, "open")), len(outcome.equity)
            outcome.fills.append((row, order.asset.sid, order.open_amount, price))
            return price, order.open_amount

    class PartOfValue(EquityCommissionModel):
        def calculate(self, order: Any, transaction: Any) -> float:
            return abs(transaction.amount * transaction.price) * COST_FRAC

    def initialize(context: Any) -> None:
        context.set_slippage(us_equities=AtOpen())
        context.set_commission(us_equities=PartOfValue())

    def handle_data(context: Any, data: Any) -> None:
        row, equity = len(outcome.equity), float(context.portfolio.portfolio_value)
        outcome.equity.append(equity)
        outcome.cash.append(float(context.portfolio.cash))
        for column, size in decider.decide(row, equity):
            outcome.orders += 1
            context.order(assets[column], size)

    parameters = SimulationParameters(days[0], days[-1], calendar, capital_base=CASH)
    TradingAlgorithm(
        sim_params=parameters,
        data_portal=portal,
        asset_finder=finder,
        initialize=initialize,
        handle_data=handle_data,
        benchmark_returns=pd.Series(0.0, index=calendar.sessions_in_range(days[0], days[-1])),
        trading_calendar=calendar,
    ).run()
    return outcome


def _zipline_calendar(market: Market) -> Any:
    """Return a calendar that has these sessions and no other between them."""
    from exchange_calendars import ExchangeCalendar

    days = pd.DatetimeIndex(market.sessions).as_unit("ns")
    closed = pd.bdate_range(days[0], days[-1]).difference(days)
    hours = {"open_times": ((None, time(9, 30)),), "close_times": ((None, time(16)),)}
    settings = {"name": "SESSIONS", "tz": ZoneInfo("America/New_York"), **hours, "adhoc_holidays": closed}
    month = pd.Timedelta(days=30)
    return type("Sessions", (ExchangeCalendar,), settings)(start=days[0] - month, end=days[-1] + month, side="right")


def _zipline_assets(market: Market) -> Any:
    from sqlalchemy import create_engine
    from zipline.assets import AssetDBWriter, AssetFinder

    first, last = pd.Timestamp(market.sessions[0]), pd.Timestamp(market.sessions[-1]) + pd.Timedelta(days=9)
    table = pd.DataFrame({"symbol": market.tickers, "asset_name": market.tickers, "exchange": "NYSE"})
    table["start_date"], table["end_date"] = first, last
    exchanges = pd.DataFrame([{"exchange": "NYSE", "canonical_name": "NYSE", "country_code": "US"}])
    engine = create_engine("sqlite://")
    AssetDBWriter(engine).write(equities=table, exchanges=exchanges)
    return AssetFinder(engine)


def nautilus_trader(market: Market) -> Outcome:
    """Run nautilus_trader, which has no fill at the next open of a daily bar.

    It is emulated: each stock's bar of a day is sent at the open with that price alone, and what was decided at
    the close before is sent when the day's last stock has opened. Equity is reckoned from the engine's cash and
    the closes. The currency has eight decimals, for nautilus rounds commissions to it.
    """
    from nautilus_trader.backtest.config import BacktestEngineConfig
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Currency, Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    outcome, decider, venue = Outcome(), _Decider(market), Venue("SIM")
    dollar = Currency("USX", 8, 0, "dollar with eight decimals", CurrencyType.FIAT)
    Currency.register(dollar)
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True))
    )
    engine.add_venue(venue, OmsType.NETTING, AccountType.CASH, [Money(CASH + CREDIT, dollar)], dollar)
    stocks = [_nautilus_stock(ticker, dollar) for ticker in market.tickers]
    columns = {stock.id: column for column, stock in enumerate(stocks)}
    opens, plenty = market.open.tolist(), Quantity.from_int(1_000_000_000)
    moments = market.sessions.astype("datetime64[ns]").astype(np.int64).tolist()
    bars: list[Any] = [[] for _ in moments]
    kinds = [BarType.from_str(f"{stock.id}-1-DAY-LAST-EXTERNAL") for stock in stocks]
    for column, stock in enumerate(stocks):
        engine.add_instrument(stock)
        for row, moment in enumerate(moments):
            price = Price(opens[row][column], 3)
            bars[row].append(Bar(kinds[column], price, price, price, price, plenty, moment, moment))
    engine.add_data([bar for day in bars for bar in day], sort=False)

    class Rule(Strategy):
        def on_start(self) -> None:
            self.shares: dict[int, int] = {}
            self.subscribe_bars(kinds[-1])

        def on_bar(self, bar: Any) -> None:
            if bar.ts_init == moments[0]:
                return
            for column, size in self.close_of_the_day():
                side = OrderSide.BUY if size > 0 else OrderSide.SELL
                self.submit_order(self.order_factory.market(stocks[column].id, side, Quantity.from_int(abs(size))))
                outcome.orders += 1

        def close_of_the_day(self) -> list[tuple[int, int]]:
            row = len(outcome.equity)
            cash = float(self.portfolio.account(venue).balance_total(dollar)) - CREDIT
            outcome.cash.append(cash)
            held = sum(size * float(market.close[row, column]) for column, size in self.shares.items())
            outcome.equity.append(cash + held)
            return decider.decide(row, outcome.equity[-1])

        def on_order_filled(self, event: Any) -> None:
            column, size = columns[event.instrument_id], int(event.last_qty)
            size = size if event.order_side == OrderSide.BUY else -size
            self.shares[column] = self.shares.get(column, 0) + size
            outcome.fills.append((len(outcome.equity), column, size, float(event.last_px)))

        def on_stop(self) -> None:
            outcome.orders += len(self.close_of_the_day())

    engine.add_strategy(Rule())
    engine.run()
    engine.dispose()
    return outcome


def _nautilus_stock(ticker: str, dollar: Any) -> Any:
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Price, Quantity

    return Equity(
        InstrumentId.from_str(f"{ticker}.SIM"),
        Symbol(ticker),
        dollar,
        3,
        Price.from_str("0.001"),
        Quantity.from_int(1),
        0,
        0,
        maker_fee=Decimal(str(COST_FRAC)),
        taker_fee=Decimal(str(COST_FRAC)),
    )
