"""What a download did, in numbers and by name."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not there: an accession number or a company, and why."""

    name: str
    reason: str


@dataclass
class Account:
    """The closing account of a download.

    Attributes
    ----------
    companies, expected : int
        Companies asked for, and their filings in the window by the SEC's index.
    present : int
        Verified in the tree before this run began to download.
    downloaded : int
        Downloaded and verified now.
    skipped : int
        Left out by the fast mode: without a purchase or sale.
    repaired : int
        Files found bad in the tree, put aside and asked for again.
    failures : list of Failure
    unparsed : list of Failure
        In the tree and whole, but without an ownership document that can be parsed.
    about_others : int
        Of the filings in the tree, those about another issuer, of which the company is only an owner.
    stopped : str or None
        Why the download ended early.
    """

    companies: int = 0
    expected: int = 0
    present: int = 0
    downloaded: int = 0
    skipped: int = 0
    repaired: int = 0
    failures: list[Failure] = field(default_factory=list)
    unparsed: list[Failure] = field(default_factory=list)
    about_others: int = 0
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        """Tell whether every expected filing is in the tree, or left out on purpose."""
        return self.stopped is None and not self.failures and self.left == 0

    @property
    def left(self) -> int:
        """Expected filings that are not in the tree and were not left out on purpose."""
        return self.expected - self.present - self.downloaded - self.skipped
