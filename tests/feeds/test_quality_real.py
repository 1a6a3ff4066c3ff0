"""Real files: every known defect is found at its session, every known move is left alone, alarms are few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feeds.price_csv import CsvFolder
from feeds.price_table import Reading
from feeds.prices import check_prices
from feeds.quality import check_ticker

MOST_ABOVE_INFO = 0.005


@pytest.fixture(scope="module")
def yahoo(real_data):
    return check_prices(f"csv:{real_data / 'csv_yahoo'}")


@pytest.fixture(scope="module")
def sixty(real_data):
    return check_prices(f"parquet:{real_data / 'prices_60.parquet'}")


def of(checked, ticker, kind):
    return {str(f.session.date()): f for f in checked.findings if (f.ticker, f.kind) == (ticker, kind)}


@pytest.mark.parametrize(
    ("ticker", "session", "kind", "severity", "action"),
    [
        ("CBS", "2019-12-04", "duplicated session", "error", "row removed"),
        ("CBS", "2019-12-04", "all-zero bar", "error", "row removed"),
        ("TT", "2019-03-11", "spliced series", "error", "excluded from 2001-05-14"),
        ("TT", "2001-11-13", "non-positive adjusted close", "error", "excluded from 2001-05-14"),
        ("UA", "2016-03-23", "spliced series", "error", "excluded from 2016-03-23"),
        ("KSU", "2000-07-13", "adjustment jump", "error", "excluded from 2000-07-13"),
        ("AMCR", "2016-08-17", "stale run", "warning", "copies removed"),
        ("HWM", "2019-11-08", "missing sessions", "warning", "kept"),
        ("HWM", "2020-04-01", "spliced series", "error", "excluded after 2020-04-01"),
        ("HWM", "2019-11-07", "ends early", "info", "kept"),
        ("TWX", "2018-06-14", "ends early", "info", "kept"),
        ("FB", "2012-05-18", "listed late", "info", "kept"),
        ("TWTR", "2013-11-07", "listed late", "info", "kept"),
        ("PYPL", "2015-07-06", "listed late", "info", "kept"),
    ],
)
def test_check_prices_known_defect_is_found(yahoo, ticker, session, kind, severity, action):
    finding = of(yahoo, ticker, kind)[session]
    assert (finding.severity, finding.action) == (severity, action)


def test_check_prices_stale_run_of_amcor_counts_eighty_bars(yahoo):
    assert of(yahoo, "AMCR", "stale run")["2016-08-17"].detail.startswith("80 identical bars until 2016-12-08")


@pytest.mark.parametrize(
    ("ticker", "session"),
    [
        ("AAPL", "2000-09-29"),
        ("AIG", "2008-09-15"),
        ("AIG", "2008-09-17"),
        ("AIG", "2009-08-05"),
        ("FB", "2013-07-25"),
        ("FB", "2018-07-26"),
        ("TWTR", "2018-07-27"),
    ],
)
def test_check_prices_true_move_is_kept_and_no_more_than_info(yahoo, ticker, session):
    day = pd.Timestamp(session)
    assert {f.severity for f in yahoo.findings if f.ticker == ticker and f.session == day} <= {"info"}
    assert yahoo.panel.traded[yahoo.panel.sessions.get_loc(day), yahoo.panel.tickers.index(ticker)]


def test_check_prices_apples_crash_reaches_the_panel_as_it_was(yahoo):
    row = yahoo.panel.sessions.get_loc(pd.Timestamp("2000-09-29"))
    close = yahoo.panel.close[:, yahoo.panel.tickers.index("AAPL")]
    assert close[row] / close[row - 1] - 1 == pytest.approx(-0.519, abs=5e-4)


@pytest.mark.parametrize("session", ["2020-03-09", "2020-03-12", "2020-03-16", "2020-03-18", "2020-03-24"])
def test_check_prices_pandemic_sessions_find_nothing(sixty, session):
    assert [str(f) for f in sixty.findings if f.session == pd.Timestamp(session)] == []


def test_check_prices_sixty_stocks_find_no_error_and_nothing_is_changed(sixty):
    assert {f.severity for f in sixty.findings} == {"info"}
    assert {f.action for f in sixty.findings if f.kind != "zero volume"} == {"kept"}
    assert sixty.refused == ()
    assert sixty.panel.traded.sum() == sixty.bars - 1


@pytest.mark.parametrize("name", ["yahoo", "sixty"])
def test_check_prices_findings_above_info_are_few(name, request):
    checked = request.getfixturevalue(name)
    above = [finding for finding in checked.findings if finding.severity != "info"]
    assert len(above) < MOST_ABOVE_INFO * checked.bars


def test_check_prices_no_phantom_return_reaches_the_panel(yahoo):
    panel = yahoo.panel
    for column, ticker in enumerate(panel.tickers):
        if ticker == "TT":  # a shell of a few cents until 2001: its own price moves by half and back
            continue
        steps = np.abs(np.diff(np.log(panel.close[panel.traded[:, column], column])))
        assert steps.max() < 1.0, ticker  # AIG, 2008-09-15


@pytest.mark.parametrize("ticker", ["CBS", "KSU", "UA", "HWM", "AMCR", "AAPL", "TT"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_check_ticker_real_file_cut_gives_the_same_bars_until_there(real_data, ticker, share):
    bars = CsvFolder(real_data / "csv_yahoo").read(ticker).bars
    until = np.sort(bars.dates)[int(share * (len(bars) - 1))]
    whole = check_ticker(ticker, Reading(bars)).bars
    part = check_ticker(ticker, Reading(bars.take(bars.dates <= until))).bars
    kept = whole.take(whole.dates <= until)
    np.testing.assert_array_equal(kept.dates, part.dates)
    for name, values in kept.numbers.items():
        np.testing.assert_array_equal(values, part.numbers[name])


# Other moves of the kind, as their stocks' own files would have them: planted into Apple's.
@pytest.mark.parametrize(
    ("steps", "volume"),
    [
        pytest.param((12.30 / 12.30, 12.45 / 12.30, 3.00 / 12.30, 10.92 / 12.30), 5.0, id="UAL 2008-09-08"),
        pytest.param((7.46 / 7.21, 14.86 / 7.21, 7.20 / 7.21, 14.59 / 7.21), 4.0, id="HIG 2008-12-05"),
    ],
)
def test_check_ticker_true_move_planted_in_a_real_series_is_no_error(real_data, steps, volume):
    bars = CsvFolder(real_data / "csv_yahoo").read("AAPL").bars
    k = int(np.searchsorted(bars.dates, np.datetime64("2008-12-05")))
    level = steps[3] * bars.close[k - 1] / bars.close[k]
    columns = {name: np.append(values[:k], values[k:] * level) for name, values in bars.numbers.items()}
    columns["volume"] = bars.volume.copy()
    columns["volume"][k] = volume * np.median(bars.volume[k - 63 : k])
    for name, step in zip(("open", "high", "low", "close"), steps, strict=True):
        columns[name][k] = step * bars.close[k - 1]
    assert [f for f in check_ticker("AAPL", Reading(replace(bars, **columns))).findings if f.severity == "error"] == []
