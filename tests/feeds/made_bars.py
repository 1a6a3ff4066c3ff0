"""Bars that nothing is wrong with, to plant defects in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from feeds.price_table import Reading, SourceBars
from feeds.quality import check_ticker
from feeds.sessions import trading_sessions


def sound_bars(sessions=300, seed=0, volatility=0.012, price=50.0, first="2015-01-02"):
    """A year or so of a stock's bars: fat-tailed returns, ranges, volumes, a dividend each quarter."""
    rng = np.random.default_rng(seed)
    dates = trading_sessions(first, "2026-06-30")[:sessions].to_numpy().astype("datetime64[D]")
    close = price * np.exp(np.cumsum(rng.standard_t(5, sessions) * volatility / 1.3))
    open_ = np.append(price, close[:-1]) * np.exp(rng.normal(0, volatility / 4, sessions))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, volatility / 2, sessions)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, volatility / 2, sessions)))
    volume = np.round(np.exp(rng.normal(14, 0.35, sessions)))
    factor = 0.995 ** np.ceil((sessions - np.arange(sessions)) / 63)
    return SourceBars(dates, open_, high, low, close, volume, close * factor)


def changed(bars, **columns):
    """The bars with single values replaced: ``column={row: value}``."""
    values = {}
    for name, rows in columns.items():
        values[name] = np.array(getattr(bars, name), dtype=float)
        for row, value in rows.items():
            values[name][row] = value
    return replace(bars, **values)


def scaled(bars, rows, factor, volume=1.0, adjusted=True):
    """The bars with all prices of `rows` multiplied."""
    columns = {name: np.array(values) for name, values in bars.numbers.items()}
    for name in columns:
        if name == "adj_close" and not adjusted:
            continue
        columns[name][rows] *= volume if name == "volume" else factor
    return replace(bars, **columns)


def checked(bars, repair="safe", findings=()):
    """What `check_ticker` says of the bars as ticker ABC."""
    return check_ticker("ABC", Reading(bars, tuple(findings)), repair)


def told(result, *kinds):
    """The findings as tuples of session, kind, severity and action; only of `kinds` where given."""
    return [
        (None if f.session is None else str(f.session.date()), f.kind, f.severity, f.action)
        for f in result.findings
        if not kinds or f.kind in kinds
    ]
