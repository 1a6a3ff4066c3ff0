"""Filed prices against the day's range on the tape.

Filers mistype: the total value in the price's field, a shifted decimal point. Prices are compared with the
**as-traded** range of the trade's day, widened three times on both sides. Against adjusted prices
the comparison would "repair" good rows of every stock that has since split, so there filings are
only compared with each other (`feeds.filed_price_peers`), and nothing is repaired.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from feeds.filed_price_peers import BAND, LARGEST_SPLIT, unlike_peers
from feeds.issuers import issuer_columns, listed_issuers
from feeds.panel import PricePanel
from feeds.sessions import NEW_YORK, session_rows
from feeds.transaction_table import LARGEST_PRICE_USD, NOBODY, TransactionTable, checked_price, dollar_value

_DAYS_BACK = 5
REPAIRED, OUT_OF_RANGE, UNLIKE_PEERS = "price_was_total", "price_out_of_range", "price_unlike_peers"
FAR = "price_far_from_market"
_FLAGS = (REPAIRED, OUT_OF_RANGE, UNLIKE_PEERS, FAR)


def check_prices(table: TransactionTable, panel: PricePanel) -> TransactionTable:
    """Check the prices of open-market purchases and sales; fill `price_checked`, `value_usd` and flags.

    Against as-traded prices, a price within three times the day's low to high is kept. Where price /
    shares lies within, the total was filed: the quotient is used, flag ``price_was_total``. Any other
    gets NaN and the flag ``price_out_of_range``: out of dollar features, still counted as an insider's
    trade. Decimal shifts are not guessed. Rows without a bar to compare with (within 5 days before the
    trade's day, which may not be after the acceptance's) are left as they are. An issuer's price need fit one
    of its listed classes.

    Against adjusted prices, one that is far from the factor which other insiders' filings of those weeks, or
    the other prices of its own filing and day, share gets NaN and the flag ``price_unlike_peers``; a note says
    that no more could be done. A lone price more than 150 times off the bars, which hardly any splits explain,
    has the flag ``price_far_from_market`` and stays: the bars' factor is made of later splits, so that nothing
    may depend on it.

    Returns
    -------
    TransactionTable
        The same where nothing changes. Doing it again changes nothing.

    Notes
    -----
    **Known at** the filing's own session: the trade's day and earlier filings decide.
    """
    asked = np.flatnonzero(_market_trades(table.rows))
    rows = table.rows.iloc[asked]
    low, high = _ranges(rows, table, panel)
    if panel.price_basis == "as_traded":
        checked, marks = _against_tape(rows, low, high)
    else:
        checked, marks = _against_peers(rows, low, high)
        note = (
            f"filed prices were compared only with each other: the price source is {panel.price_basis}, not as_traded"
        )
        table = table if note in table.notes else replace(table, notes=(*table.notes, note))
    return _written(table, asked, np.where(checked <= LARGEST_PRICE_USD, checked, np.nan), marks)


def _market_trades(rows: pd.DataFrame) -> np.ndarray:
    trade = rows["code"].isin(["P", "S"]) & (rows["table"] == "N") & (rows["price"] > 0)
    return trade.to_numpy()


def _against_tape(rows: pd.DataFrame, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    price, shares = rows["price"].to_numpy(), rows["shares"].to_numpy()
    outside = np.isfinite(low).any(axis=1) & ~_within(price, low, high)
    quotient = np.divide(price, shares, out=np.full_like(price, np.nan), where=shares > 0)
    total = outside & _within(quotient, low, high)
    checked = np.where(total, quotient, np.where(outside, np.nan, price))
    return checked, {REPAIRED: total, OUT_OF_RANGE: outside & ~total}


def _against_peers(rows: pd.DataFrame, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    price, middle = rows["price"].to_numpy(), np.sqrt(low * high)
    # Of several listed classes any serves, as long as it is the same for all filings of a security.
    ratio = price / middle[np.arange(len(rows)), np.isfinite(middle).argmax(axis=1)]
    unlike = unlike_peers(rows, ratio)
    far = np.abs(np.log(ratio)) > np.log(BAND * LARGEST_SPLIT)
    return np.where(unlike, np.nan, price), {UNLIKE_PEERS: unlike, FAR: far & ~unlike}


def _written(
    table: TransactionTable, asked: np.ndarray, checked: np.ndarray, marks: dict[str, np.ndarray]
) -> TransactionTable:
    """Return the table with the checked prices, itself where they are in it already."""
    rows = table.rows
    held = list(rows["flags"].iloc[asked])
    flags = [[flag for flag in row if flag not in _FLAGS] if set(row) & set(_FLAGS) else row for row in held]
    for name, mark in marks.items():
        for i in np.flatnonzero(mark):
            flags[i] = [*flags[i], name]
    prices = checked_price(rows).to_numpy(copy=True)
    prices[asked] = checked
    if flags == held and np.array_equal(prices, rows["price_checked"].to_numpy(), equal_nan=True):
        return table
    column = rows["flags"].copy()
    column.iloc[asked] = pd.Series(flags, index=rows.index[asked], dtype=object)
    value = dollar_value(pd.DataFrame({"table": rows["table"], "shares": rows["shares"], "price_checked": prices}))
    return replace(table, rows=rows.assign(price_checked=prices, flags=column, value_usd=value))


def _ranges(rows: pd.DataFrame, table: TransactionTable, panel: PricePanel) -> tuple[np.ndarray, np.ndarray]:
    """Return the source's low and high of each row's day, shape [rows, classes of an issuer]; NaN unknown."""
    days, sessions = rows["transacted_on_checked"].to_numpy(), panel.sessions.to_numpy().astype("datetime64[s]")
    at = np.searchsorted(sessions, days, side="right") - 1
    near = (at >= 0) & (days - sessions[at] <= np.timedelta64(_DAYS_BACK, "D")) & (days <= _accepted_on(rows))
    issuers, named = listed_issuers(table.tickers), table.tickers["cik"] != NOBODY
    # Whose the ticker was on the trade's day, and whether the source could tell when the filing became known.
    known = issuer_columns(table.tickers, panel.tickers, panel.sessions, issuers)
    owner = known if named.all() else issuer_columns(table.tickers[named], panel.tickers, panel.sessions, issuers)
    own = issuers.get_indexer(pd.Index(rows["issuer_cik"]))
    columns = _columns_of_issuers(owner, known, len(issuers))[own]
    at = at[:, None]
    fits = (columns >= 0) & near[:, None] & (owner[at, columns] == own[:, None])
    if not named.all():
        fits &= known[_rows_known(rows, panel)[:, None], columns] >= 0
    low, high = (np.where(fits, panel.source_price(name)[at, columns], np.nan) for name in ("low", "high"))
    return low, high


def _accepted_on(rows: pd.DataFrame) -> np.ndarray:
    """Return the day of acceptance in New York; a later day's prices are not known to the filing."""
    local = rows["accepted_at"].dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    return np.asarray(local.dt.normalize().to_numpy().astype("datetime64[s]"))


def _rows_known(rows: pd.DataFrame, panel: PricePanel) -> np.ndarray:
    """Return the panel's row of the first session that may know each filing, its last for those beyond and untimed."""
    accepted = pd.DatetimeIndex(rows["accepted_at"].fillna(pd.Timestamp.max.tz_localize("UTC")))
    return np.minimum(session_rows(accepted, panel.sessions), len(panel.sessions) - 1)


def _columns_of_issuers(owner: np.ndarray, known: np.ndarray, n_issuers: int) -> np.ndarray:
    """Return the panel's columns of each issuer, first named first, filled with -1; the last row is of nobody."""
    columns: list[list[int]] = [[] for _ in range(n_issuers + 1)]
    for column in np.argsort((known >= 0).argmax(axis=0), kind="stable").tolist():
        for issuer in np.unique(owner[:, column]):
            if issuer >= 0:
                columns[issuer].append(column)
    slots = np.full((n_issuers + 1, max(map(len, columns), default=0) or 1), -1)
    for issuer, held in enumerate(columns):
        slots[issuer, : len(held)] = held
    return slots


def _within(price: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    inside = (price[:, None] >= low / BAND) & (price[:, None] <= high * BAND)
    return np.asarray(inside.any(axis=1))
