"""Form 4 full submissions as EDGAR stores them: SGML header, then the ownership document in XML.

Layout and element order follow real submissions of 2009 to 2025 (EDGAR Ownership XML Technical
Specification): tab-separated header, wrapped ``<value>`` elements, ``A``/``D`` and ``D``/``I`` codes,
`aff10b5One` from schema X0407 on. The spelling of booleans, the file name, the order of the header's
blocks and empty elements differ between filing agents, as they do in the wild.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from xml.sax.saxutils import escape

_SCHEMAS = ((date(2023, 7, 17), "X0508"), (date(2023, 3, 20), "X0407"), (date.min, "X0306"))


@dataclass(frozen=True)
class Agent:
    """How one filing agent's software writes."""

    file_name: str
    description: str | None
    true: str
    false: str | None  # None: the element is left out
    issuer_first: bool = False
    empty_elements: bool = False


AGENTS = (
    Agent("form4.xml", "PRIMARY DOCUMENT", "1", None),
    Agent("wf-form4.xml", "FORM 4", "1", "0", empty_elements=True),
    Agent("doc4.xml", None, "true", "false"),
    Agent("edgardoc.xml", "FORM 4", "true", None, issuer_first=True, empty_elements=True),
    Agent("ownership.xml", "FORM 4 SUBMISSION", "1", "0"),
)


@dataclass(frozen=True)
class Owner:
    """One reporting owner as the document names them."""

    cik: str
    name: str
    director: bool
    officer: bool
    ten_percent: bool
    title: str


@dataclass(frozen=True)
class Line:
    """One transaction. Prices in USD; None is an element that holds a footnote only."""

    derivative: bool
    title: str
    code: str
    acquired: bool
    transacted_on: date
    shares: str
    price: str | None
    shares_following: str
    indirect: str  # nature of the indirect ownership, empty for direct
    footnotes: tuple[str, ...] = ()  # of the price
    exercise_price: str | None = None
    expires_on: date | None = None


@dataclass(frozen=True)
class Submission:
    """Everything one full submission says."""

    accession: str
    amended: date | None  # date of the original submission: a 4/A
    accepted: datetime  # wall clock in New York
    period: date
    issuer_cik: str
    issuer_name: str
    ticker: str
    sector: str
    owners: tuple[Owner, ...]
    planned: bool  # under a Rule 10b5-1 plan
    lines: tuple[Line, ...]
    agent: Agent
    remarks: str = ""

    @property
    def form(self) -> str:
        """The form type."""
        return "4/A" if self.amended else "4"


def schema_version(filed_on: date) -> str:
    """Return the schema version in force on the day of filing."""
    return next(version for first, version in _SCHEMAS if filed_on >= first)


def full_submission(filing: Submission) -> str:
    """Return the text of ``full-submission.txt``."""
    description = f"<DESCRIPTION>{filing.agent.description}\n" if filing.agent.description else ""
    return (
        f"{_header(filing)}<DOCUMENT>\n<TYPE>{filing.form}\n<SEQUENCE>1\n<FILENAME>{filing.agent.file_name}\n"
        f"{description}<TEXT>\n<XML>\n{ownership_document(filing)}</XML>\n</TEXT>\n</DOCUMENT>\n</SEC-DOCUMENT>\n"
    )


def _header(filing: Submission) -> str:
    day = f"{filing.accepted:%Y%m%d}"
    owners = "".join(_owner_block(filing, owner) for owner in filing.owners)
    blocks = [owners, _issuer_block(filing)]
    if filing.agent.issuer_first:
        blocks.reverse()
    return (
        f"<SEC-DOCUMENT>{filing.accession}.txt : {day}\n<SEC-HEADER>{filing.accession}.hdr.sgml : {day}\n"
        f"<ACCEPTANCE-DATETIME>{filing.accepted:%Y%m%d%H%M%S}\nACCESSION NUMBER:\t\t{filing.accession}\n"
        f"CONFORMED SUBMISSION TYPE:\t{filing.form}\nPUBLIC DOCUMENT COUNT:\t\t1\n"
        f"CONFORMED PERIOD OF REPORT:\t{filing.period:%Y%m%d}\nFILED AS OF DATE:\t\t{day}\n"
        f"DATE AS OF CHANGE:\t\t{day}\n\n{''.join(blocks)}</SEC-HEADER>\n"
    )


def _owner_block(filing: Submission, owner: Owner) -> str:
    return (
        f"REPORTING-OWNER:\t\n\n\tOWNER DATA:\t\n\t\tCOMPANY CONFORMED NAME:\t\t\t{owner.name}\n"
        f"\t\tCENTRAL INDEX KEY:\t\t\t{owner.cik}\n\n\tFILING VALUES:\n\t\tFORM TYPE:\t\t{filing.form}\n"
        f"\t\tSEC ACT:\t\t1934 Act\n\t\tSEC FILE NUMBER:\t001-{filing.issuer_cik[-5:]}\n"
        f"\t\tFILM NUMBER:\t\t{filing.accession[11:13]}{filing.accession[-6:]}\n\n"
        "\tMAIL ADDRESS:\t\n\t\tSTREET 1:\t\t1 SYNTHETIC SQUARE\n\t\tCITY:\t\t\tNOWHERE\n"
        "\t\tSTATE:\t\t\tDE\n\t\tZIP:\t\t\t00000\n\n"
    )


def _issuer_block(filing: Submission) -> str:
    return (
        f"ISSUER:\t\t\n\n\tCOMPANY DATA:\t\n\t\tCOMPANY CONFORMED NAME:\t\t\t{filing.issuer_name}\n"
        f"\t\tCENTRAL INDEX KEY:\t\t\t{filing.issuer_cik}\n"
        f"\t\tSTANDARD INDUSTRIAL CLASSIFICATION:\t{filing.sector.upper()} [0000]\n"
        "\t\tIRS NUMBER:\t\t\t\t000000000\n\t\tSTATE OF INCORPORATION:\t\t\tDE\n\t\tFISCAL YEAR END:\t\t\t1231\n\n"
        "\tBUSINESS ADDRESS:\t\n\t\tSTREET 1:\t\t1 SYNTHETIC SQUARE\n\t\tCITY:\t\t\tNOWHERE\n"
        "\t\tSTATE:\t\t\tDE\n\t\tZIP:\t\t\t00000\n\n"
    )


def ownership_document(filing: Submission) -> str:
    """Return the XML of the primary document, with its declaration."""
    version = schema_version(filing.accepted.date())
    notes: dict[str, str] = {}
    tables = _tables(filing, notes)
    amended = f"    <dateOfOriginalSubmission>{filing.amended}</dateOfOriginalSubmission>\n\n" if filing.amended else ""
    plan = "" if version == "X0306" else _flag(filing.agent, "aff10b5One", filing.planned, "    ", always=True) + "\n"
    written = "".join(f'        <footnote id="{name}">{escape(text)}</footnote>\n' for text, name in notes.items())
    footnotes = f"    <footnotes>\n{written}    </footnotes>\n\n" if written or filing.agent.empty_elements else ""
    remarks = f"    <remarks>{filing.remarks}</remarks>\n\n" if filing.remarks or filing.agent.empty_elements else ""
    return (
        f'<?xml version="1.0"?>\n<ownershipDocument>\n\n    <schemaVersion>{version}</schemaVersion>\n\n'
        f"    <documentType>{filing.form}</documentType>\n\n    <periodOfReport>{filing.period}</periodOfReport>\n\n"
        f"{amended}{_flag(filing.agent, 'notSubjectToSection16', False, '    ')}\n"
        f"    <issuer>\n        <issuerCik>{filing.issuer_cik}</issuerCik>\n"
        f"        <issuerName>{escape(filing.issuer_name)}</issuerName>\n"
        f"        <issuerTradingSymbol>{filing.ticker}</issuerTradingSymbol>\n    </issuer>\n\n"
        f"{''.join(_owner(filing.agent, owner) for owner in filing.owners)}{plan}{tables}{footnotes}{remarks}"
        f"    <ownerSignature>\n        <signatureName>/s/ {escape(filing.owners[0].name)}</signatureName>\n"
        f"        <signatureDate>{filing.accepted.date()}</signatureDate>\n    </ownerSignature>\n"
        "</ownershipDocument>\n"
    )


def _flag(agent: Agent, name: str, value: bool, indent: str, *, always: bool = False) -> str:
    word = agent.true if value else agent.false
    if word is None and not always:
        return ""
    return f"{indent}<{name}>{word or '0'}</{name}>\n"


def _owner(agent: Agent, owner: Owner) -> str:
    indent = " " * 12
    title = escape(owner.title)
    title_line = f"{indent}<officerTitle>{title}</officerTitle>\n" if title or agent.empty_elements else ""
    return (
        f"    <reportingOwner>\n        <reportingOwnerId>\n            <rptOwnerCik>{owner.cik}</rptOwnerCik>\n"
        f"            <rptOwnerName>{escape(owner.name)}</rptOwnerName>\n        </reportingOwnerId>\n"
        "        <reportingOwnerAddress>\n            <rptOwnerStreet1>1 SYNTHETIC SQUARE</rptOwnerStreet1>\n"
        "            <rptOwnerStreet2></rptOwnerStreet2>\n            <rptOwnerCity>NOWHERE</rptOwnerCity>\n"
        "            <rptOwnerState>DE</rptOwnerState>\n            <rptOwnerZipCode>00000</rptOwnerZipCode>\n"
        "            <rptOwnerStateDescription></rptOwnerStateDescription>\n        </reportingOwnerAddress>\n"
        "        <reportingOwnerRelationship>\n"
        f"{_flag(agent, 'isDirector', owner.director, indent)}{_flag(agent, 'isOfficer', owner.officer, indent)}"
        f"{_flag(agent, 'isTenPercentOwner', owner.ten_percent, indent)}{_flag(agent, 'isOther', False, indent)}"
        f"{title_line}        </reportingOwnerRelationship>\n    </reportingOwner>\n\n"
    )


def _tables(filing: Submission, notes: dict[str, str]) -> str:
    text = ""
    for derivative, name in ((False, "nonDerivativeTable"), (True, "derivativeTable")):
        lines = [_transaction(line, notes) for line in filing.lines if line.derivative == derivative]
        if lines:
            text += f"    <{name}>\n{''.join(lines)}    </{name}>\n\n"
        elif filing.agent.empty_elements:
            text += f"    <{name}></{name}>\n\n"
    return text


def _value(name: str, value: object, indent: int = 12, footnotes: str = "") -> str:
    pad = " " * indent
    inner = "" if value is None else f"{pad}    <value>{value}</value>\n"
    marks = "".join(f'{pad}    <footnoteId id="{note}"/>\n' for note in footnotes.split())
    return f"{pad}<{name}>\n{inner}{marks}{pad}</{name}>\n"


def _transaction(line: Line, notes: dict[str, str]) -> str:
    marks = " ".join(notes.setdefault(text, f"F{len(notes) + 1}") for text in line.footnotes)
    kind = "derivativeTransaction" if line.derivative else "nonDerivativeTransaction"
    pad = " " * 12
    nature = _value("natureOfOwnership", line.indirect, 16) if line.indirect else ""
    return (
        f"        <{kind}>\n{_value('securityTitle', line.title)}"
        f"{_value('conversionOrExercisePrice', line.exercise_price) if line.derivative else ''}"
        f"{_value('transactionDate', line.transacted_on)}{pad}<transactionCoding>\n"
        f"{pad}    <transactionFormType>4</transactionFormType>\n"
        f"{pad}    <transactionCode>{line.code}</transactionCode>\n"
        f"{pad}    <equitySwapInvolved>0</equitySwapInvolved>\n{pad}</transactionCoding>\n"
        f"{pad}<transactionAmounts>\n{_value('transactionShares', line.shares, 16)}"
        f"{_value('transactionPricePerShare', line.price, 16, marks)}"
        f"{_value('transactionAcquiredDisposedCode', 'A' if line.acquired else 'D', 16)}{pad}</transactionAmounts>\n"
        f"{_underlying(line) if line.derivative else ''}"
        f"{pad}<postTransactionAmounts>\n{_value('sharesOwnedFollowingTransaction', line.shares_following, 16)}"
        f"{pad}</postTransactionAmounts>\n{pad}<ownershipNature>\n"
        f"{_value('directOrIndirectOwnership', 'I' if line.indirect else 'D', 16)}{nature}"
        f"{pad}</ownershipNature>\n        </{kind}>\n"
    )


def _underlying(line: Line) -> str:
    pad = " " * 12
    return (
        f"{_value('exerciseDate', line.transacted_on)}{_value('expirationDate', line.expires_on)}"
        f"{pad}<underlyingSecurity>\n{_value('underlyingSecurityTitle', 'Common Stock', 16)}"
        f"{_value('underlyingSecurityShares', line.shares, 16)}{pad}</underlyingSecurity>\n"
    )
