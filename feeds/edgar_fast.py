"""The fast mode: the SEC's quarterly data sets as an index of the filings that hold a purchase or sale.

Three filings in four are grants, gifts, exercises and tax: leaving them out makes a download four times
shorter. What is lost: rows of those kinds, and whatever the data sets themselves lack.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from feeds.edgar_index import Expected
from feeds.errors import InputError
from feeds.sec_quarterly import Quarter, accessions_with_trades

# Accepted late on a quarter's last business day, a filing is in the next quarter's set.
_DAYS_AT_THE_END = 4


def worth_downloading(directory: Path) -> Callable[[Expected], bool]:
    """Return the question whether a filing may hold a purchase or sale.

    Yes for what the sets say so of, for amendments (they may correct one) and for everything filed in a
    quarter that the folder does not cover, or in the last days of one whose follower it does not cover.

    Raises
    ------
    InputError
        If the folder does not exist, or as `feeds.sec_quarterly.accessions_with_trades`.
    """
    if not directory.is_dir():
        raise InputError(f"`--fast`: expected a folder with the SEC's quarterly data sets, received {directory}")
    try:
        index = accessions_with_trades(directory)
    except InputError as error:
        raise InputError(f"`--fast`: {error}") from None
    covered = frozenset(index.quarters)

    def worth(filing: Expected) -> bool:
        days = (filing.filed_on, filing.filed_on + timedelta(days=_DAYS_AT_THE_END))
        return (
            filing.accession in index.accessions
            or filing.form != "4"
            or not all(_quarter(day) in covered for day in days)
        )

    return worth


def _quarter(day: date) -> Quarter:
    return Quarter(day.year, (day.month - 1) // 3 + 1)
