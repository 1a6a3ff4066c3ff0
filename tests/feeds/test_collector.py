from __future__ import annotations

import contextlib
import gc
import weakref

import pytest

from feeds.collector import collector_paused, collector_rare


@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_collector_is_back_even_after_an_error(error):
    with contextlib.suppress(ValueError), collector_paused():
        assert not gc.isenabled()
        if error is not None:
            raise error
    assert gc.isenabled()


def test_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_rare_collector_is_as_before_even_after_an_error(error):
    before = gc.get_threshold()
    with contextlib.suppress(ValueError), collector_rare():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > 0
        if error is not None:
            raise error
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_rare_collector_still_finds_cycles():
    class Node:
        pass

    with collector_rare():
        node = Node()
        node.itself = node
        seen = weakref.ref(node)
        del node
        kept = [[] for _ in range(2 * gc.get_threshold()[0])]
        assert seen() is None
    assert kept


def test_rare_collector_leaves_one_that_never_searches_alone():
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with collector_rare():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


def test_rare_collector_leaves_what_another_has_frozen_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        kept = [[] for _ in range(10_000)]
        with collector_rare():
            assert gc.get_freeze_count() <= frozen  # less what has been freed since
            assert gc.get_threshold()[0] > 700
        assert gc.get_freeze_count() > frozen / 2
    finally:
        gc.unfreeze()
    assert kept
