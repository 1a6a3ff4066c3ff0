"""What an indicator sees of its own feed, as the arrays that pure functions take."""

from __future__ import annotations

from typing import Any

import numpy as np

from feeds.errors import InputError
from feeds.panel import Bars

_FIXED_LINES = ("datetime", "open", "high", "low", "close", "volume", "openinterest", "adjust")
# backtrader counts days from 0001-01-01 as day 1.
_DAY_OF_1970 = 719163


def whole_bars(data: Any) -> Bars:
    """Return every bar of a preloaded feed, shape [K]: for an indicator's ``once`` only.

    Notes
    -----
    A feed without the line `adjust` gets 1; its other extra lines become `columns`.
    """
    size = data.buflen()
    return _bars({name: np.array(line.array)[:size] for name, line in _lines(data).items()})


def last_bars(data: Any, size: int) -> Bars:
    """Return the last `size` bars up to now, fewer at the feed's beginning.

    Notes
    -----
    **Known at** the close of the feed's present bar.

    Raises
    ------
    InputError
        Where backtrader was told to forget the bars (`exactbars`).
    """
    count, kept = min(size, len(data)), data.lines.datetime.buflen()
    if kept < count:
        raise InputError(
            f"indicator of {data._name or 'a feed'}: expected the last {count} bars, received {kept}; "
            "run without `exactbars`"
        )
    return _bars({name: np.array(line.get(0, count)) for name, line in _lines(data).items()})


class BarHistory:
    """The bars of one feed so far, grown by one row per bar: the whole history at no cost per bar.

    Parameters
    ----------
    data : feed
    """

    def __init__(self, data: Any) -> None:
        self._lines = _lines(data)
        self._rows = np.empty((256, len(self._lines)))
        self._size = 0

    def append(self) -> Bars:
        """Take the feed's present bar and return the history up to and including it."""
        if self._size == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._size] = [line[0] for line in self._lines.values()]
        self._size += 1
        return _bars({name: self._rows[: self._size, i] for i, name in enumerate(self._lines)})


def _lines(data: Any) -> dict[str, Any]:
    return {name: getattr(data.lines, name) for name in data.getlinealiases() if name != "openinterest"}


def _bars(values: dict[str, np.ndarray]) -> Bars:
    sessions = (np.floor(values["datetime"]).astype(np.int64) - _DAY_OF_1970).astype("datetime64[D]")
    return Bars(
        sessions=sessions,
        open=values["open"],
        high=values["high"],
        low=values["low"],
        close=values["close"],
        volume=values["volume"],
        adjust=values.get("adjust", np.ones(len(sessions))),
        columns={name: column for name, column in values.items() if name not in _FIXED_LINES},
    )
