"""Work in threads: everything once, errors told, stoppable."""

from __future__ import annotations

import threading

import pytest

from feeds.edgar_pace import Pace, Stopped
from feeds.edgar_workers import in_threads


def pace() -> Pace:
    return Pace(1000.0, 0.01, lambda text: None)


def test_work_in_threads_gives_every_result_once():
    results = dict(in_threads(range(200), lambda item: item * item, 4, pace()))
    assert results == {item: item * item for item in range(200)}


def test_work_in_threads_is_shared_among_them():
    meeting = threading.Barrier(3, timeout=5)
    assert len(list(in_threads(range(3), lambda item: meeting.wait(), 3, pace()))) == 3


def test_work_that_fails_raises_and_stops_the_rest():
    one, done = pace(), []

    def work(item: int) -> None:
        if item == 3:
            raise OSError("No space left on device")
        done.append(item)

    with pytest.raises(OSError, match="No space left on device"):
        list(in_threads(range(10_000), work, 2, one))
    assert len(done) < 10_000
    with pytest.raises(Stopped):
        one.check()


def test_work_left_early_stops():
    one = pace()
    results = in_threads(range(10_000), lambda item: item, 2, one)
    next(results)
    results.close()
    with pytest.raises(Stopped):
        one.check()


def test_work_that_is_stopped_ends_without_an_error():
    one = pace()
    one.stop()
    assert list(in_threads(range(10), lambda item: item, 2, one)) == []
