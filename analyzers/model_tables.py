"""The model's evaluation as tables and sentences: for the report and for evaluation.md, from the same figures.

All take the manifest's ``model`` entry as `engine.model_stage` makes it. A key that is missing leaves its
table out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tabulate import tabulate

from analyzers.report_tables import Table
from analyzers.wording import count, number, percent

Measures = Mapping[str, Any]
_COLUMNS: tuple[tuple[str, Callable[[Measures], str]], ...] = (
    ("Sessions", lambda m: count(m.get("n_sessions"))),
    ("Labels", lambda m: count(m.get("n_labels"))),
    ("Stocks", lambda m: count(m.get("n_names"))),
    ("Log-loss", lambda m: number(m.get("log_loss"), 4)),
    ("Skill", lambda m: percent(m.get("log_loss_skill"), 2)),
    ("RPS skill", lambda m: percent(m.get("rps_skill"), 2)),
    ("Balanced accuracy", lambda m: number(m.get("balanced_accuracy"), 3)),
    ("Accuracy", lambda m: number(m.get("accuracy"), 3)),
    ("Majority class", lambda m: number(m.get("majority_accuracy"), 3)),
    ("Matthews", lambda m: number(m.get("matthews"), 3)),
    ("AUC direction", lambda m: number(m.get("direction_auc"), 3)),
    ("AUC magnitude", lambda m: number(m.get("magnitude_auc"), 3)),
    ("ECE of P(up)", lambda m: number(m.get("calibration_error"), 3)),
    ("Rank correlation", lambda m: number(m.get("information_coefficient"), 4)),
    ("95\N{NO-BREAK SPACE}% interval", lambda m: _interval(m, "information_coefficient")),
    ("t", lambda m: number(m.get("information_coefficient_t"), 1)),
    ("Mean over sd", lambda m: number(m.get("information_coefficient_ratio"))),
    ("Days above 0", lambda m: percent(m.get("positive_share"), 0)),
    ("Spread, bp a day", lambda m: number(m.get("spread_bps"), 1)),
    ("t of spread", lambda m: number(m.get("spread_t"), 1)),
    ("Monotonicity", lambda m: number(m.get("monotonicity"))),
    ("Turnover a day", lambda m: percent(m.get("turnover"), 0)),
    ("Breakeven cost, bp", lambda m: number(m.get("breakeven_bps"), 1)),
)
_ADVANTAGE = ("Advantage of the model", "t of advantage")
_ON_THE_PAGE = {
    "Skill", "Balanced accuracy", "AUC direction", "AUC magnitude", "Rank correlation",
    "95\N{NO-BREAK SPACE}% interval",
    "t", "Spread, bp a day", "Breakeven cost, bp", *_ADVANTAGE,
}  # fmt: skip
HOW_TO_READ = (
    "Skill is 1 less a loss over that of the classes' shares in training (RPS: ranked probability score). Balanced "
    "accuracy by chance, and of always naming the majority class, is 0.25; Matthews' correlation by chance is 0, an "
    "area under the curve (AUC) 0.5. Direction asks whether P(up) tells rises from falls, magnitude whether P(great "
    "move) tells great moves from small ones: a forecast of volatility earns the second, and log-loss, without "
    "earning money. ECE is the mean distance between P(up) and how often it rose. Rank correlation is the mean over "
    "sessions between score and the return that followed; its t and interval allow for overlapping returns (Newey "
    "and West). The spread is between the highest and the lowest scores before cost; breakeven is the cost per side "
    "that eats it."
)
RELIABILITY_NOTE = "P(up) in ten bins of equal size: what was said, and how often it rose."
_SEED_LABELS = {
    "information_coefficient": ("rank correlation", 4),
    "log_loss": ("log-loss", 4),
    "balanced_accuracy": ("balanced accuracy", 3),
    "direction_auc": ("AUC of direction", 3),
    "spread_bps": ("spread in basis points a day", 1),
}


def rivals_table(model: Mapping[str, Any]) -> Table | None:
    """Return the model and each baseline over all test sessions, with the paired advantage of the model."""
    if not model.get("baselines"):
        return None
    rows = [[str(model.get("name", "model")), *_cells(model["pooled"]), "", ""]]
    rows += [_rival_row(rival) for rival in model["baselines"]]
    head = ("Model", *(name for name, _ in _COLUMNS), *_ADVANTAGE)
    return Table("The model beside its baselines, all test sessions", head, rows)


def ablation_table(model: Mapping[str, Any]) -> Table | None:
    """Return the model with all columns, without filings, and with filings alone."""
    if not model.get("ablation"):
        return None
    rows = [["prices + filings", *_cells(model["pooled"]), "", ""]]
    rows += [_rival_row(rival) for rival in model["ablation"]]
    head = ("Columns seen", *(name for name, _ in _COLUMNS), *_ADVANTAGE)
    return Table("What the columns are worth", head, rows)


def years_table(model: Mapping[str, Any]) -> Table | None:
    """Return the model year by year, over all test sessions, and before and on a holdout that was opened."""
    if not model.get("years"):
        return None
    rows = [[str(year["year"]), *_cells(year)] for year in model["years"]]
    whole = [*_holdout_rows(model.get("holdout") or {}), ["All", *_cells(model["pooled"])]]
    head = ("Year", *(name for name, _ in _COLUMNS))
    return Table("Out-of-sample predictions, year by year", head, rows + whole, summary_rows=len(whole))


def _holdout_rows(holdout: Mapping[str, Any]) -> list[list[str]]:
    if holdout.get("status") != "opened":
        return []
    return [
        ["Before the holdout", *_cells(holdout["before"])],
        [f"Holdout (opened {holdout['opened_at'][:10]})", *_cells(holdout["measures"])],
    ]


def shortened(table: Table | None) -> Table | None:
    """Return a table with the measures that decide, for a page; evaluation.md has all of them."""
    if table is None:
        return None
    places = [0, *(i for i, name in enumerate(table.head) if name in _ON_THE_PAGE)]
    rows = [[row[place] for place in places] for row in table.rows]
    return replace(table, head=[table.head[place] for place in places], rows=rows)


def reliability_table(model: Mapping[str, Any]) -> Table | None:
    """Return the forecasts of P(up) beside how often it rose."""
    bins = (model.get("pooled") or {}).get("reliability") or ()
    rows = [[str(i), count(b["n"]), number(b["forecast"], 3), number(b["came"], 3)] for i, b in enumerate(bins, 1)]
    return Table("Reliability of P(up)", ("Bin", "Labels", "Mean P(up)", "Rose"), rows) if rows else None


def seeds_sentence(model: Mapping[str, Any]) -> str:
    """Say how much of the result is the draw of a seed; empty for one seed."""
    seeds = model.get("seeds") or {}
    if not seeds.get("n"):
        return ""
    told = [
        f"{label} {number(seeds[name]['mean'], digits)} ± {number(seeds[name]['sd'], digits)}"
        for name, (label, digits) in _SEED_LABELS.items()
        if seeds.get(name)
    ]
    return (
        f"Each of the {seeds['n']} seeds alone, mean ± standard deviation: {', '.join(told)}. The tables are of their "
        "average."
    )


def comparison_sentence(model: Mapping[str, Any]) -> str:
    """Say whether the model beats logistic regression and gradient boosting, or that nobody asked."""
    if model.get("verdict"):
        return f"On the same folds the model {model['verdict']}"
    if model.get("baselines"):
        return (
            "It was not compared with logistic regression and gradient boosting on the same columns: add "
            "`--against logistic,gradient_boosting` before believing that a network is needed."
        )
    return ""


def markdown(model: Mapping[str, Any], sentences: Sequence[str]) -> str:
    """Return evaluation.md: the sentences, then every table there is, one row per measure."""
    parts = [f"# Evaluation of {model.get('name', 'predictions')}", *(text for text in sentences if text)]
    for table in (rivals_table(model), ablation_table(model), years_table(model)):
        if table is not None:
            parts += [f"## {table.caption}", _turned(table)]
    bins = reliability_table(model)
    if bins is not None:
        parts += [f"## {bins.caption}", RELIABILITY_NOTE, _pipes(bins.head, bins.rows)]
    return "\n\n".join([*parts, HOW_TO_READ]) + "\n"


def screen(model: Mapping[str, Any]) -> str:
    """Return what the screen shows of the comparison; empty without one."""
    table = rivals_table(model)
    if table is None:
        return ""
    wanted = ("Model", "Skill", "AUC direction", "AUC magnitude", "Rank correlation", "t", *_ADVANTAGE)
    places = [table.head.index(name) for name in wanted]
    rows = [[row[place] for place in places] for row in table.rows]
    return tabulate(rows, headers=list(wanted), disable_numparse=True)


def _rival_row(rival: Mapping[str, Any]) -> list[str]:
    advantage = rival["advantage"]
    return [rival["name"], *_cells(rival["pooled"]), number(advantage["mean"], 4), number(advantage["t"], 1)]


def _cells(measures: Measures) -> list[str]:
    return [cell(measures) for _, cell in _COLUMNS]


def _interval(measures: Measures, name: str) -> str:
    low, high = (number(measures.get(f"{name}_{end}"), 4) for end in ("low", "high"))
    return f"{low} to {high}"


def _turned(table: Table) -> str:
    """Return a table with its rows as columns: two dozen measures are too wide for a page of text."""
    return _pipes((table.head[0], *(row[0] for row in table.rows)), list(zip(table.head, *table.rows, strict=True))[1:])


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=list(head), tablefmt="pipe", disable_numparse=True)
