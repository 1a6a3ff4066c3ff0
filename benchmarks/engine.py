"""The engine against its peers: one rule, the same fills, CPU seconds.

``python -m benchmarks.engine`` invents 464 stocks with 2,693 sessions (or reads ``--panel FILE``), trades
the rule of `benchmarks.engine_rule` on every engine that is there, each run in its own process, the
engines in turn and that three times, and prints the medians and whether fills, cash and equity are those
of an independent ledger. ``--json`` prints one line per engine.

CPU seconds up to the numpy arrays in memory, the engine's imports included, are `load_cpu_s`; building feeds,
preload and the run are `run_cpu_s`. The peers live in an environment of their own (``make peers``).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.engine_rule import CASH, FIELDS, Ledger, Market, Outcome, rounded, same

ROOT = Path(__file__).resolve().parent.parent
OURS, STOCK, PEERS = "benchmarks.engine_backtrader", "benchmarks.engine_backtrader", "benchmarks.peers"
IDLE = "insider_swing_idle"  # sends no order
MODULES = {
    "insider_swing": OURS,
    "insider_swing_analyzers": OURS,
    "insider_swing_indicators": OURS,
    IDLE: OURS,
    "insider_swing_guarded": OURS,
    "backtrader_pandasdata": STOCK,
    "backtrader_pandasdirectdata": STOCK,
    "pybroker": f"{PEERS}.pybroker",
    "bt": f"{PEERS}.bt",
    "zipline_reloaded": f"{PEERS}.zipline",
    "zipline_in_memory": f"{PEERS}.zipline",
    "nautilus_trader": f"{PEERS}.nautilus",
}
PACKAGES = {
    "pybroker": "pybroker",
    "bt": "bt",
    "zipline_reloaded": "zipline",
    "zipline_in_memory": "zipline",
    "nautilus_trader": "nautilus_trader",
}
_OUTCOME = ("orders", "fills", "cash", "equity")
Run = dict[str, Any]


def invent(tickers: int, sessions: int) -> Market:
    """Return a market of random walks on weekdays, every stock trading on each."""
    rng = np.random.default_rng(0)
    shape = (sessions, tickers)
    close = 50 * np.exp(np.cumsum(rng.normal(0.0003, 0.015, shape), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.006, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.004, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.004, shape)))
    volume = np.round(np.exp(rng.normal(14, 0.5, shape)))
    days = np.busday_offset("2014-01-02", np.arange(sessions), roll="forward").astype("datetime64[D]")
    names = [f"S{column:04d}" for column in range(tickers)]
    return rounded(Market(days, names, open_, high, low, close, volume))


def read_panel(path: Path) -> Market:
    """Read a long Parquet table (date, ticker, open, high, low, close, volume); `adj_close` is not used."""
    import pandas as pd

    table = pd.read_parquet(path, columns=["date", "ticker", *FIELDS])
    table["date"] = pd.to_datetime(table["date"])
    wide = table.set_index(["date", "ticker"]).unstack().sort_index()  # noqa: PD010 - a repeated row must raise
    arrays = {name: wide[name].to_numpy(dtype=float) for name in FIELDS}
    for name in FIELDS:
        arrays[name][~np.isfinite(arrays["close"])] = np.nan
    days = wide.index.to_numpy().astype("datetime64[D]")
    return rounded(Market(days, [str(ticker) for ticker in wide["close"].columns], **arrays))


def run_one(engine: str, market_file: Path, out: Path) -> None:
    """Trade the rule on one engine in this process and write what it did and cost."""
    module = importlib.import_module(MODULES[engine])
    market = Market.read(market_file)
    more = getattr(module, f"{engine}_inputs", lambda market: ())(market)  # arrays that the run needs beside prices
    loaded = time.process_time()
    outcome: Outcome = getattr(module, engine)(market, *more)
    run = time.process_time() - loaded
    fills = [[int(row), int(column), float(size), float(price)] for row, column, size, price in outcome.fills]
    figures = {"load_cpu_s": loaded, "run_cpu_s": run, "peak_rss_mb": _peak_mb(), "orders": int(outcome.orders)}
    cash, equity = ([float(value) for value in values] for values in (outcome.cash, outcome.equity))
    out.write_text(json.dumps({**figures, "fills": fills, "cash": cash, "equity": equity}))


def _peak_mb() -> float:
    # Not getrusage: its maximum begins with that of the process which started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def python_of(engine: str) -> str | None:
    """Return the interpreter that has an engine, None where none has."""
    if engine not in PACKAGES:
        return sys.executable
    environment = Path(os.environ.get("PEERS_VENV", ROOT / ".venv-peers"))
    python = environment / "bin" / "python"
    if not python.exists() or not list(environment.glob(f"lib/*/site-packages/{PACKAGES[engine]}/__init__.py")):
        return None
    return str(python)


def measure(engine: str, python: str, market_file: Path) -> Run:
    """Run one engine in a process of its own and return its figures and outcome.

    Raises
    ------
    RuntimeError
        Where the engine ends with an error; the text is its last words.
    """
    out = market_file.with_name(f"{engine}.json")
    words = [python, "-m", "benchmarks.engine", "--run", engine, str(market_file), str(out)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONHASHSEED": "0"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f"{engine} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    found: Run = json.loads(out.read_text())
    return found


def compare(engines: list[str], market: Market, times: int) -> list[Run]:
    """Run each engine `times` times, in turn, and return one line of medians each."""
    right, still = Ledger(market).run(), [CASH] * len(market.sessions)
    nothing = Outcome(cash=still, equity=still)
    runs: dict[str, list[Run]] = {engine: [] for engine in engines}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "market.npz"
        market.write(file)
        for _ in range(times):
            for engine in list(runs):
                try:
                    runs[engine].append(measure(engine, python_of(engine) or sys.executable, file))
                except RuntimeError as error:
                    print(f"left out: {error}", file=sys.stderr)
                    del runs[engine]
    return [_line(engine, found, market, nothing if engine == IDLE else right) for engine, found in runs.items()]


def _line(engine: str, runs: list[Run], market: Market, right: Outcome) -> Run:
    outcomes = [Outcome(*(run[name] for name in _OUTCOME)) for run in runs]
    figures = {name: round(median(run[name] for run in runs), 3) for name in ("run_cpu_s", "load_cpu_s", "peak_rss_mb")}
    last = outcomes[-1]
    return {
        "engine": engine,
        "tickers": len(market.tickers),
        "sessions": len(market.sessions),
        "orders": last.orders,
        "fills": len(last.fills),
        "final_equity": round(last.equity[-1], 2) if last.equity else None,
        **figures,
        "identical_to_reference": all(same(outcome, right) for outcome in outcomes),
    }


def _table(lines: list[Run]) -> None:
    ours = next((line["run_cpu_s"] for line in lines if line["engine"] == "insider_swing"), None)
    heads = ("run CPU s", "load CPU s", "MB", "orders", "fills", "final equity", "identical", "CPU / ours")
    print(f"{'':<30}" + "".join(f"{head:>15}" for head in heads))
    for line in lines:
        equity = "-" if line["final_equity"] is None else f"{line['final_equity']:,.2f}"
        costs = f"{line['run_cpu_s']:>15.2f}{line['load_cpu_s']:>15.2f}{line['peak_rss_mb']:>15.0f}"
        traded = f"{line['orders']:>15,}{line['fills']:>15,}{equity:>15}"
        ratio = "-" if ours is None else f"{line['run_cpu_s'] / ours:.2f}"
        print(f"{line['engine']:<30}{costs}{traded}{line['identical_to_reference']!s:>15}{ratio:>15}")


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--tickers", type=int, default=464)
    parser.add_argument("--sessions", type=int, default=2693)
    parser.add_argument("--panel", type=Path, help="a long Parquet table in place of invented prices")
    parser.add_argument("--engines", help=f"names with commas between, of {', '.join(MODULES)}")
    parser.add_argument("--times", type=int, default=3, help="runs per engine, of which the median counts")
    parser.add_argument("--json", action="store_true", help="one line per engine")
    parser.add_argument("--run", nargs=3, metavar=("ENGINE", "MARKET", "OUT"), help=argparse.SUPPRESS)
    return parser.parse_args(words)


def _present(asked: str | None) -> list[str]:
    wanted = asked.split(",") if asked else [name for name in MODULES if name != "insider_swing_guarded"]
    unknown = [name for name in wanted if name not in MODULES]
    if unknown:
        raise SystemExit(f"error: `--engines`: expected names of {', '.join(MODULES)}, received {unknown[0]!r}")
    for name in wanted:
        if python_of(name) is None:
            print(f"not there: {name} (`make peers` installs it)", file=sys.stderr)
    return [name for name in wanted if python_of(name) is not None]


def main(words: list[str] | None = None) -> None:
    """Print the table, or one JSON line per engine."""
    given = _arguments(words)
    if given.run:
        run_one(given.run[0], Path(given.run[1]), Path(given.run[2]))
        return
    engines = _present(given.engines)
    market = read_panel(given.panel) if given.panel else invent(given.tickers, given.sessions)
    lines = compare(engines, market, given.times)
    if given.json:
        for line in lines:
            print(json.dumps(line))
    else:
        _table(lines)


if __name__ == "__main__":
    main()
