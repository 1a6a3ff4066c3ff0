"""Insider features of a large panel: 464 stocks, 2,693 sessions, 600,000 transactions.

``python -m benchmarks.insider_features`` invents the transactions and the prices. The reference in the
same run is one column (dollars bought in 21 sessions) as plain pandas makes it, grouped by ticker and
rolled over sessions; its values are compared, so that both are known to compute the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from feeds.insider import ALL_INSIDER_COLUMNS, INSIDER_COLUMNS, insider_features
from feeds.panel import PricePanel
from feeds.sessions import NEW_YORK, session_rows, trading_sessions
from feeds.transactions import Coverage, TransactionTable, complete, ticker_frame

STOCKS, SESSIONS, ROWS = 464, 2_693, 600_000
_ROWS_PER_FILING = 2
_OWNERS_PER_STOCK = 25
_CODES = {"P": 0.03, "S": 0.22, "A": 0.24, "M": 0.20, "F": 0.26, "G": 0.05}
_ROLES = ("director", "officer", "ceo", "cfo", "ten_percent_owner")


def invented_panel(stocks: int, sessions: int, rng: np.random.Generator) -> PricePanel:
    """Return random walks, as traded, without splits."""
    index = trading_sessions("2013-06-27", "2026-06-30")[:sessions]
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (len(index), stocks)), axis=0))
    volume = np.exp(rng.normal(13, 0.4, close.shape))
    tickers = tuple(f"T{number:04d}" for number in range(stocks))
    return PricePanel(
        index, tickers, close, close * 1.01, close * 0.99, close, volume, np.ones_like(close), "as_traded"
    )


def invented_rows(panel: PricePanel, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the raw transaction rows of filings with two rows each, traded up to three sessions before."""
    filings = count // _ROWS_PER_FILING
    issuer, row = rng.integers(0, len(panel.tickers), filings), rng.integers(3, len(panel.sessions), filings)
    seconds = pd.to_timedelta(rng.integers(7 * 3600, 22 * 3600, filings), unit="s")
    accepted = (panel.sessions[row] + seconds).tz_localize(NEW_YORK).tz_convert("UTC")
    owner = rng.integers(0, _OWNERS_PER_STOCK, filings)
    traded = row - rng.integers(0, 4, filings)
    role = np.array(_ROLES, dtype=object)[owner % len(_ROLES)]
    cik = [f"{number:010d}" for number in range(len(panel.tickers))]
    of = np.repeat(np.arange(filings), _ROWS_PER_FILING)
    code = rng.choice(list(_CODES), len(of), p=list(_CODES.values())).astype(object)
    day, price = panel.sessions[traded], panel.close[traded, issuer]
    one: dict[str, Any] = {
        "issuer_cik": np.array(cik, dtype=object)[issuer],
        "accession": _texts(f"{number:010d}-20-000001" for number in range(filings)),
        "form": np.where(rng.random(filings) < 0.016, "4/A", "4").astype(object),
        "accepted_at": accepted,
        "owner_ciks": _texts([f"9{i:05d}{o:04d}"] for i, o in zip(issuer, owner, strict=True)),
        "role": role,
        "is_director": role == "director",
        "is_officer": np.isin(role, ["officer", "ceo", "cfo"]),
        "is_ten_percent_owner": role == "ten_percent_owner",
        "plan_10b5_1": rng.choice(["true", "false", "unknown"], filings).astype(object),
        **dict.fromkeys(("filed_on", "period", "original_filed_on", "transacted_on", "transacted_on_checked"), day),
        "price": price,
        "price_checked": price,
        "first_accepted_at": accepted,
    }
    rows = pd.DataFrame({name: np.asarray(values)[of] for name, values in one.items() if name != "accepted_at"})
    rows = rows.assign(accepted_at=accepted[of], first_accepted_at=accepted[of], owner_names=rows["owner_ciks"])
    constant = {
        "ticker": None, "issuer_symbol": None, "officer_title": None, "n_owners": 1, "table": "N",
        "security_title": "Common Stock", "direct_indirect": "D", "shares_after": 1e5, "price_is_average": False,
        "amendment_of": None, "valid_to": pd.Series(pd.NaT, rows.index, dtype="datetime64[ns, UTC]"),
        "duplicate_of": None, "first_report": None, "flags": _texts([] for _ in of), "value_usd": np.nan,
    }  # fmt: skip
    return rows.assign(
        **constant,
        ordinal=np.tile(np.arange(1, _ROWS_PER_FILING + 1), filings),
        code=code,
        acquired_disposed=np.where(np.isin(code, ["P", "A", "M"]), "A", "D").astype(object),
        shares=np.rint(rng.lognormal(7, 1, len(of))),
    )


def bought_in_pandas(table: TransactionTable, panel: PricePanel) -> np.ndarray:
    """Return USD bought in 21 sessions, NaN-free, shape [T, N], as plain pandas would."""
    rows = table.rows
    first = rows["valid_to"].isna() & rows["duplicate_of"].isna() & (rows["role"] != "ten_percent_owner")
    bought = rows[(rows["code"] == "P") & (rows["table"] == "N") & first]
    known = session_rows(pd.DatetimeIndex(bought["accepted_at"]), panel.sessions)
    dollars = bought.assign(row=known, usd=bought["shares"] * bought["price"])
    daily = dollars.groupby(["ticker", "row"])["usd"].sum()
    every = pd.MultiIndex.from_product([panel.tickers, range(len(panel.sessions))], names=["ticker", "row"])
    rolled = daily.reindex(every, fill_value=0.0).groupby("ticker").rolling(21, min_periods=1).sum()
    return rolled.to_numpy().reshape(len(panel.tickers), -1).T


def _texts(values: Any) -> np.ndarray:
    items = list(values)
    held = np.empty(len(items), dtype=object)
    held[:] = items
    return held


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main(stocks: int = STOCKS, sessions: int = SESSIONS, rows: int = ROWS) -> None:
    """Print what the table, the features and the reference cost."""
    rng = np.random.default_rng(0)
    panel = invented_panel(stocks, sessions, rng)
    tickers = ticker_frame((f"{number:010d}", ticker, None, None) for number, ticker in enumerate(panel.tickers))
    raw = invented_rows(panel, rows, rng)
    coverage = (raw["accepted_at"].min(), raw["accepted_at"].max())
    table, *table_cost = _timed(lambda: complete(raw, tickers, coverage=Coverage(*coverage)))
    few, *few_cost = _timed(lambda: insider_features(table, panel, INSIDER_COLUMNS))
    every, *every_cost = _timed(lambda: insider_features(table, panel, ALL_INSIDER_COLUMNS))
    plain, *plain_cost = _timed(lambda: bought_in_pandas(table, panel))
    alike = np.isclose(np.nan_to_num(every.column("ins_buy_usd_21")), plain, atol=0.05).mean()
    print(f"{stocks} stocks, {sessions} sessions, {len(table.rows)} transactions\n")
    print(f"{'':<52}{'wall s':>8}{'CPU s':>8}")
    for name, (wall, cpu) in (
        ("amendments, joint filings, tickers", table_cost),
        (f"{len(few.names)} columns (the model's)", few_cost),
        (f"{len(every.names)} columns (all)", every_cost),
        ("1 column in plain pandas", plain_cost),
    ):
        print(f"{name:<52}{wall:>8.1f}{cpu:>8.1f}")
    ratios = [cost[1] / len(panel_.names) / plain_cost[1] for panel_, cost in ((few, few_cost), (every, every_cost))]
    print(f"CPU of a column, ours / pandas: {ratios[0]:.2f} of {len(few.names)}, {ratios[1]:.2f} of {len(every.names)}")
    print(f"the reference agrees in {alike:.1%} of the values (it knows no amendment before it replaced a row)")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
