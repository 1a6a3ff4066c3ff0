"""The page that a person opens first: one HTML file, no script, nothing fetched from elsewhere.

`write_report` turns a `RunReport` into ``report.html``. Tables are prepared here as plain rows of
text, the template only places them; `analyzers.wording` says what the numbers mean.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analyzers.charts import Line, line_chart, money_label, percent_label
from analyzers.ledger import OPEN_AT_END
from analyzers.statistics import drawdowns
from analyzers.wording import count, day, model_verdict, number, percent, plain, usd, verdict

TEMPLATE = "report.html.j2"
LAST_TRADES = 20
_MOST_REASONS = 12

ASSUMPTIONS = (
    "A decision uses what was public before the session's close; its order fills at the next open.",
    "A stop rests in the market from the bar after the entry; it fills at its price, or at the open where the open "
    "is already beyond it.",
    "Slippage worsens every market and stop fill, but never beyond the bar's high or low; orders do not move the "
    "market, and any size can be filled.",
    "Prices are total-return: dividends are reinvested in the same stock, splits change nothing. The trade list "
    "shows prices as the source quotes them.",
    "A stock that is delisted is sold at its last price; the money is not always so easily had.",
    "Cash earns nothing. Taxes are left out.",
    "The interval of the Sharpe ratio assumes independent daily returns and one strategy tried once. Whoever tries "
    "many and shows the best must expect less.",
)
"""What a reader must know to judge a backtest of this engine."""

_FATES = {
    "Completed": "filled",
    "Canceled": "withdrawn by the strategy, or its twin was filled first",
    "Expired": "its time ran out unfilled",
    "Margin": "not enough cash",
    "Rejected": "refused by the broker",
    "Pending at end": "still waiting when the data ended",
}


@dataclass(frozen=True)
class RunReport:
    """Everything that the page tells.

    Attributes
    ----------
    title : str
    equity : DataFrame
        As `Recorder.equity`, from the first session that counts.
    trades, orders : DataFrame
        As `Recorder.trades` and `Recorder.orders`.
    metrics : mapping
        As `analyzers.statistics.performance`.
    benchmark : Series of USD, optional
        On the equity's sessions.
    benchmark_name : str
        "equal weight, monthly", a ticker, ...
    model : mapping, optional
        ``name``, ``folds`` (list of `FoldReport.as_dict()`) and ``pooled`` (the fields of
        `models.evaluation.Evaluation`), each optional.
    notes : sequence of str
        What the data are, shown first: a generated market and what was planted in it.
    warnings : sequence of str
        What weakens the result.
    commission_bps, slippage_bps : float
        Per side, in basis points; a run without costs is warned about.
    settings, data_facts : mapping of name to value
        Shown as they are, in their order.
    files : mapping of file name to what it holds
        In the same folder as the page; linked.
    assumptions : sequence of str
    footer : str
        Version, seed and the like. Times only if the caller wants them: the page itself repeats.
    """

    title: str
    equity: pd.DataFrame
    trades: pd.DataFrame
    orders: pd.DataFrame
    metrics: Mapping[str, Any]
    benchmark: pd.Series | None = None
    benchmark_name: str = ""
    model: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    commission_bps: float = 1.0
    slippage_bps: float = 4.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    data_facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    assumptions: Sequence[str] = ASSUMPTIONS
    footer: str = ""


@dataclass(frozen=True)
class Table:
    """A table as the template shows it: `text_columns` are aligned left, `long_columns` may break lines."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: frozenset[int] = frozenset({0})
    long_columns: frozenset[int] = frozenset()
    summary_rows: int = 0


def write_report(run: RunReport, path: Path) -> None:
    """Write the page; it is complete or absent."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(run=run, **_content(run))
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(page, encoding="utf-8")
    beside.replace(path)


def _content(run: RunReport) -> dict[str, Any]:
    first, last = (run.equity.index[0], run.equity.index[-1]) if len(run.equity) else (None, None)
    pooled = run.model.get("pooled") if run.model else None
    return {
        "verdict": verdict(run.metrics, first, last, run.benchmark_name),
        "warnings": [*_cost_warnings(run), *run.warnings],
        "metrics": metrics_table(run),
        "charts": _charts(run),
        "model_verdict": model_verdict(pooled),
        "folds": folds_table(run.model) if run.model else None,
        "reasons": reasons_table(run.trades),
        "last_trades": last_trades_table(run.trades),
        "fates": fates_table(run.orders),
        "costs": _costs_sentence(run),
        "data": facts_table("Data", run.data_facts),
        "settings": facts_table("Settings", run.settings, grouped=False),
    }


def _cost_warnings(run: RunReport) -> list[str]:
    free = [n for n, bps in (("commission", run.commission_bps), ("slippage", run.slippage_bps)) if not bps]
    return [f"This run trades without {' and without '.join(free)}: real results would be worse."] if free else []


def metrics_table(run: RunReport) -> Table:
    """Return strategy against benchmark."""
    m = run.metrics
    rows: list[tuple[str, str, str]] = [
        ("Total return", percent(m.get("total_return")), percent(m.get("benchmark_total_return"))),
        ("Growth per year", percent(m.get("cagr")), percent(m.get("benchmark_cagr"))),
        ("Volatility per year", percent(m.get("volatility")), percent(m.get("benchmark_volatility"))),
        ("Sharpe ratio", number(m.get("sharpe")), number(m.get("benchmark_sharpe"))),
        ("Sharpe ratio, 95\N{NO-BREAK SPACE}% interval", _interval(m), ""),
        ("Probability that the true Sharpe ratio exceeds 0", percent(m.get("probability_of_skill")), ""),
        ("Sortino ratio", number(m.get("sortino")), ""),
        ("Deepest drawdown", percent(m.get("max_drawdown")), percent(m.get("benchmark_max_drawdown"))),
        ("Longest time below a peak, days", count(m.get("max_drawdown_days")), ""),
        ("Growth per year over deepest drawdown", number(m.get("calmar")), ""),
        ("Beta to the benchmark", number(m.get("beta")), ""),
        ("Alpha to the benchmark, per year", percent(m.get("alpha")), ""),
        ("Mean exposure", percent(m.get("exposure"), 0), ""),
        ("Turnover per year, one-sided", percent(m.get("turnover"), 0), ""),
        ("Trades", count(m.get("n_trades")), ""),
        ("Winning trades", percent(m.get("win_rate")), ""),
        ("Profits over losses", number(m.get("profit_factor")), ""),
        ("Mean holding, bars", number(m.get("average_bars_held"), 1), ""),
    ]
    if run.benchmark is None:
        return Table("Key figures", ("Figure", "Strategy"), [row[:2] for row in rows if "enchmark" not in row[0]])
    return Table("Key figures", ("Figure", "Strategy", "Benchmark"), rows)


def _interval(metrics: Mapping[str, Any]) -> str:
    low, high = metrics.get("sharpe_low"), metrics.get("sharpe_high")
    return number(None) if low is None else f"{number(low)} to {number(high)}"


def _charts(run: RunReport) -> list[dict[str, Any]]:
    """Return equity and drawdown as SVG with their legends; none below two sessions."""
    if len(run.equity) < 2:
        return []
    values = {"Strategy": run.equity["value"]}
    if run.benchmark is not None:
        values[f"Benchmark ({run.benchmark_name})" if run.benchmark_name else "Benchmark"] = run.benchmark
    aligned = {name: series.reindex(run.equity.index) for name, series in values.items()}
    styles = ("strategy", "benchmark")
    money = [Line(n, s.to_numpy(float), style) for (n, s), style in zip(aligned.items(), styles, strict=False)]
    falls = [
        Line(n, drawdowns(s).to_numpy(float), style, filled=style == "strategy")
        for (n, s), style in zip(aligned.items(), styles, strict=False)
    ]
    sessions = pd.DatetimeIndex(run.equity.index)
    span = f"{day(sessions[0])} to {day(sessions[-1])}"
    return [
        _figure("Value of the account, USD", money, money_label, f"from {span}", sessions, money_ends),
        _figure("Drawdown from the highest value so far", falls, percent_label, span, sessions, deepest),
    ]


def _figure(
    title: str, lines: list[Line], labels: Any, span: str, sessions: pd.DatetimeIndex, summary: Any
) -> dict[str, Any]:
    told = "; ".join(f"{line.label}: {summary(line.values)}" for line in lines)
    svg = line_chart(sessions, lines, labels, f"{title}, {span}. {told}.")
    return {"title": title, "legend": [(line.label, line.style) for line in lines], "svg": Markup(svg)}


def money_ends(values: np.ndarray) -> str:
    """Say where a curve begins and ends, in USD."""
    known = values[np.isfinite(values)]
    return f"{usd(known[0])} to {usd(known[-1])}" if len(known) else "no value"


def deepest(values: np.ndarray) -> str:
    """Say how low a drawdown curve goes."""
    known = values[np.isfinite(values)]
    return f"deepest {percent(known.min())}" if len(known) else "no value"


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
    counted = Counter(orders[["status", "order_type", "side"]].itertuples(index=False, name=None))
    rows = [
        [status, _FATES.get(status, ""), f"{kind} {side}".lower(), count(n), percent(n / len(orders))]
        for (status, kind, side), n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]
    head = ("Fate", "That is", "Order", "Orders", "Share")
    caption = "What became of the orders"
    return Table(caption, head, rows, text_columns=frozenset({0, 1, 2}), long_columns=frozenset({1}))


def _costs_sentence(run: RunReport) -> str:
    rates = (
        f"Per side, {number(run.commission_bps, 1)} basis points of commission and "
        f"{number(run.slippage_bps, 1)} of slippage were charged."
    )
    paid, slipped = run.metrics.get("commission_usd"), run.metrics.get("slippage_usd")
    estimate = "" if slipped is None else f", and slippage cost about {usd(slipped)} inside the fill prices"
    return rates if paid is None else f"{rates} Commission came to {usd(paid)}{estimate}."


def facts_table(caption: str, facts: Mapping[str, Any], grouped: bool = True) -> Table | None:
    """Return names and values as they are; None without any. `grouped` separates thousands."""
    rows = [[str(name), plain(value, grouped)] for name, value in facts.items()]
    both = frozenset({0, 1})
    return Table(caption, ("Name", "Value"), rows, text_columns=both, long_columns=frozenset({1})) if rows else None
