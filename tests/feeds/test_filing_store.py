from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import feeds.filing_store as filing_store
from feeds.filing_tree import parse_candidate
from feeds.transactions import read_filings, write_parquet
from tests.feeds import filing_texts as texts


def save(root: Path, number: int, company: str = "ABC", text: str | None = None, **document) -> Path:
    accession = f"0000000001-15-{number:06d}"
    path = root / "sec-edgar-filings" / company / "4" / accession / "full-submission.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = document.pop("rows", [texts.transaction(shares=number)])
    path.write_text(texts.submission(texts.document(rows, **document), accession=accession) if text is None else text)
    return path


@pytest.fixture(params=["settled", "fresh"])
def tree(tmp_path, request, monkeypatch) -> Path:
    """Ten filings in parts of three; settled files are known by their times, fresh ones by their content."""
    monkeypatch.setattr(filing_store, "FILES_PER_PART", 3)
    monkeypatch.setattr(filing_store, "_SETTLED_NS", 0 if request.param == "settled" else 10**15)
    for number in range(8):
        save(tmp_path / "tree", number, symbol="XYZ")
    save(tmp_path / "tree", 8, rows=[])
    save(tmp_path / "tree", 9, text="<html>")
    return tmp_path / "tree"


@pytest.fixture
def parsed(monkeypatch) -> list[str]:
    """Names of the candidates that were parsed."""
    names: list[str] = []
    monkeypatch.setattr(
        filing_store, "parse_candidate", lambda one, root: names.append(one.name[-2:]) or parse_candidate(one, root)
    )
    return names


def content(tree: Path, store: Path | None) -> bytes:
    """The bytes of the table, refusals and counts included."""
    out = tree.parent / "table.parquet"
    write_parquet(read_filings(tree, store=store), out)
    return out.read_bytes()


def expect_same(tree: Path, store: Path) -> None:
    assert content(tree, store) == content(tree, None)


def test_store_second_reading_parses_nothing_and_is_equal(tree, tmp_path, parsed):
    first = content(tree, tmp_path / "store")
    assert len(parsed) == 10
    assert len(list((tmp_path / "store").glob("part-*.parquet"))) == 4
    assert content(tree, tmp_path / "store") == first
    assert len(parsed) == 10
    assert content(tree, None) == first
    table = read_filings(tree, store=tmp_path / "store")
    assert (table.n_files, table.n_filings, len(table.rows), len(table.refused)) == (10, 9, 8, 1)


def test_store_new_and_removed_files_cost_only_themselves(tree, tmp_path, parsed):
    store = tmp_path / "store"
    content(tree, store)
    parsed.clear()
    save(tree, 20)
    shutil.rmtree(tree / "sec-edgar-filings/ABC/4/0000000001-15-000004")
    content(tree, store)
    assert parsed == ["20"]
    expect_same(tree, store)


def test_store_changed_file_is_parsed_again_though_size_and_time_are_equal(tree, tmp_path, parsed):
    store, path = tmp_path / "store", save(tree, 3)
    content(tree, store)
    before = path.stat()
    parsed.clear()
    path.write_text(path.read_text().replace("<value>3</value>", "<value>4</value>"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    content(tree, store)
    assert parsed == ["03"]
    expect_same(tree, store)


@pytest.mark.parametrize("keep", [0.3, 0.62, 0.97])
def test_read_filings_truncated_copy_of_an_accession_is_reported_and_the_whole_one_counts(keep, tmp_path):
    name = "0000000001-15-000001"
    whole = texts.submission(texts.document([texts.transaction(), texts.transaction("S", 7)]), accession=name)
    for company, text in (("AAA", whole[: int(len(whole) * keep)]), ("BBB", whole), ("CCC", whole)):
        path = tmp_path / "sec-edgar-filings" / company / "4" / name / "full-submission.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    made = read_filings(tmp_path)
    assert made.rows["shares"].tolist() == [100, 7]
    assert made.n_filings == 1
    complete = "</XML>" in whole[: int(len(whole) * keep)]
    assert [one.file.split("/")[1] for one in made.refused] == ([] if complete else ["AAA"])


def test_read_filings_copy_that_tells_other_trades_is_reported(tmp_path):
    xml = texts.document([texts.transaction()])
    for name, shares in (("a/0000000001-15-000001.txt", 100), ("b/0000000001-15-000001.txt", 200)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(texts.submission(xml.replace(">100<", f">{shares}<")))
    (tmp_path / "0000000001-15-000001.xml").write_text(xml)
    made = read_filings(tmp_path)
    assert made.rows["shares"].tolist() == [100]
    used = "tells other trades than the copy that is used, a/0000000001-15-000001.txt"
    assert made.refused == (("b/0000000001-15-000001.txt", used),)


def test_store_copy_of_a_filing_elsewhere_changes_who_covers_it(tree, tmp_path):
    store = tmp_path / "store"
    content(tree, store)
    shutil.copytree(tree / "sec-edgar-filings/ABC", tree / "sec-edgar-filings/FUND")
    expect_same(tree, store)
    assert read_filings(tree, store=store).tickers["ticker"].unique().tolist() == ["ABC", "FUND"]
    shutil.rmtree(tree / "sec-edgar-filings/FUND")
    expect_same(tree, store)


def test_store_repaired_page_is_no_longer_refused(tree, tmp_path):
    content(tree, tmp_path / "store")
    save(tree, 9)
    assert read_filings(tree, store=tmp_path / "store").refused == ()
    expect_same(tree, tmp_path / "store")


def test_store_same_accession_under_two_names_is_one_filing(tree, tmp_path):
    untimed = texts.document([texts.transaction()])
    (tree / "a.txt").write_text(texts.submission(untimed, accession="0000000001-15-000002"))
    (tree / "0000000001-15-000077.xml").write_text(untimed)
    save(tree, 77)
    expect_same(tree, tmp_path / "store")
    expect_same(tree, tmp_path / "store")
    assert read_filings(tree, store=tmp_path / "store").n_filings == 10


def test_store_killed_parse_continues_after_its_last_part(tree, tmp_path, parsed, monkeypatch):
    store = tmp_path / "store"
    one_part = filing_store._parse_batch

    def dies_in_the_third(task):
        if len(list(store.glob("part-*.parquet"))) == 2:
            raise KeyboardInterrupt
        return one_part(task)

    monkeypatch.setattr(filing_store, "_parse_batch", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        content(tree, store)
    assert len(parsed) == 6
    monkeypatch.setattr(filing_store, "_parse_batch", one_part)
    content(tree, store)
    assert len(parsed) == 10
    expect_same(tree, store)


def test_store_half_a_part_is_parsed_again(tree, tmp_path, parsed):
    store = tmp_path / "store"
    content(tree, store)
    first, second = [path for path in store.glob("part-*.parquet") if len(filing_store._part(path).entries) == 3][:2]
    first.write_bytes(first.read_bytes()[:100])
    second.with_suffix(".json").write_text("[[")
    parsed.clear()
    content(tree, store)
    assert len(parsed) == 6
    expect_same(tree, store)


def test_store_unreadable_file_is_tried_again(tree, tmp_path, parsed, monkeypatch):
    store, reads = tmp_path / "store", filing_store.parse_candidate

    def fails(candidate, root):
        found = reads(candidate, root)
        refused = (filing_store.Refusal("x", "cannot be read: too many open files"),)
        return type(found)(None, found.folders, refused) if candidate.name.endswith("05") else found

    monkeypatch.setattr(filing_store, "parse_candidate", fails)
    assert len(read_filings(tree, store=store).refused) == 2
    monkeypatch.setattr(filing_store, "parse_candidate", reads)
    parsed.clear()
    assert len(read_filings(tree, store=store).refused) == 1
    assert parsed == ["05"]


def test_store_many_small_parts_are_joined_and_dead_ones_removed(tree, tmp_path, parsed, monkeypatch):
    monkeypatch.setattr(filing_store, "FILES_PER_PART", 4)
    monkeypatch.setattr(filing_store, "_MOST_SMALL_PARTS", 3)
    store = tmp_path / "store"
    content(tree, store)
    for number in range(20, 26):
        save(tree, number)
        content(tree, store)
    for number in range(4):
        save(tree, number, rows=[texts.transaction(shares=50)])
    content(tree, store)
    names = {path.name for path in store.iterdir()}
    # Four single files became one part; two more, three whole parts, each of two files.
    assert len(names) == 2 * (1 + 2 + 3)
    assert {Path(name).suffix for name in names} == {".parquet", ".json"}
    parsed.clear()
    expect_same(tree, store)
    assert len(parsed) == 16  # those of the fresh reading only


def test_store_tidied_by_another_run_is_read_once_more(tree, tmp_path, parsed, monkeypatch):
    store, read = tmp_path / "store", filing_store._read
    content(tree, store)

    def finds_nothing(places):
        monkeypatch.setattr(filing_store, "_read", read)
        shutil.rmtree(store)
        return read(places)

    monkeypatch.setattr(filing_store, "_read", finds_nothing)
    expect_same(tree, store)


def test_store_removes_what_a_killed_run_left_a_day_ago(tree, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    for name, age in (("old", 100_000), ("new", 10)):
        (store / f".part-{name}.tmp").write_text("")
        then = (store / f".part-{name}.tmp").stat().st_mtime - age
        os.utime(store / f".part-{name}.tmp", (then, then))
    content(tree, store)
    assert [path.name for path in store.glob(".part-*")] == [".part-new.tmp"]


def test_store_of_real_filings_gives_the_same_table(real_data, tmp_path):
    for name in ("filings", "filings_odd"):
        first, second = (read_filings(real_data / name, store=tmp_path / name) for _ in range(2))
        fresh = read_filings(real_data / name)
        for number, table in enumerate((first, second, fresh)):
            write_parquet(table, tmp_path / f"{number}.parquet")
        assert len({(tmp_path / f"{number}.parquet").read_bytes() for number in range(3)}) == 1
