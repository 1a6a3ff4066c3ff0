"""From a price source to the PricePanel: read, check, derive the traded series.

What is traded is the source's price times a total-return factor that is 1 at the ticker's first
bar. With an adjusted close the factor at t is f_t / f_first, f = adj_close / close. A provider that
learns of a later dividend rescales the adjusted close of every earlier session by one number, which
cancels in the ratio: no value before it moves. A later split rescales a split-adjusted close itself;
returns stay, the level of the price does not, which is why the panel states its price basis.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from feeds.errors import InputError, did_you_mean
from feeds.panel import BAR_FIELDS, PriceBasis, PricePanel
from feeds.price_csv import CsvFolder
from feeds.price_folder import ParquetFolder
from feeds.price_parquet import ParquetFile
from feeds.price_table import PRICES, Finding, PriceSource, Reading, SourceBars
from feeds.progress import Progress, silent
from feeds.quality import Checked, Repair, check_ticker
from feeds.quality_panel import panel_findings
from feeds.sessions import trading_sessions

_NAMES_SHOWN = 12
_STOCKS_A_BLOCK = 64


@dataclass(frozen=True)
class CheckedPrices:
    """A price source as it is traded, and what was found and done.

    Attributes
    ----------
    panel : PricePanel
        Without tickers and sessions where nothing is left; only `check_prices` returns that.
    findings : tuple of Finding
        In the order of tickers and sessions.
    tickers, bars : int
        What was looked at, before any repair.
    """

    panel: PricePanel
    findings: tuple[Finding, ...]
    tickers: int
    bars: int

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the tickers of which nothing is traded, sorted."""
        return tuple(sorted({finding.ticker for finding in self.findings if finding.action == "refused"}))


def load_prices(
    spec: str,
    *,
    tickers: Sequence[str] | None = None,
    last: pd.Timestamp | None = None,
    progress: Progress | None = None,
    repair: Repair = "safe",
) -> PricePanel:
    """Read a price source into a panel of what is traded; `load_checked` tells what was found, too."""
    return load_checked(spec, tickers=tickers, last=last, progress=progress, repair=repair).panel


def load_checked(
    spec: str,
    *,
    tickers: Sequence[str] | None = None,
    last: pd.Timestamp | None = None,
    progress: Progress | None = None,
    repair: Repair = "safe",
    universe: Collection[str] | None = None,
) -> CheckedPrices:
    """Read a price source, judge it, and lay what can be traded on a panel.

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
    repair : str
        ``safe``: the rules of `feeds.quality`; a file that is no table of prices is left out and
        named. ``none``: any defect refuses the source.
    universe : collection of str, optional
        Without `tickers`, read only these; it may name stocks that the source lacks.

    Returns
    -------
    CheckedPrices
        Its panel's sessions are the exchange's, without a gap, from the first to the last bar. The
        basis is the source's own where it declares one, else ``split_adjusted`` where it has an
        adjusted close, else ``fully_adjusted`` with `adjust` 1 throughout.

    Raises
    ------
    InputError
        If the source is not there or not understood, a ticker is unknown, `last` is before the
        data, no ticker is left, or under ``none`` a ticker's file or bars have defects: one error
        names all.
    EnvironmentFailure
        If the disk does not let a file be read.

    Notes
    -----
    **Known at** the close of each session; the open is known at the open.
    """
    checked = _checked_tickers(spec, tickers, last, progress or silent, repair, universe)
    refused = [ticker for ticker, found in checked.items() if found.refused]
    later = [ticker for ticker, found in checked.items() if not len(found.bars) and not found.refused]
    if refused and (repair == "none" or len(refused) + len(later) == len(checked)):
        raise _refusal(spec, checked, repair)
    if last is not None and later and (tickers is not None or len(later) == len(checked)):
        raise InputError(
            f"`--to {last.date()}`: expected bars on or before it, received later ones only for {_some(later)} "
            f"in {spec}; choose a later date or other tickers"
        )
    return _with_panel(spec, checked)


def check_prices(
    spec: str,
    *,
    tickers: Sequence[str] | None = None,
    last: pd.Timestamp | None = None,
    progress: Progress | None = None,
    repair: Repair = "safe",
    universe: Collection[str] | None = None,
) -> CheckedPrices:
    """Judge a price source without refusing it; parameters and errors of the source as `load_checked`."""
    return _with_panel(spec, _checked_tickers(spec, tickers, last, progress or silent, repair, universe))


def check_panel(panel: PricePanel) -> CheckedPrices:
    """Judge a panel that was made, not read; it is returned as it is."""
    found = [
        finding for ticker in panel.tickers for finding in check_ticker(ticker, _as_source(panel, ticker)).findings
    ]
    told = tuple(replace(finding, action="kept") for finding in [*found, *panel_findings(panel)])
    return CheckedPrices(panel, told, tickers=len(panel.tickers), bars=int(panel.traded.sum()))


def _as_source(panel: PricePanel, ticker: str) -> Reading:
    """Return one ticker's bars as a source with an adjusted close would hold them."""
    bars = panel.bars(ticker)
    prices = {name: getattr(bars, name) / bars.adjust for name in PRICES}
    return Reading(SourceBars(bars.sessions, **prices, volume=bars.volume * bars.adjust, adj_close=bars.close))


def _checked_tickers(
    spec: str,
    tickers: Sequence[str] | None,
    last: pd.Timestamp | None,
    progress: Progress,
    repair: Repair,
    universe: Collection[str] | None,
) -> dict[str, Checked]:
    """Read and judge each wanted ticker until `last`."""
    source = open_source(spec)
    chosen = _members(source, universe, spec) if tickers is None else _choose(source, tickers, spec)
    checked = {}
    for ticker in progress(chosen, "loading prices", len(chosen)):
        whole = source.read(ticker)
        until = _until(whole, last)
        listed_later = len(whole.bars) and not len(until.bars) and not until.findings
        checked[ticker] = Checked(until.bars, ()) if listed_later else check_ticker(ticker, until, repair)
    return checked


def _with_panel(spec: str, checked: Mapping[str, Checked]) -> CheckedPrices:
    traded = {ticker: found.bars for ticker, found in checked.items() if len(found.bars) and not found.refused}
    panel = _assemble(traded, _basis(spec, traded)) if traded else _NO_PANEL
    excluded = {ticker: day for ticker in traded if (day := checked[ticker].last) is not None}
    found = [finding for ticker in checked for finding in checked[ticker].findings] + panel_findings(panel, excluded)
    return CheckedPrices(
        panel,
        tuple(sorted(found, key=lambda finding: (finding.ticker, finding.session or pd.Timestamp.min))),
        tickers=len(checked),
        bars=sum(ticker.rows for ticker in checked.values()),
    )


_NO_PANEL = PricePanel(
    sessions=pd.DatetimeIndex([], name="session"),
    tickers=(),
    price_basis="fully_adjusted",
    **{name: np.empty((0, 0)) for name in BAR_FIELDS},
)


def _until(reading: Reading, last: pd.Timestamp | None) -> Reading:
    if last is None:
        return reading
    dated = np.isnat(reading.bars.dates) | (reading.bars.dates <= np.datetime64(last, "D"))
    known = tuple(finding for finding in reading.findings if finding.session is None or finding.session <= last)
    return Reading(reading.bars.take(dated), known)


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
            "`yahoo`: expected prices on disk, received a download; fetch them with "
            "`run_backtest.py download prices` and use parquet:DIR"
        )
    if kind not in _SOURCES:
        raise InputError(
            f"`--prices`: expected synthetic, csv:DIR, parquet:FILE|DIR or yahoo, received {spec!r}."
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


def _members(source: PriceSource, universe: Collection[str] | None, spec: str) -> tuple[str, ...]:
    if universe is None:
        return source.tickers
    wanted = set(universe)
    members = tuple(ticker for ticker in source.tickers if ticker in wanted)
    if not members:
        raise InputError(
            f"`--universe`: expected tickers of {spec}, which has {_some(source.tickers)}, "
            f"received {_some(sorted(wanted))}"
        )
    return members


def _choose(source: PriceSource, tickers: Sequence[str], spec: str) -> tuple[str, ...]:
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


def _refusal(spec: str, checked: Mapping[str, Checked], repair: Repair) -> InputError:
    """Build the one error for all refused tickers: the first defect of each, and how many there are."""
    refused = {ticker: found for ticker, found in checked.items() if found.refused}
    sound = [ticker for ticker, found in checked.items() if len(found.bars) and not found.refused]
    remedy = "repair the data"
    if repair == "none":
        remedy += ", let `--repair safe` do what can be done,"
    if sound:
        names = f" {','.join(sound)}" if len(sound) <= _NAMES_SHOWN else ""
        remedy += f" or leave these tickers out with --tickers{names}"
    text = (
        f"`{spec}`: expected sound bars, received defects in {len(refused)} of {_count(len(checked), 'ticker')}: "
        f"{'; '.join(_summary(found) for found in refused.values())}; {remedy.removesuffix(',')}"
    )
    return InputError(" ".join(text.split()))


def _summary(checked: Checked) -> str:
    errors = [finding for finding in checked.findings if finding.severity == "error"]
    rest = len(errors) - 1
    return f"{errors[0]} (and {_count(rest, 'more defect')})" if rest else str(errors[0])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


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
    arrays = {name: np.empty((len(sessions), len(tables))) for name in BAR_FIELDS}
    every = list(tables.values())
    for start in range(0, len(every), _STOCKS_A_BLOCK):
        columns = slice(start, start + _STOCKS_A_BLOCK)
        for name, block in _block(every[columns], days).items():
            arrays[name][:, columns] = block.T
    return PricePanel(sessions=sessions, tickers=tuple(tables), price_basis=basis, **arrays)


def _block(tables: Sequence[SourceBars], days: np.ndarray) -> dict[str, np.ndarray]:
    """Return some stocks' traded series, shape [B, T]: filling whole columns of the panel is slow."""
    block = {name: np.full((len(tables), len(days)), np.nan) for name in BAR_FIELDS}
    for row, bars in enumerate(tables):
        at = np.searchsorted(days, bars.dates)
        for name, values in _traded_series(bars).items():
            block[name][row, at] = values
    return block


def _traded_series(bars: SourceBars) -> dict[str, np.ndarray]:
    adjust = total_return_factor(bars)
    series = {name: getattr(bars, name) * adjust for name in PRICES}
    return {**series, "volume": bars.volume / adjust, "adjust": adjust}
