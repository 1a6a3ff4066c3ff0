"""The process-wide pace: spacing, pauses for everybody, slower after, and giving up."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from feeds.edgar_pace import Pace, Stopped
from feeds.errors import EnvironmentFailure


def pace(per_second: float = 1000.0, pause_s: float = 0.05) -> tuple[Pace, list[str]]:
    told: list[str] = []
    return Pace(per_second, pause_s, told.append), told


def test_turns_of_many_threads_are_spaced_by_the_rate():
    one, _ = pace(per_second=100.0)
    turns: list[float] = []
    threads = [threading.Thread(target=lambda: turns.extend(one.turn() for _ in range(5))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns.sort()
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert len(turns) == 30
    assert min(gaps) >= 0.01 - 1e-6


def test_refused_pauses_every_turn_and_slows_down_for_good():
    one, told = pace(per_second=10.0, pause_s=0.2)
    first = one.turn()
    one.refused(first, "refused with 429")
    assert one.turn() >= first + 0.2
    assert one.per_second == pytest.approx(7.0)
    assert told == ["sec.gov: refused with 429; all requests wait 0.2 seconds, then 7.0 a second go on"]


def test_refusals_of_requests_under_way_at_the_first_one_are_one_pause():
    one, told = pace()
    turns = [one.turn() for _ in range(4)]
    for turn in turns:
        one.refused(turn, "refused with 403")
    assert len(told) == 1


def test_pauses_grow_while_refusals_go_on_and_start_anew_after_an_answer():
    one, told = pace(pause_s=0.1)
    for _ in range(3):
        one.refused(one.turn(), "refused")
    one.answered(one.turn())
    one.refused(one.turn(), "refused")
    waits = [text.split("wait ")[1].split(" seconds")[0] for text in told]
    assert waits == ["0.1", "0.2", "0.4", "0.1"]


def test_refused_asks_for_longer_than_our_pause_and_gets_it():
    one, told = pace(pause_s=0.01)
    one.refused(one.turn(), "refused", retry_after_s=0.1)
    assert "0.1 seconds" in told[0]


def test_seventh_pause_without_an_answer_ends_the_download():
    one, _ = pace(pause_s=0.001)
    for _ in range(6):
        one.refused(one.turn(), "refused with 403")
    with pytest.raises(EnvironmentFailure, match=r"sec.gov: expected an answer after 6 pauses, received refused"):
        one.refused(one.turn(), "refused with 403")


def test_twenty_failures_in_a_row_are_a_pause():
    one, told = pace()
    for _ in range(19):
        one.failed("no answer in time")
    one.succeeded()
    for _ in range(19):
        one.failed("no answer in time")
    assert told == []
    one.failed("no answer in time")
    assert "20 failures in a row, the last: no answer in time" in told[0]


def test_stop_ends_a_pause_at_once():
    one, _ = pace(pause_s=60.0)
    one.refused(one.turn(), "refused")
    threading.Timer(0.05, one.stop).start()
    begun = time.monotonic()
    with pytest.raises(Stopped):
        one.turn()
    assert time.monotonic() - begun < 5
    with pytest.raises(Stopped):
        one.check()
