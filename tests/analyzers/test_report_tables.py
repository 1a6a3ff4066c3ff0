from __future__ import annotations

from analyzers.report_tables import fates_table, folds_table, last_trades_table, metrics_table, reasons_table
from tests.analyzers.made_runs import fold, make_orders, make_trades


def test_metrics_table_without_benchmark_leaves_its_rows_out():
    with_it, without = metrics_table({}, True), metrics_table({}, False)
    assert with_it.head == ("Figure", "Strategy", "Benchmark")
    assert len(with_it.rows) - len(without.rows) == 3
    assert all(row[1] == "–" for row in without.rows)


def test_reasons_table_counts_every_trade_once():
    table = reasons_table(make_trades())
    assert [row[:2] for row in table.rows] == [
        ["time", "12"],
        ["(none given)", "6"],
        ["delisted", "6"],
        ["stop", "6"],
        ["open at end", "1"],
        ["All", "31"],
    ]
    assert table.summary_rows == 1


def test_reasons_table_many_reasons_are_gathered():
    trades = make_trades()
    trades["exit_reason"] = [f"reason {i:02d}" for i in range(len(trades))]
    rows = reasons_table(trades).rows
    assert len(rows) == 13
    assert rows[-2][:2] == ["(others)", "20"]


def test_last_trades_table_shows_the_newest_first_at_source_prices():
    rows = last_trades_table(make_trades()).rows
    assert len(rows) == 20
    assert rows[0][:3] == ["LAST", "2018-03-15", "open"]
    assert rows[1][0] == "T29"
    assert rows[1][4] == "25.00"


def test_fates_table_counts_orders():
    rows = fates_table(make_orders()).rows
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("Completed", "market buy", "6"),
        ("Canceled", "stop sell", "3"),
        ("Margin", "market buy", "1"),
    ]
    assert rows[2][1] == "not enough cash"


def test_fates_table_says_why_the_broker_refused():
    orders = (
        make_orders()
        .iloc[:3]
        .assign(
            status=["Rejected", "Canceled", "Canceled"],
            reason=["score 0.01: not listed yet", "delisted", "stop: 2 ranges"],
        )
    )
    assert [row[:2] for row in fates_table(orders).rows] == [
        ["Canceled", "delisted"],
        ["Canceled", "withdrawn by the strategy, or its twin was filled first"],
        ["Rejected", "not listed yet"],
    ]


def test_folds_table_has_skill_and_a_pooled_line():
    rows = folds_table({"folds": [fold(1)], "pooled": {**fold(0), "n_labels": 9}}).rows
    assert [cell.replace("\xa0", " ") for cell in rows[0]] == [
        "1", "2018-01-02 to 2018-12-31", "12,345", "678", "1.3800", "1.3860", "0.43 %", "0.255", "0.0120", "–",
    ]  # fmt: skip
    assert rows[1][0] == "All"


def test_folds_table_without_folds_is_none():
    assert folds_table({"predictions": "saved.parquet"}) is None


def test_metrics_table_a_probability_is_never_certain():
    rows = {row[0]: row[1] for row in metrics_table({"probability_of_skill": 0.99999}, True).rows}
    assert rows["Probability that the true Sharpe ratio exceeds 0"].replace("\xa0", " ") == "> 99.9 %"


def test_metrics_table_names_the_luck_of_many_tries_only_where_there_were_many():
    figures = {"tried": 7, "luck_sharpe": 0.62, "deflated_sharpe": 0.815}
    rows = {row[0]: row[1].replace("\xa0", " ") for row in metrics_table(figures, True).rows}
    assert rows["Sharpe ratio of the best of 7 tries by luck alone"] == "0.62"
    assert rows["Probability that the true one exceeds that (deflated)"] == "81.5 %"
    assert not [row for row in metrics_table(figures | {"tried": 1}, True).rows if "luck" in row[0]]
