from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from models.prediction_origin import Origin
from tests.conftest import build_panel

PANEL = build_panel(sessions=400, tickers=3)  # from 2015-01-02 into August 2016


def frame_on(panel=PANEL, first=150) -> pd.DataFrame:
    pairs = [(session, ticker) for session in panel.sessions[first:] for ticker in panel.tickers[:2]]
    return pd.DataFrame(pairs, columns=["session", "ticker"])


@pytest.fixture
def origin() -> Origin:
    return Origin.of(frame_on(), PANEL, "tiny", 5)


def test_origin_round_trip(origin):
    assert set(origin.closes) == {"T000", "T001"}
    assert set(origin.closes["T000"]) == {"2015", "2016"}
    assert Origin.parse(origin.as_json()) == origin


def test_other_prices_of_the_same_ones_are_none(origin):
    assert origin.other_prices(frame_on(), PANEL) == []
    assert origin.other_prices(frame_on(), PANEL.select(["T001", "T002"])) == []


def test_other_prices_do_not_depend_on_the_adjustment(origin):
    close, adjust = PANEL.close * 1.1, PANEL.adjust * 1.1
    assert origin.other_prices(frame_on(), replace(PANEL, close=close, adjust=adjust)) == []


def test_other_prices_of_a_panel_that_ends_earlier_are_compared_in_its_whole_years(origin):
    assert origin.other_prices(frame_on(), PANEL.until(pd.Timestamp("2016-03-01"))) == []
    other = build_panel(sessions=400, tickers=3, seed=1).until(pd.Timestamp("2016-03-01"))
    assert origin.other_prices(frame_on(), other) == ["T000", "T001"]


def test_other_prices_on_one_day_of_one_stock_name_it(origin):
    close = PANEL.close.copy()
    close[-1, 1] *= 1.001
    assert origin.other_prices(frame_on(), replace(PANEL, close=close)) == ["T001"]
