from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from feeds.panel import BAR_FIELDS
from models.cross_section import CROSS_SECTION_COLUMNS, cross_section_features, session_ranks
from models.features import ewma_volatility, panel_features


def test_session_ranks_by_hand():
    ranks = session_ranks(np.array([[3.0, 1.0, np.nan, 2.0], [5.0, 5.0, 1.0, np.nan], [np.nan, 4.0, np.nan, np.nan]]))
    np.testing.assert_allclose(ranks[0], [1, -1, np.nan, 0])
    np.testing.assert_allclose(ranks[1], [0.5, 0.5, -1, np.nan])
    np.testing.assert_allclose(ranks[2], [np.nan, 0, np.nan, np.nan])


def test_market_is_the_mean_return_over_the_volatility_before(make_panel):
    panel = make_panel(sessions=60, tickers=3)
    features = cross_section_features(panel, panel_features(panel))
    market = np.diff(np.log(panel.close), axis=0).mean(axis=1)
    expected = market[40] / ewma_volatility(market, leading=0)[39]
    np.testing.assert_allclose(features.column("xs_market")[41], [expected] * 3)


@pytest.fixture
def panel(make_panel):
    return make_panel(sessions=150, tickers=6, late={2: 60}, halts={1: [70, 71]}, ends={4: 130})


def test_cross_section_known_only_where_the_stock_traded(panel):
    features = cross_section_features(panel, panel_features(panel))
    assert features.names == CROSS_SECTION_COLUMNS
    assert np.isnan(features.values[~panel.traded]).all()
    assert np.isfinite(features.column("xs_return_21")[100, [0, 1, 2, 3, 5]]).all()


def test_cross_section_cut_short_equals_the_full_run(panel):
    full = cross_section_features(panel, panel_features(panel)).values
    part = panel.until(panel.sessions[99])
    np.testing.assert_allclose(cross_section_features(part, panel_features(part)).values, full[:100], atol=1e-12)


def test_cross_section_future_changed_changes_nothing_before(panel):
    full = cross_section_features(panel, panel_features(panel)).values
    later = np.arange(150)[:, None] > 110
    shaken = replace(
        panel, **{name: np.where(later, getattr(panel, name) * 2, getattr(panel, name)) for name in BAR_FIELDS}
    )
    np.testing.assert_array_equal(cross_section_features(shaken, panel_features(shaken)).values[:111], full[:111])


def test_cross_section_ticker_order_does_not_matter(panel):
    full = cross_section_features(panel, panel_features(panel)).values
    order = [5, 3, 1, 0, 2, 4]
    arrays = {name: getattr(panel, name)[:, order] for name in BAR_FIELDS}
    mixed = replace(panel, **arrays)
    np.testing.assert_allclose(cross_section_features(mixed, panel_features(mixed)).values, full[:, order], atol=1e-12)
