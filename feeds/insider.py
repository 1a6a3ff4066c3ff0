"""Point-in-time insider features per session and ticker, from a transactions table.

What is counted is in `feeds.insider_events`. Windows run over the sessions in which filings became
**known** (first session that closes strictly after the SEC's acceptance), never over trade dates: late
filings would otherwise change history. A value at t uses the version of each row that was valid at
t's close; an amendment corrects a trade in the window in which its first version stands.

NaN and 0 differ. Outside the source's coverage (before its first or after its last acceptance, a
ticker that it does not know) nothing is known: `ins_known` is 0 and the others are NaN. Inside, no
filing is 0. Where the stock did not trade every column is NaN, `ins_known` too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feeds.errors import InputError, unknown_name
from feeds.filed_prices import check_prices
from feeds.insider_events import Clock, Events, base_events
from feeds.insider_routine import CLASS_NAMES, ROUTINE
from feeds.insider_windows import Shape, distinct_in_intervals, last_in_intervals, sum_over_intervals
from feeds.issuers import issuer_columns
from feeds.panel import FeaturePanel, PricePanel
from feeds.sessions import NEW_YORK
from feeds.transaction_table import Coverage, TransactionTable

INSIDER_COLUMNS: tuple[str, ...] = (
    "ins_known",
    "ins_buy_21",
    "ins_sell_21",
    "ins_net_63",
    "ins_cluster_21",
    "ins_opportunistic_21",
    "ins_recency_21",
)
SHORT_SESSIONS = 21
LONG_SESSIONS = 63
VOLUME_BARS = 63
_CLUSTER_CAP = 5


@dataclass(frozen=True)
class _Source:
    """A table placed on a panel's sessions: what features and their explanation share."""

    table: TransactionTable
    issuers: pd.Index
    clock: Clock
    events: Events
    owner: np.ndarray

    @staticmethod
    def on(table: TransactionTable, panel: PricePanel) -> _Source:
        checked = check_prices(table, panel)
        # Without any issuer one that nothing is about, so that the arrays keep their shapes.
        issuers = pd.Index(sorted(table.tickers["cik"].unique()) or [""], dtype=object)
        known = table.rows["accepted_at"].dropna()
        instants = [*([known.min()] if len(known) else []), *([table.coverage.first] if table.coverage else [])]
        clock = Clock.reaching_back(panel.sessions, min(instants, default=None))
        owner = issuer_columns(table.tickers, panel.tickers, panel.sessions, issuers)
        return _Source(checked, issuers, clock, base_events(checked, issuers, clock), owner)

    @property
    def shape(self) -> Shape:
        return len(self.clock.sessions), len(self.issuers)


def insider_features(table: TransactionTable, panel: PricePanel) -> FeaturePanel:
    """Return `INSIDER_COLUMNS` for every session and ticker of a panel.

    Parameters
    ----------
    table : TransactionTable
        From any source; prices are checked against the panel where it is as traded.
    panel : PricePanel
        Gives sessions, tickers, which stocks traded, and dollar volume.

    Returns
    -------
    FeaturePanel, values of float64, shape [T, N, 7]
        - ``ins_known``: 1 inside the source's coverage of the ticker, else 0.
        - ``ins_buy_21``: ln(1 + dollars bought in 21 sessions / ADV), ADV the mean dollar volume of
          the last 63 traded bars (fewer if younger) up to and including t.
        - ``ins_sell_21``: the same for sales.
        - ``ins_net_63``: (buyers − sellers) / (buyers + sellers + 1), distinct persons in 63 sessions.
        - ``ins_cluster_21``: min(distinct buyers in 21 sessions, 5) / 5.
        - ``ins_opportunistic_21``: share of the dollars bought in 21 sessions that are not by routine
          insiders (opportunistic and unclassified ones); 0 without a purchase.
        - ``ins_recency_21``: exp(−sessions since the last purchase became known / 21); 0 before any.

        Every listed class of an issuer gets the issuer's trades, the first two columns against its
        own volume. NaN rule: see the module.

    Notes
    -----
    **Known at** the session's close: filings accepted strictly before it, bars up to t.
    Formulas: net purchase ratio by distinct insiders after Lakonishok and Lee 2001; routine insiders
    after Cohen, Malloy and Pomorski 2012; dollars against volume for scale.
    """
    source = _Source.on(table, panel)
    by_issuer = _issuer_values(source)
    rows = np.arange(len(panel.sessions))[:, None]
    known = (source.owner >= 0) & _covered(source)[rows, source.owner]
    values = {name: array[rows, source.owner] for name, array in by_issuer.items()}
    volume = average_dollar_volume(panel)
    for name in ("ins_buy_21", "ins_sell_21"):
        values[name] = _against_volume(values[name], volume)
    columns = [np.where(known, values[name], np.nan) for name in INSIDER_COLUMNS[1:]]
    stacked = np.stack([known.astype(float), *columns], axis=2)
    stacked[~panel.traded] = np.nan
    return FeaturePanel(panel.sessions, panel.tickers, INSIDER_COLUMNS, stacked)


def explain(table: TransactionTable, panel: PricePanel, ticker: str, session: str | pd.Timestamp) -> pd.DataFrame:
    """List the filings behind a ticker's insider values at one session.

    Returns
    -------
    DataFrame
        One row per transaction row that counts in a window at `session`, and the last purchase
        however old; newest first. Beside the table's own columns: `known_session` (the first that
        may know the trade), `sessions_ago`, `lag_days` (trade to acceptance, calendar days in New
        York), `counted_usd` (0 where the price is unusable), `in_21`, `in_63`, `insider_class`.
        Empty where nothing is behind the values (0) or nothing is known (NaN).

    Raises
    ------
    InputError
        If the panel lacks the ticker or the session.
    """
    if ticker not in panel.tickers:
        raise unknown_name("ticker", ticker, panel.tickers)
    at = panel.sessions.get_indexer(pd.DatetimeIndex([pd.Timestamp(session)]))[0]
    if at < 0:
        raise InputError(
            f"`session`: expected one of the panel's sessions from {panel.sessions[0].date()} to "
            f"{panel.sessions[-1].date()}, received {session}"
        )
    source = _Source.on(table, panel)
    issuer = source.owner[at, panel.tickers.index(ticker)]
    covered = issuer >= 0 and _covered(source)[at, issuer]
    return _explanation(source, issuer if covered else -1, source.clock.offset + at)


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


def _issuer_values(source: _Source) -> dict[str, np.ndarray]:
    """Return each column per panel session and issuer; dollars where they are yet to meet volume."""
    events, shape, offset = source.events, source.shape, source.clock.offset
    short, long = events.window_end(SHORT_SESSIONS), events.window_end(LONG_SESSIONS)
    bought = _dollars(events, events.buy, short, shape)
    planned = _dollars(events, events.buy & (events.routine == ROUTINE), short, shape)
    buyers, sellers = _people(events, events.buy, long, shape), _people(events, ~events.buy, long, shape)
    values = {
        "ins_buy_21": bought,
        "ins_sell_21": _dollars(events, ~events.buy, short, shape),
        "ins_net_63": (buyers - sellers) / (buyers + sellers + 1),
        "ins_cluster_21": np.minimum(_people(events, events.buy, short, shape), _CLUSTER_CAP) / _CLUSTER_CAP,
        "ins_opportunistic_21": np.divide(bought - planned, bought, out=np.zeros(shape), where=bought > 0),
        "ins_recency_21": _recency(events, shape),
    }
    return {name: array[offset:] for name, array in values.items()}


def _dollars(events: Events, chosen: np.ndarray, end: np.ndarray, shape: Shape) -> np.ndarray:
    cents = sum_over_intervals(events.issuer[chosen], events.start[chosen], end[chosen], events.cents[chosen], shape)
    return cents / 100


def _people(events: Events, chosen: np.ndarray, end: np.ndarray, shape: Shape) -> np.ndarray:
    return distinct_in_intervals(events.issuer[chosen], events.person[chosen], events.start[chosen], end[chosen], shape)


def _recency(events: Events, shape: Shape) -> np.ndarray:
    buy = events.buy
    last = last_in_intervals(events.issuer[buy], events.start[buy], events.stop[buy], events.anchor[buy], shape)
    age = np.arange(shape[0])[:, None] - last
    return np.where(last >= 0, np.exp(-age / SHORT_SESSIONS), 0.0)


def _against_volume(dollars: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Return ln(1 + dollars / volume); NaN where volume is unknown, or 0 beside dollars."""
    share = np.divide(dollars, volume, out=np.full_like(volume, np.nan), where=volume > 0)
    return np.log1p(np.where((volume == 0) & (dollars == 0), 0.0, share))


def _covered(source: _Source) -> np.ndarray:
    """Return whether the source covers each issuer at each panel session, shape [T, I]."""
    spans = [source.table.issuer_coverage.get(cik, source.table.coverage) for cik in source.issuers]
    rows = np.arange(len(source.clock.sessions))[:, None]
    first, last = (_span_rows(source.clock, spans, edge) for edge in ("first", "last"))
    return ((rows >= first) & (rows <= last))[source.clock.offset :]


def _span_rows(clock: Clock, spans: list[Coverage | None], edge: str) -> np.ndarray:
    instants = [pd.NaT if span is None else getattr(span, edge) for span in spans]
    # Unknown coverage: a first row that no session reaches.
    return clock.rows(pd.Series(instants, dtype="datetime64[ns, UTC]"))


def _explanation(source: _Source, issuer: int, at: int) -> pd.DataFrame:
    events = source.events
    valid = (events.issuer == issuer) & (events.start <= at) & (at < events.stop)
    ago = at - events.anchor
    purchases = np.flatnonzero(valid & events.buy)
    latest = events.anchor[purchases].max(initial=-1)
    shown = np.flatnonzero(valid & ((ago < LONG_SESSIONS) | (events.buy & (events.anchor == latest))))
    rows = source.table.rows.loc[events.index[shown]]
    accepted_on = rows["accepted_at"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    listed = rows.assign(
        known_session=source.clock.sessions[events.anchor[shown]],
        sessions_ago=ago[shown],
        lag_days=(accepted_on - rows["transacted_on_checked"]).dt.days,
        counted_usd=events.cents[shown] / 100,
        in_21=ago[shown] < SHORT_SESSIONS,
        in_63=ago[shown] < LONG_SESSIONS,
        insider_class=[CLASS_NAMES[number] for number in events.routine[shown]],
    )
    return listed.sort_values(["accepted_at", "accession", "ordinal"], ascending=[False, True, True], ignore_index=True)
