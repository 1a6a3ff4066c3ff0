"""The command `check-data`: what was found in a price source, and what a run does about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from engine.findings import SEVERITIES, counted, finding_warnings, findings_frame, row
from engine.inputs import market_settings
from engine.price_inputs import judge_prices, membership_of
from engine.run_folder import run_folder, write_text
from engine.settings import Settings
from feeds.errors import InputError
from feeds.price_table import Finding
from feeds.prices import CheckedPrices, check_panel
from feeds.progress import Progress
from feeds.synthetic import make_market

_MOST_SHOWN = 40


def check_data(settings: Settings, progress: Progress) -> tuple[pd.DataFrame, str]:
    """Return the findings, one row each, and a table for the screen.

    Raises
    ------
    InputError
        If the source cannot be read at all, or has nothing until ``--to``.
    """
    checked = _checked(settings, progress)
    _refuse_empty_cut(settings, checked)
    absent = membership_of(settings, checked.panel)[1]
    return findings_frame(checked.findings), "\n".join([_screen(checked), *absent])


def _refuse_empty_cut(settings: Settings, checked: CheckedPrices) -> None:
    """Refuse a cut before the data, which would pass for prices without a defect."""
    if settings.last and not checked.bars and not checked.findings:
        raise InputError(
            f"`--to {settings.last}`: expected bars of {settings.prices} on or before it, received later ones only; "
            "choose a later date"
        )


def _checked(settings: Settings, progress: Progress) -> CheckedPrices:
    last = pd.Timestamp(settings.last) if settings.last else None
    if settings.prices == "synthetic":
        panel = make_market(market_settings(settings))
        panel = panel.select(settings.tickers) if settings.tickers else panel
        return check_panel(panel.until(last) if last is not None else panel)
    return judge_prices(settings, progress)


def write_findings(frame: pd.DataFrame, folder: Path, *, force: bool) -> None:
    """Write ``findings.csv`` into `folder`, which becomes complete or stays absent."""
    with run_folder(folder, force=force) as partial:
        write_text(partial / "findings.csv", frame.to_csv(index=False, lineterminator="\n"))


def _screen(checked: CheckedPrices) -> str:
    """Return the counts, then the findings above info, a kind of a ticker on one line."""
    counts: Counter[str] = Counter(finding.severity for finding in checked.findings)
    grave = [finding for finding in checked.findings if finding.severity != "info"]
    lines = [
        f"{checked.tickers:,} {'ticker' if checked.tickers == 1 else 'tickers'}, {checked.bars:,} bars: "
        + ", ".join(f"{counts[severity]:,} {severity}" for severity in SEVERITIES),
        *finding_warnings(checked.findings),
    ]
    if grave:
        lines.append("\n" + _table(grave))
    infos = Counter(finding.kind for finding in checked.findings if finding.severity == "info")
    if infos:
        lines.append(f"\ninfo: {counted(infos)}")
    return "\n".join(lines)


def _table(findings: Sequence[Finding]) -> str:
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.ticker, finding.kind, finding.severity), []).append(finding)
    chosen = sorted(groups.items(), key=lambda item: SEVERITIES.index(item[0][2]))
    rows = [[*row(found[0])[:4], len(found), found[0].detail, found[0].action] for _, found in chosen[:_MOST_SHOWN]]
    heads = ["ticker", "session", "kind", "severity", "count", "values of the first", "action"]
    table = tabulate(rows, headers=heads, maxcolwidths=[None, None, 20, None, None, 60, 24], disable_numparse=True)
    rest = len(chosen) - len(rows)
    return table + (f"\nand {rest} more lines; `--out DIR` writes all of them" if rest > 0 else "")
