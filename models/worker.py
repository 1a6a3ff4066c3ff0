"""Training processes: each is spawned, loads TensorFlow once with one thread, and works through tasks.

Parent and worker speak over a pipe: a task down, then up the number of each finished epoch and at the end
``done``, ``refused`` with what the disk said, ``mistaken`` with what a setting led to, or the text of what went
wrong. Arrays travel as files that the worker maps. A worker ends when its parent does, however that happens, so
that no process is left behind.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np

from feeds.errors import EnvironmentFailure, InputError
from models.accelerator import share_accelerators
from models.fitting import fit
from models.fold_cache import write_network
from models.fold_window import FoldWindow, fit_data
from models.folds import Fold
from models.network import FittedNetwork
from models.spec import ModelSpec

_ARRAYS = ("inputs", "classes", "session_row", "ticker_column")
# Before numpy and TensorFlow are loaded, so in the environment that a worker is born with.
WORKER_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


_GUARD = 'its own error stands above; a script that trains needs `if __name__ == "__main__":` around its calls'
_MEMORY = "most often the memory is full; use fewer `--jobs` or fewer tickers (finished folds are kept in the cache)"


@dataclass(frozen=True)
class Task:
    """One network to train: a fold, a seed, where its arrays are and where the result goes."""

    fold: Fold
    spec: ModelSpec
    seed: int
    arrays: Path
    result: Path


@dataclass(frozen=True)
class Event:
    """What a worker reports: `epoch` finished of a task, or the task itself when `finished`."""

    task: Task
    epoch: int
    finished: bool


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    task: Task | None = None


def write_window(window: FoldWindow, folder: Path) -> None:
    """Write a window's arrays where workers map them; raises EnvironmentFailure where the disk refuses them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(window, name), allow_pickle=False)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot write {folder}: {error.strerror}; make room, or name another temporary folder in `TMPDIR`"
        ) from error


def train(task: Task, on_epoch: Callable[[int], None]) -> None:
    """Train one network in this process and write it to `task.result`; raises InputError where it diverges."""
    arrays = [np.load(task.arrays / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
    inputs, classes, session_row, ticker_column = arrays
    data = fit_data(inputs, classes, session_row, ticker_column, task.fold, task.spec)
    fitted = fit(data, task.spec, task.seed, on_epoch)
    _require_finite(fitted, task)
    write_network(fitted, task.result)


def _require_finite(fitted: FittedNetwork, task: Task) -> None:
    """Refuse a network whose loss was never a number; it would be kept, and trade on equal probabilities."""
    if fitted.best_epoch == 0:
        raise InputError(
            f"training of fold {task.fold.number} with seed {task.seed} diverged: expected a finite validation "
            f"log-loss, received none in {fitted.epochs} epochs; lower the model settings `learning_rate` "
            f"(now {task.spec.learning_rate:g}) and `clipnorm` (now {task.spec.clipnorm:g})"
        )


def train_here(tasks: Sequence[Task]) -> Generator[Event, None, None]:
    """Train `tasks` one after the other in this process: what takes less time than a process to start."""
    for task in tasks:
        train(task, lambda epoch: None)
        yield Event(task, 1, finished=False)
        yield Event(task, 1, finished=True)


def train_in_processes(tasks: Sequence[Task], jobs: int) -> Generator[Event, None, None]:
    """Train `tasks` in at most `jobs` processes; yields what they report, in the order it comes in.

    Closing the generator ends the processes at once.

    Raises
    ------
    EnvironmentFailure
        If a process dies without a word (killed, out of memory), or cannot keep its result.
    InputError
        If a training diverges.
    RuntimeError
        With the worker's traceback, if the training itself fails.
    """
    waiting = iter(tasks)
    workers = [_start_worker(number) for number in range(min(jobs, len(tasks)))]
    try:
        for worker in workers:
            _hand_out(worker, waiting)
        while busy := [worker for worker in workers if worker.task is not None]:
            ready = wait([worker.pipe for worker in busy])
            for worker in (w for w in busy if w.pipe in ready):
                event = _receive(worker)
                if event.finished:
                    _hand_out(worker, waiting)
                yield event
    finally:
        for worker in workers:
            _stop(worker)


def _start_worker(number: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, number), daemon=True)
    with _environment(WORKER_ENVIRONMENT):
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _hand_out(worker: _Worker, waiting: Iterator[Task]) -> None:
    worker.task = next(waiting, None)
    if worker.task is not None:
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when its answer is read
            worker.pipe.send(worker.task)


def _receive(worker: _Worker) -> Event:
    assert worker.task is not None
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        worker.process.join()
        raise _death(worker) from error
    if kind == "refused":
        raise EnvironmentFailure(content)
    if kind == "mistaken":
        raise InputError(content)
    if kind == "failed":
        raise RuntimeError(f"training of fold {worker.task.fold.number} failed:\n{content}")
    return Event(worker.task, content, finished=kind == "done")


def _death(worker: _Worker) -> EnvironmentFailure:
    assert worker.task is not None
    code = worker.process.exitcode
    # With 1, Python ended by itself before the training began, and has said why.
    reason = _GUARD if code == 1 else _MEMORY
    return EnvironmentFailure(
        f"the training process of fold {worker.task.fold.number} died with exit code {code}: {reason}"
    )


def _stop(worker: _Worker) -> None:
    """End a process at once: results are written whole or not at all, so nothing is lost but time."""
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()


def _work(pipe: Connection, number: int) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _silence_libraries()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(_outcome(task, pipe, number))


@cache
def _share_accelerators_once(number: int) -> None:
    share_accelerators(number)


def _outcome(task: Task, pipe: Connection, number: int) -> tuple[str, int | str]:
    finished = 0

    def report(epoch: int) -> None:
        nonlocal finished
        finished = epoch
        pipe.send(("epoch", epoch))

    try:
        _share_accelerators_once(number)
        train(task, report)
    except EnvironmentFailure as error:
        return "refused", str(error)
    except InputError as error:
        return "mistaken", str(error)
    except Exception:  # noqa: BLE001 - whatever it is, the parent raises it with this traceback
        return "failed", traceback.format_exc()
    return "done", finished


def _silence_libraries() -> None:
    """Send what TensorFlow's native code writes to stderr nowhere; errors travel through the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
