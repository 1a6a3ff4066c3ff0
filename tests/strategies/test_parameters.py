from __future__ import annotations

import backtrader as bt
import pytest

from feeds.errors import InputError
from strategies.lstm_insider import LSTMInsider
from strategies.parameters import parse_params, user_parameters


class Own(bt.Strategy):
    params = (("flag", True), ("word", "a"), ("period", 5), ("level", 0.5), ("nothing", None))


def test_parse_params_takes_the_type_of_the_default():
    texts = {"flag": "no", "word": "b=c", "period": "7", "level": "1e-3", "nothing": "x"}
    assert parse_params(Own, texts) == {"flag": False, "word": "b=c", "period": 7, "level": 0.001, "nothing": "x"}


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        ({"flag": "perhaps"}, r"`flag` of Own: expected true or false \(default True\), received 'perhaps'"),
        ({"period": "7.5"}, r"`period` of Own: expected a whole number \(default 5\), received '7.5'"),
        ({"level": "high"}, r"`level` of Own: expected a number \(default 0.5\), received 'high'"),
        ({"perid": "7"}, "unknown parameter of Own 'perid': expected one of .*Did you mean 'period'"),
    ],
)
def test_parse_params_of_a_text_that_does_not_fit_raises(texts, text):
    with pytest.raises(InputError, match=text):
        parse_params(Own, texts)


@pytest.mark.parametrize(
    ("name", "flag"),
    [("predictor", "--model"), ("from_session", "--from"), ("round_trip_cost_frac", "--commission-bps")],
)
def test_parse_params_of_what_the_engine_sets_names_the_option(name, flag):
    with pytest.raises(
        InputError, match=f"parameter `{name}`: expected a parameter of the strategy itself.*use {flag}"
    ):
        parse_params(LSTMInsider, {name: "1"})


def test_user_parameters_are_the_strategys_own():
    names = user_parameters(LSTMInsider)
    assert {"min_insider_pressure", "exit_score", "max_positions"} <= set(names)
    assert "predictor" not in names
