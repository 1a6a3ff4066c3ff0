"""Yahoo's prices for the command `download prices` and for ``--prices yahoo``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.settings import Settings, default_cache
from feeds.errors import EnvironmentFailure, InputError
from feeds.membership import read_membership
from feeds.price_folder import describe_vintages
from feeds.progress import Progress
from feeds.yahoo_client import YahooClient
from feeds.yahoo_download import Download, download, vintages_of

_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Summary:
    """What a download did, in words.

    Attributes
    ----------
    folder : Path
    done : Download
    notes : list of str
        Vintages that differ, and stocks whose past Yahoo rewrote.
    """

    folder: Path
    done: Download
    notes: list[str]

    @property
    def table(self) -> str:
        """Return the lines for the screen."""
        done = self.done
        groups = (("not at Yahoo", done.missing), ("failed", done.failed))
        counts = [f"{len(done.fetched):,} downloaded", f"{len(done.kept):,} there already"]
        counts += [f"{len(found):,} {word}" for word, found in groups if found]
        lines = [f"  {word}: {ticker}, {found[ticker]}" for word, found in groups for ticker in sorted(found)]
        return "\n".join([f"{self.folder}: {', '.join(counts)}", *lines, *self.notes])

    def raise_if_incomplete(self) -> None:
        """Raise EnvironmentFailure that names what is missing."""
        done = self.done
        lost = {**done.missing, **done.failed}
        if not lost:
            return
        first = min(done.failed or done.missing)
        advice = "; run it again to complete it" if done.failed else _spelling(done.missing)
        raise EnvironmentFailure(
            f"{len(lost)} of {len(lost) + len(done.fetched) + len(done.kept)} stocks could not be downloaded: "
            f"{_some(sorted(lost))} (first {first}: {lost[first]}){advice}"
        )


def download_prices(settings: Settings, folder: Path, *, again: bool, progress: Progress) -> Summary:
    """Download what the settings name into a folder that stays.

    Raises
    ------
    InputError, EnvironmentFailure
        See `feeds.yahoo_download.download`.
    """
    scratch = Path(settings.cache or default_cache()) / "yfinance"
    done = download(
        _wanted(settings),
        folder,
        lambda: YahooClient(scratch),
        first=settings.first,
        last=settings.last,
        again=again,
        progress=progress,
    )
    return Summary(folder, done, _notes(folder, done))


@contextmanager
def yahoo_store(settings: Settings, progress: Progress) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Give a folder with what ``--prices yahoo`` needs, its tickers, and warnings.

    The whole history is kept in the cache folder; without one it is downloaded for this run alone.

    Raises
    ------
    EnvironmentFailure
        If something is missing there and Yahoo cannot be reached.
    InputError
        If Yahoo does not know a ticker that `--tickers` names, or none of a universe.
    """
    root = Path(settings.cache) if settings.cache else Path(tempfile.mkdtemp(prefix="insider-swing-"))
    try:
        folder = root / "prices" / "yahoo"
        scratch = root / "yfinance"
        done = download(_wanted(settings), folder, lambda: YahooClient(scratch), last=settings.last, progress=progress)
        _require_complete(settings, done)
        yield folder, sorted([*done.fetched, *done.kept]), [*_notes(folder, done), *_left_out(done)]
    finally:
        if not settings.cache:
            shutil.rmtree(root, ignore_errors=True)


def universe_tickers(settings: Settings) -> tuple[str, ...] | None:
    """Return the stocks of `--universe`, the benchmark's with them; None without a membership file."""
    if settings.universe is None:
        return None
    benchmark = settings.benchmark or ""
    beside = () if benchmark.startswith("csv:") or not benchmark else (benchmark.upper(),)
    return tuple(sorted({*read_membership(Path(settings.universe)).tickers, *beside}))


def _wanted(settings: Settings) -> Sequence[str]:
    return settings.tickers or universe_tickers(settings) or ()


def _require_complete(settings: Settings, done: Download) -> None:
    if done.failed:
        first = min(done.failed)
        raise EnvironmentFailure(
            f"`--prices yahoo`: expected prices of every stock, received none of {_some(sorted(done.failed))} "
            f"(first {first}: {done.failed[first]}); run it again when Yahoo can be reached, or with a `--to` that "
            "the prices kept from earlier cover"
        )
    unknown = sorted(done.missing)
    if unknown and (settings.tickers or not (done.fetched or done.kept)):
        raise InputError(
            f"`--tickers`: expected stocks that Yahoo knows, received {_some(unknown)} (first {unknown[0]}: "
            f"{done.missing[unknown[0]]}); leave them out{_spelling(unknown)}"
        )


def _spelling(missing: Iterable[str]) -> str:
    """Return how Yahoo writes a class of shares, where a lost ticker may be one."""
    dotted = sorted(ticker for ticker in missing if "." in ticker)
    return f"; Yahoo writes {dotted[0].replace('.', '-')} for a class of shares such as {dotted[0]}" if dotted else ""


def _left_out(done: Download) -> list[str]:
    if not done.missing:
        return []
    return [
        f"Yahoo has no prices of {len(done.missing)} of the universe's stocks, which are left out: "
        f"{_some(sorted(done.missing))}; if they are gone, what is left are survivors"
    ]


def _notes(folder: Path, done: Download) -> list[str]:
    names = [*done.fetched, *done.kept]
    mixed = describe_vintages(vintages_of(folder, names)) if names else None
    revised = f"Yahoo rewrote past returns since the download before: {_some(done.revised)}" if done.revised else None
    return [text for text in (mixed, revised) if text]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMES_SHOWN])} and {more:,} more"
