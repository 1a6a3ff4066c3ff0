"""Loading data whose last sessions a model's `holdout_from` seals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.inputs import Inputs, NoBarLeft, load_inputs
from engine.settings import Settings
from feeds.errors import InputError
from feeds.progress import Progress
from models.holdout import Opening, open_holdout
from models.spec import ModelSpec

_OF_A_LOOK = (
    "strategy", "cash", "commission_bps", "slippage_bps", "commission", "slippage", "volume_percent", "unaffordable",
    "delisting_return", "universe", "filings",
)  # fmt: skip


def load_unsealed(settings: Settings, spec: ModelSpec, progress: Progress, *, traded: bool = False) -> Inputs:
    """Load the inputs, without the sessions that are sealed, and say so in a note.

    Where they will be `traded`, looks at an opened holdout with different strategies are counted.

    What is sealed is not even loaded: no return, price, repair, benchmark or figure can come from it. What is
    opened leaves a trace in the cache folder.

    Raises
    ------
    InputError
        If the holdout is to be opened without a cache folder, or was opened by another model.
    EnvironmentFailure
        If the trace cannot be kept.
    """
    if spec.holdout_from is None:
        return load_inputs(settings, progress)
    if spec.holdout == "open":
        return _opened(settings, spec, progress, traded=traded)
    before = date.fromisoformat(spec.holdout_from) - timedelta(days=1)
    if settings.last is not None and settings.last <= before:
        return load_inputs(settings, progress)
    try:
        inputs = load_inputs(replace(settings, last=before), progress)
    except NoBarLeft as error:
        raise InputError(
            f"model setting `holdout_from`: expected a date after the first bar, received {spec.holdout_from}: "
            "every session is sealed"
        ) from error
    note = (
        f"Sealed: by `holdout_from`, sessions from {spec.holdout_from} on were not loaded. Nothing here was learned "
        "from them, traded on them, measured on them or compared with them."
    )
    return replace(inputs, notes=[*inputs.notes, note], holdout={"status": "sealed", "from": spec.holdout_from})


def _opened(settings: Settings, spec: ModelSpec, progress: Progress, *, traded: bool) -> Inputs:
    if not settings.cache:
        raise InputError(
            "`holdout`: expected a cache folder, which remembers who opened it, received `--cache none`; name a folder"
        )
    inputs = load_inputs(settings, progress)
    look = look_of(settings) if traded else None
    opening = open_holdout(inputs.panel, spec, settings.seed, Path(settings.cache) / "holdouts", look)
    if opening is None:
        return inputs
    again = ", before this run and by the same model" if opening.repeated else ""
    note = (
        f"Opened: the sessions from {spec.holdout_from} on were sealed until {opening.opened_at}{again}. "
        f"{opening.trace} remembers it; another model is refused there."
    )
    holdout = {"status": "opened", "from": spec.holdout_from, "opened_at": opening.opened_at}
    return replace(
        inputs,
        notes=[*inputs.notes, note],
        warnings=[*inputs.warnings, *look_warnings(opening)],
        holdout=holdout | {"look": opening.look, "looks": opening.looks},
    )


def holdout_entry(
    holdout: Mapping[str, Any], sessions: pd.DatetimeIndex, measure: Callable[[np.ndarray], dict[str, Any]]
) -> dict[str, Any]:
    """Return the evaluation's entry ``holdout``: what is known of it, and of an opened one its measures alone.

    `measure` takes the sessions of the decisions as a mask, shape [T]; ``before`` is of those before the holdout.
    """
    if holdout.get("status") != "opened":
        return {"holdout": dict(holdout)} if holdout else {}
    inside = np.asarray(sessions >= pd.Timestamp(holdout["from"]))
    parts = {"measures": measure(inside), "before": measure(~inside)}
    told = {part: {name: of[name] for name in of if name != "reliability"} for part, of in parts.items()}
    return {"holdout": {**holdout, **told}}


def look_of(settings: Settings) -> dict[str, Any]:
    """Return what tells one strategy's look at the holdout from another's: strategy, parameters, costs and stocks."""
    look = {name: getattr(settings, name) for name in _OF_A_LOOK} | {"from": str(settings.first)}
    look["tickers"] = list(settings.tickers)
    if settings.predictions is not None:
        look["predictions"] = hashlib.sha256(Path(settings.predictions).read_bytes()).hexdigest()[:16]
    return look | {f"params.{name}": value for name, value in sorted(settings.params.items())}


def look_warnings(opening: Opening) -> list[str]:
    """Return the warning that the holdout was looked at more than once; nothing for the first look."""
    if not opening.look or opening.looks < 2:
        return []
    changed = f": {opening.changed}" if opening.changed else ""
    return [
        f"HOLDOUT LOOKED AT {opening.looks} TIMES: this is look {opening.look} of {opening.looks} at the opened "
        f"sessions with different strategies, parameters, costs or stocks{changed}. Only the first look is out of "
        "sample; the best of several is tuned on the holdout."
    ]
