"""How often judging cries wolf over true moves: made stocks that crash, rebound and fall silent, without a defect.

``python -m benchmarks.quality_false_alarms`` makes 500 stocks with 2,500 sessions: Student t returns
with three degrees of freedom, volatility and trading that come in clusters (crises of some weeks at
several times the usual), overnight gaps, and every finding above info is a false one.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from feeds.price_table import Reading, SourceBars
from feeds.quality import check_ticker
from feeds.sessions import trading_sessions

STOCKS, SESSIONS = 500, 2_500
SEEDS = 4
# Volatility in logarithms: its mean over stocks and time, how it persists, its shocks, and its stocks' spread.
DAILY, PERSISTENCE, SHOCK, SPREAD = np.log(0.018), 0.97, 0.16, 0.4


def wild_stock(rng: np.random.Generator, days: np.ndarray) -> SourceBars:
    """Return a stock of fat tails whose trading follows its volatility of the past, and its moves in part."""
    count = len(days)
    noise, log_vol = rng.normal(0, SHOCK, count), np.zeros(count)
    for k in range(1, count):
        log_vol[k] = PERSISTENCE * log_vol[k - 1] + noise[k]
    sigma = np.exp(DAILY + rng.normal(0, SPREAD) + log_vol)
    steps = sigma * rng.standard_t(3, count) / np.sqrt(3)
    overnight = np.where(rng.random(count) < 0.3, 0.9, rng.uniform(0, 0.6, count)) * steps
    close = 40 * np.exp(np.cumsum(steps))
    open_ = np.append(40.0, close[:-1]) * np.exp(overnight)
    reach = np.abs(rng.normal(0, 0.4, (2, count))) * sigma
    high, low = np.fmax(open_, close) * np.exp(reach[0]), np.fmin(open_, close) * np.exp(-reach[1])
    surprise = np.abs(steps) / sigma
    shares = np.exp(13 + 0.4 * log_vol + 0.15 * surprise + rng.normal(0, 0.5, count))
    return SourceBars(days, open_, high, low, close, np.round(shares), close)


def main() -> None:
    """Print the findings above info, by kind, and the bars and large moves that they are among."""
    days = trading_sessions("2012-01-03", "2024-12-31")[:SESSIONS].to_numpy().astype("datetime64[D]")
    for seed in range(SEEDS):
        rng, found, large = np.random.default_rng(seed), Counter[str](), 0
        for _ in range(STOCKS):
            bars = wild_stock(rng, days)
            large += int((np.abs(np.diff(np.log(bars.close))) > np.log(1.3)).sum())
            told = check_ticker("WILD", Reading(bars)).findings
            found.update(f"{finding.kind} ({finding.severity})" for finding in told if finding.severity != "info")
        print(
            f"seed {seed}: {STOCKS * SESSIONS:,} bars, {large:,} moves beyond 30 %; above info: {dict(found) or 'none'}"
        )


if __name__ == "__main__":
    main()
