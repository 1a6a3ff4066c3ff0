from __future__ import annotations

import pytest

from engine.arguments import parse, setting_flags, split_param
from feeds.errors import InputError


def test_parse_no_words_runs_the_demo():
    namespace = parse([])
    assert namespace.command == "run"
    assert setting_flags(namespace) == {}


def test_parse_flags_without_command_belong_to_run():
    flags = setting_flags(parse(["--prices", "csv:x", "--param", "a=1", "--param", "b=x=y", "--quiet"]))
    assert flags == {"prices": "csv:x", "params": {"a": "1", "b": "x=y"}}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["rum"], r"unknown command 'rum': expected one of run, .*Did you mean 'run'"),
        (["run", "--prise", "x"], r"unrecognized arguments: --prise x Did you mean '--prices'"),
        (["run", "--cash"], r"argument --cash: expected one argument; see `run_backtest.py run --help`"),
        (["list", "stuff"], r"invalid choice: 'stuff'"),
        (["download"], r"`download`: expected one of prices, filings, received 'none'"),
        (["download", "price"], r"`download`: expected one of .*, received 'price'. Did you mean 'prices'"),
    ],
)
def test_parse_wrong_words_are_the_users_mistake(words: list[str], text: str):
    with pytest.raises(InputError, match=text):
        parse(words)


@pytest.mark.parametrize("text", ["a", "=1", " =1"])
def test_split_param_without_name_or_value_is_refused(text: str):
    with pytest.raises(InputError, match="`--param`: expected name=value"):
        split_param(text)


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["filings", "--help"], ["download", "prices", "--help"]]
)
def test_parse_help_ends_well_and_names_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        parse(words)
    assert stopped.value.code == 0
    assert "run_backtest.py" in capsys.readouterr().out
