"""From settings to checked prices: where the source lies, which stocks of it are wanted, and the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from engine.price_cache import PriceRequest, cached_prices
from engine.price_download import universe_tickers, yahoo_store
from engine.settings import Settings
from feeds.errors import InputError
from feeds.membership import Membership, read_membership
from feeds.panel import PricePanel
from feeds.price_folder import ParquetFolder, describe_vintages
from feeds.prices import CheckedPrices, check_prices, load_checked
from feeds.progress import Progress

_NAMES_SHOWN = 12


@dataclass(frozen=True)
class Source:
    """A price source on disk and what is wanted of it.

    Attributes
    ----------
    spec : str
        As `feeds.prices.load_checked` takes it.
    tickers, universe : tuple of str, or None
        Stocks that it must have, or may have.
    warnings : list of str
    """

    spec: str
    tickers: tuple[str, ...] | None
    universe: tuple[str, ...] | None
    warnings: list[str] = field(default_factory=list)


def check_place(settings: Settings) -> None:
    """Refuse a price source that is not there, before anything else about it is judged."""
    kind, _, place = settings.prices.partition(":")
    if place and not Path(place).exists():
        raise InputError(f"`--prices {kind}:{place}`: expected prices, received a path that does not exist; correct it")


@contextmanager
def price_source(settings: Settings, progress: Progress) -> Iterator[Source]:
    """Give the place of the prices, downloaded first with ``--prices yahoo``.

    Raises
    ------
    InputError, EnvironmentFailure
        See `engine.price_download.yahoo_store`, and `feeds.membership.read_membership`.
    """
    if settings.prices != "yahoo":
        yield Source(settings.prices, settings.tickers or None, universe_tickers(settings))
        return
    with yahoo_store(settings, progress) as (folder, tickers, warnings):
        stored = tuple(tickers)
        named, members = (stored, None) if settings.tickers else (None, stored)
        yield Source(f"parquet:{folder}", named, members, warnings)


def read_prices(settings: Settings, progress: Progress) -> tuple[CheckedPrices, list[str]]:
    """Return a real source's prices, from the cache where they are, and what a reader must know of them.

    Raises
    ------
    InputError, EnvironmentFailure
        See `feeds.prices.load_checked`, `price_source` and `engine.price_cache.cached_prices`.
    """
    last = pd.Timestamp(settings.last) if settings.last else None
    with price_source(settings, progress) as source:
        kind, _, place = source.spec.partition(":")
        until = last.date().isoformat() if last is not None else None
        request = PriceRequest(Path(place), kind, source.tickers, source.universe, until, settings.repair)
        checked = cached_prices(
            Path(settings.cache) if settings.cache else None,
            request,
            lambda: load_checked(
                source.spec,
                tickers=source.tickers,
                last=last,
                progress=progress,
                repair=settings.repair,
                universe=source.universe,
            ),
        )
        return checked, [*source.warnings, *_vintage_warning(settings, checked.panel)]


def judge_prices(settings: Settings, progress: Progress) -> CheckedPrices:
    """Return what is found in a real source, which is not refused for it; nothing comes from the cache."""
    last = pd.Timestamp(settings.last) if settings.last else None
    with price_source(settings, progress) as source:
        return check_prices(
            source.spec,
            tickers=source.tickers,
            last=last,
            progress=progress,
            repair=settings.repair,
            universe=source.universe,
        )


def membership_of(settings: Settings, panel: PricePanel) -> tuple[Membership | None, list[str]]:
    """Return who was a member when, and a warning that names members without prices."""
    if settings.universe is None:
        return None, []
    membership = read_membership(Path(settings.universe))
    if settings.prices == "yahoo":  # the download has named them
        return membership, []
    wanted = set(membership.tickers) & set(settings.tickers or membership.tickers)
    absent = sorted(wanted - set(panel.tickers))
    if not absent:
        return membership, []
    named = ", ".join(absent[:_NAMES_SHOWN]) + (
        f" and {len(absent) - _NAMES_SHOWN:,} more" * (len(absent) > _NAMES_SHOWN)
    )
    return membership, [
        f"{len(absent)} of {len(wanted)} stocks of the universe have no prices: {named}; if they are the ones that "
        "failed, every return here is too high"
    ]


def _vintage_warning(settings: Settings, panel: PricePanel) -> list[str]:
    kind, _, place = settings.prices.partition(":")
    if kind != "parquet" or not Path(place).is_dir():
        return []
    traded = set(panel.tickers)
    vintages = ParquetFolder(Path(place)).vintages()
    told = describe_vintages({ticker: vintage for ticker, vintage in vintages.items() if ticker in traded})
    return [told] if told else []
