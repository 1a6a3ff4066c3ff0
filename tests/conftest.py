"""Fixtures that every folder's tests share: small panels made here, real data when they are at hand."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from feeds.panel import PricePanel
from feeds.sessions import trading_sessions

os.environ.setdefault("MPLBACKEND", "Agg")
# Where the suite is started in the background SIGINT is ignored, and so in every process that it starts:
# the tests of Ctrl-C would wait for ever.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def build_panel(
    sessions: int = 300,
    tickers: int = 4,
    seed: int = 0,
    late: dict[int, int] | None = None,
    ends: dict[int, int] | None = None,
    halts: dict[int, list[int]] | None = None,
    first: str = "2015-01-02",
) -> PricePanel:
    """Random walks with dividends; `late`, `ends` and `halts` map a ticker's column to session rows."""
    rng = np.random.default_rng(seed)
    index = trading_sessions(first, "2026-06-30")[:sessions]
    steps = rng.standard_t(5, (sessions, tickers)) * 0.01
    close = 50 * np.exp(np.cumsum(steps, axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.003, close.shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.004, close.shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.004, close.shape)))
    volume = np.round(np.exp(rng.normal(13, 0.4, close.shape)))
    traded = np.ones(close.shape, dtype=bool)
    for column, row in (late or {}).items():
        traded[:row, column] = False
    for column, row in (ends or {}).items():
        traded[row + 1 :, column] = False
    for column, rows in (halts or {}).items():
        traded[rows, column] = False
    arrays = {"open": open_, "high": high, "low": low, "close": close, "volume": volume, "adjust": np.ones_like(close)}
    return PricePanel(
        sessions=index,
        tickers=tuple(f"T{column:03d}" for column in range(tickers)),
        price_basis="as_traded",
        **{name: np.where(traded, values, np.nan) for name, values in arrays.items()},
    )


@pytest.fixture(scope="session")
def make_panel() -> Callable[..., PricePanel]:
    """The factory of small panels: ``make_panel(sessions=300, tickers=4, seed=0, late=..., ends=..., halts=...)``."""
    return build_panel


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real prices and filings that INSIDER_SWING_DATA names; skips when it is unset."""
    folder = os.environ.get("INSIDER_SWING_DATA")
    if not folder:
        pytest.skip("INSIDER_SWING_DATA is not set")
    return Path(folder)
