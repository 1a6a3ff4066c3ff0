"""Trades, orders and folds made by hand, for the tests of the report."""

from __future__ import annotations

import pandas as pd

from analyzers.ledger import Fill, Mark, TradeLedger
from analyzers.recorder import ORDER_COLUMNS
from feeds.sessions import trading_sessions

SESSIONS = trading_sessions("2018-01-02", "2019-12-31")


def make_trades() -> pd.DataFrame:
    ledger = TradeLedger()
    for i, reason in enumerate(["stop", "time", "time", "", "delisted"] * 6):
        ledger.add(Fill(f"T{i}", SESSIONS[i], i, 10, 50.0, 2.0, 0.5, "score 0.0100, insider 0.40", 0.01))
        ledger.add(Fill(f"T{i}", SESSIONS[i + 5], i + 5, -10, 51.0 - i % 3, 2.0, 0.5, reason))
    ledger.add(Fill("LAST", SESSIONS[50], 50, 10, 50.0))
    return ledger.table({"LAST": Mark(60, 55.0)})


def make_orders() -> pd.DataFrame:
    rows = [("Market", "buy", "Completed")] * 6 + [("Stop", "sell", "Canceled")] * 3 + [("Market", "buy", "Margin")]
    return pd.DataFrame(rows, columns=["order_type", "side", "status"]).reindex(columns=list(ORDER_COLUMNS))


def fold(number: int) -> dict[str, object]:
    return {
        "fold": number,
        "test_first": "2018-01-02",
        "test_last": "2018-12-31",
        "n_fit_labels": 12345,
        "n_test_labels": 678,
        "log_loss": 1.38,
        "prior_log_loss": 1.386,
        "balanced_accuracy": 0.255,
        "information_coefficient": 0.012,
        "information_coefficient_t": None,
    }
