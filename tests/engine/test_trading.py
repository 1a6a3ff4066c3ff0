"""Reading the benchmark, and where trading begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from engine import trading
from engine.arguments import parse, setting_flags
from engine.cerebro import BacktestResult
from engine.settings import resolve
from engine.trading import _csv_benchmark, benchmark, benchmark_name, benchmark_warnings
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


def rows(count: int, **changed: str) -> str:
    """Sound bars of January 2020; `changed` has other lines for d7 and so on."""
    days = [day for day in range(2, 32) if pd.Timestamp(2020, 1, day).weekday() < 5 and day != 20][:count]
    return HEAD + "".join(changed.get(f"d{day}", f"2020-01-{day:02},10,11,9,10,10,{100 + day}") + "\n" for day in days)


def warned(path: Path) -> list[str]:
    return benchmark_warnings(resolve({"benchmark": f"csv:{path}"}))


def test_csv_benchmark_without_its_bad_rows_says_so(file: Path):
    file.write_text(rows(12, d7="2020-01-07,ten,11,9,10,10,100", d8="2020-01-08,0,0,0,0,0,0"))
    assert warned(file) == ["Benchmark: Wrong bars were taken out, or false adjustments ignored, in SPY."]
    closes = _csv_benchmark(file)[1]
    assert len(closes) == 10
    assert (closes == 10).all()


def test_csv_benchmark_that_no_stock_could_be_is_compared_with_as_it_is_and_says_so(file: Path):
    early = {f"d{day}": f"2020-01-{day:02},0,11,9,{day},{day},100" for day in range(2, 32)}
    file.write_text(rows(12, **early) + "2020-01-21,0,11,9,99,99,100\n")
    (told,) = warned(file)
    assert told.startswith("Benchmark: SPY 2020-01-02: a price is not positive, `open` 0, ")
    assert told.endswith("; its prices are compared with as they are.")
    closes = _csv_benchmark(file)[1]
    assert closes.tolist() == [2, 3, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 99]


def test_benchmark_warnings_sound_file_and_other_benchmarks_have_none(file: Path):
    file.write_text(rows(12))
    assert warned(file) == benchmark_warnings(resolve({})) == benchmark_warnings(resolve({"benchmark": "AAA"})) == []


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


def test_guarded_setting_reaches_the_run(monkeypatch, make_panel):
    class Called(Exception):
        pass

    def run(*positional, guarded, **named):
        raise Called(guarded)

    monkeypatch.setattr(trading, "run_backtest", run)
    monkeypatch.setattr(trading, "first_traded_session", lambda *_: None)
    settings = resolve(setting_flags(parse(["run", "--guarded"])))
    with pytest.raises(Called, match="True"):
        trading.trade(
            settings,
            (None, {}),
            SimpleNamespace(panel=make_panel(sessions=9), sectors=None, membership=None),
            None,
            None,
            None,
        )
    assert "guarded" not in settings.as_dict()  # no result depends on it


def test_trade_tells_which_delisting_returns_no_stock_has(monkeypatch, make_panel, tmp_path: Path):
    (tmp_path / "returns.csv").write_text("ticker,return\nT000,-1\nGONE,-1\n")
    panel = make_panel(sessions=30)
    nothing = pd.DataFrame(index=panel.sessions)
    monkeypatch.setattr(trading, "run_backtest", lambda *_, **__: BacktestResult(nothing, nothing, nothing))
    monkeypatch.setattr(trading, "first_traded_session", lambda *_: panel.sessions[5])
    monkeypatch.setattr(trading, "performance", lambda *_: {})
    settings = resolve({"delisting_return": str(tmp_path / "returns.csv")})
    inputs = SimpleNamespace(panel=panel, sectors=None, membership=None)
    done = trading.trade(settings, (None, {}), inputs, None, None, None)
    assert done.warnings == ["1 of 2 stocks in returns.csv have no prices: GONE; their returns are not used"]
