"""The demo as a user runs it: wall time, CPU time and memory over all its processes.

``python -m benchmarks.demo`` starts ``run_backtest.py`` without a cache and watches its processes.
The reference in the same run is the bare cost of importing TensorFlow and quantstats, which the demo
cannot avoid: the ratio says what the work itself adds.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
_SAMPLE_S = 0.25


class Cost(NamedTuple):
    """Wall and CPU seconds, and the highest sum of proportional memory (PSS) over all processes, MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(words: list[str]) -> Cost:
    """Run a command to its end and return what it cost, its child processes included."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(_memory_mb(pid) for pid in _family(process.pid)))
        time.sleep(_SAMPLE_S)
    if process.returncode:
        raise SystemExit(f"error: {' '.join(words)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - start, cpu, peak)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has just ended
        return
    for child in children:
        yield from _family(int(child))


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Print the demo, the imports, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        demo = measure([sys.executable, "run_backtest.py", "--cache", "none", "--quiet", "--out", f"{folder}/run"])
    imports = measure([sys.executable, "-c", "import tensorflow, keras, quantstats"])
    help_ = measure([sys.executable, "run_backtest.py", "run", "--help"])
    print(f"{'':<34}{'wall s':>8}{'CPU s':>8}{'MB':>8}")
    for name, cost in (("demo", demo), ("import tensorflow, quantstats", imports), ("--help", help_)):
        print(f"{name:<34}{cost.wall_s:>8.1f}{cost.cpu_s:>8.1f}{cost.peak_mb:>8.0f}")
    print(f"{'demo / imports':<34}{demo.wall_s / imports.wall_s:>8.1f}{demo.cpu_s / imports.cpu_s:>8.1f}")


if __name__ == "__main__":
    main()
