"""Prices of the embedded market: factors, fat tails, clustered volatility and two planted effects.

The log return of stock j in session t is the sum of an overnight and an intraday part, each

    beta_j * market_t + sector_t + own_jt - variance / 2 + premium,

with Student-t shocks whose volatilities follow log-normal autoregressions. What is planted at t enters
the intraday part of session t + 1, so that an order decided at the close of t and filled at the next
open earns it. Prices are rounded to cents as a tape shows them and only then multiplied by `adjust`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feeds.panel import PricePanel
from feeds.synthetic_insiders import cluster_rows, filing_schedule
from feeds.synthetic_settings import SECTORS, SESSIONS_PER_YEAR, MarketSettings, Stream, Universe, generator, universe

_DEGREES_OF_FREEDOM = 5.0
_OVERNIGHT_SHARE = 0.25  # of the daily variance
_PARTS = np.array([_OVERNIGHT_SHARE, 1 - _OVERNIGHT_SHARE])
_MARKET_LOG_VOLATILITY = (0.985, 0.40)  # persistence, standard deviation
_OWN_LOG_VOLATILITY = (0.98, 0.45)
_SESSIONS_PER_DIVIDEND = 63


@dataclass(frozen=True)
class _Stocks:
    """Constants of each stock, shape [N]."""

    beta: np.ndarray
    volatility: np.ndarray  # daily, idiosyncratic
    dividend_yield: np.ndarray  # annual, 0 for stocks that pay nothing
    dividend_phase: np.ndarray  # session of the first ex-date, modulo the quarter
    dollar_volume: np.ndarray  # a typical session's


@dataclass(frozen=True)
class _Noise:
    """Unplanted log returns and what is needed to describe them.

    `returns` has shape [T, N, 2] (overnight, intraday); the others [T, N].
    """

    returns: np.ndarray
    own_shock: np.ndarray  # idiosyncratic shock of the whole session, unit variance
    own_volatility: np.ndarray  # of the session, known before it opens
    total_volatility: np.ndarray
    calm: np.ndarray  # log volatility against its usual level


def make_market(settings: MarketSettings) -> PricePanel:
    """Generate the panel of the embedded market.

    Returns
    -------
    PricePanel
        Shape [n_sessions, n_stocks], `price_basis` ``as_traded``: price / `adjust` is the tape's
        price in whole cents. NaN before listing, after delisting and on halted sessions.

    Notes
    -----
    **Known at** each session's close; the open at the open. Row t depends on draws up to t only.
    """
    who = universe(settings)
    noise = _noise(settings, who)
    returns = noise.returns.copy()
    returns[1:, :, 1] += _planted(settings, who, noise)[:-1]
    level = np.cumsum(returns.sum(axis=2), axis=0)
    logs = {"open": level - returns[:, :, 1], "close": level}
    logs["high"], logs["low"] = _extremes(settings, returns[:, :, 1], logs["open"], noise.total_volatility)
    index = {name: who.first_price_usd * np.exp(values) for name, values in logs.items()}
    adjust = _adjust(settings, who, index["close"])
    arrays = {name: _tape_price(values / adjust) * adjust for name, values in index.items()}
    arrays["volume"] = _volume(settings, who, noise) / adjust
    arrays["adjust"] = adjust
    shown = {name: np.where(who.traded, values, np.nan) for name, values in arrays.items()}
    return PricePanel(sessions=who.sessions, tickers=who.tickers, price_basis="as_traded", **shown)


def planted_expectation(settings: MarketSettings) -> np.ndarray:
    """Return what the planted effects add to the next bar's expected log return.

    Returns
    -------
    ndarray of float64, shape [T, N]
        Row t holds the addition to the open-to-close log return of session t + 1; zeros where both
        strengths are 0, NaN where the stock did not trade at t.

    Notes
    -----
    **Known at** the close of t (to somebody who knows the recipe).
    """
    who = universe(settings)
    return np.where(who.traded, _planted(settings, who, _noise(settings, who)), np.nan)


def _planted(settings: MarketSettings, who: Universe, noise: _Noise) -> np.ndarray:
    planted = np.zeros(who.traded.shape)
    if settings.memory_strength:
        memory = _autoregression(noise.own_shock, 0.5 ** (1 / settings.memory_half_life_bars), 1.0)
        planted += settings.memory_strength * noise.own_volatility * memory
    if settings.drift_strength:
        planted += settings.drift_strength / settings.drift_sessions * _drifting(settings, who)
    return planted


def _drifting(settings: MarketSettings, who: Universe) -> np.ndarray:
    """True from the session whose close knows the second purchase, for `drift_sessions`; shape [T, N]."""
    rows, stocks = cluster_rows(filing_schedule(settings, who), settings.cluster_sessions)
    latest = np.full(who.traded.shape, -settings.drift_sessions)
    latest[rows, stocks] = rows
    latest = np.maximum.accumulate(latest, axis=0)
    return np.arange(len(latest))[:, None] - latest < settings.drift_sessions


def _stocks(settings: MarketSettings) -> _Stocks:
    rng = generator(settings, Stream.STOCKS)
    n = settings.n_stocks
    annual = rng.uniform(settings.own_volatility_low, settings.own_volatility_high, n)
    return _Stocks(
        beta=rng.uniform(0.7, 1.3, n),
        volatility=annual / np.sqrt(SESSIONS_PER_YEAR),
        dividend_yield=np.where(rng.random(n) < 0.7, rng.uniform(0.01, 0.03, n), 0.0),
        dividend_phase=rng.integers(0, _SESSIONS_PER_DIVIDEND, n),
        dollar_volume=np.exp(rng.normal(np.log(6e7), 0.8, n)),
    )


def _noise(settings: MarketSettings, who: Universe) -> _Noise:
    stocks = _stocks(settings)
    rows = settings.n_sessions
    market_log, market_volatility = _volatility(settings, Stream.MARKET_VOLATILITY, (rows, 1), _MARKET_LOG_VOLATILITY)
    own_log, own_volatility = _volatility(settings, Stream.OWN_VOLATILITY, who.traded.shape, _OWN_LOG_VOLATILITY)
    market_volatility *= settings.market_volatility / np.sqrt(SESSIONS_PER_YEAR)
    own_volatility *= stocks.volatility
    sector_volatility = settings.sector_volatility / np.sqrt(SESSIONS_PER_YEAR)
    own = _shocks(settings, Stream.OWN, who.traded.shape)
    market = _shocks(settings, Stream.MARKET, (rows, 1)) * market_volatility[..., None]
    sector = _shocks(settings, Stream.SECTOR, (rows, len(SECTORS)))[:, who.sector] * sector_volatility
    variance = (stocks.beta * market_volatility) ** 2 + sector_volatility**2 + own_volatility**2
    expected = stocks.beta * settings.equity_premium / SESSIONS_PER_YEAR - variance / 2
    factors = stocks.beta[:, None] * market + sector
    return _Noise(
        returns=factors + own * own_volatility[..., None] + expected[..., None] * _PARTS,
        own_shock=own[..., 0] + own[..., 1],
        own_volatility=own_volatility,
        total_volatility=np.sqrt(variance),
        calm=0.5 * market_log + own_log,
    )


def _volatility(
    settings: MarketSettings, stream: Stream, shape: tuple[int, ...], process: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return log volatility (mean 0) and volatility (mean square 1)."""
    persistence, deviation = process
    log = _autoregression(generator(settings, stream).standard_normal(shape), persistence, deviation)
    return log, np.exp(log - deviation**2)


def _shocks(settings: MarketSettings, stream: Stream, shape: tuple[int, ...]) -> np.ndarray:
    """Draw Student-t shocks for both parts of the session, shape [..., 2], whose sum has variance 1."""
    unit = np.sqrt((_DEGREES_OF_FREEDOM - 2) / _DEGREES_OF_FREEDOM)
    return generator(settings, stream).standard_t(_DEGREES_OF_FREEDOM, (*shape, 2)) * (unit * np.sqrt(_PARTS))


def _autoregression(shocks: np.ndarray, persistence: float, deviation: float) -> np.ndarray:
    """Return the stationary AR(1) path of `shocks`; with `deviation` 1, their standardised EMA."""
    path = deviation * shocks
    weight = np.sqrt(1 - persistence**2)
    for row in range(1, len(path)):
        path[row] = persistence * path[row - 1] + weight * path[row]
    return path


def _extremes(
    settings: MarketSettings, intraday: np.ndarray, open_log: np.ndarray, volatility: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the highest and lowest log price of a Brownian bridge from open to close.

    The maximum of a bridge that ends at d with variance v is (d + sqrt(d^2 - 2 v ln U)) / 2, U uniform.
    """
    draws = generator(settings, Stream.RANGE).random((*intraday.shape, 2))
    spread = -2 * (volatility**2 * _PARTS[1])[..., None] * np.log1p(-draws)
    reach = np.sqrt(intraday[..., None] ** 2 + spread)
    return open_log + (intraday + reach[..., 0]) / 2, open_log + (intraday - reach[..., 1]) / 2


def _tape_price(price: np.ndarray) -> np.ndarray:
    return np.maximum(np.round(price, 2), 0.01)


def _adjust(settings: MarketSettings, who: Universe, close_index: np.ndarray) -> np.ndarray:
    """Return the total-return factor, shape [T, N]: 1 until the first corporate action after listing.

    On an ex-date it grows by the split's ratio, or by c / (c - dividend) with c the tape's last close.
    """
    stocks = _stocks(settings)
    rows = np.arange(settings.n_sessions)[:, None]
    # An ex-date falls only between two traded sessions, so that c is a price that was seen.
    pays = who.traded & np.vstack([np.zeros_like(who.traded[:1]), who.traded[:-1]]) & (who.splits == 1.0)
    pays &= (rows % _SESSIONS_PER_DIVIDEND == stocks.dividend_phase) & (stocks.dividend_yield > 0)
    adjust = np.ones(who.traded.shape)
    for row in range(1, len(adjust)):
        last = _tape_price(close_index[row - 1] / adjust[row - 1])
        dividend = np.where(pays[row], np.round(last * stocks.dividend_yield / 4, 2), 0.0)
        adjust[row] = adjust[row - 1] * who.splits[row] * (last / (last - dividend))
    return adjust


def _volume(settings: MarketSettings, who: Universe, noise: _Noise) -> np.ndarray:
    """Return the tape's shares, shape [T, N]: more of them when volatility and the day's move are large."""
    stocks = _stocks(settings)
    mood = _autoregression(generator(settings, Stream.VOLUME).standard_normal(who.traded.shape), 0.7, 0.3)
    surprise = np.abs(noise.returns.sum(axis=2)) / noise.total_volatility
    usual = stocks.dollar_volume / who.first_price_usd * np.cumprod(who.splits, axis=0)
    return np.maximum(np.round(usual * np.exp(0.7 * noise.calm + 0.25 * (surprise - 0.8) + mood)), 100.0)
