from __future__ import annotations

import pytest

from feeds.errors import InputError
from strategies.lstm_insider import LSTMInsider
from strategies.lstm_only import LSTMOnly
from strategies.registry import available, load, snake_case

OWN = """
import backtrader as bt
from strategies.base import SwingStrategy

LIMIT = 3

class Mine(SwingStrategy):
    params = (("limit", LIMIT),)

    def entry_signal(self, data):
        return True
"""


@pytest.fixture
def own_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    return file


def test_available_lists_the_folders_strategies_in_snake_case():
    assert available() == {"lstm_insider": LSTMInsider, "lstm_only": LSTMOnly}


@pytest.mark.parametrize(
    ("name", "snake"), [("LSTMOnly", "lstm_only"), ("Breakout55Days", "breakout55_days"), ("RSI", "rsi")]
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


def test_load_finds_by_name():
    assert load("lstm_insider") is LSTMInsider


def test_load_finds_a_class_in_a_users_file(own_file):
    assert load(f"{own_file}:Mine").__name__ == "Mine"
    assert load(str(own_file)).params.limit == 3


def test_load_of_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown strategy 'lstm_insiders': .*Did you mean 'lstm_insider'"):
        load("lstm_insiders")


def test_load_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(
        InputError, match="strategy file .*absent.py: expected a Python file, received none; check the path"
    ):
        load(f"{tmp_path}/absent.py:Mine")


def test_load_of_a_missing_class_suggests_the_nearest(own_file):
    with pytest.raises(InputError, match="expected the class 'Mind', received a file with Mine. Did you mean 'Mine'"):
        load(f"{own_file}:Mind")


@pytest.mark.parametrize("name", ["LIMIT", "bt"])
def test_load_of_what_is_no_strategy_raises(own_file, name):
    with pytest.raises(
        InputError, match=f"strategy '{name}' of .*: expected a subclass of SwingStrategy or bt.Strategy"
    ):
        load(f"{own_file}:{name}")


def test_load_of_a_file_with_two_strategies_asks_which(own_file):
    own_file.write_text(OWN + "\nclass Other(Mine):\n    pass\n")
    with pytest.raises(InputError, match="expected `.*mine.py:Class`, received no class; the file has Mine, Other"):
        load(str(own_file))


def test_load_of_a_file_that_is_not_python_names_the_line(own_file):
    own_file.write_text("x = 1\nclass Mine(\n")
    with pytest.raises(InputError, match="mine.py: expected Python, received a syntax error in line 2; correct it"):
        load(str(own_file))
