"""The command `download filings`: a tree of Form 4 submissions, complete and verified, and its account."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from engine.progress import progress_bars
from engine.settings import resolve
from feeds.edgar_account import Account, Failure
from feeds.edgar_download import Order, download_filings
from feeds.edgar_fast import worth_downloading
from feeds.edgar_http import EdgarSettings, UserAgent
from feeds.edgar_index import Window
from feeds.edgar_tickers import read_companies
from feeds.errors import EnvironmentFailure, InputError

_MOST_SHOWN = 20


def filings(namespace: argparse.Namespace) -> int:
    """Carry out `download filings`.

    Raises
    ------
    InputError
        For a mistake in the call.
    EnvironmentFailure
        If the download ended incomplete; its account is on the screen.
    """
    order, out, settings = _order(namespace), _out(namespace), _settings(namespace)
    quiet = "quiet" in namespace
    account = download_filings(order, out, settings, progress=progress_bars(quiet=quiet), notify=_notify(quiet))
    sys.stdout.write(account_table(account) + "\n")
    if not account.complete:
        raise EnvironmentFailure(_incomplete(account))
    return 0


def account_table(account: Account) -> str:
    """Return the closing account for the screen."""
    lines = [
        ("companies", f"{account.companies:,}"),
        ("filings expected", f"{account.expected:,}"),
        ("present before", f"{account.present:,}"),
        ("downloaded now", f"{account.downloaded:,}"),
        ("left out, no purchase or sale", f"{account.skipped:,}"),
        ("not there", f"{account.left:,}"),
        ("found damaged and put aside", f"{account.repaired:,}"),
        ("about another issuer", f"{account.about_others:,}"),
        ("without a readable document", f"{len(account.unparsed):,}"),
    ]
    optional = {"left out, no purchase or sale", "found damaged and put aside", "without a readable document"}
    shown = [line for line in lines if line[0] not in optional or line[1] != "0"]
    parts = [tabulate(shown, tablefmt="plain", disable_numparse=True, colalign=("left", "right"))]
    parts += _listed("not there, and why:", account.failures)
    parts += _listed("kept as the SEC sends them, but not readable:", account.unparsed)
    return "\n".join(parts)


def _listed(title: str, failures: list[Failure]) -> list[str]:
    if not failures:
        return []
    lines = [title, *(f"  {one.name}: {one.reason}" for one in failures[:_MOST_SHOWN])]
    kinds = Counter(re.split(r" \(after|;|: \d", one.reason)[0] for one in failures)
    if len(failures) > 1:
        lines.insert(1, "  in all: " + ", ".join(f"{number:,} × {kind}" for kind, number in kinds.most_common(5)))
    if len(failures) > _MOST_SHOWN:
        lines.append(f"  and {len(failures) - _MOST_SHOWN:,} more; all are in .edgar/manifest.sqlite")
    return lines


def _incomplete(account: Account) -> str:
    if account.stopped:
        return f"the download stopped with {account.left:,} filings missing: {account.stopped}"
    first = account.failures[0] if account.failures else Failure("none named", "see the account")
    return (
        f"the download is incomplete: {account.left:,} of {account.expected:,} filings are not there, "
        f"{len(account.failures):,} failures, the first {first.name}: {first.reason}; run the same command again"
    )


def _order(namespace: argparse.Namespace) -> Order:
    flags = {name: getattr(namespace, name) for name in ("tickers", "first", "last") if name in namespace}
    if "first" not in flags:
        raise InputError("`--from`: expected the first filing date, received none; add `--from 2013-01-01`")
    settings = resolve({"last": date.today(), **flags})
    if settings.first is None or settings.last is None:
        raise InputError("`--from`: expected a date, received none")
    own = read_companies(Path(namespace.ciks).expanduser()) if "ciks" in namespace else []
    worth = worth_downloading(Path(namespace.fast).expanduser()) if "fast" in namespace else None
    return Order(settings.tickers, own, Window(settings.first, settings.last), worth)


def _out(namespace: argparse.Namespace) -> Path:
    if "out" not in namespace:
        raise InputError("`--out`: expected the folder of the download, received none; add `--out DIR`")
    return Path(namespace.out).expanduser()


def _settings(namespace: argparse.Namespace) -> EdgarSettings:
    if "user_agent" not in namespace:
        raise InputError(
            '`--user-agent`: expected your own name and email address, as "Ada Lovelace ada@analytical.org" '
            "(the SEC refuses requests without), received none"
        )
    settings = EdgarSettings(UserAgent.of(namespace.user_agent)).on_stand_in()
    if "jobs" in namespace:
        settings = replace(settings, threads=resolve({"jobs": namespace.jobs}).jobs)
    return replace(settings, per_second=_rate(namespace.rate)) if "rate" in namespace else settings


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"`--rate`: expected requests a second, received {text!r}") from None


def _notify(quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if quiet else (lambda text: tqdm.write(text, file=sys.stderr))
