"""Settings of the embedded market, and who exists in it: sessions, stocks, sectors, listings, halts, splits.

Everything here is known before a single price is drawn. Every draw is made in session order from a
stream of its own, so a market of fewer sessions is the beginning of the longer one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.sessions import trading_sessions

SESSIONS_PER_YEAR = 252
SECTORS = (
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
)
# Combinations that `_tickers` must skip: they are, or were, listed companies.
_REAL_TICKERS = {"JAGX", "JAKK", "JANX", "JELD", "JILL", "QADB", "QIPT", "QUBT", "XENT", "ZAGG"}
_HALT_LENGTHS = (1, 1, 1, 2, 2, 7)  # one longer than the five sessions after which a model must warm up anew


class Stream(IntEnum):
    """One random stream per purpose, so that a knob never shifts the draws of another part."""

    UNIVERSE = 1
    HALTS = 2
    HALT_LENGTHS = 3
    STOCKS = 4
    MARKET = 5
    MARKET_VOLATILITY = 6
    SECTOR = 7
    OWN = 8
    OWN_VOLATILITY = 9
    RANGE = 10
    VOLUME = 11
    ACTS = 12
    ACT_PEOPLE = 13
    CLUSTERS = 14
    CLUSTER_PEOPLE = 15
    CALENDAR = 16
    CALENDAR_YEARS = 17
    FILINGS = 18


@dataclass(frozen=True)
class MarketSettings:
    """What the embedded market is made of. Same settings, same bytes.

    Attributes
    ----------
    seed : int
        Seed of every stream.
    n_stocks, n_sessions : int
        Size; a shorter market is the beginning of a longer one.
    first : str
        Date of the first session (ISO).
    memory_strength : float
        Expected return of the next bar, in units of the stock's own volatility, for one standard
        deviation of the average of its past idiosyncratic shocks; 0 plants nothing.
    memory_half_life_bars : float
        Half-life of that exponential average.
    drift_strength : float
        Log return gained over `drift_sessions` once two insiders' purchases are public; 0 plants nothing.
    drift_sessions : int
        How long that drift lasts.
    cluster_sessions : int
        Two insiders' purchases cluster if they became public within this many sessions.
    filings_per_stock_year : float
        About how many Form 4 filings a stock has in a year.
    market_volatility, sector_volatility, own_volatility_low, own_volatility_high : float
        Annual volatilities of the factors and of the idiosyncratic part.
    equity_premium : float
        Expected annual return of a stock with a beta of 1.
    late_listings, delistings : tuple of int
        Rows of the first bars of stocks that list late; rows of the last bars of stocks that leave.
    splits : tuple of (int, float)
        Row of the ex-date and new shares per old one; below 1 is a reverse split.
    halts_per_stock_year : float
        How often a stock stops trading for one to seven sessions.

    Raises
    ------
    InputError
        If a value lies outside its range, or the exchange's calendar ends before the last session.
    """

    seed: int = 0
    n_stocks: int = 40
    first: str = "2017-01-03"
    n_sessions: int = 1760
    memory_strength: float = 0.08
    memory_half_life_bars: float = 8.0
    drift_strength: float = 0.06
    drift_sessions: int = 40
    cluster_sessions: int = 10
    filings_per_stock_year: float = 11.0
    market_volatility: float = 0.16
    sector_volatility: float = 0.08
    own_volatility_low: float = 0.25
    own_volatility_high: float = 0.35
    equity_premium: float = 0.06
    late_listings: tuple[int, ...] = (310, 640)
    delistings: tuple[int, ...] = (1180,)
    splits: tuple[tuple[int, float], ...] = ((420, 2.0), (860, 3.0), (1020, 0.1), (1400, 2.0))
    halts_per_stock_year: float = 0.05

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            _check_number(name, getattr(self, name), low, high)
        if self.own_volatility_high < self.own_volatility_low:
            raise InputError(
                f"`own_volatility_high`: expected at least `own_volatility_low` ({self.own_volatility_low}), "
                f"received {self.own_volatility_high}"
            )
        for name in ("late_listings", "delistings"):
            for row in getattr(self, name):
                _check_number(name, row, 1, 100_000)
        for row, ratio in self.splits:
            _check_number("splits", row, 1, 100_000)
            _check_number("splits", ratio, 0.01, 100.0)


_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "n_stocks": (2, 2_000),
    "n_sessions": (2, 8_000),
    "memory_strength": (0.0, 1.0),
    "memory_half_life_bars": (0.5, 250.0),
    "drift_strength": (0.0, 1.0),
    "drift_sessions": (1, 250),
    "cluster_sessions": (1, 250),
    "filings_per_stock_year": (0.0, 60.0),
    "market_volatility": (0.01, 1.0),
    "sector_volatility": (0.0, 1.0),
    "own_volatility_low": (0.01, 2.0),
    "own_volatility_high": (0.01, 2.0),
    "equity_premium": (-0.5, 0.5),
    "halts_per_stock_year": (0.0, 20.0),
}


def _check_number(name: str, value: float, low: float, high: float) -> None:
    # A bound written as a whole number asks for whole numbers.
    whole = isinstance(low, int)
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"`{name}`: expected {kind} between {low} and {high}, received {value!r}")


def generator(settings: MarketSettings, stream: Stream) -> np.random.Generator:
    """Return the stream's own generator."""
    return np.random.default_rng([settings.seed, int(stream)])


@dataclass(frozen=True)
class Universe:
    """Who exists, and when it trades.

    Attributes
    ----------
    sessions : DatetimeIndex, shape [T]
    tickers : tuple of str, length N
    sector : ndarray of int, shape [N]
        Index into `SECTORS`.
    traded : ndarray of bool, shape [T, N]
        False before listing, after delisting and on halted sessions.
    first_rows : ndarray of int, shape [N]
        Row of the first bar; may be T or more where the market ends before the listing.
    last_rows : ndarray of int, shape [N]
        Row of a leaving stock's last bar; T or more for stocks that stay.
    splits : ndarray of float, shape [T, N]
        New shares per old one on the ex-date, 1 elsewhere.
    first_price_usd : ndarray of float, shape [N]
        Level of the price at row 0.
    """

    sessions: pd.DatetimeIndex
    tickers: tuple[str, ...]
    sector: np.ndarray
    traded: np.ndarray
    first_rows: np.ndarray
    last_rows: np.ndarray
    splits: np.ndarray
    first_price_usd: np.ndarray


def universe(settings: MarketSettings) -> Universe:
    """Build the sessions, names, listings, halts and splits of `settings`."""
    rng = generator(settings, Stream.UNIVERSE)
    order = rng.permutation(settings.n_stocks)
    sector = rng.permutation(np.arange(settings.n_stocks) % len(SECTORS))
    price = np.exp(rng.uniform(np.log(15), np.log(180), settings.n_stocks))
    level = rng.random(settings.n_stocks)
    first_rows = np.zeros(settings.n_stocks, dtype=np.int64)
    last_rows = np.full(settings.n_stocks, settings.n_sessions)
    splits = np.ones((settings.n_sessions, settings.n_stocks))
    # Each stock gets one peculiarity before any gets two; one stock always stays ordinary.
    special = itertools.cycle(order[1:])
    for row in settings.late_listings:
        first_rows[next(special)] = row
    for row in settings.delistings:
        last_rows[next(special)] = row
    for row, ratio in settings.splits:
        stock = next(special)
        # Expensive stocks split and cheap ones consolidate.
        price[stock] = 120 + 120 * level[stock] if ratio > 1 else 5 + 4 * level[stock]
        if first_rows[stock] < row < settings.n_sessions:
            splits[row, stock] = ratio
    rows = np.arange(settings.n_sessions)[:, None]
    traded = (rows >= first_rows) & (rows <= last_rows) & ~_halted(settings, first_rows, splits)
    names = _tickers(settings.n_stocks)
    return Universe(_sessions(settings), names, sector, traded, first_rows, last_rows, splits, price)


def _sessions(settings: MarketSettings) -> pd.DatetimeIndex:
    try:
        first = pd.Timestamp(settings.first)
    except ValueError:
        raise InputError(f"`first`: expected a date such as 2017-01-03, received {settings.first!r}") from None
    enough = first + pd.Timedelta(days=settings.n_sessions * 366 // 250 + 15)
    sessions = trading_sessions(first, min(enough, pd.Timestamp.now().normalize()))[: settings.n_sessions]
    if len(sessions) < settings.n_sessions:
        raise InputError(
            f"`n_sessions`: expected at most {len(sessions)} sessions from {first.date()} until today, "
            f"received {settings.n_sessions}; choose an earlier `first`"
        )
    return sessions


def _tickers(count: int) -> tuple[str, ...]:
    letters = itertools.product("JQXZ", "AEIOU", "BDFGKLMNPRTV", "BDGKLMNPRTX")
    names = sorted({"".join(combination) for combination in letters} - _REAL_TICKERS)
    chosen = np.random.default_rng(4).permutation(len(names))[:count]
    return tuple(sorted(names[index] for index in chosen))


def _halted(settings: MarketSettings, first_rows: np.ndarray, splits: np.ndarray) -> np.ndarray:
    shape = splits.shape
    chance = settings.halts_per_stock_year / SESSIONS_PER_YEAR
    starts = np.argwhere(generator(settings, Stream.HALTS).random(shape) < chance)
    lengths = generator(settings, Stream.HALT_LENGTHS).integers(0, len(_HALT_LENGTHS), len(starts))
    halted = np.zeros(shape, dtype=bool)
    for (row, stock), length in zip(starts, lengths, strict=True):
        begin = max(row, first_rows[stock] + 1)
        halted[begin : row + _HALT_LENGTHS[length], stock] = True
    return halted & (splits == 1.0)
