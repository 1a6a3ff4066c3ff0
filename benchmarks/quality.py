"""Judging prices: what it costs beside reading them, what it finds, and how often it cries wolf.

``python -m benchmarks.quality`` invents 464 stocks with 2,693 sessions in one Parquet file. The
reference in the same run reads them into bars, ticker by ticker, and judges nothing. Then one defect
is planted into every stock of embedded markets, kind by kind, and counted where it is found at its
session; the same markets without it give the false alarms.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.prices import SMALL, write_parquet
from feeds.panel import PricePanel
from feeds.price_parquet import ParquetFile
from feeds.price_table import PRICES, Reading, SourceBars
from feeds.prices import check_panel, load_checked
from feeds.quality import check_ticker
from feeds.quality_panel import panel_findings
from feeds.sessions import trading_sessions
from feeds.synthetic import MarketSettings, make_market

MARKETS = 5
ROUNDS = 3


def scaled(bars: SourceBars, rows: slice, factor: float, volume: float = 1.0) -> SourceBars:
    """Return bars with all prices of `rows` multiplied, and their volume."""
    columns = {name: values.copy() for name, values in bars.numbers.items()}
    for name, values in columns.items():
        values[rows] *= volume if name == "volume" else factor
    return SourceBars.from_columns({"date": bars.dates, **columns})


def false_factor(bars: SourceBars, row: int) -> SourceBars:
    """Return bars whose adjusted close falls by a third at `row`, without a reason in the price."""
    adjusted = bars.close.copy() if bars.adj_close is None else bars.adj_close.copy()
    adjusted[row:] /= 1.5
    return replace(bars, adj_close=adjusted)


PLANTS: dict[str, tuple[str, Callable[[SourceBars, int], SourceBars]]] = {
    "row of zeros": ("all-zero bar", lambda bars, row: scaled(bars, slice(row, row + 1), 0.0, 0.0)),
    "price ten times too high": ("price spike", lambda bars, row: scaled(bars, slice(row, row + 1), 10.0)),
    "split two for one": ("unadjusted split", lambda bars, row: scaled(bars, slice(row, None), 0.5, 2.0)),
    "split three for two": ("unadjusted split", lambda bars, row: scaled(bars, slice(row, None), 2 / 3, 1.5)),
    "another company": ("spliced series", lambda bars, row: scaled(bars, slice(row, None), 0.45, 1e-4)),
    "bogus dividend": ("bogus adjustment", false_factor),
}


def source_bars(market: PricePanel, ticker: str) -> SourceBars:
    """Return one stock as a source with an adjusted close would hold it."""
    bars = market.bars(ticker)
    prices = {name: getattr(bars, name) / bars.adjust for name in PRICES}
    return SourceBars(bars.sessions, **prices, volume=bars.volume * bars.adjust, adj_close=bars.close)


def found(bars: SourceBars, row: int, kind: str, plant: Callable[[SourceBars, int], SourceBars]) -> bool:
    """Plant one defect and tell whether it is found at its session."""
    day = pd.Timestamp(bars.dates[row])
    findings = check_ticker("PLANT", Reading(plant(bars, row))).findings
    return any((finding.kind, finding.session) == (kind, day) for finding in findings)


def detection(markets: list[PricePanel]) -> None:
    """Print for each planted defect in how many stocks it is found, and the false alarms without any."""
    stocks = [source_bars(market, ticker) for market in markets for ticker in market.tickers]
    rng = np.random.default_rng(0)
    rows = [int(rng.integers(70, len(bars) - 10)) for bars in stocks]
    print(f"{'planted':<34}{'found':>8}{'of':>6}")
    for name, (kind, plant) in PLANTS.items():
        count = sum(found(bars, row, kind, plant) for bars, row in zip(stocks, rows, strict=True))
        print(f"{name:<34}{count:>8}{len(stocks):>6}")
    results = [check_panel(market) for market in markets]
    above = sum(finding.severity != "info" for result in results for finding in result.findings)
    print(f"{'nothing: findings above info':<34}{above:>8}{sum(result.bars for result in results):>10,} bars")


def shortest(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds of the fastest of three rounds."""
    rounds = []
    for _ in range(ROUNDS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        rounds.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(rounds, key=lambda pair: pair[1])


def speed(path: Path) -> None:
    """Print what each part of judging takes, beside reading alone."""
    source = ParquetFile(path)
    readings = {ticker: source.read(ticker) for ticker in source.tickers}
    panel = load_checked(f"parquet:{path}").panel

    def read_alone() -> None:
        again = ParquetFile(path)
        for ticker in again.tickers:
            again.read(ticker)

    reference = shortest(read_alone)
    parts = {
        "read alone": reference,
        "judge every stock by itself": shortest(lambda: [check_ticker(*item) for item in readings.items()]),
        "judge the panel": shortest(lambda: panel_findings(panel)),
        "read, judge and lay out": shortest(lambda: load_checked(f"parquet:{path}")),
    }
    print(f"{'':<34}{'wall s':>8}{'CPU s':>8}{'ratio':>8}")
    for name, (wall, processor) in parts.items():
        print(f"{name:<34}{wall:>8.2f}{processor:>8.2f}{processor / reference[1]:>8.2f}")


def main() -> None:
    """Print both tables."""
    stocks, count = SMALL
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.parquet"
        write_parquet(path, stocks, trading_sessions("2013-06-27", "2024-12-31")[:count])
        speed(path)
    print()
    detection([make_market(MarketSettings(seed=seed)) for seed in range(MARKETS)])


if __name__ == "__main__":
    main()
