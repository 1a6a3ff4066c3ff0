"""Defects that show beside earlier rows, planted by hand in sound bars; true moves that look like them."""

from __future__ import annotations

import numpy as np
import pytest

from feeds.price_table import Finding
from feeds.quality_series import runs
from tests.feeds.made_bars import changed, checked, scaled, sound_bars, told

BARS = sound_bars()
AT = 150
DAY = str(BARS.dates[AT])
LATER = slice(AT, None)


def assert_ends_before(result, row):
    """The bars are the source's, untouched, until before `row`."""
    for name, values in BARS.numbers.items():
        np.testing.assert_array_equal(getattr(result.bars, name), values[:row])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("volatility", [0.004, 0.012, 0.04])
def test_check_ticker_sound_bars_find_nothing(seed, volatility):
    assert checked(sound_bars(1000, seed, volatility)).findings == ()


def test_runs_yield_first_and_one_past_the_last():
    assert list(runs(np.array([True, True, False, True]))) == [(0, 2), (3, 4)]
    assert list(runs(np.zeros(3, dtype=bool))) == []


# ---- not traded


def test_check_ticker_copies_of_the_last_close_without_volume_are_no_bars():
    rows = dict.fromkeys(range(AT, AT + 3), BARS.close[AT - 1])
    planted = changed(BARS, open=rows, high=rows, low=rows, close=rows, volume=dict.fromkeys(rows, 0.0))
    factor = BARS.adj_close / BARS.close
    planted = changed(planted, adj_close={row: BARS.close[AT - 1] * factor[row] for row in rows})
    result = checked(planted)
    assert told(result) == [(DAY, "zero volume", "info", "copies removed")]
    assert (
        result.findings[0].detail == f"3 bars with `volume` 0 until {BARS.dates[AT + 2]}, 3 of them copy the last close"
    )
    assert result.bars.dates.tolist() == np.delete(BARS.dates, [AT, AT + 1, AT + 2]).tolist()


def test_check_ticker_zero_volume_at_a_price_of_its_own_is_kept():
    result = checked(changed(BARS, volume={AT: 0.0}))
    assert told(result) == [(DAY, "zero volume", "info", "kept")]
    assert len(result.bars) == len(BARS)


@pytest.mark.parametrize(("count", "severity"), [(4, None), (5, "info"), (9, "info"), (10, "warning"), (80, "warning")])
def test_check_ticker_stale_run_with_volume_is_kept_and_told_from_its_first_bar(count, severity):
    rows = range(AT, AT + count)
    planted = BARS
    for name in ("open", "high", "low", "close", "adj_close"):
        planted = changed(planted, **{name: dict.fromkeys(rows, getattr(BARS, name)[AT])})
    result = checked(planted)
    expected = [(DAY, "stale run", severity, "kept")] if severity else []
    assert told(result, "stale run") == expected
    assert len(result.bars) == len(BARS)
    if severity:
        assert result.findings[0].detail.startswith(f"{count} identical bars until {BARS.dates[AT + count - 1]}, ")


@pytest.mark.parametrize(("count", "severity"), [(1, "info"), (10, "info"), (11, "warning")])
def test_check_ticker_missing_sessions_are_told_at_the_first(count, severity):
    result = checked(BARS.take(np.delete(np.arange(len(BARS)), np.arange(AT, AT + count))))
    assert told(result) == [(DAY, "missing sessions", severity, "kept")]
    until = BARS.dates[AT + count - 1]
    sessions = "1 session" if count == 1 else f"{count} sessions"
    assert result.findings[0].detail == f"{sessions} without a bar until {until}"


# ---- adjustments


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.4, 3.0])
def test_check_ticker_bogus_adjustment_is_held_and_changes_nothing_else(factor):
    planted = changed(BARS, adj_close={row: BARS.adj_close[row] * factor for row in range(AT)})
    result = checked(planted)
    assert told(result) == [(DAY, "bogus adjustment", "error", "factor held")]
    np.testing.assert_array_equal(result.bars.adj_close[:AT], planted.adj_close[:AT])
    steps = [np.diff(np.log(adjusted)) for adjusted in (result.bars.adj_close, BARS.adj_close)]
    np.testing.assert_allclose(np.delete(steps[0], AT - 1), np.delete(steps[1], AT - 1), atol=1e-12)
    # Across the session the price's own return is what is earned.
    assert steps[0][AT - 1] == pytest.approx(np.log(BARS.close[AT] / BARS.close[AT - 1]), abs=1e-12)


def test_check_ticker_small_unanswered_adjustment_is_told_and_kept():
    result = checked(changed(BARS, adj_close={row: BARS.adj_close[row] * 0.88 for row in range(AT)}))
    assert told(result) == [(DAY, "doubtful adjustment", "warning", "kept")]
    assert len(result.bars) == len(BARS)


def test_check_ticker_phantom_loss_excludes_from_its_session():
    # Kansas City Southern, 2000-07-13, as Yahoo has it: the close falls to a thirtieth, the factor doubles only.
    fallen = scaled(BARS, LATER, 1 / 30, volume=30)
    planted = changed(fallen, adj_close={row: fallen.adj_close[row] * 1.94 for row in range(AT, len(BARS))})
    result = checked(planted)
    assert told(result) == [(DAY, "adjustment jump", "error", f"excluded from {DAY}")]
    assert "the adjustment factor changes by +94% and no price move explains it, `close` " in result.findings[0].detail
    assert_ends_before(result, AT)


@pytest.mark.parametrize("ratio", [0.5, 0.83, 10.0])
def test_check_ticker_distribution_that_the_price_answers_is_no_finding(ratio):
    # A split two for one, a spin-off of 17 %, a reverse split: the adjusted close goes on.
    assert checked(scaled(BARS, LATER, ratio, volume=1 / ratio, adjusted=False)).findings == ()


def test_check_ticker_negative_adjusted_close_excludes_from_its_session():
    result = checked(changed(BARS, adj_close=dict.fromkeys(range(AT, AT + 20), -1e-09)))
    assert told(result)[0] == (DAY, "non-positive adjusted close", "error", f"excluded from {DAY}")
    assert result.findings[0].detail == f"`adj_close` is not positive, -1e-09 (20 rows until {BARS.dates[AT + 19]})"
    assert {finding.action for finding in result.findings} == {f"excluded from {DAY}"}
    assert_ends_before(result, AT)


# ---- splits, splices, spikes


@pytest.mark.parametrize("ratio", [0.1, 1 / 3, 0.5, 2 / 3, 2.0, 10.0])
@pytest.mark.parametrize("volume", ["moves", "stays"])
def test_check_ticker_unadjusted_split_excludes_from_its_session(ratio, volume):
    result = checked(scaled(BARS, LATER, ratio, volume=1 / ratio if volume == "moves" or ratio > 1 else 1.0))
    assert told(result) == [(DAY, "unadjusted split", "error", f"excluded from {DAY}")]
    named = f"a ratio of {max(ratio, 1 / ratio):g}, at its usual traded value and without an adjustment"
    assert result.findings[0].detail.endswith(named)
    assert_ends_before(result, AT)


def test_check_ticker_splice_by_collapsed_trading_excludes_from_its_session():
    # UA, 2016-03-23: another share class under the ticker, a few hundred shares a day.
    result = checked(scaled(BARS, LATER, 0.49, volume=1e-4))
    assert told(result) == [(DAY, "spliced series", "error", f"excluded from {DAY}")]
    assert "and the traded value is " in result.findings[0].detail
    assert_ends_before(result, AT)


def test_check_ticker_splice_after_a_long_gap_excludes_from_its_session():
    # HWM, 2020-04-01: another company takes the ticker after 98 sessions.
    other = scaled(BARS, LATER, 0.46)
    result = checked(other.take(np.delete(np.arange(len(BARS)), np.arange(AT - 40, AT))))
    assert told(result) == [
        (str(BARS.dates[AT - 41]), "ends early", "info", "kept"),
        (str(BARS.dates[AT - 40]), "missing sessions", "warning", "kept"),
        (DAY, "spliced series", "error", f"excluded after {DAY}"),
    ]
    assert result.findings[0].detail == "last bar before 40 sessions without one; another series follows"
    assert result.findings[2].detail.endswith("after 40 sessions without a bar")
    # The fall may be the holder's loss: the last bar is the one after it, as the source has it.
    assert result.bars.close[-1] == other.close[AT]
    assert len(result.bars) == AT - 40 + 1


def test_check_ticker_splice_to_another_level_excludes_from_its_session():
    # TT, 2019-03-11: 0.168 becomes 105.37.
    result = checked(scaled(BARS, LATER, 627.0))
    assert told(result) == [(DAY, "spliced series", "error", f"excluded from {DAY}")]
    assert_ends_before(result, AT)


@pytest.mark.parametrize("factor", [0.01, 0.1, 0.5, 10.0, 100.0])
@pytest.mark.parametrize("count", [1, 5])
def test_check_ticker_price_spike_is_removed_and_the_rest_goes_on(factor, count):
    result = checked(scaled(BARS, slice(AT, AT + count), factor))
    action = "row removed" if count == 1 else "rows removed"
    assert told(result) == [(DAY, "price spike", "error", action)]
    assert f"after {count} bar" in result.findings[0].detail
    assert result.bars.dates.tolist() == np.delete(BARS.dates, np.arange(AT, AT + count)).tolist()


def test_check_ticker_second_spike_after_the_first_is_removed_too():
    result = checked(scaled(scaled(BARS, slice(AT, AT + 2), 10.0), slice(AT + 3, AT + 4), 10.0))
    assert told(result) == [
        (DAY, "price spike", "error", "rows removed"),
        (str(BARS.dates[AT + 3]), "price spike", "error", "row removed"),
    ]


def test_check_ticker_later_findings_of_an_excluded_ticker_are_few_and_splices_all_told():
    planted = changed(scaled(BARS, LATER, 0.49, volume=1e-4), volume=dict.fromkeys(range(AT + 10, 270, 2), -1.0))
    planted = scaled(planted, slice(280, None), 700.0)
    result = checked(planted)
    assert [finding[0] for finding in told(result, "spliced series")] == [DAY, str(BARS.dates[280])]
    negative = [finding for finding in result.findings if finding.kind == "negative volume"]
    assert len(negative) == 5
    assert negative[-1].detail == f"`volume` is negative, -1; and 50 more until {BARS.dates[268]}"


# ---- at which price an excluded stock leaves


def wide(bars, row, range_=0.5):
    """The bars with a day's range of a panic at `row`."""
    return changed(bars, high={row: bars.high[row] * (1 + range_)}, low={row: bars.low[row] * (1 - range_)})


def kept_with(result, planted, *expected):
    """Nothing is taken out, and these findings are all there are."""
    assert told(result) == list(expected)
    for name, values in planted.numbers.items():
        np.testing.assert_array_equal(getattr(result.bars, name), values)


def test_check_ticker_collapse_of_four_days_keeps_every_bar():
    # Lehman Brothers, 9 to 15 September 2008: 14.15, 7.79, 7.25, 4.22, 3.65, 0.21, at up to twenty times its shares.
    planted = BARS
    for row, step, shares in (
        (AT, 0.55, 4),
        (AT + 1, 0.93, 4),
        (AT + 2, 0.58, 6),
        (AT + 3, 0.86, 5),
        (AT + 4, 0.058, 20),
    ):
        planted = scaled(planted, slice(row, None), step)
        planted = wide(scaled(planted, slice(row, row + 1), 1.0, volume=shares), row)
    day = str(BARS.dates[AT + 4])
    kept_with(checked(planted), planted, (day, "level jump", "warning", "kept"))


@pytest.mark.parametrize("fall", [0.15, 0.08])
@pytest.mark.parametrize("shares", [4.0, 30.0])
def test_check_ticker_fall_after_a_halt_of_ten_sessions_keeps_every_bar(fall, shares):
    fallen = wide(scaled(scaled(BARS, LATER, fall), slice(AT, AT + 5), 1.0, volume=shares), AT)
    planted = fallen.take(np.delete(np.arange(len(BARS)), np.arange(AT - 10, AT)))
    result = checked(planted)
    halt = (str(BARS.dates[AT - 10]), "missing sessions", "info", "kept")
    kept_with(result, planted, halt, (DAY, "level jump", "warning", "kept"))
    shown = f"after 10 sessions without a bar at {result.findings[1].detail.split(' at ')[1]}"
    assert shown in result.findings[1].detail
    assert result.findings[1].detail.endswith("times the usual shares: taken for true")


@pytest.mark.parametrize("shares", [20.0, 3000.0])
def test_check_ticker_twelvefold_jump_on_huge_volume_keeps_every_bar(shares):
    planted = wide(scaled(scaled(BARS, LATER, 12.0), slice(AT, AT + 1), 1.0, volume=shares), AT, 0.2)
    result = checked(planted)
    kept_with(result, planted, (DAY, "level jump", "warning", "kept"))


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_check_ticker_decimal_error_that_lasts_excludes_from_its_session(factor):
    result = checked(scaled(BARS, LATER, factor))
    assert told(result) == [(DAY, "unadjusted split", "error", f"excluded from {DAY}")]
    assert_ends_before(result, AT)


@pytest.mark.parametrize(
    ("factor", "volume", "ends_with"),
    [
        pytest.param(1 / 13.4, 1.0, AT + 1, id="another level below, at ordinary trading: the price after"),
        pytest.param(13.4, 1.0, AT, id="another level above: the price before"),
        pytest.param(0.45, 8e-3, AT + 1, id="half, little trading: the price after"),
        pytest.param(0.45, 1e-4, AT, id="half, no trading at all: proven"),
        pytest.param(1.8, 5e-3, AT, id="above, little trading: the price before"),
        pytest.param(0.5, 2.0, AT, id="split at its usual dollars: proven"),
        pytest.param(0.5, 5.2, AT + 1, id="split at more: the price after"),
    ],
)
def test_check_ticker_excluded_stock_leaves_at_the_worse_price_unless_proven(factor, volume, ends_with):
    planted = changed(scaled(BARS, LATER, factor, volume), volume={AT: np.median(BARS.volume) * volume})
    result = checked(planted)
    word = "from" if ends_with == AT else "after"
    assert [finding[3] for finding in told(result)] == [f"excluded {word} {DAY}"]
    assert len(result.bars) == ends_with
    for name, values in planted.numbers.items():
        np.testing.assert_array_equal(getattr(result.bars, name), values[:ends_with])


def test_check_ticker_unproven_fall_that_comes_back_keeps_its_first_bar_only():
    planted = scaled(BARS, slice(AT, AT + 3), 1 / 13.4)
    result = checked(planted)
    assert told(result) == [(DAY, "price spike", "error", "later rows removed")]
    assert result.bars.dates.tolist() == np.delete(BARS.dates, [AT + 1, AT + 2]).tolist()
    assert result.bars.close[AT] == planted.close[AT]


def test_check_ticker_unproven_fall_of_one_bar_is_kept_and_told():
    planted = scaled(BARS, slice(AT, AT + 1), 1 / 13.4)
    kept_with(checked(planted), planted, (DAY, "price spike", "warning", "kept"))


def test_check_ticker_rebound_at_a_splits_ratio_after_a_crash_is_no_finding():
    planted = scaled(scaled(BARS, LATER, 0.6), slice(AT + 1, None), 1.5)
    assert checked(planted).findings == ()


def test_check_ticker_fall_beside_a_distribution_at_heavy_trading_leaves_at_the_price_after():
    fallen = scaled(BARS, LATER, 1 / 30, volume=300)
    planted = changed(fallen, adj_close={row: fallen.adj_close[row] * 1.94 for row in range(AT, len(BARS))})
    result = checked(planted)
    assert told(result) == [(DAY, "adjustment jump", "error", f"excluded after {DAY}")]
    assert len(result.bars) == AT + 1


# ---- true moves


def moved(open_, high, low, close, volume):
    """The bars with a true move at AT, to these multiples of the last close and of the volume."""
    last = BARS.close[AT - 1]
    planted = scaled(BARS, slice(AT + 1, None), close * last / BARS.close[AT])
    factor = BARS.adj_close[AT] / BARS.close[AT]
    return changed(
        planted,
        open={AT: open_ * last},
        high={AT: high * last},
        low={AT: low * last},
        close={AT: close * last},
        adj_close={AT: close * last * factor},
        volume={AT: volume * np.median(BARS.volume)},
    )


@pytest.mark.parametrize(
    "move",
    [
        pytest.param((0.527, 0.542, 0.474, 0.481, 27.0), id="AAPL 2000-09-29"),
        pytest.param((0.995, 1.005, 0.244, 0.888, 6.0), id="UAL 2008-09-08, low 3.00"),
        pytest.param((1.005, 2.06, 0.98, 2.02, 5.0), id="HIG 2008-12-05"),
        pytest.param((0.45, 0.56, 0.43, 0.392, 3.5), id="AIG 2008-09-15"),
        pytest.param((1.48, 1.56, 1.45, 1.52, 20.0), id="AMD 2016-04-22"),
        pytest.param((0.88, 0.95, 0.80, 0.80, 2.0), id="March 2020"),
    ],
)
def test_check_ticker_true_move_is_no_finding(move):
    open_, high, low, close, volume = move
    result = checked(moved(open_, high, min(low, close), close, volume))
    assert result.findings == ()
    assert len(result.bars) == len(BARS)


# ---- too many, unread, none


def test_check_ticker_too_many_bad_rows_exclude_from_the_session_that_tips_the_scale():
    rows = range(100, 200, 10)
    result = checked(changed(BARS, low=dict.fromkeys(rows, -1.0)))
    # The sixth bad row stands at 150: 6 of 151 are under a twentieth; so is every later count, 10 of 191 is above.
    day = str(BARS.dates[190])
    assert told(result, "too many bad rows") == [(day, "too many bad rows", "error", f"excluded from {day}")]
    assert [f.detail for f in result.findings if f.kind == "too many bad rows"] == [
        "10 of the 191 rows until then are no bars"
    ]
    assert result.bars.dates.max() < np.datetime64(day)


def test_check_ticker_bad_rows_before_the_first_good_one_are_no_reason_to_exclude():
    result = checked(changed(BARS, open=dict.fromkeys(range(40), 0.0)))
    assert told(result) == [(str(BARS.dates[0]), "non-positive price", "error", "rows removed")]
    assert len(result.bars) == len(BARS) - 40


def test_check_ticker_unreadable_rows_are_told_beside_the_rest():
    unread = [Finding("ABC", None, "malformed row", "row 7 has another length")]
    result = checked(BARS, findings=unread)
    assert told(result) == [(None, "malformed row", "error", "row removed")]
    assert len(result.bars) == len(BARS)


def test_check_ticker_too_many_unreadable_rows_refuse_the_file():
    unread = [Finding("ABC", None, "malformed row", f"row {k} has another length") for k in range(20)]
    result = checked(BARS, findings=unread)
    assert result.refused
    assert len(result.bars) == 0


@pytest.mark.parametrize("severity", ["info", "warning", "error"])
def test_check_ticker_without_repair_changes_nothing_and_refuses_errors_only(severity):
    planted = {
        "info": changed(BARS, volume={AT: 0.0}),
        "warning": BARS.take(np.delete(np.arange(len(BARS)), np.arange(AT, AT + 30))),
        "error": changed(BARS, volume={AT: -1.0}),
    }[severity]
    result = checked(planted, "none")
    assert [(f.severity, f.action) for f in result.findings] == [
        (severity, "refused" if severity == "error" else "kept")
    ]
    assert result.refused == (severity == "error")
    np.testing.assert_array_equal(result.bars.volume, planted.volume)
