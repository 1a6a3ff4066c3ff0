"""The page that a person opens first: one HTML file, no script, nothing fetched from elsewhere.

`write_report` turns a `RunReport` into ``report.html``. Tables are made in
`analyzers.report_tables`, sentences in `analyzers.wording`; the template only places them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analyzers.charts import Line, line_chart, money_label, percent_label
from analyzers.model_tables import (
    HOW_TO_READ,
    RELIABILITY_NOTE,
    ablation_table,
    comparison_sentence,
    reliability_table,
    rivals_table,
    seeds_sentence,
    shortened,
    years_table,
)
from analyzers.report_tables import (
    facts_table,
    fates_table,
    folds_table,
    last_trades_table,
    metrics_table,
    reasons_table,
)
from analyzers.statistics import drawdowns
from analyzers.wording import day, model_verdict, number, percent, usd, verdict

TEMPLATE = "report.html.j2"

ASSUMPTIONS = (
    "A decision uses what was public before the session's close; its order fills at the next open.",
    "A stop rests in the market from the bar after the entry; it fills at its price, or at the open where the open "
    "is already beyond it.",
    "Prices are total-return: dividends are reinvested in the same stock, splits change nothing. The trade list "
    "shows prices as the source quotes them.",
    "Cash earns nothing. Taxes are left out.",
    "The interval of the Sharpe ratio assumes independent daily returns and one strategy tried once. Whoever tries "
    "many and shows the best must expect less.",
)
"""What a reader must know to judge a backtest of this engine."""


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
        ``name``, ``folds`` (list of `FoldReport.as_dict()`), ``pooled`` (the fields of
        `models.evaluation.Evaluation`) and what else `engine.model_stage` makes, each optional.
    luck : sequence of str
        What luck could have done for the model: of a placebo, of many tries.
    notes : sequence of str
        What the data are, shown first: a generated market and what was planted in it.
    warnings : sequence of str
        What weakens the result.
    caveats : sequence of str
        What limits the verdict; shown right under it.
    commission_bps, slippage_bps : float
        Per side, in basis points; a run without costs is warned about.
    commission_model, slippage_model : str, optional
        What was charged in place of the basis points.
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
    luck: Sequence[str] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    caveats: Sequence[str] = ()
    commission_bps: float = 1.0
    slippage_bps: float = 4.0
    commission_model: str | None = None
    slippage_model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    data_facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    assumptions: Sequence[str] = ASSUMPTIONS
    footer: str = ""


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
        "metrics": metrics_table(run.metrics, run.benchmark is not None),
        "charts": _charts(run),
        "model_verdict": model_verdict(pooled) if pooled else "",
        **_model_content(run.model or {}, run.luck),
        "reasons": reasons_table(run.trades),
        "last_trades": last_trades_table(run.trades),
        "fates": fates_table(run.orders),
        "costs": _costs_sentence(run),
        "data": facts_table("Data", run.data_facts),
        "settings": facts_table("Settings", run.settings, grouped=False),
    }


def _model_content(model: Mapping[str, Any], luck: Sequence[str]) -> dict[str, Any]:
    long = (rivals_table(model), ablation_table(model), years_table(model))
    tables = (*map(shortened, long), folds_table(model))
    return {
        "model_sentences": [text for text in (comparison_sentence(model), seeds_sentence(model), *luck) if text],
        "model_tables": [table for table in tables if table is not None],
        "reliability": reliability_table(model),
        "reliability_note": RELIABILITY_NOTE,
        "how_to_read_model": HOW_TO_READ,
    }


def _cost_warnings(run: RunReport) -> list[str]:
    charged = {
        "commission": run.commission_model or run.commission_bps,
        "slippage": run.slippage_model or run.slippage_bps,
    }
    free = [name for name, cost in charged.items() if not cost]
    return [f"This run trades without {' and without '.join(free)}: real results would be worse."] if free else []


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


def _rates(run: RunReport) -> str:
    if run.commission_model is None and run.slippage_model is None:
        return (
            f"Per side, {number(run.commission_bps, 1)} basis points of commission and "
            f"{number(run.slippage_bps, 1)} of slippage were charged."
        )
    commission = run.commission_model or f"bps:{run.commission_bps:g}"
    slippage = run.slippage_model or f"bps:{run.slippage_bps:g}"
    return (
        f"Charged were the commission {commission} and the slippage {slippage}; the strategy's own threshold and the "
        f"benchmark reckon with {number(run.commission_bps + run.slippage_bps, 1)} basis points per side."
    )


def _costs_sentence(run: RunReport) -> str:
    rates = _rates(run)
    paid, slipped = run.metrics.get("commission_usd"), run.metrics.get("slippage_usd")
    estimate = "" if slipped is None else f", and slippage cost about {usd(slipped)} inside the fill prices"
    return rates if paid is None else f"{rates} Commission came to {usd(paid)}{estimate}."
