"""Reading the benchmark, and where trading begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.settings import resolve
from engine.trading import _csv_benchmark, benchmark, benchmark_name
from feeds.errors import InputError

HEAD = "Date,Open,High,Low,Close,Adj Close,Volume\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two bars at 10 and 12; a dividend makes the first adjusted close 9."""
    path = tmp_path / "SPY.csv"
    path.write_text(HEAD + "2020-01-02,10,10,10,10,9,100\n2020-01-03,11,12,11,12,12,100\n")
    return path


def test_csv_benchmark_is_total_return(file: Path):
    opens, closes = _csv_benchmark(file)
    assert list(closes.index) == [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03")]
    assert closes.iloc[1] / closes.iloc[0] == pytest.approx(12 / 9)
    assert opens.iloc[1] / closes.iloc[1] == pytest.approx(11 / 12)


def test_csv_benchmark_that_is_no_price_file_is_refused(tmp_path: Path):
    (tmp_path / "SPY.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="`--benchmark`: expected a price file, received .*SPY.csv"):
        _csv_benchmark(tmp_path / "SPY.csv")


def test_benchmark_by_default_starts_with_the_cash_on_the_first_session_that_counts(make_panel):
    panel = make_panel(sessions=60, tickers=4)
    start = panel.sessions[20]
    series = benchmark(resolve({"cash": 1000.0, "commission_bps": 0.0, "slippage_bps": 0.0}), panel, start)
    assert series.index[0] == start
    assert series.index[-1] == panel.sessions[-1]
    assert np.isfinite(series).all()
    assert series.iloc[0] == pytest.approx(1000.0, rel=0.2)


def test_benchmark_unknown_ticker_is_refused(make_panel):
    panel = make_panel(sessions=30, tickers=2)
    with pytest.raises(InputError, match="NOPE"):
        benchmark(resolve({"benchmark": "NOPE"}), panel, panel.sessions[5])


def test_benchmark_name_is_what_the_reader_knows_it_by(file: Path):
    assert benchmark_name(resolve({})) == "all stocks, equal weight, monthly"
    assert benchmark_name(resolve({"benchmark": f"csv:{file}"})) == "SPY"
    assert benchmark_name(resolve({"benchmark": "AAA"})) == "AAA"
