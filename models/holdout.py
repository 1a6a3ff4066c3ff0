"""The sealed sessions, opened once: a file remembers which model looked at them, and refuses the next one.

A model that was chosen by its result on the holdout has learned from it, so only the first look is out of
sample. Repeating the same model shows nothing new and is allowed. Strategies are not refused but counted: each
other choice of strategy, parameters or costs is one more look at the same sessions.

A holdout is known again by its prices, not by where they lie, nor by its exact dates. The trace keeps, for each
ticker and each sealed calendar month, a digest of the ticker's closes in the twenty sessions up to the first of the
month. They are the same on whichever day of the month the seal begins or the data end. Two holdouts overlap where
their dates do and one ticker has the same digest in one month: a moved date, or a ticker more or less, opens nothing
anew. Prices that the source has since scaled anew (by a later dividend, say) are not known again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import EnvironmentFailure, InputError
from feeds.panel import PricePanel
from models.spec import ModelSpec

_WINDOW = 20
_FEWEST_CLOSES = 10  # fewer could agree by chance
Closes = Mapping[str, Mapping[str, str]]


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
    look, looks : int
        Which of how many distinct choices of strategy, parameters and costs this is, in the order of the first look;
        `look` is 0 where nothing is traded.
    changed : str
        What tells this look from the first one; empty for the first one.
    """

    trace: Path
    opened_at: str
    repeated: bool
    look: int = 0
    looks: int = 0
    changed: str = ""


def open_holdout(
    panel: PricePanel, spec: ModelSpec, seed: int, folder: Path, look: Mapping[str, Any] | None = None
) -> Opening | None:
    """Let `spec` look at the sessions from its `holdout_from` on; None where the panel has none.

    Parameters
    ----------
    panel : PricePanel
        With the sessions before the holdout.
    spec : ModelSpec
    seed : int
    folder : Path
        Of the traces; made where it is missing.
    look : mapping of str to what JSON holds, or None
        What is traded on the holdout and how; None where nothing is.

    Raises
    ------
    InputError
        If another model, or this one with another seed, has looked at a part of these sessions before.
    EnvironmentFailure
        If a trace cannot be read or written.
    """
    sealed = panel.sessions >= pd.Timestamp(str(spec.holdout_from))
    if not sealed.any():
        return None
    row = int(sealed.argmax())
    span = {"from": str(panel.sessions[row].date()), "to": str(panel.sessions[-1].date())}
    mine = span | {"model": _model_of(spec, seed), "looks": [], "closes": closes_of_months(panel, row)}
    seen = _overlapping(folder, mine)
    for trace, before in seen:
        if before["model"] != mine["model"]:
            raise _refused(trace, before, mine)
    if seen:
        return _kept(*seen[0], mine, look, repeated=True)
    name = hashlib.sha256(json.dumps(mine, sort_keys=True).encode()).hexdigest()[:16]
    opened = {"opened_at": datetime.now(UTC).isoformat(timespec="seconds"), **mine}
    return _kept(folder / f"{name}.json", opened, mine, look, repeated=False)


def closes_of_months(panel: PricePanel, row: int) -> dict[str, dict[str, str]]:
    """Return ticker → month → digest of the closes up to the month's first session, for each month from `row` on.

    The source's closes in single precision, so that neither where a history begins nor the last digit of an
    adjustment matters. A ticker with fewer than ten in the twenty sessions has none for the month.
    """
    closes = panel.source_price("close").astype(np.float32)
    months = panel.sessions.strftime("%Y-%m")
    found: dict[str, dict[str, str]] = {}
    for month in months[row:].unique():
        first = int((months == month).argmax())
        window = closes[max(0, first + 1 - _WINDOW) : first + 1]
        for ticker, column in zip(panel.tickers, window.T, strict=True):
            known = column[np.isfinite(column)]
            if len(known) >= _FEWEST_CLOSES:
                found.setdefault(ticker, {})[month] = hashlib.sha256(known.tobytes()).hexdigest()[:12]
    return found


def _overlapping(folder: Path, mine: Mapping[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the traces of holdouts that share a session and a ticker's prices with this one."""
    found = []
    for trace in sorted(folder.glob("*.json")):
        before = _read(trace)
        in_time = before["from"] <= mine["to"] and mine["from"] <= before["to"]
        if in_time and _share_prices(before["closes"], mine["closes"]):
            found.append((trace, before))
    return found


def _share_prices(one: Closes, other: Closes) -> bool:
    return any(one[ticker].items() & other[ticker].items() for ticker in one.keys() & other.keys())


def _read(trace: Path) -> dict[str, Any]:
    try:
        content = json.loads(trace.read_text(encoding="utf-8"))
        missing = {"opened_at", "model", "from", "to", "looks", "closes"} - set(content)
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(trace, error) from error
    if missing:
        raise _unusable(trace, f"it has no `{min(missing)}`; move it away if nobody chose a model by it")
    return dict(content)


def _kept(
    trace: Path, before: Mapping[str, Any], mine: Mapping[str, Any], look: Mapping[str, Any] | None, *, repeated: bool
) -> Opening:
    """Write down what is now seen, of which sessions and with which strategy, and return it."""
    looks = [*before["looks"]]
    if look is not None and look not in looks:
        looks.append(dict(look))
    closes = {ticker: {**before["closes"].get(ticker, {}), **months} for ticker, months in mine["closes"].items()}
    now = {
        **before,
        "from": min(before["from"], mine["from"]),
        "to": max(before["to"], mine["to"]),
        "looks": looks,
        "closes": {**before["closes"], **closes},
    }
    if not repeated or now != before:
        try:
            _write(trace, now)
        except OSError as error:
            raise _unusable(trace, error) from error
    number = 0 if look is None else looks.index(look) + 1
    changed = _difference(looks[0], look) if look is not None and number > 1 else ""
    return Opening(trace, before["opened_at"], repeated, number, len(looks), changed)


def _refused(trace: Path, before: Mapping[str, Any], mine: Mapping[str, Any]) -> InputError:
    return InputError(
        f"holdout from {mine['from']} to {mine['to']}: expected the model that opened {before['from']} to "
        f"{before['to']} of the same prices on {before['opened_at']} ({_difference(before['model'], mine['model'])}), "
        "because a second model's look is not out of sample; set `holdout` to 'sealed', or move "
        f"{trace} away to look all the same"
    )


def _unusable(trace: Path, why: object) -> EnvironmentFailure:
    return EnvironmentFailure(f"cannot keep or read the trace of the holdout {trace}: {why}")


def _model_of(spec: ModelSpec, seed: int) -> dict[str, Any]:
    return json.loads(spec.canonical()) | {"seeds": spec.seeds, "seed": seed}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
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
