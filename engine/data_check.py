"""The command `check-data`: what is wrong with a price source, ticker by ticker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from engine.run_folder import run_folder, write_text
from engine.settings import Settings
from feeds.errors import InputError
from feeds.price_table import Finding
from feeds.prices import find_defects
from feeds.progress import Progress

COLUMNS = ("ticker", "session", "kind", "severity", "values", "action")
_SEVERITY, _ACTION = "error", "the ticker is refused"
_MOST_SHOWN = 40


def check_data(settings: Settings, progress: Progress) -> tuple[pd.DataFrame, str]:
    """Return the findings, one row each, and a table for the screen.

    Raises
    ------
    InputError
        If the source is the embedded market, which has no file to check, or cannot be read at all.
    """
    if settings.prices == "synthetic":
        raise InputError("`check-data`: expected `--prices csv:DIR` or `parquet:FILE`, received the embedded market")
    last = pd.Timestamp(settings.last) if settings.last else None
    found, tickers, bars = find_defects(settings.prices, tickers=settings.tickers or None, last=last, progress=progress)
    frame = pd.DataFrame([_row(finding) for finding in found], columns=list(COLUMNS))
    return frame, _screen(found, frame, tickers, bars)


def write_findings(frame: pd.DataFrame, folder: Path, *, force: bool) -> None:
    """Write ``findings.csv`` into `folder`, which becomes complete or stays absent."""
    with run_folder(folder, force=force) as partial:
        write_text(partial / "findings.csv", frame.to_csv(index=False, lineterminator="\n"))


def _row(finding: Finding) -> tuple[str, str, str, str, str, str]:
    session = "" if finding.session is None else str(finding.session.date())
    return finding.ticker, session, finding.kind, _SEVERITY, finding.detail, _ACTION


def _screen(found: list[Finding], frame: pd.DataFrame, tickers: int, bars: int) -> str:
    looked = f"{tickers} tickers, {bars:,} bars: "
    if not found:
        return looked + "nothing found"
    refused = sorted({finding.ticker for finding in found})
    first_of_kind = frame.drop_duplicates(["ticker", "kind"]).head(_MOST_SHOWN)
    counts = Counter((finding.ticker, finding.kind) for finding in found)
    shown = first_of_kind[["ticker", "session", "kind", "values"]].assign(
        count=[counts[key] for key in zip(first_of_kind["ticker"], first_of_kind["kind"], strict=True)]
    )
    table = tabulate(shown.values.tolist(), headers=list(shown.columns), maxcolwidths=[None, None, None, 70, None])
    names = ", ".join(refused)
    return f"{looked}{len(found):,} findings in {len(refused)} tickers, which `run` refuses: {names}\n\n{table}"
