"""Work on many things in a few threads, stoppable between any two of them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from feeds.edgar_pace import Pace, Stopped

Item = TypeVar("Item")
Result = TypeVar("Result")
_PATIENCE_S = 10.0


def in_threads(
    items: Iterable[Item], work: Callable[[Item], Result], threads: int, pace: Pace
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, result) as they are done, in any order.

    An exception of `work`, and leaving the iteration early (an interrupt), stop `pace`: nothing new
    begins, what is under way gets ten seconds to end.

    Raises
    ------
    Exception
        Whatever `work` raised first.
    """
    todo, lock = iter(items), threading.Lock()
    done: queue.Queue[tuple[Item, Result] | BaseException | None] = queue.Queue()

    def take() -> Iterator[Item]:
        while True:
            with lock:
                try:
                    item = next(todo)
                except StopIteration:
                    return
            yield item

    def run() -> None:
        try:
            for item in take():
                pace.check()
                done.put((item, work(item)))
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            done.put(error)
        done.put(None)

    # Daemons: a server that answers slowly must not hold an interrupted program back.
    workers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    try:
        for worker in workers:
            worker.start()
        yield from _results(done, threads)
    except BaseException:
        pace.stop()
        _join(workers)
        raise


def _results(
    done: queue.Queue[tuple[Item, Result] | BaseException | None], threads: int
) -> Iterator[tuple[Item, Result]]:
    while threads:
        got = done.get()
        if got is None:
            threads -= 1
        elif isinstance(got, BaseException):
            raise got
        else:
            yield got


def _join(workers: list[threading.Thread]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    for worker in workers:
        if worker.ident is not None:
            worker.join(max(0.0, deadline - time.monotonic()))
