"""An invented market whose predictability is known: the yardstick for everything that claims to learn.

Each stock's own return (what is left without the market's) leans on a moving average of its own past
returns, so a network must remember, but nothing non-linear has to be found. The share of the next
return that the average explains is chosen, so the best information coefficient there is, the oracle's,
is known; at strength 0 there is nothing to find and whatever is found is an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.sessions import trading_sessions

_FIRST_DAY, _LAST_DAY = "2010-01-04", "2026-06-30"
_DAILY_VOLATILITY, _MARKET_VOLATILITY = 0.015, 0.008
_DEGREES_OF_FREEDOM = 5
_MEMORY_BARS = 10


@dataclass(frozen=True)
class PlantedMarket:
    """A market and the part of each next return that its past tells.

    Attributes
    ----------
    panel : PricePanel
        T sessions, N stocks that all trade on all of them; each opens at its last close.
    oracle : ndarray of float64, shape [T, N]
        The standardised moving average that moves the return from open(t+1) to open(t+2).
        **Known at** the close of each session.
    """

    panel: PricePanel
    oracle: np.ndarray


def make_planted_market(
    stocks: int = 150, sessions: int = 1500, strength: float = 0.05, seed: int = 0
) -> PlantedMarket:
    """Invent a market with a linear memory.

    Parameters
    ----------
    stocks, sessions : int
    strength : float
        Correlation of the moving average with the next own return, in [0, 1).
    seed : int
        The same seed gives the same bytes; the noise is the same at every strength.

    Raises
    ------
    InputError
        For a strength outside [0, 1) or fewer than one stock or session.
    """
    if not 0 <= strength < 1:
        raise InputError(f"`strength`: expected a correlation in [0, 1), received {strength}")
    if stocks < 1 or sessions < 1:
        raise InputError(f"planted market: expected stocks and sessions, received {stocks} and {sessions}")
    rng = np.random.default_rng(seed)
    noise = rng.standard_t(_DEGREES_OF_FREEDOM, (sessions, stocks))
    noise /= np.sqrt(_DEGREES_OF_FREEDOM / (_DEGREES_OF_FREEDOM - 2))
    own, oracle = _own_returns(noise, strength)
    market = _MARKET_VOLATILITY * rng.standard_normal(sessions)
    close = 50 * np.exp(np.cumsum(_DAILY_VOLATILITY * own + market[:, None], axis=0))
    return PlantedMarket(_panel(close, rng), oracle)


def _own_returns(noise: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return own returns of unit variance and the standardised average of those so far, both [T, N].

    With decay d, keep p = 1 - d and gain k the average is a_t = (p + d k) a_(t-1) + d sqrt(1 - s^2) e_t,
    and the return k a_(t-1) + sqrt(1 - s^2) e_t. Its correlation with the average is s when
    d^2 k^2 + 2 p d s^2 k - s^2 (1 - p^2) = 0.
    """
    decay = 2 / (_MEMORY_BARS + 1)
    keep = 1 - decay
    gain = strength * (np.sqrt(keep**2 * strength**2 + 1 - keep**2) - keep * strength) / decay
    spread = strength / gain if gain else decay / np.sqrt(1 - keep**2)
    own, oracle = np.empty_like(noise), np.empty_like(noise)
    average = np.zeros(noise.shape[1])
    for t, shock in enumerate(noise):
        own[t] = gain * average + np.sqrt(1 - strength**2) * shock
        average = keep * average + decay * own[t]
        oracle[t] = average / spread
    return own, oracle


def _panel(close: np.ndarray, rng: np.random.Generator) -> PricePanel:
    open_ = np.vstack([close[:1], close[:-1]])
    reach = np.exp(np.abs(rng.normal(0, 0.004, (2, *close.shape))))
    return PricePanel(
        sessions=trading_sessions(_FIRST_DAY, _LAST_DAY)[: len(close)],
        tickers=tuple(f"P{column:04d}" for column in range(close.shape[1])),
        open=open_,
        high=np.maximum(open_, close) * reach[0],
        low=np.minimum(open_, close) / reach[1],
        close=close,
        volume=np.round(np.exp(rng.normal(13, 0.4, close.shape))),
        adjust=np.ones_like(close),
        price_basis="as_traded",
    )
