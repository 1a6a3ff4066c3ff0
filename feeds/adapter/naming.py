"""The adapter of backtrader: what a line or an indicator belongs to, and what it is called."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from feeds.errors import InputError


def buffers(line_or_lines: Any) -> list[Any]:
    """Return the single lines of a feed, an indicator or an operation (which is a line itself)."""
    return list(line_or_lines.lines)


def root_feed(line_or_indicator: Any) -> Any:
    """Return the feed whose bars a line, indicator or operation steps on; None where there is none."""
    found: Any = line_or_indicator
    for _ in range(100):
        if isinstance(found, bt.feed.AbstractDataBase):
            return found
        if isinstance(found, bt.Strategy) or found is None:
            return None
        found = _one_up(found)
    return None


def _one_up(found: Any) -> Any:
    if isinstance(found, bt.lineseries.LineSeriesStub):
        return found.lines[0]
    clock = getattr(found, "_clock", None)
    return getattr(found, "_owner", None) if clock is None else clock


def describe(line: Any) -> str:
    """Return a name for a line, such as "line `close` of ACME" or "line `atr` of AverageTrueRange of ACME"."""
    owner, feed = line._owner, root_feed(line)
    names = {id(each): owner._getlinealias(i) for i, each in enumerate(getattr(owner, "lines", ()))}
    owner_name = "" if owner is feed else f" of {type(owner).__name__}"
    of_feed = f" of {feed._name}" if feed is not None and feed._name else ""
    return f"line `{names.get(id(line)) or type(line).__name__}`{owner_name}{of_feed}"


def not_listed(line: Any) -> InputError:
    """Return the error for a line that is read before its stock's first bar."""
    feed = root_feed(line)
    numbers: Any = () if feed is None else feed.lines.datetime.array
    listed = f" before its first bar on {bt.num2date(numbers[0]).date()}" if len(numbers) else " before its first bar"
    return InputError(
        f"{describe(line)}: expected to be read once the stock is listed, received a reading{listed}; "
        "ask len(data) first"
    )


def parameter_values(params: Any) -> dict[str, Any]:
    """Return `params` of an object of backtrader by name; of a class, the defaults."""
    asked: Any = params
    return dict(asked._getitems() if isinstance(params, type) else asked._getkwargs())


def feed_name(feed: Any) -> str:
    """Return a feed's name as a message tells it."""
    return str(feed._name or "a feed without a name")
