from __future__ import annotations

import numpy as np
import pytest

from feeds.errors import InputError
from feeds.panel import Bars
from indicators.insider_pressure import PRESSURE_COLUMNS, InsiderPressure, insider_pressure
from tests.contracts import IndicatorContract, observe


class TestInsiderPressure(IndicatorContract):
    def make(self, data, **params):
        return InsiderPressure(data, **params)


def pressure_of(known=1.0, buy=0.0, sell=0.0, net=0.0, cluster=0.0, opportunistic=0.0, recency=0.0) -> float:
    values = (known, buy, sell, net, cluster, opportunistic, recency)
    columns = {name: np.array([value]) for name, value in zip(PRESSURE_COLUMNS, values, strict=True)}
    one = np.ones(1)
    return float(insider_pressure(Bars(np.array(["2020-01-02"], "M8[D]"), one, one, one, one, one, one, columns))[0])


def test_pressure_by_hand():
    assert pressure_of() == 0.0
    # Balance ½·½ + ½·(0.3 - 0.1)/0.4 = 0.5; conviction ¼·(1 + 0.4 + 1 + 0.6) = 0.75.
    assert pressure_of(buy=0.3, sell=0.1, net=0.5, cluster=0.4, opportunistic=1, recency=0.6) == pytest.approx(0.375)
    # Sales weigh a quarter, whatever was bought before.
    assert pressure_of(sell=0.2, net=-0.5, recency=0.9) == pytest.approx(-0.1875)


def test_pressure_of_a_cluster_counts_more_than_that_of_one_insider():
    alone, together = (pressure_of(buy=0.1, net=0.5, cluster=cluster, recency=1) for cluster in (0.2, 1.0))
    assert together > alone > 0


@pytest.mark.parametrize(
    "unknown", [{"known": 0.0}, {"known": np.nan}, {"buy": np.nan}, {"net": np.nan}, {"recency": np.nan}]
)
def test_pressure_outside_coverage_is_unknown(unknown):
    assert np.isnan(pressure_of(**{"buy": 0.1, "net": 0.5, **unknown}))


def test_pressure_stays_in_its_range():
    assert pressure_of(buy=9, net=1, cluster=1, opportunistic=1, recency=1) == 1.0
    assert pressure_of(sell=9, net=-1) == -0.25


def test_insider_pressure_without_filings_names_the_line_and_the_way_out(make_panel):
    bars = make_panel(sessions=5, tickers=1).bars("T000")
    with pytest.raises(
        InputError, match=r"expected a feed with the line `ins_known`, received WATCHED without it; run with"
    ):
        observe(bars, lambda data: InsiderPressure(data))
