"""Controls of the method at full length: ``make validate``, about ten minutes on two cores.

Each control has a criterion and prints its figures; the exit code is 1 when one fails. The quick
versions run with the tests. ``python -m benchmarks.validate placebo planted`` runs only those named.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.features import build_columns
from engine.progress import progress_bars
from feeds.panel import BAR_FIELDS, Bars, FeaturePanel, PricePanel
from feeds.synthetic import MarketSettings, make_market, write_filings
from feeds.transactions import TransactionTable, read_filings
from models.controls import delayed_returns, placebo, prefix_differences
from models.cross_section import cross_section_features
from models.evaluation import daily_information_coefficients, newey_west_lags, newey_west_t
from models.features import panel_features
from models.fold_training import TrainingData
from models.fold_window import FoldWindow
from models.planted import make_planted_market
from models.predictions import PREDICTION_COLUMNS
from models.spec import ModelSpec, resolve
from models.training import WalkForwardResult, walk_forward

JOBS = 2
POINTS = 50
DRAWS = 20
STRENGTH = 0.05
PLANTED = {
    "horizon": 1,
    "train_sessions": 1150,
    "validation_sessions": 150,
    "test_sessions": 350,
    "seeds": 3,
    "insider": False,
}


@dataclass(frozen=True)
class Outcome:
    """One control: what was measured, and whether it met its criterion."""

    name: str
    criterion: str
    measured: str
    passed: bool


def price_columns(panel: PricePanel) -> FeaturePanel:
    """Return price and cross-sectional columns."""
    price = panel_features(panel)
    return FeaturePanel.concatenate([price, cross_section_features(panel, price)])


def coefficients(score: np.ndarray, realised: np.ndarray, horizon: int) -> tuple[float, float]:
    """Return the mean daily information coefficient and its HAC t."""
    daily = daily_information_coefficients(score, realised)
    daily = daily[np.isfinite(daily)]
    return float(daily.mean()), newey_west_t(daily, newey_west_lags(len(daily), horizon))


def score_of(result: WalkForwardResult, panel: PricePanel) -> np.ndarray:
    """Return the scores out of sample, shape [T, N]."""
    return result.predictions.matrix("score", panel.sessions, panel.tickers)


@dataclass(frozen=True)
class Embedded:
    """The embedded market with its filings, and the demo's model trained on it."""

    panel: PricePanel
    filings: TransactionTable
    features: FeaturePanel
    spec: ModelSpec
    result: WalkForwardResult
    cache: Path

    @staticmethod
    def make(folder: Path) -> Embedded:
        """Invent the market, write and parse its filings, train the demo's model."""
        market = MarketSettings()
        panel = make_market(market)
        write_filings(market, folder / "filings")
        filings = read_filings(folder / "filings")
        features, spec = build_columns(panel, filings).model, resolve("tiny")
        shown = progress_bars(quiet=False)
        result = walk_forward(panel, features, spec, jobs=JOBS, cache=folder, progress=shown)
        return Embedded(panel, filings, features, spec, result, folder)


def prefix_of_columns(market: Embedded) -> Outcome:
    """Every column of 50 sessions, all stocks, again from data that end there."""
    rows = np.random.default_rng(0).choice(np.arange(300, len(market.panel.sessions)), POINTS, replace=False)
    found = prefix_differences(lambda cut: build_columns(cut, market.filings).model, market.panel, sorted(rows))
    count = POINTS * len(market.panel.tickers) * len(market.features.names)
    return Outcome("prefix: columns", "no difference", f"{len(found)} of {count:,} values differ", not found)


def prefix_of_predictions(market: Embedded) -> Outcome:
    """Every prediction of some sessions, again from a training on data that end there."""

    def predict(cut: PricePanel) -> FeaturePanel:
        columns = build_columns(cut, market.filings).model
        frame = walk_forward(cut, columns, market.spec, jobs=JOBS, cache=market.cache).predictions
        values = [frame.matrix(name, cut.sessions, cut.tickers) for name in PREDICTION_COLUMNS]
        return FeaturePanel(cut.sessions, cut.tickers, PREDICTION_COLUMNS, np.stack(values, axis=2))

    first = market.spec.train_sessions
    rows = np.linspace(first + 20, len(market.panel.sessions) - 2, 5).astype(int)
    found = prefix_differences(predict, market.panel, rows)
    count = len(rows) * len(market.panel.tickers) * len(PREDICTION_COLUMNS)
    return Outcome("prefix: predictions", "no difference", f"{len(found)} of {count:,} values differ", not found)


def invariance(market: Embedded) -> Outcome:
    """All prices of a stock times a constant, and the tickers in another order of names."""
    factor = np.exp(np.random.default_rng(1).normal(0, 1, len(market.panel.tickers)))
    prices = {name: getattr(market.panel, name) * factor for name in ("open", "high", "low", "close")}
    scaled = replace(market.panel, **prices, volume=market.panel.volume / factor)
    whole = price_columns(market.panel).values
    by_scale = np.nanmax(np.abs(price_columns(scaled).values - whole))
    n = len(market.panel.tickers)
    fields = ("open", "high", "low", "close", "volume", "adjust")
    turned = replace(market.panel, **{name: getattr(market.panel, name)[:, ::-1] for name in fields})
    by_order = np.nanmax(np.abs(price_columns(turned).values[:, range(n - 1, -1, -1)] - whole))
    worst = max(by_scale, by_order)
    return Outcome("scale and order", "columns equal to 1e-6", f"largest difference {worst:.1e}", bool(worst < 1e-6))


def purge(market: Embedded) -> Outcome:
    """Brute force: does the span of any label that a range learns from reach into the next range?"""
    data = TrainingData.of(market.panel, market.features, market.spec)
    table, overlaps, spans = data.table, 0, 0
    for fold in data.folds:
        window = FoldWindow.cut(table, data.values, data.names, data.returns, market.spec, fold)
        inside = np.flatnonzero((table.session_row >= fold.train_first) & (table.session_row < fold.test_first))
        for position in inside[window.classes >= 0]:
            end = fold.validation_first if table.session_row[position] < fold.validation_first else fold.test_first
            # The span ends at the opening that is sold: counted on the stock's own bars, one by one.
            spans += 1
            overlaps += int(table.session_row[position + 1 + market.spec.horizon] >= end)
    return Outcome("purge", "no overlap", f"{overlaps} of {spans:,} labels overlap the next range", overlaps == 0)


def delay(market: Embedded) -> Outcome:
    """The same scores, traded a bar later."""
    score = score_of(market.result, market.panel)
    now, later = (
        coefficients(score, delayed_returns(market.panel, market.spec, bars), market.spec.horizon)[0] for bars in (0, 1)
    )
    return Outcome("delay", "later is not better", f"IC {now:.4f}, a bar later {later:.4f}", later <= now)


def parity(market: Embedded) -> Outcome:
    """Saved predictions against the stepper that an indicator asks bar by bar (Keras: tests/models/test_network)."""
    worst, count = 0.0, 0
    for ticker in market.panel.tickers[:: len(market.panel.tickers) // 5]:
        bars = market.panel.bars(ticker, market.features)
        saved, stepper = market.result.predictions.column(ticker, bars), market.result.predictor.stepper(ticker)
        for k in range(len(bars)):
            stepped = stepper.step(_first(bars, k + 1))
            if not (np.isnan(saved[k]) == np.isnan(stepped)).all():
                return Outcome("parity", "equal to 1e-5", f"{ticker}: bar {k} is predicted in one path only", False)
            worst = max(worst, float(np.nanmax(np.abs(saved[k] - stepped), initial=0.0)))
            count += 1
    return Outcome("parity", "equal to 1e-5", f"largest difference {worst:.1e} over {count:,} bars", worst < 1e-5)


def _first(bars: Bars, count: int) -> Bars:
    arrays = {name: getattr(bars, name)[:count] for name in ("sessions", *BAR_FIELDS)}
    return replace(bars, columns={name: values[:count] for name, values in bars.columns.items()}, **arrays)


def luck(market: Embedded) -> Outcome:
    """A small model on labels dealt out anew within each session, against what the demo's model reaches."""
    small = replace(market.spec, units=8, epochs=6)
    draws = placebo(market.panel, market.features, small, draws=DRAWS, jobs=JOBS, progress=progress_bars(quiet=False))
    real = coefficients(score_of(market.result, market.panel), delayed_returns(market.panel, market.spec, 0), 5)[0]
    measured = (
        f"{DRAWS} fits: mean {draws.coefficients.mean():+.4f} (HAC t {draws.common_t:.1f}), "
        f"sd {draws.coefficients.std(ddof=1):.4f}, 95th percentile {draws.bound:+.4f}; the demo's model {real:+.4f}"
    )
    passed = draws.is_centred and real > draws.bound
    return Outcome("placebo", "mean with HAC |t| of at most 3, real above the 95th", measured, passed)


def canary() -> Outcome:
    """The label itself among the columns: the model must find it, and the prefix check must see it."""
    panel = make_planted_market(stocks=40, sessions=600, strength=0.0).panel
    sizes = {"train_sessions": 350, "validation_sessions": 80, "test_sessions": 250, "seeds": 1}
    spec = resolve("tiny", PLANTED | sizes | {"learning_rate": 0.01})

    def leaking(cut: PricePanel) -> FeaturePanel:
        leak = FeaturePanel(cut.sessions, cut.tickers, ("xs_leak",), delayed_returns(cut, spec, 0)[:, :, None])
        return FeaturePanel.concatenate([price_columns(cut), leak])

    result = walk_forward(panel, leaking(panel), spec, jobs=JOBS)
    found = coefficients(score_of(result, panel), delayed_returns(panel, spec, 0), 1)[0]
    caught = {difference.column for difference in prefix_differences(leaking, panel, [400, 500])}
    measured = f"IC {found:.3f}; the prefix check names {', '.join(sorted(caught)) or 'nothing'}"
    return Outcome("canary", "IC above 0.9 and caught", measured, found > 0.9 and caught == {"xs_leak"})


def planted(strength: float) -> Outcome:
    """150 stocks, 1,500 sessions, three seeds averaged: what share of the best possible ranking is found."""
    market = make_planted_market(strength=strength)
    spec = resolve("default", PLANTED)
    shown = progress_bars(quiet=False)
    result = walk_forward(market.panel, price_columns(market.panel), spec, jobs=JOBS, progress=shown)
    realised = delayed_returns(market.panel, spec, 0)
    score = score_of(result, market.panel)
    found, t = coefficients(score, realised, 1)
    best, _ = coefficients(np.where(np.isfinite(score), market.oracle, np.nan), realised, 1)
    measured = f"IC {found:+.4f} (t {t:.1f}), oracle {best:+.4f}"
    if strength == 0:
        return Outcome("planted, strength 0", "|t| below 3", measured, abs(t) < 3)
    share = found / best
    criterion = "at least 75 % of the oracle"
    return Outcome(f"planted, strength {strength}", criterion, f"{measured}: {share:.0%}", share >= 0.75)


ON_EMBEDDED: dict[str, Callable[[Embedded], Outcome]] = {
    "columns": prefix_of_columns,
    "predictions": prefix_of_predictions,
    "invariance": invariance,
    "purge": purge,
    "delay": delay,
    "parity": parity,
    "placebo": luck,
}
ALONE: dict[str, Callable[[], Outcome]] = {
    "canary": canary,
    "planted": lambda: planted(STRENGTH),
    "nothing": lambda: planted(0.0),
}


def main(names: list[str]) -> int:
    """Run the controls named, or all; return 1 if one failed."""
    known = [*ON_EMBEDDED, *ALONE]
    wrong = [name for name in names if name not in known]
    if wrong:
        print(f"error: control {wrong[0]!r}: expected one of {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = names or known
    outcomes = [ALONE[name]() for name in chosen if name in ALONE]
    with tempfile.TemporaryDirectory(prefix="insider-swing-") as folder:
        if any(name in ON_EMBEDDED for name in chosen):
            market = Embedded.make(Path(folder))
            outcomes += [ON_EMBEDDED[name](market) for name in chosen if name in ON_EMBEDDED]
    print(f"\n| control | criterion | measured | |\n|{'---|' * 4}")
    for outcome in outcomes:
        print(f"| {outcome.name} | {outcome.criterion} | {outcome.measured} | {_verdict(outcome)} |")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _verdict(outcome: Outcome) -> str:
    return "holds" if outcome.passed else "**fails**"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
