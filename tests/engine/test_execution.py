from __future__ import annotations

import pytest

from engine.costs import Slippage
from engine.execution import (
    Execution,
    delisting_warnings,
    execution_of,
    execution_sentences,
    read_delisting_returns,
)
from engine.settings import Settings, resolve
from feeds.errors import InputError


def test_default_settings_are_the_default_execution():
    assert execution_of(Settings()) == Execution()


def test_settings_become_the_brokers_parameters(tmp_path):
    table = tmp_path / "returns.csv"
    table.write_text("ticker,return\nDEAD,-1\nSOLD,0.1\n")
    flags = {
        "slippage": "bps:2+impact:0.5",
        "volume_percent": "10",
        "unaffordable": "refuse",
        "delisting_return": str(table),
    }
    made = execution_of(resolve(flags))
    assert made.slippage == Slippage(2.0, False, 0.5)
    assert (made.volume_frac, made.unaffordable) == (0.1, "refuse")
    assert made.delisting_return == {"DEAD": -1.0, "SOLD": 0.1}


def test_no_limit_on_volume_survives_the_config_file(tmp_path):
    import tomllib

    settings = resolve({"volume_percent": "none"})
    assert execution_of(settings).volume_frac is None
    again = tomllib.loads(settings.as_toml())
    assert execution_of(resolve({"volume_percent": again["volume_percent"]})).volume_frac is None


def test_delisting_return_is_a_number_or_a_file():
    assert read_delisting_returns("-0.3") == -0.3


@pytest.mark.parametrize("text", ["-1.5", "nan", "inf"])
def test_delisting_return_that_cannot_be_raises(text):
    with pytest.raises(
        InputError, match=f"`--delisting-return`: expected a return from -1 such as -0.3, received {text}"
    ):
        read_delisting_returns(text)


def test_file_of_delisting_returns_that_cannot_be_raises(tmp_path):
    table = tmp_path / "returns.csv"
    table.write_text("ticker,r\nDEAD,-1\n")
    with pytest.raises(
        InputError, match="expected a return such as -0.3, or a CSV file with the columns ticker and ret"
    ):
        read_delisting_returns(str(table))
    for rows, text in (
        ("DEAD,-1\nSOLD,0\nDEAD,-0.5\n", "returns.csv: expected one return per ticker, received several for DEAD; le"),
        (",-1\n", "returns.csv: expected a ticker in every row, received none in one"),
        ("DEAD,\n", "expected a return such as -0.3, or a CSV file with the columns .*could not convert"),
    ):
        table.write_text("ticker,return\n" + rows)
        with pytest.raises(InputError, match=f"`--delisting-return`.*{text}"):
            read_delisting_returns(str(table))
    table.write_text("ticker,return\nDEAD,-2\n")
    with pytest.raises(InputError, match="expected a return from -1 such as -0.3, received -2.0 for DEAD"):
        read_delisting_returns(str(table))


@pytest.mark.parametrize(
    ("flag", "value", "text"),
    [
        ("volume_percent", "0", "`--volume-percent`: expected a number above 0 to 100, received '0'"),
        ("unaffordable", "borrow", "`--unaffordable`: expected resize or refuse, received 'borrow'"),
        ("delisting_return", "gone.csv", "`--delisting-return`: expected an existing file, received 'gone.csv'"),
    ],
)
def test_setting_that_cannot_be_raises(flag, value, text):
    with pytest.raises(InputError, match=text):
        resolve({flag: value})


def test_report_says_how_orders_were_filled():
    told = " ".join(execution_sentences(Settings()))
    assert "at most 2.5 % of its volume on a day" in told
    assert "cannot pay at its open is cut to what cash pays" in told
    assert "taken as delisted and sold at its last price: the data do not say whether it was" in told
    other = resolve({"volume_percent": "none", "unaffordable": "refuse", "delisting_return": "-0.3"})
    told = " ".join(execution_sentences(other))
    assert "Any size can be filled on any day." in told
    assert "is refused" in told
    assert "sold at its last price and -30.0% of it" in told


def test_file_of_delisting_returns_may_name_a_ticker_na(tmp_path):
    table = tmp_path / "returns.csv"
    table.write_text("ticker,return\nNA,-1\nnan,-0.5\n TRUE ,0\n")
    assert read_delisting_returns(str(table)) == {"NA": -1.0, "nan": -0.5, "TRUE": 0.0}


def test_stocks_of_delisting_returns_without_prices_are_named(tmp_path):
    table = tmp_path / "returns.csv"
    table.write_text("ticker,return\nDEAD,-1\nSOLD,0\nGONE,-1\n")
    settings = resolve({"delisting_return": str(table)})
    assert delisting_warnings(settings, ("AAA", "SOLD")) == [
        "2 of 3 stocks in returns.csv have no prices: DEAD, GONE; their returns are not used"
    ]
    assert delisting_warnings(settings, ("DEAD", "GONE", "SOLD")) == []
    of_two = resolve({"delisting_return": str(table), "tickers": "DEAD,SOLD"})
    assert delisting_warnings(of_two, ("SOLD",)) == [
        "1 of 2 stocks in returns.csv have no prices: DEAD; their returns are not used"
    ]
    table.write_text("ticker,return\n" + "".join(f"D{k:02},0\n" for k in range(14)))
    assert delisting_warnings(settings, ())[0].endswith("D10, D11 and 2 more; their returns are not used")
    assert delisting_warnings(resolve({"delisting_return": "-0.3"}), ("AAA",)) == []
