"""One backtrader feed per stock, filled from arrays in one copy per line.

A feed has a bar for each session on which its stock traded and no other. Beside backtrader's own
lines it has `adjust` (the total-return factor: price / `adjust` is the source's price) and one line
per extra column, each known at its session's close. It works in any ``bt.Cerebro``, preloaded or
bar by bar::

    feed = StockFeed.from_frame(frame, ticker="ACME")   # a pandas frame: open, high, low, close, volume, ...
    cerebro = bt.Cerebro()
    cerebro.adddata(feed)

or, for a whole panel, ``for feed in make_feeds(panel, columns): cerebro.adddata(feed)``.
"""

from __future__ import annotations

import keyword
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from feeds.adapter.lines import SafeLinesFeed, fill
from feeds.adapter.naming import parameter_values
from feeds.collector import collector_paused
from feeds.errors import InputError, unknown_name
from feeds.panel import PRICE_FIELDS, Bars, FeaturePanel, PricePanel

BAR_LINES = ("datetime", "open", "high", "low", "close", "volume", "openinterest", "adjust")
# backtrader counts days from 0001-01-01 as day 1.
_DAY_OF_1970 = 719163


def session_numbers(sessions: np.ndarray) -> np.ndarray:
    """Return sessions (datetime64, shape [K]) as backtrader's day numbers (float64, midnights)."""
    return sessions.astype("datetime64[D]").astype(np.int64).astype(np.float64) + _DAY_OF_1970


class StockFeed(SafeLinesFeed):
    """Daily bars of one stock, with `adjust` and any extra columns as lines.

    Make it with `from_bars`, `from_frame` or `make_feeds`: a feed with extra columns is of a class
    made for that tuple of names.

    Parameters
    ----------
    dataname : Bars
        Traded bars, oldest first, shape [K] each.
    name : str
        The ticker.

    Notes
    -----
    Lines: ``datetime`` (midnight of the session), ``open, high, low, close, volume, openinterest``
    (always 0), ``adjust``, then the extra columns. Prices are never NaN; an extra column may be.
    **Known at** the close of the bar's session; the open at the open.

    Raises
    ------
    InputError
        For bars that cannot be traded on (see `check_bars`) or an unknown parameter.
    """

    lines: Any = ("adjust",)

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:  # backtrader hands what is no parameter on, and would drop it
            raise unknown_name("parameter of StockFeed", name, parameter_values(self.params))
        super().__init__()
        check_bars(self.p.dataname, self.p.name)
        _check_span(self.p.dataname, self.p.name, self.p.fromdate, self.p.todate)
        self._row = 0
        self._columns = self._line_values(self.p.dataname)

    @staticmethod
    def from_bars(bars: Bars, ticker: str) -> StockFeed:
        """Return a feed of `bars` whose extra columns are lines of their own names."""
        return feed_class(tuple(bars.columns))(dataname=bars, name=ticker)

    @staticmethod
    def from_frame(frame: pd.DataFrame, ticker: str) -> StockFeed:
        """Return a feed of a frame indexed by session.

        Parameters
        ----------
        frame : DataFrame, shape [K, ...]
            Columns open, high, low, close and volume in any order and case, `adjust` where there is
            one (else 1); every other column becomes a line of that name in lower case.
        ticker : str

        Raises
        ------
        InputError
            For a missing column or bars that cannot be traded on.
        """
        return StockFeed.from_bars(_bars_of_frame(frame, ticker), ticker)

    def start(self) -> None:
        """Begin at the first bar (called by backtrader, again for each run)."""
        super().start()
        self._row = 0

    def preload(self) -> None:
        """Fill every line at once; bars that a filter, a time zone or an own `_load` makes are loaded one by one."""
        if self.is_changed_bar_by_bar or self._loads_bars_itself:
            super().preload()
            return
        rows = self._rows_in_range()
        for name, values in self._columns.items():
            fill(getattr(self.lines, name), values[rows])
        self._row = len(self.p.dataname)
        self.home()

    def _load(self) -> bool:
        if self._row >= len(self.p.dataname):
            return False
        for name, values in self._columns.items():
            getattr(self.lines, name)[0] = values[self._row]
        self._row += 1
        return True

    @property
    def _loads_bars_itself(self) -> bool:
        return type(self)._load is not StockFeed._load

    def _rows_in_range(self) -> slice:
        numbers = self._columns["datetime"]
        first = np.searchsorted(numbers, self.fromdate, side="left")
        return slice(int(first), int(np.searchsorted(numbers, self.todate, side="right")))

    def _line_values(self, bars: Bars) -> dict[str, np.ndarray]:
        fixed = {name: getattr(bars, name) for name in (*PRICE_FIELDS, "volume", "adjust")}
        dates = {"datetime": session_numbers(bars.sessions), "openinterest": np.zeros(len(bars))}
        values: dict[str, np.ndarray] = {**dates, **fixed}
        for name in self.getlinealiases():
            if name not in values and name not in bars.columns and not self._loads_bars_itself:
                raise InputError(
                    f"line `{name}` of {type(self).__name__}: expected a column of that name in the bars of "
                    f"{self.p.name}, received {', '.join(bars.columns) or 'none'}"
                )
            if name not in values and name in bars.columns:
                values[name] = np.asarray(bars.columns[name], dtype=np.float64)
        return values


@cache
def feed_class(columns: tuple[str, ...]) -> type[StockFeed]:
    """Return the class of feeds with these extra lines, made once per tuple of names.

    Raises
    ------
    InputError
        For a name that cannot be a line.
    """
    for name in columns:
        if not name.isidentifier() or keyword.iskeyword(name) or name in BAR_LINES:
            raise InputError(
                f"column {name!r}: expected a Python name other than {', '.join(BAR_LINES)}, received {name!r}; "
                "rename the column"
            )
    if not columns:
        return StockFeed
    make_class: Any = type(StockFeed)  # backtrader's metaclass
    made: type[StockFeed] = make_class("StockFeed", (StockFeed,), {"lines": columns, "__module__": __name__})
    _travel_by_columns(made, columns)
    return made


def _travel_by_columns(made: Any, columns: tuple[str, ...]) -> None:
    """Let feeds of a class without a name of its own go to other processes, as those of an optimisation do."""

    def reduced(self: Any, protocol: Any) -> Any:
        found = next((name for name, kind in kinds.items() if type(self) is kind), None)
        default = object.__reduce_ex__(self, protocol)
        return default if found is None else (_empty, (columns, found), *default[2:])  # of a subclass: as it is

    kinds = {"feed": made, "lines": made.lines, "params": made.params}
    for kind in kinds.values():
        kind.__reduce_ex__ = reduced


def _empty(columns: tuple[str, ...], part: str) -> Any:
    """Return a feed, its lines or its parameters without content, for the process that it came to."""
    made = feed_class(columns)
    kind: Any = made if part == "feed" else getattr(made, part)
    return object.__new__(kind)


def make_feeds(panel: PricePanel, columns: FeaturePanel | None = None) -> list[StockFeed]:
    """Return one feed per ticker that has at least one bar, in the panel's order.

    Parameters
    ----------
    panel : PricePanel, [T, N]
    columns : FeaturePanel, [T, N, F], optional
        Each name becomes a line of every feed.
    """
    traded = [ticker for j, ticker in enumerate(panel.tickers) if panel.last_rows[j] >= 0]
    with collector_paused():
        return [StockFeed.from_bars(panel.bars(ticker, columns), ticker) for ticker in traded]


def check_bars(bars: Any, ticker: str) -> None:
    """Refuse bars on which an order could fill at a price that never was.

    Raises
    ------
    InputError
        Where there is no name or no bar, sessions are unsorted or repeated, arrays differ in
        length, or a price, volume or factor is not a number that can be.
    """
    if not isinstance(bars, Bars):
        raise InputError(
            f"`dataname` of StockFeed: expected Bars, received {type(bars).__name__}; "
            "use StockFeed.from_frame for a pandas frame"
        )
    if not ticker:
        raise InputError("`name` of StockFeed: expected a ticker, received an empty text; pass name=...")
    if not len(bars):
        raise InputError(f"bars of {ticker}: expected at least one, received none; leave the stock out")
    _check_lengths(bars, ticker)
    if (np.diff(bars.sessions.astype("datetime64[D]").astype(np.int64)) <= 0).any():
        raise InputError(f"sessions of {ticker}: expected sorted and unique, received unsorted or repeated; sort them")
    _check_values(bars, ticker)


def _check_span(bars: Bars, ticker: str, fromdate: Any, todate: Any) -> None:
    days = bars.sessions.astype("datetime64[D]")
    first = days[0] if fromdate is None else np.datetime64(fromdate, "D")
    last = days[-1] if todate is None else np.datetime64(todate, "D")
    if not ((days >= first) & (days <= last)).any():
        raise InputError(
            f"bars of {ticker}: expected one from {first} to {last}, received some from {days[0]} to {days[-1]}; "
            "leave the stock out"
        )


def _check_lengths(bars: Bars, ticker: str) -> None:
    arrays = {**{name: getattr(bars, name) for name in (*PRICE_FIELDS, "volume", "adjust")}, **bars.columns}
    for name, values in arrays.items():
        if np.shape(values) != (len(bars),):
            raise InputError(f"`{name}` of {ticker}: expected shape ({len(bars)},), received {np.shape(values)}")


def _check_values(bars: Bars, ticker: str) -> None:
    for name in (*PRICE_FIELDS, "adjust", "volume"):
        values = getattr(bars, name)
        least = values.min()  # NaN where one is
        if (least > 0 or (name == "volume" and least == 0)) and values.max() < np.inf:
            continue
        lowest = values >= 0 if name == "volume" else values > 0
        wrong = np.flatnonzero(~(np.isfinite(values) & lowest))
        if wrong.size:
            raise InputError(
                f"`{name}` of {ticker} on {bars.sessions[wrong[0]]}: expected a number "
                f"{'from' if name == 'volume' else 'above'} 0, received {values[wrong[0]]}; drop or repair the bar"
            )
    crossed = np.flatnonzero(bars.high < bars.low)
    if crossed.size:
        raise InputError(
            f"`high` of {ticker} on {bars.sessions[crossed[0]]}: expected at least the low "
            f"{bars.low[crossed[0]]}, received {bars.high[crossed[0]]}; drop or repair the bar"
        )


def _bars_of_frame(frame: pd.DataFrame, ticker: str) -> Bars:
    values = {str(name).strip().lower(): frame[name].to_numpy(dtype=np.float64) for name in frame.columns}
    for name in (*PRICE_FIELDS, "volume"):
        if name not in values:
            raise InputError(
                f"frame of {ticker}: expected the column {name!r}, received {', '.join(map(str, frame.columns))}"
            )
    fixed = {name: values.pop(name) for name in (*PRICE_FIELDS, "volume")}
    adjust = values.pop("adjust", np.ones(len(frame)))
    sessions = pd.DatetimeIndex(frame.index).to_numpy().astype("datetime64[D]")
    return Bars(sessions, adjust=adjust, columns=values, **fixed)
