from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.saved_predictions import evaluation_of, horizon_of, warnings_of
from models.labels import ClassLimits
from models.prediction_origin import Origin
from models.predictions import SavedPredictions, sorted_frame
from tests.conftest import build_panel

PANEL = build_panel(sessions=120, tickers=6)
FILE = Path("p.parquet")
START = PANEL.sessions[40]


def predictions(first: int = 40, stop: int = 120, tickers: int = 6, known: bool = True) -> SavedPredictions:
    """Scores that are the plain return over the next 3 bars: they rank perfectly."""
    opens = np.vstack([PANEL.open, np.full((4, 6), np.nan)])
    ahead = np.nan_to_num(opens[4:] / opens[1:-3] - 1)
    rows = [
        (PANEL.sessions[t], PANEL.tickers[j], 1 if t < 80 else 2, 0.25, 0.25, 0.25, 0.25, ahead[t, j])
        for t in range(first, stop)
        for j in range(tickers)
    ]
    names = ["session", "ticker", "fold", "greater_loss", "lesser_loss", "lesser_profit", "greater_profit", "score"]
    frame = sorted_frame(pd.DataFrame(rows, columns=names))
    return SavedPredictions(frame, Origin.of(frame, PANEL, "tiny", 3) if known else None)


def warned(saved: SavedPredictions, panel=PANEL) -> list[str]:
    return warnings_of(saved, FILE, panel, START, 3)


def test_horizon_of_a_file_goes_before_that_of_the_model():
    assert horizon_of(predictions(), 5) == 3
    assert horizon_of(predictions(known=False), 5) == 5


def test_warnings_of_predictions_that_belong_here_are_none():
    assert warned(predictions()) == []


def test_warnings_of_another_market_with_the_same_tickers():
    (text,) = warned(predictions(), build_panel(sessions=120, tickers=6, seed=5))
    assert "predictions p.parquet: made on other prices than these for 6 of 6 stocks, first T000" in text


def test_warnings_of_a_part_of_years_and_stocks_say_how_much_is_covered():
    (text,) = warned(predictions(stop=80, tickers=3))
    end, last = PANEL.sessions[-1].date(), PANEL.sessions[79].date()
    assert f"they cover 25.0% of the bars from {START.date()} to {end} (the last is of {last}; 3 of 6 stocks" in text


def test_warnings_of_a_file_that_does_not_say_where_it_comes_from():
    (text,) = warned(predictions(known=False))
    assert "does not say which model made them on which prices; they are taken to look 3 bars ahead" in text


def test_evaluation_of_scores_that_are_the_returns_is_perfect_and_leaves_the_rest_unknown():
    found = evaluation_of(predictions(), PANEL, 3, 5)
    assert found["pooled"]["information_coefficient"] == pytest.approx(1)
    assert found["pooled"]["n_labels"] == (80 - 4) * 6
    assert np.isnan(found["pooled"]["log_loss"])
    assert [(f["fold"], f["n_test_labels"]) for f in found["folds"]] == [(1, 240), (2, 36 * 6)]
    assert found["folds"][0]["test_first"] == str(START.date())


def test_evaluation_with_the_limits_of_the_classes_measures_the_probabilities_too():
    saved = predictions()
    assert saved.origin is not None
    limits = ClassLimits(-0.01, 0.01, (-0.02, -0.005, 0.005, 0.02), (0.25, 0.25, 0.25, 0.25))
    told = replace(saved, origin=replace(saved.origin, label="absolute", limits={1: limits, 2: limits}))
    found = evaluation_of(told, PANEL, 3, 5)
    # All probabilities are a quarter, and so is the prior.
    assert found["pooled"]["log_loss"] == found["pooled"]["prior_log_loss"] == pytest.approx(np.log(4))
    assert found["folds"][0]["log_loss"] == pytest.approx(np.log(4))
    assert found["pooled"]["information_coefficient"] == pytest.approx(1)
    assert {year["year"] for year in found["years"]} == {2015}
    one_fold = replace(saved, origin=replace(saved.origin, label="absolute", limits={1: limits}))
    assert np.isnan(evaluation_of(one_fold, PANEL, 3, 5)["pooled"]["log_loss"])


def test_evaluation_under_intraday_is_open_to_close_even_without_limits():
    """Scores that are the next bar's close over its open rank perfectly there, and nowhere else."""
    day = PANEL.close / PANEL.open - 1
    frame = predictions().frame
    rows, columns = PANEL.sessions.get_indexer(frame["session"]), [PANEL.tickers.index(t) for t in frame["ticker"]]
    frame = frame.assign(score=np.vstack([day[1:], np.zeros((1, 6))])[rows, columns])

    def coefficient(label: str) -> float:
        saved = SavedPredictions(frame, Origin.of(frame, PANEL, "source", 1, label))
        return evaluation_of(saved, PANEL, 1, 5)["pooled"]["information_coefficient"]

    assert coefficient("intraday") == pytest.approx(1)
    assert coefficient("absolute") < 0.95  # the night after it belongs to that return too


def test_evaluation_of_folds_after_the_panel_leaves_them_out():
    assert len(evaluation_of(predictions(), PANEL.until(PANEL.sessions[70]), 3, 5)["folds"]) == 1
