from __future__ import annotations

import datetime as dt

import pytest

from feeds.errors import InputError
from models.features import PRICE_COLUMNS
from models.level_features import LEVEL_COLUMNS
from models.spec import PRESETS, resolve


def test_presets_hold_what_the_documents_say():
    default, tiny = PRESETS["default"], PRESETS["tiny"]
    assert (default.units, default.train_sessions, default.validation_sessions, default.seeds) == (32, 1260, 252, 5)
    assert (tiny.units, tiny.epochs, tiny.seeds, tiny.train_sessions) == (16, 15, 1, 756)
    assert (PRESETS["single"].label, PRESETS["single"].cross_sectional) == ("scaled", False)
    assert PRESETS["fk1"].price_columns == ("return_1",)
    source = PRESETS["source"]
    assert (source.units, source.layers, source.normalisation, source.dropout, source.patience) == (
        150,
        2,
        "batch",
        0.2,
        5,
    )
    assert (source.context, source.lookback_bars, source.pca_variance) == ("windows", 30, 0.99)
    assert (source.ticker_code, source.class_weights, source.standardise) == ("binary", "balanced", "standard")
    assert (source.label, source.horizon, source.price_columns) == ("intraday", 1, LEVEL_COLUMNS)
    assert all(name == spec.name for name, spec in PRESETS.items())


def test_resolve_overrides_are_typed():
    spec = resolve(
        "tiny", {"seeds": 3, "dropout": 0, "price_columns": ["return_1", "rsi"], "holdout_from": "2020-01-02"}
    )
    assert (spec.seeds, spec.dropout, spec.price_columns) == (3, 0.0, ("return_1", "rsi"))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("tinny", {}, "unknown model 'tinny'.*Did you mean 'tiny'"),
        ("tiny", {"seed": 1}, "unknown model setting 'seed'.*Did you mean 'seeds'"),
        ("tiny", {"name": "x"}, "unknown model setting 'name'"),
        ("tiny", {"units": 16.5}, "model setting `units`: expected int, received 16.5"),
        ("tiny", {"units": True}, "model setting `units`: expected int, received True"),
        ("tiny", {"dropout": "much"}, "model setting `dropout`: expected float, received 'much'"),
        ("tiny", {"insider": 1}, "model setting `insider`: expected bool, received 1"),
        ("tiny", {"label": "relativ"}, "unknown label 'relativ'.*Did you mean 'relative'"),
        ("tiny", {"price_columns": "rsi"}, "model setting `price_columns`: expected list of names, received 'rsi'"),
        ("tiny", {"price_columns": ["rsl"]}, "unknown price column 'rsl'.*Did you mean 'rsi'"),
        ("tiny", {"price_columns": []}, "model setting `price_columns`: expected at least one column"),
        ("tiny", {"context": "window"}, "unknown context 'window'.*Did you mean 'windows'"),
        ("tiny", {"context": 30}, "model setting `context`: expected str, received 30"),
        ("tiny", {"window": "roling"}, "unknown window 'roling'.*Did you mean 'rolling'"),
        ("tiny", {"standardise": "standart"}, "unknown standardise 'standart'.*Did you mean 'standard'"),
        ("tiny", {"ticker_code": "binery"}, "unknown ticker code 'binery'.*Did you mean 'binary'"),
        ("tiny", {"normalisation": "bach"}, "unknown normalisation 'bach'.*Did you mean 'batch'"),
        ("tiny", {"class_weights": "balance"}, "unknown class weights 'balance'.*Did you mean 'balanced'"),
        ("tiny", {"holdout": "opened"}, "unknown holdout 'opened'.*Did you mean 'open'"),
        ("tiny", {"pca": 0.99}, "unknown model setting 'pca'"),
        ("tiny", {"pca_variance": 1.5}, r"model setting `pca_variance`: expected a number in \[0, 1\], received 1.5"),
        ("tiny", {"winsor_lower": 0.5}, r"model setting `winsor_lower`: expected a number in \[0, 0.5\), received 0.5"),
        ("tiny", {"winsor_upper": 0.5}, r"model setting `winsor_upper`: expected a number in \(0.5, 1\], received 0.5"),
        (
            "tiny",
            {"lookback_bars": 1},
            "model setting `lookback_bars`: expected a whole number of at least 2, received 1",
        ),
        ("tiny", {"embedding_size": 0}, "model setting `embedding_size`: expected a whole number of at least 1"),
        ("tiny", {"batch_windows": 0}, "model setting `batch_windows`: expected a whole number of at least 1"),
        ("tiny", {"label": "intraday"}, "model setting `horizon`: expected 1 with the label `intraday`, received 5"),
        (
            "source",
            {"train_sessions": 283},
            "model setting `train_sessions`: expected at least 284 .*`lookback_bars`.*received 283",
        ),
        ("tiny", {"horizon": 0}, "model setting `horizon`: expected a whole number of at least 1, received 0"),
        ("tiny", {"dropout": 1.0}, r"model setting `dropout`: expected a number in \[0, 1\), received 1.0"),
        ("tiny", {"learning_rate": 0}, "model setting `learning_rate`: expected a number above 0, received 0.0"),
        ("tiny", {"clipnorm": -1}, "model setting `clipnorm`: expected a number above 0"),
        ("tiny", {"chunk_bars": 60}, "model setting `chunk_bars`: expected more than `masked_bars`, received 60"),
        ("tiny", {"train_sessions": 150}, "model setting `train_sessions`: expected at least 193 .*received 150"),
        (
            "tiny",
            {"learning_rate": float("inf")},
            "model setting `learning_rate`: expected a finite number, received inf",
        ),
        ("tiny", {"clipnorm": float("inf")}, "model setting `clipnorm`: expected a finite number, received inf"),
        ("tiny", {"dropout": float("nan")}, "model setting `dropout`: expected a finite number, received nan"),
        (
            "tiny",
            {"validation_sessions": 6},
            "model setting `validation_sessions`: expected more than 6, because labels of the last 6 bars before the "
            "test block are left out, received 6",
        ),
        (
            "tiny",
            {"horizon": 60, "validation_sessions": 50},
            "`validation_sessions`: expected more than 61.*received 50",
        ),
        ("source", {"validation_sessions": 1}, "`validation_sessions`: expected more than 1, .*received 1"),
        (
            "default",
            {"family": "reversal_1"},
            "model setting `family`: expected lstm, that of the model default, received 'reversal_1'; "
            "choose `--model reversal_1` instead",
        ),
        ("logistic", {"family": "lstm"}, "expected logistic, .*received 'lstm'; choose `--model default` instead"),
        (
            "reversal_5",
            {"price_columns": ["return_1"]},
            r"`price_columns`: expected \('return_5',\) for reversal_5, received \('return_1',\)",
        ),
        ("reversal_1", {"insider": True}, "`insider`: expected False for reversal_1, received True"),
        (
            "tiny",
            {"holdout_from": "soon"},
            "model setting `holdout_from`: expected a date like 2023-01-01, received 'soon'",
        ),
        ("tiny", {"holdout_from": 7}, "model setting `holdout_from`: expected date, received 7"),
        (
            "tiny",
            {"holdout_from": "2023-W01-2"},
            "model setting `holdout_from`: expected a date like 2023-01-01, received '2023-W01-2'",
        ),
        ("tiny", {"holdout_from": "20230101"}, "`holdout_from`: expected a date like 2023-01-01, received '20230101'"),
        (
            "tiny",
            {"holdout_from": "2023-01-01garbage"},
            "model setting `holdout_from`: expected a date like 2023-01-01, received '2023-01-01garbage'",
        ),
        ("tiny", {"holdout_from": "0001-01-01"}, "`holdout_from`: expected a date like 2023-01-01, received '0001-01"),
        (
            "tiny",
            {"holdout": "open"},
            "model setting `holdout`: expected `holdout_from` beside 'open': without a date nothing was sealed, "
            "received 'open'",
        ),
    ],
)
def test_resolve_mistakes_say_what_to_do(name, overrides, message):
    with pytest.raises(InputError, match=message):
        resolve(name, overrides)


@pytest.mark.parametrize("value", ["2023-01-03", dt.date(2023, 1, 3), dt.datetime(2023, 1, 3, 9, 30)])
def test_resolve_a_date_of_toml_is_the_day_as_text(value):
    assert resolve("tiny", {"holdout_from": value}).holdout_from == "2023-01-03"


def test_require_names_few_names_point_to_the_single_model():
    with pytest.raises(InputError, match="expected at least 10 tickers, received 9; choose `--model single`"):
        resolve("tiny").require_names(9)
    resolve("tiny").require_names(10)
    resolve("single").require_names(1)


def test_columns_of_takes_what_is_wanted_and_there():
    available = (*PRICE_COLUMNS, "ins_buy_21", "xs_market", "other")
    assert resolve("default").columns_of(available) == (*PRICE_COLUMNS, "ins_buy_21", "xs_market")
    assert resolve("single").columns_of(available) == (*PRICE_COLUMNS, "ins_buy_21")
    assert resolve("fk1").columns_of(available) == ("return_1",)
    assert resolve("source").columns_of((*available, *LEVEL_COLUMNS)) == LEVEL_COLUMNS


def test_level_columns_are_those_that_the_model_sees():
    assert resolve("default").level_columns == ()
    assert resolve("tiny", {"price_columns": ["rsi", "atr_14_price"]}).level_columns == ("atr_14_price",)


def test_purged_bars_are_those_whose_label_reaches_over_a_boundary():
    assert [resolve(name).purged_bars for name in ("default", "reversal_1", "source")] == [6, 6, 1]
    assert resolve("tiny", {"validation_sessions": 7}).validation_sessions == 7


def test_unscored_bars_follow_from_the_context():
    carried = resolve("tiny", {"masked_bars": 20, "warm_up_bars": 100})
    assert (carried.unscored_bars, carried.fed_before) == (20, 100)
    windows = resolve("tiny", {"context": "windows", "lookback_bars": 30})
    assert (windows.unscored_bars, windows.fed_before) == (29, 29)


def test_columns_of_a_missing_price_column_is_named():
    with pytest.raises(InputError, match="unknown model column 'warm'"):
        resolve("tiny").columns_of(PRICE_COLUMNS[:-1])


def test_canonical_ignores_what_does_not_change_a_fold():
    assert resolve("tiny", {"seeds": 4}).canonical() == resolve("tiny").canonical()
    assert resolve("tiny", {"holdout_from": "2020-01-02"}).canonical() == resolve("tiny").canonical()
    assert resolve("tiny", {"units": 17}).canonical() != resolve("tiny").canonical()
