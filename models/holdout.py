"""The sealed sessions, opened once: a file remembers which model looked at them, and refuses the next one.

A model that was chosen by its result on the holdout has learned from it, so only the first look is out of
sample. Repeating the same model shows nothing new and is allowed. The file is named by the first sealed session
and its prices, not by where they lie, so that a copy of the data does not pass for data that nobody has seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import EnvironmentFailure, InputError
from feeds.panel import PricePanel
from models.spec import ModelSpec


@dataclass(frozen=True)
class Opening:
    """A look at the holdout.

    Attributes
    ----------
    trace : Path
        The file that remembers it.
    opened_at : str
        When the model looked for the first time, UTC.
    repeated : bool
        Whether the same model has looked before.
    """

    trace: Path
    opened_at: str
    repeated: bool


def open_holdout(panel: PricePanel, spec: ModelSpec, seed: int, folder: Path) -> Opening | None:
    """Let `spec` look at the sessions from its `holdout_from` on; None where the panel has none.

    Raises
    ------
    InputError
        If another model, or this one with another seed, has looked before.
    EnvironmentFailure
        If the trace cannot be read or written.
    """
    sealed = panel.sessions >= pd.Timestamp(str(spec.holdout_from))
    if not sealed.any():
        return None
    trace = folder / f"{_fingerprint(panel, int(sealed.argmax()))}.json"
    mine = _model_of(spec, seed)
    try:
        before = json.loads(trace.read_text(encoding="utf-8")) if trace.exists() else None
        if before is None:
            before = {"opened_at": datetime.now(UTC).isoformat(timespec="seconds"), "model": mine}
            _write(trace, before | {"from": spec.holdout_from, "to": str(panel.sessions[-1].date())})
            return Opening(trace, before["opened_at"], repeated=False)
    except (OSError, ValueError) as error:
        raise EnvironmentFailure(f"cannot keep or read the trace of the holdout {trace}: {error}") from error
    if before["model"] != mine:
        raise InputError(
            f"holdout from {spec.holdout_from}: expected the model that opened it on {before['opened_at']} "
            f"({_difference(before['model'], mine)}), because a second model's look is not out of sample; set "
            f"`holdout` to 'sealed', or move {trace} away to look all the same"
        )
    return Opening(trace, before["opened_at"], repeated=True)


def _fingerprint(panel: PricePanel, row: int) -> str:
    closes = panel.source_price("close")[row].astype(np.float32)
    order = np.argsort(panel.tickers)
    sha = hashlib.sha256(str(panel.sessions[row].date()).encode())
    sha.update(closes[order][np.isfinite(closes[order])].tobytes())
    return sha.hexdigest()[:16]


def _model_of(spec: ModelSpec, seed: int) -> dict[str, Any]:
    return json.loads(spec.canonical()) | {"seeds": spec.seeds, "seed": seed}


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Name the first setting that is another one."""
    name = next(key for key in sorted({*before, *now}) if before.get(key) != now.get(key))
    return f"`{name}` {before.get(name)!r}, received {now.get(name)!r}"


def _write(trace: Path, content: dict[str, Any]) -> None:
    trace.parent.mkdir(parents=True, exist_ok=True)
    unfinished = trace.with_name(f".{trace.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(trace)
    finally:
        unfinished.unlink(missing_ok=True)
