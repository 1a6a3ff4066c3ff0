"""A strategy's parameters: known, in range, and typed from their defaults.

backtrader drops a parameter that it does not know and takes any value for one that it does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from feeds.adapter.naming import parameter_values
from feeds.errors import InputError, unknown_name

# What the engine sets; a user has other ways to say it.
ENGINE_PARAMETERS = {
    "predictor": "--model or --predictions",
    "sectors": "--sectors",
    "membership": "--universe",
    "from_session": "--from",
    "round_trip_cost_frac": "--commission-bps and --slippage-bps",
}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Range(NamedTuple):
    """Smallest and largest value of a parameter, both allowed."""

    least: float
    most: float = math.inf


def user_parameters(strategy: Any) -> dict[str, Any]:
    """Return the names and defaults that a user may set."""
    defaults: dict[str, Any] = parameter_values(strategy.params)
    return {name: value for name, value in defaults.items() if name not in ENGINE_PARAMETERS}


def parse_params(strategy: Any, texts: Mapping[str, str]) -> dict[str, Any]:
    """Turn ``--param name=text`` into values of the defaults' types.

    Parameters
    ----------
    strategy : type
        A bt.Strategy class.
    texts : mapping of name to text

    Raises
    ------
    InputError
        For an unknown name (with the nearest), one that another option sets, or a text that is
        not of the default's type.
    """
    valid = user_parameters(strategy)
    values = {}
    for name, text in texts.items():
        if name in ENGINE_PARAMETERS and hasattr(strategy.params, name):
            raise InputError(
                f"parameter `{name}`: expected a parameter of the strategy itself, received {text!r}; "
                f"use {ENGINE_PARAMETERS[name]}"
            )
        if name not in valid:
            raise unknown_name(f"parameter of {strategy.__name__}", name, valid)
        values[name] = _typed(strategy, name, valid[name], text)
    return values


def ranges_of(strategy: type) -> dict[str, Range]:
    """Return the ranges that a strategy and its parents state in `parameter_ranges`."""
    merged: dict[str, Range] = {}
    for parent in reversed(strategy.__mro__):
        merged.update(parent.__dict__.get("parameter_ranges", {}))
    return merged


def check_parameters(strategy: Any, unknown: Iterable[str]) -> None:
    """Raise for unknown names and values out of range of a strategy that is being made.

    Raises
    ------
    InputError
        Naming parameter, class, rule and what was received.
    """
    for name in unknown:
        raise unknown_name(f"parameter of {type(strategy).__name__}", name, parameter_values(strategy.params))
    check_ranges(type(strategy), parameter_values(strategy.params))


def check_ranges(strategy: Any, values: Mapping[str, Any]) -> None:
    """Raise for values out of range of a strategy's class, before one is made.

    Raises
    ------
    InputError
        Naming parameter, class, rule and what was received.
    """
    defaults = parameter_values(strategy.params)
    for name, (least, most) in ranges_of(strategy).items():
        value = values.get(name, defaults[name])
        kinds: Any = (int,) if isinstance(defaults[name], int) else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
            rule = ("a number" if float in kinds else "a whole number") + f" from {least:g}"
            rule += "" if math.isinf(most) else f" to {most:g}"
            raise InputError(f"`{name}` of {strategy.__name__}: expected {rule}, received {value!r}")


def _typed(strategy: Any, name: str, default: Any, text: str) -> Any:
    try:
        if isinstance(default, bool):
            return _WORDS[text.strip().lower()]
        if isinstance(default, int | float):
            return type(default)(text)
    except (ValueError, KeyError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise InputError(
            f"`{name}` of {strategy.__name__}: expected {kind} (default {default}), received {text!r}"
        ) from None
    return text
