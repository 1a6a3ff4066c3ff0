"""Findings about prices as tables and sentences: for the screen, findings.csv, the manifest and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from feeds.price_table import Finding

COLUMNS = ("ticker", "session", "kind", "severity", "values", "action")
SEVERITIES = ("error", "warning", "info")
_MOST_NAMED = 12


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return the table of ``findings.csv``; its session is YYYY-MM-DD, empty for a whole file."""
    return pd.DataFrame([row(finding) for finding in findings], columns=list(COLUMNS))


def at_least(frame: pd.DataFrame, severity: str) -> int:
    """Return how many findings are as grave as `severity` or graver."""
    return int(frame["severity"].isin(SEVERITIES[: SEVERITIES.index(severity) + 1]).sum())


def repairs(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Return what was done to the data, for the manifest: every finding whose rows are not as the source has them."""
    changed = [finding for finding in findings if finding.action not in ("kept", "sorted")]
    return [dict(zip(COLUMNS, row(finding), strict=True)) for finding in changed]


def finding_counts(findings: Iterable[Finding]) -> dict[str, str]:
    """Return for the report how many findings of each severity there are, by kind."""
    kinds: dict[str, Counter[str]] = {severity: Counter() for severity in SEVERITIES}
    for finding in findings:
        kinds[finding.severity][finding.kind] += 1
    return {f"Findings, {severity}": counted(kinds[severity]) for severity in SEVERITIES}


def finding_warnings(findings: Sequence[Finding]) -> list[str]:
    """Return the sentences that a reader of a backtest needs: what is not traded, and what was mended."""
    refused = _named({finding.ticker: finding.kind for finding in reversed(findings) if finding.action == "refused"})
    excluded = _names(finding for finding in findings if finding.action.startswith("excluded "))
    mended = [
        f for f in findings if f.severity == "error" and f.action in ("row removed", "rows removed", "factor held")
    ]
    sentences = []
    if refused:
        sentences.append(f"Refused for defects of their prices: {refused}.")
    if excluded:
        sentences.append(
            f"Not traded from a defect of their prices on, as if delisted there: {excluded}. "
            "An open position is closed at the worse of the prices before and after it, unless a fall is proven to be "
            "none (a split, another stock under the ticker)."
        )
    if mended:
        sentences.append(f"Wrong bars were taken out, or false adjustments ignored, in {_names(mended)}.")
    return sentences


def _names(findings: Iterable[Finding]) -> str:
    return _some(list(dict.fromkeys(finding.ticker for finding in findings)))


def _named(kinds: Mapping[str, str]) -> str:
    return _some([f"{ticker} ({kind})" for ticker, kind in sorted(kinds.items())])


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def counted(kinds: Counter[str]) -> str:
    """Return the number of all, and of each kind, the most frequent first."""
    named = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    return f"{kinds.total():,} ({named})" if kinds else "none"


def row(finding: Finding) -> tuple[str, str, str, str, str, str]:
    """Return a finding's line of ``findings.csv``."""
    session = "" if finding.session is None else str(finding.session.date())
    return finding.ticker, session, finding.kind, finding.severity, finding.detail, finding.action
