"""The embedded market: invented stocks, invented insiders, two planted effects, all from a seed.

>>> settings = MarketSettings(n_stocks=12, n_sessions=500)
>>> make_market(settings).close.shape
(500, 12)

`make_market` gives the prices, `write_filings` the Form 4 submissions in sec-edgar-downloader's tree,
`insider_events` the same transactions as a table, `planted_expectation` what was planted.
"""

from __future__ import annotations

from feeds.synthetic_filings import insider_events, write_filings
from feeds.synthetic_market import make_market, planted_expectation
from feeds.synthetic_settings import SECTORS, MarketSettings, universe

__all__ = [
    "MarketSettings",
    "describe",
    "insider_events",
    "make_market",
    "planted_expectation",
    "sectors",
    "write_filings",
]


def sectors(settings: MarketSettings) -> dict[str, str]:
    """Return each ticker's GICS sector."""
    who = universe(settings)
    return {ticker: SECTORS[index] for ticker, index in zip(who.tickers, who.sector, strict=True)}


def describe(settings: MarketSettings) -> list[str]:
    """Say in plain sentences what this market is and what was planted in it."""
    sessions = universe(settings).sessions
    return [
        f"This market is synthetic: {settings.n_stocks} invented stocks over {len(sessions):,} sessions "
        f"({sessions[0].date()} to {sessions[-1].date()}), generated from seed {settings.seed}; "
        "its Form 4 filings are invented too.",
        _memory(settings),
        _drift(settings),
        "Results on it show that the machinery works. They are no evidence about real markets.",
    ]


def _memory(settings: MarketSettings) -> str:
    if not settings.memory_strength:
        return "No memory is planted in the returns (strength 0)."
    return (
        "Planted: a stock that did better than the market and its sector tends to go on doing so. One standard "
        f"deviation of that past (half-life {settings.memory_half_life_bars:g} sessions) adds "
        f"{settings.memory_strength:g} times the stock's own daily volatility to the next session's expected return."
    )


def _drift(settings: MarketSettings) -> str:
    if not settings.drift_strength:
        return "No drift after insiders' purchases is planted (strength 0)."
    return (
        f"Planted: once purchases by two or more insiders have become public within {settings.cluster_sessions} "
        f"sessions, the price gains {settings.drift_strength:.1%} over the {settings.drift_sessions} sessions that "
        "follow, from the next open on."
    )
