from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.panel import BAR_FIELDS, Bars
from models.features import PRICE_COLUMNS, latest_price_features, panel_features, price_features, volatility


@pytest.fixture(scope="module")
def bars(make_panel) -> Bars:
    return make_panel(sessions=330, tickers=1, seed=3).bars("T000")


def column(bars: Bars, name: str) -> np.ndarray:
    return price_features(bars)[:, PRICE_COLUMNS.index(name)]


def simple_bars(close: list[float], **fields: list[float]) -> Bars:
    values = np.array(close, dtype=float)
    days = np.datetime64("2020-01-01") + np.arange(len(values))
    arrays = dict.fromkeys(("open", "high", "low", "close"), values) | {
        "volume": np.full(len(values), 100.0),
        "adjust": np.ones(len(values)),
    }
    return Bars(sessions=days, **(arrays | {name: np.array(v, dtype=float) for name, v in fields.items()}))


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, equal_nan=True)


def test_volatility_two_returns_by_hand():
    close = [100.0] * 19 + [100.0, 110.0]
    sigma = volatility(simple_bars(close))
    weights = 0.94 ** np.arange(20)
    assert np.isnan(sigma[:20]).all()
    assert sigma[20] == pytest.approx(np.sqrt(np.log(1.1) ** 2 / weights.sum()))


def test_volatility_matches_pandas(bars):
    squares = pd.Series(np.log(bars.close)).diff() ** 2
    expected = np.sqrt(squares.ewm(alpha=0.06, adjust=True).mean())
    same(volatility(bars)[20:], np.maximum(expected, 0.001).to_numpy()[20:])


def test_volatility_constant_price_is_the_floor():
    assert volatility(simple_bars([50.0] * 30))[-1] == 0.001


def test_return_1_divides_by_the_volatility_before(bars):
    expected = np.log(bars.close[100] / bars.close[99]) / volatility(bars)[99]
    assert column(bars, "return_1")[100] == pytest.approx(expected)


def test_returns_and_momentum_by_formula(bars):
    k, sigma, close = 300, volatility(bars), bars.close
    row = dict(zip(PRICE_COLUMNS, price_features(bars)[k], strict=True))
    assert row["return_5"] == pytest.approx(np.log(close[k] / close[k - 5]) / (sigma[k] * np.sqrt(5)))
    assert row["return_21"] == pytest.approx(np.log(close[k] / close[k - 21]) / (sigma[k] * np.sqrt(21)))
    assert row["momentum"] == pytest.approx(np.log(close[k - 21] / close[k - 252]) / (sigma[k] * np.sqrt(231)))
    assert row["overnight"] == pytest.approx(np.log(bars.open[k] / close[k - 1]) / sigma[k])
    assert row["intraday"] == pytest.approx(np.log(close[k] / bars.open[k]) / sigma[k])


def test_close_location_by_hand():
    bars = simple_bars([9.0, 10.0], high=[10.0, 10.0], low=[6.0, 10.0])
    assert column(bars, "close_location").tolist() == [0.5, 0.0]


def test_rsi_by_hand():
    """Fourteen changes: ten of +1, four of -1. Then one of +2: averages (13 * 10/14 + 2)/14 and (13 * 4/14)/14."""
    changes = [1.0] * 10 + [-1.0] * 4 + [2.0]
    bars = simple_bars([50.0, *(50 + np.cumsum(changes))])
    rsi = column(bars, "rsi")
    assert np.isnan(rsi[:14]).all()
    assert rsi[14] == pytest.approx((100 * 10 / 14 - 50) / 50)
    gain, loss = (13 * 10 / 14 + 2) / 14, (13 * 4 / 14) / 14
    assert rsi[15] == pytest.approx((100 * gain / (gain + loss) - 50) / 50)


def test_atr_by_hand():
    """The true range reaches to the close before: 1 for 14 bars, then a gap of 5 with a range of 1."""
    close = [10.0] * 15 + [15.0]
    bars = simple_bars(close, high=[c + 0.5 for c in close], low=[c - 0.5 for c in close])
    atr = column(bars, "atr")
    assert np.isnan(atr[:14]).all()
    assert atr[14] == pytest.approx(np.log(1 / 10))
    assert atr[15] == pytest.approx(np.log((13 * 1 + 5.5) / 14 / 15))


def test_trend_matches_pandas(bars):
    close = pd.Series(bars.close)
    ema = {n: close.ewm(span=n, adjust=False).mean().to_numpy() for n in (10, 12, 26, 50)}
    sigma = volatility(bars)
    atr = np.exp(column(bars, "atr")) * bars.close
    same(column(bars, "distance_ema_10")[20:], (np.log(bars.close / ema[10]) / sigma)[20:])
    same(column(bars, "distance_ema_50")[49:], (np.log(bars.close / ema[50]) / (sigma * np.sqrt(50)))[49:])
    same(column(bars, "macd")[25:], ((ema[12] - ema[26]) / atr)[25:])


def test_garman_klass_by_formula(bars):
    body, height = np.log(bars.close / bars.open), np.log(bars.high / bars.low)
    daily = pd.Series(0.5 * height**2 - (2 * np.log(2) - 1) * body**2)
    same(column(bars, "garman_klass"), 0.5 * np.log(daily.rolling(21).mean() + 1e-12).to_numpy())


def test_dollar_volume_matches_pandas(bars):
    logs = pd.Series(np.log(bars.close * bars.volume))
    expected = (logs - logs.rolling(63).mean()) / logs.rolling(63).std(ddof=0)
    same(column(bars, "dollar_volume"), expected.to_numpy(), 1e-8)


def test_volatility_ratio_matches_pandas(bars):
    squares = pd.Series(np.log(bars.close)).diff() ** 2
    expected = 0.5 * np.log(squares.rolling(5).mean() / squares.rolling(63).mean())
    same(column(bars, "volatility_ratio"), expected.to_numpy())


def test_features_are_nan_until_their_window_is_full(bars):
    first = {name: int(np.flatnonzero(np.isfinite(column(bars, name)))[0]) for name in PRICE_COLUMNS}
    assert first["momentum"] == 252
    assert first["dollar_volume"] == 62
    assert first["distance_ema_50"] == 49
    assert first["return_1"] == 21
    assert first["rsi"] == 14
    assert first["atr"] == 14
    assert np.flatnonzero(column(bars, "warm"))[0] == 252


@pytest.mark.parametrize("count", [0, 1, 2, 14, 15, 16, 21, 64, 252, 253, 300])
def test_price_features_history_cut_short_equals_the_full_run(bars, cut, count):
    same(price_features(cut(bars, count)), price_features(bars)[:count])


def test_price_features_future_changed_changes_nothing_before(bars):
    k = 280
    shaken = {
        name: np.where(np.arange(len(bars)) > k, getattr(bars, name) * 1.7, getattr(bars, name)) for name in BAR_FIELDS
    }
    same(price_features(replace(bars, **shaken))[: k + 1], price_features(bars)[: k + 1], 0)


def test_prefix_check_catches_a_leaked_label(bars, cut):
    """The canary: a column that holds tomorrow's return must fail the comparison the features pass."""

    def leaking(history: Bars) -> np.ndarray:
        return np.append(history.close[1:] / history.close[:-1] - 1, np.nan)

    with pytest.raises(AssertionError, match="nan location mismatch"):
        same(leaking(cut(bars, 100)), leaking(bars)[:100])


def test_latest_price_features_equal_the_last_rows(bars):
    for count in (1, 5, 250):
        same(latest_price_features(bars, count), price_features(bars)[-count:], 1e-12)


def test_price_features_all_prices_scaled_are_unchanged(bars):
    scaled = replace(bars, **{name: getattr(bars, name) * 7.3 for name in ("open", "high", "low", "close")})
    same(price_features(scaled), price_features(bars), 1e-8)


def test_price_features_stale_bars_are_finite():
    """Constant prices, no range, then no volume: rules instead of infinities, and no warning (which would raise)."""
    bars = simple_bars([20.0] * 400, volume=[100.0] * 300 + [0.0] * 100)
    features = dict(zip(PRICE_COLUMNS, price_features(bars)[299], strict=True))
    assert np.isfinite(list(features.values())).all()
    assert features["rsi"] == 0
    assert features["close_location"] == 0
    assert features["dollar_volume"] == 0
    assert np.isnan(column(bars, "dollar_volume")[300:]).all()
    assert np.isfinite(np.delete(price_features(bars)[399], PRICE_COLUMNS.index("dollar_volume"))).all()


def test_panel_features_equal_each_ticker_alone(make_panel):
    panel = make_panel(sessions=120, tickers=3, late={1: 40}, halts={2: [50, 51]})
    features = panel_features(panel)
    for j, ticker in enumerate(panel.tickers):
        same(features.values[panel.traded[:, j], j], price_features(panel.bars(ticker)), 0)
    assert np.isnan(features.values[~panel.traded]).all()
