"""The planted insider drift is found through the real path: documents, parser, features, next open.

No network is involved: the columns that a strategy would see must separate the stocks that drift.
Expected t at the strength used: the drift adds 0.20 / 40 = 50 basis points to each open-to-close return of a
stock, about three quarters of the flagged days lie inside its 40 sessions, the daily noise of such a return is
about 190 basis points, and about 4 of 80 stocks are flagged on each of 850 sessions:
0.75 * 50 / (190 / sqrt(4 * 850)) = 11.5.
"""

from __future__ import annotations

import numpy as np
import pytest

from feeds.insider import insider_features
from feeds.panel import PricePanel
from feeds.synthetic import MarketSettings, make_market, write_filings
from feeds.transactions import TransactionTable, read_filings

STRENGTH = 0.20


def market(strength: float, seed: int) -> MarketSettings:
    return MarketSettings(
        seed=seed,
        n_stocks=80,
        n_sessions=850,
        memory_strength=0.0,
        drift_strength=strength,
        late_listings=(),
        delistings=(),
        splits=(),
    )


@pytest.fixture(scope="module")
def filings(tmp_path_factory: pytest.TempPathFactory) -> TransactionTable:
    """Documents of the market with drift; without it the same people file on the same days."""
    tree = tmp_path_factory.mktemp("filings") / "tree"
    write_filings(market(STRENGTH, seed=1), tree)
    return read_filings(tree)


def flagged_advantage_t(panel: PricePanel, filings: TransactionTable, delay: int = 1) -> float:
    """Return the t of the daily difference, flagged less other stocks, of the open-to-close return `delay` later."""
    flagged = insider_features(filings, panel).column("ins_cluster_21") >= 0.4
    returns = np.log(panel.close / panel.open)
    known, later = flagged[: len(flagged) - delay], returns[delay:]
    differences = []
    for chosen, day in zip(known, later, strict=True):
        traded = np.isfinite(day)
        if (chosen & traded).any() and (~chosen & traded).any():
            differences.append(day[chosen & traded].mean() - day[~chosen & traded].mean())
    return float(np.mean(differences) / (np.std(differences, ddof=1) / np.sqrt(len(differences))))


@pytest.mark.xdist_group("planted")
def test_planted_drift_is_found_by_the_columns_a_strategy_sees(filings: TransactionTable):
    assert flagged_advantage_t(make_market(market(STRENGTH, seed=1)), filings) > 8


@pytest.mark.xdist_group("planted")
def test_no_drift_is_found_where_none_is_planted(filings: TransactionTable):
    assert abs(flagged_advantage_t(make_market(market(0.0, seed=1)), filings)) < 3
