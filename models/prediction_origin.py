"""Where saved predictions come from: the model, its horizon, and a fingerprint of the prices that it saw.

A file of predictions names sessions and tickers, which another market may share; only the prices tell
the two apart. They are fingerprinted per ticker and calendar year, so that a panel that ends earlier
can still be compared in the years that it holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from feeds.panel import PricePanel
from models.labels import ClassLimits


@dataclass(frozen=True)
class Origin:
    """What predictions were made with.

    Attributes
    ----------
    model : str
        The preset's name.
    horizon : int
        Bars that `score` looks ahead.
    closes : mapping of ticker to mapping of year to str
        Fingerprint of the source's closes (single precision) on the year's predicted sessions.
    label : str
        What the classes are of; empty where the file does not tell.
    limits : mapping of fold number to ClassLimits
        Where the classes meet in each fold: with them probabilities can be measured again on other data.
    """

    model: str
    horizon: int
    closes: Mapping[str, Mapping[str, str]]
    label: str = ""
    limits: Mapping[int, ClassLimits] = field(default_factory=dict)

    @staticmethod
    def of(
        frame: pd.DataFrame,
        panel: PricePanel,
        model: str,
        horizon: int,
        label: str = "",
        limits: Mapping[int, ClassLimits] | None = None,
    ) -> Origin:
        """Describe the predictions `frame` (columns session, ticker) made on `panel`."""
        return Origin(model, horizon, fingerprints(frame, panel), label, dict(limits or {}))

    @staticmethod
    def parse(text: bytes) -> Origin:
        """Return what `as_json` wrote; raises ValueError, KeyError or TypeError for anything else."""
        values = json.loads(text)
        closes = {str(ticker): dict(years) for ticker, years in values["closes"].items()}
        limits = {int(fold): ClassLimits.of(stored) for fold, stored in values.get("limits", {}).items()}
        return Origin(str(values["model"]), int(values["horizon"]), closes, str(values.get("label", "")), limits)

    def as_json(self) -> bytes:
        """Return JSON; the same origin gives the same bytes."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    def other_prices(self, frame: pd.DataFrame, panel: PricePanel) -> list[str]:
        """Return the tickers of `panel` with predictions whose closes are not those that the model saw.

        Only calendar years are compared whose predictions all lie inside the panel.
        """
        end = panel.sessions[-1]
        whole = frame["session"] <= end
        if not whole.all():
            whole &= frame["session"].dt.year < end.year
        found = fingerprints(frame[whole], panel)
        return [ticker for ticker, years in found.items() if not years.items() <= self._years(ticker).items()]

    def _years(self, ticker: str) -> Mapping[str, str]:
        return self.closes.get(ticker, {})


def fingerprints(frame: pd.DataFrame, panel: PricePanel) -> dict[str, dict[str, str]]:
    """Return ticker → year → fingerprint of the panel's closes on the sessions of `frame`.

    Closes are the source's own, so that they do not depend on where a history begins, and in single
    precision, so that they do not depend on the last digit of an adjustment.
    """
    asked = frame[frame["ticker"].isin(panel.tickers)].sort_values(["ticker", "session"], ignore_index=True)
    rows = panel.sessions.get_indexer(pd.DatetimeIndex(asked["session"]))
    columns = pd.Index(panel.tickers).get_indexer(pd.Index(asked["ticker"]))
    closes = np.where(rows >= 0, panel.source_price("close")[rows, columns], np.nan).astype(np.float32)
    years = asked["session"].dt.year.rename("year")
    groups: Any = asked.groupby(["ticker", years]).indices
    found: dict[str, dict[str, str]] = {}
    for (ticker, year), places in groups.items():
        digest = hashlib.sha256(closes[np.sort(places)].tobytes()).hexdigest()[:16]
        found.setdefault(str(ticker), {})[str(year)] = digest
    return found
