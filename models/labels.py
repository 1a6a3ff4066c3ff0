"""What the network learns to predict: the class of the return that can be traded.

The decision falls at the close of bar t and the order fills at the next open, so the label runs from
open(t+1) to open(t+1+h) on the stock's own bars. In units of the stock's volatility (MODEL.md 2.1: the
class of a raw return mostly measures volatility), and under ``relative`` less the session's median. ``intraday``
runs from open(t+1) to close(t+1) and is known then.

**Known at** the session of bar t+1+h (``intraday``: t+1), which each label carries: whoever trains before a date
may use the labels known strictly before it and nothing else. That is the purge of h+1 bars (``intraday``: 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from models.bar_table import BarTable
from models.spec import RAW_LABELS, Label, ModelSpec

CLASS_NAMES = ("greater_loss", "lesser_loss", "lesser_profit", "greater_profit")
NO_CLASS = -1
FEWEST_COMPARED = 3
"""A median of one or two stocks says nothing about either."""


@dataclass(frozen=True)
class ForwardReturns:
    """The return after each bar of a `BarTable`.

    Attributes
    ----------
    session_row : ndarray of int64, shape [R]
        The session of the decision.
    plain : ndarray of float64, shape [R]
        open(t+1+h) / open(t+1) - 1, or close(t+1) / open(t+1) - 1; NaN for a ticker's last bars, whose return
        is not known yet, and where the span holds a gap.
    scaled : ndarray of float64, shape [R]
        `plain` / (sigma_t sqrt h); NaN also where sigma is.
    known_row : ndarray of int64, shape [R]
        The session row on which the return becomes known; meaningless where `plain` is NaN.
    """

    session_row: np.ndarray
    plain: np.ndarray
    scaled: np.ndarray
    known_row: np.ndarray

    def target(self, label: Label, known_before: int) -> np.ndarray:
        """Return the quantity that is cut into classes, from what is known strictly before a session row.

        Parameters
        ----------
        label : str
            ``absolute`` and ``intraday``: plain; ``scaled``: scaled; ``relative``: scaled less the median of the stocks
            whose label of that session is known by then (at least 3 of them).
        known_before : int
            Session row; use the number of sessions to take every label there is.

        Returns
        -------
        ndarray of float64, shape [R]
            NaN where the label is not known by then.
        """
        chosen = self.plain if label in RAW_LABELS else self.scaled
        known = np.where(self.known_row < known_before, chosen, np.nan)
        return known - session_medians(known, self.session_row) if label == "relative" else known


def forward_returns(
    table: BarTable, open_: np.ndarray, sigma: np.ndarray, horizon: int, gap_sessions: int
) -> ForwardReturns:
    """Return the tradable return after every bar.

    Parameters
    ----------
    table : BarTable
        R bars.
    open_, sigma : ndarray of float64, shape [R]
        Open (USD times `adjust`) and volatility per bar of each bar.
    horizon : int
        Bars from the opening that is bought to the opening that is sold.
    gap_sessions : int
        A span in which the stock missed more sessions in a row than this has no label.
    """
    return _returns(table, open_, open_, sigma, horizon, gap_sessions)


def intraday_returns(
    table: BarTable, open_: np.ndarray, close: np.ndarray, sigma: np.ndarray, gap_sessions: int
) -> ForwardReturns:
    """Return what a purchase at the next open is worth at that bar's close; arrays as in `forward_returns`."""
    return _returns(table, open_, close, sigma, 0, gap_sessions)


def returns_of(
    table: BarTable, open_: np.ndarray, close: np.ndarray, sigma: np.ndarray, spec: ModelSpec
) -> ForwardReturns:
    """Return the returns that the spec's label is made of; arrays as in `forward_returns`."""
    if spec.label == "intraday":
        return intraday_returns(table, open_, close, sigma, spec.gap_sessions)
    return forward_returns(table, open_, sigma, spec.horizon, spec.gap_sessions)


def _returns(
    table: BarTable, bought: np.ndarray, sold: np.ndarray, sigma: np.ndarray, held_bars: int, gap_sessions: int
) -> ForwardReturns:
    """Return sold(t+1+held) / bought(t+1) - 1 after every bar t."""
    entry, leave = np.arange(len(table)) + 1, np.arange(len(table)) + 1 + held_bars
    whole = leave < _end_positions(table)
    entry, leave = np.where(whole, entry, 0), np.where(whole, leave, 0)
    gaps_so_far = np.cumsum(table.missed > gap_sessions)
    gapless = gaps_so_far[leave] == gaps_so_far
    plain = np.where(whole & gapless, sold[leave] / bought[entry] - 1, np.nan)
    return ForwardReturns(
        session_row=table.session_row,
        plain=plain,
        scaled=plain / (sigma * np.sqrt(max(held_bars, 1))),
        known_row=np.where(whole, table.session_row[leave], len(table.sessions)),
    )


def session_medians(values: np.ndarray, session_row: np.ndarray) -> np.ndarray:
    """Return the median of each bar's session, shape [R]; NaN with fewer than 3 values that session."""
    sessions = pd.Series(values).groupby(session_row)
    return np.where(sessions.transform("count") >= FEWEST_COMPARED, sessions.transform("median"), np.nan)


@dataclass(frozen=True)
class ClassLimits:
    """Where the four classes meet, and what each was worth, in one training window.

    Attributes
    ----------
    lower, upper : float
        Median of the target's losses (values <= 0) and of its profits.
    means : tuple of 4 floats
        Mean target of each class.
    shares : tuple of 4 floats
        Each class's share of the training labels: the prior.
    """

    lower: float
    upper: float
    means: tuple[float, ...]
    shares: tuple[float, ...]

    @staticmethod
    def fit(target: np.ndarray, describe: Callable[[], str]) -> ClassLimits:
        """Return the limits of the training targets (NaN left out); `describe` names the window in errors.

        Raises
        ------
        InputError
            If the window holds no losses or no profits.
        """
        known = target[np.isfinite(target)]
        losses, profits = known[known <= 0], known[known > 0]
        if not len(losses) or not len(profits):
            raise InputError(
                f"training labels of {describe()}: expected losses and profits, received {len(losses)} losses and "
                f"{len(profits)} profits; use more tickers or an earlier `--from`"
            )
        lower, upper = float(np.median(losses)), float(np.median(profits))
        classes = _classify(known, lower, upper)
        counts = np.bincount(classes, minlength=len(CLASS_NAMES))
        sums = np.bincount(classes, weights=known, minlength=len(CLASS_NAMES))
        means = np.divide(sums, counts, out=np.zeros(len(CLASS_NAMES)), where=counts > 0)
        return ClassLimits(lower, upper, tuple(means.tolist()), tuple((counts / len(known)).tolist()))

    @staticmethod
    def of(stored: Mapping[str, Any]) -> ClassLimits:
        """Return limits that JSON kept; raises KeyError, TypeError or ValueError for anything else."""
        means, shares = (tuple(float(x) for x in stored[name]) for name in ("means", "shares"))
        return ClassLimits(float(stored["lower"]), float(stored["upper"]), means, shares)

    def classify(self, target: np.ndarray) -> np.ndarray:
        """Return 0 to 3 (`CLASS_NAMES`), -1 where the target is NaN; int8, same shape."""
        return np.where(np.isnan(target), NO_CLASS, _classify(target, self.lower, self.upper)).astype(np.int8)


def date_weights(session_row: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return 1 / (labels of that session), so that a session with more names does not count for more; 0 unlabelled."""
    labelled = classes != NO_CLASS
    counts = np.bincount(session_row[labelled], minlength=int(session_row.max(initial=0)) + 1)
    return np.where(labelled, 1.0 / np.maximum(counts[session_row], 1), 0.0)


def class_weights(classes: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Return what a label of each class weighs in training, shape [4], from the classes [M] of the fit range.

    1 under ``none``; under ``balanced`` labels / (4 labels of the class), so that the mean stays 1.
    """
    if spec.class_weights == "none":
        return np.ones(len(CLASS_NAMES))
    counts = np.bincount(classes[classes != NO_CLASS], minlength=len(CLASS_NAMES))
    return counts.sum() / (len(CLASS_NAMES) * np.maximum(counts, 1))


def _classify(target: np.ndarray, lower: float, upper: float) -> np.ndarray:
    return (target > lower).astype(int) + (target > 0) + ((target >= upper) & (target > 0))


def _end_positions(table: BarTable) -> np.ndarray:
    """Position just past each bar's own ticker, shape [R]."""
    starts = np.unique(table.first_position)
    ends = np.append(starts[1:], len(table))
    return np.repeat(ends, ends - starts)
