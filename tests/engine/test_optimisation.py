"""backtrader's optimisation in parallel processes gives what it gives in one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Feeds of two made classes, so that the one that travels is not the last that was made.
SCRIPT = """
import multiprocessing
import sys
from dataclasses import replace

import backtrader as bt
import numpy as np

from engine.broker import SafeBroker
from engine.clocked_cerebro import ClockedCerebro
from feeds.stock_feed import StockFeed, feed_class
from tests.conftest import build_panel


class OnSignal(bt.Strategy):
    params = (("period", 2),)

    def __init__(self):
        self.average = bt.ind.SMA(self.data.signal, period=self.p.period)

    def next(self):
        if self.average[0] > 0 and not self.position:
            self.buy(size=10)
        elif self.average[0] < 0 and self.position:
            self.close()


def main(start, maxcpus, optreturn, guarded):
    multiprocessing.set_start_method(start)
    cerebro = ClockedCerebro(stdstats=False, maxcpus=maxcpus, optreturn=optreturn, guarded=guarded)
    cerebro.setbroker(SafeBroker(delisting_return={"T000": -0.3}))
    for ticker in ("T000", "T001"):
        bars = build_panel(60, 2, ends={0: 50}).bars(ticker)
        signal = np.random.default_rng(1).normal(size=len(bars.sessions))
        cerebro.adddata(StockFeed.from_bars(replace(bars, columns={"signal": signal}), ticker))
    feed_class(("another",))
    cerebro.optstrategy(OnSignal, period=[2, 9])
    cerebro.addanalyzer(bt.analyzers.Transactions, _name="fills")
    for (strategy,) in cerebro.run():
        print(strategy.p.period, strategy.analyzers.fills.get_analysis())
        if not optreturn:
            print(strategy.data.close is strategy.data.lines.close, strategy.data.signal.array[:3])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "results", sys.argv[4] == "guarded")
"""


def optimised(folder: Path, *words: str) -> str:
    path = folder / "optimise.py"
    path.write_text(SCRIPT)
    command = [sys.executable, str(path), *words]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize(("what", "guard"), [("results", "free"), ("strategies", "guarded")])
def test_optimisation_in_two_processes_gives_what_one_gives(tmp_path: Path, start: str, what: str, guard: str):
    alone = optimised(tmp_path, start, "1", what, guard)
    periods = [line.split()[0] for line in alone.splitlines() if "OrderedDict" in line]
    assert periods == ["2", "9"]
    assert len(alone) > 400  # both trade
    assert optimised(tmp_path, start, "2", what, guard) == alone
