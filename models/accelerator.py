"""A GPU for training, where TensorFlow sees one.

Keras takes cuDNN's LSTM by itself on a GPU, as long as nothing is compiled with XLA (`models.network` asks for
that nowhere). What is left to say is how several training processes share the cards. On a CPU nothing changes.
On a GPU the same seed gives nearly the same network, not the same bytes: sums are taken in another order.
"""

from __future__ import annotations

import os
from pathlib import Path

_NODES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""What a system with a GPU shows: NVIDIA's driver, Windows' subsystem, AMD's."""


def device() -> str:
    """Return ``gpu`` or ``cpu``: what trainings on this machine use, as far as the system tells without TensorFlow.

    A driver whose libraries TensorFlow does not find counts as a GPU.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return "gpu" if not hidden and any(Path(node).exists() for node in _NODES) else "cpu"


def share_accelerators(worker: int) -> None:
    """Take one GPU for the training process number `worker`, in turn, and only the memory that is needed of it."""
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    if not cards:
        return
    card = cards[worker % len(cards)]
    tf.config.set_visible_devices(card, "GPU")
    tf.config.experimental.set_memory_growth(card, True)


def has_gpu() -> bool:
    """Say whether this process trains on a GPU."""
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))
