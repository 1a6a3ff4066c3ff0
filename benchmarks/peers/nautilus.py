"""The rule on nautilus_trader."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from benchmarks.engine_rule import CASH, COST_FRAC, Market, Outcome
from benchmarks.peers.decider import CREDIT, Decider


def nautilus_trader(market: Market) -> Outcome:
    """Run nautilus_trader, which has no fill at the next open of a daily bar.

    It is emulated: each stock's bar of a day is sent at the open with that price alone, and what was decided at
    the close before is sent when the day's last stock has opened. Equity is reckoned from the engine's cash and
    the closes. The currency has eight decimals, for nautilus rounds commissions to it.
    """

    outcome, decider, venue = Outcome(), Decider(market), Venue("SIM")
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
