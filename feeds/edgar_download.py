"""Download every Form 4 of some companies, unattended: complete, verified, resumable after a kill.

What is expected comes from the SEC's own index; what is there is what was checked. A run asks for the
difference, so running the same command again is how an interrupted download goes on. Filings of which
a company is only the *owner* are expected too: the index does not tell them apart, the reader does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from feeds.edgar_account import Account, Failure
from feeds.edgar_check import BadFiling, Checked, check_filing
from feeds.edgar_http import Client, EdgarSettings, NotThere, Transient
from feeds.edgar_index import Expected, IndexCache, Window, expected_filings
from feeds.edgar_library import LibraryTransfer, filing_path, library_transfer
from feeds.edgar_manifest import Entry, Manifest, open_manifest
from feeds.edgar_pace import Pace
from feeds.edgar_tickers import Company, find_companies, merge_ticker_file
from feeds.edgar_tree import DownloadTree, check_present
from feeds.edgar_workers import in_threads
from feeds.errors import EnvironmentFailure
from feeds.progress import Progress, silent
from feeds.tree_coverage import state_coverage

_MISSING_STANDS = timedelta(days=7)
_ASKS_OF_A_MISSING_ONE = 2
_ROUNDS = 2


@dataclass(frozen=True)
class Order:
    """What to download.

    Attributes
    ----------
    tickers : sequence of str
        Tickers or CIKs; empty for all of `own`.
    own : sequence of Company
        The user's file of who had which ticker when.
    window : Window
        Filing dates. EDGAR's filing date, not the acceptance: it is what the index tells.
    worth : callable or None
        Tells whether an expected filing is worth downloading (the fast mode); None for all.
    """

    tickers: Sequence[str]
    own: Sequence[Company]
    window: Window
    worth: Callable[[Expected], bool] | None = None


@dataclass
class _Work:
    """What the steps of one download share."""

    order: Order
    tree: DownloadTree
    manifest: Manifest
    client: Client
    progress: Progress
    account: Account
    indexed: set[str] = field(default_factory=set)

    @property
    def threads(self) -> int:
        return self.client.settings.threads


def download_filings(
    order: Order,
    root: Path,
    settings: EdgarSettings,
    *,
    progress: Progress = silent,
    notify: Callable[[str], None] = lambda text: None,
) -> Account:
    """Bring the tree below `root` up to the order and account for it.

    Parameters
    ----------
    root : Path
        New, or the folder of an earlier download, which is resumed.
    notify : callable
        Is told, in one sentence each, of pauses and of what an interrupt keeps.

    Raises
    ------
    InputError
        For unknown tickers and unusable files; nothing was downloaded.
    EnvironmentFailure
        If the folder cannot be used, the disk is too small, or the SEC's list cannot be had. What stops
        a download that has begun is in `Account.stopped`, and what single filings lack in `failures`.
    """
    tree = DownloadTree(root)
    tree.prepare()
    pace = Pace(settings.per_second, settings.pause_s, notify)
    with open_manifest(tree.manifest) as manifest:
        tree.empty_staging()
        work = _Work(order, tree, manifest, Client(settings, pace), progress, Account())
        try:
            _download(work)
        except KeyboardInterrupt:
            pace.stop()
            done = f"{work.account.downloaded:,} filings downloaded now are kept"
            notify(f"{done}; the same command goes on from here")
            raise
        finally:
            tree.empty_staging()
    return work.account


def _download(work: _Work) -> None:
    asked_at = datetime.now(UTC).replace(microsecond=0)
    expected, addresses = _expected(work)
    lacked = _not_present(work, expected)
    # Stated before anything else happens: a kill must not leave a claim that a damaged file has made false.
    _state(work, asked_at, lacked, addresses, set())
    missing = _worth_asking(work, lacked)
    work.tree.check_space(len(missing))
    try:
        _fetch_all(work, missing, addresses)
    except EnvironmentFailure as error:
        work.account.stopped = str(error)
    except OSError as error:
        work.account.stopped = f"cannot write {work.tree.root}: {error.strerror or error}"
    _close(work, expected)
    left = [one for one in lacked if not filing_path(work.tree.root, one.cik, one.accession).is_file()]
    _state(work, asked_at, left, addresses, work.indexed)


def _state(
    work: _Work, asked_at: datetime, lacked: list[Expected], addresses: dict[str, set[str]], indexed: set[str]
) -> None:
    """Say in the tree of which of the `indexed` companies it is complete, and of which it no longer is."""
    first: dict[str, date] = {}
    for filing in sorted(lacked, key=lambda one: one.filed_on, reverse=True):
        first |= dict.fromkeys(addresses[filing.accession], filing.filed_on)
    window = work.order.window
    state_coverage(work.tree.root, (window.first, window.last), asked_at, first, indexed - set(first))


def _expected(work: _Work) -> tuple[dict[str, Expected], dict[str, set[str]]]:
    """List the expected filings by accession number, and under which CIKs each is listed."""
    order, account = work.order, work.account
    cache = IndexCache(work.client, work.tree.index)
    www, data = work.client.settings.www, work.client.settings.data
    try:
        companies = find_companies(order.tickers, order.own, work.tree.root, order.window, cache, www)
    except (Transient, NotThere) as error:
        raise EnvironmentFailure(
            f"the SEC's list of tickers: {error}; try again later, or give `--ciks FILE`"
        ) from None

    def ask(cik: str) -> tuple[list[Expected], tuple[str, ...]] | Failure:
        try:
            return expected_filings(cache, data, cik, order.window)
        except (Transient, NotThere) as error:
            return Failure(f"CIK {cik}", f"its index: {error}")

    ciks = sorted({company.cik for company in companies})
    account.companies = len(ciks)
    listed = dict(
        work.progress(in_threads(ciks, ask, work.threads, work.client.pace), "asking for the index", len(ciks))
    )
    tickers = {cik: found[1] for cik, found in listed.items() if not isinstance(found, Failure)}
    merge_ticker_file(work.tree.root, _named(companies, tickers), order.own)
    account.failures += [found for found in listed.values() if isinstance(found, Failure)]
    work.indexed |= set(tickers)
    expected: dict[str, Expected] = {}
    addresses: dict[str, set[str]] = {}
    for cik in ciks:
        found = listed[cik]
        for filing in () if isinstance(found, Failure) else found[0]:
            expected.setdefault(filing.accession, filing)
            addresses.setdefault(filing.accession, set()).add(cik)
    account.expected = len(expected)
    return expected, addresses


def _named(companies: list[Company], tickers: dict[str, tuple[str, ...]]) -> list[Company]:
    """Give companies that were asked for by CIK the tickers that the SEC's index states."""
    named = [company for company in companies if company.ticker]
    stated = [Company(one.cik, name) for one in companies if not one.ticker for name in tickers.get(one.cik, ())]
    return named + stated


def _not_present(work: _Work, expected: dict[str, Expected]) -> list[Expected]:
    """Check what is in the tree and return what has to be had; `expected` loses what is skipped."""
    known, folders = work.manifest.entries(), work.tree.company_folders()
    account = work.account
    missing: list[Expected] = []
    found: list[Entry] = []
    skipped: list[str] = []
    for wanted in work.progress(expected.values(), "checking what is there", len(expected)):
        entry = known.get(wanted.accession)
        present, bad = check_present(work.tree, wanted, folders.get(wanted.accession, []), entry)
        account.repaired += bad
        if present is not None:
            account.present += 1
            if present is not entry:
                found.append(present)
        elif work.order.worth is not None and not work.order.worth(wanted):
            skipped.append(wanted.accession)
        else:
            missing.append(wanted)
    work.manifest.record(found)
    account.skipped = len(skipped)
    for accession in skipped:
        del expected[accession]
    return missing


def _worth_asking(work: _Work, missing: list[Expected]) -> list[Expected]:
    known = work.manifest.entries()
    return [wanted for wanted in missing if not _known_missing(known.get(wanted.accession))]


def _known_missing(entry: Entry | None) -> bool:
    if entry is None or entry.status != "missing":
        return False
    return datetime.fromisoformat(entry.fetched_at) + _MISSING_STANDS > datetime.now(UTC)


def _fetch_all(work: _Work, missing: list[Expected], addresses: dict[str, set[str]]) -> None:
    attempts = {entry.accession: entry.attempts for entry in work.manifest.entries().values()}
    with library_transfer(work.client, work.tree.staging) as transfer:
        for _ in range(_ROUNDS):
            if not missing:
                return

            def fetch(wanted: Expected) -> Entry:
                ciks = _addresses(wanted, addresses[wanted.accession])
                entry = _Fetch(wanted, ciks, work, transfer, attempts.get(wanted.accession, 0)).run()
                work.manifest.record([entry])
                return entry

            results = in_threads(missing, fetch, work.threads, work.client.pace)
            again = []
            for wanted, entry in work.progress(results, "downloading filings", len(missing)):
                attempts[wanted.accession] = entry.attempts
                work.account.downloaded += entry.status == "verified"
                again += [wanted] if entry.status == "failed" else []
            # What failed in the evening may go well at the end of the night.
            missing = again


def _addresses(wanted: Expected, listed: set[str]) -> list[str]:
    """Return the CIKs under which to ask: the company's, others that list it, and the sender's own."""
    return list(dict.fromkeys([wanted.cik, *sorted(listed), wanted.accession[:10]]))


class _Fetch:
    """One filing's way from the SEC into the tree."""

    def __init__(
        self, wanted: Expected, ciks: list[str], work: _Work, transfer: LibraryTransfer, attempts: int
    ) -> None:
        self._wanted = wanted
        self._ciks = ciks
        self._work = work
        self._transfer = transfer
        self._attempts = attempts
        self._odd: bytes | None = None

    def run(self) -> Entry:
        try:
            for cik in self._ciks * _ASKS_OF_A_MISSING_ONE:
                try:
                    return self._work.client.persist(partial(self._once, cik))
                except NotThere as error:
                    missing = str(error)
            return self._given_up("missing", missing, 404)
        except Transient as error:
            return self._given_up("failed", str(error), error.status)

    def _once(self, cik: str) -> Entry:
        self._attempts += 1
        wanted = self._wanted
        staged = self._transfer.fetch(cik, wanted.accession, wanted.form, wanted.filed_on)
        content = staged.read_bytes()
        try:
            checked = check_filing(content, wanted.accession)
        except BadFiling as error:
            self._work.tree.isolate(staged, wanted.accession)
            raise Transient(str(error), 200) from error
        self._require_twice(checked, content)
        self._work.client.pace.check()
        return self._work.tree.adopt(wanted, staged, checked, self._attempts)

    def _require_twice(self, checked: Checked, content: bytes) -> None:
        """Believe that a document cannot be parsed only when the SEC sends the same bytes again."""
        if checked.reason is not None and content != self._odd:
            self._odd = content
            raise Transient(checked.reason, 200)

    def _given_up(self, status: str, reason: str, http_status: int | None) -> Entry:
        return Entry(
            accession=self._wanted.accession,
            cik=self._wanted.cik,
            form=self._wanted.form,
            filing_date=self._wanted.filed_on.isoformat(),
            status="missing" if status == "missing" else "failed",
            attempts=self._attempts,
            http_status=http_status,
            sha256=None,
            bytes=None,
            modified_ns=None,
            accepted_at=None,
            issuer_cik=None,
            reason=reason,
            fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _close(work: _Work, expected: dict[str, Expected]) -> None:
    entries = work.manifest.entries()
    for accession in sorted(expected):
        entry = entries.get(accession)
        if entry is None:
            continue
        if entry.status != "verified":
            work.account.failures.append(Failure(accession, _reason(entry)))
        elif entry.reason is not None:
            work.account.unparsed.append(Failure(accession, entry.reason))
        work.account.about_others += entry.status == "verified" and entry.issuer_cik not in (None, entry.cik)


def _reason(entry: Entry) -> str:
    if entry.status == "missing":
        again: date = (datetime.fromisoformat(entry.fetched_at) + _MISSING_STANDS).date()
        return f"{entry.reason}; asked again from {again}"
    return f"{entry.reason} (after {entry.attempts} attempts)"
