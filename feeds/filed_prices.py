"""Filed prices against the day's range on the tape.

Filers mistype: the total value in the price's field, a shifted decimal point. Prices are compared with the
**as-traded** range of the trade's day, widened three times on both sides. Against adjusted prices
the comparison would "repair" good rows of every stock that has since split, so it is not made there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from feeds.issuers import issuer_columns
from feeds.panel import PricePanel
from feeds.transaction_table import TransactionTable, checked_price, dollar_value

BAND = 3.0
_DAYS_BACK = 5
REPAIRED, OUT_OF_RANGE = "price_was_total", "price_out_of_range"


def check_prices(table: TransactionTable, panel: PricePanel) -> TransactionTable:
    """Check the prices of open-market purchases and sales; fill `price_checked`, `value_usd` and flags.

    A price within three times the day's low to high is kept. Where price / shares lies within, the
    total was filed: the quotient is used, flag ``price_was_total``. Any other gets NaN and the flag
    ``price_out_of_range``: out of dollar features, still counted as an insider's trade. Decimal
    shifts are not guessed. Rows without a bar to compare with (within 5 days before the trade's
    day) are left as they are. An issuer's price need fit one of its listed classes.

    Returns
    -------
    TransactionTable
        The same where the panel's prices are not as traded, with a note that says so. Doing it
        again changes nothing.

    Notes
    -----
    **Known at** the close of the trade's day, which is never after the filing's own session.
    """
    if panel.price_basis != "as_traded":
        note = f"filed prices were not checked: the price source is {panel.price_basis}, not as_traded"
        return table if note in table.notes else replace(table, notes=(*table.notes, note))
    rows = table.rows
    price, shares = checked_price(rows).to_numpy(), rows["shares"].to_numpy()
    asked = ((rows["table"] == "N") & rows["code"].isin(["P", "S"])).to_numpy() & np.isfinite(price)
    low, high = _ranges(table, panel, asked)
    compared = asked & np.isfinite(low).any(axis=1)
    outside = compared & ~_within(price, low, high)
    quotient = np.divide(price, shares, out=np.full_like(price, np.nan), where=shares > 0)
    total = outside & _within(quotient, low, high)
    checked = np.where(total, quotient, np.where(outside, np.nan, price))
    flags = _flagged(rows["flags"], {REPAIRED: total, OUT_OF_RANGE: outside & ~total})
    rows = rows.assign(price_checked=checked, flags=flags)
    return replace(table, rows=rows.assign(value_usd=dollar_value(rows)))


def _ranges(table: TransactionTable, panel: PricePanel, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the as-traded low and high of each row's day, shape [rows, classes of an issuer]; NaN unknown."""
    rows = table.rows
    days, sessions = rows["transacted_on_checked"].to_numpy(), panel.sessions.to_numpy().astype("datetime64[s]")
    at = np.searchsorted(sessions, days, side="right") - 1
    near = (at >= 0) & (days - sessions[at] <= np.timedelta64(_DAYS_BACK, "D"))
    usable = np.flatnonzero(asked & near)
    issuers = pd.Index(sorted(table.tickers["cik"].unique()))
    owner = issuer_columns(table.tickers, panel.tickers, panel.sessions, issuers)
    own = issuers.get_indexer(pd.Index(rows["issuer_cik"]))
    columns_of = {i: np.flatnonzero((owner == i).any(axis=0)) for i in np.unique(own[usable]) if i >= 0}
    width = max((len(columns) for columns in columns_of.values()), default=0)
    slots = np.full((len(issuers) + 1, max(width, 1)), -1)
    for i, columns in columns_of.items():
        slots[i, : len(columns)] = columns
    low = np.full((len(rows), slots.shape[1]), np.nan)
    high = low.copy()
    columns, at = slots[own[usable]], at[usable][:, None]
    fits = (columns >= 0) & (owner[at, columns] == own[usable][:, None])
    low[usable] = np.where(fits, panel.source_price("low")[at, columns], np.nan)
    high[usable] = np.where(fits, panel.source_price("high")[at, columns], np.nan)
    return low, high


def _within(price: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    inside = (price[:, None] >= low / BAND) & (price[:, None] <= high * BAND)
    return np.asarray(inside.any(axis=1))


def _flagged(flags: pd.Series, marks: dict[str, np.ndarray]) -> pd.Series:
    values = list(flags)
    stale = np.array([REPAIRED in row or OUT_OF_RANGE in row for row in values], dtype=bool)
    for i in np.flatnonzero(stale | np.logical_or.reduce(list(marks.values()))):
        kept = [flag for flag in values[i] if flag not in marks]
        values[i] = kept + [flag for flag, mark in marks.items() if mark[i]]
    return pd.Series(values, index=flags.index, dtype=object)
