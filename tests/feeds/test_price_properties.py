"""What holds for any source: nothing moves in time on the way to the feed, and nothing later reaches back."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.panel import BAR_FIELDS
from feeds.prices import load_prices
from feeds.sessions import trading_sessions
from feeds.stock_feed import make_feeds

SESSIONS = trading_sessions("2019-12-20", "2020-02-14")
FIELDS = ("open", "high", "low", "close", "volume", "adjust")


class Recorder(bt.Strategy):
    """Notes every bar of every feed when it arrives."""

    def __init__(self):
        self.seen = {data._name: {} for data in self.datas}

    def prenext(self):
        self.next()

    def next(self):
        for data in self.datas:
            if len(data):
                day = bt.num2date(data.datetime[0]).date().isoformat()
                self.seen[data._name][day] = [getattr(data, name)[0] for name in FIELDS]


@st.composite
def markets(draw):
    """A long table of stocks that list late, pause and disappear, rows in any order, and the order of its tickers."""
    tables = []
    for k in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(SESSIONS) - 1))
        last = draw(st.integers(first, len(SESSIONS) - 1))
        gaps = draw(st.sets(st.integers(first, last), max_size=last - first))
        rows = [row for row in range(first, last + 1) if row not in gaps or row == first]
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(rows))))
        open_ = close * np.exp(rng.normal(0, 0.004, len(rows)))
        paid = np.cumsum(rng.random(len(rows)) < 0.1)
        columns = {
            "date": SESSIONS[rows],
            "ticker": f"T{k}",
            "open": open_,
            "high": np.maximum(open_, close) * 1.01,
            "low": np.minimum(open_, close) * 0.99,
            "close": close,
            "volume": np.round(rng.uniform(1e3, 1e6, len(rows))),
            "adj_close": close * 0.995 ** (paid[-1] - paid),
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    return table, draw(st.permutations(range(len(table)))), draw(st.permutations(sorted(table["ticker"].unique())))


def write_folder(folder, table, tickers, kind):
    folder.mkdir()
    for ticker in tickers:  # files made in another order
        rows = table[table["ticker"] == ticker].drop(columns="ticker")
        path = folder / f"{ticker}.{kind}"
        rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path, index=False)
    return f"{kind}:{folder}"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(market=markets())
def test_source_to_panel_to_feed_moves_no_value_and_no_order_matters(tmp_path_factory, market):
    table, row_order, ticker_order = market
    folder = tmp_path_factory.mktemp("market")
    table.to_parquet(folder / "sorted.parquet")
    table.iloc[row_order].to_parquet(folder / "mixed.parquet")
    panel = load_prices(f"parquet:{folder / 'sorted.parquet'}")
    others = [
        f"parquet:{folder / 'mixed.parquet'}",
        write_folder(folder / "files", table.iloc[row_order], ticker_order, "parquet"),
        write_folder(folder / "csv", table.iloc[row_order], ticker_order, "csv"),
    ]
    assert {load_prices(spec).digest() for spec in others} == {panel.digest()}

    cerebro = bt.Cerebro(stdstats=False)
    for feed in make_feeds(panel):
        cerebro.adddata(feed)
    cerebro.addstrategy(Recorder)
    seen = cerebro.run()[0].seen
    for ticker, rows in table.groupby("ticker"):
        expected = rows.sort_values("date")
        assert list(seen[ticker]) == [day.date().isoformat() for day in expected["date"]]
        values = np.array(list(seen[ticker].values()))
        factor = (expected["adj_close"] / expected["close"]).to_numpy()
        adjust = factor / factor[0]
        for name, found in zip(FIELDS, values.T, strict=True):
            if name == "adjust":
                np.testing.assert_allclose(found, adjust, rtol=1e-15)
            else:
                source = expected[name].to_numpy()
                np.testing.assert_allclose(found, source / adjust if name == "volume" else source * adjust, rtol=1e-14)


# ---- nothing later reaches back


def one_stock(sessions, seed=0):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(sessions))))
    frame = pd.DataFrame({"open": close * 0.998, "high": close * 1.01, "low": close * 0.99, "close": close})
    frame.insert(0, "date", sessions)
    return frame.assign(volume=np.round(rng.uniform(1e3, 1e6, len(sessions))), adjusted_close=close)


def as_known_later(frame, event_row, *, dividend_frac=0.0, split=1.0, as_traded=False):
    """What a provider's file says after an event on `event_row`; before it, it said `frame`."""
    known, before = frame.copy(), frame.index < event_row
    known.loc[before, "adjusted_close"] *= 1 - dividend_frac
    prices = ["open", "high", "low", "close"]
    if as_traded:  # the tape shows the split, the adjusted close of the past is divided
        known.loc[~before, [*prices, "adjusted_close"]] /= split
        known.loc[before, "adjusted_close"] /= split
        known.loc[~before, "volume"] *= split
        return known
    # Split adjusted: the whole past is rewritten in new shares.
    known[[*prices, "adjusted_close"]] /= split
    known["volume"] *= split
    return known


def load_one(folder, frame, as_traded):
    folder.mkdir()
    names = {"date": "timestamp"} if as_traded else {"date": "Date", "adjusted_close": "Adj Close"}
    rows = frame.iloc[::-1] if as_traded else frame
    rows.rename(columns=names).to_csv(folder / "ABC.csv", index=False)
    return load_prices(f"csv:{folder}")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    row=st.integers(1, len(SESSIONS) - 1),
    dividend_frac=st.sampled_from([0.0, 0.004, 0.1]),
    split=st.sampled_from([1.0, 2.0, 7.0, 0.1]),
)
def test_dividend_or_split_after_t_changes_no_value_up_to_t_as_traded(tmp_path_factory, row, dividend_frac, split):
    folder, frame = tmp_path_factory.mktemp("later"), one_stock(SESSIONS)
    later = as_known_later(frame, row, dividend_frac=dividend_frac, split=split, as_traded=True)
    before = load_one(folder / "before", frame.iloc[:row], as_traded=True)
    after = load_one(folder / "after", later, as_traded=True)
    assert after.price_basis == "as_traded"
    for name in BAR_FIELDS:
        np.testing.assert_allclose(getattr(after, name)[:row], getattr(before, name), rtol=1e-12)
    # A split earns nothing, a dividend its share: the traded return of the ex-date says so.
    gained = frame["close"][row] / frame["close"][row - 1] / (1 - dividend_frac)
    np.testing.assert_allclose(after.close[row, 0] / after.close[row - 1, 0], gained, rtol=1e-12)


@pytest.mark.parametrize("split", [2.0, 7.0, 0.1])
def test_split_after_t_changes_a_split_adjusted_source_by_one_factor_only(tmp_path, split):
    # Yahoo rewrites the past in new shares: the level is the one of the download, as the panel's basis says.
    frame = one_stock(SESSIONS)
    before = load_one(tmp_path / "before", frame.iloc[:20], as_traded=False)
    after = load_one(tmp_path / "after", as_known_later(frame, 20, split=split), as_traded=False)
    assert after.price_basis == "split_adjusted"
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(getattr(after, name)[:20] * split, getattr(before, name), rtol=1e-12)
    np.testing.assert_allclose(after.dollar_volume[:20], before.dollar_volume, rtol=1e-12)
    np.testing.assert_allclose(after.adjust[:20], before.adjust, rtol=1e-12)
