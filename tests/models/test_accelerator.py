"""With a TensorFlow that is made up: no machine of ours has a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from models.accelerator import share_accelerators


def stand_in(cards: list[str], calls: list[tuple]) -> SimpleNamespace:
    def record(name):
        return lambda *given: calls.append((name, *given))

    experimental = SimpleNamespace(set_memory_growth=record("growth"))
    return SimpleNamespace(
        config=SimpleNamespace(
            list_physical_devices=lambda kind: cards if kind == "GPU" else ["cpu"],
            set_visible_devices=record("visible"),
            experimental=experimental,
        )
    )


@pytest.mark.parametrize(("worker", "card"), [(0, "first"), (1, "second"), (2, "first")])
def test_share_accelerators_workers_take_the_cards_in_turn(monkeypatch, worker, card):
    calls: list[tuple] = []
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in(["first", "second"], calls))
    share_accelerators(worker)
    assert calls == [("visible", card, "GPU"), ("growth", card, True)]


def test_share_accelerators_without_a_card_changes_nothing(monkeypatch):
    calls: list[tuple] = []
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in([], calls))
    share_accelerators(0)
    assert calls == []
