from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from analyzers.charts import Line, date_ticks, line_chart, linear_ticks, log_ticks, money_label, percent_label

DAYS = pd.date_range("2020-01-01", periods=101)


def drawings(*lines: Line, sessions: pd.DatetimeIndex = DAYS) -> list[ET.Element]:
    text = line_chart(sessions, lines, money_label, 'a "chart" & more')
    return list(ET.fromstring(f"<page>{text}</page>"))


def points(drawing: ET.Element, style: str) -> np.ndarray:
    line = next(e for e in drawing.iter("polyline") if e.get("class") == f"line {style}")
    return np.array([[float(number) for number in pair.split(",")] for pair in line.get("points").split()])


def test_line_chart_draws_wide_and_narrow_with_the_description():
    wide, narrow = drawings(Line("a", np.arange(101.0), "strategy"))
    assert (wide.get("class"), narrow.get("class")) == ("chart wide", "chart narrow")
    assert wide.get("aria-label") == 'a "chart" & more'
    assert wide.get("viewBox") == "0 0 960 320"


def test_line_chart_straight_line_stays_straight_and_inside():
    drawn = points(drawings(Line("a", np.arange(101.0), "strategy"))[0], "strategy")
    assert drawn[0, 0] == 62
    assert drawn[-1, 0] == 950
    assert np.ptp(np.diff(drawn, axis=0)) < 12  # equal steps: rounding apart, one slope
    assert np.allclose(np.diff(drawn[:, 1]), np.diff(drawn[:, 1]).mean(), atol=0.11)
    assert (drawn[:, 1] > 10).all()
    assert (drawn[:, 1] < 294).all()


def test_line_chart_wide_range_is_told_on_a_log_scale():
    drawn = points(drawings(Line("a", np.geomspace(1, 1000, 101), "strategy"))[0], "strategy")
    assert np.allclose(np.diff(drawn[:, 1]), np.diff(drawn[:, 1]).mean(), atol=0.11)


def test_line_chart_gaps_and_empty_lines_are_left_out():
    values = np.arange(101.0)
    values[10:20] = np.nan
    drawing = drawings(Line("a", values, "strategy"), Line("b", np.full(101, np.nan), "benchmark"))[0]
    assert len(points(drawing, "strategy")) == 91
    assert len(list(drawing.iter("polyline"))) == 1


def test_line_chart_flat_line_has_room_and_filled_line_reaches_zero():
    assert np.isfinite(points(drawings(Line("a", np.full(101, 5.0), "strategy"))[0], "strategy")).all()
    area = next(drawings(Line("a", -np.arange(101.0), "strategy", filled=True))[0].iter("polygon"))
    top = area.get("points").split()[0].split(",")[1]
    assert area.get("points").split()[-1].split(",")[1] == top == "10.0"


def test_line_chart_repeats_its_text():
    line = Line("a", np.sin(np.arange(101.0)), "strategy")
    assert line_chart(DAYS, [line], money_label, "x") == line_chart(DAYS, [line], money_label, "x")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.2, 0, [-0.2, -0.15, -0.1, -0.05, 0]), (7, 9, [7, 7.5, 8, 8.5, 9])],
)
def test_linear_ticks_are_round(low, high, expected):
    assert linear_ticks(low, high, 5) == pytest.approx(expected)


def test_log_ticks_are_one_two_five():
    assert log_ticks(0.9, 60) == [1, 2, 5, 10, 20, 50]


def test_log_ticks_are_closer_where_few_would_be_left():
    assert log_ticks(1.05e5, 4.3e5) == pytest.approx([1.5e5, 2e5, 3e5])


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [(120000, 20000, "120k"), (1.25e6, 5e4, "1.25M"), (-2500, 500, "-2.5k"), (950, 50, "950"), (2e9, 1e9, "2B")],
)
def test_money_label_has_the_decimals_that_the_step_needs(value, step, label):
    assert money_label(value, step) == label


def test_percent_label_has_a_true_minus():
    assert percent_label(-0.125, 0.025) == "\N{MINUS SIGN}12.5%"


@pytest.mark.parametrize("last", ["2020-01-20", "2020-06-30", "2021-01-01", "2024-03-01", "2055-01-01"])
@pytest.mark.parametrize("most", [4, 9])
def test_date_ticks_are_few_and_inside(last, most):
    first, stop = pd.Timestamp("2020-01-02"), pd.Timestamp(last)
    ticks = date_ticks(first, stop, most)
    assert 1 <= len(ticks) <= most + 1
    assert all(first <= moment <= stop for moment, _ in ticks)
    assert all(re.fullmatch(r"\d{4}|[A-Z][a-z]{2} \d{4}|\d+ [A-Z][a-z]{2}", label) for _, label in ticks)
