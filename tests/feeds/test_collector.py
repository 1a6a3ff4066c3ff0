from __future__ import annotations

import contextlib
import gc

import pytest

from feeds.collector import collector_paused


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
