"""What each command of the command line does, and which exit code it ends with.

0 done; 1 finished but incomplete, or the environment failed; 2 the user's mistake; 130 interrupted.
Each of the last three is one line on stderr; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from engine import arguments
from engine.settings import Settings, read_config, resolve
from feeds.errors import EnvironmentFailure, InputError


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        namespace = arguments.parse(words)
        return _COMMANDS[namespace.command](namespace)
    except InputError as error:
        return _fail(error, 2)
    except EnvironmentFailure as error:
        return _fail(error, 1)
    except BrokenPipeError:
        # The reader of our output left; nothing is wrong with the work itself.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: nothing half-written was left behind\n")
        return 130


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(error: Exception, code: int) -> int:
    text = " ".join(str(error).split())
    sys.stderr.write(f"error: {text}\n")
    return code


def settings_of(namespace: argparse.Namespace) -> Settings:
    """Merge the flags with the file that `--config` names."""
    config = read_config(Path(namespace.config)) if "config" in namespace else None
    return resolve(arguments.setting_flags(namespace), config)


def _out(namespace: argparse.Namespace, name: str) -> Path:
    from engine.run_folder import default_folder

    return Path(namespace.out).expanduser() if "out" in namespace else default_folder(name, datetime.now())


def _run(namespace: argparse.Namespace) -> int:
    settings = settings_of(namespace)
    from engine import pipeline

    return _pipeline(namespace, settings, pipeline.run, settings.strategy, "report.html")


def _train(namespace: argparse.Namespace) -> int:
    settings = settings_of(namespace)
    from engine import pipeline

    return _pipeline(namespace, settings, pipeline.train, settings.model, "predictions.parquet")


def _pipeline(
    namespace: argparse.Namespace, settings: Settings, work: Callable[..., tuple[Any, str]], name: str, result: str
) -> int:
    out = _out(namespace, name)
    _, table = work(settings, out, force="force" in namespace, quiet="quiet" in namespace)
    print(table)
    print(f"\n{Path(result).stem}: {(out / result).absolute()}")
    return 0


def _filings(namespace: argparse.Namespace) -> int:
    from engine.filings import filings

    return filings(namespace)


def _download_prices(namespace: argparse.Namespace) -> int:
    if "out" not in namespace:
        raise InputError("`--out`: expected the folder for the prices, received none; add `--out DIR`")
    settings = resolve({**arguments.setting_flags(namespace), "prices": "yahoo"})
    from engine.price_download import download_prices
    from engine.progress import progress_bars

    out, progress = Path(namespace.out).expanduser(), progress_bars(quiet="quiet" in namespace)
    summary = download_prices(settings, out, again="force" in namespace, progress=progress)
    print(summary.table)
    summary.raise_if_incomplete()
    return 0


def _download_filings(namespace: argparse.Namespace) -> int:
    from engine.filing_download import filings

    return filings(namespace)


def _check_data(namespace: argparse.Namespace) -> int:
    settings = settings_of(namespace)
    from engine.data_check import check_data, write_findings
    from engine.findings import at_least
    from engine.progress import progress_bars
    from engine.run_folder import check_free

    if "out" in namespace:
        check_free(Path(namespace.out).expanduser(), force="force" in namespace)
    findings, table = check_data(settings, progress_bars(quiet="quiet" in namespace))
    if "out" in namespace:
        write_findings(findings, Path(namespace.out).expanduser(), force="force" in namespace)
    print(table)
    grave = at_least(findings, namespace.fail_on) if "fail_on" in namespace else 0
    if grave:
        raise EnvironmentFailure(f"findings as grave as `--fail-on {namespace.fail_on}` or graver: {grave}")
    return 0


def _list(namespace: argparse.Namespace) -> int:
    from engine.catalogue import entries

    width = max(len(name) for name, _ in entries(namespace.what))
    for name, text in entries(namespace.what):
        print(f"{name:<{width}}  {text}")
    return 0


_COMMANDS = {
    "run": _run,
    "train": _train,
    "download prices": _download_prices,
    "download filings": _download_filings,
    "filings": _filings,
    "check-data": _check_data,
    "list": _list,
}
