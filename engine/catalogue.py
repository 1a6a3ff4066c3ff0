"""The names that the command line accepts, each with a sentence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from engine.provenance import ROOT

if TYPE_CHECKING:
    from models.spec import ModelSpec

_SOURCES = [
    ("synthetic", "--prices, --filings: the embedded market, invented, with planted effects"),
    ("csv:DIR", "--prices: one TICKER.csv per ticker; Yahoo, Stooq and Alpha Vantage headers"),
    ("parquet:FILE", "--prices: long table date, ticker, open, high, low, close, volume[, adj_close]"),
    ("parquet:DIR", "--prices: one TICKER.parquet per ticker, such as `download prices` writes"),
    ("yahoo", "--prices: Yahoo through yfinance, kept in the cache folder; with --tickers or --universe"),
    ("DIR", "--filings: the tree that sec-edgar-downloader writes"),
    ("openinsider:FILE", "--filings: a CSV export of OpenInsider; purchases and sales, by ticker and name"),
    ("sec-quarterly:DIR", "--filings: the SEC's Insider Transactions Data Sets; known a session later than filed"),
    ("FILE.parquet", "--filings: the table that the command `filings` writes"),
    ("none", "--filings: prices only"),
]


def entries(what: str) -> list[tuple[str, str]]:
    """Return (name, sentence) of all strategies, indicators, sources or models."""
    if what == "sources":
        return _SOURCES
    if what == "models":
        from models.spec import PRESETS

        return [(name, _model_sentence(spec)) for name, spec in PRESETS.items()]
    if what == "indicators":
        return [(name, _first_line(cls)) for name, cls in _indicators().items()]
    from strategies.registry import available

    return [(name, _first_line(cls)) for name, cls in available().items()]


_BASELINES = {
    "prior": "the classes' shares in training, whatever the bar",
    "persistence": "the class of the return over the last horizon comes again",
    "reversal_1": "minus the last bar's return",
    "reversal_5": "minus the return of the last 5 bars",
    "volatility": "how large the move will be, from measures of volatility; nothing on direction",
    "logistic": "multinomial logistic regression on the columns of 6 bars",
    "gradient_boosting": "gradient boosted trees on the columns of 6 bars",
}


def _model_sentence(spec: ModelSpec) -> str:
    if spec.family != "lstm":
        return (
            f"baseline: {_BASELINES[spec.family]}; label {spec.label} over {spec.horizon} bars; "
            f"trained on {spec.train_sessions} sessions"
        )
    columns = [f"{len(spec.price_columns)} price columns"]
    columns += ["cross-section"] * spec.cross_section + ["filings"] * spec.insider
    windows = f" on windows of {spec.lookback_bars} bars" if spec.context == "windows" else ""
    return (
        f"LSTM({spec.units}) x {spec.layers}{windows}, {spec.seeds} seed{'s' * (spec.seeds > 1)}, "
        f"label {spec.label} over {spec.horizon} bar{'s' * (spec.horizon > 1)}; {', '.join(columns)}; "
        f"trained on {spec.train_sessions} sessions"
    )


def _indicators() -> dict[str, type]:
    """Return the indicators of the folder by module, without the base that others extend."""
    import backtrader as bt

    from indicators.column_indicator import ColumnIndicator

    found = {}
    for path in sorted((ROOT / "indicators").glob("*.py")):
        module = importlib.import_module(f"indicators.{path.stem}")
        for cls in vars(module).values():
            own = isinstance(cls, type) and issubclass(cls, bt.Indicator) and cls.__module__ == module.__name__
            if own and cls is not ColumnIndicator:
                found[path.stem] = cls
    return found


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0]
