"""How orders are filled and what that costs: one description for the command line, Python, report and manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from engine.costs import Commission, Slippage, parse_commission, parse_slippage
from engine.settings import Settings
from feeds.errors import InputError

_NAMES_SHOWN = 12


@dataclass(frozen=True)
class Execution:
    """What `engine.broker.SafeBroker` is asked for beside cash and basis points; its docstring has the rules.

    Attributes
    ----------
    commission, slippage : optional
        Models of `engine.costs` that replace the basis points.
    volume_frac : float or None
    unaffordable : str
    delisting_return : float or mapping of ticker to float
    trail_on : str
    allow_short : bool
    borrow_rate : float
    dividends : mapping, optional
    """

    commission: Commission | None = None
    slippage: Slippage | None = None
    volume_frac: float | None = 0.025
    unaffordable: str = "resize"
    delisting_return: float | Mapping[str, float] = 0.0
    trail_on: str = "high"
    allow_short: bool = False
    borrow_rate: float = 0.0
    dividends: Mapping[str, Mapping[float, float]] | None = None

    def broker_parameters(self) -> dict[str, Any]:
        """Return the parameters of `SafeBroker`."""
        return dict(vars(self))


def execution_of(settings: Settings) -> Execution:
    """Return what the settings ask for.

    Raises
    ------
    InputError
        For a cost model or a file of delisting returns that cannot be read.
    """
    commission, slippage = settings.commission, settings.slippage
    return Execution(
        commission=None if commission is None else parse_commission("--commission", commission),
        slippage=None if slippage is None else parse_slippage("--slippage", slippage),
        volume_frac=None if math.isinf(settings.volume_percent) else settings.volume_percent / 100,
        unaffordable=settings.unaffordable,
        delisting_return=read_delisting_returns(settings.delisting_return),
    )


def read_delisting_returns(text: str) -> float | dict[str, float]:
    """Return the number that a text is, or the returns by ticker of the CSV file that it names.

    Raises
    ------
    InputError
        For a file without the columns ``ticker`` and ``return``, a ticker that is missing or comes twice, or a
        return below -1.
    """
    try:
        number = float(text)
    except ValueError:
        return _read_returns(text)
    return _checked(number, text)


def _read_returns(text: str) -> dict[str, float]:
    try:
        frame = pd.read_csv(text, dtype=str, na_filter=False)  # a ticker may be NA
        tickers, returns = frame["ticker"].str.strip(), frame["return"].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"`--delisting-return`: expected a return such as -0.3, or a CSV file with the columns ticker and "
            f"return, received {text}: {error}"
        ) from None
    if (tickers == "").any():
        raise InputError(f"`--delisting-return` {text}: expected a ticker in every row, received none in one")
    twice = tickers[tickers.duplicated()]
    if len(twice):
        raise InputError(
            f"`--delisting-return` {text}: expected one return per ticker, received several for {twice.iloc[0]}; "
            "leave one"
        )
    return {name: _checked(value, f"{value} for {name}") for name, value in zip(tickers, returns, strict=True)}


def delisting_warnings(settings: Settings, tickers: Sequence[str]) -> list[str]:
    """Name the stocks of a file of delisting returns that have no prices; it may well hold more than are traded."""
    returns = read_delisting_returns(settings.delisting_return)
    given = set(returns) if isinstance(returns, Mapping) else set()
    wanted = given & set(settings.tickers or given)
    absent = sorted(wanted - set(tickers))
    if not absent:
        return []
    more = f" and {len(absent) - _NAMES_SHOWN:,} more" * (len(absent) > _NAMES_SHOWN)
    return [
        f"{len(absent)} of {len(wanted)} stocks in {Path(settings.delisting_return).name} have no prices: "
        f"{', '.join(absent[:_NAMES_SHOWN])}{more}; their returns are not used"
    ]


def _checked(value: float, received: str) -> float:
    if not (math.isfinite(value) and value >= -1):
        raise InputError(f"`--delisting-return`: expected a return from -1 such as -0.3, received {received}")
    return value


def execution_sentences(settings: Settings) -> list[str]:
    """Say in the report how orders were filled."""
    percent = settings.volume_percent
    budget = (
        "Any size can be filled on any day."
        if math.isinf(percent)
        else f"All orders of a stock together fill at most {percent:g} % of its volume on a day; the rest waits for "
        "its next bars."
    )
    short = {
        "resize": "is cut to what cash pays",
        "refuse": "is refused",
    }[settings.unaffordable]
    return [
        f"{budget} A purchase that cash cannot pay at its open {short}; sales come first. The list of orders says what "
        "was changed.",
        _delisting_sentence(settings.delisting_return),
    ]


def _delisting_sentence(text: str) -> str:
    try:
        given = float(text)
        at = "its last price" if given == 0 else f"its last price and {given:+.1%} of it"
    except ValueError:
        at = f"its last price and what {Path(text).name} gives for it"
    return (
        f"A stock whose prices end before the others' is taken as delisted and sold at {at}: the data do not say "
        "whether it was, or only its file ends. The money is not always so easily had."
    )
