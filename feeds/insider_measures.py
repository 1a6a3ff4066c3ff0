"""The quantities that insider columns are made of, per session and ticker.

A measure is asked for a *group* of trades (officers', opportunistic insiders', ...) and a window of
sessions, and answers for the whole panel. Nothing is NaN here but what is not known: the columns
decide what "nothing happened" means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from feeds.insider_events import NEVER, Events
from feeds.insider_routine import OPPORTUNISTIC, ROUTINE, UNCLASSIFIED
from feeds.insider_windows import Shape, distinct_in_intervals, max_over_intervals, sum_over_intervals
from feeds.panel import PricePanel

VOLUME_BARS = 63
INSIDERS, LARGE_HOLDERS = "insiders", "ten_percent"
_OFFICERS = ("ceo", "cfo", "officer")
# Which events belong to a group. Large holders are events of their own, never part of another group.
GROUPS: Mapping[str, Callable[[Events], np.ndarray]] = {
    INSIDERS: lambda events: np.ones(len(events.buy), dtype=bool),
    LARGE_HOLDERS: lambda events: np.ones(len(events.buy), dtype=bool),
    "officer": lambda events: np.isin(events.role, _OFFICERS),
    "ceo": lambda events: events.role == "ceo",
    "cfo": lambda events: events.role == "cfo",
    "director": lambda events: events.role == "director",
    "opp": lambda events: events.routine == OPPORTUNISTIC,
    "routine": lambda events: events.routine == ROUTINE,
    "unclassified": lambda events: events.routine == UNCLASSIFIED,
    "planned": lambda events: events.plan == "true",
    "plan_unknown": lambda events: events.plan == "unknown",
}


@dataclass(frozen=True)
class Measures:
    """Answers about one source on one panel; every answer is float64 of shape [T, N].

    Attributes
    ----------
    insiders, large_holders : Events
    shape : (E, I)
        Clock rows and issuers of the events.
    offset : int
        Clock row of the panel's first session.
    owner : ndarray of int, shape [T, N]
        Issuer behind each ticker; what stands where it is -1 has no meaning.
    panel : PricePanel
    """

    insiders: Events
    large_holders: Events
    shape: Shape
    offset: int
    owner: np.ndarray
    panel: PricePanel
    # What several columns ask for; the groups' own measures are asked once each and not kept.
    _kept: dict[tuple[str, bool, int], np.ndarray] = field(default_factory=dict, repr=False)

    def bought(self, window: int, group: str = INSIDERS) -> np.ndarray:
        """Return USD bought."""
        return self._once(self._dollars, True, window, group)

    def sold(self, window: int, group: str = INSIDERS) -> np.ndarray:
        """Return USD sold."""
        return self._once(self._dollars, False, window, group)

    def buyers(self, window: int, group: str = INSIDERS) -> np.ndarray:
        """Return the number of distinct persons who bought."""
        return self._once(self._people, True, window, group)

    def sellers(self, window: int, group: str = INSIDERS) -> np.ndarray:
        """Return the number of distinct persons who sold."""
        return self._once(self._people, False, window, group)

    def conviction(self, window: int) -> np.ndarray:
        """Return the largest `Events.conviction` of a purchase; −inf where none tells one."""
        events = self.insiders
        return self._largest(events, events.buy, events.window_end(window), events.conviction)

    def sessions_since(self, *, buy: bool) -> np.ndarray:
        """Return sessions since the last purchase (or sale) became known; inf before any."""
        events = self.insiders
        last = self._largest(events, events.buy == buy, events.stop, events.anchor.astype(np.float64))
        return np.arange(len(self.owner))[:, None] + self.offset - last

    def last_accepted(self) -> np.ndarray:
        """Return when the latest counted filing was accepted, seconds since 1970; −inf before any."""
        events = self.insiders
        return self._largest(events, events.start < NEVER, events.stop, events.accepted_s)

    def new_filings(self) -> np.ndarray:
        """Return the number of filings whose counted rows became known in the session."""
        events = self.insiders
        end = np.minimum(events.reported + 1, events.stop)
        return self._at_tickers(distinct_in_intervals(events.issuer, events.filing, events.start, end, self.shape))

    @cached_property
    def volume(self) -> np.ndarray:
        """See `average_dollar_volume`."""
        return average_dollar_volume(self.panel)

    def to_volume(self, dollars: np.ndarray) -> np.ndarray:
        """Return dollars / ADV; NaN where volume is unknown, or 0 beside dollars; 0 where both are 0."""
        share = np.divide(dollars, self.volume, out=np.full_like(self.volume, np.nan), where=self.volume > 0)
        return np.where((self.volume == 0) & (dollars == 0), 0.0, share)

    def _events(self, group: str) -> Events:
        return self.large_holders if group == LARGE_HOLDERS else self.insiders

    def _once(self, measure: Callable[[bool, int, str], np.ndarray], buy: bool, window: int, group: str) -> np.ndarray:
        if group != INSIDERS:
            return measure(buy, window, group)
        key = measure.__name__, buy, window
        if key not in self._kept:
            self._kept[key] = measure(buy, window, group)
        return self._kept[key]

    def _dollars(self, buy: bool, window: int, group: str) -> np.ndarray:
        events = self._events(group)
        chosen = (events.buy == buy) & GROUPS[group](events)
        end = events.window_end(window)[chosen]
        cents = sum_over_intervals(events.issuer[chosen], events.start[chosen], end, events.cents[chosen], self.shape)
        return self._at_tickers(cents) / 100

    def _people(self, buy: bool, window: int, group: str) -> np.ndarray:
        events = self._events(group)
        chosen = (events.buy == buy) & GROUPS[group](events)
        end = events.window_end(window)[chosen]
        people = distinct_in_intervals(
            events.issuer[chosen], events.person[chosen], events.start[chosen], end, self.shape
        )
        return self._at_tickers(people)

    def _largest(self, events: Events, chosen: np.ndarray, end: np.ndarray, value: np.ndarray) -> np.ndarray:
        largest = max_over_intervals(
            events.issuer[chosen], events.start[chosen], end[chosen], value[chosen], self.shape
        )
        return self._at_tickers(largest)

    def _at_tickers(self, by_issuer: np.ndarray) -> np.ndarray:
        values = by_issuer[self.offset :].astype(np.float64)
        if (self.owner == self.owner[:1]).all():  # no ticker changes hands
            return values[:, self.owner[0]]
        return values[np.arange(len(self.owner))[:, None], self.owner]


def average_dollar_volume(panel: PricePanel) -> np.ndarray:
    """Return the mean dollar volume of the last 63 traded bars up to t (fewer if younger), USD.

    Returns
    -------
    ndarray of float64, shape [T, N]
        NaN where the stock did not trade. **Known at** the close.
    """
    result = np.full(panel.close.shape, np.nan)
    for column in range(len(panel.tickers)):
        traded = panel.traded[:, column]
        dollars = np.nan_to_num(panel.dollar_volume[traded, column])
        padded = np.r_[np.zeros(VOLUME_BARS - 1), dollars]
        if len(dollars):
            sums = np.lib.stride_tricks.sliding_window_view(padded, VOLUME_BARS).sum(axis=1)
            result[traded, column] = sums / np.minimum(np.arange(1, len(dollars) + 1), VOLUME_BARS)
    return result
