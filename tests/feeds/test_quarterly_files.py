from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from feeds.errors import InputError
from feeds.quarterly_files import Quarter, accessions_with_trades, contains, days, find_quarters
from tests.feeds.quarterly_sets import AMENDED, FIRST, SECOND, submission, trade, write_set


def test_accessions_with_trades_keeps_purchases_sales_and_amendments(tmp_path):
    third = "0000000001-23-000004"
    write_set(
        tmp_path / "2023q1_form345.zip",
        [submission(FIRST), submission(SECOND), submission(AMENDED, form="4/A"), submission(third, form="5")],
        trades=[trade(FIRST, code="S"), trade(SECOND, code="A"), trade(third, code="P")],
    )
    write_set(
        tmp_path / "2023q3_form345",
        [submission("0000000001-23-000009", filed="03-JUL-2023")],
        derivatives=[trade("0000000001-23-000009", code="P", table="D")],
    )
    accessions, quarters = accessions_with_trades(tmp_path)
    assert accessions == {FIRST, AMENDED, "0000000001-23-000009"}
    assert quarters == ((2023, 1), (2023, 3))
    assert [str(quarter) for quarter in quarters] == ["2023q1", "2023q3"]


def test_find_quarters_folder_without_a_named_quarter_takes_it_from_the_dates(tmp_path):
    path = write_set(tmp_path / "extracted", [submission(FIRST, filed="03-MAY-2023"), submission(SECOND, filed="bad")])
    assert [one.quarter for one in find_quarters(path)] == [Quarter(2023, 2)]
    undated = write_set(tmp_path / "undated", [submission(FIRST, filed="")])
    with pytest.raises(InputError, match="expected a name like 2023q1_form345 or filing dates, received neither"):
        find_quarters(undated)


def test_find_quarters_with_defects_says_which(tmp_path):
    with pytest.raises(InputError, match=r"expected archives named like 2023q1_form345\.zip .*, received none"):
        find_quarters(tmp_path)
    write_set(tmp_path / "2023q1_form345.zip", [submission()])
    write_set(tmp_path / "2023q1_form345", [submission()])
    with pytest.raises(InputError, match="expected each quarter once, received 2023q1 in .*; remove one"):
        find_quarters(tmp_path)


def test_read_of_a_damaged_set_says_what_to_do(tmp_path):
    (tmp_path / "2023q1_form345.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"expected the data set's table SUBMISSION\.tsv.*download the quarter again"):
        accessions_with_trades(tmp_path)
    folder = write_set(tmp_path / "set", [submission()])
    (folder / "SUBMISSION.tsv").write_text("ACCESSION_NUMBER\tFILING_DATE\n1\t03-FEB-2023\n")
    with pytest.raises(InputError, match=r"SUBMISSION\.tsv: expected the column DOCUMENT_TYPE, received none"):
        accessions_with_trades(folder)


def test_quarter_following_goes_over_the_year():
    assert (Quarter(2023, 4).following, Quarter(2023, 2).following) == ((2024, 1), (2023, 3))


def test_days_reads_what_is_found_and_nothing_else():
    texts = pd.Series(["01-FEB-2023", "1-Feb-2023", "2023-02-01", "01-FEB-0022", "31-FEB-2023", "nonsense", None])
    expected = ["2023-02-01", "2023-02-01", "2023-02-01", "0022-02-01", "NaT", "NaT", "NaT"]
    np.testing.assert_array_equal(days(texts), np.array(expected, dtype="datetime64[s]"))


def test_contains_searches_only_where_a_hint_stands():
    texts = pd.Series(["a Weighted  average", "weighted", None, "average weighted"])
    found = contains(texts, re.compile(r"weighted\s+average", re.IGNORECASE), "WEIGHTED")
    assert found.tolist() == [True, False, False, False]


def test_read_leaves_out_and_counts_lines_that_do_not_fit(tmp_path):
    folder = write_set(tmp_path / "2023q1_form345", [submission()])
    with (folder / "FOOTNOTES.tsv").open("ab") as file:
        file.write(b"a\tF1\tcaf\xe9 'quoted\" text\nsecond half\nb\tF2\tlast\n")
    notes = find_quarters(folder)[0].read("FOOTNOTES", ["FOOTNOTE_ID", "FOOTNOTE_TXT"], ["ABSENT"])
    assert notes["FOOTNOTE_TXT"].tolist() == ["caf\ufffd 'quoted\" text", "last"]
    assert notes["ABSENT"].tolist() == [None, None]
    assert notes.attrs["left_out"] == 1
