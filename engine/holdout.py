"""Loading data whose last sessions a model's `holdout_from` seals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from engine.inputs import Inputs, NoBarLeft, load_inputs
from engine.settings import Settings
from feeds.errors import InputError
from feeds.progress import Progress
from models.holdout import open_holdout
from models.spec import ModelSpec


def load_unsealed(settings: Settings, spec: ModelSpec, progress: Progress) -> Inputs:
    """Load the inputs, without the sessions that are sealed, and say so in a note.

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
        return _opened(settings, spec, progress)
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
    return replace(inputs, notes=[*inputs.notes, note])


def _opened(settings: Settings, spec: ModelSpec, progress: Progress) -> Inputs:
    if not settings.cache:
        raise InputError(
            "`holdout`: expected a cache folder, which remembers who opened it, received `--cache none`; name a folder"
        )
    inputs = load_inputs(settings, progress)
    opening = open_holdout(inputs.panel, spec, settings.seed, Path(settings.cache) / "holdouts")
    if opening is None:
        return inputs
    again = ", before this run and by the same model" if opening.repeated else ""
    note = (
        f"Opened: the sessions from {spec.holdout_from} on were sealed until {opening.opened_at}{again}. "
        f"{opening.trace} remembers it; another model is refused there."
    )
    return replace(inputs, notes=[*inputs.notes, note])
