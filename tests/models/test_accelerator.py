"""With a TensorFlow that is made up: no machine of ours has a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from models import accelerator
from models.accelerator import device, share_accelerators


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


@pytest.mark.parametrize(
    ("nodes", "visible", "expected"),
    [
        ([], None, "cpu"),
        (["card"], None, "gpu"),
        (["card"], "1", "gpu"),
        (["card"], "", "cpu"),
        (["card"], "-1", "cpu"),
    ],
)
def test_device_is_what_the_system_shows_and_the_user_lets_be_seen(tmp_path, monkeypatch, nodes, visible, expected):
    for node in nodes:
        (tmp_path / node).write_text("")
    monkeypatch.setattr(accelerator, "_NODES", (str(tmp_path / "card"),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device() == expected


def test_share_accelerators_without_a_card_changes_nothing(monkeypatch):
    calls: list[tuple] = []
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in([], calls))
    share_accelerators(0)
    assert calls == []
