"""Defects of one ticker's bars: what no right file can hold, found by pure functions.

Each check takes one ticker's `SourceBars` and returns findings; none changes a value. Only what
makes a bar unusable is a finding here: a violent but real move is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from feeds.price_table import PRICES, Finding, SourceBars
from feeds.sessions import EXCHANGE, known_sessions

# Prices that a source rounded after adjusting them can put an open this far outside high and low.
ROUNDING_TOLERANCE_FRAC = 1e-4
# The factor must move this far, and the total return be this large, before a jump is called wrong:
# a spin-off of a fifth of the company moves the factor by 1.25 and leaves the total return small.
FACTOR_JUMP = float(np.log(1.2))
UNEXPLAINED_RETURN = float(np.log(1.5))


def check_bars(ticker: str, bars: SourceBars) -> list[Finding]:
    """Return every defect of one ticker's bars, in the order of their sessions.

    Parameters
    ----------
    ticker : str
    bars : SourceBars
        Rows that hold no bar are already dropped.
    """
    if not len(bars):
        return [Finding(ticker, None, "no bars", "holds no bars")]
    found = [finding for check in CHECKS for finding in check(ticker, bars)]
    return sorted(found, key=_session_order)


def unsorted_dates(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find rows whose date is before that of the row above."""
    rows = 1 + np.flatnonzero(bars.dates[1:] < bars.dates[:-1])
    return _findings(
        ticker, bars, rows, "unsorted dates", lambda k: f"dates are unsorted, this one follows {bars.dates[k - 1]}"
    )


def repeated_sessions(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find sessions with more than one row, each once."""
    dates, first_rows, counts = np.unique(bars.dates, return_index=True, return_counts=True)
    if len(dates) == len(bars):
        return []

    def describe(k: int) -> str:
        closes = bars.close[bars.dates == bars.dates[k]]
        return f"the session appears {len(closes)} times, `close` {' and '.join(f'{close:.6g}' for close in closes)}"

    return _findings(ticker, bars, first_rows[counts > 1], "repeated session", describe)


def strange_sessions(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find dates on which the exchange was closed, or that its calendar does not reach."""
    days = known_sessions().to_numpy().astype("datetime64[D]")
    at = np.minimum(np.searchsorted(days, bars.dates), len(days) - 1)
    rows = np.flatnonzero(days[at] != bars.dates)

    def describe(k: int) -> str:
        if days[0] <= bars.dates[k] <= days[-1]:
            return f"the date is no session of {EXCHANGE}"
        return f"the date is outside the known sessions of {EXCHANGE}, {days[0]} to {days[-1]}"

    return _findings(ticker, bars, rows, "not a session", describe)


def missing_values(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find bars with a value that is missing or infinite."""
    columns = bars.numbers
    rows = np.flatnonzero(~np.logical_and.reduce([np.isfinite(values) for values in columns.values()]))

    def describe(k: int) -> str:
        name = next(name for name, values in columns.items() if not np.isfinite(values[k]))
        return f"`{name}` is {'missing' if np.isnan(columns[name][k]) else 'infinite'}"

    return _findings(ticker, bars, rows, "missing value", describe)


def non_positive_prices(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find bars with a price of zero or less; a bar of zeros only has a kind of its own."""
    prices = [getattr(bars, name) for name in PRICES]
    zeros = np.logical_and.reduce([values == 0 for values in prices])
    rest = np.logical_or.reduce([values <= 0 for values in prices]) & ~zeros

    def describe(k: int) -> str:
        return f"a price is not positive, {_quote(bars, k)}"

    return [
        *_findings(ticker, bars, np.flatnonzero(zeros), "all-zero bar", lambda k: "all four prices are 0"),
        *_findings(ticker, bars, np.flatnonzero(rest), "non-positive price", describe),
    ]


def crossed_ranges(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find bars whose high is below their low."""
    rows = np.flatnonzero(bars.high < bars.low)
    return _findings(ticker, bars, rows, "high below low", lambda k: f"`high` is below `low`, {_quote(bars, k)}")


def prices_outside_range(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find bars whose open or close lies outside low to high by more than rounding explains."""
    above = np.fmax(bars.open, bars.close) > bars.high * (1 + ROUNDING_TOLERANCE_FRAC)
    below = np.fmin(bars.open, bars.close) < bars.low * (1 - ROUNDING_TOLERANCE_FRAC)
    positive = (bars.open > 0) & (bars.close > 0) & (bars.low > 0)
    rows = np.flatnonzero((above | below) & positive & (bars.high >= bars.low))
    return _findings(
        ticker, bars, rows, "price outside range", lambda k: f"open or close is outside low to high, {_quote(bars, k)}"
    )


def negative_volumes(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find bars with a volume below zero; zero is accepted, a quiet stock has it."""
    rows = np.flatnonzero(bars.volume < 0)
    return _findings(ticker, bars, rows, "negative volume", lambda k: f"`volume` is negative, {bars.volume[k]:g}")


def non_positive_adjusted_closes(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find bars whose adjusted close gives no total-return factor."""
    adjusted = bars.adj_close
    if adjusted is None:
        return []
    rows = np.flatnonzero(adjusted <= 0)
    return _findings(
        ticker, bars, rows, "non-positive adjusted close", lambda k: f"`adj_close` is not positive, {adjusted[k]:g}"
    )


def adjustment_jumps(ticker: str, bars: SourceBars) -> list[Finding]:
    """Find sessions on which the total-return factor jumps and the price does not answer.

    On an ex-date the factor adj_close / close rises by what the price loses, so the total return
    stays a day's return. A factor that moves by a fifth or more while the total return is beyond
    -33 % or +50 % was recorded wrong: the loss or gain exists in the file only.
    """
    adjusted, close = bars.adj_close, bars.close
    if adjusted is None:
        return []
    usable = (close > 0) & (adjusted > 0) & np.isfinite(close) & np.isfinite(adjusted)
    log_adjusted = np.log(np.where(usable, adjusted, 1.0))
    log_factor = log_adjusted - np.log(np.where(usable, close, 1.0))
    total, jump = np.diff(log_adjusted), np.diff(log_factor)
    wrong = (np.abs(jump) > FACTOR_JUMP) & (np.abs(total) > UNEXPLAINED_RETURN)
    rows = 1 + np.flatnonzero(wrong & usable[1:] & usable[:-1])

    def describe(k: int) -> str:
        return (
            f"the adjustment factor changes by {np.expm1(jump[k - 1]):+.0%} and no price move explains it, `close` "
            f"{close[k - 1]:.6g} then {close[k]:.6g}, `adj_close` {adjusted[k - 1]:.6g} then {adjusted[k]:.6g}"
        )

    return _findings(ticker, bars, rows, "adjustment jump", describe)


Check = Callable[[str, SourceBars], list[Finding]]
CHECKS: tuple[Check, ...] = (
    unsorted_dates,
    repeated_sessions,
    strange_sessions,
    missing_values,
    non_positive_prices,
    crossed_ranges,
    prices_outside_range,
    negative_volumes,
    non_positive_adjusted_closes,
    adjustment_jumps,
)


def _findings(
    ticker: str, bars: SourceBars, rows: Iterable[int], kind: str, describe: Callable[[int], str]
) -> list[Finding]:
    return [Finding(ticker, pd.Timestamp(bars.dates[k]), kind, describe(k)) for k in rows]


def _quote(bars: SourceBars, k: int) -> str:
    return ", ".join(f"`{name}` {getattr(bars, name)[k]:.6g}" for name in PRICES)


def _session_order(finding: Finding) -> pd.Timestamp:
    return pd.Timestamp.min if finding.session is None else finding.session
