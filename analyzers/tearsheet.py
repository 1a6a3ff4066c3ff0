"""The quantstats tearsheet: its full page, made offline, the same bytes for the same returns.

quantstats takes seconds to import, asks the network for a benchmark named by a string, wants a
font that few servers have and prints about it. Here it is imported late, gets series only, and
its page is cleaned: no link that a browser fetches, no time of writing, charts that shrink with
the window.
"""

from __future__ import annotations

import html
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

FEWEST_RETURNS = 3  # quantstats needs a spread and a tail
_THEME = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.axisbelow": True,
    "axes.edgecolor": "0.8",
    "axes.grid": True,
    "axes.titlesize": 13,
    "grid.color": "0.9",
    "legend.fontsize": 11,
    "patch.edgecolor": "white",
    "patch.force_edgecolor": True,
    "svg.hashsalt": "tearsheet",
    "text.color": "0.2",
    "xtick.color": "0.4",
    "xtick.major.size": 0,
    "ytick.color": "0.4",
    "ytick.major.size": 0,
}
_STYLE = """<style>
svg,img{max-width:100%;height:auto}
#left svg,#left img{display:block;margin:0}
@media(max-width:760px){body{margin:12px}.container,#left,#right{float:none;width:100%;margin:0}
#left>div{margin:0 0 12px}#left svg{margin:0}#right{overflow-x:auto}h1 dt{display:block;margin:6px 0 0}}
</style>
"""
_PLAIN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title></head>
<body style="font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em">
<h1>{title}</h1><p>There is nothing to show: {reason}.</p></body></html>
"""


def write_tearsheet(
    returns: pd.Series,
    benchmark: pd.Series | None,
    path: Path,
    *,
    title: str,
    risk_free: float = 0.0,
    benchmark_title: str = "Benchmark",
) -> None:
    """Write the quantstats page of daily returns.

    Parameters
    ----------
    returns : Series of float, index of sessions
        Simple daily returns of the strategy; NaN rows are dropped.
    benchmark : Series of float, optional
        Simple daily returns of the benchmark, on the sessions of `returns`; what is missing is 0.
    path : Path
        Written beside itself first and then renamed, so it is complete or absent.
    title, benchmark_title : str
        Plain text.
    risk_free : float
        Annual rate.

    Raises
    ------
    TypeError
        If `benchmark` is not a Series: quantstats would take a string for a ticker and go online.

    Notes
    -----
    Returns without any movement, or fewer than three, give a short page that says so.
    quantstats states its annual figures on 252 sessions a year; `analyzers.statistics` uses the
    calendar, so the two growth rates differ slightly.
    """
    if benchmark is not None and not isinstance(benchmark, pd.Series):
        raise TypeError(f"`benchmark`: expected a Series of daily returns or None, received {benchmark!r}")
    known = returns.dropna().astype(float)
    reason = _nothing_to_show(known)
    if reason:
        page = _PLAIN_PAGE.format(title=html.escape(title), reason=reason)
    else:
        aligned = None if benchmark is None else benchmark.reindex(known.index).fillna(0.0).astype(float)
        page = _clean(_quantstats_page(known, aligned, html.escape(title), risk_free, html.escape(benchmark_title)))
    _write_whole(path, page)


def _nothing_to_show(returns: pd.Series) -> str:
    if len(returns) < FEWEST_RETURNS:
        return f"the run has {len(returns)} daily returns, and a tearsheet needs at least {FEWEST_RETURNS}"
    if not float(np.ptp(returns.to_numpy())) > 0:
        return "the value of the account never moved, because no trade was made"
    return ""


def _quantstats_page(
    returns: pd.Series, benchmark: pd.Series | None, title: str, risk_free: float, benchmark_title: str
) -> str:
    """Return the page as quantstats writes it."""
    with _quiet_matplotlib():
        import quantstats.reports

        _set_theme()
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "tearsheet.html"
            quantstats.reports.html(
                returns.rename("Strategy"),
                benchmark=benchmark,
                rf=risk_free,
                title=title,
                output=str(output),
                match_dates=False,  # else the sessions before the first trade vanish from one page only
                benchmark_title=None if benchmark is None else benchmark_title,
            )
            return output.read_text(encoding="utf-8")


@contextmanager
def _quiet_matplotlib() -> Iterator[None]:
    """Draw without a screen, with reproducible ids, and say nothing; settings are restored after."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    font_log = logging.getLogger("matplotlib.font_manager")
    level = font_log.level
    font_log.setLevel(logging.ERROR)  # quantstats asks for Arial; the fallback is fine
    import matplotlib

    try:
        with matplotlib.rc_context(), warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            matplotlib.use("Agg")
            yield
    finally:
        font_log.setLevel(level)


def _set_theme() -> None:
    """Set the look for this page: quantstats does so only once, on import, and for the whole process."""
    import matplotlib

    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_THEME)


def _clean(page: str) -> str:
    """Drop what is fetched from elsewhere, dates of writing and unfilled places; let charts shrink."""
    page = re.sub(r"<\?xml[^>]*\?>|<!DOCTYPE svg[^>]*>|<metadata>.*?</metadata>", "", page, flags=re.DOTALL)
    page = re.sub(r'\s*<link rel="shortcut icon"[^>]*>', "", page)
    page = re.sub(r"\{\{\w+\}\}", "", page).replace("CAGR\N{SMALL PERCENT SIGN}", "CAGR")  # a sign that few fonts have
    return page.replace("</head>", f"{_STYLE}</head>", 1)


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
