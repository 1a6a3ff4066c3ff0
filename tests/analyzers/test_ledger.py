from __future__ import annotations

import math

import pandas as pd
import pytest

from analyzers.ledger import OPEN_AT_END, TRADE_COLUMNS, Fill, Mark, TradeLedger

DAY = pd.Timestamp("2020-01-02")


def fill(bar: int, size: float, price: float, **more: object) -> Fill:
    return Fill("AAA", DAY + pd.Timedelta(days=bar), bar, size, price, **more)


def table(*fills: Fill, marks: dict[str, Mark] | None = None) -> pd.DataFrame:
    ledger = TradeLedger()
    for one in fills:
        ledger.add(one)
    return ledger.table(marks or {})


def test_ledger_round_trip_gives_hand_computed_profit():
    row = table(
        fill(3, 100, 10.0, commission=1.0, reason="score 0.02", score=0.02),
        fill(8, -100, 12.0, commission=1.2, reason="stop"),
    ).iloc[0]
    assert row["entry_session"] == DAY + pd.Timedelta(days=3)
    assert row["exit_session"] == DAY + pd.Timedelta(days=8)
    assert (row["size"], row["entry_price"], row["exit_price"], row["bars_held"]) == (100, 10, 12, 5)
    assert row["pnl"] == pytest.approx(200)
    assert row["pnl_net"] == pytest.approx(197.8)
    assert row["return_net"] == pytest.approx(0.1978)
    assert (row["entry_reason"], row["exit_reason"], row["entry_score"]) == ("score 0.02", "stop", 0.02)


def test_ledger_scaling_in_and_out_is_one_trade_with_average_prices():
    entries = fill(1, 10, 10.0), fill(2, 30, 14.0)
    row = table(*entries, fill(3, -25, 15.0, reason="half"), fill(4, -15, 9.0, reason="rest"))
    assert len(row) == 1
    assert row["entry_price"].item() == pytest.approx((100 + 420) / 40)
    assert row["exit_price"].item() == pytest.approx((375 + 135) / 40)
    assert row["pnl"].item() == pytest.approx(510 - 520)
    assert row["exit_reason"].item() == "rest"


def test_ledger_short_profits_when_price_falls():
    row = table(fill(1, -10, 20.0), fill(2, 10, 15.0)).iloc[0]
    assert (row["size"], row["pnl"], row["return_net"]) == (-10, 50, 0.25)


def test_ledger_reversal_ends_one_trade_and_begins_the_next_with_shared_commission():
    rows = table(fill(1, 10, 10.0), fill(5, -30, 12.0, commission=3.0), fill(7, 20, 11.0))
    assert rows["size"].tolist() == [10, -20]
    assert rows["pnl"].tolist() == pytest.approx([20, 20])
    assert rows["pnl_net"].tolist() == pytest.approx([19, 18])
    assert rows["bars_held"].tolist() == [4, 2]


def test_ledger_adjusted_fills_give_source_prices():
    row = table(fill(1, 10, 10.0, adjust=1.0), fill(2, -10, 12.0, adjust=2.0)).iloc[0]
    assert (row["entry_price_source"], row["exit_price_source"]) == (10, 6)
    assert row["pnl"] == 20


def test_ledger_open_trade_is_marked_at_the_last_close():
    ledger = TradeLedger()
    ledger.add(fill(1, 10, 10.0, commission=0.5))
    ledger.add(fill(2, -4, 11.0))
    marks = {"AAA": Mark(bar=9, close=13.0, adjust=2.0)}
    for _ in range(2):  # asking does not change the ledger
        row = ledger.table(marks).iloc[0]
        assert row["exit_reason"] == OPEN_AT_END
        assert pd.isna(row["exit_session"])
        assert row["pnl"] == pytest.approx(4 * 1 + 6 * 3)
        assert row["pnl_net"] == pytest.approx(21.5)
        assert row["exit_price_source"] == pytest.approx((4 * 11 + 6 * 6.5) / 10)
        assert row["bars_held"] == 8


def test_ledger_fractional_sizes_end_flat():
    first = fill(1, 0.1, 10.0), fill(2, 0.2, 10.0), fill(3, -0.30000000000000004, 10.0)
    rows = table(*first, fill(4, 1, 10.0), fill(5, -1, 10.0))
    assert len(rows) == 2


def test_ledger_without_fills_has_the_columns_and_types():
    empty = table()
    assert tuple(empty.columns) == TRADE_COLUMNS
    assert empty["pnl_net"].dtype == "float64"
    assert empty["exit_session"].dtype == "datetime64[ns]"
    assert empty["bars_held"].dtype == "int64"


def test_ledger_score_is_nan_where_not_given():
    assert math.isnan(table(fill(1, 1, 1.0), fill(2, -1, 1.0))["entry_score"].item())
