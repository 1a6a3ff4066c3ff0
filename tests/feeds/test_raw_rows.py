from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from feeds.form4 import parse_submission
from feeds.raw_rows import flag_lists, per_text, raw_rows
from feeds.transactions import COLUMNS, frame_of_filings
from tests.feeds import filing_texts as texts


def test_raw_rows_judges_as_the_parser_of_documents_does():
    trades = [
        texts.transaction(),
        texts.transaction(price=None),
        texts.transaction(price=0, code="S"),
        texts.transaction(direction="D"),
        texts.transaction(code="S", direction="A"),
        texts.transaction(code=None),
        texts.transaction(date=None),
        texts.transaction(date="1022-02-02"),
        texts.transaction(date="2015-02-04"),
        texts.transaction(date="2015-01-03"),
        texts.transaction(date="2015-01-04"),
        texts.transaction(title="Series A Preferred Stock"),
        texts.transaction(code="A", price=None),
        texts.transaction(price=-1, table="D", title="Warrant"),
    ]
    # 22:00 in New York is the next day in UTC.
    text = texts.submission(texts.document(trades), accepted="20150203220000")
    expected = frame_of_filings([parse_submission(text, "x")])
    derived = ["transacted_on_checked", "price_checked", "value_usd", "flags", "first_accepted_at"]
    found = raw_rows({name: expected[name] for name in COLUMNS if name not in derived}, {})
    pd.testing.assert_frame_equal(found, expected)
    assert sum(map(len, found["flags"])) == 10


def test_raw_rows_what_a_source_lacks_is_empty():
    filing = parse_submission(texts.submission(texts.document([texts.transaction()])), "x")
    full = frame_of_filings([replace(filing, flags=())])
    columns = {name: full[name] for name in ("accepted_at", "table", "transacted_on", "code", "acquired_disposed")}
    row = raw_rows(columns, {"mine": np.array([True])}).iloc[0]
    assert (row["owner_ciks"], row["owner_names"], row["plan_10b5_1"], row["is_officer"]) == ([], [], None, False)
    assert row["flags"] == ["mine", "price_missing"]
    assert np.isnan(row["shares"])
    assert pd.isna(row["valid_to"])


def test_flag_lists_keep_the_order_of_the_marks():
    marks = {"b": np.array([True, False, True]), "a": np.array([True, False, False])}
    assert flag_lists(marks, 3).tolist() == [["b", "a"], [], ["b"]]


def test_per_text_asks_once_per_text_and_takes_none():
    asked = []
    answers = per_text(pd.Series(["a", None, "a"]), lambda text: asked.append(text) or str(text))
    assert (answers.tolist(), asked) == (["a", "None", "a"], ["a", None])
