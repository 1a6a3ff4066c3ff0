"""One feed as the broker sees it: its bar of this session, its life, and how much of its volume is left."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.fills import Bar
from feeds.errors import InputError

_ROUNDING = 1e-9  # 2.5 % of 40 shares is one share


class Stock:
    """A feed, with what the broker asks on every session at hand.

    Parameters
    ----------
    data : feed
        Any backtrader feed of daily bars.
    is_halted_at_end : bool
        It is known to trade again after the data's end, so the end is no delisting.

    Attributes
    ----------
    owner : strategy or None
        Who sent the last order; `tradeid` is its number of the trade.
    marked : float
        The close that `mark` returned last, USD; NaN before.
    """

    __slots__ = (
        "_budget_left",
        "_budget_session",
        "_tells_its_end",
        "close",
        "data",
        "dates",
        "high",
        "is_halted_at_end",
        "low",
        "marked",
        "name",
        "open",
        "owner",
        "tradeid",
        "volume",
    )

    def __init__(self, data: Any, is_halted_at_end: bool = False) -> None:
        lines = data.lines
        self.data, self.name, self.owner, self.tradeid = data, str(data._name), None, 0
        self.dates, self.volume = lines.datetime, lines.volume
        self.open, self.high, self.low, self.close = lines.open, lines.high, lines.low, lines.close
        self.is_halted_at_end = is_halted_at_end
        # What is resampled, live or forgets its bars (exactbars) does not tell whether more will come.
        self._tells_its_end = not (data.resampling or data.islive() or lines.datetime.mode != lines.datetime.UnBounded)
        self._budget_session, self._budget_left = -math.inf, 0.0
        self.marked = math.nan

    @property
    def is_listed(self) -> bool:
        """True from the first bar on."""
        return len(self.data) > 0

    def has_ended(self, session: float) -> bool:
        """Tell whether its last bar lies on a day before this session and none will follow."""
        if self.is_halted_at_end or not self._tells_its_end or math.floor(self.dates[0]) >= math.floor(session):
            return False
        # A feed that loads bar by bar holds its next bar, if there is one, before it is due.
        return len(self.data) >= self.data.buflen()

    def bar(self) -> Bar:
        """Return the last bar."""
        return Bar(self.open[0], self.high[0], self.low[0], self.close[0])

    def mark(self) -> float:
        """Return the last close, and keep it as that of the session."""
        self.marked = self.last_close()
        return self.marked

    def last_close(self) -> float:
        """Return the last close that is a number (feeds that are not ours may have bars of NaN)."""
        close: float = self.close[0]
        return close if close == close else self.marked

    def adjust(self) -> float:
        """Return the total-return factor of the last bar: traded price / adjust is the source's price."""
        return float(self.data.lines.adjust[0]) if "adjust" in self.data.getlinealiases() else 1.0

    def budget(self, session: float, volume_frac: float) -> float:
        """Return the whole shares that all orders together may still fill on this session's bar, 0 for no volume."""
        if self._budget_session != session:
            self._budget_session = session
            volume = self.volume[0]
            self._budget_left = math.floor(volume_frac * volume + _ROUNDING) if volume == volume else 0.0
        return self._budget_left

    def spend(self, shares: float) -> None:
        """Take shares from the session's budget."""
        self._budget_left -= shares

    def before(self, name: str, count: int) -> np.ndarray:
        """Return a line's values on up to `count` bars before the last one, oldest first, without bars of NaN."""
        known = min(count, len(self.data) - 1)
        if self.dates.mode != self.dates.UnBounded:
            raise InputError(
                f"slippage of {self.name}: expected the bars before the fill's, received a feed that forgets them; "
                "run without `exactbars`, or with slippage in basis points"
            )
        if known <= 0:
            return np.empty(0)
        values, close = (np.array(line.get(ago=-1, size=known)) for line in (getattr(self, name), self.close))
        return values[np.isfinite(close)]
