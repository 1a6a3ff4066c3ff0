"""What a run leaves behind: tables, manifest, settings, report and tearsheet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from analyzers.model_tables import comparison_sentence, markdown, screen, seeds_sentence
from analyzers.report import ASSUMPTIONS, RunReport, write_report
from analyzers.tearsheet import write_tearsheet
from analyzers.wording import model_verdict, number, percent
from engine.execution import execution_sentences
from engine.findings import finding_counts
from engine.inputs import Inputs
from engine.run_folder import write_text
from engine.settings import Settings
from engine.trading import Trading, benchmark_name
from feeds.insider import filings_known
from feeds.progress import Progress
from models.luck_wording import holdout_sentence, placebo_sentence, trials_sentence

FILES = {
    "tearsheet.html": "the quantstats page, for a wide screen",
    "trades.csv": "every trade with entry and exit reasons",
    "orders.csv": "every order with its fate",
    "equity.csv": "daily value, cash, exposure, drawdown",
    "predictions.parquet": "every out-of-sample prediction",
    "evaluation.md": "how good the predictions were, every measure; evaluation.json has the same figures",
    "manifest.json": "settings, versions, inputs, figures, timings",
    "config.toml": "`run --config config.toml` repeats this run",
}


_BASES = {
    "as_traded": "as traded",
    "split_adjusted": "split adjusted",
    "fully_adjusted": "taken as they are: without an adjusted close, what is adjusted in them is unknown",
}
_WELL_COVERED = 0.9


def write_tables(trading: Trading, folder: Path) -> None:
    """Write trades, orders and equity; the same run gives the same bytes."""
    result = trading.result
    equity = result.equity.assign(benchmark=trading.benchmark.reindex(result.equity.index))
    for name, table, index in (
        ("trades.csv", result.trades, False),
        ("orders.csv", result.orders, False),
        ("equity.csv", equity, True),
    ):
        write_text(folder / name, table.to_csv(index=index, date_format="%Y-%m-%d", lineterminator="\n"))


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write JSON: null for what is not known, never NaN."""
    write_text(path, json.dumps(json_safe(value), indent=2, allow_nan=False) + "\n")


def write_evaluation(model: Mapping[str, Any], folder: Path) -> None:
    """Write evaluation.json and the same figures for a reader, evaluation.md."""
    write_json(model, folder / "evaluation.json")
    sentences = (
        holdout_sentence(model),
        model_verdict(model.get("pooled")),
        comparison_sentence(model),
        seeds_sentence(model),
        placebo_sentence(model),
        trials_sentence(model),
    )
    write_text(folder / "evaluation.md", markdown(model, sentences))


def json_safe(value: Any) -> Any:
    """Return `value` with what JSON lacks replaced: dates by ISO texts, NaN and infinities by None."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def write_pages(
    settings: Settings,
    inputs: Inputs,
    model: Mapping[str, Any],
    trading: Trading,
    warnings: list[str],
    folder: Path,
    progress: Progress,
) -> None:
    """Write the tearsheet and the report."""
    title = f"{settings.strategy.rpartition(':')[2]}, model {settings.model}"
    report = RunReport(
        title=title,
        equity=trading.result.equity,
        trades=trading.result.trades,
        orders=trading.result.orders,
        metrics=trading.metrics,
        benchmark=trading.benchmark,
        benchmark_name=benchmark_name(settings),
        model=model,
        luck=(holdout_sentence(model), placebo_sentence(model), trials_sentence(model)),
        notes=inputs.notes,
        warnings=warnings,
        caveats=coverage_caveats(inputs, trading.result.equity.index),
        commission_bps=settings.commission_bps,
        slippage_bps=settings.slippage_bps,
        commission_model=settings.commission,
        slippage_model=settings.slippage,
        assumptions=(*ASSUMPTIONS, *execution_sentences(settings)),
        settings=settings.as_dict(),
        data_facts=data_facts(inputs),
        files=FILES,
        footer=f"Seed {settings.seed}. The file config.toml repeats everything on this page.",
    )
    pages = (
        lambda: _tearsheet(settings, trading, title, folder / "tearsheet.html"),
        lambda: write_report(report, folder / "report.html"),
    )
    for write in progress(pages, "tearsheet and report", len(pages)):
        write()


def _tearsheet(settings: Settings, trading: Trading, title: str, path: Path) -> None:
    write_tearsheet(
        trading.result.equity["value"].pct_change(),
        trading.benchmark.pct_change(),
        path,
        title=title,
        risk_free=settings.risk_free,
        benchmark_title=benchmark_name(settings),
    )


def data_facts(inputs: Inputs) -> dict[str, Any]:
    """Return what the run was fed."""
    panel, filings = inputs.panel, inputs.filings
    facts: dict[str, Any] = {
        "Stocks": len(panel.tickers),
        "Sessions": len(panel.sessions),
        "First session": panel.sessions[0],
        "Last session": panel.sessions[-1],
        "Bars": int(panel.traded.sum()),
        "Prices as the source has them": _BASES[panel.price_basis],
    }
    facts |= finding_counts(inputs.findings)
    if filings is None:
        return {**facts, "Filings": "none"}
    facts |= {"Form 4 filings": filings.n_filings, "Transactions": len(filings.rows)}
    if filings.coverage is not None:
        facts |= {"First acceptance, UTC": filings.coverage.first, "Last acceptance, UTC": filings.coverage.last}
    return facts


def coverage_caveats(inputs: Inputs, sessions: pd.Index) -> list[str]:
    """Return a sentence for the verdict where filings cover less than nine tenths of what traded in the `sessions`."""
    if inputs.filings is None or not len(sessions):
        return []
    known, traded = filings_known(inputs.filings, inputs.panel), inputs.panel.traded
    rows = inputs.panel.sessions.isin(pd.DatetimeIndex(sessions))
    cells = traded[rows]
    covered = float(known[rows][cells].mean()) if cells.any() else 0.0
    if covered >= _WELL_COVERED:
        return []
    share = percent(covered, 0)
    return [f"Filings cover {share} of the stocks and sessions traded: on the others nothing is known of insiders."]


def figures_table(trading: Trading, model: Mapping[str, Any]) -> str:
    """Return the closing table for the screen."""
    m = trading.metrics
    rows = [
        ("Total return", percent(m["total_return"]), percent(m["benchmark_total_return"])),
        ("Growth per year", percent(m["cagr"]), percent(m["benchmark_cagr"])),
        ("Sharpe ratio", number(m["sharpe"]), number(m["benchmark_sharpe"])),
        ("  95 % interval", f"{number(m['sharpe_low'])} to {number(m['sharpe_high'])}", ""),
        ("Deepest drawdown", percent(m["max_drawdown"]), percent(m["benchmark_max_drawdown"])),
        ("Trades", str(m["n_trades"]), ""),
        ("Winning trades", percent(m["win_rate"]), ""),
        ("Mean exposure", percent(m["exposure"]), ""),
    ]
    equity = trading.result.equity
    span = f"{equity.index[0].date()} to {equity.index[-1].date()}, after costs"
    return tabulate(rows, headers=[span, "strategy", "benchmark"], disable_numparse=True) + model_lines(model)


def model_lines(model: Mapping[str, Any]) -> str:
    """Return what the screen says of the model: out-of-sample figures beside their reference."""
    pooled = model.get("pooled")
    if pooled is None:
        return ""
    ranking = (
        f"information coefficient {pooled['information_coefficient']:.4f} (t {pooled['information_coefficient_t']:.1f})"
    )
    if pd.isna(pooled["log_loss"]):
        return f"\n\npredictions, out of sample: {ranking}{_luck_lines(model)}"
    told = (
        f"\n\nmodel, out of sample: log-loss {pooled['log_loss']:.4f} (class prior {pooled['prior_log_loss']:.4f}), "
        f"balanced accuracy {pooled['balanced_accuracy']:.3f} (chance 0.250), {ranking}"
    )
    return told + (f"\nmodel {model['verdict']}" if model.get("verdict") else "") + _luck_lines(model)


def _luck_lines(model: Mapping[str, Any]) -> str:
    """Return what luck could give: of a placebo, and of many tries; one try needs no line on the screen."""
    many = ((model.get("trials") or {}).get("of") or 0) > 1
    told = (holdout_sentence(model), placebo_sentence(model), trials_sentence(model) if many else "")
    return "".join(f"\n{text}" for text in told if text)


def comparison_lines(model: Mapping[str, Any]) -> str:
    """Return the model beside its baselines for the screen; empty without any."""
    table = screen(model)
    return f"\n\n{table}" if table else ""


def warning_lines(warnings: Sequence[str]) -> str:
    """Return what weakens a result, a line each, for the screen."""
    return "\n" + "".join(f"\nwarning: {text}" for text in warnings) if warnings else ""


def model_table(folds: list[Mapping[str, Any]]) -> str:
    """Return one line per fold for the screen."""
    names = ("log_loss", "prior_log_loss", "balanced_accuracy", "information_coefficient")
    rows = [
        [f["fold"], f["test_first"], f["test_last"], f["n_test_labels"], *(_digits(f[n]) for n in names)] for f in folds
    ]
    heads = ["fold", "predicts from", "to", "labels", "log-loss", "prior", "balanced accuracy", "IC"]
    return tabulate(rows, headers=heads, disable_numparse=True)


def _digits(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.4f}"
