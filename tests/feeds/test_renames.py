from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from engine.cerebro import run_backtest
from feeds.errors import InputError
from feeds.panel import PricePanel
from feeds.renames import join_renamed
from feeds.sessions import trading_sessions

NAN = np.nan


def panel_of(close, adjust=None, tickers=("FB", "META", "OTHER")):
    values = np.array(close, dtype=float)
    factor = np.where(np.isnan(values), NAN, 1.0) if adjust is None else np.array(adjust, dtype=float)
    traded = values * factor
    volume = np.where(np.isnan(values), NAN, 1e6) / factor
    sessions = trading_sessions("2020-01-02", "2020-12-31")[: len(values)]
    return PricePanel(sessions, tickers, traded, traded, traded, traded, volume, factor, "as_traded")


CLOSES = [[10, NAN, 5], [11, NAN, 5], [NAN, NAN, 5], [NAN, 12, 5], [NAN, 13, 5]]


def test_join_renamed_puts_the_old_bars_before_the_new_ones():
    joined = join_renamed(panel_of(CLOSES), {"FB": "META"})
    assert joined.tickers == ("META", "OTHER")
    np.testing.assert_array_equal(joined.close[:, 0], [10, 11, NAN, 12, 13])


def test_join_renamed_carries_the_factor_on_and_keeps_source_prices_and_dollar_volume():
    """The old ticker's factor had grown to 1.1; the new file begins at 1 again and grows to 1.2."""
    adjust = [[1, NAN, 1], [1.1, NAN, 1], [NAN, NAN, 1], [NAN, 1, 1], [NAN, 1.2, 1]]
    before = panel_of(CLOSES, adjust)
    joined = join_renamed(before, {"FB": "META"})
    np.testing.assert_allclose(joined.adjust[:, 0], [1, 1.1, NAN, 1.1, 1.32])
    np.testing.assert_allclose(joined.source_price("close")[:, 0], [10, 11, NAN, 12, 13])
    np.testing.assert_allclose(joined.close[3, 0] / joined.close[1, 0], 12 / 11)
    np.testing.assert_allclose(joined.dollar_volume[3:, 0], before.dollar_volume[3:, 1])


def test_join_renamed_follows_a_chain_whatever_the_order_of_its_links():
    close = [[1, NAN, NAN], [NAN, 2, NAN], [NAN, NAN, 3]]
    panel = panel_of(close, tickers=("A", "B", "C"))
    for renames in ({"A": "B", "B": "C"}, {"B": "C", "A": "B"}):
        joined = join_renamed(panel, renames)
        assert joined.tickers == ("C",)
        assert joined.close[:, 0].tolist() == [1, 2, 3]


class HoldFB(bt.Strategy):
    """Buys the first stock and keeps it."""

    def prenext(self):
        self.next()

    def next(self):
        if len(self.data) and not self.position and len(self.data) == 1:
            self.buy(size=10)


def test_position_lives_through_a_change_of_ticker_that_would_be_a_delisting():
    panel = panel_of(CLOSES)
    apart = run_backtest(panel, strategy=HoldFB, commission_bps=0, slippage_bps=0).trades
    joined = run_backtest(join_renamed(panel, {"FB": "META"}), strategy=HoldFB, commission_bps=0, slippage_bps=0).trades
    assert apart[["ticker", "exit_reason"]].to_numpy().tolist() == [["FB", "delisted"]]
    assert joined[["ticker", "exit_reason", "exit_price"]].to_numpy().tolist() == [["META", "open at end", 13.0]]


@pytest.mark.parametrize(
    ("renames", "text"),
    [
        ({"FBX": "META"}, "unknown ticker 'FBX'.*Did you mean 'FB'"),
        (
            {"META": "FB"},
            "expected META to end before FB begins, received a bar of META on 2020-01-08 and one of FB on",
        ),
        ({"FB": "OTHER"}, "expected FB to end before OTHER begins"),
        ({"FB": "META", "META": "FB"}, "renames: expected no circle, received one through FB, META"),
    ],
)
def test_renames_that_cannot_be_raise(renames, text):
    with pytest.raises(InputError, match=text):
        join_renamed(panel_of(CLOSES), renames)
