"""Strategies by name: those of this folder, and those of a user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import backtrader as bt

from feeds.errors import InputError, did_you_mean, unknown_name
from strategies.base import SwingStrategy

_FOLDER = Path(__file__).resolve().parent


def available() -> dict[str, type[bt.Strategy]]:
    """Return the strategies of this folder, by their class's name in snake case, sorted."""
    modules = [importlib.import_module(f"strategies.{path.stem}") for path in sorted(_FOLDER.glob("*.py"))]
    classes = [cls for module in modules for cls in _strategies_of(module) if cls is not SwingStrategy]
    return dict(sorted((snake_case(cls.__name__), cls) for cls in classes))


def load(name: str) -> type[bt.Strategy]:
    """Return the strategy called `name`.

    Parameters
    ----------
    name : str
        A name that `available` lists, or ``path/to/file.py:Class`` (the class may be left out where
        the file has one strategy).

    Raises
    ------
    InputError
        For an unknown name (with the nearest), a file or class that is missing, a file that is not
        Python, or a class that is no strategy.
    """
    if ".py" not in name:
        known = available()
        if name not in known:
            raise unknown_name("strategy", name, known)
        return known[name]
    path, _, class_name = name.partition(".py:")
    file = Path(path if path.endswith(".py") else f"{path}.py").expanduser()
    if not file.is_file():
        raise InputError(f"strategy file {file}: expected a Python file, received none; check the path")
    return _pick(_import_file(file), class_name, file)


def snake_case(name: str) -> str:
    """Return ``LSTMInsider`` as ``lstm_insider``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _strategies_of(module: ModuleType) -> list[type[bt.Strategy]]:
    """Return the strategies that a module defines itself, not those it imports."""
    found = [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, bt.Strategy)]
    return [cls for cls in found if cls.__module__ == module.__name__]


def _import_file(file: Path) -> ModuleType:
    # A name of its own: a user's file must not take the place of a module of ours.
    module_name = f"user_strategy_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"strategy file {file}: expected a Python file, received one that cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # backtrader looks a class's module up there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InputError(
            f"strategy file {file}: expected Python, received a syntax error in line {error.lineno}; correct it"
        ) from error
    return module


def _pick(module: ModuleType, class_name: str, file: Path) -> type[bt.Strategy]:
    classes = {cls.__name__: cls for cls in _strategies_of(module)}
    listed = ", ".join(sorted(classes)) or "no strategy"
    if not class_name and len(classes) == 1:
        return next(iter(classes.values()))
    if not class_name:
        raise InputError(f"strategy file {file}: expected `{file}:Class`, received no class; the file has {listed}")
    chosen = getattr(module, class_name, None)
    if chosen is None:
        raise InputError(
            f"strategy file {file}: expected the class {class_name!r}, received a file with {listed}."
            f"{did_you_mean(class_name, classes)}"
        )
    if not (isinstance(chosen, type) and issubclass(chosen, bt.Strategy)):
        raise InputError(
            f"strategy {class_name!r} of {file}: expected a subclass of SwingStrategy or bt.Strategy, "
            f"received {chosen!r}"
        )
    return chosen
