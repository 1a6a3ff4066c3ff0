"""Raw rows of the transactions table from a source that brings columns, not documents.

`feeds.form4` judges each row of a document while it reads it. A table of a million rows is judged
here column by column, with the same rules and the same flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from feeds.form4 import FIRST_CREDIBLE_YEAR, LATE_DAYS, is_common_stock
from feeds.sessions import NEW_YORK
from feeds.transaction_table import COLUMN_KINDS, checked_price, dollar_value, typed

_EMPTY: dict[str, Any] = {
    "text": None, "truth": False, "number": np.nan, "count": 0, "date": np.datetime64("NaT", "s"),
    "instant": pd.NaT,
}  # fmt: skip


_FIRST_DAY = np.datetime64(f"{FIRST_CREDIBLE_YEAR}-01-01", "s")


def raw_rows(columns: Mapping[str, Any], flags: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Complete columns as filed to raw rows: what they lack is empty, what looks wrong is flagged.

    Parameters
    ----------
    columns : mapping of column name to array
        Some of `transaction_table.COLUMNS`, all of one length M; at least those that a trade has.
    flags : mapping of flag to boolean array, shape [M]
        The source's own flags; those of `feeds.form4` about dates, codes, prices and titles follow.

    Returns
    -------
    DataFrame
        Every column of `COLUMNS`; `transacted_on_checked`, `price_checked` and `value_usd` filled
        by the rules of `feeds.form4`. Lists of flags are shared between rows: never change them in place.
    """
    rows = pd.DataFrame(dict(columns))
    for name, kind in COLUMN_KINDS.items():
        if name not in rows:
            rows[name] = _no_texts(len(rows)) if kind == "texts" else _constant(_EMPTY[kind], len(rows))
    rows["first_accepted_at"] = rows["accepted_at"]
    rows = typed(rows)
    dates = _date_flags(rows)
    impossible = np.logical_or.reduce([mark for name, mark in dates.items() if name != "late"])
    rows["transacted_on_checked"] = rows["transacted_on"].mask(impossible, _credible_period(rows))
    rows["flags"] = flag_lists({**flags, **dates, **_trade_flags(rows)}, len(rows))
    rows["price_checked"] = checked_price(rows)
    rows["value_usd"] = dollar_value(rows)
    return typed(rows)


def flag_lists(marks: Mapping[str, np.ndarray], length: int) -> pd.Series:
    """Return, per row, the list of the flags whose mark is set, in the mapping's order."""
    codes = np.zeros(length, dtype=np.int64)
    for bit, mark in enumerate(marks.values()):
        codes |= np.asarray(mark, dtype=np.int64) << bit
    unique, inverse = np.unique(codes, return_inverse=True)
    lists = np.empty(len(unique), dtype=object)
    lists[:] = [[name for bit, name in enumerate(marks) if code >> bit & 1] for code in unique]
    return pd.Series(lists[inverse], dtype=object)


def per_text(texts: pd.Series, answer: Any) -> np.ndarray:
    """Return ``answer(text)`` for every row, asked once per different text (None for none)."""
    codes, unique = pd.factorize(texts, use_na_sentinel=False)
    answers = np.empty(len(unique), dtype=object)
    answers[:] = [answer(None if pd.isna(text) else text) for text in unique]
    return answers[codes]


def _credible_period(rows: pd.DataFrame) -> pd.Series:
    """Return the period of report, NaT where it cannot be true (`feeds.form4.is_credible`)."""
    period = rows["period"].to_numpy()
    return rows["period"].mask((period < _FIRST_DAY) | (period > _accepted_on(rows)))


def _accepted_on(rows: pd.DataFrame) -> np.ndarray:
    local = rows["accepted_at"].dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    return np.asarray(local.to_numpy().astype("datetime64[D]").astype("datetime64[s]"))


def _date_flags(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    filed, accepted = rows["transacted_on"].to_numpy(), _accepted_on(rows)
    missing = np.isnat(filed)
    early = filed < _FIRST_DAY
    after = (filed > accepted) & ~early
    return {
        "date_missing": missing,
        "date_before_1990": early,
        "date_after_acceptance": after,
        "late": (accepted - filed > np.timedelta64(LATE_DAYS, "D")) & ~early,
    }


def _trade_flags(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    plain, code, price = rows["table"] == "N", rows["code"], rows["price"]
    market_trade = plain & code.isin(["P", "S"])
    contrary = {"P": "D", "S": "A"}
    found = {
        "code_missing": code.isna(),
        "code_contradicts_direction": market_trade & (rows["acquired_disposed"] == code.map(contrary)),
        "price_missing": market_trade & price.isna(),
        "price_zero": market_trade & (price <= 0),
        "not_common_stock": plain & ~per_text(rows["security_title"], is_common_stock).astype(bool),
    }
    return {name: np.asarray(mark, dtype=bool) for name, mark in found.items()}


def _no_texts(length: int) -> pd.Series:
    nothing: list[str] = []
    return pd.Series([nothing] * length, dtype=object)


def _constant(value: Any, length: int) -> np.ndarray:
    return np.array([value] * length, dtype=object if value is None else None)
