"""Loading prices: from Parquet, from CSV files, from the cache, and a market of 40 million bars.

``python -m benchmarks.prices`` invents 464 stocks with 2,693 sessions, writes them in each form and
loads them, judged as a run does. The reference in the same run reads the same bytes with pandas and
pivots each column into a wide frame: less than what we do, for it judges nothing.

``python -m benchmarks.prices --large`` does 6,700 stocks with 6,000 sessions from one Parquet file,
each step in a process of its own, and reports the peak of its memory.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engine.price_cache import PriceRequest, cached_prices
from feeds.prices import CheckedPrices, load_checked
from feeds.sessions import trading_sessions

SMALL, LARGE = (464, 2693), (6700, 6000)
_COLUMNS = ("open", "high", "low", "close", "volume", "adj_close")
_STOOQ = {
    "date": "<DATE>",
    "open": "<OPEN>",
    "high": "<HIGH>",
    "low": "<LOW>",
    "close": "<CLOSE>",
    "volume": "<VOL>",
}
_STOCKS_A_TIME = 100
# The dividends of the invented stocks: one in 63 sessions of half a percent.
_PAID_EVERY, _PAID_FRAC = 63, 0.005


class Step(NamedTuple):
    """Wall and CPU seconds and peak memory (MB) of one step in its own process."""

    seconds: float
    cpu_s: float
    peak_mb: float


def invent(stocks: int, sessions: pd.DatetimeIndex, seed: int) -> pa.Table:
    """Return a long table of random walks; cents and whole shares, as providers write them."""
    rng = np.random.default_rng(seed)
    shape = (stocks, len(sessions))
    close = 50 * np.exp(np.cumsum(rng.normal(0.0002, 0.015, shape), axis=1))
    open_ = close * np.exp(rng.normal(0, 0.004, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.004, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.004, shape)))
    paid = np.arange(shape[1]) // _PAID_EVERY
    adjusted = close * (1 - _PAID_FRAC) ** (paid[-1] - paid)
    volume = np.round(np.exp(rng.normal(13, 0.5, shape)))
    columns = dict(zip(_COLUMNS, (open_, high, low, close, volume, adjusted), strict=True))
    tickers = [f"S{seed * _STOCKS_A_TIME + k:05d}" for k in range(stocks)]
    days = sessions.to_numpy().astype("datetime64[D]")
    return pa.table(
        {
            "date": pa.array(np.tile(days, stocks)),
            "ticker": pa.array(np.repeat(tickers, shape[1])),
            **{name: np.round(values, 4).ravel() for name, values in columns.items()},
        }
    )


def write_parquet(path: Path, stocks: int, sessions: pd.DatetimeIndex) -> None:
    """Write a long table, a hundred stocks at a time."""
    writer = None
    for number, first in enumerate(range(0, stocks, _STOCKS_A_TIME)):
        part = invent(min(_STOCKS_A_TIME, stocks - first), sessions, seed=number)
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()


def write_csv(folder: Path, path: Path) -> None:
    """Write each stock of a long table to its own file."""
    folder.mkdir()
    for ticker, rows in pd.read_parquet(path).groupby("ticker"):
        rows.drop(columns="ticker").to_csv(folder / f"{ticker}.csv", index=False)


def write_stooq(folder: Path, path: Path) -> None:
    """Write each stock as Stooq's bulk files have it: <DATE> as 20130627, no adjusted close."""
    folder.mkdir()
    for ticker, rows in pd.read_parquet(path, columns=["ticker", *_STOOQ]).groupby("ticker"):
        known = rows[list(_STOOQ)].assign(date=pd.to_datetime(rows["date"]).dt.strftime("%Y%m%d"))
        known.rename(columns=_STOOQ).assign(**{"<OPENINT>": 0}).to_csv(folder / f"{ticker}.csv", index=False)


def reference_parquet(place: Path) -> None:
    """Read with pandas and pivot each column."""
    _pivot(pd.read_parquet(place))


def reference_csv(place: Path) -> None:
    """Read every file with pandas, put them under each other and pivot."""
    frames = [pd.read_csv(path, parse_dates=["date"]).assign(ticker=path.stem) for path in sorted(place.glob("*.csv"))]
    _pivot(pd.concat(frames))


def reference_stooq(place: Path) -> None:
    """Read every file with pandas, its days by their form, and pivot."""
    names = {theirs: ours for ours, theirs in _STOOQ.items()}
    frames = [pd.read_csv(path).rename(columns=names).assign(ticker=path.stem) for path in sorted(place.glob("*.csv"))]
    table = pd.concat(frames)
    _pivot(table.assign(date=pd.to_datetime(table["date"], format="%Y%m%d")))


def _pivot(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    names = [name for name in _COLUMNS if name in table]
    return {name: table.pivot(index="date", columns="ticker", values=name) for name in names}  # noqa: PD010


def from_cache(place: Path) -> CheckedPrices:
    """Load through the cache beside the file; the first call fills it."""
    request = PriceRequest(place, "parquet", None, None, None, "safe")
    return cached_prices(place.parent / "cache", request, lambda: load_checked(f"parquet:{place}"))


STEPS: dict[str, Callable[[Path], object]] = {
    "parquet": lambda place: load_checked(f"parquet:{place}"),
    "csv": lambda place: load_checked(f"csv:{place}"),
    "fill the cache": from_cache,
    "cache": from_cache,
    "pandas.read_parquet, pivot": reference_parquet,
    "pandas.read_csv, pivot": reference_csv,
    "pandas.read_csv of Stooq, pivot": reference_stooq,
}


def measure(name: str, place: Path) -> Step:
    """Run one step in its own process, imports not counted."""
    words = [sys.executable, "-m", "benchmarks.prices", "--step", name, str(place)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parent.parent
    )
    if done.returncode:
        raise SystemExit(f"error: {name} ended with {done.returncode}: {done.stderr[-500:]}")
    return Step(*(float(word) for word in done.stdout.split()))


def _step(name: str, place: Path) -> None:
    trading_sessions("2020-01-02", "2020-01-03")  # the calendar is made once per process
    start, cpu = time.perf_counter(), time.process_time()
    STEPS[name](place)
    print(time.perf_counter() - start, time.process_time() - cpu, _peak_mb())


def _peak_mb() -> float:
    # Not getrusage: its maximum begins with that of the process which started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _table(rows: list[tuple[str, Step, Step]]) -> None:
    print(f"{'':<30}{'wall s':>8}{'CPU s':>8}{'MB':>8}{'pandas wall':>13}{'CPU s':>8}{'MB':>8}{'CPU ratio':>11}")
    for name, ours, theirs in rows:
        one, other = (f"{step.cpu_s:>8.2f}{step.peak_mb:>8.0f}" for step in (ours, theirs))
        ratio = ours.cpu_s / theirs.cpu_s
        print(f"{name:<30}{ours.seconds:>8.2f}{one}{theirs.seconds:>13.2f}{other}{ratio:>11.2f}")


def small(folder: Path) -> None:
    """Measure 464 stocks with 2,693 sessions in every form."""
    stocks, count = SMALL
    parquet, files = folder / "prices.parquet", folder / "csv"
    write_parquet(parquet, stocks, trading_sessions("2013-06-27", "2024-12-31")[:count])
    write_csv(files, parquet)
    parquet_reference = measure("pandas.read_parquet, pivot", parquet)
    rows = [("Parquet", measure("parquet", parquet), parquet_reference)]
    rows.append(("CSV files", measure("csv", files), measure("pandas.read_csv, pivot", files)))
    stooq = folder / "stooq"
    write_stooq(stooq, parquet)
    rows.append(("CSV files of Stooq", measure("csv", stooq), measure("pandas.read_csv of Stooq, pivot", stooq)))
    rows.append(("Parquet, and fill the cache", measure("fill the cache", parquet), parquet_reference))
    rows.append(("cache", measure("cache", parquet), parquet_reference))
    _table(rows)


def large(folder: Path) -> None:
    """Measure 40 million bars from one Parquet file."""
    stocks, count = LARGE
    path = folder / "prices.parquet"
    write_parquet(path, stocks, trading_sessions("2000-01-03", "2024-12-31")[:count])
    ours = measure("parquet", path)
    print(f"{stocks * count:,} bars, {path.stat().st_size / 2**20:,.0f} MB of Parquet")
    print(f"{'load_checked':<34}{ours.seconds:>8.1f} s wall{ours.cpu_s:>8.1f} s CPU{ours.peak_mb:>8.0f} MB at most")


def main(words: list[str] | None = None) -> None:
    """Print the table of 464 stocks; with ``--large`` that of 6,700."""
    given = words or []
    if given[:1] == ["--step"]:
        _step(given[1], Path(given[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        (large if "--large" in given else small)(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
