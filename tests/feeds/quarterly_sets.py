"""Small Insider Transactions Data Sets in the real layout, made of our own data."""

from __future__ import annotations

import zipfile
from pathlib import Path

_AFTER_AMOUNTS = (
    "SHRS_OWND_FOLWNG_TRANS SHRS_OWND_FOLWNG_TRANS_FN VALU_OWND_FOLWNG_TRANS VALU_OWND_FOLWNG_TRANS_FN "
    "DIRECT_INDIRECT_OWNERSHIP DIRECT_INDIRECT_OWNERSHIP_FN NATURE_OF_OWNERSHIP NATURE_OF_OWNERSHIP_FN"
)
_CODING = (
    "TRANS_DATE TRANS_DATE_FN DEEMED_EXECUTION_DATE DEEMED_EXECUTION_DATE_FN TRANS_FORM_TYPE TRANS_CODE "
    "EQUITY_SWAP_INVOLVED EQUITY_SWAP_TRANS_CD_FN TRANS_TIMELINESS TRANS_TIMELINESS_FN TRANS_SHARES TRANS_SHARES_FN"
)
_PRICE = "TRANS_PRICEPERSHARE TRANS_PRICEPERSHARE_FN TRANS_ACQUIRED_DISP_CD TRANS_ACQUIRED_DISP_CD_FN"
HEADERS = {
    "SUBMISSION": (
        "ACCESSION_NUMBER FILING_DATE PERIOD_OF_REPORT DATE_OF_ORIG_SUB NO_SECURITIES_OWNED NOT_SUBJECT_SEC16 "
        "FORM3_HOLDINGS_REPORTED FORM4_TRANS_REPORTED DOCUMENT_TYPE ISSUERCIK ISSUERNAME ISSUERTRADINGSYMBOL REMARKS"
    ),
    "REPORTINGOWNER": (
        "ACCESSION_NUMBER RPTOWNERCIK RPTOWNERNAME RPTOWNER_RELATIONSHIP RPTOWNER_TITLE RPTOWNER_TXT RPTOWNER_STREET1 "
        "RPTOWNER_STREET2 RPTOWNER_CITY RPTOWNER_STATE RPTOWNER_ZIPCODE RPTOWNER_STATE_DESC FILE_NUMBER"
    ),
    "NONDERIV_TRANS": (
        f"ACCESSION_NUMBER NONDERIV_TRANS_SK SECURITY_TITLE SECURITY_TITLE_FN {_CODING} {_PRICE} {_AFTER_AMOUNTS}"
    ),
    "DERIV_TRANS": (
        f"ACCESSION_NUMBER DERIV_TRANS_SK SECURITY_TITLE SECURITY_TITLE_FN CONV_EXERCISE_PRICE CONV_EXERCISE_PRICE_FN "
        f"{_CODING} TRANS_TOTAL_VALUE TRANS_TOTAL_VALUE_FN {_PRICE} EXCERCISE_DATE EXCERCISE_DATE_FN EXPIRATION_DATE "
        f"EXPIRATION_DATE_FN UNDLYNG_SEC_TITLE UNDLYNG_SEC_TITLE_FN UNDLYNG_SEC_SHARES UNDLYNG_SEC_SHARES_FN "
        f"UNDLYNG_SEC_VALUE UNDLYNG_SEC_VALUE_FN {_AFTER_AMOUNTS}"
    ),
    "FOOTNOTES": "ACCESSION_NUMBER FOOTNOTE_ID FOOTNOTE_TXT",
}
FIRST, SECOND, AMENDED = "0000000001-23-000001", "0000000001-23-000002", "0000000001-23-000003"


def submission(accession: str = FIRST, filed: str = "03-FEB-2023", form: str = "4", **columns: str) -> dict[str, str]:
    base = {"PERIOD_OF_REPORT": "01-FEB-2023", "ISSUERCIK": "0000000101", "ISSUERTRADINGSYMBOL": "TST"}
    return {"ACCESSION_NUMBER": accession, "FILING_DATE": filed, "DOCUMENT_TYPE": form, **base, **columns}


def owner(
    accession: str = FIRST, cik: str = "0000009001", relation: str = "Director", **columns: str
) -> dict[str, str]:
    named = {"RPTOWNERNAME": f"DOE {int(cik)}", "RPTOWNER_RELATIONSHIP": relation}
    return {"ACCESSION_NUMBER": accession, "RPTOWNERCIK": cik, **named, **columns}


def trade(accession: str = FIRST, number: int = 1, code: str = "P", table: str = "N", **columns: str) -> dict[str, str]:
    direction = "A" if code in ("P", "A", "M") else "D"
    key = "NONDERIV_TRANS_SK" if table == "N" else "DERIV_TRANS_SK"
    return {
        "ACCESSION_NUMBER": accession, key: str(number), "SECURITY_TITLE": "Common Stock", "TRANS_DATE": "01-FEB-2023",
        "TRANS_FORM_TYPE": "4", "TRANS_CODE": code, "EQUITY_SWAP_INVOLVED": "0", "TRANS_SHARES": "100.0",
        "TRANS_PRICEPERSHARE": "10.25", "TRANS_ACQUIRED_DISP_CD": direction, "SHRS_OWND_FOLWNG_TRANS": "1100.0",
        "DIRECT_INDIRECT_OWNERSHIP": "D", **columns,
    }  # fmt: skip


def footnote(accession: str, key: str, text: str) -> dict[str, str]:
    return {"ACCESSION_NUMBER": accession, "FOOTNOTE_ID": key, "FOOTNOTE_TXT": text}


def write_set(
    path: Path,
    submissions: list[dict[str, str]],
    owners: list[dict[str, str]] | None = None,
    trades: list[dict[str, str]] | None = None,
    derivatives: list[dict[str, str]] | None = None,
    footnotes: list[dict[str, str]] | None = None,
    with_box: bool = False,
) -> Path:
    """Write a zip archive, or a folder where `path` does not end in .zip."""
    rows = {
        "SUBMISSION": submissions,
        "REPORTINGOWNER": [owner(s["ACCESSION_NUMBER"]) for s in submissions] if owners is None else owners,
        "NONDERIV_TRANS": trades or [],
        "DERIV_TRANS": derivatives or [],
        "FOOTNOTES": footnotes or [],
    }
    texts = {name: _tsv(HEADERS[name].split() + ["AFF10B5ONE"] * (with_box and name == "SUBMISSION"), held)
             for name, held in rows.items()}  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".zip":
        path.mkdir()
        for name, text in texts.items():
            (path / f"{name}.tsv").write_text(text, encoding="utf-8")
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(f"{name}.tsv", text)
    return path


def _tsv(header: list[str], rows: list[dict[str, str]]) -> str:
    unknown = {name for row in rows for name in row} - set(header)
    assert not unknown, unknown
    lines = ["\t".join(header), *("\t".join(row.get(name, "") for name in header) for row in rows)]
    return "\n".join(lines) + "\n"
