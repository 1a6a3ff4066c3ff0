from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyzers.report import RunReport, write_report
from analyzers.statistics import performance
from feeds.sessions import trading_sessions
from tests.analyzers.made_runs import fold, make_orders, make_trades

SESSIONS = trading_sessions("2018-01-02", "2019-12-31")
HOSTILE = "<script>alert('x')</script> & \"quoted\""
VOID = {"meta", "line", "polyline", "polygon"}


class Page(HTMLParser):
    """Reads a page: balance of its elements, text per element, every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.open[-1] if self.open else ""] = self.text.get(self.open[-1] if self.open else "", "") + data

    @property
    def words(self) -> str:
        return " ".join(self.text.values()).replace("\xa0", " ")


def full_run(**changes: object) -> RunReport:
    rng = np.random.default_rng(0)
    value = pd.Series(1e5 * np.exp(np.cumsum(np.r_[0, rng.normal(0, 0.01, len(SESSIONS) - 1)])), SESSIONS)
    benchmark = pd.Series(np.linspace(1e5, 1.1e5, len(SESSIONS)), SESSIONS)
    equity = pd.DataFrame({"value": value, "cash": value / 2, "exposure": 0.5, "drawdown": 0.0})
    trades = make_trades()
    run = RunReport(
        title="demo",
        equity=equity,
        trades=trades,
        orders=make_orders(),
        metrics=performance(equity, trades, benchmark, slippage_frac=0.0004),
        benchmark=benchmark,
        benchmark_name="equal weight, monthly",
        model={"name": "tiny", "folds": [fold(1), fold(2)], "pooled": {"n_labels": 1356, **fold(0)}},
        notes=["This market is synthetic."],
        warnings=["Survivors only."],
        settings={"seed": 20240101},
        data_facts={"filings": 3012},
        files={"trades.csv": "every trade", "tearsheet.html": "quantstats"},
        footer="seed 0",
    )
    return dataclasses.replace(run, **changes)


def empty_run(sessions: int) -> RunReport:
    index = SESSIONS[:sessions]
    equity = pd.DataFrame({"value": 1e5, "cash": 1e5, "exposure": 0.0, "drawdown": 0.0}, index=index)
    trades = make_trades()[:0]
    return RunReport("nothing", equity, trades, make_orders()[:0], performance(equity, trades))


def written(run: RunReport, folder: Path) -> Page:
    write_report(run, folder / "report.html")
    assert [entry.name for entry in folder.iterdir()] == ["report.html"]
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_write_report_full_run_has_every_part_in_order(tmp_path):
    page = written(full_run(), tmp_path)
    text = (tmp_path / "report.html").read_text().replace("\xa0", " ")
    parts = [
        "This market is synthetic.",
        "Survivors only.",
        "Over 2018-01-02 to 2019-12-31 the strategy returned",
        "Key figures",
        "Value of the account, USD",
        "Drawdown from the highest",
        "Out of sample the model beat its class prior",
        "Trades by the reason",
        "The last 20 of 31 trades",
        "Per side, 1.0 basis points of commission",
        "What became of the orders",
        "20240101",
        "How to read this",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert page.tags.count("svg") == 8  # two charts, wide and narrow, and four keys of the legends
    assert page.tags.count("h1") == 1


def test_write_report_is_accessible(tmp_path):
    page = written(full_run(), tmp_path)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("caption") == page.tags.count("table") == 7
    charts = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(charts) == 4
    assert all("Strategy: " in value and "Benchmark (equal weight, monthly): " in value for value in charts)
    assert ("meta", "content", "width=device-width, initial-scale=1") in page.attributes


def test_write_report_fetches_nothing(tmp_path):
    page = written(full_run(), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert {value for tag, name, value in page.attributes if name == "href"} == {"./trades.csv", "./tearsheet.html"}


def test_write_report_hostile_names_are_text(tmp_path):
    trades = make_trades()
    trades[["ticker", "entry_reason", "exit_reason"]] = HOSTILE
    orders = make_orders().assign(status=HOSTILE)
    names = {"title": HOSTILE, "benchmark_name": HOSTILE, "notes": [HOSTILE], "warnings": [HOSTILE], "footer": HOSTILE}
    model = {"name": HOSTILE, "folds": [fold(1)]}
    facts = {HOSTILE: HOSTILE}
    run = full_run(**names, trades=trades, orders=orders, model=model, settings=facts, data_facts=facts, files=facts)
    page = written(run, tmp_path)
    assert "script" not in page.tags
    assert HOSTILE in page.text["h1"]
    assert all("<" not in value or tag == "svg" for tag, name, value in page.attributes if name == "href")


def test_write_report_repeats_its_bytes(tmp_path):
    for name in ("a", "b"):
        write_report(full_run(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("sessions", "sentence"), [(30, "the strategy made no trade"), (1, "fewer than two sessions")])
def test_write_report_empty_run_says_so(sessions, sentence, tmp_path):
    page = written(empty_run(sessions), tmp_path)
    assert sentence in page.words
    for part in ("No trade was made.", "No order was sent.", "Nothing is known of how well the predictions came true"):
        assert part in page.words
    assert "nan" not in page.words.lower().replace("finance", "")
    assert "Benchmark" not in page.words
    assert ("Too few sessions to draw." in page.words) == (sessions == 1)


@pytest.mark.parametrize(
    ("costs", "warning"),
    [
        ({"commission_bps": 0}, "This run trades without commission: real results would be worse."),
        ({"slippage_bps": 0}, "This run trades without slippage: real results would be worse."),
        ({"commission_bps": 0, "slippage_bps": 0}, "without commission and without slippage:"),
    ],
)
def test_write_report_without_costs_warns(costs, warning, tmp_path):
    assert warning in written(full_run(**costs), tmp_path).words


def test_write_report_with_costs_does_not_warn(tmp_path):
    page = written(full_run(warnings=[], notes=[]), tmp_path)
    assert "Warnings" not in page.words
    assert "About these data" not in page.words


def test_write_report_saved_predictions_without_evaluation_say_so(tmp_path):
    page = written(full_run(model={"predictions": "saved.parquet"}), tmp_path)
    assert "predictions that were saved without their evaluation" in page.words


def test_write_report_caveats_stand_right_under_the_verdict(tmp_path):
    written(full_run(caveats=["Filings cover 10 % of the sessions traded."]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert text.index("the strategy returned") < text.index("Filings cover 10 %") < text.index("Files of this run")


def test_write_report_wide_tables_say_that_they_scroll_and_narrow_ones_do_not(tmp_path):
    written(full_run(), tmp_path)
    hint = '<small class="sideways"> (scroll sideways for more)</small>'
    text = (tmp_path / "report.html").read_text()
    assert re.search(rf"The last 20 of 31 trades[^<]*{re.escape(hint)}", text)
    assert "<caption><span>Key figures</span>" in text
    assert ".sideways{display:inline}" in text  # on small screens; hidden elsewhere
