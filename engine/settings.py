"""What a run is made of: every choice with its default, from flags, from a TOML file, or both.

Flags override the file and the file overrides the defaults. Nothing here reads data or imports more
than the standard library, so a wrong flag is answered at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import tomli_w

from feeds.errors import InputError, did_you_mean, unknown_name

FILINGS_SOURCES = ("openinsider", "sec-quarterly")
PRICE_SOURCES = ("synthetic", "csv", "parquet", "yahoo")
PRICE_FORMS = "synthetic, csv:DIR, parquet:FILE|DIR or yahoo"
_WITHOUT_PLACE = ("synthetic", "yahoo")
FEWEST_PLACEBO_FITS = 20
# How each setting is written in a file and, with dashes, on the command line.
_NAMES = {"first": "from", "last": "to"}
# Where files are kept and how fast they come does not change the result, so config.toml leaves it out.
_NOT_PART_OF_THE_RESULT = ("guarded", "jobs", "cache")


@dataclass(frozen=True)
class Settings:
    """One run, completely described.

    Attributes
    ----------
    prices, filings : str
        Sources, as the command line takes them.
    tickers : tuple of str
        Empty for all that the price source holds.
    universe : str or None
        Membership file: CSV with ``ticker``, ``from`` and ``to``. A stock is bought only while it is a
        member; None lets every stock of the source in.
    first, last : date or None
        First session on which an order may be decided; last session of all data.
    repair : str
        What is done about wrong prices: ``safe`` (see `feeds.quality`), or ``none``, which refuses them.
    benchmark : str or None
        A ticker, ``csv:FILE``, or None for the monthly equal-weight portfolio.
    model : str
        A preset of `models.spec`; `model_options` replaces single values of it.
    seeds : int or None
        Networks averaged per fold; None takes the preset's number.
    against : tuple of str or None
        Baselines on the model's own columns to train and compare it with; None leaves it to the command:
        ``train`` compares with logistic regression and gradient boosting, ``run`` with neither.
    ablation : bool
        Whether the model is also trained on prices alone and on filings alone.
    placebo : int or None
        Fits of the same model on labels dealt out anew, which say what luck would score; None for none.
    predictions : str or None
        Saved predictions to trade instead of training.
    strategy : str
        A name, or ``path/to/file.py:Class``; `params` are its parameters.
    cash : float
        Starting cash, USD.
    commission_bps, slippage_bps : float
        Cost per side, basis points of the traded value.
    commission, slippage : str or None
        Cost models that replace the basis points; `engine.costs` has their forms. What a strategy expects a
        trade to cost, and what the benchmark pays, stay the basis points.
    volume_percent : float
        Part of a day's volume that all orders of a stock together may fill; infinite for no limit.
    unaffordable : str
        What becomes of a purchase that cash cannot pay at its open: ``resize`` or ``refuse``.
    delisting_return : str
        Return on the last price at a delisting, or a CSV file with the columns ``ticker`` and ``return``.
    risk_free : float
        Annual rate as a fraction, for the Sharpe ratio.
    sectors : str or None
        CSV file with the columns ``ticker`` and ``sector``.
    seed : int
        Seeds the market and the model.
    guarded : bool
        Whether reading a line beyond the present bar, or before its first, ends the run; no result depends on it.
    jobs : int
        Training processes.
    cache : str or None
        Folder for what is worth keeping between runs; None keeps nothing.
    market : mapping
        Values of `feeds.synthetic.MarketSettings` that replace its defaults.
    """

    prices: str = "synthetic"
    filings: str = "synthetic"
    tickers: tuple[str, ...] = ()
    universe: str | None = None
    first: date | None = None
    last: date | None = None
    repair: Literal["none", "safe"] = "safe"
    benchmark: str | None = None
    model: str = "tiny"
    seeds: int | None = None
    against: tuple[str, ...] | None = None
    ablation: bool = False
    placebo: int | None = None
    predictions: str | None = None
    strategy: str = "lstm_insider"
    cash: float = 1_000_000.0
    commission_bps: float = 1.0
    slippage_bps: float = 4.0
    commission: str | None = None
    slippage: str | None = None
    volume_percent: float = 2.5
    unaffordable: Literal["resize", "refuse"] = "resize"
    delisting_return: str = "0"
    risk_free: float = 0.0
    sectors: str | None = None
    seed: int = 0
    guarded: bool = False
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    cache: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    model_options: Mapping[str, Any] = field(default_factory=dict)
    market: Mapping[str, Any] = field(default_factory=dict)

    @property
    def round_trip_cost_frac(self) -> float:
        """Cost of buying and selling once, as a fraction of the value traded."""
        return 2.0 * (self.commission_bps + self.slippage_bps) / 10_000.0

    def as_toml(self) -> str:
        """Return the TOML text that repeats this run."""
        return tomli_w.dumps(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the settings that decide the result, under the names of the command line."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_PART_OF_THE_RESULT}
        values["tickers"] = list(self.tickers)
        values["against"] = None if self.against is None else list(self.against)
        named = {_NAMES.get(name, name): value for name, value in values.items() if value is not None}
        # TOML wants plain values before tables.
        return dict(sorted(named.items(), key=lambda item: isinstance(item[1], Mapping)))


def default_cache() -> Path:
    """Return ``$XDG_CACHE_HOME/insider-swing``, by default under ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "insider-swing"


def read_config(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings; its keys are the flags' names with underscores.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or holds a key that no setting has.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"`--config`: expected a TOML file that can be read, received {path} ({error.strerror})"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`--config`: expected TOML, received {path}: {error}") from None
    known = {_NAMES.get(f.name, f.name): f.name for f in fields(Settings)}
    for name in values:
        if name not in known:
            raise unknown_name(f"setting in {path}:", name, known)
    return {known[name]: value for name, value in values.items()}


def resolve(flags: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Settings:
    """Merge defaults, a file's values and the flags' values into checked settings.

    Parameters
    ----------
    flags, config : mapping
        Values by attribute name of `Settings`; what is absent takes the default.

    Raises
    ------
    InputError
        For a value of the wrong kind, an impossible one, or sources that do not belong together.
    """
    config = _without_what_flags_replace(config or {}, flags)
    merged = {**config, **flags}
    for table in ("params", "model_options", "market"):
        merged[table] = {**_table(table, config.get(table, {})), **_table(table, flags.get(table, {}))}
    checked = {name: _CHECKS[name](_label(name), value) for name, value in merged.items()}
    settings = Settings(**{**_dependent_defaults(checked), **checked})
    _check_together(settings)
    return _absolute_paths(settings)


def _without_what_flags_replace(config: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the file's parameters of a strategy, model or market when a flag names another one."""
    tables = {"strategy": "params", "model": "model_options", "prices": "market"}
    dropped = {
        table for name, table in tables.items() if name in flags and flags[name] != config.get(name, flags[name])
    }
    return {name: value for name, value in config.items() if name not in dropped}


def _dependent_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    synthetic = given.get("prices", "synthetic") == "synthetic"
    return {
        "filings": "synthetic" if synthetic else "none",
        "model": "tiny" if synthetic else "default",
        "cache": str(default_cache()),
    }


def _check_together(settings: Settings) -> None:
    if settings.first and settings.last and settings.first > settings.last:
        raise InputError(f"`--from`: expected a date up to `--to` {settings.last}, received {settings.first}")
    invented = settings.prices == "synthetic"
    if (settings.filings == "synthetic") != invented and settings.filings != "none":
        raise InputError(
            f"`--filings {settings.filings}` with `--prices {settings.prices}`: expected both synthetic or neither, "
            "because invented filings say nothing about real stocks; name a source of filings or use `--filings none`"
        )
    if settings.prices == "yahoo" and not settings.tickers and settings.universe is None:
        raise InputError(
            "`--prices yahoo`: expected the stocks to download, received none; add `--tickers A,B,C|FILE` or "
            "`--universe FILE`"
        )
    if settings.market and not invented:
        raise InputError("`market`: expected only with `--prices synthetic`, received it with " + settings.prices)


def _absolute_paths(settings: Settings) -> Settings:
    """Make paths independent of the folder from which config.toml is used again."""
    changes: dict[str, Any] = {}
    kind, _, location = settings.prices.partition(":")
    if location:
        changes["prices"] = f"{kind}:{_absolute(location)}"
    if settings.filings not in ("synthetic", "none"):
        kind, place = split_filings(settings.filings)
        changes["filings"] = f"{kind}:{_absolute(place)}" if kind else _absolute(place)
    if settings.benchmark and settings.benchmark.startswith("csv:"):
        changes["benchmark"] = "csv:" + _absolute(settings.benchmark[4:])
    path, suffix, name = settings.strategy.partition(".py")
    if suffix:
        changes["strategy"] = f"{_absolute(path)}.py{name}"
    if _is_file(settings.delisting_return):
        changes["delisting_return"] = _absolute(settings.delisting_return)
    for key in ("predictions", "sectors", "universe"):
        if getattr(settings, key):
            changes[key] = _absolute(getattr(settings, key))
    return replace(settings, **changes)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _is_file(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return True
    return False


def _label(name: str) -> str:
    return "--" + _NAMES.get(name, name).replace("_", "-")


def _text(label: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"`{label}`: expected a text, received {value!r}")
    return value


def _prices(label: str, value: Any) -> str:
    kind, separator, location = _text(label, value).partition(":")
    if kind not in PRICE_SOURCES:
        hint = did_you_mean(kind, PRICE_SOURCES)
        raise InputError(f"`{label}`: expected {PRICE_FORMS}, received {value!r}.{hint}")
    if (kind in _WITHOUT_PLACE) == bool(separator and location):
        raise InputError(f"`{label}`: expected {PRICE_FORMS}, received {value!r}")
    return str(value)


def split_filings(source: str) -> tuple[str, str]:
    """Split a source of filings in its kind ("openinsider", "sec-quarterly", else empty) and its path."""
    kind, separator, place = source.partition(":")
    return (kind, place) if separator and kind in FILINGS_SOURCES else ("", source)


def _existing_filings(label: str, value: Any) -> str:
    if _text(label, value) in ("synthetic", "none"):
        return str(value)
    kind, place = split_filings(value)
    path = Path(place).expanduser()
    exists = {"openinsider": path.is_file, "sec-quarterly": path.is_dir}.get(kind, path.exists)
    if not place or not exists():
        hint = did_you_mean(value.partition(":")[0], FILINGS_SOURCES) if ":" in value and not kind else ""
        raise InputError(
            f"`{label}`: expected synthetic, none, or an existing DIR or FILE.parquet, openinsider:FILE or "
            f"sec-quarterly:DIR, received {value!r}.{hint}"
        )
    return str(value)


def _existing_file(label: str, value: Any) -> str:
    if not Path(_text(label, value)).expanduser().is_file():
        raise InputError(f"`{label}`: expected an existing file, received {value!r}")
    return str(value)


def _benchmark(label: str, value: Any) -> str:
    if _text(label, value).startswith("csv:"):
        _existing_file(label, value[4:])
    return str(value)


def _repair(label: str, value: Any) -> str:
    if _text(label, value) not in ("none", "safe"):
        raise InputError(f"`{label}`: expected none or safe, received {value!r}")
    return str(value)


def _unaffordable(label: str, value: Any) -> str:
    if _text(label, value) not in ("resize", "refuse"):
        raise InputError(f"`{label}`: expected resize or refuse, received {value!r}")
    return str(value)


def _volume_percent(label: str, value: Any) -> float:
    if value in ("none", float("inf")):
        return float("inf")
    return _number(0, 100, above=True)(label, value)


def _delisting_return(label: str, value: Any) -> str:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _text(label, value)
    return _existing_file(label, text) if _is_file(text) else text


def _cache(label: str, value: Any) -> str | None:
    return None if _text(label, value) == "none" else _absolute(value)


def _date(label: str, value: Any) -> date:
    try:
        return value if isinstance(value, date) else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InputError(f"`{label}`: expected a date as YYYY-MM-DD, received {value!r}") from None


def _tickers(label: str, value: Any) -> tuple[str, ...]:
    """Accept a list, "A,B,C", or the path of a file with one ticker a line (# starts a comment)."""
    names = _split_tickers(label, value) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"`{label}`: expected A,B,C or a file with one ticker a line, received {value!r}")
    if not names and value:
        raise InputError(f"`{label}`: expected at least one ticker, received none in {value!r}")
    return tuple(dict.fromkeys(names))


def _split_tickers(label: str, value: str) -> list[str]:
    path = Path(value).expanduser()
    if not path.is_file() and _looks_like_a_path(value):
        received = "a folder" if path.is_dir() else "a path that does not exist"
        raise InputError(f"`{label}`: expected A,B,C or a file with one ticker a line, received {value!r}, {received}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else [value]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"`{label}`: expected a text file, received {value!r}: {error}") from None
    return [name for line in lines for name in line.split("#")[0].replace(",", " ").split()]


def _looks_like_a_path(value: str) -> bool:
    """Say whether a text that names no file was meant to: no ticker has a slash or ends like a list's file."""
    return "," not in value and ("/" in value or "\\" in value or value.lower().endswith((".txt", ".csv")))


def _number(minimum: float, maximum: float = float("inf"), *, above: bool = False) -> Callable[[str, Any], float]:
    def check(label: str, value: Any) -> float:
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not (number > minimum if above else number >= minimum) or not number <= maximum or number == float("inf"):
            bound = f"above {minimum:g}" if above else f"from {minimum:g}"
            limit = "" if maximum == float("inf") else f" to {maximum:g}"
            raise InputError(f"`{label}`: expected a number {bound}{limit}, received {value!r}")
        return number

    return check


def _whole(minimum: int) -> Callable[[str, Any], int]:
    def check(label: str, value: Any) -> int:
        try:
            number = -1 if isinstance(value, bool | float) else int(value)
        except (TypeError, ValueError):
            number = minimum - 1
        if number < minimum:
            raise InputError(f"`{label}`: expected a whole number from {minimum}, received {value!r}")
        return number

    return check


def _placebo(label: str, value: Any) -> int | None:
    try:
        fits = _whole(0)(label, value)
    except InputError:
        fits = -1
    if fits == 0 or fits >= FEWEST_PLACEBO_FITS:
        return fits or None
    raise InputError(
        f"`{label}`: expected at least {FEWEST_PLACEBO_FITS} fits, because fewer have no 95th percentile, or 0 for "
        f"none, received {value!r}"
    )


def _names(label: str, value: Any) -> tuple[str, ...]:
    """Accept a list, or "a,b"; "none" is an empty list."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if names == ["none"]:
        return ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"`{label}`: expected names as a,b or none, received {value!r}")
    return tuple(dict.fromkeys(names))


def _flag(label: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"`{label}`: expected true or false, received {value!r}")
    return value


def _table(label: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"`{label}`: expected a table of name = value, received {value!r}")
    return dict(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "prices": _prices,
    "filings": _existing_filings,
    "tickers": _tickers,
    "universe": _existing_file,
    "first": _date,
    "last": _date,
    "repair": _repair,
    "benchmark": _benchmark,
    "model": _text,
    "seeds": _whole(1),
    "against": _names,
    "ablation": _flag,
    "placebo": _placebo,
    "predictions": _existing_file,
    "strategy": _text,
    "cash": _number(0, above=True),
    "commission_bps": _number(0, 10_000),
    "slippage_bps": _number(0, 10_000),
    "commission": _text,
    "slippage": _text,
    "volume_percent": _volume_percent,
    "unaffordable": _unaffordable,
    "delisting_return": _delisting_return,
    "risk_free": _number(-1, 1),
    "sectors": _existing_file,
    "seed": _whole(0),
    "guarded": _flag,
    "jobs": _whole(1),
    "cache": _cache,
    "params": _table,
    "model_options": _table,
    "market": _table,
}
