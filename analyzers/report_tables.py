"""The tables of the report: rows of text, ready to be placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analyzers.ledger import OPEN_AT_END
from analyzers.wording import count, day, number, percent, plain, probability, usd

LAST_TRADES = 20
_MOST_REASONS = 12
_FATES = {
    "Completed": "filled",
    "Canceled": "withdrawn by the strategy, or its twin was filled first",
    "Expired": "its time ran out unfilled",
    "Margin": "not enough cash",
    "Rejected": "refused by the broker",
    "Pending at end": "still waiting when the data ended",
}
# What the project's broker adds to the reason of an order that it refused.
_REFUSALS = ("not listed yet", "delisted", "more than is held")


@dataclass(frozen=True)
class Table:
    """A table as the template shows it: `text_columns` are aligned left, `long_columns` may break lines."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: frozenset[int] = frozenset({0})
    long_columns: frozenset[int] = frozenset()
    summary_rows: int = 0


def metrics_table(m: Mapping[str, Any], has_benchmark: bool) -> Table:
    """Return strategy against benchmark, from the figures of `analyzers.statistics.performance`."""
    rows: list[tuple[str, str, str]] = [
        ("Total return", percent(m.get("total_return")), percent(m.get("benchmark_total_return"))),
        ("Growth per year", percent(m.get("cagr")), percent(m.get("benchmark_cagr"))),
        ("Volatility per year", percent(m.get("volatility")), percent(m.get("benchmark_volatility"))),
        ("Sharpe ratio", number(m.get("sharpe")), number(m.get("benchmark_sharpe"))),
        ("Sharpe ratio, 95\N{NO-BREAK SPACE}% interval", _interval(m), ""),
        ("Probability that the true Sharpe ratio exceeds 0", probability(m.get("probability_of_skill")), ""),
        *_luck_rows(m),
        ("Sortino ratio", number(m.get("sortino")), ""),
        ("Deepest drawdown", percent(m.get("max_drawdown")), percent(m.get("benchmark_max_drawdown"))),
        ("Longest time below a peak, days", count(m.get("max_drawdown_days")), ""),
        ("Growth per year over deepest drawdown", number(m.get("calmar")), ""),
        ("Beta to the benchmark", number(m.get("beta")), ""),
        ("Alpha to the benchmark, per year", percent(m.get("alpha")), ""),
        ("Alpha to the benchmark, 95\N{NO-BREAK SPACE}% interval", _alpha_interval(m), ""),
        ("Mean exposure", percent(m.get("exposure"), 0), ""),
        ("Sessions with a position", count(m.get("sessions_in_market")), ""),
        ("Turnover per year, one-sided", percent(m.get("turnover"), 0), ""),
        ("Trades", count(m.get("n_trades")), ""),
        ("Winning trades", percent(m.get("win_rate")), ""),
        ("Profits over losses", number(m.get("profit_factor")), ""),
        ("Mean holding, bars", number(m.get("average_bars_held"), 1), ""),
    ]
    if not has_benchmark:
        return Table("Key figures", ("Figure", "Strategy"), [row[:2] for row in rows if "enchmark" not in row[0]])
    return Table("Key figures", ("Figure", "Strategy", "Benchmark"), rows)


def _luck_rows(m: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what the best of the specifications tried would show by luck; nothing where only one is known of."""
    if not m.get("tried") or m["tried"] < 2:
        return []
    best = f"Sharpe ratio of the best of {count(m['tried'])} tries by luck alone"
    return [
        (best, number(m.get("luck_sharpe")), ""),
        ("Probability that the true one exceeds that (deflated)", probability(m.get("deflated_sharpe")), ""),
    ]


def _interval(metrics: Mapping[str, Any]) -> str:
    low, high = metrics.get("sharpe_low"), metrics.get("sharpe_high")
    return number(None) if low is None else f"{number(low)} to {number(high)}"


def _alpha_interval(metrics: Mapping[str, Any]) -> str:
    low, high = metrics.get("alpha_low"), metrics.get("alpha_high")
    return number(None) if low is None else f"{percent(low)} to {percent(high)}"


def folds_table(model: Mapping[str, Any]) -> Table | None:
    """Return one row per fold and a pooled one, or None where no fold is known."""
    head = (
        "Fold",
        "Test sessions",
        "Labels to fit",
        "Labels tested",
        "Log-loss",
        "Prior's log-loss",
        "Skill",
        "Balanced accuracy",
        "Rank correlation",
        "t",
    )
    rows = [_fold_row(str(fold.get("fold", i)), fold) for i, fold in enumerate(model.get("folds") or (), start=1)]
    pooled = model.get("pooled")
    if pooled:
        rows.append(_fold_row("All", {"n_test_labels": pooled.get("n_labels"), **pooled}))
    caption = "Out-of-sample predictions, fold by fold"
    columns = frozenset({0, 1})
    return Table(caption, head, rows, columns, summary_rows=1 if pooled else 0) if rows else None


def _fold_row(name: str, fold: Mapping[str, Any]) -> list[str]:
    loss, prior = fold.get("log_loss"), fold.get("prior_log_loss")
    tested = f"{day(fold['test_first'])} to {day(fold['test_last'])}" if fold.get("test_first") else ""
    return [
        name,
        tested,
        count(fold["n_fit_labels"]) if "n_fit_labels" in fold else "",
        count(fold.get("n_test_labels")),
        number(loss, 4),
        number(prior, 4),
        percent(1 - loss / prior, 2) if loss is not None and prior else percent(None),
        number(fold.get("balanced_accuracy"), 3),
        number(fold.get("information_coefficient"), 4),
        number(fold.get("information_coefficient_t"), 1),
    ]


def reasons_table(trades: pd.DataFrame) -> Table | None:
    """Return trades counted by the reason of their exit, most frequent first; None without trades."""
    if trades.empty:
        return None
    reason = trades["exit_reason"].replace("", "(none given)")
    frequent = reason.value_counts(sort=True)
    order = sorted(frequent.index, key=lambda name: (-frequent[name], name))
    if len(order) > _MOST_REASONS:
        order = [*order[: _MOST_REASONS - 1], "(others)"]
        reason = reason.where(reason.isin(order), "(others)")
    rows = [_reason_row(name, trades[reason == name]) for name in order]
    rows.append(_reason_row("All", trades))
    head = ("Exit reason", "Trades", "Winning", "Mean return", "Profit after commission", "Mean bars held")
    return Table("Trades by the reason of their exit", head, rows, summary_rows=1)


def _reason_row(name: str, trades: pd.DataFrame) -> list[str]:
    return [
        name,
        count(len(trades)),
        percent(float((trades["pnl_net"] > 0).mean())),
        percent(float(trades["return_net"].mean()), 2),
        usd(float(trades["pnl_net"].sum())),
        number(float(trades["bars_held"].mean()), 1),
    ]


def last_trades_table(trades: pd.DataFrame) -> Table | None:
    """Return the last trades of the list, newest first; None without trades."""
    if trades.empty:
        return None
    shown = trades.iloc[::-1].head(LAST_TRADES)
    head = (
        "Ticker",
        "Entry",
        "Exit",
        "Shares",
        "Bought at",
        "Sold at",
        "Return",
        "Profit",
        "Bars",
        "Why entered",
        "Why left",
    )
    caption = f"The last {len(shown)} of {count(len(trades))} trades, prices as the source quotes them"
    rows = [_trade_row(row) for _, row in shown.iterrows()]
    return Table(caption, head, rows, text_columns=frozenset({0, 1, 2, 9, 10}), long_columns=frozenset({9, 10}))


def _trade_row(trade: pd.Series) -> list[str]:
    return [
        str(trade["ticker"]),
        day(trade["entry_session"]),
        "open" if trade["exit_reason"] == OPEN_AT_END else day(trade["exit_session"]),
        number(trade["size"], 0 if float(trade["size"]).is_integer() else 2),
        number(trade["entry_price_source"]),
        number(trade["exit_price_source"]),
        percent(trade["return_net"], 2),
        usd(trade["pnl_net"]),
        count(trade["bars_held"]),
        str(trade["entry_reason"]),
        str(trade["exit_reason"]),
    ]


def fates_table(orders: pd.DataFrame) -> Table | None:
    """Return orders counted by what became of them and their type; None without orders."""
    if orders.empty:
        return None
    columns = orders[["status", "reason", "order_type", "side"]].itertuples(index=False, name=None)
    counted = Counter((fate, _why(fate, reason), f"{kind} {side}".lower()) for fate, reason, kind, side in columns)
    rows = [
        [*fate, count(n), percent(n / len(orders))]
        for fate, n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]
    head = ("Fate", "That is", "Order", "Orders", "Share")
    caption = "What became of the orders"
    return Table(caption, head, rows, text_columns=frozenset({0, 1, 2}), long_columns=frozenset({1}))


def _why(status: str, reason: object) -> str:
    """Return the broker's reason where it gave one, else what the status means."""
    refusal = str(reason).rpartition(": ")[2]
    return refusal if refusal in _REFUSALS and status != "Completed" else _FATES.get(status, "")


def facts_table(caption: str, facts: Mapping[str, Any], grouped: bool = True) -> Table | None:
    """Return names and values as they are; None without any. `grouped` separates thousands."""
    rows = [[str(name), plain(value, grouped)] for name, value in facts.items()]
    both = frozenset({0, 1})
    return Table(caption, ("Name", "Value"), rows, text_columns=both, long_columns=frozenset({1})) if rows else None
