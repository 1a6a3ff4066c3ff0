"""One feed as the broker sees it: its bar of this session, its life, and how much of its volume is left."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.fills import Bar

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
        Who sent the last order.
    """

    __slots__ = (
        "_budget_left",
        "_budget_session",
        "close",
        "data",
        "dates",
        "high",
        "is_halted_at_end",
        "low",
        "name",
        "open",
        "owner",
        "volume",
    )

    def __init__(self, data: Any, is_halted_at_end: bool = False) -> None:
        lines = data.lines
        self.data, self.name, self.owner = data, str(data._name), None
        self.dates, self.volume = lines.datetime, lines.volume
        self.open, self.high, self.low, self.close = lines.open, lines.high, lines.low, lines.close
        self.is_halted_at_end = is_halted_at_end
        self._budget_session, self._budget_left = -math.inf, 0.0

    @property
    def is_listed(self) -> bool:
        """True from the first bar on."""
        return len(self.data) > 0

    def trades(self, session: float) -> bool:
        """Tell whether it has a bar in this session."""
        return bool(self.dates[0] == session)

    def has_ended(self, session: float) -> bool:
        """Tell whether its last bar lies before this session and none will follow."""
        data = self.data
        # Feeds that load bar by bar hold their next bar, if there is one, before it is due.
        return bool(self.dates[0] < session and len(data) >= data.buflen() and not self.is_halted_at_end)

    def bar(self) -> Bar:
        """Return the last bar."""
        return Bar(self.open[0], self.high[0], self.low[0], self.close[0])

    def adjust(self) -> float:
        """Return the total-return factor of the last bar: traded price / adjust is the source's price."""
        return float(self.data.lines.adjust[0]) if "adjust" in self.data.getlinealiases() else 1.0

    def budget(self, session: float, volume_frac: float) -> float:
        """Return the whole shares that all orders together may still fill on this session's bar."""
        if self._budget_session != session:
            self._budget_session = session
            self._budget_left = math.floor(volume_frac * self.volume[0] + _ROUNDING)
        return self._budget_left

    def spend(self, shares: float) -> None:
        """Take shares from the session's budget."""
        self._budget_left -= shares

    def before(self, name: str, count: int) -> np.ndarray:
        """Return up to `count` values of a line from the bars before the last one, oldest first."""
        known = min(count, len(self.data) - 1)
        return np.array(getattr(self, name).get(ago=-1, size=known)) if known > 0 else np.empty(0)
