"""From settings to data."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import pytest

from engine import inputs
from engine.inputs import load_filings, load_inputs, load_panel, load_sectors, market_settings
from engine.price_inputs import check_place
from engine.settings import Settings, resolve
from feeds.errors import InputError
from feeds.progress import silent

SMALL = {"n_stocks": 12, "n_sessions": 300}


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def settings(**changes) -> Settings:
    return resolve({"market": SMALL, "cache": "none", **changes})


def test_market_settings_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown setting of `market`: 'n_stock': .* Did you mean 'n_stocks'\?"):
        market_settings(resolve({"market": {"n_stock": 3}}))


def test_market_settings_value_of_another_kind_is_refused():
    with pytest.raises(InputError, match=r"`market.n_stocks`: expected a value like \d+, received 'x'"):
        market_settings(resolve({"market": {"n_stocks": "x"}}))


def test_load_panel_tickers_in_any_case_of_letters():
    whole, _ = load_panel(settings(), silent)
    names = whole.panel.tickers[:2]
    chosen, _ = load_panel(settings(tickers=",".join(names).lower()), silent)
    assert chosen.panel.tickers == names


def test_load_panel_dates_without_data_are_refused():
    with pytest.raises(InputError, match="`--to`: expected a date on or after the first bar, received 1999-01-04"):
        load_panel(settings(last=date(1999, 1, 4)), silent)
    with pytest.raises(InputError, match=r"`--from`: expected a date inside the data \(.* to .*\), received 2040"):
        load_panel(settings(first=date(2040, 1, 3)), silent)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_load_filings_interrupted_while_writing_leaves_nothing(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
):
    def begin(_: object, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "half").write_text("x")
        raise error

    monkeypatch.setattr(inputs, "write_filings", begin)
    with pytest.raises(error):
        load_filings(settings(), silent)
    assert list(temporary_folder.iterdir()) == []


def test_load_inputs_without_cache_leaves_no_documents_behind(temporary_folder: Path):
    found = load_inputs(settings(), silent)
    assert found.filings is not None
    assert list(temporary_folder.iterdir()) == []
    assert found.digests == {}


def test_load_inputs_digests_are_of_the_files_before_they_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "sectors.csv"
    file.write_text("ticker,sector\n")
    given = settings(sectors=str(file), filings="none")
    before = inputs.input_digests(given)
    original = inputs.load_sectors

    def change(asked: Settings) -> dict[str, str]:
        found = original(asked)
        file.write_text("ticker,sector\nA,B\n")
        return found

    monkeypatch.setattr(inputs, "load_sectors", change)
    assert load_inputs(given, silent).digests == before != inputs.input_digests(given)


def test_load_inputs_stocks_without_a_sector_are_counted(tmp_path: Path):
    known, _ = load_panel(settings(), silent)
    rows = "".join(f"{ticker},Energy\n" for ticker in known.panel.tickers[1:])
    (tmp_path / "s.csv").write_text("ticker,sector\n" + rows)
    given = settings(sectors=str(tmp_path / "s.csv"), filings="none")
    assert load_inputs(given, silent).warnings[-1] == (
        f"1 of 12 stocks have no sector in s.csv, first {known.panel.tickers[0]}: no limit on a sector binds them"
    )
    assert not any("sector" in text for text in load_inputs(settings(filings="none"), silent).warnings)


def test_load_sectors_a_ticker_called_na_is_one_and_an_empty_sector_is_none(tmp_path: Path):
    (tmp_path / "s.csv").write_text("Ticker,Sector\nNA,Energy\nBBB,\n,Energy\nCCC,Health\n")
    assert load_sectors(settings(sectors=str(tmp_path / "s.csv"))) == {"NA": "Energy", "CCC": "Health"}


def test_load_sectors_without_a_column_is_refused(tmp_path: Path):
    (tmp_path / "s.csv").write_text("ticker,group\nA,B\n")
    with pytest.raises(InputError, match="`--sectors`: expected the columns ticker and sector .*, found no `sector`"):
        load_sectors(settings(sectors=str(tmp_path / "s.csv")))
    (tmp_path / "s.csv").write_text("")
    with pytest.raises(InputError, match="`--sectors`: expected a CSV file, received"):
        load_sectors(settings(sectors=str(tmp_path / "s.csv")))


def test_check_place_a_path_that_does_not_exist_is_refused_first():
    with pytest.raises(InputError, match="`--prices csv:/nonexist`: expected prices, .* does not exist; correct it"):
        check_place(resolve({"prices": "csv:/nonexist"}))
    check_place(settings())
