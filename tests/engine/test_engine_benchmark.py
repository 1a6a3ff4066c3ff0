"""The benchmark of engines: its rule by hand, its ledger, its lines."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import engine
from benchmarks.engine_rule import Ledger, Market, Outcome, classes, rounded, same


def test_classes_are_drawn_as_the_rule_says():
    drawn = classes(200, 50)
    assert np.isin(drawn, [0, 1, 2, 3]).all()
    assert abs((drawn == 0).mean() - 0.05) < 0.01
    assert abs((drawn == 3).mean() - 0.05) < 0.01


def test_rounded_widens_high_and_low_to_the_body():
    day = np.array(["2020-01-02"], dtype="M8[D]")
    one = [np.array([[value]]) for value in (10.00049, 10.0, 10.2, 10.30051, 5.0)]
    market = rounded(Market(day, ["A"], *one))
    assert [market.open[0, 0], market.high[0, 0], market.low[0, 0], market.close[0, 0]] == [10.0, 10.301, 10.0, 10.301]


def test_ledger_by_hand(monkeypatch):
    # Bought at the close of day 0 (class 3), filled at 20 on day 1, sold on day 2's class at day 3's open of 40.
    monkeypatch.setattr("benchmarks.engine_rule.classes", lambda *shape: np.array([[3], [1], [0], [1]]))
    days = np.arange("2020-01-06", "2020-01-10", dtype="M8[D]")
    close = np.array([[10.0], [20.0], [30.0], [40.0]])
    outcome = Ledger(Market(days, ["A"], close, close, close, close, close)).run()
    assert outcome.orders == 2
    assert outcome.fills == [(1, 0, 5_000, 20.0), (3, 0, -5_000, 40.0)]
    np.testing.assert_allclose(outcome.cash, [1_000_000, 899_950, 899_950, 1_099_850])
    np.testing.assert_allclose(outcome.equity, [1_000_000, 999_950, 1_049_950, 1_099_850])


@pytest.mark.parametrize("change", [{"orders": 3}, {"cash": [1.01]}, {"fills": [(0, 0, 1, 2.001)]}])
def test_same_sees_a_difference_of_a_cent(change):
    right = Outcome(2, [(0, 0, 1, 2.0)], [1.0], [1.0])
    assert same(Outcome(2, [(0, 0, 1, 2.0)], [1.001], [1.0]), right)
    assert not same(Outcome(**{**vars(right), **change}), right)


def test_panel_of_a_file_keeps_missing_bars(tmp_path):
    rows = [("2020-01-03", "B", 2.0), ("2020-01-02", "A", 1.0), ("2020-01-03", "A", 1.5)]
    table = pd.DataFrame([(day, ticker, *[price] * 4, 100.0) for day, ticker, price in rows])
    table.columns = ["date", "ticker", "open", "high", "low", "close", "volume"]
    table.to_parquet(tmp_path / "p.parquet")
    market = engine.read_panel(tmp_path / "p.parquet")
    assert market.tickers == ["A", "B"]
    np.testing.assert_array_equal(market.close, [[1.0, np.nan], [1.5, 2.0]])


def test_benchmark_prints_one_line_per_engine(capsys):
    engine.main(["--tickers", "6", "--sessions", "30", "--times", "1", "--json", "--engines", "insider_swing"])
    line = json.loads(capsys.readouterr().out)
    assert line["identical_to_reference"] is True
    assert (line["engine"], line["tickers"], line["sessions"]) == ("insider_swing", 6, 30)
    names = {"orders", "fills", "final_equity", "run_cpu_s", "load_cpu_s", "peak_rss_mb"}
    assert names <= line.keys()


def test_engine_that_is_not_there_is_named(capsys, monkeypatch):
    monkeypatch.setenv("PEERS_VENV", "/nowhere")
    assert engine._present("insider_swing,pybroker") == ["insider_swing"]
    assert "not there: pybroker (`make peers` installs it)" in capsys.readouterr().err


def test_unknown_engine_is_refused():
    with pytest.raises(SystemExit, match="`--engines`: expected names of insider_swing, .* received 'zipper'"):
        engine.main(["--engines", "zipper"])
