"""From the panel to trained networks: cut each fold's window, skip what the cache holds, train the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feeds.panel import FeaturePanel, PricePanel
from feeds.progress import Progress
from models.bar_table import BarTable
from models.fold_cache import make_store, network_key, read_network
from models.fold_window import FoldWindow, RangeRows
from models.folds import Fold, make_folds
from models.labels import ClassLimits, ForwardReturns, returns_of
from models.network import FittedNetwork
from models.preprocess import Preprocessor
from models.spec import ModelSpec
from models.walk_forward_predictor import panel_volatility
from models.worker import Event, Task, train_here, train_in_processes, write_window


@dataclass(frozen=True)
class TrainingData:
    """A panel as one long table of bars, and the folds to train on it.

    Attributes
    ----------
    table : BarTable
        R bars.
    names : tuple of str, length F
    values : ndarray of float64, shape [R, F]
        The network's inputs before scaling.
    returns : ForwardReturns
    folds : tuple of Fold
    """

    table: BarTable
    names: tuple[str, ...]
    values: np.ndarray
    returns: ForwardReturns
    folds: tuple[Fold, ...]

    @staticmethod
    def of(panel: PricePanel, features: FeaturePanel, spec: ModelSpec) -> TrainingData:
        """Arrange `panel` and the spec's columns of `features`; raises InputError for too little history."""
        folds = make_folds(panel.sessions, spec)
        names = spec.columns_of(features.names)
        table = BarTable.of(panel)
        sigma = table.flatten(panel_volatility(panel))
        returns = returns_of(table, table.flatten(panel.open), table.flatten(panel.close), sigma, spec)
        values = table.flatten(features.values)[:, [features.names.index(name) for name in names]]
        return TrainingData(table, names, values, returns, folds)


@dataclass(frozen=True)
class PreparedFold:
    """A fold with what was fitted on its window, and the networks it needs.

    Attributes
    ----------
    fold : Fold
    preprocess : Preprocessor
    limits : ClassLimits
    fit_rows, validation_rows : RangeRows
    tasks : tuple of Task
        One per seed; the arrays they name exist only while one of them is to be trained.
    """

    fold: Fold
    preprocess: Preprocessor
    limits: ClassLimits
    fit_rows: RangeRows
    validation_rows: RangeRows
    tasks: tuple[Task, ...]


def fold_seeds(seed: int, fold: Fold, count: int) -> list[int]:
    """Return the seeds of a fold's networks; the k-th is the same however many are asked for."""
    return [int(np.random.SeedSequence((seed, fold.number, k)).generate_state(1)[0]) for k in range(count)]


def train_folds(
    data: TrainingData,
    spec: ModelSpec,
    *,
    seed: int,
    jobs: int,
    results: Path,
    scratch: Path,
    progress: Progress,
) -> list[tuple[PreparedFold, list[FittedNetwork]]]:
    """Return every fold with its trained networks, training those that `results` does not hold."""
    make_store(results)
    prepared = [_prepare(data, fold, spec, seed, results, scratch / f"fold_{fold.number}") for fold in data.folds]
    missing = {item.fold.number: [task for task in item.tasks if not _is_finished(task)] for item in prepared}
    tasks = [task for group in missing.values() for task in group]
    with closing(train_here(tasks) if spec.quick else train_in_processes(tasks, jobs)) as events:
        stream = _EpochStream(events, missing)
        for item in prepared:
            opening = data.table.sessions[item.fold.test_first].date()
            label = f"training fold {item.fold.number} of {len(prepared)} (predicts from {opening})"
            total = spec.epochs * spec.seeds
            for _ in progress(stream.epochs(item.fold.number, total), label, total):
                pass
    return [(item, [_finished(task) for task in item.tasks]) for item in prepared]


def _prepare(data: TrainingData, fold: Fold, spec: ModelSpec, seed: int, results: Path, folder: Path) -> PreparedFold:
    window = FoldWindow.cut(data.table, data.values, data.names, data.returns, spec, fold)
    digest = window.digest(fold)
    seeds = fold_seeds(seed, fold, spec.seeds)
    tasks = tuple(Task(fold, spec, s, folder, results / f"{network_key(spec, digest, s)}.npz") for s in seeds)
    if not all(map(_is_finished, tasks)):
        write_window(window, folder)
    return PreparedFold(
        fold=fold,
        preprocess=window.preprocess,
        limits=window.limits,
        fit_rows=window.fit_rows,
        validation_rows=window.validation_rows,
        tasks=tasks,
    )


class _EpochStream:
    """Sorts what the workers report into one stream of epochs per fold, and clears a finished fold's arrays."""

    def __init__(self, events: Iterator[Event], missing: Mapping[int, Sequence[Task]]) -> None:
        self._events = events
        self._left = {number: len(tasks) for number, tasks in missing.items()}
        self._epochs = dict.fromkeys(missing, 0)

    def epochs(self, number: int, total: int) -> Iterator[int]:
        """Yield once per epoch until the fold is done; what early stopping or the cache saved follows at once."""
        shown = 0
        while self._left[number]:
            self._count(next(self._events))
            yield from range(shown, self._epochs[number])
            shown = self._epochs[number]
        yield from range(shown, total)

    def _count(self, event: Event) -> None:
        number = event.task.fold.number
        if not event.finished:
            self._epochs[number] += 1
            return
        self._left[number] -= 1
        if not self._left[number]:
            shutil.rmtree(event.task.arrays, ignore_errors=True)


def _is_finished(task: Task) -> bool:
    return read_network(task.result) is not None


def _finished(task: Task) -> FittedNetwork:
    fitted = read_network(task.result)
    if fitted is None:
        raise RuntimeError(f"training result {task.result}: expected a finished network, found none")
    return fitted
