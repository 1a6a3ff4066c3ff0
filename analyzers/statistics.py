"""What a run earned, what it risked, and how much of it luck alone could give.

Everything is computed from the daily equity and the trade list; nothing here knows backtrader.
Returns are simple daily returns between sessions; the first row of the equity is the starting
point, not a return. A figure that is not defined (no trades, no variance, fewer than two
sessions) is None, never 0 and never NaN, so that the manifest stays valid JSON.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

Metrics = dict[str, float | int | None]

SESSIONS_PER_YEAR = 252
DAYS_PER_YEAR = 365.25
_NORMAL = NormalDist()
_EULER_GAMMA = 0.5772156649015329
_REGRESSED = ("beta", "alpha", "alpha_low", "alpha_high")
_FEWEST_FOR_ALPHA = 30  # below it White's error is far too small
_NO_VARIANCE = 1e-12  # a daily standard deviation below this is rounding, not risk


def performance(
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    benchmark: pd.Series | None = None,
    risk_free: float = 0.0,
    slippage_frac: float | None = None,
    tried: int | None = None,
) -> Metrics:
    """Measure a run.

    Parameters
    ----------
    equity : DataFrame, index of sessions, columns `value` (USD) and `exposure` (fraction)
        As `Recorder.equity` has it, cut to the sessions that count.
    trades : DataFrame
        As `Recorder.trades` has it.
    benchmark : Series of value (USD), optional
        On the same sessions; others are dropped and missing ones take the value before.
    risk_free : float
        Annual rate, compounded; (1 + rate)^(1/252) - 1 is taken off every daily return in
        Sharpe, Sortino, beta and alpha.
    slippage_frac : float, optional
        Slippage per side as a fraction of price, to estimate `slippage_usd`.
    tried : int, optional
        Specifications tried on the same prices, this one included.

    Returns
    -------
    dict of name to float, int or None
        ``total_return``, ``cagr``, ``volatility``, ``sharpe``, ``sharpe_low`` and ``sharpe_high``
        (95 % interval), ``probability_of_skill`` (probabilistic Sharpe ratio against 0),
        ``sortino``, ``max_drawdown``, ``max_drawdown_days``, ``calmar``, ``exposure`` (mean),
        ``sessions_in_market`` (with a position), the figures of `trade_statistics` and `luck_of_many`, and
        ``benchmark_total_return``, ``benchmark_cagr``, ``benchmark_volatility``,
        ``benchmark_sharpe``, ``benchmark_max_drawdown``, ``beta``, ``alpha``, ``alpha_low`` and
        ``alpha_high`` (95 % interval). The functions of these names in this module state each rule.
    """
    value = equity["value"]
    metrics = value_statistics(value, risk_free)
    metrics["exposure"] = _known(float(equity["exposure"].mean())) if len(equity) else None
    metrics["sessions_in_market"] = int((equity["exposure"] > 0).sum())
    metrics.update(trade_statistics(trades, value, slippage_frac))
    metrics.update(luck_of_many(daily_returns(value) - daily_rate(risk_free), tried))
    metrics.update(_against(value, benchmark, risk_free))
    return metrics


def value_statistics(value: pd.Series, risk_free: float = 0.0) -> Metrics:
    """Measure one series of daily values; see `performance` for the names and rules."""
    returns = daily_returns(value)
    excess = returns - daily_rate(risk_free)
    deepest = float(drawdowns(value).min()) if len(value) > 1 else math.nan
    growth = annual_growth(value)
    ratio = sharpe_ratio(excess)
    low, high = sharpe_interval(excess)
    return {
        "total_return": _known(_total_return(value)),
        "cagr": _known(growth),
        "volatility": _known(_deviation(returns) * math.sqrt(SESSIONS_PER_YEAR)),
        "sharpe": _known(ratio),
        "sharpe_low": _known(low),
        "sharpe_high": _known(high),
        "probability_of_skill": _known(probabilistic_sharpe(*moments(excess))),
        "sortino": _known(sortino_ratio(excess)),
        "max_drawdown": _known(deepest),
        "max_drawdown_days": longest_drawdown_days(value) if len(value) > 1 else None,
        "calmar": _known(growth / -deepest if deepest < 0 else math.nan),
    }


def daily_returns(value: pd.Series) -> np.ndarray:
    """Return simple returns between sessions, shape [len(value) - 1]."""
    levels = value.to_numpy(dtype=float)
    return levels[1:] / levels[:-1] - 1.0


def daily_rate(annual_rate: float) -> float:
    """Return the rate that compounds to `annual_rate` over 252 sessions."""
    return float((1.0 + annual_rate) ** (1.0 / SESSIONS_PER_YEAR) - 1.0)


def annual_growth(value: pd.Series) -> float:
    """Return the compound annual growth rate by the calendar.

    (last / first) ^ (365.25 / days) - 1, days from the first session to the last. NaN below two
    sessions; -1 when nothing is left.
    """
    if len(value) < 2:
        return math.nan
    days = (value.index[-1] - value.index[0]).days
    ratio = max(float(value.iloc[-1] / value.iloc[0]), 0.0)
    return math.expm1(math.log(ratio) * DAYS_PER_YEAR / days) if ratio else -1.0


def sharpe_ratio(excess: np.ndarray) -> float:
    """Return mean over standard deviation (ddof 1) of daily excess returns, times sqrt(252).

    NaN below two returns or without variance.
    """
    deviation = _deviation(excess)
    return math.nan if not deviation > _NO_VARIANCE else float(excess.mean() / deviation * math.sqrt(SESSIONS_PER_YEAR))


def sortino_ratio(excess: np.ndarray) -> float:
    """Return mean over downside deviation, times sqrt(252).

    The downside deviation is the root of the mean of min(excess, 0)^2 over **all** sessions.
    NaN below two returns or without a losing session.
    """
    if len(excess) < 2:
        return math.nan
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return math.nan if downside <= _NO_VARIANCE else float(excess.mean() / downside * math.sqrt(SESSIONS_PER_YEAR))


def drawdowns(value: pd.Series) -> pd.Series:
    """Return value over its highest so far, less 1: never above 0."""
    return value / value.cummax() - 1.0


def longest_drawdown_days(value: pd.Series) -> int:
    """Return calendar days of the longest stretch from a peak to its recovery, or to the end."""
    below = drawdowns(value).to_numpy() < 0
    sessions = value.index.to_numpy().astype("datetime64[D]")
    peaks = pd.Series(np.where(below, np.datetime64("NaT"), sessions)).ffill().to_numpy().astype("datetime64[D]")
    # On the session of recovery the stretch still counts: it lasted from the peak before until now.
    since = np.where(below, peaks, np.concatenate([peaks[:1], peaks[:-1]]))
    after_drawdown = below | np.concatenate([[False], below[:-1]])
    lengths = (sessions - since.astype("datetime64[D]")).astype(int)
    return int(lengths[after_drawdown].max(initial=0))


class Moments(NamedTuple):
    """What the error of a Sharpe ratio depends on: per session, not annualised.

    `kurtosis` is raw: 3 for a normal distribution.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    n_returns: int


def moments(excess: np.ndarray) -> Moments:
    """Return Sharpe ratio per session, skewness and raw kurtosis of daily excess returns.

    NaN below two returns or without variance.
    """
    deviation = _deviation(excess)
    if not deviation > _NO_VARIANCE:
        return Moments(math.nan, math.nan, math.nan, len(excess))
    centred = excess - excess.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    third, fourth = (float(np.mean((centred / spread) ** power)) for power in (3, 4))
    return Moments(float(excess.mean() / deviation), third, fourth, len(excess))


def sharpe_error(sharpe: float, skewness: float, kurtosis: float, n_returns: int) -> float:
    """Return the standard error of a Sharpe ratio, per session.

    sqrt((1 - skewness SR + (kurtosis - 1) / 4 SR^2) / (T - 1)), raw kurtosis; for normal returns
    that is Lo (2002). It assumes independent returns. Bailey and Lopez de Prado (2012), "The
    Sharpe ratio efficient frontier", Journal of Risk 15(2), after Mertens (2002).
    """
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return math.sqrt(variance / (n_returns - 1)) if n_returns > 1 and variance > 0 else math.nan


def sharpe_interval(excess: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval of the annual Sharpe ratio, by `sharpe_error`; NaN where undefined."""
    sample = moments(excess)
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2) * sharpe_error(*sample)
    scale = math.sqrt(SESSIONS_PER_YEAR)
    return (sample.sharpe - reach) * scale, (sample.sharpe + reach) * scale


def probabilistic_sharpe(
    sharpe: float, skewness: float, kurtosis: float, n_returns: int, threshold: float = 0.0
) -> float:
    """Return the probability that the true Sharpe ratio exceeds `threshold`, all per session.

    One half is what luck alone gives. With `expected_maximum_sharpe` as threshold this is the
    deflated Sharpe ratio (Bailey and Lopez de Prado 2014). NaN where `sharpe_error` is.
    """
    error = sharpe_error(sharpe, skewness, kurtosis, n_returns)
    return _NORMAL.cdf((sharpe - threshold) / error) if error > 0 else math.nan


def expected_maximum_sharpe(variance: float, n_trials: int) -> float:
    """Return the best Sharpe ratio to expect from `n_trials` (at least 2) tries without any skill.

    sqrt(V) ((1 - g) z(1 - 1/N) + g z(1 - 1/(N e))), with V the variance of the Sharpe ratios
    tried (per session) and g Euler's constant. Bailey and Lopez de Prado (2014), "The deflated
    Sharpe ratio", Journal of Portfolio Management 40(5).
    """
    first, second = (_NORMAL.inv_cdf(1.0 - 1.0 / (n_trials * scale)) for scale in (1.0, math.e))
    return math.sqrt(variance) * ((1.0 - _EULER_GAMMA) * first + _EULER_GAMMA * second)


def luck_of_many(excess: np.ndarray, tried: int | None) -> Metrics:
    """Measure daily excess returns against the best of as many tries without skill.

    Returns
    -------
    dict
        ``tried`` as given; ``luck_sharpe``, the annual Sharpe ratio that the best of so many shows by luck alone
        (`expected_maximum_sharpe`; 0 for one); ``deflated_sharpe``, the probability that the true Sharpe ratio
        exceeds it (`probabilistic_sharpe`). The tries are taken to be independent and without any skill, so that
        their Sharpe ratios vary as that of one does around 0, 1 / (T - 1); models that resemble each other vary
        less, and luck then gives less. The last two are None without `tried`, or where undefined.
    """
    sample = moments(excess)
    if not tried or math.isnan(sample.sharpe):
        return {"tried": tried, "luck_sharpe": None, "deflated_sharpe": None}
    variance = sharpe_error(0.0, sample.skewness, sample.kurtosis, sample.n_returns) ** 2
    best = expected_maximum_sharpe(variance, tried) if tried > 1 else 0.0
    return {
        "tried": tried,
        "luck_sharpe": _known(best * math.sqrt(SESSIONS_PER_YEAR)),
        "deflated_sharpe": _known(probabilistic_sharpe(*sample, threshold=best)),
    }


def trade_statistics(trades: pd.DataFrame, value: pd.Series, slippage_frac: float | None = None) -> Metrics:
    """Measure the trade list.

    Returns
    -------
    dict
        ``n_trades`` counts every row, ``n_open_trades`` those still open at the end. The next
        four take closed trades only, after commission: ``win_rate`` (share with a profit),
        ``profit_factor`` (profits over losses; None without a loss), ``average_trade_return``,
        ``average_bars_held``. ``turnover`` is annual and one-sided: half of all money bought and
        sold, over the mean value, per year. ``commission_usd`` is what was paid;
        ``slippage_usd`` is an estimate, money traded times `slippage_frac` (limit orders and
        sales at a delisting are not charged any, so the true figure can be lower).
    """
    closed = trades[trades["exit_session"].notna()]
    net = closed["pnl_net"].to_numpy(dtype=float)
    losses = -float(net[net < 0].sum())
    entered = float((trades["size"].abs() * trades["entry_price"]).sum())
    traded = entered + float((closed["size"].abs() * closed["exit_price"]).sum())
    years = (value.index[-1] - value.index[0]).days / DAYS_PER_YEAR if len(value) > 1 else math.nan
    return {
        "n_trades": len(trades),
        "n_open_trades": len(trades) - len(closed),
        "win_rate": float((net > 0).mean()) if len(net) else None,
        "profit_factor": float(net[net > 0].sum()) / losses if losses > 0 else None,
        "average_trade_return": _known(float(closed["return_net"].mean())) if len(net) else None,
        "average_bars_held": float(closed["bars_held"].mean()) if len(net) else None,
        "turnover": _known(traded / 2 / float(value.mean()) / years) if len(value) > 1 else None,
        "commission_usd": float((trades["pnl"] - trades["pnl_net"]).sum()),
        "slippage_usd": None if slippage_frac is None else traded * slippage_frac,
    }


def _against(value: pd.Series, benchmark: pd.Series | None, risk_free: float) -> Metrics:
    names = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown")
    if benchmark is None:
        return dict.fromkeys([*(f"benchmark_{name}" for name in names), *_REGRESSED])
    aligned = benchmark.reindex(value.index, method="ffill")
    figures = value_statistics(aligned, risk_free)
    both = daily_returns(value), daily_returns(aligned)
    regressed = (*beta_and_alpha(*both, risk_free), *alpha_interval(*both, risk_free))
    named = zip(_REGRESSED, map(_known, regressed), strict=True)
    return {**{f"benchmark_{name}": figures[name] for name in names}, **dict(named)}


def beta_and_alpha(returns: np.ndarray, benchmark_returns: np.ndarray, risk_free: float = 0.0) -> tuple[float, float]:
    """Return the slope on the benchmark's daily excess returns, and the intercept times 252.

    NaN below two returns or where the benchmark has no variance.
    """
    rate = daily_rate(risk_free)
    ours, theirs = returns - rate, benchmark_returns - rate
    if not _deviation(theirs) > _NO_VARIANCE:
        return math.nan, math.nan
    beta = float(np.cov(ours, theirs, ddof=1)[0, 1] / np.var(theirs, ddof=1))
    return beta, float((ours.mean() - beta * theirs.mean()) * SESSIONS_PER_YEAR)


def alpha_interval(
    returns: np.ndarray, benchmark_returns: np.ndarray, risk_free: float = 0.0, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the two-sided interval of the annual alpha; NaN where alpha is, or below 30 returns.

    The error is White's for a regression whose noise changes its size, with the factor n / (n - 2).

    Source: H. White (1980), Econometrica 48(4); MacKinnon and White (1985), HC1.
    """
    beta, alpha = beta_and_alpha(returns, benchmark_returns, risk_free)
    if math.isnan(alpha) or len(returns) < _FEWEST_FOR_ALPHA:
        return math.nan, math.nan
    theirs = benchmark_returns - daily_rate(risk_free)
    residual = returns - daily_rate(risk_free) - beta * theirs - alpha / SESSIONS_PER_YEAR
    # The intercept's row of (X'X)^-1 X', the weights that make it out of the returns.
    centred = theirs - theirs.mean()
    weights = 1 / len(theirs) - theirs.mean() * centred / (centred @ centred)
    error = math.sqrt(float(weights**2 @ residual**2) * len(returns) / (len(returns) - 2)) * SESSIONS_PER_YEAR
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2) * error
    return alpha - reach, alpha + reach


def _deviation(returns: np.ndarray) -> float:
    return float(np.std(returns, ddof=1)) if len(returns) > 1 else math.nan


def _total_return(value: pd.Series) -> float:
    return float(value.iloc[-1] / value.iloc[0] - 1.0) if len(value) > 1 else math.nan


def _known(figure: float) -> float | None:
    """Return a plain float, or None where it is not finite."""
    return float(figure) if math.isfinite(figure) else None
