from __future__ import annotations

from dataclasses import replace

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from engine.features import build_columns
from feeds.errors import InputError
from feeds.form4 import parse_submission
from feeds.insider import INSIDER_COLUMNS
from feeds.stock_feed import make_feeds
from feeds.transactions import table_of_filings, ticker_frame
from models.cross_section import CROSS_SECTION_COLUMNS
from tests.conftest import build_panel
from tests.feeds import filing_texts as texts

PANEL = build_panel(sessions=80, tickers=3)
ACCEPTED = pd.Timestamp("2015-02-03")


class CountBuyers(bt.Strategy):
    """Remembers the bars on which somebody had bought."""

    def __init__(self):
        self.days = []

    def next(self):
        if self.data.ins_n_buyers_21[0] > 0:
            self.days.append(len(self.data) - 1)


def filings():
    text = texts.submission(texts.document([texts.transaction("P", 100, 50)]))
    table = table_of_filings([parse_submission(text, "name")], ticker_frame([("0000000101", "T000", None, None)]))
    return replace(table, complete_until=table.coverage.last + pd.Timedelta(days=300))


def test_build_columns_extra_ones_become_feed_lines_and_no_model_inputs():
    plain = build_columns(PANEL, filings())
    columns = build_columns(PANEL, filings(), ("ins_n_buyers_21", "ins_net_63"))
    assert columns.model.names == plain.model.names
    assert columns.model.names[-len(INSIDER_COLUMNS) :] == INSIDER_COLUMNS
    np.testing.assert_array_equal(columns.model.values, plain.model.values)
    assert columns.feed.names == (*CROSS_SECTION_COLUMNS, *INSIDER_COLUMNS, "ins_n_buyers_21")
    cerebro = bt.Cerebro()
    cerebro.adddata(make_feeds(PANEL, columns.feed)[0])
    cerebro.addstrategy(CountBuyers)
    assert cerebro.run()[0].days == [row for row, day in enumerate(PANEL.sessions) if day >= ACCEPTED][:21]


def test_build_columns_extra_one_that_does_not_exist_is_named():
    with pytest.raises(InputError, match="unknown insider column 'ins_n_buyer_21'.*Did you mean 'ins_n_buyers_21'"):
        build_columns(PANEL, filings(), ("ins_n_buyer_21",))


def test_build_columns_extra_one_without_filings_says_what_to_do():
    expected = "expected filings to make 'ins_npr_63' from, received none; run with --filings"
    with pytest.raises(InputError, match=expected):
        build_columns(PANEL, None, ("ins_npr_63",))
