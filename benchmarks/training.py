"""What training and predicting cost: many to many beside windows of 30 bars, and 464 stocks with 2,693 sessions.

``python -m benchmarks.training`` measures on noise of its own, each part in a process with one thread, as training
processes have. Windows are the reference of the same run: the same network, the same features, the same machine.
``python -m benchmarks.training walk`` trains the default model walk-forward, one seed, on a planted market.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

import numpy as np

from benchmarks.insider_features import invented_panel
from engine.progress import progress_bars
from feeds.panel import BAR_FIELDS, Bars, FeaturePanel
from models.batches import FitData, draw_epoch
from models.cross_section import cross_section_features
from models.features import latest_price_features, panel_features
from models.fold_window import fit_data
from models.folds import Fold
from models.labels import ClassLimits
from models.network import build_network
from models.newest_features import NewestFeatures
from models.planted import make_planted_market
from models.preprocess import Preprocessor
from models.sequences import Segments
from models.spec import ModelSpec, resolve
from models.stepper import LSTMLayer, Network
from models.training import walk_forward
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor
from models.worker import WORKER_ENVIRONMENT

STOCKS, SESSIONS, FEATURES = 464, 2_693, 16
FEW_STOCKS, WINDOW_STEPS, STEPS = 100, 8, 1_000
BATCHES = 10
SPEC = resolve("default", {"price_columns": list(resolve("default").price_columns[:FEATURES]), "cross_section": False})


def invented_data(stocks: int, spec: ModelSpec) -> FitData:
    """Return noise to fit on: every bar but the last is a decision with a label."""
    rng = np.random.default_rng(0)
    rows = np.tile(np.arange(SESSIONS), stocks)
    inputs = rng.standard_normal((stocks * SESSIONS, FEATURES), dtype=np.float32)
    classes = rng.integers(0, 4, len(rows)).astype(np.int8)
    fold = Fold(1, 0, SESSIONS - 1, SESSIONS, SESSIONS)
    return fit_data(inputs, classes, rows, np.repeat(np.arange(stocks), SESSIONS), fold, spec)


def random_network() -> Network:
    """Return the default network with weights of no meaning."""
    rng, units = np.random.default_rng(0), SPEC.units
    shapes = ((FEATURES, 4 * units), (units, 4 * units), (4 * units,))
    layer = LSTMLayer(*(rng.normal(0, 0.3, shape) for shape in shapes))
    return Network((layer,), np.ones(units), np.zeros(units), rng.normal(size=(units, 4)), np.zeros(4))


def train(spec: ModelSpec, data: FitData, most: int | None = None) -> tuple[int, float]:
    """Train on at most `most` batches after the first; returns the labels scored and the processor seconds."""
    model = build_network(spec, FEATURES, seed=0)
    batches = draw_epoch(data, spec, np.random.default_rng(0))
    model.train_on_batch(*next(batches))  # traces the graph
    begun, labels = time.process_time(), 0
    for inputs, classes, weights in batches if most is None else islice(batches, most):
        model.train_on_batch(inputs, classes, sample_weight=weights)
        labels += int((weights > 0).sum())
    return labels, time.process_time() - begun


def contexts() -> None:
    """Print the cost of a label in both contexts, for the default network and a larger one."""
    for spec in (SPEC, replace(SPEC, layers=2, units=64)):
        data = invented_data(FEW_STOCKS, spec)
        few = train(spec, data)
        many = train(replace(spec, context="windows"), data, WINDOW_STEPS)
        cost = [1e6 * seconds / labels for labels, seconds in (few, many)]
        print(f"{spec.layers} x LSTM({spec.units})")
        print(f"{'  many to many, CPU us per label':<46}{cost[0]:>9.1f}")
        print(f"{'  windows of 30 bars, CPU us per label':<46}{cost[1]:>9.1f}")
        print(f"{'  windows / many to many':<46}{cost[1] / cost[0]:>9.1f}", flush=True)


def epoch() -> None:
    """Print what one epoch of the default network over everything takes."""
    labels, seconds = train(SPEC, invented_data(STOCKS, SPEC))
    print(f"{f'one epoch, {labels:,} labels, CPU s':<46}{seconds:>9.1f}")
    print(f"{'peak memory of the process, MB':<46}{_peak_mb():>9.0f}")


def inference() -> None:
    """Print what predicting every bar in one pass takes."""
    inputs = np.random.default_rng(0).normal(size=(STOCKS * SESSIONS, FEATURES))
    start = np.arange(STOCKS) * SESSIONS
    network, begun = random_network(), time.process_time()
    network.probabilities(network.run(inputs, Segments(start, start, start + SESSIONS)))
    print(f"{f'{len(inputs):,} bars in one pass, CPU s':<46}{time.process_time() - begun:>9.1f}")
    print(f"{'peak memory of the process, MB':<46}{_peak_mb():>9.0f}")


def steps() -> None:
    """Print what one bar takes, of one stock and of all."""
    network, rng = random_network(), np.random.default_rng(0)
    for stocks in (1, STOCKS):
        inputs, state = rng.normal(size=(stocks, FEATURES)), network.zero_state(stocks)

        def one(inputs: np.ndarray = inputs) -> None:
            nonlocal state
            logits, state = network.step(inputs, state)
            network.probabilities(logits)

        cost = _milliseconds(one, range(STEPS if stocks == 1 else 100))
        print(f"{f'network, one bar of {stocks} stock(s), CPU ms':<46}{cost:>9.3f}")
    bars = invented_panel(1, SESSIONS, rng).bars("T0000")
    stepper, ends = _predictor(bars).stepper("T0000"), range(SESSIONS - 500, SESSIONS)
    histories = iter([_cut(bars, end) for end in ends])
    cost = _milliseconds(lambda: stepper.step(next(histories)), ends)
    print(f"{'features and network, one bar, CPU ms':<46}{cost:>9.3f}")
    newest, again = NewestFeatures(), iter([_cut(bars, end) for end in ends])

    def carried() -> None:
        newest.follow(next(again))
        newest.price_features()

    cost = _milliseconds(carried, ends)
    print(f"{'features alone, one bar, CPU ms':<46}{cost:>9.3f}")
    cost = _milliseconds(lambda: latest_price_features(bars, 1), ends)
    print(f"{'features alone, computed anew, CPU ms':<46}{cost:>9.3f}")


def _predictor(bars: Bars) -> WalkForwardPredictor:
    spec = replace(SPEC, train_sessions=SESSIONS - 600, test_sessions=600)
    fold = Fold(1, 0, SESSIONS - 700, SESSIONS - 600, SESSIONS)
    features = latest_price_features(bars, len(bars))[:, :FEATURES]
    model = FoldModel(
        fold,
        Preprocessor.fit(spec.price_columns, features, ("T0000",), spec),
        ClassLimits(-0.6, 0.6, (-1.2, -0.3, 0.3, 1.2), (0.25,) * 4),
        (random_network(),),
    )
    sessions = invented_panel(1, SESSIONS, np.random.default_rng(0)).sessions
    return WalkForwardPredictor(spec, spec.price_columns, sessions, (model,))


def _cut(bars: Bars, count: int) -> Bars:
    return replace(bars, **{name: getattr(bars, name)[:count] for name in ("sessions", *BAR_FIELDS)})


def _milliseconds(work: Callable[[], object], times: Iterable[int]) -> float:
    """Return the mean processor time of the least of ten batches, as timeit does; the first call is left out."""
    calls = (len(list(times)) - 1) // BATCHES
    work()
    least = float("inf")
    for _ in range(BATCHES):
        begun = time.process_time()
        for _ in range(calls):
            work()
        least = min(least, time.process_time() - begun)
    return 1e3 * least / calls


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def walk() -> None:
    """Print what the default model's walk-forward with one seed takes, features and predictions included."""
    panel = make_planted_market(stocks=STOCKS, sessions=SESSIONS, strength=0.05).panel
    begun = _all_processes()
    price = panel_features(panel)
    columns = FeaturePanel.concatenate([price, cross_section_features(panel, price)])
    spec = resolve("default", {"seeds": 1, "insider": False})
    result = walk_forward(panel, columns, spec, jobs=2, progress=progress_bars(quiet=not sys.stderr.isatty()))
    seconds = _all_processes() - begun
    epochs = sum(int(row["epochs"]) for fold in result.folds for row in fold.seeds)
    told = f"{len(result.folds)} folds, {epochs} epochs, {len(columns.names)} columns, CPU s"
    print(f"{told:<46}{seconds:>9.1f}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'peak memory, main and largest worker, MB':<46}{_peak_mb():>9.0f}{children:>9.0f}")


def _all_processes() -> float:
    return sum(os.times()[:4])


PARTS = {"contexts": contexts, "epoch": epoch, "inference": inference, "steps": steps}
LONG = {"walk": walk}


def main() -> None:
    """Run every part in a process of its own."""
    for name in PARTS:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.training", name],
            check=True,
            env=os.environ | WORKER_ENVIRONMENT,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    (PARTS | LONG)[sys.argv[1]]() if len(sys.argv) > 1 else main()
