"""The rule on zipline-reloaded: from a bundle, as its documentation tells, and from arrays in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from exchange_calendars import ExchangeCalendar, register_calendar_type
from sqlalchemy import create_engine
from zipline import run_algorithm
from zipline.algorithm import TradingAlgorithm
from zipline.assets import AssetDBWriter, AssetFinder
from zipline.data import bundles
from zipline.data.data_portal import DataPortal
from zipline.data.in_memory_daily_bars import InMemoryDailyBarReader
from zipline.finance.commission import EquityCommissionModel
from zipline.finance.slippage import SlippageModel
from zipline.finance.trading import SimulationParameters
from zipline.utils.calendar_utils import get_calendar

from benchmarks.engine_rule import CASH, COST_FRAC, FIELDS, Market, Outcome
from benchmarks.peers.decider import Decider


class _AtOpen(SlippageModel):
    """Fill at the open of the bar after the order: zipline's own models take the close."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome

    def process_order(self, data: Any, order: Any) -> tuple[float, int]:
        price, row = float(data.current(order.asset, "open")), len(self.outcome.equity)
        self.outcome.fills.append((row, order.asset.sid, order.open_amount, price))
        return price, order.open_amount


class _PartOfValue(EquityCommissionModel):
    def calculate(self, order: Any, transaction: Any) -> float:
        return float(abs(transaction.amount * transaction.price) * COST_FRAC)


@dataclass
class _Algorithm:
    """The two functions that zipline calls."""

    decider: Decider
    outcome: Outcome
    assets: list[Any]

    def initialize(self, context: Any) -> None:
        context.set_slippage(us_equities=_AtOpen(self.outcome))
        context.set_commission(us_equities=_PartOfValue())
        self.assets = self.assets or context.asset_finder.retrieve_all(context.asset_finder.sids)

    def handle_data(self, context: Any, data: Any) -> None:
        row, equity = len(self.outcome.equity), float(context.portfolio.portfolio_value)
        self.outcome.equity.append(equity)
        self.outcome.cash.append(float(context.portfolio.cash))
        for column, size in self.decider.decide(row, equity):
            self.outcome.orders += 1
            context.order(self.assets[column], size)


def zipline_reloaded(market: Market) -> Outcome:
    """Run `run_algorithm` on a bundle, which is written first: zipline reads prices from no other place."""
    algorithm = _Algorithm(Decider(market), Outcome(), [])
    calendar, days = _calendar(market), pd.DatetimeIndex(market.sessions)
    bundles.register("rule", _ingest(market), calendar.name, days[0], days[-1])
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "ZIPLINE_ROOT": folder}
        bundles.ingest("rule", environ)
        run_algorithm(
            days[0],
            days[-1],
            algorithm.initialize,
            CASH,
            handle_data=algorithm.handle_data,
            bundle="rule",
            benchmark_returns=pd.Series(0.0, index=calendar.sessions_in_range(days[0], days[-1])),
            trading_calendar=calendar,
            environ=environ,
        )
    return algorithm.outcome


def _ingest(market: Market) -> Any:
    """Return the function that writes the bundle, as the documentation of bundles describes one."""

    def ingest(
        environ: Any,
        assets: Any,
        minutes: Any,
        days: Any,
        adjustments: Any,
        calendar: Any,
        start: Any,
        end: Any,
        *_: Any,
    ) -> None:
        assets.write(**_listings(market))
        days.write(_frames(market), set(range(len(market.tickers))))
        adjustments.write()

    return ingest


def _frames(market: Market) -> Iterator[tuple[int, pd.DataFrame]]:
    index = pd.DatetimeIndex(market.sessions)
    for column in range(len(market.tickers)):
        yield column, pd.DataFrame({name: getattr(market, name)[:, column] for name in FIELDS}, index=index)


def zipline_in_memory(market: Market) -> Outcome:
    """Run zipline's loop on arrays in memory, past bundle and `run_algorithm`: the least that it can cost."""
    calendar, days = _calendar(market), pd.DatetimeIndex(market.sessions).as_unit("ns")
    engine = create_engine("sqlite://")
    AssetDBWriter(engine).write(**_listings(market))
    finder = AssetFinder(engine)
    algorithm = _Algorithm(Decider(market), Outcome(), finder.retrieve_all(range(len(market.tickers))))
    frames = {name: pd.DataFrame(getattr(market, name), index=days) for name in FIELDS}
    rows = {day: row for row, day in enumerate(days)}

    class Reader(InMemoryDailyBarReader):
        # What its parent says of itself is out of date: attributes that it no longer has.
        last_available_dt = days[-1]

        def get_value(self, sid: Any, dt: Any, field: str) -> float:
            return float(self._values[field][rows[dt], int(sid)])

        def get_last_traded_dt(self, asset: Any, dt: Any) -> Any:
            return dt if np.isfinite(market.close[rows[dt], int(asset)]) else pd.NaT

    reader = Reader(frames, calendar, pd.Series(["USD"] * len(market.tickers)))
    TradingAlgorithm(
        sim_params=SimulationParameters(days[0], days[-1], calendar, capital_base=CASH),
        data_portal=DataPortal(finder, calendar, reader.first_trading_day, equity_daily_reader=reader),
        asset_finder=finder,
        initialize=algorithm.initialize,
        handle_data=algorithm.handle_data,
        benchmark_returns=pd.Series(0.0, index=calendar.sessions_in_range(days[0], days[-1])),
        trading_calendar=calendar,
    ).run()
    return algorithm.outcome


def _calendar(market: Market) -> Any:
    """Register a calendar that has these sessions and no other between them, and return it."""
    days = pd.DatetimeIndex(market.sessions).as_unit("ns")
    closed = pd.bdate_range(days[0], days[-1]).difference(days)
    hours = {"open_times": ((None, time(9, 30)),), "close_times": ((None, time(16)),)}
    first, last = days[0] - pd.Timedelta(days=30), days[-1] + pd.Timedelta(days=30)
    span = {"default_start": classmethod(lambda _: first), "default_end": classmethod(lambda _: last)}
    settings = {"name": "SESSIONS", "tz": ZoneInfo("America/New_York"), **hours, "adhoc_holidays": closed, **span}
    register_calendar_type("SESSIONS", type("Sessions", (ExchangeCalendar,), settings))
    return get_calendar("SESSIONS")


def _listings(market: Market) -> dict[str, pd.DataFrame]:
    first, last = pd.Timestamp(market.sessions[0]), pd.Timestamp(market.sessions[-1]) + pd.Timedelta(days=9)
    table = pd.DataFrame({"symbol": market.tickers, "asset_name": market.tickers, "exchange": "NYSE"})
    table["start_date"], table["end_date"] = first, last
    exchanges = pd.DataFrame([{"exchange": "NYSE", "canonical_name": "NYSE", "country_code": "US"}])
    return {"equities": table, "exchanges": exchanges}
