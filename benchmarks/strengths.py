"""What the demo's model finds on the embedded market, by what is planted in it: ``python -m benchmarks.strengths``.

The memory of returns is planted more strongly than in the demo, as in the demo, and not at all (nor any drift
after purchases then), and the network stands beside the baselines that see the same columns.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from engine.features import build_columns
from engine.progress import progress_bars
from feeds.synthetic import MarketSettings, make_market, write_filings
from feeds.transactions import read_filings
from models.comparison import rivals, verdict
from models.evaluation import Evaluation
from models.spec import FULL_BASELINES, ModelSpec, resolve
from models.training import WalkForwardResult, walk_forward

STRENGTHS = (0.20, MarketSettings().memory_strength, 0.0)
HEADS = ("", "log-loss", "skill %", "balanced accuracy", "IC", "HAC t", "95 % interval")


def evaluated(strength: float) -> tuple[list[list[str]], str]:
    """Return a table's rows, the model's first, and the verdict."""
    market = MarketSettings(memory_strength=strength)
    if not strength:
        market = replace(market, drift_strength=0.0)
    panel, progress = make_market(market), progress_bars(quiet=not sys.stderr.isatty())
    with tempfile.TemporaryDirectory(prefix="insider-swing-") as folder:
        write_filings(market, Path(folder))
        columns = build_columns(panel, read_filings(Path(folder))).model

    def train(spec: ModelSpec) -> WalkForwardResult:
        return walk_forward(panel, columns, spec, jobs=2, progress=progress)

    result = train(resolve("tiny"))
    found = rivals(result, FULL_BASELINES, train)
    rows = [_row("tiny", result.pooled)] + [_row(rival.name, rival.evaluation) for rival in found]
    return rows, verdict(found, FULL_BASELINES)


def _row(name: str, found: Evaluation) -> list[str]:
    told = found.as_dict()
    low, high = told["information_coefficient_low"], told["information_coefficient_high"]
    ranks = told["information_coefficient_t"] == told["information_coefficient_t"]  # NaN where the score is constant
    return [
        name,
        f"{told['log_loss']:.4f}",
        f"{100 * told['log_loss_skill']:+.2f}",
        f"{told['balanced_accuracy']:.3f}",
        f"{told['information_coefficient']:+.4f}" if ranks else "-",
        f"{told['information_coefficient_t']:.1f}" if ranks else "-",
        f"{low:+.4f} to {high:+.4f}" if ranks else "-",
    ]


def main() -> None:
    """Print a table for each strength."""
    for strength in STRENGTHS:
        rows, told = evaluated(strength)
        print(f"\nmemory of strength {strength:g}\n")
        print(tabulate(rows, headers=HEADS, tablefmt="pipe", disable_numparse=True))
        print(f"\ntiny {told}", flush=True)


if __name__ == "__main__":
    main()
