from __future__ import annotations

from feeds.progress import silent


def test_silent_passes_every_item_through_in_order():
    assert list(silent([3, 1, 2], "counting", 3)) == [3, 1, 2]
