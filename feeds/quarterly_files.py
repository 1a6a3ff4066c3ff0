"""The files of the SEC's Insider Transactions Data Sets: one zip archive or extracted folder a quarter.

``{YYYY}q{Q}_form345.zip`` holds tab-separated tables: SUBMISSION, REPORTINGOWNER, NONDERIV_TRANS,
DERIV_TRANS, FOOTNOTES and others, joined by ACCESSION_NUMBER. Source: the data sets' readme and
metadata file (https://www.sec.gov/data-research/sec-markets-data/insider-transactions-data-sets).
"""

from __future__ import annotations

import itertools
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from feeds.errors import InputError

FORMS = ("4", "4/A")
TRADE_TABLES = ("NONDERIV_TRANS", "DERIV_TRANS")
_NAME = re.compile(r"(\d{4})q([1-4])", re.IGNORECASE)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Quarter(NamedTuple):
    """A calendar quarter; prints as ``2023q1``."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year}q{self.number}"

    @property
    def following(self) -> Quarter:
        """Return the next quarter."""
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    @property
    def end(self) -> pd.Timestamp:
        """Return the instant at which the quarter is over, UTC."""
        return pd.Timestamp(year=self.year, month=3 * self.number, day=1, tz="UTC") + pd.DateOffset(months=1)


class TradeIndex(NamedTuple):
    """Which filings hold a purchase or sale, and for which quarters that is known."""

    accessions: frozenset[str]
    quarters: tuple[Quarter, ...]


@dataclass(frozen=True)
class QuarterFiles:
    """One quarter's archive or folder."""

    quarter: Quarter
    path: Path

    def read(self, table: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
        """Read columns of a table as texts; None where empty, and where an optional column is absent.

        Lines with another number of fields than the header are left out; ``attrs["left_out"]`` counts them.

        Raises
        ------
        InputError
            If the table or a column is missing, or the archive is damaged.
        """
        left_out = [0]

        def leave_out(row: object) -> str:
            left_out[0] += 1
            return "skip"

        try:
            held = pacsv.read_csv(
                pa.BufferReader(_as_utf8(self._content(f"{table}.tsv"))),
                parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False, invalid_row_handler=leave_out),
                convert_options=pacsv.ConvertOptions(
                    include_columns=[*columns, *optional],
                    include_missing_columns=True,
                    column_types=dict.fromkeys([*columns, *optional], pa.string()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
            names = self._names(table)
        except (pa.ArrowInvalid, zipfile.BadZipFile, OSError, KeyError, EOFError) as error:
            raise InputError(
                f"{self.path}: expected the data set's table {table}.tsv, received none that can be read "
                f"({error}); download the quarter again"
            ) from None
        if missing := [name for name in columns if name not in names]:
            raise InputError(f"{self.path}: {table}.tsv: expected the column {missing[0]}, received none")
        frame: pd.DataFrame = held.to_pandas()
        frame.attrs["left_out"] = left_out[0]
        return frame

    def _names(self, table: str) -> list[str]:
        return self._content(f"{table}.tsv", 65_536).split(b"\n", 1)[0].decode("utf-8", "replace").strip().split("\t")

    def _content(self, name: str, size: int = -1) -> bytes:
        """Return a member's first `size` bytes; members may lie in a folder of the archive."""
        if self.path.is_dir():
            with (self.path / name).open("rb") as file:
                return file.read(size)
        with zipfile.ZipFile(self.path) as archive:
            found = next((n for n in archive.namelist() if n.rpartition("/")[2].upper() == name.upper()), name)
            with archive.open(found) as member:
                return member.read(size)


def find_quarters(directory: Path) -> list[QuarterFiles]:
    """List the quarters in a folder, or the one that the folder itself is; in order.

    Raises
    ------
    InputError
        If there is none, or one quarter twice.
    """
    places = [directory, *sorted(directory.iterdir())] if directory.is_dir() else [directory]
    found = [place for place in places if _is_set(place)]
    if not found:
        raise InputError(
            f"`--filings` sec-quarterly:{directory}: expected archives named like 2023q1_form345.zip or "
            "their extracted folders, received none"
        )
    quarters = sorted((QuarterFiles(_quarter(path), path) for path in found), key=lambda one: one.quarter)
    for one, other in itertools.pairwise(quarters):
        if one.quarter == other.quarter:
            raise InputError(
                f"`--filings` sec-quarterly: expected each quarter once, received {one.quarter} in {one.path.name} "
                f"and {other.path.name}; remove one"
            )
    return quarters


def accessions_with_trades(directory: Path) -> TradeIndex:
    """Say which filings are worth downloading: those with a purchase or sale.

    Parameters
    ----------
    directory : Path
        Folder with the quarters' archives or extracted folders; gaps are allowed here.

    Returns
    -------
    TradeIndex
        Accession numbers of Forms 4 and 4/A with a row of code P or S in either table, and of every
        4/A, which may correct one. About a filing filed outside `quarters` nothing is known; one
        accepted after 17:30 on a quarter's last day is in the next quarter's set.

    Raises
    ------
    InputError
        If there is no set, or one is damaged.
    """
    quarters = find_quarters(directory)
    found: set[str] = set()
    for one in quarters:
        submissions = one.read("SUBMISSION", ["ACCESSION_NUMBER", "DOCUMENT_TYPE"])
        forms = submissions.set_index("ACCESSION_NUMBER")["DOCUMENT_TYPE"]
        traded: set[str] = set(forms.index[forms == "4/A"])
        for table in TRADE_TABLES:
            rows = one.read(table, ["ACCESSION_NUMBER", "TRANS_CODE"])
            traded |= set(rows.loc[rows["TRANS_CODE"].isin(["P", "S"]), "ACCESSION_NUMBER"])
        found |= traded & set(forms.index[forms.isin(FORMS)])
    return TradeIndex(frozenset(found), tuple(one.quarter for one in quarters))


def days(texts: pd.Series) -> np.ndarray:
    """Return dates written DD-MON-YYYY (or YYYY-MM-DD) as datetime64[s]; NaT where there is none.

    By hand, not by pandas: filed dates hold years such as 0022, which nanoseconds cannot.
    """
    codes, unique = pd.factorize(texts)
    parsed = np.array([_day(text) for text in unique] + ["NaT"], dtype="datetime64[D]")
    return np.asarray(parsed[codes].astype("datetime64[s]"))


def contains(texts: pd.Series, pattern: re.Pattern[str], *hints: str) -> np.ndarray:
    """Tell which texts `pattern` finds something in; only those with one of the `hints` are searched."""
    held = pa.array(texts, type=pa.string())
    likely = np.zeros(len(texts), dtype=bool)
    for hint in hints:
        likely |= pc.match_substring(held, hint, ignore_case=True).fill_null(False).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(likely)
    likely[at] = [pattern.search(text) is not None for text in texts.to_numpy()[at]]
    return likely


def _day(text: str) -> str:
    first, _, rest = text[:11].partition("-")
    month, _, year = rest.partition("-")
    if month.upper() in _MONTHS:
        text = f"{year}-{_MONTHS.index(month.upper()) + 1:02d}-{first.zfill(2)}"
    try:
        return str(np.datetime64(text[:10], "D"))
    except ValueError:
        return "NaT"


def _as_utf8(content: bytes) -> bytes:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace").encode("utf-8")
    return content


def _is_set(path: Path) -> bool:
    if path.is_dir():
        return (path / "SUBMISSION.tsv").is_file()
    return path.suffix.lower() == ".zip" and "form345" in path.name.lower()


def _quarter(path: Path) -> Quarter:
    """Read the quarter off the name, else off the filing dates: that of most filings."""
    if named := _NAME.search(path.name):
        return Quarter(int(named[1]), int(named[2]))
    filed = pd.Series(days(QuarterFiles(Quarter(0, 0), path).read("SUBMISSION", ["FILING_DATE"])["FILING_DATE"]))
    if not filed.notna().any():
        raise InputError(f"{path}: expected a name like 2023q1_form345 or filing dates, received neither")
    first = filed.dropna().mode()[0]
    return Quarter(first.year, first.quarter)
