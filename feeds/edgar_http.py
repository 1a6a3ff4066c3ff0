"""Requests to the SEC that never hang, never hurry, and are tried again when that may help.

What an answer means: 200 with a page "Request Rate Threshold Exceeded" or "Undeclared Automated Tool",
403 and 429 are refusals (everybody pauses, see `feeds.edgar_pace`); 5xx, time-outs, broken connections
and bodies cut short are tried again after a growing wait with jitter; 404 is told at once.
"""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import requests

from feeds.edgar_pace import MOST_PER_SECOND, Pace
from feeds.errors import InputError

WWW = "https://www.sec.gov"
DATA = "https://data.sec.gov"
# Address of a server that answers in the place of both hosts, for a mirror and for tests.
BASE_VARIABLE = "INSIDER_SWING_EDGAR"
_REFUSED = frozenset({403, 429})
_THROTTLE_PAGE = re.compile(rb"Request Rate Threshold Exceeded|Undeclared Automated Tool", re.IGNORECASE)
_PAGE_START = re.compile(rb"\s*<(?:!doctype\s+html|html)", re.IGNORECASE)
_CHUNK_BYTES = 64 * 1024
_MOST_BYTES = 128 * 1024**2
_MOST_REFUSALS = 3
_AGENT = re.compile(r"(?P<name>\S.*?)\s+(?P<mail>[^\s@]+@[^\s@]+\.[^\s@.]{2,})")
_PLACEHOLDER = re.compile(
    r"@(?:[\w-]+\.)*(?:example|domain|test|host|email|yourdomain|company|mycompany)\.\w+$|@example$"
    r"|\.(?:example|invalid|test|localhost)$"
    r"|\b(?:your|my)[\s_.-]*(?:name|company|mail|email)|\b(?:company|sample|first|full)[\s_.-]*name\b|^name\b"
    r"|\bjohn doe\b|\bjane doe\b",
    re.IGNORECASE,
)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class UserAgent:
    """Who asks, as the SEC wants it declared: a name and an email address."""

    name: str
    mail: str

    @staticmethod
    def of(text: str) -> UserAgent:
        """Split ``"Name mail@host"``.

        Raises
        ------
        InputError
            If there is no name, no address, or one that stands for somebody's own (example.com).
        """
        found = _AGENT.fullmatch(text.strip())
        if found is None or not text.isascii() or not text.isprintable() or _PLACEHOLDER.search(text.strip()):
            raise InputError(
                '`--user-agent`: expected your own name and email address, as "Ada Lovelace ada@analytical.org" '
                f"(the SEC refuses requests without), received {text!r}"
            )
        return UserAgent(found["name"], found["mail"])

    def __str__(self) -> str:
        """Return the header's value."""
        return f"{self.name} {self.mail}"


@dataclass(frozen=True)
class EdgarSettings:
    """How to talk to the SEC.

    Attributes
    ----------
    user_agent : UserAgent
    per_second : float
        Requests a second, all threads together; at most 10 from the SEC's own hosts. The default leaves
        room for the network's jitter.
    threads : int
        Requests under way at a time; does not change the rate.
    pause_s : float
        Wait of everybody after a refusal. The SEC's own lock lasts ten minutes.
    attempts : int
        Times that one thing is asked for before it is given up.
    backoff_s : float
        Wait before the second attempt; doubles each time, times 0.5 to 1.5.
    connect_s, read_s, whole_s : float
        Time-outs of the connection, between two pieces of an answer, and of a whole answer.
    www, data : str
        Base addresses.
    """

    user_agent: UserAgent
    per_second: float = 9.0
    threads: int = 4
    pause_s: float = 660.0
    attempts: int = 5
    backoff_s: float = 1.0
    connect_s: float = 10.0
    read_s: float = 30.0
    whole_s: float = 300.0
    www: str = WWW
    data: str = DATA

    def __post_init__(self) -> None:
        most = MOST_PER_SECOND if "sec.gov" in self.www + self.data else float("inf")
        if not 0 < self.per_second <= most:
            raise InputError(
                f"`--rate`: expected requests a second above 0 and up to {MOST_PER_SECOND:g}, which is the SEC's "
                f"limit, received {self.per_second:g}"
            )

    def on_stand_in(self) -> EdgarSettings:
        """Return the same for the stand-in of both hosts that INSIDER_SWING_EDGAR names, if it is set."""
        base = os.environ.get(BASE_VARIABLE, "").rstrip("/")
        return replace(self, www=base, data=base) if base else self


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer: status (200 or 304), body, and the headers with lower-case names."""

    status: int
    content: bytes
    headers: Mapping[str, str]


class Transient(Exception):
    """Something that may go well next time; `status` is the HTTP status, None where there was no answer."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Refused(Transient):
    """The SEC refuses requests for now."""


class NotThere(Exception):
    """The SEC has no such document (404)."""

    status = 404


class Client:
    """Asks for documents, in any number of threads, at one pace.

    Parameters
    ----------
    settings : EdgarSettings
    pace : Pace
    """

    def __init__(self, settings: EdgarSettings, pace: Pace) -> None:
        self.settings = settings
        self.pace = pace
        self._local = threading.local()
        self._random = random.Random()

    def get(self, address: str, headers: Mapping[str, str] | None = None) -> Response:
        """Ask once.

        Raises
        ------
        Transient, NotThere
            As the module says; a refusal has begun a pause before it is raised.
        Stopped
            If the download was interrupted.
        """
        turn = self.pace.turn()
        try:
            status, got, content = self._receive(address, headers or {})
        except (requests.RequestException, OSError) as error:
            raise Transient(_network_reason(error)) from error
        self._judge(turn, status, got, content)
        return Response(status, content, got)

    def persist(self, action: Callable[[], Answer]) -> Answer:
        """Run `action` until it succeeds; waits between attempts, and gives up after `attempts` of them.

        Raises
        ------
        Transient
            The last attempt's; `NotThere` and anything else goes through at once.
        """
        failures = refusals = 0
        while True:
            try:
                answer = action()
            except Refused as error:
                refusals += 1
                # An address that is refused again and again, while others are not, is refused for itself.
                if refusals >= _MOST_REFUSALS:
                    raise Transient(f"{error}, {refusals} times", error.status) from error
            except Transient as error:
                failures += 1
                if failures >= self.settings.attempts:
                    self.pace.failed(str(error))
                    raise
                self.pace.sleep(self._backoff(failures))
            else:
                self.pace.succeeded()
                return answer

    def _backoff(self, failures: int) -> float:
        return self.settings.backoff_s * 2 ** (failures - 1) * self._random.uniform(0.5, 1.5)

    def _receive(self, address: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        sent = {"User-Agent": str(self.settings.user_agent), "Accept-Encoding": "gzip, deflate", **headers}
        timeouts = (self.settings.connect_s, self.settings.read_s)
        with self._session().get(address, headers=sent, timeout=timeouts, stream=True) as response:
            content = self._body(response)
            got = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, got, content

    def _body(self, response: requests.Response) -> bytes:
        """Read to the end; a server that sends a byte now and then is cut off after `whole_s`."""
        content, late = bytearray(), threading.Event()

        def cut() -> None:
            late.set()
            with suppress(ValueError, OSError):
                response.raw.shutdown()

        timer = threading.Timer(self.settings.whole_s, cut)
        timer.daemon = True
        timer.start()
        try:
            for chunk in response.iter_content(_CHUNK_BYTES):
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise Transient(f"answer larger than {_MOST_BYTES // 1024**2} MiB", response.status_code)
        except requests.RequestException as error:
            if late.is_set():
                raise requests.Timeout(str(error)) from error
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise requests.Timeout("the answer did not end")
        return bytes(content)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session

    def _judge(self, turn: float, status: int, headers: Mapping[str, str], content: bytes) -> None:
        page = _PAGE_START.match(content) and _THROTTLE_PAGE.search(content, 0, _CHUNK_BYTES)
        if status in _REFUSED or page:
            said = f'{status} "{page.group().decode()}"' if page else str(status)
            self.pace.refused(turn, f"refused with {said}", _seconds(headers.get("retry-after")))
            raise Refused(f"refused with {said}", status)
        if status not in (200, 304, 404):
            raise Transient(f"HTTP status {status}", status)
        self.pace.answered(turn)
        if status == 404:
            raise NotThere("not on sec.gov (404)")


def _network_reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "answer cut short"
    return f"connection failed ({type(error).__name__})"


def _seconds(text: str | None) -> float:
    """Read Retry-After; the form that is a date is left to our own, longer pause."""
    return float(text) if text is not None and text.isdigit() else 0.0
