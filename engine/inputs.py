"""From settings to data: the panel, the filings, sectors, and the settings of the embedded market."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from engine.filing_source import make_folder, read_source, require_filings
from engine.findings import finding_warnings
from engine.price_inputs import membership_of, read_prices
from engine.provenance import code_digest, input_digests
from engine.settings import Settings
from feeds.errors import InputError, unknown_name
from feeds.membership import Membership
from feeds.panel import PricePanel
from feeds.price_table import Finding
from feeds.prices import CheckedPrices, check_panel
from feeds.progress import Progress
from feeds.sessions import session_closes
from feeds.synthetic import MarketSettings, describe, make_market
from feeds.synthetic import sectors as synthetic_sectors
from feeds.synthetic_filings import write_filings
from feeds.synthetic_settings import universe
from feeds.transactions import TransactionTable, check_prices


class NoBarLeft(InputError):
    """The cut lies before the first bar."""


@dataclass(frozen=True)
class Inputs:
    """What a run starts from.

    Attributes
    ----------
    panel : PricePanel
    filings : TransactionTable or None
        None with ``--filings none``.
    sectors : mapping of ticker to sector; empty when unknown
    notes : list of str
        What a reader must know before any number: that a market is invented, or that survivors are traded.
    warnings : list of str
        What was not done with the data, and what they cannot show.
    findings : tuple of Finding
        What was found in the prices, and what was done about it.
    membership : Membership or None
        None without ``--universe``: every stock of the source may be bought at any time.
    digests : mapping
        The sha256 of every input file as it was before anything was read.
    holdout : mapping
        ``status`` (``sealed`` or ``opened``) and ``from``; of an opened one ``opened_at``, ``look`` and ``looks``
        (`models.holdout.Opening`). Empty where no session is, or was, sealed.
    """

    panel: PricePanel
    filings: TransactionTable | None
    sectors: Mapping[str, str]
    notes: list[str]
    warnings: list[str]
    findings: tuple[Finding, ...] = ()
    membership: Membership | None = None
    digests: Mapping[str, Any] = field(default_factory=dict)
    holdout: Mapping[str, Any] = field(default_factory=dict)


def market_settings(settings: Settings) -> MarketSettings:
    """Return the embedded market's settings; raises InputError for a name that it lacks."""
    defaults = {f.name: f.default for f in fields(MarketSettings)}
    values: dict[str, Any] = {"seed": settings.seed}
    for name, value in settings.market.items():
        if name not in defaults:
            raise unknown_name("setting of `market`:", name, defaults)
        values[name] = _like(name, value, defaults[name])
    return MarketSettings(**values)


def _like(name: str, value: Any, default: Any) -> Any:
    """Return a TOML value in the type of the default: tuples for lists, floats for whole numbers."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise InputError(f"`market.{name}`: expected a value like {default!r}, received {value!r}")
    return value


def load_panel(settings: Settings, progress: Progress) -> tuple[CheckedPrices, list[str]]:
    """Load the price source, judged and cut at `--to`, and what a reader must know of it."""
    if settings.prices == "synthetic":
        last = pd.Timestamp(settings.last) if settings.last else None
        panel = make_market(market_settings(settings))
        panel = panel.select(settings.tickers) if settings.tickers else panel
        panel = panel.until(last) if last is not None else panel
        _check_dates(settings, panel)
        return check_panel(panel), []
    checked, told = read_prices(settings, progress)
    _check_dates(settings, checked.panel)
    return checked, told


def _check_dates(settings: Settings, panel: PricePanel) -> None:
    if not len(panel.sessions) or not panel.traded.any():
        raise NoBarLeft(f"`--to`: expected a date on or after the first bar, received {settings.last}: no bar is left")
    first, last = panel.sessions[0].date(), panel.sessions[-1].date()
    if settings.first and settings.first > last:
        raise InputError(f"`--from`: expected a date inside the data ({first} to {last}), received {settings.first}")


def load_filings(
    settings: Settings, progress: Progress, tickers: Sequence[str] | None = None
) -> TransactionTable | None:
    """Read the filings' source; the embedded market's are first written as real-format documents.

    Parameters
    ----------
    tickers : sequence of str or None
        The stocks that will be traded: a source that covers the whole market is read for them only.
    """
    if settings.filings == "none":
        return None
    with _filing_place(settings) as source:
        table = read_source(source, tickers=tickers, cache=settings.cache, jobs=settings.jobs, progress=progress)
    if settings.filings == "synthetic":
        table = replace(table, complete_until=session_closes(universe(market_settings(settings)).sessions[-1:])[0])
    return require_filings(table, source)


@contextmanager
def _filing_place(settings: Settings) -> Iterator[str]:
    """Give the source to read; the embedded market's documents vanish afterwards where there is no cache."""
    if settings.filings != "synthetic":
        yield settings.filings
    elif settings.cache is not None:
        yield str(_synthetic_tree(settings, Path(settings.cache)))
    else:
        with tempfile.TemporaryDirectory(prefix="insider-swing-") as folder:
            write_filings(market_settings(settings), Path(folder) / "filings")
            yield str(Path(folder) / "filings")


def _synthetic_tree(settings: Settings, cache: Path) -> Path:
    """Return the folder of the embedded market's documents, written once per market."""
    market = market_settings(settings)
    key = hashlib.sha256(f"{market!r}{code_digest('feeds')}".encode()).hexdigest()[:16]
    tree = cache / "synthetic" / key / "filings"
    if not tree.is_dir():
        make_folder(tree.parent)
        write_filings(market, tree)
    return tree


def load_sectors(settings: Settings) -> dict[str, str]:
    """Read ticker → sector; the embedded market brings its own."""
    if settings.sectors is None:
        return synthetic_sectors(market_settings(settings)) if settings.prices == "synthetic" else {}
    try:
        frame = pd.read_csv(settings.sectors, dtype=str, na_filter=False)  # a ticker may be NA
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"`--sectors`: expected a CSV file, received {settings.sectors}: {error}") from None
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    for name in ("ticker", "sector"):
        if name not in frame.columns:
            raise InputError(
                f"`--sectors`: expected the columns ticker and sector in {settings.sectors}, found no `{name}`"
            )
    known = frame[(frame["ticker"] != "") & (frame["sector"] != "")]
    return dict(zip(known["ticker"], known["sector"], strict=True))


def load_inputs(settings: Settings, progress: Progress) -> Inputs:
    """Load everything that a run starts from."""
    digests = input_digests(settings)
    checked, told = load_panel(settings, progress)
    panel = checked.panel
    membership, absent = membership_of(settings, panel)
    filings = load_filings(settings, progress, panel.tickers)
    if filings is not None:
        filings = check_prices(filings, panel)
    about_filings = filings.notes if filings is not None else []
    warnings = [*told, *absent, *finding_warnings(checked.findings), *about_filings]
    sectors = load_sectors(settings)
    warnings += _sector_warnings(settings, sectors, panel.tickers)
    return Inputs(panel, filings, sectors, notes_of(settings), warnings, checked.findings, membership, digests)


def _sector_warnings(settings: Settings, sectors: Mapping[str, str], tickers: Sequence[str]) -> list[str]:
    without = [ticker for ticker in tickers if ticker not in sectors]
    if settings.sectors is None or not without:
        return []
    return [
        f"{len(without)} of {len(tickers)} stocks have no sector in {Path(settings.sectors).name}, first {without[0]}: "
        "no limit on a sector binds them"
    ]


def notes_of(settings: Settings) -> list[str]:
    """Return the sentences that a report shows before any number."""
    invented = describe(market_settings(settings)) if settings.prices == "synthetic" else []
    if settings.universe is not None:
        return [
            *invented,
            f"Universe: members by {Path(settings.universe).name}. A stock is bought only while the file has it as a "
            "member; what is held when a membership ends is sold by the strategy's usual rules. The model learns from, "
            "and compares with, every stock that has prices, members at the time or not.",
        ]
    return invented or [
        "Universe: the stocks in the price source, without point-in-time membership. If they are survivors, "
        "as in most files taken later, every return here is too high."
    ]
