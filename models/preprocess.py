"""From the features of a bar to the inputs of the network: fitted on a training window and written as JSON.

In this order: winsorising, scaling and clipping, missing values as 0, principal components, then the columns that
say which values were missing and which stock it is. The columns of 0 and 1 that come with the features are passed
on beside the components.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from feeds.errors import InputError
from models.components import Components
from models.scaler import MASKS, Scaler
from models.spec import ModelSpec
from models.ticker_code import TickerCode


@dataclass(frozen=True)
class Preprocessor:
    """What one training window says about its columns.

    Attributes
    ----------
    scaler : Scaler
    missing : tuple of str
        Columns with an input that is 1 where the column has no value.
    components : Components or None
    tickers : TickerCode
    """

    scaler: Scaler
    missing: tuple[str, ...] = ()
    components: Components | None = None
    tickers: TickerCode = field(default_factory=TickerCode)

    @staticmethod
    def fit(names: tuple[str, ...], values: np.ndarray, tickers: Sequence[str], spec: ModelSpec) -> Preprocessor:
        """Return what training rows `values` [R, F] of the stocks `tickers` say; NaN is a missing value."""
        scaler = Scaler.fit(names, values, spec)
        absent = np.isnan(values).any(axis=0) if spec.missing_masks else np.zeros(len(names), dtype=bool)
        components = None
        if spec.pca_variance > 0 and not set(names) <= MASKS:
            components = Components.fit(scaler.transform(values)[:, ~_masks(names)], spec.pca_variance)
        missing = tuple(name for name, some in zip(names, absent, strict=True) if some)
        return Preprocessor(scaler, missing, components, TickerCode.fit(spec.ticker_code, tickers))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it takes, in order."""
        return self.scaler.names

    @property
    def held(self) -> tuple[str, ...]:
        """Columns held at 0 for want of variation."""
        return self.scaler.held

    def transform(self, values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the network's inputs [R, I] of features [R, F] of the stocks numbered `numbers` [R]."""
        inputs = self.scaler.transform(values)
        if self.components is not None:
            masks = _masks(self.names)
            inputs = np.concatenate([self.components.transform(inputs[:, ~masks]), inputs[:, masks]], axis=1)
        blocks = [inputs]
        if self.missing:
            blocks.append(np.isnan(values[:, [self.names.index(name) for name in self.missing]]).astype(float))
        if self.tickers.width:
            blocks.append(self.tickers.columns(numbers))
        return inputs if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def to_json(self) -> str:
        """Return a text from which `from_json` builds an equal preprocessor."""
        stored = {
            "scaler": self.scaler.as_dict(),
            "missing": list(self.missing),
            "components": None if self.components is None else self.components.as_dict(),
            "tickers": self.tickers.as_dict(),
        }
        return json.dumps(stored, indent=1)

    @staticmethod
    def from_json(text: str) -> Preprocessor:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            If the text is something else.
        """
        try:
            stored = json.loads(text)
            components = stored["components"]
            return Preprocessor(
                scaler=Scaler.from_dict(stored["scaler"]),
                missing=tuple(stored["missing"]),
                components=None if components is None else Components.from_dict(components),
                tickers=TickerCode.from_dict(stored["tickers"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "preprocessor: expected JSON with `scaler`, `missing`, `components` and `tickers`, "
                f"received {text[:40]!r}"
            ) from error


def _masks(names: tuple[str, ...]) -> np.ndarray:
    return np.array([name in MASKS for name in names], dtype=bool)
