"""What shows among all stocks: a move that no other shares, late listings, early ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.quality_panel import early_ends, late_listings, outliers, panel_findings


def told(findings):
    return [(f.ticker, str(f.session.date()), f.kind, f.severity, f.action) for f in findings]


def moved(panel, row, columns, factor, volume=1.0):
    """The panel with every price of `columns` multiplied from `row` on, and the volume of `row`."""
    prices = {}
    for name in ("open", "high", "low", "close"):
        prices[name] = getattr(panel, name).copy()
        prices[name][row:, columns] *= factor
    volumes = panel.volume.copy()
    volumes[row, columns] *= volume
    return replace(panel, **prices, volume=volumes)


def test_panel_findings_sound_panel_finds_nothing(make_panel):
    assert panel_findings(make_panel(sessions=600, tickers=15)) == []


def test_late_listings_and_early_ends_are_told_at_first_and_last_bar(make_panel):
    panel = make_panel(sessions=50, late={1: 7}, ends={2: 30})
    days = [str(day.date()) for day in panel.sessions]
    assert told(late_listings(panel)) == [("T001", days[7], "listed late", "info", "kept")]
    assert told(early_ends(panel)) == [("T002", days[30], "ends early", "info", "kept")]
    assert str(late_listings(panel)[0]).endswith("first bar, 7 sessions after the panel's first")
    assert str(early_ends(panel)[0]).endswith("last bar, 19 sessions before the panel's last")
    assert told(panel_findings(panel)) == told([*late_listings(panel), *early_ends(panel)])


def test_early_ends_excluded_ticker_ended_where_its_source_did(make_panel):
    panel = make_panel(sessions=50, ends={0: 20, 1: 20, 2: 30})
    days = panel.sessions.to_numpy().astype("datetime64[D]")
    # The first one's bars go on to the last session, the second's to a Sunday after the 41st.
    weekend = days[40] + (6 - pd.Timestamp(days[40]).weekday())
    found = early_ends(panel, {"T000": days[-1], "T001": weekend})
    last = int(np.searchsorted(days, weekend)) - 1
    assert told(found) == [
        ("T001", str(days[last]), "ends early", "info", "kept"),
        ("T002", str(days[30]), "ends early", "info", "kept"),
    ]
    assert str(found[0]).endswith(f"last bar, {49 - last} sessions before the panel's last")
    assert told(panel_findings(panel, {"T000": days[-1], "T001": weekend})) == told(found)


def test_late_listings_ticker_without_bars_is_none(make_panel):
    panel = make_panel(sessions=30, late={0: 30})
    assert late_listings(panel) == []
    assert early_ends(panel) == []


@pytest.mark.parametrize(("volume", "severity"), [(0.5, "warning"), (8.0, "info")])
@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_outliers_lone_move_is_told_and_trading_confirms_it(make_panel, factor, volume, severity):
    panel = moved(make_panel(tickers=15), 200, [3], factor, volume)
    found = outliers(panel)
    assert told(found) == [("T003", str(panel.sessions[200].date()), "outlier", severity, "kept")]
    assert "robust deviations from the other stocks" in str(found[0])
    assert "times the usual traded value" in str(found[0])


def test_outliers_move_of_all_stocks_is_the_markets(make_panel):
    assert outliers(moved(make_panel(tickers=15), 200, slice(None), 0.6)) == []


def test_outliers_few_stocks_are_compared_with_their_own_past_only(make_panel):
    panel = moved(make_panel(tickers=4), 200, slice(None), 0.6)
    assert len(outliers(panel)) == 4
    assert "deviations" not in str(outliers(panel)[0])


def test_outliers_before_twenty_bars_are_not_judged(make_panel):
    assert outliers(moved(make_panel(tickers=4), 20, [0], 0.5)) == []
    assert len(outliers(moved(make_panel(tickers=4), 21, [0], 0.5))) == 1


def test_outliers_ten_stocks_are_enough_for_a_comparison(make_panel):
    assert "deviations" in str(outliers(moved(make_panel(tickers=10), 200, [3], 0.6))[0])


def test_outliers_wild_low_is_told_with_its_factor(make_panel):
    # United Airlines fell to 3.00 and closed at 10.92 on 2008-09-08, on an old article.
    panel = make_panel(tickers=4)
    low = panel.low.copy()
    low[200, 1] = min(panel.open[200, 1], panel.close[200, 1]) / 3.6
    found = outliers(replace(panel, low=low))
    assert told(found) == [("T001", str(panel.sessions[200].date()), "outlier", "warning", "kept")]
    assert "high or low is a factor 3.6 beyond open and close" in str(found[0])


@pytest.mark.parametrize("cut", [200, 201, 250])
def test_outliers_until_a_session_do_not_depend_on_later_ones(make_panel, cut):
    panel = moved(moved(make_panel(tickers=15), 200, [3], 0.6), 240, [5], 2.0, volume=9.0)
    until = panel.sessions[cut]
    assert [f for f in outliers(panel) if f.session <= until] == outliers(panel.until(until))


def test_outliers_across_a_halt_compare_bar_with_bar(make_panel):
    panel = moved(make_panel(tickers=15, halts={3: [198, 199]}), 200, [3], 0.6)
    assert told(outliers(panel))[0][:2] == ("T003", str(panel.sessions[200].date()))
    assert np.isnan(panel.close[199, 3])
