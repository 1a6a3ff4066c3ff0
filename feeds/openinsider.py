"""OpenInsider's CSV export → the transactions table.

OpenInsider (openinsider.com) lists Form 4 trades by ticker; people save its screens as CSV. Its
Filing Date is the SEC's acceptance in New York wall-clock time, so its rows can be timed. What the
export loses, beside all filings that a screen left out:

- No CIK: the issuer is the ticker (``ticker:ABC``), the insider the name as written. A ticker that
  changed hands mixes companies; two spellings of a name are two persons. A company without a ticker
  (``N.A.``, empty) is ``company:NAME``: its rows are kept, without a ticker, and feed no stock.
- No accession number: a filing's key is made of filing time, ticker and insider, so the same export
  gives the same keys in any order of rows.
- Joint filings are separate rows. They collapse only where they agree in day, shares (10,000 or
  more), price and holdings afterwards within 15 minutes (`feeds.joint_filings`, rule c).
- 10b5-1 plans, ownership form and security are unknown; amendments are known where the export has
  the column X (A = amended filing), else they look like further trades.
- Several trades of a filing are one row with their mean price and earliest day (X holds M).

Spreadsheets damage exports further: ``#ERROR!`` in Qty and Value with the numbers in Qty2 and Value2,
prices rounded to $0.00, amounts capped at 2147483647. Flags for what was done about it:

``price_from_value``  shown as $0.00; the price is Value / Qty
``shares_from_value`` no or zero Qty; the shares are Value / Price
``value_capped``      Value at the largest 32-bit number: its price cannot be trusted, `price_checked` is NaN
``option_exercise``   trade type "S - Sale+OE"
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feeds.errors import InputError
from feeds.insider_roles import role_of
from feeds.raw_rows import per_text, raw_rows
from feeds.sessions import NEW_YORK
from feeds.ticker_holders import Change, days_known, frame_of_changes
from feeds.transaction_table import Refusal, TransactionTable, coverage_of, dollar_value, ticker_frame
from feeds.transactions import complete

PREFIX = "openinsider:"
_NAMES = {
    "filingdate": "filed", "tradedate": "traded", "ticker": "ticker", "symbol": "ticker", "companyname": "company",
    "company": "company", "insidername": "insider", "insider": "insider", "title": "title", "tradetype": "trade_type",
    "price": "price", "qty": "qty", "quantity": "qty", "qty2": "qty_2", "owned": "owned", "value": "value",
    "value2": "value_2", "x": "marks",
}  # fmt: skip
_REQUIRED = {
    "filed": "Filing Date", "traded": "Trade Date", "ticker": "Ticker", "insider": "Insider Name",
    "trade_type": "Trade Type", "price": "Price", "qty": "Qty",
}  # fmt: skip
_FILED = r"\d{4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{2}(?::\d{2})?"
_TICKER = r"[A-Z0-9]{1,6}(?:[./-][A-Z0-9]{1,3})?"
_NO_TICKER = ("", "N.A.", "N.A", "N/A", "NONE", "-")
_TRADE_TYPE = r"([A-Z])(?:\s*-.*)?"
_TEN_PERCENT = re.compile(r"\b10\s*%|ten\s+percent", re.IGNORECASE)
_CHAIR = re.compile(r"^(?:non-?exec\w*\s+)?(?:vice\s+)?(?:cob|chair\w*|chm\w*)\b", re.IGNORECASE)
_CAPPED = 2_147_483_647
_MOST_NAMED = 5


def read_openinsider(path: Path) -> TransactionTable:
    """Read an export.

    Parameters
    ----------
    path : Path
        CSV (comma, semicolon or tab); columns in any order and case, by OpenInsider's names or the
        usual variants. Needed: Filing Date, Trade Date, Ticker, Insider Name, Trade Type, Price, Qty.

    Returns
    -------
    TransactionTable
        `refused` names every line that was not understood. Coverage is the first to the last filing
        time in the file; per issuer nothing is known, and a ticker is not covered before its first row.
        Prices are as shown: rounded to cents.

    Raises
    ------
    InputError
        If the file is missing, lacks a column, or no line of it is understood.

    Notes
    -----
    **Known at** Filing Date, read as New York time.
    """
    lines = _lines(path)
    reasons = _reasons(lines)
    refused = [Refusal(f"{path.name} line {at}", why) for at, why in zip(lines["line"], reasons, strict=True) if why]
    refused += lines.attrs["refused"]
    understood = lines[reasons == ""].reset_index(drop=True)
    if understood.empty:
        first = f"first {refused[0].file}: {refused[0].reason}" if refused else "no line at all"
        raise InputError(
            f"`--filings` {PREFIX}{path}: expected at least one line that can be understood, found {first}"
        )
    rows, repeated = _rows(understood)
    return complete(
        rows,
        _tickers(rows),
        coverage=coverage_of(rows["accepted_at"]),
        refused=tuple(sorted(refused, key=lambda one: int(one.file.rpartition(" ")[2]))),
        n_files=1,
        n_filings=rows["accession"].nunique(),
        notes=_notes(understood, repeated),
    )


def _tickers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the tickers, each from its first line on: what nobody has traded yet the export cannot know."""
    first = rows.groupby(["issuer_cik", "issuer_symbol"], dropna=False)["accepted_at"].min().reset_index()
    named = first[first["issuer_symbol"].notna()]
    since = days_known(named["accepted_at"]).tolist()
    held = frame_of_changes(map(Change, named["issuer_symbol"], since, named["issuer_cik"]))
    nameless = first.loc[first["issuer_symbol"].isna(), "issuer_cik"]
    return ticker_frame([*held.itertuples(index=False), *((cik, "", None, None) for cik in nameless)])


def _lines(path: Path) -> pd.DataFrame:
    """Return the file's lines as texts under our names, with their numbers; ill-formed ones in ``attrs``."""
    records = list(_records(path))
    header = next((record for _, record in records), [])
    names = [_NAMES.get(re.sub(r"[^a-z0-9]", "", name.lower()), "") for name in header]
    for name, shown in _REQUIRED.items():
        if name not in names:
            raise InputError(
                f"`--filings` {PREFIX}{path}: expected a CSV export of OpenInsider with the column {shown}, "
                f"received {', '.join(header)[:200] or 'nothing'}"
            )
    filled = [(at, record) for at, record in records[1:] if any(cell.strip() for cell in record)]
    whole = [(at, record) for at, record in filled if len(record) == len(header)]
    frame = pd.DataFrame({"line": [at for at, _ in whole]})
    # The first column of a name counts: exports repeat "Ticker" in a link column.
    for name in dict.fromkeys([*_NAMES.values()]):
        at = names.index(name) if name in names else None
        cells = ["" if at is None else _clean(record[at]) for _, record in whole]
        frame[name] = pd.Series(cells, dtype=object)
    frame["ticker"] = frame["ticker"].str.upper().mask(lambda names: names.isin(_NO_TICKER), "")
    frame.attrs["refused"] = [
        Refusal(f"{path.name} line {at}", f"expected {len(header)} fields, received {len(record)}")
        for at, record in filled
        if len(record) != len(header)
    ]
    return frame


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"`--filings` {PREFIX}{path}: expected a file that can be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What a spreadsheet on Windows writes.
        text = content.decode("cp1252", "replace")
    head = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=head.count))
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        raise InputError(f"`--filings` {PREFIX}{path}: expected CSV, line {reader.line_num}: {error}") from None


def _clean(cell: str) -> str:
    return " ".join(cell.replace("\xa0", " ").split())


def _reasons(lines: pd.DataFrame) -> pd.Series:
    """Return why each line cannot be used; empty where it can."""
    reasons = pd.Series("", index=lines.index)
    shares, _, _ = _amounts(lines)
    instants = _accepted_at(lines["filed"])
    checks = [
        (instants.isna(), "Filing Date: expected YYYY-MM-DD HH:MM:SS", "filed"),
        ((lines["ticker"] != "") & ~lines["ticker"].str.fullmatch(_TICKER), "Ticker: expected a ticker", "ticker"),
        (lines["insider"] == "", "Insider Name: expected a name", "insider"),
        (~lines["trade_type"].str.fullmatch(_TRADE_TYPE), "Trade Type: expected P - Purchase or alike", "trade_type"),
        (np.isnan(shares), "no number of shares: expected one in Qty or Qty2, or Value and Price", "qty"),
    ]  # fmt: skip
    for wrong, expected, column in checks:
        chosen = wrong & (reasons == "")
        reasons[chosen] = expected + ", received " + lines.loc[chosen, column].map(repr)
    return reasons


def _accepted_at(texts: pd.Series) -> pd.Series:
    shaped = texts.where(texts.str.fullmatch(_FILED)).str.replace("T", " ")
    local = pd.to_datetime(shaped, format="mixed", errors="coerce")
    # EDGAR is closed at night: no filing falls into the hour that a clock change skips or repeats.
    eastern = local.dt.tz_localize(NEW_YORK, ambiguous=np.ones(len(local), dtype=bool), nonexistent="shift_forward")
    return eastern.dt.tz_convert("UTC").astype("datetime64[ns, UTC]")


def _number(texts: pd.Series) -> np.ndarray:
    return pd.to_numeric(texts.str.replace(r"[$,+\s]", "", regex=True), errors="coerce").to_numpy(dtype=np.float64)


def _amounts(lines: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return shares, prices, and flags for what was derived; sales are shown with negative numbers."""
    shares, price, value = _first_number(lines, "qty"), np.abs(_number(lines["price"])), _first_number(lines, "value")
    capped = value >= _CAPPED
    usable = (value > 0) & ~capped
    no_price = usable & (price == 0) & (shares > 0)
    no_shares = usable & (price > 0) & ~(shares > 0)
    price = np.where(no_price, np.divide(value, shares, out=np.full_like(value, np.nan), where=no_price), price)
    shares = np.where(no_shares, np.divide(value, price, out=np.full_like(value, np.nan), where=no_shares), shares)
    return shares, price, {"price_from_value": no_price, "shares_from_value": no_shares, "value_capped": capped}


def _first_number(lines: pd.DataFrame, name: str) -> np.ndarray:
    first = np.abs(_number(lines[name]))
    return np.where(np.isnan(first), np.abs(_number(lines[f"{name}_2"])), first)


def _rows(lines: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return raw rows and how many lines were repetitions of another."""
    shares, price, derived = _amounts(lines)
    accepted_at = _accepted_at(lines["filed"])
    code = lines["trade_type"].str[0].astype(object)
    person = "name:" + lines["insider"].str.upper()
    columns: dict[str, Any] = {
        "issuer_cik": _issuers(lines),
        "issuer_symbol": lines["ticker"].mask(lines["ticker"] == "", None),
        "accession": _keys(accepted_at, lines["ticker"].mask(lines["ticker"] == "", _issuers(lines)), person),
        "form": np.where(lines["marks"].str.contains("A"), "4/A", "4").astype(object),
        "accepted_at": accepted_at,
        "filed_on": accepted_at.dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize(),
        "owner_ciks": [[key] for key in person],
        "owner_names": [[name] for name in lines["insider"]],
        "n_owners": np.ones(len(lines), dtype=np.int32),
        **_roles(lines["title"]),
        "table": np.full(len(lines), "N", dtype=object),
        "transacted_on": pd.to_datetime(lines["traded"].str[:10], format="%Y-%m-%d", errors="coerce"),
        "code": code,
        "acquired_disposed": _directions(code, lines["qty"]),
        "shares": shares,
        "price": price,
        "shares_after": _number(lines["owned"]),
        "plan_10b5_1": np.full(len(lines), "unknown", dtype=object),
        "price_is_average": lines["marks"].str.contains("M"),
    }
    exercise = lines["trade_type"].str.contains("+OE", regex=False).to_numpy()
    rows = raw_rows(columns, {**derived, "option_exercise": exercise})
    rows["price_checked"] = rows["price_checked"].mask(derived["value_capped"])
    rows["value_usd"] = dollar_value(rows)
    return _numbered(rows)


def _numbered(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Number the rows of each filing, whatever their order in the file; a line that stands twice counts once."""
    order = ["accession", "transacted_on", "code", "shares", "price", "shares_after"]
    found = rows.sort_values(order, kind="stable").drop_duplicates(order)
    number = found.groupby("accession", sort=False).cumcount() + 1
    return found.assign(ordinal=number.astype("int32")).reset_index(drop=True), len(rows) - len(found)


def _issuers(lines: pd.DataFrame) -> pd.Series:
    """Name the issuer of each line by its ticker, without one by its name, without that by its insider."""
    named = "company:" + lines["company"].mask(lines["company"] == "", lines["insider"]).str.upper()
    return ("ticker:" + lines["ticker"]).mask(lines["ticker"] == "", named).astype(object)


def _keys(accepted_at: pd.Series, tickers: pd.Series, people: pd.Series) -> list[str]:
    texts = accepted_at.dt.strftime("%Y-%m-%dT%H:%M:%S") + "|" + tickers + "|" + people
    return [f"{PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:16]}" for text in texts]


def _directions(code: pd.Series, quantity: pd.Series) -> np.ndarray:
    """A purchase acquires and a sale disposes; of other codes the sign of Qty tells."""
    disposed = (code == "S") | ((code != "P") & quantity.str.startswith("-"))
    return np.where(disposed, "D", "A").astype(object)


def _roles(titles: pd.Series) -> dict[str, np.ndarray]:
    answers = per_text(titles, lambda text: _boxes(text or ""))
    names = ("is_director", "is_officer", "is_ten_percent_owner", "officer_title")
    boxes = {name: np.array([answer[i] for answer in answers]) for i, name in enumerate(names)}
    boxes["officer_title"] = np.array([answer[3] for answer in answers], dtype=object)
    return {**boxes, "role": np.array([answer[4] for answer in answers], dtype=object)}


def _boxes(title: str) -> tuple[bool, bool, bool, str | None, str]:
    """Read the form's boxes off a title such as "Pres, CEO, Chair, 10%".

    Dir and a chair are directors, 10% is a ten-percent owner; any other word is an officer's title,
    as OpenInsider shows the title field of the form.
    """
    parts = [part for part in (piece.strip() for piece in title.split(",")) if part]
    ten = [part for part in parts if _TEN_PERCENT.search(part)]
    chairs = [part for part in parts if _CHAIR.search(part)]
    directors = [part for part in parts if part.lower() in ("dir", "director")]
    rest = [part for part in parts if part not in (*ten, *chairs, *directors)]
    officer_title = ", ".join(rest) or None
    director, officer, owner = bool(chairs or directors), bool(rest), bool(ten)
    role = role_of(is_director=director, is_officer=officer, is_ten_percent_owner=owner, officer_title=officer_title)
    return director, officer, owner, officer_title, role


def _notes(lines: pd.DataFrame, repeated: int) -> tuple[str, ...]:
    notes = [
        "filings from OpenInsider: issuers are tickers and insiders are names, so joint filings, amendments and 10b5-1 "
        "plans are mostly unknown; a stock without a row in the export counts as not covered"
    ]
    if untickered := int((lines["ticker"] == "").sum()):
        notes.append(f"filings from OpenInsider: {untickered} lines are of companies without a ticker")
    companies = lines[(lines["company"] != "") & (lines["ticker"] != "")].groupby("ticker")["company"].nunique()
    shared = sorted(companies.index[companies > 1])
    if shared:
        more = f" and {len(shared) - _MOST_NAMED} more" if len(shared) > _MOST_NAMED else ""
        named = ", ".join(shared[:_MOST_NAMED])
        notes.append(f"filings from OpenInsider: under these tickers stand several company names: {named}{more}")
    if repeated:
        notes.append(f"filings from OpenInsider: {repeated} lines repeat another and count once")
    return tuple(notes)
