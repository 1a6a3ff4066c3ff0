"""Predictions from a file (`--predictions`): do they belong to these prices, and how good were they?

A file may come from another market with the same tickers, cover a part of the stocks or of the years, or
look further ahead than positions are held. None of that is refused; all of it is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pandas as pd

from engine.holdout import holdout_entry
from feeds.panel import PricePanel
from models.evaluation import evaluate_scores
from models.measured import Measured, Question
from models.predictions import SavedPredictions
from models.spec import Label

EXPECTED_COVERAGE = 0.9
_FOLD_MEASURES = (
    "log_loss", "prior_log_loss", "balanced_accuracy", "information_coefficient", "information_coefficient_t",
    "n_sessions",
)  # fmt: skip


def horizon_of(saved: SavedPredictions, otherwise: int) -> int:
    """Return the bars that the scores look ahead: what the file says, else that of the chosen model."""
    return otherwise if saved.origin is None else saved.origin.horizon


def warnings_of(saved: SavedPredictions, path: Path, panel: PricePanel, start: pd.Timestamp, horizon: int) -> list[str]:
    """Return what a reader must know before believing a backtest on a file of predictions.

    Parameters
    ----------
    start : Timestamp
        First session that is traded.
    horizon : int
        Bars that the scores are taken to look ahead.
    """
    found = [_origin_warning(saved, path, panel, horizon), _coverage_warning(saved, path, panel, start)]
    return [text for text in found if text]


def evaluation_of(
    saved: SavedPredictions,
    panel: PricePanel,
    horizon: int,
    gap_sessions: int,
    holdout: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return how good the predictions were on this panel: pooled, per year, per fold, and on an opened holdout.

    The keys are those of a model trained here. Where the file does not hold the limits of the classes, only
    the scores' ranking is measured, and what needs the limits is NaN.
    """
    question = _question(saved, horizon, gap_sessions)
    measured = Measured.of(panel, saved, question)
    known = bool(question.limits)

    def of(rows: slice | np.ndarray) -> dict[str, Any]:
        if known:
            return measured.over(rows).as_dict()
        return evaluate_scores(measured.score[rows], measured.realised[rows], horizon).as_dict()

    folds = []
    spans = saved.frame.groupby("fold")["session"].agg(["min", "max"])
    for number, first, last in spans.itertuples():
        inside = (panel.sessions >= first) & (panel.sessions <= last)
        if not inside.any():
            continue
        found = of(np.asarray(inside))
        days = {"test_first": str(first.date()), "test_last": str(panel.sessions[inside][-1].date())}
        measures = {name: found[name] for name in _FOLD_MEASURES}
        folds.append({"fold": int(number), **days, "n_test_labels": found["n_labels"], **measures})
    years = [{"year": year, **_without_bins(of(rows))} for year, rows in measured.rows_of_years()]
    told = {"pooled": of(slice(None)), "years": years, "folds": folds}
    return told | holdout_entry(holdout, panel.sessions, of)


def _question(saved: SavedPredictions, horizon: int, gap_sessions: int) -> Question:
    """Return what the file says its predictions are of; without limits where it does not say so for each fold."""
    origin = saved.origin
    if origin is None or origin.label not in get_args(Label):
        return Question(horizon, gap_sessions, "absolute", {})
    label: Any = origin.label
    # The label tells which return is measured (under `intraday` open to close), limits or not.
    limits = origin.limits if set(saved.frame["fold"]) <= set(origin.limits) else {}
    return Question(horizon, gap_sessions, label, limits)


def _without_bins(measures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in measures.items() if name != "reliability"}


def _origin_warning(saved: SavedPredictions, path: Path, panel: PricePanel, horizon: int) -> str:
    if saved.origin is None:
        return (
            f"predictions {path.name}: the file does not say which model made them on which prices; they are taken "
            f"to look {horizon} bars ahead, as `--model` does"
        )
    other = saved.origin.other_prices(saved.frame, panel)
    if not other:
        return ""
    common = saved.frame["ticker"].isin(panel.tickers)
    return (
        f"predictions {path.name}: made on other prices than these for {len(other)} of "
        f"{saved.frame.loc[common, 'ticker'].nunique()} stocks, first {other[0]}; what is traded here is not what "
        "the model saw, and every figure is doubtful"
    )


def _coverage_warning(saved: SavedPredictions, path: Path, panel: PricePanel, start: pd.Timestamp) -> str:
    span = panel.sessions >= start
    traded = panel.traded[span]
    predicted = np.isfinite(saved.matrix("score", panel.sessions, panel.tickers)[span]) & traded
    share = predicted.sum() / traded.sum()
    if share >= EXPECTED_COVERAGE:
        return ""
    active, without = traded.any(axis=0), traded.any(axis=0) & ~predicted.any(axis=0)
    last = panel.sessions[span][predicted.any(axis=1)][-1].date()
    return (
        f"predictions {path.name}: they cover {share:.1%} of the bars from {start.date()} to "
        f"{panel.sessions[-1].date()} (the last is of {last}; {without.sum()} of {active.sum()} stocks have none); "
        "what has none is not bought, but every figure and the benchmark are of the whole span"
    )
