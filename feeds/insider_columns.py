"""Every insider column, declared once: what it is, in what unit, over which window, and its nothing.

`COLUMNS` is the table; `column_table` shows it. All columns are **known at** the session's close
(filings accepted strictly before it) and windows count sessions from the one in which a trade
became known, never from the trade's date. 21 sessions are a calendar month and 63 a quarter (30 and 91
days, holidays apart), so windows of 30 and 90 calendar days would repeat them.

Two kinds of nothing, beside the NaN outside the source's coverage and where the stock did not trade:

``0``    no such trade is a fact of its own: nothing was bought, nobody sold
``NaN``  the question has no answer: a share of no sales, the time since a purchase that never was

Sources of the formulas: net purchase ratio, Lakonishok and Lee, Review of Financial Studies 2001;
clusters, Alldredge and Blank, Journal of Financial Research 2019; opportunistic and routine
insiders, Cohen, Malloy and Pomorski, Journal of Finance 2012; officers against others, Wang, Shin and
Francis, JFQA 2012.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from feeds.insider_events import Events
from feeds.insider_measures import GROUPS, INSIDERS, Measures

SHORT_SESSIONS, LONG_SESSIONS = 21, 63
_CLUSTER_CAP = 5
_CONVICTION_CAP = 10.0
_WINDOWS = (SHORT_SESSIONS, LONG_SESSIONS)
Side = Literal["buy", "sell", "both"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name, unit, meaning : str
    window : int or None
        Sessions; None: the session itself, or without end (see `meaning`).
    nothing : {"0", "NaN"}
        The value where coverage is given and no trade is behind it; see the module.
    side, group : str
        Which trades it counts; groups are those of `feeds.insider_measures`.
    compute : callable
        Measures → ndarray of float64, shape [T, N].
    latest : str or None
        For a column that looks at the latest trade only: the `Events` attribute that tells which.
    """

    name: str
    unit: str
    window: int | None
    nothing: Literal["0", "NaN"]
    side: Side
    group: str
    meaning: str
    compute: Callable[[Measures], np.ndarray]
    latest: Literal["anchor", "accepted_s"] | None = None

    def counts(self, events: Events) -> np.ndarray:
        """Tell which events are of the column's side and group, whenever they were."""
        side = events.buy if self.side == "buy" else ~events.buy if self.side == "sell" else True
        return np.asarray(GROUPS[self.group](events) & side)


def column_table() -> pd.DataFrame:
    """Return name, unit, window, nothing, side, group and meaning of every column."""
    shown = ("name", "unit", "window", "nothing", "side", "group", "meaning")
    return pd.DataFrame([[getattr(column, key) for key in shown] for column in COLUMNS], columns=list(shown))


def _model_columns() -> Iterator[Column]:
    """The inputs of the model, after `ins_known`."""
    volume = "per average daily volume of 63 bars"
    yield Column(
        "ins_buy_21", "ln(1 + days)", 21, "0", "buy", INSIDERS, f"ln(1 + USD bought {volume})",
        lambda m: np.log1p(m.to_volume(m.bought(21))),
    )  # fmt: skip
    yield Column(
        "ins_sell_21", "ln(1 + days)", 21, "0", "sell", INSIDERS, f"ln(1 + USD sold {volume})",
        lambda m: np.log1p(m.to_volume(m.sold(21))),
    )  # fmt: skip
    yield Column(
        "ins_net_63", "ratio", 63, "0", "both", INSIDERS, "(buyers - sellers) / (buyers + sellers + 1), persons",
        lambda m: _net(m.buyers(63), m.sellers(63), extra=1),
    )  # fmt: skip
    yield Column(
        "ins_cluster_21", "fraction", 21, "0", "buy", INSIDERS, "min(distinct buyers, 5) / 5",
        lambda m: np.minimum(m.buyers(21), _CLUSTER_CAP) / _CLUSTER_CAP,
    )  # fmt: skip
    yield Column(
        "ins_opportunistic_21", "fraction of USD", 21, "0", "buy", INSIDERS,
        "share of the USD bought that is not by routine insiders (opportunistic and unclassified ones)",
        lambda m: _not_routine(m.bought(21), m.bought(21, "routine")),
    )  # fmt: skip
    yield Column(
        "ins_recency_21", "fraction", None, "0", "buy", INSIDERS,
        "exp(-sessions since the last purchase became known / 21)",
        lambda m: np.exp(-m.sessions_since(buy=True) / SHORT_SESSIONS), latest="anchor",
    )  # fmt: skip


def _dollar_columns(window: int) -> Iterator[Column]:
    yield Column(
        f"ins_buy_usd_{window}", "USD", window, "0", "buy", INSIDERS, "bought", lambda m: m.bought(window)
    )  # fmt: skip
    yield Column(
        f"ins_sell_usd_{window}", "USD", window, "0", "sell", INSIDERS, "sold", lambda m: m.sold(window)
    )  # fmt: skip
    yield Column(
        f"ins_net_to_adv_{window}", "days of volume", window, "0", "both", INSIDERS,
        "(USD bought - sold) / average daily dollar volume of the last 63 bars",
        lambda m: m.to_volume(m.bought(window) - m.sold(window)),
    )  # fmt: skip
    yield Column(
        f"ins_npr_usd_{window}", "ratio", window, "NaN", "both", INSIDERS,
        "net purchase ratio by dollars, (bought - sold) / (bought + sold)",
        lambda m: _net(m.bought(window), m.sold(window)),
    )  # fmt: skip


def _person_columns(window: int) -> Iterator[Column]:
    yield Column(
        f"ins_npr_{window}", "ratio", window, "NaN", "both", INSIDERS,
        "net purchase ratio by persons, (buyers - sellers) / (buyers + sellers)",
        lambda m: _net(m.buyers(window), m.sellers(window)),
    )  # fmt: skip
    yield Column(
        f"ins_n_buyers_{window}", "persons", window, "0", "buy", INSIDERS, "distinct buyers",
        lambda m: m.buyers(window),
    )  # fmt: skip
    yield Column(
        f"ins_n_sellers_{window}", "persons", window, "0", "sell", INSIDERS, "distinct sellers",
        lambda m: m.sellers(window),
    )  # fmt: skip
    for size in (2, 3):
        yield _cluster_column(size, window)
    yield Column(
        f"ins_conviction_{window}", "ratio", window, "0", "buy", INSIDERS,
        "largest shares bought / shares held before of a row, at most 10 (also for a first holding); "
        "NaN where no purchase tells its holding",
        lambda m: _conviction(m.conviction(window), m.buyers(window)),
    )  # fmt: skip


def _cluster_column(size: int, window: int) -> Column:
    return Column(
        f"ins_cluster{size}_{window}", "0 or 1", window, "0", "buy", INSIDERS, f"1 from {size} distinct buyers on",
        lambda m: (m.buyers(window) >= size).astype(np.float64),
    )  # fmt: skip


_GROUP_WORDS = {
    "officer": "officers, CEO and CFO included",
    "ceo": "the chief executive",
    "cfo": "the chief financial officer",
    "director": "directors who are not officers",
    "ten_percent": "ten-percent owners who are neither officers nor directors (in no other column)",
    "opp": "opportunistic insiders: active in each of three calendar years, in no month in all of them",
    "routine": "routine insiders: in the same calendar month of each of three years",
    "unclassified": "insiders without a trade in each of the three calendar years before",
}


def _group_columns(group: str) -> Iterator[Column]:
    window, who = LONG_SESSIONS, _GROUP_WORDS[group]
    yield Column(
        f"ins_{group}_buy_usd_{window}", "USD", window, "0", "buy", group, f"bought by {who}",
        lambda m: m.bought(window, group),
    )  # fmt: skip
    yield Column(
        f"ins_{group}_sell_usd_{window}", "USD", window, "0", "sell", group, f"sold by {who}",
        lambda m: m.sold(window, group),
    )  # fmt: skip
    yield Column(
        f"ins_{group}_n_buyers_{window}", "persons", window, "0", "buy", group, f"distinct buyers, {who}",
        lambda m: m.buyers(window, group),
    )  # fmt: skip
    yield Column(
        f"ins_{group}_npr_{window}", "ratio", window, "NaN", "both", group, f"net purchase ratio by persons, {who}",
        lambda m: _net(m.buyers(window, group), m.sellers(window, group)),
    )  # fmt: skip


def _plan_column(name: str, group: str, meaning: str) -> Column:
    return Column(
        name, "fraction of USD", LONG_SESSIONS, "NaN", "sell", INSIDERS, f"share of the USD sold {meaning}",
        lambda m: _ratio(m.sold(LONG_SESSIONS, group), m.sold(LONG_SESSIONS)),
    )  # fmt: skip


def _event_columns() -> Iterator[Column]:
    yield Column(
        "ins_sessions_since_buy", "sessions", None, "NaN", "buy", INSIDERS,
        "since the last purchase became known", lambda m: _finite(m.sessions_since(buy=True)), latest="anchor",
    )  # fmt: skip
    yield Column(
        "ins_sessions_since_sell", "sessions", None, "NaN", "sell", INSIDERS,
        "since the last sale became known", lambda m: _finite(m.sessions_since(buy=False)), latest="anchor",
    )  # fmt: skip
    yield Column(
        "ins_new_today", "filings", 1, "0", "both", INSIDERS,
        "filings, amendments included, whose purchases or sales became known in this session",
        lambda m: m.new_filings(),
    )  # fmt: skip
    yield Column(
        "ins_last_accept", "seconds since 1970, UTC", None, "NaN", "both", INSIDERS,
        "acceptance of the latest filing that counts", lambda m: _finite(m.last_accepted()), latest="accepted_s",
    )  # fmt: skip


def _net(plus: np.ndarray, minus: np.ndarray, extra: int = 0) -> np.ndarray:
    return _ratio(plus - minus, plus + minus + extra)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _not_routine(bought: np.ndarray, routine: np.ndarray) -> np.ndarray:
    return np.divide(bought - routine, bought, out=np.zeros_like(bought), where=bought > 0)


def _conviction(largest: np.ndarray, buyers: np.ndarray) -> np.ndarray:
    known = np.where(np.isneginf(largest), np.nan, np.minimum(largest, _CONVICTION_CAP))
    return np.where(buyers == 0, 0.0, known)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


_MODEL = tuple(_model_columns())
COLUMNS: tuple[Column, ...] = (
    *_MODEL,
    *(column for window in _WINDOWS for column in _dollar_columns(window)),
    *(column for window in _WINDOWS for column in _person_columns(window)),
    *(column for group in _GROUP_WORDS for column in _group_columns(group)),
    _plan_column("ins_plan_share_63", "planned", "under a 10b5-1 plan"),
    _plan_column("ins_plan_unknown_63", "plan_unknown", "in filings that do not tell (most before April 2023)"),
    *_event_columns(),
)
INSIDER_COLUMNS: tuple[str, ...] = ("ins_known", *(column.name for column in _MODEL))
ALL_INSIDER_COLUMNS: tuple[str, ...] = ("ins_known", *(column.name for column in COLUMNS))
