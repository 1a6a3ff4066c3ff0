"""How many model specifications were tried on the same prices: a ledger in the cache folder.

Whoever tries many models and keeps the best finds skill where there is none; how much, depends on the number of
tries. So each specification that was trained leaves one line in ``trials/<prices>.jsonl``. The closes of the first
half year name the file, so that a later end, or a holdout that is opened, goes on with the count. What else is
chosen names the trial: every setting of the model but the name of its preset, the seed, and the insider columns of
the first half year that has any. The same model again is no new trial.

Rivals (`--against`), ablations and placebo fits are not counted, because nobody chooses among them; a baseline that
is itself trained as the model is. What another cache
folder saw, or a try on other prices (another first session, or a stock more or less in the first half year), is
not known here.
"""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from feeds.errors import EnvironmentFailure
from feeds.panel import FeaturePanel, PricePanel
from models.spec import INSIDER_PREFIX, ModelSpec

_NAMING_SESSIONS = 120  # half a year, which every panel has that a model can be trained on
_NOT_OF_A_TRIAL = ("name", "holdout_from", "holdout")  # what is sealed is not among the prices


@dataclass(frozen=True)
class Trials:
    """What the ledger of these prices holds.

    Attributes
    ----------
    total : int
        Distinct specifications tried.
    number : int or None
        Which of them, in the order of the first try, is the one asked about; None if none is.
    warnings : list of str
        Lines that cannot be read, which are not counted.
    """

    total: int
    number: int | None
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the evaluation's entry ``trials``."""
        return {"number": self.number, "of": self.total}


def prices_digest(panel: PricePanel) -> str:
    """Return what names the ledger: the source's closes of the first half year, of every stock that traded then.

    What comes later is left out, stocks that are listed later too: neither `--to` nor a sealed holdout changes the
    name. Single precision, so that the last digit of an adjustment does not.
    """
    first = slice(0, _NAMING_SESSIONS)
    closes = panel.source_price("close")[first].astype(np.float32)
    sha = hashlib.sha256(panel.sessions[first].to_numpy().astype("datetime64[D]").tobytes())
    for column in np.flatnonzero(np.isfinite(closes).any(axis=0)):
        sha.update(panel.tickers[column].encode())
        sha.update(np.ascontiguousarray(closes[:, column]).tobytes())
    return sha.hexdigest()


def trial_digest(spec: ModelSpec, seed: int, features: FeaturePanel) -> str:
    """Return what tells one specification from another: settings, seed, and the insider columns' first half year."""
    settings = {name: value for name, value in spec.as_dict().items() if name not in _NOT_OF_A_TRIAL}
    sha = hashlib.sha256(json.dumps(settings | {"seed": seed}, sort_keys=True).encode())
    insider = [name for name in spec.columns_of(features.names) if name.startswith(INSIDER_PREFIX)]
    values = features.values[:, :, [features.names.index(name) for name in insider]]
    told = (np.nan_to_num(values) != 0).any(axis=(1, 2))
    first = int(told.argmax()) if told.any() else len(told)
    sha.update(json.dumps(insider).encode())
    sha.update(np.ascontiguousarray(_of_traders(values[first : first + _NAMING_SESSIONS])).tobytes())
    return sha.hexdigest()[:32]


def count_trial(folder: Path, prices: str, trial: str, spec: ModelSpec, seed: int) -> Trials:
    """Add a trial to the ledger of these prices, unless it is there, and return what the ledger then holds.

    Parameters
    ----------
    folder : Path
        Of the ledgers; made where it is missing.
    prices : str
        `prices_digest` of the panel.
    trial : str
        `trial_digest` of `spec` and `seed`, which are written for a reader of the ledger.

    Raises
    ------
    EnvironmentFailure
        If the ledger cannot be read or written.
    """
    ledger = _ledger(folder, prices)
    if trial not in _guarded_read(ledger)[0]:
        told = {"trial": trial, "name": spec.name, "tried_on": datetime.now(UTC).date().isoformat(), "seed": seed}
        try:
            _append(ledger, json.dumps(told | {"spec": spec.as_dict()}))
        except OSError as error:
            raise _refused(ledger, error) from error
    return known_trials(folder, prices, trial)


def known_trials(folder: Path, prices: str, trial: str | None = None) -> Trials:
    """Return what the ledger of these prices holds; raises EnvironmentFailure where it cannot be read."""
    ledger = _ledger(folder, prices)
    known, unreadable = _guarded_read(ledger)
    warnings = [
        f"{ledger}: line {line} cannot be read and is not counted: more specifications may have been tried on these "
        "prices than the report says"
        for line in unreadable
    ]
    return Trials(len(known), known.index(trial) + 1 if trial in known else None, warnings)


def _of_traders(values: np.ndarray) -> np.ndarray:
    """Drop the stocks of which nothing is told, shape [T, N, F], so that one that is listed later changes nothing."""
    return values[:, (np.nan_to_num(values) != 0).any(axis=(0, 2))]


def _ledger(folder: Path, prices: str) -> Path:
    return folder / f"{prices[:32]}.jsonl"


def _append(ledger: Path, text: str) -> None:
    """Write one line in one call, which the system does not interleave with another process's."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("ab+", buffering=0) as file:
        torn = file.tell() > 0 and _last_byte(ledger) != b"\n"  # of a process that was killed, or a full disk
        line = b"\n" * torn + text.encode() + b"\n"
        if (file.write(line) or 0) < len(line):
            raise OSError(errno.ENOSPC, "No space left on device")


def _last_byte(ledger: Path) -> bytes:
    with ledger.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)


def _guarded_read(ledger: Path) -> tuple[list[str], list[int]]:
    try:
        return _read(ledger)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise _refused(ledger, error) from error


def _read(ledger: Path) -> tuple[list[str], list[int]]:
    """Return the trials, each once and oldest first, and the numbers of the lines that hold none."""
    known: dict[str, None] = {}
    unreadable = []
    for number, line in enumerate(ledger.read_bytes().splitlines(), start=1):
        try:
            known[str(json.loads(line)["trial"])] = None
        except (ValueError, KeyError, TypeError):
            unreadable.append(number)
    return list(known), unreadable


def _refused(ledger: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"cannot keep or read the count of trials {ledger}: {error.strerror}; choose another `--cache`, or `none`"
    )
