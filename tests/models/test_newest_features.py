from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.features import PRICE_COLUMNS, price_features, volatility
from models.level_features import LEVEL_COLUMNS, level_features
from models.newest_features import NewestFeatures
from models.running_averages import NAMES, RunningAverages, whole_averages


@pytest.fixture(scope="module")
def panel(make_panel):
    """330 sessions; a late listing, a halt, and a stock too young for most windows."""
    return make_panel(sessions=330, tickers=4, seed=9, late={1: 40, 3: 290}, halts={2: list(range(120, 150))})


def awkward(bars):
    """Bars without range, without change, without volume: where the formulas divide by what may be 0."""
    flat = np.arange(len(bars)) % 60 < 25
    arrays = {name: np.where(flat, 20.0, getattr(bars, name)) for name in ("open", "high", "low", "close")}
    return replace(bars, **arrays, volume=np.where(np.arange(len(bars)) % 7 < 3, 0.0, bars.volume))


def followed(bars, cut, asked):
    """The features of the asked bars, each computed by one object that sees the history grow."""
    newest, price, level, sigma = NewestFeatures(), [], [], []
    for k in asked:
        history = cut(bars, k + 1)
        newest.follow(history)
        columns, levels = newest.price_features(), newest.level_features(history)
        price.append([columns[name] for name in PRICE_COLUMNS])
        level.append([levels[name] for name in LEVEL_COLUMNS])
        sigma.append(newest.sigma)
    return np.array(price), np.array(level), np.array(sigma)


def same(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ticker", ["T000", "T001", "T002", "T003"])
@pytest.mark.parametrize("change", [lambda bars: bars, awkward], ids=["traded", "flat and untraded"])
def test_newest_features_equal_the_whole_history_at_every_bar(panel, cut, ticker, change):
    bars = change(panel.bars(ticker))
    asked = range(len(bars))
    price, level, sigma = followed(bars, cut, asked)
    same(price, price_features(bars))
    same(level, level_features(bars))
    same(sigma, volatility(bars))


@pytest.mark.parametrize("first", [0, 13, 49, 50, 51, 52, 252, 253, 300])
def test_newest_features_first_asked_in_mid_history_are_the_same(panel, cut, first):
    bars = panel.bars("T000")
    asked = [first, first + 1, first + 2, 325, 329]
    price, level, sigma = followed(bars, cut, asked)
    same(price, price_features(bars)[asked])
    same(level, level_features(bars)[asked])
    same(sigma, volatility(bars)[asked])


def test_newest_features_same_bar_twice_changes_nothing(panel, cut):
    bars, newest = panel.bars("T000"), NewestFeatures()
    for count in (300, 300, 301):
        newest.follow(cut(bars, count))
    same([newest.price_features()[name] for name in PRICE_COLUMNS], price_features(bars)[300])


def test_running_averages_by_hand():
    """Closes 2, 4: EMA 10 moves 2/11 of the way; one change of 2 is Wilder's first mean, and too few to be told."""
    from feeds.panel import Bars

    close = np.array([2.0, 4.0])
    bars = Bars(np.arange(2).astype("datetime64[D]"), close, close, close, close, close, np.ones(2))
    running = RunningAverages()
    running.follow(bars)
    assert len(running) == 2
    assert running._averages == pytest.approx([2 + 4 / 11, 2 + 4 / 13, 2 + 4 / 27, 2 + 4 / 51, 2, 0, 2, np.log(2) ** 2])
    assert np.isnan(list(running.told().values())).all()


def test_running_averages_stay_equal_over_thousands_of_bars(make_panel, cut):
    """Rounding does not pile up: every average forgets."""
    bars = make_panel(sessions=2500, tickers=1, seed=4).bars("T000")
    running = RunningAverages()
    for count in range(1, len(bars) + 1):
        running.follow(cut(bars, count))
    whole = whole_averages(bars)
    np.testing.assert_allclose([running.told()[n] for n in NAMES], [whole[n][-1] for n in NAMES], rtol=1e-11)
