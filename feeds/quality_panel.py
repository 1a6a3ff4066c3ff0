"""What shows only among all stocks: moves that no other stock shares, late listings, early ends.

Findings on the panel of what is traded, after the repairs. None of them changes a value: a true
crash looks like a wrong price until the next day, and the model clips what is extreme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feeds.panel import PRICE_FIELDS, PricePanel
from feeds.price_table import Finding, Severity

# A return is looked at from 25 % on, and from ten of its stock's usual steps.
LARGE_RETURN, LARGE_STEPS, LARGE_WICK = float(np.log(1.25)), 10.0, float(np.log(2.0))
# Robust deviations from the median of the session's other stocks, where there are enough of them.
LARGE_DEVIATIONS, MINIMUM_STOCKS = 10.0, 10
SMALLEST_STEP = 0.005
# Trading above this multiple of the usual traded value confirms that a move took place.
CONFIRMING_VOLUME = 1.5
WINDOW_BARS, MINIMUM_BARS = 63, 20


def panel_findings(panel: PricePanel, excluded: Mapping[str, np.datetime64] | None = None) -> list[Finding]:
    """Return the findings that need more than one ticker, in the order of tickers and sessions.

    `excluded` gives the source's last bar of tickers whose bars in the panel end at a repair.
    """
    if not panel.tickers:
        return []
    found = [*outliers(panel), *late_listings(panel), *early_ends(panel, excluded or {})]
    return sorted(found, key=lambda finding: (finding.ticker, str(finding.session)))


def late_listings(panel: PricePanel) -> list[Finding]:
    """Find tickers whose first bar comes after the panel's first session."""
    return [
        _finding(panel, int(row), column, "listed late", f"first bar, {row} sessions after the panel's first")
        for column, row in enumerate(panel.first_rows)
        if 0 < row < len(panel.sessions)
    ]


def early_ends(panel: PricePanel, excluded: Mapping[str, np.datetime64] | None = None) -> list[Finding]:
    """Find tickers whose last bar in the source comes before the panel's last session."""
    last, rows = len(panel.sessions) - 1, panel.last_rows.tolist()
    for ticker, day in (excluded or {}).items():
        rows[panel.tickers.index(ticker)] = int(np.searchsorted(panel.sessions, day, side="right")) - 1
    return [
        _finding(panel, row, column, "ends early", f"last bar, {last - row} sessions before the panel's last")
        for column, row in enumerate(rows)
        if 0 <= row < last
    ]


@dataclass(frozen=True)
class _Move:
    """A bar that its own stock's past does not explain."""

    row: int
    column: int
    step: float
    wick: float
    volume: float


def outliers(panel: PricePanel) -> list[Finding]:
    """Find moves beyond what the stock and the session's other stocks do.

    A move that comes with trading is told as ``info``; one at the usual traded value or below it as
    ``warning``. A stock without 20 bars of its own past is not judged by its returns.
    """
    moves = [move for column in range(len(panel.tickers)) for move in _moves(panel, column)]
    spreads = {row: _session_spread(panel, row) for row in {move.row for move in moves}}
    found = []
    for move in moves:
        median, spread = spreads[move.row]
        deviations = abs(move.step - median) / spread
        if deviations < LARGE_DEVIATIONS and move.wick < LARGE_WICK:
            continue
        severity: Severity = "info" if move.volume > CONFIRMING_VOLUME else "warning"
        found.append(_finding(panel, move.row, move.column, "outlier", _outlier_text(move, deviations), severity))
    return found


def _outlier_text(move: _Move, deviations: float) -> str:
    words = [f"the close moves by {np.expm1(move.step):+.1%}"] if np.isfinite(move.step) else []
    if np.isfinite(deviations):
        words.append(f"{deviations:.0f} robust deviations from the other stocks")
    if move.wick > LARGE_WICK:
        words.append(f"high or low is a factor {np.exp(move.wick):.1f} beyond open and close")
    if np.isfinite(move.volume):
        words.append(f"at {move.volume:.1f} times the usual traded value")
    return ", ".join(words)


def _moves(panel: PricePanel, column: int) -> list[_Move]:
    """Return one stock's returns beyond its own usual steps, and bars with a wild high or low."""
    close = panel.close[:, column]
    rows = np.flatnonzero(np.isfinite(close))
    if not len(rows):
        return []
    close = close[rows]
    steps = np.diff(np.log(close), prepend=np.nan)
    usual = np.append(np.nan, _mean_before(np.abs(steps[1:])))
    large = np.abs(steps) > np.maximum(LARGE_RETURN, LARGE_STEPS * np.maximum(usual, SMALLEST_STEP))
    wicks = _wicks(*(getattr(panel, name)[rows, column] for name in PRICE_FIELDS))
    strange = np.flatnonzero(large | (wicks > LARGE_WICK))
    if not len(strange):
        return []
    dollars = close * panel.volume[rows, column]
    before = _mean_before(dollars)
    volumes = np.divide(dollars, before, out=np.full(len(rows), np.nan), where=before > 0)
    return [_Move(int(rows[k]), column, float(steps[k]), float(wicks[k]), float(volumes[k])) for k in strange]


def _mean_before(values: np.ndarray) -> np.ndarray:
    """Return the mean of the last 63 values before each; NaN before there are 20."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(len(values))
    start = np.maximum(stop - WINDOW_BARS, 0)
    means = (sums[stop] - sums[start]) / np.maximum(stop - start, 1)
    return np.where(stop >= MINIMUM_BARS, means, np.nan)


def _session_spread(panel: PricePanel, row: int) -> tuple[float, float]:
    """Return median and robust deviation of a session's log returns; NaN among few stocks."""
    if row == 0:
        return float("nan"), float("nan")
    steps = np.log(panel.close[row] / panel.close[row - 1])
    steps = steps[np.isfinite(steps)]
    if len(steps) < MINIMUM_STOCKS:
        return float("nan"), float("nan")
    median = float(np.median(steps))
    return median, float(max(1.4826 * np.median(np.abs(steps - median)), SMALLEST_STEP))


def _wicks(open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return how far high or low lies beyond open and close, in logarithms."""
    return np.asarray(np.log(np.maximum(high / np.maximum(open_, close), np.minimum(open_, close) / low)))


def _finding(panel: PricePanel, row: int, column: int, kind: str, detail: str, severity: Severity = "info") -> Finding:
    return Finding(panel.tickers[column], pd.Timestamp(panel.sessions[row]), kind, detail, severity, "kept")
