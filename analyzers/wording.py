"""Numbers and verdicts in words: how the report says what was measured, and no more than that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

UNKNOWN = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_CERTAIN_T = 2.0
_INTERVAL = "95\N{NO-BREAK SPACE}% interval"
FEWEST_TRADES, FEWEST_SESSIONS = 100, 252
"""Closed trades, and sessions with a position (a year's), below which no verdict on luck is given."""


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction as percent, or a dash where it is unknown."""
    return UNKNOWN if _missing(value) else f"{_signed(float(value or 0) * 100, digits)}\N{NO-BREAK SPACE}%"


def probability(value: float | None) -> str:
    """Return a probability as percent; an estimate is never shown as certain."""
    if _missing(value) or 0.0005 <= float(value or 0) < 0.9995:
        return percent(value)
    return f"> {percent(0.999)}" if float(value or 0) > 0.5 else f"< {percent(0.001)}"


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with thousands separated, or a dash where it is unknown."""
    return UNKNOWN if _missing(value) else _signed(float(value or 0), digits)


def count(value: float | None) -> str:
    """Return a whole number with thousands separated, or a dash where it is unknown."""
    return number(value, 0)


def usd(value: float | None) -> str:
    """Return whole dollars, or a dash where they are unknown."""
    return UNKNOWN if _missing(value) else f"{number(value, 0)}\N{NO-BREAK SPACE}USD"


def day(value: Any) -> str:
    """Return an ISO date, or a dash where there is none."""
    return UNKNOWN if value is None or pd.isna(value) else str(pd.Timestamp(value).date())


def plain(value: object, grouped: bool = True) -> str:
    """Return any setting or fact as a person would write it; `grouped` separates thousands."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:{',' if grouped else ''}.15g}".replace("-", _MINUS)
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {plain(item, grouped)}" for key, item in value.items()) or UNKNOWN
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item, grouped) for item in value) or UNKNOWN
    return str(value)


def verdict(metrics: Mapping[str, Any], first: Any, last: Any, benchmark_name: str = "") -> str:
    """Say in plain words what came out, and whether luck alone could give it.

    Parameters
    ----------
    metrics : mapping
        As `analyzers.statistics.performance` returns it.
    first, last : date-like
        First and last session.
    benchmark_name : str
        What it is: "equal weight, monthly".

    Returns
    -------
    str
        Two or more sentences. The last rests on the 95 % interval of alpha, or of the Sharpe ratio
        without a benchmark: it speaks of one strategy tried once, never of the best of many, and
        refuses to judge a handful of trades.
    """
    if _missing(metrics.get("total_return")):
        return "The run has fewer than two sessions, so there is nothing to judge."
    span = f"Over {day(first)} to {day(last)}"
    compared = _compared(metrics, benchmark_name)
    if not metrics.get("n_trades"):
        return f"{span} the strategy made no trade{compared}. There is nothing to judge."
    return f"{span} the strategy returned {percent(metrics['total_return'])} after costs{compared}. {_luck(metrics)}"


def model_verdict(pooled: Mapping[str, Any] | None) -> str:
    """Say whether out-of-sample predictions were better than the shares of the classes in training.

    Parameters
    ----------
    pooled : mapping, optional
        ``log_loss``, ``prior_log_loss``, ``information_coefficient`` and
        ``information_coefficient_t`` over all test sessions.
    """
    if not pooled or _missing(pooled.get("log_loss")) or _missing(pooled.get("prior_log_loss")):
        if pooled and pooled.get("n_labels") and pooled.get("information_coefficient") is not None:
            return f"Of saved predictions only the ranking is measured. {_ranking(pooled)}"
        return "No out-of-sample prediction has a known outcome yet, so the model cannot be judged."
    skill = 1.0 - pooled["log_loss"] / pooled["prior_log_loss"]
    beats = "beat" if skill > 0 else "did not beat"
    sentence = (
        f"Out of sample the model {beats} its class prior: log-loss {number(pooled['log_loss'], 4)} against "
        f"{number(pooled['prior_log_loss'], 4)}, a skill of {percent(skill, 2)}."
    )
    return f"{sentence} {_ranking(pooled)}"


def _compared(metrics: Mapping[str, Any], name: str) -> str:
    gained = metrics.get("benchmark_total_return")
    what = f"the benchmark ({name})" if name else "the benchmark"
    return "" if _missing(gained) else f", {what} {percent(gained)}"


def _luck(metrics: Mapping[str, Any]) -> str:
    low, high = metrics.get("sharpe_low"), metrics.get("sharpe_high")
    if _missing(metrics.get("sharpe")) or low is None or high is None:
        return "Its value did not vary, so no Sharpe ratio can be given."
    said = f"Its Sharpe ratio is {number(metrics['sharpe'])}, {_INTERVAL} {number(low)} to {number(high)}"
    alpha_low, alpha_high = metrics.get("alpha_low"), metrics.get("alpha_high")
    if alpha_low is not None and alpha_high is not None:
        # Whoever holds stocks at all shares in the market's return: luck is judged on what is beyond it.
        low, high = alpha_low, alpha_high
        said += (
            f". Beyond its share of the benchmark's moves (beta {number(metrics.get('beta'))}) it earned "
            f"{percent(metrics.get('alpha'))} a year, {_INTERVAL} {percent(low)} to {percent(high)}"
        )
    return said + _judgement(metrics, low, high)


def _judgement(metrics: Mapping[str, Any], low: float, high: float) -> str:
    closed = metrics["n_trades"] - (metrics.get("n_open_trades") or 0)
    sessions = metrics.get("sessions_in_market") or 0
    if closed < FEWEST_TRADES or sessions < FEWEST_SESSIONS:
        return (
            f". With {count(closed)} closed trades and {count(sessions)} sessions with a position "
            "this is too little to tell skill from luck."
        )
    if low > 0:
        return f": more than luck alone would give, {_tried(metrics)}"
    if high < 0:
        return ": worse than luck alone would give."
    return ", which includes 0: luck alone could give this."


def _tried(metrics: Mapping[str, Any]) -> str:
    tried = metrics.get("tried") or 0
    if tried < 2 or _missing(metrics.get("deflated_sharpe")):
        return "if this was the only strategy tried."
    return (
        f"had it been the only one tried. But {count(tried)} specifications were tried on these prices, as far as is "
        f"known; by luck alone the best of so many would show a Sharpe ratio of {number(metrics['luck_sharpe'])}, and "
        f"the true one exceeds that with a probability of {probability(metrics['deflated_sharpe'])}."
    )


def _ranking(pooled: Mapping[str, Any]) -> str:
    coefficient, t = pooled.get("information_coefficient"), pooled.get("information_coefficient_t")
    if coefficient is None or t is None or _missing(coefficient) or _missing(t):
        return "Its ranking of the stocks could not be measured."
    figures = f"(mean rank correlation {number(coefficient, 4)}, t = {number(t, 1)})"
    if t >= _CERTAIN_T:
        return f"It ranked the stocks better than chance {figures}."
    if t <= -_CERTAIN_T:
        return f"It ranked the stocks worse than chance {figures}."
    return f"Its ranking of the stocks cannot be told from chance {figures}."


def _signed(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    # What rounds to zero has no sign.
    text = text.lstrip("-") if float(text.replace(",", "")) == 0 else text
    return text.replace("-", _MINUS)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
