from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.features import PRICE_COLUMNS, price_features
from models.level_features import LEVEL_COLUMNS, level_features, panel_levels


@pytest.fixture(scope="module")
def bars(make_panel):
    return make_panel(sessions=120, tickers=2, seed=3).bars("T001")


def column(bars, name):
    return level_features(bars)[:, LEVEL_COLUMNS.index(name)]


def test_level_features_are_the_series_that_is_traded(bars):
    for name, values in (
        ("open_price", bars.open),
        ("high_price", bars.high),
        ("low_price", bars.low),
        ("adjusted_close_price", bars.close),
        ("close_price", bars.close / bars.adjust),
        ("volume_shares", bars.volume),
    ):
        np.testing.assert_array_equal(column(bars, name), values)


def test_level_features_averages_equal_pandas_on_the_stock_alone(bars):
    close = pd.Series(bars.close)

    def ema(n):
        return close.ewm(span=n, adjust=False, min_periods=n).mean()

    np.testing.assert_allclose(column(bars, "ema_10_price"), ema(10))
    np.testing.assert_allclose(column(bars, "ema_50_price"), ema(50))
    np.testing.assert_allclose(column(bars, "macd_price"), ema(12) - ema(26), atol=1e-9)


def test_level_features_rsi_and_range_are_those_of_the_price_features(bars):
    price = dict(zip(PRICE_COLUMNS, price_features(bars).T, strict=True))
    np.testing.assert_allclose(column(bars, "rsi_14"), 50 + 50 * price["rsi"])
    np.testing.assert_allclose(np.log(column(bars, "atr_14_price") / bars.close), price["atr"])


def test_level_features_garman_klass_by_hand(bars):
    k = 60
    body, height = np.log(bars.close[k] / bars.open[k]), np.log(bars.high[k] / bars.low[k])
    assert column(bars, "garman_klass_bar")[k] == pytest.approx(0.5 * height**2 - (2 * np.log(2) - 1) * body**2)


def test_level_features_cut_short_equal_the_full_run(bars, cut):
    for count in (1, 14, 60, 119):
        np.testing.assert_array_equal(level_features(cut(bars, count)), level_features(bars)[:count])


def test_panel_levels_are_each_ticker_alone(make_panel):
    panel = make_panel(sessions=80, tickers=3, seed=1, late={1: 30}, halts={2: [40, 41]})
    names = ("ema_10_price", "open_price")
    got = panel_levels(panel, names)
    assert got.names == names
    for j, ticker in enumerate(panel.tickers):
        expected = level_features(panel.bars(ticker))[:, [LEVEL_COLUMNS.index(n) for n in names]]
        np.testing.assert_array_equal(got.values[panel.traded[:, j], j], expected)
    assert np.isnan(got.values[40, 2]).all()
