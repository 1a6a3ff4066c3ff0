"""Controls of the method: checks that a model which sees the future, or finds what is not there, must fail.

- `prefix_differences`: whatever is computed for a session must come out the same when everything after
  it is taken away. A moving average over the wrong axis, a filter that looks both ways and a label among
  the inputs all differ.
- `placebo`: the same training on labels that were dealt out anew among the stocks of each session. What
  such a model scores is what luck scores on these data; no formula tells it, because a model without
  skill still leans on real structure.
- `delayed_returns`: the return of a trade that comes late. Skill fades with delay; a leak need not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.panel import FeaturePanel, PricePanel
from feeds.progress import Progress, silent
from models.bar_table import BarTable
from models.fold_training import TrainingData
from models.labels import ForwardReturns, forward_returns
from models.ranking_measures import FEWEST_RANKED, newey_west_lags, newey_west_t
from models.spec import ModelSpec
from models.training import fit_folds, unsealed
from models.walk_forward_predictor import panel_volatility


@dataclass(frozen=True)
class Difference:
    """A value that is not the same without its future.

    Attributes
    ----------
    session : Timestamp
    ticker, column : str
    whole, cut : float
        The value with all data, and with everything after `session` taken away.
    """

    session: pd.Timestamp
    ticker: str
    column: str
    whole: float
    cut: float


def prefix_differences(
    compute: Callable[[PricePanel], FeaturePanel], panel: PricePanel, rows: Iterable[int], tolerance: float = 1e-6
) -> list[Difference]:
    """Return what differs at the last session of a cut, over all stocks and columns.

    Parameters
    ----------
    compute : callable
        Makes features, inputs or predictions of a panel, one row per session.
    panel : PricePanel
    rows : iterable of int
        Session rows after which the panel is cut.
    tolerance : float
        Relative above 1 and absolute below; a NaN on one side only always differs.
    """
    whole = compute(panel)
    found = []
    for row in rows:
        session = panel.sessions[row]
        cut = compute(panel.until(session))
        full, short = whole.values[row], cut.values[-1]
        alike = np.isclose(short, full, rtol=tolerance, atol=tolerance, equal_nan=True)
        found += [
            Difference(session, panel.tickers[j], whole.names[i], float(full[j, i]), float(short[j, i]))
            for j, i in np.argwhere(~alike)
        ]
    return found


def permuted_returns(returns: ForwardReturns, rng: np.random.Generator) -> ForwardReturns:
    """Deal out the labels of each session anew among its stocks, each with the day on which it is known.

    The distribution of every session stays, and with it the market's moves and the classes' shares; only
    which stock had which return is lost.
    """
    order = np.lexsort((rng.random(len(returns.session_row)), returns.session_row))
    places = np.argsort(returns.session_row, kind="stable")
    source = np.empty(len(order), dtype=np.int64)
    source[places] = order
    return replace(
        returns,
        plain=returns.plain[source],
        scaled=returns.scaled[source],
        known_row=returns.known_row[source],
    )


@dataclass(frozen=True)
class Placebo:
    """What models without anything to find scored.

    Attributes
    ----------
    coefficients : ndarray of float64, shape [K]
        Mean information coefficient out of sample of each fit, against the true returns.
    common_t : float
        HAC t of the daily coefficients averaged over the fits.
    """

    coefficients: np.ndarray
    common_t: float

    @property
    def bound(self) -> float:
        """What luck exceeds once in twenty times: the 95th percentile, by K + 1 parts between K draws.

        By that rule one more draw exceeds it with a chance of 5 %, from 19 draws on; a rule that ends at the
        highest draw lets twice as many through when there are 20.

        Source: E. J. Gumbel (1958), Statistics of Extremes, 1.2 (plotting position k / (K + 1)).
        """
        return float(np.quantile(self.coefficients, 0.95, method="weibull"))

    @property
    def is_centred(self) -> bool:
        """True where the mean of all fits lies within three standard errors of 0: nothing is found in nothing.

        The fits are no independent throws: all rank the same test sessions, and all lean on the columns that tell
        how far a stock moves (returns are skewed, so the expected return of a class mix is too). The error is
        therefore that of their mean from session to session, not their spread over the root of their number.
        """
        return bool(abs(self.common_t) <= 3)

    def beside(self, coefficient: float) -> dict[str, Any]:
        """Return the evaluation's entry ``placebo``: the draws, and whether the real `coefficient` beats them.

        ``beats`` is None where either has no coefficient.
        """
        known = bool(np.isfinite([coefficient, *self.coefficients]).all())
        return {
            "draws": len(self.coefficients),
            "mean": float(self.coefficients.mean()),
            "sd": float(self.coefficients.std(ddof=1)),
            "bound_95": self.bound,
            "information_coefficient": coefficient,
            "beats": coefficient > self.bound if known else None,
            "at_least_as_high": int((self.coefficients >= coefficient).sum()),
            "common_t": self.common_t,
            "centred": self.is_centred,
            "coefficients": self.coefficients.tolist(),
        }


def check_placebo(panel: PricePanel, spec: ModelSpec) -> None:
    """Refuse a placebo of a fixed rule, or where no session has stocks to deal labels among; raises InputError."""
    if spec.quick:
        raise InputError(
            f"`placebo`: expected a model that learns its score from labels, received {spec.family}, whose ranking is "
            "a fixed rule; leave it out"
        )
    count = int(panel.traded.sum(axis=1).max(initial=0))
    if count < FEWEST_RANKED:
        raise InputError(
            f"`placebo`: expected sessions with at least {FEWEST_RANKED} stocks, among which labels can be dealt out, "
            f"received at most {count}; leave it out, or use more tickers"
        )


def placebo(
    panel: PricePanel,
    features: FeaturePanel,
    spec: ModelSpec,
    *,
    draws: int = 20,
    seed: int = 0,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Placebo:
    """Train on permuted labels, again and again, and measure against what really came.

    Parameters
    ----------
    panel, features, spec, cache
        As for `models.training.walk_forward`. The cache names a network by its labels too, so each draw's are
        found again, and more draws later train only what is new.
    draws : int
        Fits, at least 2; 20 are the fewest from which a 95th percentile can be read. Each costs one training.
    seed : int
        Of the permutations and of the training.
    jobs : int
        Training processes at most.
    progress : Progress
        Moves by one per fit.

    Raises
    ------
    InputError
        For fewer than 2 draws or 5 stocks, for a baseline that is a fixed rule, or as `walk_forward`.
    """
    if draws < 2:
        raise InputError(f"`draws`: expected at least 2 fits, received {draws}")
    spec.require_names(len(panel.tickers))
    check_placebo(panel, spec)
    panel, features = unsealed(panel, features, spec)
    data = TrainingData.of(panel, features, spec)
    daily = []
    for draw in progress(range(draws), "placebo fits", draws):
        rng = np.random.default_rng((seed, draw))
        dealt = replace(data, returns=permuted_returns(data.returns, rng))
        fit = fit_folds(dealt, panel, features, spec, seed=seed + draw, jobs=jobs, cache=cache, progress=silent)
        daily.append(fit.measured.coefficients)
    return Placebo(np.array([_mean(one) for one in daily]), mean_t(np.array(daily), spec.horizon))


def delayed_returns(panel: PricePanel, spec: ModelSpec, bars: int) -> np.ndarray:
    """Return the return over the horizon of a trade that comes `bars` of its own bars late, shape [T, N]."""
    table = BarTable.of(panel)
    sigma = table.flatten(panel_volatility(panel))
    returns = forward_returns(table, table.flatten(panel.open), sigma, spec.horizon, spec.gap_sessions)
    late = np.roll(returns.plain, -bars)
    ends = np.append(np.unique(table.first_position)[1:], len(table))
    for back in range(1, bars + 1):
        late[ends - back] = np.nan
    return table.unflatten(late)


def mean_t(daily: np.ndarray, horizon: int) -> float:
    """Return the HAC t of the mean over the fits, from their daily coefficients [K, T]."""
    common = daily.mean(axis=0)
    common = common[np.isfinite(common)]
    return newey_west_t(common, newey_west_lags(len(common), horizon))


def _mean(coefficients: np.ndarray) -> float:
    known = coefficients[np.isfinite(coefficients)]
    return float(known.mean()) if len(known) else np.nan
