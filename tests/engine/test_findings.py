"""Findings as rows, counts and sentences."""

from __future__ import annotations

import pandas as pd

from engine.findings import COLUMNS, at_least, finding_counts, finding_warnings, findings_frame, repairs
from feeds.price_table import Finding

DAY = pd.Timestamp("2019-03-11")
FINDINGS = (
    Finding("AAA", None, "empty file", "AAA.csv is empty"),
    Finding("BBB", DAY, "spliced series", "`close` 1 then 9", "error", "excluded from 2019-03-11"),
    Finding("CCC", DAY, "all-zero bar", "all four prices are 0", "error", "row removed"),
    Finding("DDD", DAY, "stale run", "12 identical bars", "warning", "copies removed"),
    Finding("EEE", DAY, "unsorted rows", "1 time", "info", "sorted"),
    Finding("FFF", DAY, "ends early", "last bar", "info", "kept"),
    Finding("GGG", DAY, "ends early", "last bar", "info", "kept"),
)


def test_findings_frame_has_the_columns_of_the_file_and_the_session_as_a_day():
    frame = findings_frame(FINDINGS)
    assert ",".join(frame.columns) == "ticker,session,kind,severity,values,action"
    assert frame["session"].tolist()[:2] == ["", "2019-03-11"]
    assert frame.iloc[1].tolist()[2:] == ["spliced series", "error", "`close` 1 then 9", "excluded from 2019-03-11"]
    assert tuple(findings_frame(()).columns) == COLUMNS


def test_at_least_counts_a_severity_and_the_graver_ones():
    assert [at_least(findings_frame(FINDINGS), severity) for severity in ("error", "warning", "info")] == [3, 4, 7]
    assert at_least(findings_frame(()), "warning") == 0


def test_repairs_are_what_was_done_to_the_data():
    assert [entry["ticker"] for entry in repairs(FINDINGS)] == ["AAA", "BBB", "CCC", "DDD"]
    assert repairs(FINDINGS)[1] == {
        "ticker": "BBB",
        "session": "2019-03-11",
        "kind": "spliced series",
        "severity": "error",
        "values": "`close` 1 then 9",
        "action": "excluded from 2019-03-11",
    }


def test_finding_counts_name_the_kinds_of_each_severity():
    assert finding_counts(FINDINGS) == {
        "Findings, error": "3 (empty file 1, spliced series 1, all-zero bar 1)",
        "Findings, warning": "1 (stale run 1)",
        "Findings, info": "3 (ends early 2, unsorted rows 1)",
    }
    assert set(finding_counts(()).values()) == {"none"}


def test_finding_warnings_say_what_is_not_traded_and_what_was_mended():
    assert finding_warnings(FINDINGS) == [
        "Refused for defects of their prices: AAA (empty file).",
        "Not traded from a defect of their prices on, as if delisted there: BBB. "
        "An open position is closed at the worse of the prices before and after it, unless a fall is proven to be "
        "none (a split, another stock under the ticker).",
        "Wrong bars were taken out, or false adjustments ignored, in CCC.",
    ]
    assert finding_warnings(FINDINGS[3:]) == []


def test_finding_warnings_name_a_stock_that_leaves_after_its_session():
    after = Finding("BBB", DAY, "spliced series", "`close` 9 then 1", "error", "excluded after 2019-03-11")
    assert finding_warnings([after])[0].startswith(
        "Not traded from a defect of their prices on, as if delisted there: BBB."
    )


def test_finding_warnings_name_a_dozen_and_count_the_rest():
    many = [Finding(f"T{k:02d}", None, "empty file", "is empty") for k in range(15)]
    assert finding_warnings(many)[0].endswith("T10 (empty file), T11 (empty file) and 3 more.")
