"""The command line's words: which commands and flags there are, and what they become.

Parsed before anything heavy is imported, so that `--help` and a wrong flag are answered at once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from feeds.errors import InputError, did_you_mean

COMMANDS = {
    "run": "settings, model, backtest, run folder (the default command)",
    "train": "walk-forward predictions only",
    "download": "fetch prices or filings into files that the sources read",
    "filings": "parse saved Form 4 filings into a Parquet table and say what was not understood",
    "check-data": "what is wrong with a price source",
    "list": "list strategies, indicators, sources or models",
}
# What `download` takes as its first word; each has a parser of its own.
DOWNLOADS = {
    "prices": "daily prices from Yahoo into a folder of Parquet files, one per stock; run again, it completes it",
    "filings": "Form 4 filings from the SEC, complete and verified; run again, it goes on where it stopped",
}
LISTS = ("strategies", "indicators", "sources", "models")
DESCRIPTION = """Does a recurrent network on prices, together with what company insiders file with the SEC,
make money as a swing strategy? Without arguments: the whole way on an embedded, invented market."""


class _Parser(argparse.ArgumentParser):
    """Raises InputError where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        hint = did_you_mean(unknown[1].split("=")[0], self._option_string_actions) if unknown else ""
        raise InputError(f"{message}{hint or f'; see `{self.prog} --help`'}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Turn the command line into a namespace with `command` and the values given.

    Flags that were not given are absent from the namespace, so that a file's values stand.

    Raises
    ------
    InputError
        For an unknown command, an unknown flag or a missing value.
    """
    words = list(arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words.insert(0, "run")
    if words[0] in ("-h", "--help"):
        _overview("", "COMMAND", COMMANDS, DESCRIPTION).parse_args(words)
    if words[0] not in COMMANDS:
        raise InputError(
            f"unknown command {words[0]!r}: expected one of {', '.join(COMMANDS)}.{did_you_mean(words[0], COMMANDS)}"
        )
    command, rest = (_download_command(words[1:]), words[2:]) if words[0] == "download" else (words[0], words[1:])
    namespace = _parsers()[command].parse_args(rest)
    namespace.command = command
    return namespace


def _download_command(words: Sequence[str]) -> str:
    if words[:1] in (["-h"], ["--help"]):
        _overview("download", "WHAT", DOWNLOADS, COMMANDS["download"]).parse_args(words[:1])
    what = words[0] if words else ""
    if what not in DOWNLOADS:
        expected = f"`download`: expected one of {', '.join(DOWNLOADS)}"
        raise InputError(f"{expected}, received {what or 'none'!r}.{did_you_mean(what, DOWNLOADS)}")
    return f"download {what}"


def _overview(command: str, word: str, choices: dict[str, str], description: str) -> _Parser:
    prog = f"run_backtest.py {command}".strip()
    lines = "\n".join(f"  {name:<11} {text}" for name, text in choices.items())
    usage = f"{prog} {word}" if command else f"{prog} [{word}]"
    choice = "what" if command else "commands"
    return _Parser(
        prog=prog,
        usage=f"{usage} [OPTIONS]",
        description=f"{description}\n\n{choice} ({prog} {word} --help lists the options):\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _parsers() -> dict[str, _Parser]:
    parsers = {
        name: _Parser(
            prog=f"run_backtest.py {name}", description=text, allow_abbrev=False, argument_default=argparse.SUPPRESS
        )
        for name, text in {**COMMANDS, **{f"download {what}": text for what, text in DOWNLOADS.items()}}.items()
    }
    for name in ("run", "train"):
        _add_data(parsers[name])
        _add_model(parsers[name])
        _add_trading(parsers[name])
        _add_output(parsers[name], "DIR", "folder of the results (default runs/<time>-<name>)")
    _add_data(parsers["check-data"])
    _add_output(parsers["check-data"], "DIR", "folder for findings.csv")
    parsers["check-data"].add_argument(
        "--fail-on", choices=("error", "warning"), help="exit with 1 where a finding is at least this grave"
    )
    parsers["filings"].add_argument(
        "path", metavar="PATH", help="tree of sec-edgar-downloader, one filing, openinsider:FILE or sec-quarterly:DIR"
    )
    _add_output(parsers["filings"], "FILE.parquet", "table to write")
    parsers["filings"].add_argument(
        "--prices",
        metavar="SOURCE",
        help="check filed prices against these: csv:DIR | parquet:FILE|DIR | yahoo | synthetic",
    )
    parsers["filings"].add_argument("--report", metavar="FILE", help="write the summary as JSON")
    parsers["filings"].add_argument("--jobs", metavar="N", help="processes (default: all cores)")
    parsers["filings"].add_argument("--cache", metavar="DIR|none", help="what was parsed before is kept there")
    _add_download_prices(parsers["download prices"])
    _add_download_filings(parsers["download filings"])
    parsers["list"].add_argument("what", choices=LISTS)
    return parsers


def _add_data(parser: _Parser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--config", metavar="FILE.toml", help="read settings from a file; flags override it")
    group.add_argument("--prices", metavar="SOURCE", help="synthetic (default) | csv:DIR | parquet:FILE|DIR | yahoo")
    group.add_argument(
        "--filings",
        metavar="SOURCE",
        help="synthetic | DIR | FILE.parquet | openinsider:FILE | sec-quarterly:DIR | none "
        "(default: synthetic with synthetic prices, else none)",
    )
    group.add_argument("--tickers", metavar="A,B|FILE", help="only these stocks")
    group.add_argument("--universe", metavar="FILE", help="CSV with ticker, from, to: buy a stock only while a member")
    group.add_argument("--from", dest="first", metavar="DATE", help="first session on which an order may be decided")
    group.add_argument("--to", dest="last", metavar="DATE", help="cut all data after this session")
    group.add_argument("--repair", metavar="none|safe", help="what is done about wrong prices (default safe)")
    group.add_argument("--seed", metavar="N", help="seed of market and model (default 0)")
    group.add_argument("--cache", metavar="DIR|none", help="what is worth keeping (default ~/.cache/insider-swing)")


def _add_download_prices(parser: _Parser) -> None:
    group = parser.add_argument_group("prices")
    group.add_argument("--tickers", metavar="A,B|FILE", help="Yahoo's names, such as AAPL, BRK-B or ^GSPC")
    group.add_argument("--universe", metavar="FILE", help="or every ticker of a membership file")
    group.add_argument("--from", dest="first", metavar="DATE", help="first session (default: the whole history)")
    group.add_argument("--to", dest="last", metavar="DATE", help="last session (default: the last that has closed)")
    group.add_argument("--cache", metavar="DIR|none", help="where yfinance keeps its own small files")
    group = parser.add_argument_group("output")
    group.add_argument("--out", metavar="DIR", help="folder of the prices; an earlier download there is completed")
    group.add_argument("--force", action="store_true", help="download again what is there")
    group.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_download_filings(parser: _Parser) -> None:
    group = parser.add_argument_group("filings")
    group.add_argument("--tickers", metavar="A,B|FILE", help="tickers of today, or CIKs (default: all of --ciks)")
    group.add_argument(
        "--ciks", metavar="FILE", help="CSV with ticker, cik, from, to: who had which ticker when; overrides the SEC"
    )
    group.add_argument("--from", dest="first", metavar="DATE", help="first filing date")
    group.add_argument("--to", dest="last", metavar="DATE", help="last filing date (default today)")
    group.add_argument(
        "--fast", metavar="DIR", help="leave out filings without purchase or sale, by the SEC's quarterly data sets"
    )
    group = parser.add_argument_group("network")
    group.add_argument("--user-agent", metavar='"NAME MAIL"', help="your name and email address; the SEC demands them")
    group.add_argument("--jobs", metavar="N", help="requests under way at a time (default 4); not the rate")
    group.add_argument("--rate", metavar="R", help="requests a second in total (default 9, at most 10)")
    group = parser.add_argument_group("output")
    group.add_argument("--out", metavar="DIR", help="folder of the download; an earlier one is resumed")
    group.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_model(parser: _Parser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME", help="preset (see `list models`)")
    group.add_argument("--seeds", metavar="K", help="networks averaged per fold")
    group.add_argument(
        "--against",
        metavar="A,B|none",
        help="baselines on the same columns to compare with (train: logistic,gradient_boosting; run: none)",
    )
    group.add_argument("--ablation", action="store_true", help="train it on prices alone and on filings alone too")
    group.add_argument(
        "--placebo",
        metavar="K",
        help="train it K times more, at least 20, on labels dealt out anew: what would luck score?",
    )
    group.add_argument("--jobs", metavar="N", help="training processes (default: all cores)")


def _add_trading(parser: _Parser) -> None:
    group = parser.add_argument_group("trading (`train` takes these too, for the same words, and trades nothing)")
    group.add_argument("--predictions", metavar="FILE", help="trade saved predictions; nothing is trained")
    group.add_argument("--strategy", metavar="NAME", help="name (see `list strategies`) or path/to/file.py:Class")
    group.add_argument("--param", action="append", metavar="NAME=VALUE", help="parameter of the strategy (repeatable)")
    group.add_argument("--cash", metavar="USD", help="starting cash (default 1000000)")
    group.add_argument("--commission-bps", metavar="BPS", help="per side (default 1)")
    group.add_argument("--slippage-bps", metavar="BPS", help="per side (default 4)")
    group.add_argument(
        "--commission",
        metavar="MODEL",
        help="in place of --commission-bps: percent:N | per-trade:USD | per-share:USD,min=USD,max=FRACTION | tiered",
    )
    group.add_argument(
        "--slippage", metavar="MODEL", help="in place of --slippage-bps: bps:N | spread | impact:N, or a sum with +"
    )
    group.add_argument(
        "--volume-percent", metavar="N|none", help="most of a day's volume that a stock's orders fill (default 2.5)"
    )
    group.add_argument(
        "--unaffordable", metavar="resize|refuse", help="a purchase that cash cannot pay at its open (default resize)"
    )
    group.add_argument(
        "--delisting-return", metavar="R|FILE", help="return on the last price at a delisting (default 0), or a CSV"
    )
    group.add_argument(
        "--guarded", action="store_true", help="audit the strategy: reading a bar that is not known yet ends the run"
    )
    group.add_argument("--risk-free", metavar="RATE", help="annual rate as a fraction (default 0)")
    group.add_argument("--benchmark", metavar="TICKER|csv:FILE", help="default: all stocks, equal weight, monthly")
    group.add_argument("--sectors", metavar="FILE", help="CSV with ticker and sector, for the sector limit")


def _add_output(parser: _Parser, metavar: str, text: str) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--out", metavar=metavar, help=text)
    group.add_argument("--force", action="store_true", help="replace what --out holds")
    group.add_argument("--quiet", action="store_true", help="no progress bars")


def split_param(text: str) -> tuple[str, str]:
    """Split ``name=value``; raises InputError where there is no name or no ``=``."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise InputError(f"`--param`: expected name=value, received {text!r}")
    return name.strip(), value.strip()


def setting_flags(namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the flags that are settings, under the settings' names."""
    other = {"command", "config", "out", "force", "quiet", "param", "fail_on"}
    flags = {name: value for name, value in vars(namespace).items() if name not in other}
    if "param" in vars(namespace):
        flags["params"] = dict(split_param(text) for text in namespace.param)
    return flags
