"""From a price source to the PricePanel: read, check, derive the traded series.

What is traded is the source's price times a total-return factor that is 1 at the ticker's first
bar. With an adjusted close the factor at t is f_t / f_first, f = adj_close / close. A provider that
learns of a later dividend rescales the adjusted close of every earlier session by one number, which
cancels in the ratio: no value before it moves. A later split rescales a split-adjusted close itself;
returns stay, the level of the price does not, which is why the panel states its price basis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from feeds.errors import InputError, did_you_mean
from feeds.panel import BAR_FIELDS, PriceBasis, PricePanel
from feeds.price_checks import check_bars
from feeds.price_csv import CsvFolder
from feeds.price_folder import ParquetFolder
from feeds.price_parquet import ParquetFile
from feeds.price_table import PRICES, Finding, PriceSource, SourceBars, without_empty_rows
from feeds.progress import Progress, silent
from feeds.sessions import trading_sessions

_NAMES_SHOWN = 12


def load_prices(
    spec: str,
    *,
    tickers: Sequence[str] | None = None,
    last: pd.Timestamp | None = None,
    progress: Progress | None = None,
) -> PricePanel:
    """Read a price source into a panel of what is traded.

    Parameters
    ----------
    spec : str
        ``csv:DIR``, a folder with one TICKER.csv per ticker; ``parquet:FILE``, a long table; or
        ``parquet:DIR``, a folder with one TICKER.parquet per ticker.
    tickers : sequence of str, optional
        Read only these; every ticker of the source by default. Capitals do not matter.
    last : Timestamp, optional
        Cut all data after this day before anything is checked or derived. Tickers without a bar
        until then are left out, unless `tickers` names them.
    progress : Progress, optional
        Shows how many tickers have been read.

    Returns
    -------
    PricePanel
        Its sessions are the exchange's, without a gap, from the first to the last bar. The basis is
        the source's own where it declares one, else ``split_adjusted`` where it has an adjusted
        close, else ``fully_adjusted`` with `adjust` 1 throughout.

    Raises
    ------
    InputError
        If the source is not there or not understood, a ticker is unknown, `last` is before the
        data, or a ticker's bars have defects: one error names them all.

    Notes
    -----
    **Known at** the close of each session; the open is known at the open.
    """
    source = open_source(spec)
    chosen = _choose(source, tickers, spec)
    tables, findings = _read_all(source, chosen, last, progress or silent)
    if findings:
        raise _refusal(spec, tables, findings)
    _require_bars(spec, tables, last, named=tickers is not None)
    traded = {ticker: bars for ticker, bars in tables.items() if len(bars)}
    return _assemble(traded, _basis(spec, traded))


def find_defects(
    spec: str,
    *,
    tickers: Sequence[str] | None = None,
    last: pd.Timestamp | None = None,
    progress: Progress | None = None,
) -> tuple[list[Finding], int, int]:
    """Return every defect of a price source, with the number of tickers and of bars looked at.

    Parameters and errors as `load_prices`, which refuses a source with any defect.
    """
    source = open_source(spec)
    tables, findings = _read_all(source, _choose(source, tickers, spec), last, progress or silent)
    found = [finding for ticker in sorted(findings) for finding in findings[ticker]]
    return found, len(tables), sum(len(bars) for bars in tables.values())


def open_source(spec: str) -> PriceSource:
    """Return the source that ``csv:DIR``, ``parquet:FILE`` or ``parquet:DIR`` names.

    Raises
    ------
    InputError
        If `spec` names no source that this version reads, or the folder or file is not there.
    """
    kind, _, place = spec.partition(":")
    if kind == "yahoo":
        raise InputError(
            "`--prices yahoo`: expected prices on disk, received a download, which this version does not do; "
            "save them and use csv:DIR or parquet:FILE"
        )
    if kind not in _SOURCES:
        raise InputError(
            f"`--prices`: expected synthetic, csv:DIR or parquet:FILE, received {spec!r}."
            f"{did_you_mean(kind, ('synthetic', *_SOURCES))}"
        )
    if not place:
        raise InputError(f"`--prices {kind}`: expected a path after the colon, received none; write {kind}:PATH")
    return _SOURCES[kind](Path(place).expanduser())


def _open_parquet(path: Path) -> PriceSource:
    return ParquetFolder(path) if path.is_dir() else ParquetFile(path)


_SOURCES: Mapping[str, Callable[[Path], PriceSource]] = {"csv": CsvFolder, "parquet": _open_parquet}


def total_return_factor(bars: SourceBars) -> np.ndarray:
    """Return the factor that turns one ticker's source prices into the traded series, shape [K].

    1 at the first bar; 1 throughout for a source without an adjusted close. **Known at** the
    session's open, for a dividend or split is announced before its ex-date.
    """
    if bars.adj_close is None:
        return np.ones(len(bars))
    factor = bars.adj_close / bars.close
    return np.asarray(factor / factor[0])


def _choose(source: PriceSource, tickers: Sequence[str] | None, spec: str) -> tuple[str, ...]:
    if tickers is None:
        return source.tickers
    wanted = tuple(sorted({ticker.strip().upper() for ticker in tickers}))
    if not wanted:
        raise InputError("`tickers`: expected at least one ticker, received none; leave it out to take all")
    unknown = [ticker for ticker in wanted if ticker not in source.tickers]
    if unknown:
        raise InputError(
            f"`tickers`: expected tickers of {spec}, which has {_some(source.tickers)}, "
            f"received {_some(unknown)}.{did_you_mean(unknown[0], source.tickers)}"
        )
    return wanted


def _some(names: Sequence[str]) -> str:
    if len(names) <= _NAMES_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: _NAMES_SHOWN - 1])}, … {names[-1]} ({len(names)} in all)"


def _read_all(
    source: PriceSource, tickers: Sequence[str], last: pd.Timestamp | None, progress: Progress
) -> tuple[dict[str, SourceBars], dict[str, list[Finding]]]:
    """Return each ticker's bars until `last`, and the defects of those that have any."""
    tables: dict[str, SourceBars] = {}
    findings: dict[str, list[Finding]] = {}
    for ticker in progress(tickers, "loading prices", len(tickers)):
        tables[ticker], found = _read_one(source, ticker, last)
        if found:
            findings[ticker] = found
    return tables, findings


def _read_one(source: PriceSource, ticker: str, last: pd.Timestamp | None) -> tuple[SourceBars, list[Finding]]:
    reading = source.read(ticker)
    bars = without_empty_rows(reading.bars)
    unread = list(reading.findings)
    if last is not None:
        until = bars.take(bars.dates <= np.datetime64(last, "D"))
        unread = [finding for finding in unread if finding.session is None or finding.session <= last]
        if len(bars) and not len(until) and not unread:
            return until, []  # listed later, not a defect
        bars = until
    return bars, unread or check_bars(ticker, bars)


def _refusal(spec: str, tables: Mapping[str, SourceBars], findings: Mapping[str, list[Finding]]) -> InputError:
    """Build the one error for all refused tickers: the first defect of each, and how many there are."""
    sound = [ticker for ticker, bars in tables.items() if len(bars) and ticker not in findings]
    remedy = "repair the data"
    if sound:
        names = f" {','.join(sound)}" if len(sound) <= _NAMES_SHOWN else ""
        remedy += f" or leave these tickers out with --tickers{names}"
    text = (
        f"`{spec}`: expected sound bars, received defects in {len(findings)} of {_count(len(tables), 'ticker')}: "
        f"{'; '.join(_summary(found) for found in findings.values())}; {remedy}"
    )
    return InputError(" ".join(text.split()))


def _summary(found: Sequence[Finding]) -> str:
    rest = len(found) - 1
    return f"{found[0]} (and {_count(rest, 'more defect')})" if rest else str(found[0])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def _require_bars(spec: str, tables: Mapping[str, SourceBars], last: pd.Timestamp | None, *, named: bool) -> None:
    """Refuse a cut that leaves nothing, or nothing of a ticker that was asked for by name."""
    empty = [ticker for ticker, bars in tables.items() if not len(bars)]
    if last is not None and empty and (named or len(empty) == len(tables)):
        raise InputError(
            f"`--to {last.date()}`: expected bars on or before it, received later ones only for {_some(empty)} "
            f"in {spec}; choose a later date or other tickers"
        )


def _basis(spec: str, tables: Mapping[str, SourceBars]) -> PriceBasis:
    adjusted = [ticker for ticker, bars in tables.items() if bars.adj_close is not None]
    plain = [ticker for ticker in tables if ticker not in adjusted]
    if adjusted and plain:
        raise InputError(
            f"`{spec}`: expected an adjusted close for every ticker or for none, received one for {_some(adjusted)} "
            f"and none for {_some(plain)}; add the column or leave one group out with --tickers"
        )
    by_basis: dict[PriceBasis, list[str]] = {}
    for ticker, bars in tables.items():
        by_basis.setdefault(bars.price_basis, []).append(ticker)
    if len(by_basis) > 1:
        groups = " and ".join(f"{basis} for {_some(tickers)}" for basis, tickers in by_basis.items())
        raise InputError(
            f"`{spec}`: expected prices of one basis, received {groups}; keep the providers' files in folders of "
            "their own or leave one group out with --tickers"
        )
    return next(iter(by_basis))


def _assemble(tables: Mapping[str, SourceBars], basis: PriceBasis) -> PricePanel:
    """Lay every ticker's traded series on the exchange's sessions from the first to the last bar."""
    first = min(bars.dates[0] for bars in tables.values())
    last = max(bars.dates[-1] for bars in tables.values())
    sessions = trading_sessions(first, last)
    days = sessions.to_numpy().astype("datetime64[D]")
    arrays = {name: np.full((len(sessions), len(tables)), np.nan) for name in BAR_FIELDS}
    for column, bars in enumerate(tables.values()):
        rows = np.searchsorted(days, bars.dates)
        for name, values in _traded_series(bars).items():
            arrays[name][rows, column] = values
    return PricePanel(sessions=sessions, tickers=tuple(tables), price_basis=basis, **arrays)


def _traded_series(bars: SourceBars) -> dict[str, np.ndarray]:
    adjust = total_return_factor(bars)
    series = {name: getattr(bars, name) * adjust for name in PRICES}
    return {**series, "volume": bars.volume / adjust, "adjust": adjust}
