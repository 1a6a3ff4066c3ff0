"""The whole download over real HTTP: complete after every fault, resumable after a kill at any moment."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feeds import edgar_download, edgar_tree
from feeds.edgar_account import Account
from feeds.edgar_download import Order, download_filings
from feeds.edgar_http import BASE_VARIABLE
from feeds.edgar_index import Expected, Window
from feeds.edgar_library import filing_path
from feeds.edgar_manifest import Manifest, open_manifest
from feeds.errors import EnvironmentFailure
from feeds.insider import insider_features
from feeds.sgml import split_submission
from feeds.synthetic import MarketSettings, write_filings
from feeds.transactions import read_filings
from feeds.tree_coverage import read_coverage
from tests.conftest import build_panel
from tests.edgar_server import THROTTLE_PAGE, Edgar, filings_below, quick, serving
from tests.feeds import filing_texts as texts

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = Window(date(1990, 1, 1), date(2099, 12, 31))
XML = texts.document([texts.transaction()])
REFUSALS = ("403", "429", "throttle page")
BROKEN = ("503", "hang", "drip", "truncated")
NOT_THE_FILING = ("short", "empty", "wrong form", "wrong accession")
Companies = dict[str, tuple[str, dict[str, bytes]]]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Companies:
    """Filings of two invented companies: CIK → (ticker, accession number → content)."""
    tree = tmp_path_factory.mktemp("market") / "tree"
    write_filings(MarketSettings(n_stocks=2, n_sessions=300, late_listings=(), delistings=(), splits=()), tree)
    rows = [line.split(",") for line in (tree / "tickers.csv").read_text().splitlines()[1:]]
    return {cik: (ticker, filings_below(tree / "sec-edgar-filings" / ticker)) for cik, ticker, *_ in rows}


@pytest.fixture
def edgar(market: Companies) -> Iterator[Edgar]:
    one = Edgar()
    for cik, (ticker, filings) in market.items():
        one.add_company(cik, [ticker], filings, recent=6)
    with serving(one):
        yield one


def run(edgar: Edgar, out: Path, **changes: Any) -> Account:
    """Download both companies."""
    told = changes.pop("told", [])
    tickers = changes.pop("tickers", [ticker for _, _, ticker, _ in edgar.tickers])
    order = Order(tickers, [], changes.pop("window", ALWAYS), changes.pop("worth", None))
    return download_filings(order, out, quick(edgar, **changes), notify=told.append)


def in_tree(out: Path) -> dict[str, bytes]:
    return filings_below(out / "sec-edgar-filings")


def an_accession(edgar: Edgar) -> str:
    return sorted(edgar.filings)[3]


def place(edgar: Edgar, out: Path, accession: str) -> Path:
    """Where a filing belongs; every one of this market is listed by one company."""
    (cik,) = edgar.ciks[accession]
    return filing_path(out, cik.zfill(10), accession)


def hold_complete(edgar: Edgar, out: Path) -> None:
    """Hold the tree to what the server has, byte for byte, in the right folders, and to its manifest."""
    assert in_tree(out) == edgar.filings
    for accession in edgar.filings:
        assert place(edgar, out, accession).is_file()
    with open_manifest(out / ".edgar" / "manifest.sqlite") as manifest:
        entries = manifest.entries()
    assert set(entries) == set(edgar.filings)
    for accession, entry in entries.items():
        assert (entry.status, entry.bytes) == ("verified", len(edgar.filings[accession]))
    assert not (out / ".edgar" / "staging").exists()


def test_download_gives_every_filing_byte_for_byte_and_a_readable_tree(tmp_path: Path, edgar: Edgar):
    account = run(edgar, tmp_path)
    assert account.complete
    assert (account.expected, account.present, account.downloaded, account.left) == (29, 0, 29, 0)
    hold_complete(edgar, tmp_path)
    table = read_filings(tmp_path)
    assert table.n_filings == 29
    assert set(table.rows["ticker"].dropna()) == {ticker for _, _, ticker, _ in edgar.tickers}


def stated(out: Path, cik: str) -> list[tuple[str, str]]:
    """Return the spans that the tree states of a company, in New York time."""
    spans = read_coverage(out / "coverage.csv").get(cik, ()) if (out / "coverage.csv").is_file() else ()
    return [tuple(f"{one.tz_convert('America/New_York'):%Y-%m-%d %H:%M}" for one in span) for span in spans]


def test_download_states_its_window_of_complete_companies_only(tmp_path: Path, edgar: Edgar):
    first, second = sorted(edgar.pages)[0][3:13], sorted({name[3:13] for name in edgar.pages})[1]
    lost = next(accession for accession in sorted(edgar.filings) if str(int(second)) in edgar.ciks[accession])
    edgar.faults[lost] = ["503"] * 99
    window = Window(date(2016, 1, 4), date(2018, 12, 31))
    assert not run(edgar, tmp_path, window=window).complete
    assert (stated(tmp_path, first), stated(tmp_path, second)) == ([("2016-01-04 00:00", "2019-01-01 00:00")], [])
    edgar.faults.clear()
    assert run(edgar, tmp_path, window=window).complete
    assert stated(tmp_path, first) == stated(tmp_path, second) == [("2016-01-04 00:00", "2019-01-01 00:00")]
    # What the file says is in the table, and in the parquet made of it.
    table = read_filings(tmp_path)
    assert table.issuer_coverage == read_coverage(tmp_path / "coverage.csv")
    assert read_filings(tmp_path / "sec-edgar-filings").issuer_coverage == table.issuer_coverage


def test_download_never_states_more_than_the_index_knew_when_it_was_asked(tmp_path: Path, edgar: Edgar):
    before = pd.Timestamp(datetime.now(UTC)).floor("s")
    run(edgar, tmp_path)
    ((span,), _) = read_coverage(tmp_path / "coverage.csv").values()
    assert before <= span.last <= pd.Timestamp(datetime.now(UTC))
    future = Window(date(2098, 1, 1), date(2099, 1, 1))
    assert run(edgar, tmp_path, window=future).complete
    assert [len(spans) for spans in read_coverage(tmp_path / "coverage.csv").values()] == [1, 1]


def test_download_of_a_second_window_states_both_and_joins_what_touches(tmp_path: Path, edgar: Edgar):
    cik = sorted(edgar.pages)[0][3:13]
    for year in (2015, 2017, 2016):
        run(edgar, tmp_path, window=Window(date(year, 1, 1), date(year, 12, 31)))
        if year == 2017:
            assert [first for first, _ in stated(tmp_path, cik)] == ["2015-01-01 00:00", "2017-01-01 00:00"]
    assert stated(tmp_path, cik) == [("2015-01-01 00:00", "2018-01-01 00:00")]


def test_download_that_lost_a_filing_takes_its_statement_back_from_that_day_on(tmp_path: Path, edgar: Edgar):
    window = Window(date(2010, 1, 1), date(2018, 12, 31))
    run(edgar, tmp_path, window=window)
    accession = an_accession(edgar)
    path, (cik,) = place(edgar, tmp_path, accession), edgar.ciks[accession]
    path.write_bytes(b"")
    edgar.faults[accession] = ["503"] * 99
    run(edgar, tmp_path, window=window)
    header, _ = split_submission(edgar.filings[accession])
    day = header.filed_on if header else None
    assert stated(tmp_path, cik.zfill(10)) == [("2010-01-01 00:00", f"{day} 00:00")]
    assert sum(spans[0].last.year == 2019 for spans in read_coverage(tmp_path / "coverage.csv").values()) == 1


def test_download_without_a_companys_index_leaves_its_statement(tmp_path: Path, edgar: Edgar):
    run(edgar, tmp_path, window=Window(date(2010, 1, 1), date(2018, 12, 31)))
    before = (tmp_path / "coverage.csv").read_text()
    edgar.faults |= {f"{name}": ["503"] * 99 for name in edgar.pages}
    assert run(edgar, tmp_path, window=Window(date(2010, 1, 1), date(2019, 12, 31))).failures
    assert (tmp_path / "coverage.csv").read_text() == before


def test_download_killed_after_a_damaged_file_was_put_aside_claims_nothing_of_its_days(
    tmp_path: Path, edgar: Edgar, monkeypatch: pytest.MonkeyPatch
):
    window = Window(date(2010, 1, 1), date(2018, 12, 31))
    run(edgar, tmp_path, window=window)
    accession = an_accession(edgar)
    place(edgar, tmp_path, accession).write_bytes(b"")

    def killed(*words: Any) -> None:
        raise _Killed

    monkeypatch.setattr(edgar_download, "_fetch_all", killed)
    with pytest.raises(_Killed):
        run(edgar, tmp_path, window=window)
    (cik,) = edgar.ciks[accession]
    assert stated(tmp_path, cik.zfill(10))[0][1] < "2018"


def test_download_stated_makes_a_silent_company_known_to_the_windows_end(tmp_path: Path):
    """One filing in a year of silence: an undeclared source ends after 63 sessions, a stated one does not."""
    content = texts.submission(texts.document([texts.transaction()]), accepted="20150303170000")
    edgar, panel = Edgar(), build_panel(sessions=252, tickers=1)
    edgar.add_company("0000000101", ["T000"], {"0000000001-15-000001": content.encode()})
    window = Window(date(2015, 2, 2), date(2015, 11, 30))
    with serving(edgar):
        run(edgar, tmp_path, window=window)
    known = insider_features(read_filings(tmp_path), panel, ("ins_known", "ins_buy_usd_21")).values[:, 0]
    days = panel.sessions.strftime("%Y-%m-%d")
    covered = days[known[:, 0] == 1]
    assert (covered[0], covered[-1]) == ("2015-02-02", "2015-11-30")
    assert known[days == "2015-11-30", 1] == 0
    assert pd.isna(known[days == "2015-12-01", 1]).all()
    (tmp_path / "coverage.csv").unlink()
    silent = insider_features(read_filings(tmp_path), panel, ("ins_known",)).values[:, 0, 0]
    assert days[silent == 1][-1] < "2015-06-10"


def test_download_of_a_complete_tree_asks_for_the_index_only(tmp_path: Path, edgar: Edgar):
    run(edgar, tmp_path)
    asked = len(edgar.asked)
    account = run(edgar, tmp_path)
    assert (account.present, account.downloaded, account.complete) == (29, 0, True)
    assert {one.status for one in edgar.asked[asked:]} == {304}


def test_download_of_a_window_holds_that_window_only(tmp_path: Path, edgar: Edgar):
    run(edgar, tmp_path, window=Window(date(2017, 6, 1), date(2017, 9, 30)))
    days = [read_filings(tmp_path).rows["filed_on"].min(), read_filings(tmp_path).rows["filed_on"].max()]
    assert date(2017, 6, 1) <= days[0].date() <= days[1].date() <= date(2017, 9, 30)
    assert 0 < len(in_tree(tmp_path)) < 29


@pytest.mark.parametrize("fault", [*REFUSALS, *BROKEN, *NOT_THE_FILING, "404"])
def test_download_with_a_fault_is_complete_in_the_end(fault: str, tmp_path: Path, edgar: Edgar):
    accession = an_accession(edgar)
    edgar.faults[accession] = [fault, fault]
    told: list[str] = []
    timeouts = {"read_s": 0.4, "whole_s": 0.4} if fault in ("hang", "drip") else {}
    account = run(edgar, tmp_path, told=told, pause_s=0.05, **timeouts)
    assert account.complete
    hold_complete(edgar, tmp_path)
    assert edgar.faults[accession] == []
    assert bool(told) == (fault in REFUSALS)
    if fault == "drip":
        # Not waited for to the end: the answer was given up while it still came.
        wait_for(lambda: edgar.hung_up == 2)
    put_aside = [path.stem for path in (tmp_path / ".edgar" / "quarantine").iterdir()]
    assert put_aside == ([accession] if fault in NOT_THE_FILING else [])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("503", "HTTP status 503"),
        ("short", "cut short: "),
        ("wrong form", "another form: expected 4 or 4/A, received 424B2"),
        ("403", "refused with 403"),
    ],
)
def test_download_with_a_fault_that_stays_has_all_the_others_and_says_why(
    fault: str, reason: str, tmp_path: Path, edgar: Edgar
):
    accession = an_accession(edgar)
    edgar.faults[accession] = [fault] * 99
    account = run(edgar, tmp_path, pause_s=0.02)
    assert not account.complete
    assert (account.downloaded, account.left) == (28, 1)
    assert [one.name for one in account.failures] == [accession]
    assert reason in account.failures[0].reason
    assert set(in_tree(tmp_path)) == set(edgar.filings) - {accession}
    edgar.faults.clear()
    account = run(edgar, tmp_path)
    assert (account.present, account.downloaded, account.complete) == (28, 1, True)
    hold_complete(edgar, tmp_path)


def test_download_of_a_filing_under_its_senders_address_only_is_complete(tmp_path: Path, edgar: Edgar):
    accession = an_accession(edgar)
    company = edgar.ciks[accession]
    edgar.ciks[accession] = {str(int(accession[:10]))}
    assert run(edgar, tmp_path).complete
    assert edgar.statuses(accession) == [404, 200]
    edgar.ciks[accession] = company
    hold_complete(edgar, tmp_path)


def test_download_of_a_filing_that_the_sec_lost_asks_both_addresses_twice_and_not_again(tmp_path: Path, edgar: Edgar):
    accession = an_accession(edgar)
    edgar.ciks[accession] = set()
    account = run(edgar, tmp_path)
    assert [(one.name, one.reason.split(";")[0]) for one in account.failures] == [(accession, "not on sec.gov (404)")]
    paths = Counter(one.path.split("/")[4] for one in edgar.asked if accession in one.path)
    assert sorted(paths.values()) == [2, 2]
    again = run(edgar, tmp_path)
    assert again.failures == account.failures
    assert not again.complete
    assert len(edgar.times(accession)) == 4


@pytest.mark.parametrize("company", ["cik", "ticker"])
def test_download_into_an_earlier_tree_repairs_what_is_bad_and_keeps_the_rest(
    company: str, tmp_path: Path, edgar: Edgar, market: Companies
):
    cik, (ticker, filings) = next(iter(market.items()))
    folder = cik if company == "cik" else ticker
    for accession, content in filings.items():
        filing_path(tmp_path, folder, accession).parent.mkdir(parents=True)
        filing_path(tmp_path, folder, accession).write_bytes(content)
    bad = sorted(filings)[:3]
    for accession, content in zip(bad, [b"", filings[bad[1]][:2000], THROTTLE_PAGE], strict=True):
        filing_path(tmp_path, folder, accession).write_bytes(content)
    account = run(edgar, tmp_path)
    assert account.complete
    assert (account.present, account.repaired) == (len(filings) - 3, 3)
    assert in_tree(tmp_path) == edgar.filings
    table = read_filings(tmp_path)
    assert (table.n_filings, table.refused) == (29, ())
    asked = {accession for accession in edgar.filings if edgar.times(accession)}
    assert asked == set(edgar.filings) - set(filings) | set(bad)
    assert sorted(path.stem for path in (tmp_path / ".edgar" / "quarantine").iterdir()) == bad


def test_download_notices_a_file_that_was_cut_after_it_was_verified(tmp_path: Path, edgar: Edgar):
    run(edgar, tmp_path)
    path = place(edgar, tmp_path, an_accession(edgar))
    path.write_bytes(path.read_bytes()[:-20])
    account = run(edgar, tmp_path)
    assert (account.present, account.repaired, account.downloaded) == (28, 1, 1)
    hold_complete(edgar, tmp_path)


class _Killed(BaseException):
    """Ends the process's work without any of its own handling."""


@pytest.mark.parametrize("moment", ["written to staging", "moved into the tree", "recorded"])
@pytest.mark.parametrize("count", [1, 7])
def test_download_killed_at_any_moment_goes_on_without_asking_twice(
    moment: str, count: int, tmp_path: Path, edgar: Edgar, monkeypatch: pytest.MonkeyPatch
):
    owner, name = {
        "written to staging": (edgar_download, "check_filing"),
        "moved into the tree": (edgar_tree, "describe"),
        "recorded": (Manifest, "record"),
    }[moment]
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def dying(*words: Any) -> Any:
        nonlocal calls
        calls += moment != "recorded" or bool(words[1])
        if calls == count:
            # What a kill leaves behind: nothing is cleaned up after it.
            monkeypatch.setattr(edgar_tree.DownloadTree, "empty_staging", lambda tree: None)
            if moment == "recorded":
                original(*words)
            raise _Killed
        return original(*words)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dying)
        with pytest.raises(_Killed):
            run(edgar, tmp_path, threads=1)
    monkeypatch.undo()
    account = run(edgar, tmp_path)
    assert account.complete
    hold_complete(edgar, tmp_path)
    often = Counter(len(edgar.times(accession)) for accession in edgar.filings)
    assert often == ({1: 28, 2: 1} if moment == "written to staging" else {1: 29})


def start_command(edgar: Edgar, out: Path) -> subprocess.Popen[str]:
    tickers = ",".join(ticker for _, _, ticker, _ in edgar.tickers)
    words = ["download", "filings", "--tickers", tickers, "--from", "2000-01-01", "--out", str(out)]
    words += ["--user-agent", "Ada Lovelace ada@analytical.org", "--rate", "50"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_backtest.py"), *words],
        env={**os.environ, BASE_VARIABLE: edgar.address, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_download_killed_with_9_and_started_again_ends_complete(tmp_path: Path, edgar: Edgar):
    edgar.delay_s = 0.1
    process = start_command(edgar, tmp_path)
    wait_for(lambda: len(edgar.times("/Archives/")) >= 9)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    kept = in_tree(tmp_path)
    assert 1 <= len(kept) < 29
    assert {accession: edgar.filings[accession] for accession in kept} == kept
    edgar.delay_s = 0.0
    account = run(edgar, tmp_path)
    assert account.complete
    assert account.present == len(kept)
    hold_complete(edgar, tmp_path)
    assert all(len(edgar.times(accession)) == 1 for accession in kept)


def test_download_interrupted_ends_with_130_and_keeps_everything(tmp_path: Path, edgar: Edgar):
    edgar.delay_s = 0.1
    process = start_command(edgar, tmp_path)
    wait_for(lambda: len(in_tree(tmp_path)) >= 5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "filings downloaded now are kept; the same command goes on from here" in errors
    kept = in_tree(tmp_path)
    assert {accession: edgar.filings[accession] for accession in kept} == kept
    assert run(edgar, tmp_path).present == len(kept) < 29
    hold_complete(edgar, tmp_path)


@contextmanager
def longest_stall() -> Iterator[list[float]]:
    """Measure how long this process did not come to run, beyond the usual."""
    longest, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            begun = time.monotonic()
            time.sleep(0.01)
            longest[0] = max(longest[0], time.monotonic() - begun - 0.05)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield longest
    done.set()
    watcher.join()


def test_download_stays_below_ten_a_second_on_the_servers_clock_whatever_the_threads(tmp_path: Path, edgar: Edgar):
    with longest_stall() as stall:
        run(edgar, tmp_path, per_second=9.0, threads=12)
    times = sorted(edgar.times())
    assert len(times) == 29 + 1 + 5
    # What arrives together because this machine stood still was not sent together.
    assert max(bisect_right(times, at + 1.0) - index for index, at in enumerate(times)) <= 10 + 9 * stall[0]
    assert times[-1] - times[0] >= 34 / 9 - 0.1 - stall[0]


@pytest.mark.parametrize("fault", REFUSALS)
def test_download_refused_pauses_every_thread(fault: str, tmp_path: Path, edgar: Edgar):
    told: list[str] = []
    edgar.faults[an_accession(edgar)] = [fault]
    assert run(edgar, tmp_path, told=told, threads=8, per_second=100.0, pause_s=0.6).complete
    times = sorted(edgar.times())
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert longest >= 0.55
    assert len(told) == 1
    assert told[0].endswith("all requests wait 0.6 seconds, then 70.0 a second go on")


def test_download_that_the_sec_goes_on_refusing_stops_and_accounts_for_it(tmp_path: Path, edgar: Edgar):
    for accession in edgar.filings:
        edgar.faults[accession] = ["403"] * 99
    account = run(edgar, tmp_path, pause_s=0.001)
    assert account.stopped is not None
    assert "expected an answer after 6 pauses, received refused with 403" in account.stopped
    assert (account.complete, account.left) == (False, 29)
    assert len(edgar.times("/Archives/")) <= 7 * 4


def test_download_without_one_companys_index_has_the_others_filings(tmp_path: Path, edgar: Edgar, market: Companies):
    lost, other = market
    edgar.faults[f"CIK{lost}.json"] = ["503"] * 99
    account = run(edgar, tmp_path)
    assert [(one.name, one.reason) for one in account.failures] == [(f"CIK {lost}", "its index: HTTP status 503")]
    assert not account.complete
    assert in_tree(tmp_path) == market[other][1]


def test_download_of_a_filing_that_two_companies_list_holds_it_once(tmp_path: Path, edgar: Edgar, market: Companies):
    (first, (_, filings)), (second, _) = market.items()
    shared = dict(list(filings.items())[:1])
    edgar.add_company(second, [], {**market[second][1], **shared})
    account = run(edgar, tmp_path)
    assert (account.expected, account.complete) == (29, True)
    assert in_tree(tmp_path) == edgar.filings
    assert run(edgar, tmp_path, tickers=[second]).present == len(market[second][1]) + 1
    assert first < second


def test_download_by_cik_takes_the_tickers_from_the_index_and_counts_owner_side_filings(tmp_path: Path):
    about_another = texts.submission(texts.document([texts.transaction()], issuer="0000000999")).encode()
    edgar = Edgar()
    edgar.add_company("0000000101", ["AAA", "AAA-B"], {"0000000001-15-000001": about_another})
    with serving(edgar):
        account = run(edgar, tmp_path, tickers=["101"])
    assert (account.complete, account.about_others) == (True, 1)
    lines = (tmp_path / "tickers.csv").read_text().splitlines()
    assert lines == ["cik,ticker,from,to", "0000000101,AAA,,", "0000000101,AAA-B,,"]


def test_download_of_a_document_that_cannot_be_parsed_believes_it_the_second_time(tmp_path: Path):
    damaged = texts.submission(f"{XML}</XML><XML>{XML}").encode()
    edgar = Edgar()
    edgar.add_company("0000000101", ["AAA"], {"0000000001-15-000001": damaged})
    with serving(edgar):
        account = run(edgar, tmp_path)
    assert len(edgar.times("/Archives/")) == 2
    assert account.complete
    assert [(one.name, one.reason) for one in account.unparsed] == [
        ("0000000001-15-000001", "holds 2 ownership documents")
    ]


def test_download_leaves_out_what_is_not_worth_it(tmp_path: Path, edgar: Edgar):
    wanted = set(sorted(edgar.filings)[::3])

    def worth(filing: Expected) -> bool:
        return filing.accession in wanted

    account = run(edgar, tmp_path, worth=worth)
    assert (account.complete, account.skipped) == (True, 29 - len(wanted))
    assert set(in_tree(tmp_path)) == wanted
    assert run(edgar, tmp_path).downloaded == 29 - len(wanted)


def test_download_without_room_on_the_disk_does_not_begin(
    tmp_path: Path, edgar: Edgar, monkeypatch: pytest.MonkeyPatch
):
    usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(EnvironmentFailure, match=r"expected 0\.1 GiB of free space for 29 filings, received 0\.0 GiB"):
        run(edgar, tmp_path)
    assert edgar.times("/Archives/") == []


def test_download_onto_a_disk_that_fills_up_stops_and_accounts_for_it(
    tmp_path: Path, edgar: Edgar, monkeypatch: pytest.MonkeyPatch
):
    original, calls = Path.replace, []

    def full(path: Path, target: Path) -> Path:
        if path.name == "full-submission.txt":
            calls.append(path)
            if len(calls) > 4:
                raise OSError(28, "No space left on device")
        return original(path, target)

    monkeypatch.setattr(Path, "replace", full)
    account = run(edgar, tmp_path)
    assert account.stopped == f"cannot write {tmp_path}: No space left on device"
    assert account.left > 0
    monkeypatch.undo()
    assert run(edgar, tmp_path).complete
    hold_complete(edgar, tmp_path)


def test_download_into_a_folder_that_cannot_be_made_is_told(tmp_path: Path, edgar: Edgar):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EnvironmentFailure, match=r"cannot write .*: Not a directory; choose another `--out`"):
        run(edgar, tmp_path / "file" / "out")


def test_download_beside_another_in_the_same_folder_is_refused(tmp_path: Path, edgar: Edgar):
    run(edgar, tmp_path)
    with (
        open_manifest(tmp_path / ".edgar" / "manifest.sqlite"),
        pytest.raises(EnvironmentFailure, match="another download works in this folder"),
    ):
        run(edgar, tmp_path)


def real_world(real_data: Path, ciks: dict[str, str], *, complete: bool) -> Edgar:
    """Real indexes and filings of early 2023; without `complete`, filings that are not at hand are 404."""
    edgar = Edgar(pages={path.name: json.loads(path.read_text()) for path in (real_data / "edgar_json").iterdir()})
    edgar.tickers = [[int(cik), "COMPANY", ticker, "Nasdaq"] for cik, ticker in ciks.items()]
    for cik, ticker in ciks.items():
        edgar.filings |= (held := filings_below(real_data / "filings" / "sec-edgar-filings" / ticker))
        edgar.ciks |= {accession: {str(int(cik))} for accession in held}
    for page in edgar.pages.values() if complete else ():
        recent = page.get("filings", {}).get("recent", page)
        kept = [at for at, accession in enumerate(recent["accessionNumber"]) if accession in edgar.filings]
        recent.update({name: [column[at] for at in kept] for name, column in recent.items()})
    return edgar


@pytest.mark.parametrize("complete", [True, False])
def test_download_of_real_filings_by_their_real_index(complete: bool, tmp_path: Path, real_data: Path):
    edgar = real_world(real_data, {"0001166691": "CMCSA", "0001318605": "TSLA"}, complete=complete)
    with serving(edgar):
        account = run(edgar, tmp_path, window=Window(date(2023, 1, 3), date(2023, 7, 20)), told=[])
    assert account.complete is complete
    assert (account.expected, account.downloaded) == ((40, 40) if complete else (74, 40))
    assert account.left == len(account.failures) == account.expected - 40
    assert account.about_others > 0
    table = read_filings(tmp_path)
    assert table.n_filings == 40
    assert set(table.rows["ticker"].dropna()) == {"CMCSA", "TSLA"}
