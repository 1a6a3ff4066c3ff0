"""Does the network learn as much from a carried state as from windows of 30 bars?

``python -m benchmarks.context`` trains the same small network both ways on a market with a planted linear memory;
``--prices parquet:FILE`` adds real prices, whose truth nobody knows. Both ways see the same features, labels,
folds, seeds and early stopping; per seed the table has the information coefficient out of sample with its t
(Newey-West), the log-loss skill over the class prior and the processor time of all processes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from feeds.panel import FeaturePanel, PricePanel
from feeds.prices import load_checked
from models.cross_section import cross_section_features
from models.features import panel_features
from models.planted import make_planted_market
from models.spec import ModelSpec, resolve
from models.training import walk_forward

STOCKS, SESSIONS, STRENGTH = 60, 1_000, 0.08
SMALL: dict[str, Any] = {
    "units": 16,
    "epochs": 15,
    "patience": 4,
    "learning_rate": 3e-3,
    "seeds": 1,
    "chunk_bars": 160,
    "masked_bars": 30,
    "warm_up_bars": 120,
    "batch_windows": 2048,
    "train_sessions": 700,
    "validation_sessions": 140,
    "test_sessions": 2_000,
    "insider": False,
}
PLANTED = SMALL | {"horizon": 1, "price_columns": ["return_1", "return_5", "overnight", "intraday", "warm"]}
CONTEXTS = ("carried", "windows")


@dataclass(frozen=True)
class Fit:
    """One network out of sample."""

    context: str
    seed: int
    coefficient: float
    t: float
    skill: float
    epochs: int
    processor: float


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def fit(panel: PricePanel, features: FeaturePanel, spec: ModelSpec, seed: int) -> Fit:
    """Train and measure one network."""
    before = processor_seconds()
    result = walk_forward(panel, features, spec, seed=seed)
    pooled = result.pooled
    return Fit(
        context=spec.context,
        seed=seed,
        coefficient=pooled.information_coefficient,
        t=pooled.information_coefficient_t,
        skill=1 - pooled.log_loss / pooled.prior_log_loss,
        epochs=int(result.folds[0].seeds[0]["epochs"]),
        processor=processor_seconds() - before,
    )


def compare(panel: PricePanel, options: dict[str, Any], seeds: int) -> list[Fit]:
    """Print and return every fit on one market, both ways for each seed."""
    price = panel_features(panel)
    features = FeaturePanel.concatenate([price, cross_section_features(panel, price)])
    print(f"{'':<10}{'seed':>6}{'IC':>9}{'t':>7}{'skill %':>9}{'epochs':>8}{'CPU s':>8}", flush=True)
    fits = []
    for seed in range(seeds):
        for context in CONTEXTS:
            one = fit(panel, features, resolve("default", options | {"context": context}), seed)
            fits.append(one)
            print(
                f"{one.context:<10}{one.seed:>6}{one.coefficient:>9.4f}{one.t:>7.1f}{100 * one.skill:>9.3f}"
                f"{one.epochs:>8}{one.processor:>8.0f}",
                flush=True,
            )
    for context in CONTEXTS:
        own = [one for one in fits if one.context == context]
        mean, spread = (f([one.coefficient for one in own]) for f in (np.mean, np.std))
        skill, cost = (np.mean([getattr(one, name) for one in own]) for name in ("skill", "processor"))
        print(f"{context:<10}{'mean':>6}{mean:>9.4f} sd {spread:.4f}{100 * skill:>7.3f}{cost:>15.0f}")
    return fits


def main() -> None:
    """Print a table per market."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.context", description=__doc__)
    parser.add_argument("--prices", help="a source of real prices, such as parquet:FILE")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(f"planted memory: {STOCKS} stocks, {SESSIONS} sessions, strength {STRENGTH}\n")
    compare(make_planted_market(STOCKS, SESSIONS, STRENGTH).panel, PLANTED, given.seeds)
    if given.prices:
        print(f"\n{given.prices}\n")
        compare(load_checked(given.prices).panel, SMALL, given.seeds)


if __name__ == "__main__":
    main()
