"""Line charts as inline SVG: no library, no script, colours and sizes left to the page's style sheet.

Every chart is drawn twice, wide and narrow, and the style sheet shows one of them, so that its
labels stay readable on a telephone. The same input gives the same text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

Labels = Callable[[float, float], str]
"""Turns a tick and the distance between ticks into its label."""

_LOG_FROM_RATIO = 4.0  # a highest value above four times the lowest is told on a log scale
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Line:
    """One curve: values per session (NaN leaves a gap) and the class that gives its colour and dashes."""

    label: str
    values: np.ndarray
    style: str
    filled: bool = False


@dataclass(frozen=True)
class Frame:
    """Size of a drawing in its own units, and the room for labels."""

    name: str
    width: int
    height: int
    left: int
    x_ticks: int
    y_ticks: int
    right: int = 10
    top: int = 10
    bottom: int = 26


FRAMES = (Frame("wide", 960, 320, 62, 9, 6), Frame("narrow", 370, 240, 52, 4, 5))


@dataclass(frozen=True)
class _Scale:
    """Maps values to positions between `start` and `stop`, on a log scale if asked."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        points, low, high = (np.log(v) if self.log else np.asarray(v, float) for v in (values, self.low, self.high))
        return np.asarray(self.start + (points - low) / (high - low) * (self.stop - self.start))


def line_chart(sessions: pd.DatetimeIndex, lines: Sequence[Line], labels: Labels, description: str) -> str:
    """Draw curves over time.

    Parameters
    ----------
    sessions : DatetimeIndex, shape [T], T at least 2
    lines : sequence of Line, each of shape [T]
    labels : function of a tick and the step between ticks
    description : str
        What a person who cannot see the chart should know.

    Returns
    -------
    str
        Two ``<svg>`` elements with the classes ``wide`` and ``narrow``.
    """
    return "\n".join(_drawing(sessions, lines, labels, description, frame) for frame in FRAMES)


def money_label(value: float, step: float) -> str:
    """Return a tick in USD, thousands or millions, with as many decimals as the step needs."""
    unit, sign = next(((u, s) for u, s in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if abs(value) >= u), (1.0, ""))
    return f"{value / unit:,.{_decimals(step / unit)}f}{sign}"


def percent_label(value: float, step: float) -> str:
    """Return a tick in percent, with a true minus sign."""
    return f"{value * 100:.{_decimals(step * 100)}f}%".replace("-", "\N{MINUS SIGN}")


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Return at most about `count` round numbers (1, 2, 2.5 or 5 times a power of ten) from `low` to `high`."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from `low` to `high`, with steps between where those are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [tick for power in powers for nice in steps if low <= (tick := nice * 10.0**power) <= high]
        if len(ticks) > 3:
            break
    return ticks


def date_ticks(first: pd.Timestamp, last: pd.Timestamp, count: int) -> list[tuple[pd.Timestamp, str]]:
    """Return at most `count` beginnings of years or months with their labels; first and last for short spans."""
    months = (last.year - first.year) * 12 + last.month - first.month
    if months < 2:
        return [(first, f"{first.day} {_MONTHS[first.month - 1]}"), (last, f"{last.day} {_MONTHS[last.month - 1]}")]
    step = next(n for n in (1, 2, 3, 6, 12, 24, 60, 120, 240, 600) if months / n <= count)
    starts = pd.date_range(first, last, freq="MS")
    chosen = [day for day in starts if (day.year * 12 + day.month - 1) % step == 0]
    return [(day, str(day.year) if step >= 12 else f"{_MONTHS[day.month - 1]} {day.year}") for day in chosen]


def _drawing(sessions: pd.DatetimeIndex, lines: Sequence[Line], labels: Labels, description: str, frame: Frame) -> str:
    known = np.concatenate([line.values[np.isfinite(line.values)] for line in lines])
    low, high, log = _span(known)
    ticks = log_ticks(low, high) if log else linear_ticks(low, high, frame.y_ticks)
    y = _Scale(low, high, frame.height - frame.bottom, frame.top, log)
    days = sessions.to_numpy().astype("datetime64[D]").astype(float)
    x = _Scale(days[0], days[-1], frame.left, frame.width - frame.right)
    parts = [_horizontal(ticks, labels, y, frame), _dates(sessions, x, frame)]
    parts += [_curve(line, x(days), y, frame) for line in lines]
    return (
        f'<svg class="chart {frame.name}" viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(description)}">\n' + "\n".join(parts) + "\n</svg>"
    )


def _span(values: np.ndarray) -> tuple[float, float, bool]:
    """Return the range to draw and whether on a log scale; a flat line gets room on both sides."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if low > 0 and high / low > _LOG_FROM_RATIO:
        room = (high / low) ** 0.03
        return low / room, high * room, True
    space = (high - low) * 0.03 or max(abs(high) * 0.05, 0.01)
    # A drawdown's upper edge is zero itself.
    return low - space, high + (space if high != 0 or high == low else 0.0), False


def _horizontal(ticks: Sequence[float], labels: Labels, y: _Scale, frame: Frame) -> str:
    step = float(min(np.diff(ticks), default=1.0))
    rows = []
    for tick in ticks:
        at = f"{float(y(tick)):.1f}"
        rows.append(
            f'<line class="grid" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{at}" y2="{at}"/>'
            f'<text x="{frame.left - 6}" y="{at}" dy="0.35em" text-anchor="end">{labels(tick, step)}</text>'
        )
    return "\n".join(rows)


def _dates(sessions: pd.DatetimeIndex, x: _Scale, frame: Frame) -> str:
    marks = []
    for day, label in date_ticks(sessions[0], sessions[-1], frame.x_ticks):
        at = float(x(float(day.to_datetime64().astype("datetime64[D]").astype(float))))
        anchor = "start" if at < frame.left + 25 else "end" if at > frame.width - frame.right - 25 else "middle"
        bottom = frame.height - frame.bottom
        marks.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{frame.top}" y2="{bottom}"/>'
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="{anchor}">{label}</text>'
        )
    return "\n".join(marks)


def _curve(line: Line, x: np.ndarray, y: _Scale, frame: Frame) -> str:
    finite = np.isfinite(line.values)
    heights = y(np.where(finite, line.values, y.high))
    points = [f"{a:.1f},{b:.1f}" for a, b in zip(x[finite], heights[finite], strict=True)]
    if not points:
        return ""
    curve = f'<polyline class="line {line.style}" points="{" ".join(points)}"/>'
    if not line.filled:
        return curve
    edge = f"{float(y(0.0)):.1f}"
    first, last = (point.split(",")[0] for point in (points[0], points[-1]))
    return f'<polygon class="area {line.style}" points="{first},{edge} {" ".join(points)} {last},{edge}"/>{curve}'


def _decimals(step: float) -> int:
    """Return how many decimals tell neighbouring ticks apart (at most 3)."""
    scaled = ((n, step * 10**n) for n in range(4))
    return next((n for n, size in scaled if size > 1 - 1e-6 and abs(size - round(size)) < 1e-6), 3)
