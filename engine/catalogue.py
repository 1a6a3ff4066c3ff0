"""The names that the command line accepts, each with a sentence."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from engine.provenance import ROOT

if TYPE_CHECKING:
    from models.spec import ModelSpec

_SOURCES = [
    ("synthetic", "--prices, --filings: the embedded market, invented, with planted effects"),
    ("csv:DIR", "--prices: one TICKER.csv per ticker; Yahoo, Stooq and Alpha Vantage headers"),
    ("parquet:FILE", "--prices: long table date, ticker, open, high, low, close, volume[, adj_close]"),
    ("DIR", "--filings: the tree that sec-edgar-downloader writes"),
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
        return [(path.stem, _first_sentence(path)) for path in sorted((ROOT / "indicators").glob("*.py"))]
    from strategies.registry import available

    return [(name, (cls.__doc__ or "").strip().split("\n")[0]) for name, cls in available().items()]


def _model_sentence(spec: ModelSpec) -> str:
    columns = [f"{len(spec.price_columns)} price columns"]
    columns += ["cross-section"] * spec.cross_section + ["filings"] * spec.insider
    return (
        f"LSTM({spec.units}) x {spec.layers}, {spec.seeds} seed{'s' * (spec.seeds > 1)}, label {spec.label} over "
        f"{spec.horizon} bars; {', '.join(columns)}; trained on {spec.train_sessions} sessions"
    )


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]
