"""The embedded filings: documents as EDGAR has them, saying what the table of events says."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lxml import etree

import feeds.synthetic_filings
from feeds.errors import InputError
from feeds.sessions import NEW_YORK
from feeds.synthetic import MarketSettings, insider_events, make_market, write_filings
from feeds.synthetic_documents import schema_version
from feeds.transactions import TransactionTable, read_filings

pytestmark = pytest.mark.xdist_group("synthetic filings")

DEFAULT = MarketSettings()
SMALL = MarketSettings(n_stocks=6, n_sessions=120)


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return insider_events(DEFAULT)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("embedded") / "filings"
    write_filings(DEFAULT, directory)
    return directory


@pytest.fixture(scope="module")
def table(tree: Path) -> TransactionTable:
    return read_filings(tree)


@pytest.fixture(scope="module")
def documents(tree: Path) -> pd.DataFrame:
    """A minimal reading, one row per transaction, independent of our parser."""
    rows = []
    for path in sorted(tree.glob("sec-edgar-filings/*/4/*/full-submission.txt")):
        text = path.read_text(encoding="utf-8")
        root = etree.fromstring(text.split("<XML>\n")[1].split("</XML>")[0].encode())
        accepted = re.search(r"^<ACCEPTANCE-DATETIME>(\d{14})$", text, re.MULTILINE)
        common = {
            "folder": path.parts[-4],
            "accession": path.parts[-2],
            "text": text,
            "accepted": accepted.group(1) if accepted else None,
            "form": root.findtext("documentType"),
            "schema": root.findtext("schemaVersion"),
            "plan": root.findtext("aff10b5One"),
            "issuer_cik": root.findtext("issuer/issuerCik"),
            "owner_ciks": tuple(node.text for node in root.iter("rptOwnerCik")),
            "original_on": root.findtext("dateOfOriginalSubmission"),
        }
        for table, tag in (("N", "nonDerivativeTransaction"), ("D", "derivativeTransaction")):
            for ordinal, node in enumerate(root.iter(tag), start=1):
                rows.append(
                    common
                    | {
                        "table": table,
                        "ordinal": ordinal,
                        "code": node.findtext("transactionCoding/transactionCode"),
                        "transacted_on": node.findtext("transactionDate/value"),
                        "shares": node.findtext("transactionAmounts/transactionShares/value"),
                        "price": node.findtext("transactionAmounts/transactionPricePerShare/value"),
                        "acquired_disposed": node.findtext("transactionAmounts/transactionAcquiredDisposedCode/value"),
                        "notes": [mark.get("id") for mark in node.iter("footnoteId")],
                        "footnotes": {note.get("id"): note.text for note in root.iter("footnote")},
                    }
                )
    return pd.DataFrame(rows)


def test_insider_events_same_seed_gives_the_same_table(events):
    pd.testing.assert_frame_equal(insider_events(MarketSettings()), events)


def test_insider_events_fewer_sessions_are_the_beginning_of_more(events):
    shorter = insider_events(replace(DEFAULT, n_sessions=800))
    pd.testing.assert_frame_equal(shorter, events[events["known_row"] < 800].reset_index(drop=True))


def test_insider_events_market_prices_lie_within_the_tape_range_of_the_day(events):
    panel = make_market(DEFAULT)
    rows = panel.sessions.get_indexer(pd.DatetimeIndex(events["transacted_on"]))
    columns = pd.Index(panel.tickers).get_indexer(pd.Index(events["ticker"]))
    low, high = (panel.source_price(name)[rows, columns] for name in ("low", "high"))
    traded = events["code"].isin(["P", "S", "F"]).to_numpy()
    assert traded.sum() > 2_000
    assert (events["price"] >= low - 1e-6)[traded].all()
    assert (events["price"] <= high + 1e-6)[traded].all()


def test_insider_events_codes_agree_with_direction_and_price(events):
    direction = events.groupby(["code", "table"])["acquired_disposed"].unique().map(list).to_dict()
    assert direction == {
        ("A", "D"): ["A"],
        ("A", "N"): ["A"],
        ("F", "N"): ["D"],
        ("G", "N"): ["D"],
        ("M", "D"): ["D"],
        ("M", "N"): ["A"],
        ("P", "N"): ["A"],
        ("S", "N"): ["D"],
    }
    assert (events.loc[events["code"].isin(["P", "S", "F"]), "price"] > 0).all()
    assert events.loc[events["price"].isna(), "code"].unique().tolist() == ["G"]
    assert (events["shares"] >= 1).all()
    assert (events["shares_after"] >= 0).all()


def test_insider_events_option_exercises_are_in_both_tables(events):
    exercises = events[events["kind"] == "exercise"]
    tables = exercises[exercises["code"] == "M"].groupby("accession")["table"].agg(list)
    assert (tables.map(tuple) == ("N", "D")).all()
    assert set(exercises["code"]) == {"M", "S", "F"}


def test_insider_events_copy_repeats_the_trade_and_amendment_corrects_it(events):
    first = events[~events["copy"] & (events["form"] == "4")].set_index(["act", "table", "ordinal"])
    copies = events[events["copy"]].set_index(["act", "table", "ordinal"])
    same = ["ticker", "transacted_on", "code", "shares", "price", "shares_after"]
    pd.testing.assert_frame_equal(copies[same], first.loc[copies.index, same])
    amended = events[events["form"] == "4/A"].set_index(["act", "table", "ordinal"])
    originals = first.loc[amended.index]
    assert (amended["shares"] <= originals["shares"]).all()
    assert (amended["shares"] < originals["shares"]).mean() > 0.9
    filed_on = originals["accepted_at"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    np.testing.assert_array_equal(amended["original_on"], filed_on)


def test_insider_events_accession_numbers_are_valid_distinct_and_grow(events):
    numbers = events.groupby("accession", sort=False)["accepted_at"].first()
    assert all(re.fullmatch(r"09700000\d\d-\d\d-\d{6}", number) for number in numbers.index)
    assert events.groupby("accession")["ticker"].nunique().max() == 1
    for _, of_agent in numbers.groupby(numbers.index.str[:13]):
        assert list(of_agent.index) == sorted(of_agent.index)


def test_write_filings_tree_says_what_the_events_say(documents, events):
    assert documents["folder"].tolist() == documents["folder"].str.upper().tolist()
    key = ["accession", "table", "ordinal"]
    read = documents.sort_values(key, ignore_index=True)
    told = events.sort_values(key, ignore_index=True)
    for name in (*key, "form", "code", "acquired_disposed", "issuer_cik", "owner_ciks"):
        assert read[name].tolist() == told[name].tolist(), name
    assert read["folder"].tolist() == told["ticker"].tolist()
    np.testing.assert_array_equal(read["shares"].astype(float), told["shares"])
    np.testing.assert_allclose(read["price"].astype(float), told["price"], atol=1e-9)
    assert read["transacted_on"].tolist() == told["transacted_on"].dt.strftime("%Y-%m-%d").tolist()
    wall_clock = told["accepted_at"].dt.tz_convert(NEW_YORK).dt.strftime("%Y%m%d%H%M%S")
    assert read["accepted"].tolist() == wall_clock.tolist()


def test_write_filings_header_agrees_with_the_document(documents):
    filing = documents.drop_duplicates("accession")
    for row in filing.itertuples():
        assert row.text.startswith(f"<SEC-DOCUMENT>{row.accession}.txt : {row.accepted[:8]}\n<SEC-HEADER>")
        assert f"\nCONFORMED SUBMISSION TYPE:\t{row.form}\n" in row.text
        keys = re.findall(r"\n\t\tCENTRAL INDEX KEY:\t\t\t(\d{10})\n", row.text)
        assert sorted(keys) == sorted((*row.owner_ciks, row.issuer_cik))
        assert row.text.endswith("</XML>\n</TEXT>\n</DOCUMENT>\n</SEC-DOCUMENT>\n")
    issuer_first = filing["text"].map(lambda text: text.index("ISSUER:\t") < text.index("REPORTING-OWNER:\t"))
    assert 0.1 < issuer_first.mean() < 0.3


def test_write_filings_schema_follows_the_filing_date_and_brings_the_plan_box(documents):
    by_schema = documents.groupby("schema")["accepted"].agg(["min", "max"])
    assert list(by_schema.index) == ["X0306", "X0407", "X0508"]
    assert by_schema.loc["X0306", "max"] < "20230320" <= by_schema.loc["X0407", "min"]
    assert by_schema.loc["X0407", "max"] < "20230717" <= by_schema.loc["X0508", "min"]
    assert documents["plan"].notna().tolist() == (documents["schema"] != "X0306").tolist()
    assert set(documents["plan"].dropna()) == {"0", "1", "true", "false"}


@pytest.mark.parametrize(
    ("day", "version"),
    [("2023-03-19", "X0306"), ("2023-03-20", "X0407"), ("2023-07-16", "X0407"), ("2023-07-17", "X0508")],
)
def test_schema_version_changes_on_the_day(day, version):
    assert schema_version(date.fromisoformat(day)) == version


def test_write_filings_footnotes_tell_plans_averages_and_gifts(documents, events):
    told = events.set_index(["accession", "table", "ordinal"])
    for row in documents.itertuples():
        event = told.loc[(row.accession, row.table, row.ordinal)]
        text = " ".join(row.footnotes[name] for name in row.notes)
        assert ("10b5-1" in text) == event["planned"]
        assert ("Weighted average" in text) == event["price_is_average"]
        assert row.price is not None or row.notes


def test_write_filings_booleans_are_spelt_as_in_the_wild(documents):
    words = Counter(
        word
        for text in documents.drop_duplicates("accession")["text"]
        for word in re.findall(r"<isDirector>(\w+)</isDirector>", text)
    )
    assert set(words) == {"0", "1", "true", "false"}
    assert documents["text"].str.contains("<isDirector>").mean() < 0.95  # some software leaves it out


def test_write_filings_owner_relationships_and_joint_owners(documents):
    filing = documents.drop_duplicates("accession")
    assert set(filing["owner_ciks"].map(len)) == {1, 2}
    assert filing["text"].str.contains("<officerTitle>President &amp; CEO</officerTitle>").any()
    remarks = filing["text"].str.contains("<remarks>Chief Operating Officer</remarks>")
    np.testing.assert_array_equal(remarks, filing["text"].str.contains("<officerTitle>See Remarks<"))
    derivative_only = documents.groupby("accession")["table"].agg(set).map(lambda tables: tables == {"D"})
    assert derivative_only.sum() > 100


def test_write_filings_ticker_file_has_every_listed_stock(tree):
    tickers = pd.read_csv(tree / "tickers.csv", dtype=str, keep_default_na=False)
    panel = make_market(DEFAULT)
    assert list(tickers.columns) == ["cik", "ticker", "from", "to"]
    assert tickers["ticker"].tolist() == list(panel.tickers)
    assert tickers["from"].tolist() == panel.sessions[panel.first_rows].strftime("%Y-%m-%d").tolist()
    gone = tickers[tickers["to"] != ""]
    assert gone["to"].tolist() == [str(panel.sessions[1180].date())]


def test_write_filings_same_settings_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_filings(SMALL, tmp_path / name)
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert len(one) > 10


def test_write_filings_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"`directory`: expected a new or empty folder, received .*; choose another"):
        write_filings(SMALL, tmp_path)


def test_write_filings_interrupted_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def interrupted(filing: object) -> str:
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(filing)
        return "text"

    monkeypatch.setattr(feeds.synthetic_filings, "full_submission", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_filings(SMALL, tmp_path / "filings")
    assert list(tmp_path.iterdir()) == []


def test_read_filings_embedded_tree_is_read_whole(table, events):
    assert table.refused == ()
    assert table.n_filings == events["accession"].nunique()
    key = ["accession", "table", "ordinal"]
    rows, told = (frame.sort_values(key, ignore_index=True) for frame in (table.rows, events))
    assert rows["code"].value_counts().to_dict() == told["code"].value_counts().to_dict()
    for name in (*key, "form", "ticker", "issuer_cik", "code", "acquired_disposed", "shares", "shares_after"):
        assert rows[name].tolist() == told[name].tolist(), name
    np.testing.assert_array_equal(rows["accepted_at"], told["accepted_at"])
    np.testing.assert_allclose(rows["price"], told["price"], atol=1e-9)
    assert rows["price_is_average"].tolist() == told["price_is_average"].tolist()
    assert (rows["plan_10b5_1"] == "true").tolist() == told["planned"].tolist()


def test_read_filings_finds_the_embedded_amendments_and_copies(table, events):
    rows = table.rows
    amending, told = rows[rows["form"] == "4/A"], events[events["form"] == "4/A"]
    first = events[~events["copy"] & (events["form"] == "4")].drop_duplicates("act").set_index("act")["accession"]
    expected = told.drop_duplicates("accession").set_index("accession")["act"].map(first)
    found = amending.drop_duplicates("accession").set_index("accession")["amendment_of"]
    assert (found == expected.loc[found.index]).mean() > 0.9
    copies = set(events.loc[events["copy"], "accession"])
    assert set(rows.loc[rows["duplicate_of"].notna(), "accession"]) >= copies
