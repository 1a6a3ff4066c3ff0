from __future__ import annotations

import re
import socket

import numpy as np
import pandas as pd
import pytest

from analyzers.tearsheet import write_tearsheet
from feeds.sessions import trading_sessions

SESSIONS = trading_sessions("2018-01-02", "2019-12-31")
# quantstats takes seconds to import: one process does all of it.
pytestmark = pytest.mark.xdist_group("quantstats")


def random_returns(seed: int) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).normal(0.0005, 0.01, len(SESSIONS)), SESSIONS)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A whole page, drawn with the network cut off, and what came with it."""
    path = tmp_path_factory.mktemp("tearsheet") / "tearsheet.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the tearsheet went online"))
        write_tearsheet(random_returns(1), random_returns(2), path, title="a <b> & c", benchmark_title="Equal weight")
    return path


def test_write_tearsheet_page_holds_every_chart_and_both_names(page):
    text = page.read_text()
    assert text.count("<svg") == 14
    assert "a &lt;b&gt; &amp; c" in text
    assert "Equal weight" in text
    assert "{{" not in text


def test_write_tearsheet_yearly_table_states_the_returns_of_the_series(page):
    yearly = (1 + random_returns(1)).groupby(SESSIONS.year).prod() - 1
    table = page.read_text().split("EOY Returns vs Benchmark</h3>")[1]
    for year, value in yearly.items():
        row = re.search(rf"<td>{year}</td>(.*?)</tr>", table, re.DOTALL).group(1)
        assert f"{value * 100:.2f}" in row


def test_write_tearsheet_fetches_nothing_and_leaves_no_other_file(page):
    text = page.read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]*https?:", text)
    assert not re.search(r"url\(['\"]?https?:|@import", text)
    assert [entry.name for entry in page.parent.iterdir()] == ["tearsheet.html"]


def test_write_tearsheet_is_silent_and_repeats_its_bytes(page, tmp_path, capfd, recwarn):
    again = tmp_path / "again.html"
    write_tearsheet(random_returns(1), random_returns(2), again, title="a <b> & c", benchmark_title="Equal weight")
    assert again.read_bytes() == page.read_bytes()
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_write_tearsheet_without_benchmark_is_complete(tmp_path):
    write_tearsheet(random_returns(1), None, tmp_path / "page.html", title="alone")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") == 12
    assert "{{" not in text


@pytest.mark.parametrize(
    ("returns", "sentence"),
    [
        (pd.Series(0.0, SESSIONS), "the value of the account never moved, because no trade was made"),
        (random_returns(1)[:2], "the run has 2 daily returns, and a tearsheet needs at least 3"),
    ],
)
def test_write_tearsheet_with_nothing_to_show_says_so(returns, sentence, tmp_path):
    write_tearsheet(returns, None, tmp_path / "page.html", title="<none>")
    text = (tmp_path / "page.html").read_text()
    assert sentence in text
    assert "<h1>&lt;none&gt;</h1>" in text


def test_write_tearsheet_few_returns_and_a_dead_benchmark_still_give_a_page(tmp_path):
    write_tearsheet(random_returns(1)[:4], pd.Series(0.0, SESSIONS), tmp_path / "page.html", title="short")
    assert "Key Performance Metrics" in (tmp_path / "page.html").read_text()


def test_write_tearsheet_benchmark_named_by_a_string_is_refused(tmp_path):
    with pytest.raises(TypeError, match="`benchmark`: expected a Series of daily returns or None, received 'SPY'"):
        write_tearsheet(random_returns(1), "SPY", tmp_path / "page.html", title="online")
