"""One pace for every request of the process, and one pause for all when the SEC refuses.

The SEC allows ten requests a second per user, over all machines and connections, and locks out who
goes on asking while refused (sec.gov, "Accessing EDGAR Data"). So every thread takes its turn here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from feeds.errors import EnvironmentFailure

MOST_PER_SECOND = 10.0
_SLOWER_FACTOR = 0.7
_SLOWEST_PER_SECOND = 1.0
_LONGEST_PAUSE_FACTOR = 6
_PAUSES_WITHOUT_SUCCESS = 6
_FAILURES_BEFORE_PAUSE = 20


class Stopped(BaseException):
    """The download was interrupted; not an `Exception`, so that no library's handler swallows it."""


class Pace:
    """Turns for requests: at most `per_second` in any second, none while a pause lasts.

    Parameters
    ----------
    per_second : float
        Requests a second, all threads together.
    pause_s : float
        How long everybody waits after a refusal; doubles while refusals go on, up to six times this.
    notify : callable
        Is told in one sentence when a pause begins.

    Notes
    -----
    Turns are spaced evenly, so no second holds more of them than the rate. After every pause the rate
    falls to 70 %, for good: who was refused once was too fast for the conditions of the day.
    """

    def __init__(self, per_second: float, pause_s: float, notify: Callable[[str], None]) -> None:
        self.per_second = per_second
        self._pause_s = pause_s
        self._notify = notify
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._next_turn = 0.0
        self._resumes_at = 0.0
        self._pauses_in_a_row = 0
        self._failures_in_a_row = 0

    def turn(self) -> float:
        """Wait for a turn and return the instant at which it came (monotonic seconds).

        Raises
        ------
        Stopped
            If the download was interrupted.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                wait = max(self._next_turn, self._resumes_at) - now
                if wait <= 0 and not self._stop.is_set():
                    self._next_turn = now + 1.0 / self.per_second
                    return now
            self.sleep(wait)

    def sleep(self, seconds: float) -> None:
        """Wait, or raise `Stopped` as soon as the download is interrupted."""
        if self._stop.wait(max(seconds, 0.0)):
            raise Stopped

    def stop(self) -> None:
        """Let no further request begin."""
        self._stop.set()

    def check(self) -> None:
        """Raise `Stopped` if the download was interrupted."""
        if self._stop.is_set():
            raise Stopped

    def refused(self, turn: float, reason: str, retry_after_s: float = 0.0) -> None:
        """Begin a pause for everybody, unless the request's turn came before the last pause began.

        Raises
        ------
        EnvironmentFailure
            After six pauses without one success between them.
        """
        with self._lock:
            if turn < self._resumes_at:
                return
            self._pause(reason, retry_after_s)

    def failed(self, reason: str) -> None:
        """Count a request that was given up; twenty without a success between them are a pause too."""
        with self._lock:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= _FAILURES_BEFORE_PAUSE:
                self._pause(f"{_FAILURES_BEFORE_PAUSE} failures in a row, the last: {reason}", 0.0)

    def answered(self, turn: float) -> None:
        """Note that the SEC answers requests; one that began before the last pause tells nothing."""
        with self._lock:
            if turn >= self._resumes_at:
                self._pauses_in_a_row = 0

    def succeeded(self) -> None:
        """Note that something came as it should."""
        with self._lock:
            self._failures_in_a_row = 0

    def _pause(self, reason: str, retry_after_s: float) -> None:
        self._failures_in_a_row = 0
        self._pauses_in_a_row += 1
        if self._pauses_in_a_row > _PAUSES_WITHOUT_SUCCESS:
            raise EnvironmentFailure(
                f"sec.gov: expected an answer after {_PAUSES_WITHOUT_SUCCESS} pauses, received {reason}; "
                "check the network and `--user-agent`, then run the same command again: what is here is kept"
            )
        factor = min(2 ** (self._pauses_in_a_row - 1), _LONGEST_PAUSE_FACTOR)
        seconds = max(self._pause_s * factor, retry_after_s)
        self._resumes_at = time.monotonic() + seconds
        self.per_second = max(self.per_second * _SLOWER_FACTOR, min(self.per_second, _SLOWEST_PER_SECOND))
        self._notify(
            f"sec.gov: {reason}; all requests wait {_duration(seconds)}, then {self.per_second:.1f} a second go on"
        )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} seconds"
