"""How good the scores' order was, session by session, and what trading it would turn over.

Returns over h bars overlap, so whatever is averaged over sessions has Newey-West errors, and the portfolio
behind spread and turnover is the usual one for overlapping holding (Jegadeesh and Titman 1993): each session
a h-th of the money is put anew into the highest and lowest scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.cross_section import session_ranks

FEWEST_RANKED = 5
"""Stocks with a score and a return below which a session's rank correlation is not counted."""
_QUANTILES = ((50, 10), (15, 5), (6, 3), (0, 2))
"""Stocks of a usual session from which it is cut into so many parts."""
_NORMAL_95 = 1.959963984540054
_SIDES_TRADED = 4
"""Both legs sell what they had and buy what they want."""


@dataclass(frozen=True)
class RankingMeasures:
    """Measures of scores against the returns that followed; NaN where there was nothing to measure.

    Attributes
    ----------
    n_sessions, n_names : int
        Sessions that the information coefficient counts, stocks that occur in them.
    information_coefficient : float
        Mean over sessions of Spearman's correlation between score and the return that followed.
    information_coefficient_sd, information_coefficient_ratio : float
        Standard deviation of the sessions' coefficients, and mean over it.
    information_coefficient_t, information_coefficient_low, information_coefficient_high : float
        Newey-West t statistic and 95 % interval of the mean.
    positive_share : float
        Share of sessions with a coefficient above 0.
    quantiles : int
        Parts into which a session's stocks are cut: 10, or fewer when there are fewer than 50 stocks.
    spread_bps, spread_t : float
        Mean return of the highest part less the lowest, basis points a session, and its Newey-West t.
    monotonicity : float
        Spearman's correlation between the parts' order and their mean returns.
    turnover : float
        Share of each leg that is replaced a session.
    breakeven_bps : float
        Cost per side, in basis points of the value traded, that would eat the spread.
    """

    n_sessions: int = 0
    n_names: int = 0
    information_coefficient: float = np.nan
    information_coefficient_sd: float = np.nan
    information_coefficient_ratio: float = np.nan
    information_coefficient_t: float = np.nan
    information_coefficient_low: float = np.nan
    information_coefficient_high: float = np.nan
    positive_share: float = np.nan
    quantiles: int = 0
    spread_bps: float = np.nan
    spread_t: float = np.nan
    monotonicity: float = np.nan
    turnover: float = np.nan
    breakeven_bps: float = np.nan


def ranking_measures(score: np.ndarray, realised: np.ndarray, horizon: int) -> RankingMeasures:
    """Measure scores against returns over `horizon` bars, shapes [T, N]."""
    daily = daily_information_coefficients(score, realised)
    counted = np.isfinite(daily)
    if not counted.any():
        return RankingMeasures()
    coefficients = daily[counted]
    both = np.isfinite(score) & np.isfinite(realised)
    score, realised = (np.where(both, values, np.nan)[counted] for values in (score, realised))
    lags = newey_west_lags(len(coefficients), horizon)
    mean, sd = float(coefficients.mean()), float(coefficients.std(ddof=1)) if len(coefficients) > 1 else np.nan
    low, high = newey_west_interval(coefficients, lags)
    return RankingMeasures(
        n_sessions=len(coefficients),
        n_names=int(both[counted].any(axis=0).sum()),
        information_coefficient=mean,
        information_coefficient_sd=sd,
        information_coefficient_ratio=mean / sd if sd > 0 else np.nan,
        information_coefficient_t=newey_west_t(coefficients, lags),
        information_coefficient_low=low,
        information_coefficient_high=high,
        positive_share=float((coefficients > 0).mean()),
        **_portfolio(score, realised, horizon, lags),
    )


def _portfolio(score: np.ndarray, realised: np.ndarray, horizon: int, lags: int) -> dict[str, Any]:
    quantiles = quantile_count(int(np.median(np.isfinite(score).sum(axis=1))))
    part = session_quantiles(score, quantiles)
    means = np.stack([_row_means(realised, part == q) for q in range(quantiles)], axis=1)
    spread = (means[:, -1] - means[:, 0]) / horizon * 1e4
    spread = spread[np.isfinite(spread)]
    turnover = leg_turnover(part, quantiles, horizon)
    earned = float(spread.mean()) if len(spread) else np.nan
    return {
        "quantiles": quantiles,
        "spread_bps": earned,
        "spread_t": newey_west_t(spread, lags),
        "monotonicity": _monotonicity(means),
        "turnover": turnover,
        "breakeven_bps": earned / (_SIDES_TRADED * turnover) if turnover > 0 else np.nan,
    }


def quantile_count(names: int) -> int:
    """Return into how many parts a session of so many stocks is cut."""
    return next(parts for fewest, parts in _QUANTILES if names >= fewest)


def session_quantiles(score: np.ndarray, quantiles: int) -> np.ndarray:
    """Return each stock's part, 0 lowest, shape [T, N]; -1 without a score, equal scores share a part."""
    place = (session_ranks(score) + 1) / 2
    part = np.minimum(np.floor(np.nan_to_num(place) * quantiles), quantiles - 1)
    return np.where(np.isfinite(place), part, -1).astype(int)


def leg_turnover(part: np.ndarray, quantiles: int, horizon: int) -> float:
    """Return the share of each leg replaced a session when a h-th of the money is placed anew each session."""
    legs = _leg_weights(part == quantiles - 1) - _leg_weights(part == 0)
    if len(legs) <= horizon:
        return np.nan
    traded = np.abs(legs[horizon:] - legs[:-horizon]).sum(axis=1).mean() / horizon
    return float(traded / _SIDES_TRADED)


def _leg_weights(chosen: np.ndarray) -> np.ndarray:
    return chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)


def _row_means(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    count = chosen.sum(axis=1)
    total = np.where(chosen, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def _monotonicity(means: np.ndarray) -> float:
    whole = means[np.isfinite(means).all(axis=1)]
    if not len(whole):
        return np.nan
    ranks = session_ranks(whole.mean(axis=0)[None])[0]
    order = np.linspace(-1, 1, len(ranks))
    return float(ranks @ order / np.sqrt((ranks @ ranks) * (order @ order))) if ranks.any() else np.nan


def daily_information_coefficients(score: np.ndarray, realised: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each session, shape [T]; NaN with fewer than 5 pairs or without variation."""
    both = np.isfinite(score) & np.isfinite(realised)
    x, y = (session_ranks(np.where(both, values, np.nan)) for values in (score, realised))
    # Ranks on [-1, 1] with shared ties have mean 0 on every session.
    products, x_squares, y_squares = (np.nansum(a * b, axis=1) for a, b in ((x, y), (x, x), (y, y)))
    spread = np.sqrt(x_squares * y_squares)
    counted = (both.sum(axis=1) >= FEWEST_RANKED) & (spread > 0)
    return np.divide(products, spread, out=np.full(len(score), np.nan), where=counted)


def newey_west_lags(count: int, horizon: int) -> int:
    """Return the lags for overlapping returns: at least horizon - 1, and about the cube root of the sample."""
    return max(horizon - 1, int(np.ceil(count ** (1 / 3))))


def newey_west_error(values: np.ndarray, lags: int) -> float:
    """Return the standard error of the mean with Bartlett weights (Newey and West 1987); NaN when it has none."""
    count = len(values)
    if count < 2:
        return np.nan
    centred = values - values.mean()
    lags = min(lags, count - 1)
    covariances = np.array([centred[lag:] @ centred[: count - lag] for lag in range(lags + 1)]) / count
    weights = 1 - np.arange(lags + 1) / (lags + 1)
    variance = 2 * (weights * covariances).sum() - covariances[0]
    return float(np.sqrt(variance / count)) if variance > 0 else np.nan


def newey_west_t(values: np.ndarray, lags: int) -> float:
    """Return mean over its Newey-West standard error; NaN when it has none."""
    error = newey_west_error(values, lags)
    return np.nan if np.isnan(error) else float(values.mean() / error)


def newey_west_interval(values: np.ndarray, lags: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean; NaN when it has none."""
    half = _NORMAL_95 * newey_west_error(values, lags)
    return float(values.mean() - half), float(values.mean() + half)
