"""The panel's own promises: shapes, gaps, cuts and selections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.panel import BAR_FIELDS, FeaturePanel, PricePanel


@pytest.fixture
def panel(make_panel):
    """20 sessions, 4 tickers: T001 listed late, T002 delisted, T003 halted on two sessions."""
    return make_panel(sessions=20, late={1: 5}, ends={2: 11}, halts={3: [7, 8]})


def _features(panel, names=("one", "two"), seed=0):
    shape = (len(panel.sessions), len(panel.tickers), len(names))
    return FeaturePanel(panel.sessions, panel.tickers, tuple(names), np.random.default_rng(seed).normal(size=shape))


def test_panel_traded_and_edges_follow_listing_delisting_and_halts(panel):
    assert panel.first_rows.tolist() == [0, 5, 0, 0]
    assert panel.last_rows.tolist() == [19, 19, 11, 19]
    assert panel.traded.sum(axis=0).tolist() == [20, 15, 12, 18]


def test_panel_edges_of_a_ticker_without_bars_are_outside(make_panel):
    panel = make_panel(sessions=10, late={0: 10})
    assert panel.first_rows[0] == 10
    assert panel.last_rows[0] == -1


def test_panel_sessions_of_listing_and_delisting_are_those_of_the_first_and_last_bar(make_panel):
    panel = make_panel(sessions=20, tickers=3, late={0: 20, 1: 5}, ends={2: 11})
    assert pd.isna(panel.first_sessions[0])
    assert pd.isna(panel.last_sessions[0])
    assert panel.first_sessions[1:].tolist() == [panel.sessions[5], panel.sessions[0]]
    assert panel.last_sessions[1:].tolist() == [panel.sessions[19], panel.sessions[11]]


def test_panel_source_volume_undoes_the_factor(panel):
    doubled = replace(panel, adjust=panel.adjust * 2)
    np.testing.assert_array_equal(doubled.source_volume, panel.volume * 2)


def test_panel_source_price_undoes_the_factor(panel):
    doubled = replace(panel, adjust=panel.adjust * 2)
    np.testing.assert_array_equal(doubled.source_price("open"), panel.open / 2)


def test_panel_dollar_volume_is_close_times_volume(panel):
    assert panel.dollar_volume[3, 0] == panel.close[3, 0] * panel.volume[3, 0]


def test_until_cuts_after_the_session_and_keeps_it(panel):
    cut = panel.until(panel.sessions[9])
    assert len(cut.sessions) == 10
    for name in BAR_FIELDS:
        np.testing.assert_array_equal(getattr(cut, name), getattr(panel, name)[:10])


def test_select_keeps_the_named_columns_sorted(panel):
    chosen = panel.select(["T003", "T001"])
    assert chosen.tickers == ("T001", "T003")
    np.testing.assert_array_equal(chosen.close, panel.close[:, [1, 3]])


def test_select_unknown_ticker_raises_with_the_nearest(panel):
    with pytest.raises(InputError, match=r"unknown ticker 'T0003': expected one of T000, .*Did you mean 'T000'\?"):
        panel.select(["T001", "T0003"])


def test_bars_hold_traded_sessions_only_and_carry_columns(panel):
    features = _features(panel)
    bars = panel.bars("T003", features)
    rows = [row for row in range(20) if row not in (7, 8)]
    assert len(bars) == 18
    np.testing.assert_array_equal(bars.sessions, panel.sessions.to_numpy()[rows].astype("datetime64[D]"))
    np.testing.assert_array_equal(bars.close, panel.close[rows, 3])
    np.testing.assert_array_equal(bars.columns["two"], features.values[rows, 3, 1])


def test_bars_unknown_ticker_raises(panel):
    with pytest.raises(InputError, match="unknown ticker 'ZZZ'"):
        panel.bars("ZZZ")


def test_digest_moves_with_any_value_and_not_with_a_copy(panel):
    moved = panel.volume.copy()
    moved[4, 0] += 1
    assert replace(panel, volume=panel.volume.copy()).digest() == panel.digest()
    assert replace(panel, volume=moved).digest() != panel.digest()
    assert replace(panel, price_basis="split_adjusted").digest() != panel.digest()


@pytest.mark.parametrize("name", BAR_FIELDS)
def test_panel_array_of_another_shape_raises(panel, name):
    with pytest.raises(InputError, match=rf"`{name}`: expected shape \(20, 4\), received \(19, 4\)"):
        replace(panel, **{name: getattr(panel, name)[1:]})


def test_panel_unknown_price_basis_raises(panel):
    with pytest.raises(InputError, match="unknown price basis 'as_trade': .*Did you mean 'as_traded'"):
        replace(panel, price_basis="as_trade")


def test_panel_unsorted_sessions_raise(panel):
    with pytest.raises(InputError, match="`sessions`: expected sorted, unique sessions"):
        replace(panel, sessions=panel.sessions[::-1])


@pytest.mark.parametrize("tickers", [("T001", "T000", "T002", "T003"), ("T000", "T000", "T002", "T003")])
def test_panel_unsorted_or_repeated_tickers_raise(panel, tickers):
    with pytest.raises(InputError, match="`tickers`: expected sorted, unique tickers"):
        replace(panel, tickers=tickers)


def test_feature_panel_column_returns_the_named_plane(panel):
    features = _features(panel)
    np.testing.assert_array_equal(features.column("two"), features.values[:, :, 1])


def test_feature_panel_unknown_column_raises_with_the_nearest(panel):
    with pytest.raises(InputError, match="unknown column 'tow': expected one of one, two"):
        _features(panel).column("tow")


def test_feature_panel_of_another_shape_raises(panel):
    with pytest.raises(InputError, match=r"`values`: expected shape \(20, 4, 2\), received \(20, 4, 1\)"):
        FeaturePanel(panel.sessions, panel.tickers, ("one", "two"), np.zeros((20, 4, 1)))


def test_concatenate_joins_columns_in_order(panel):
    left, right = _features(panel), _features(panel, names=("three",), seed=1)
    joined = FeaturePanel.concatenate([left, right])
    assert joined.names == ("one", "two", "three")
    np.testing.assert_array_equal(joined.column("three"), right.values[:, :, 0])


def test_concatenate_blocks_of_other_sessions_raises(panel):
    shifted = replace(_features(panel), sessions=panel.sessions + pd.Timedelta(days=1))
    with pytest.raises(InputError, match="feature blocks: expected the same sessions and tickers"):
        FeaturePanel.concatenate([_features(panel), shifted])


def test_panel_is_frozen(panel):
    with pytest.raises(AttributeError):
        panel.close = panel.open
    assert isinstance(panel, PricePanel)


def test_until_knows_a_stock_that_is_only_halted_at_the_cut(make_panel):
    panel = make_panel(sessions=10, tickers=3, ends={2: 3})
    for name in BAR_FIELDS:
        getattr(panel, name)[4:7, 1] = np.nan
    cut = panel.until(panel.sessions[5])
    assert cut.halted_at_end == {"T000", "T001"}
    assert cut.until(panel.sessions[4]).halted_at_end == {"T000", "T001"}
    assert panel.halted_at_end == frozenset()
    assert cut.digest() == replace(cut, halted_at_end=frozenset()).digest()
