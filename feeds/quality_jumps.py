"""Large moves that are none of one company's stock: splits, splices, spikes; and true ones that look like them.

The size of a move proves nothing: stocks fall by 94 % in a day and rise twelvefold. What speaks
against a move is the trading around it. A row is judged by itself and by earlier rows, `shares` and
`dollars` being the shares and the value traded in the session over their medians of up to 63 bars before:

- **a split**: open and close stand at a common ratio to the last close, without an adjustment, the day's
  range is under 3 of its median, dollars are under 3 and trading has not vanished; or a ratio of 10, 100, 1000 at
  shares between a third and 3, which is a change of units. The move is more than 12 mean steps of its past and more
  than 2.5 times any of the 21 before it (a rebound after a crash is no split), and no halt precedes it.
- **another series**: trading falls, in shares and dollars, to under a hundredth; or 20 sessions or more
  without a bar precede it; or the level changes more than eightfold at an ordinary range and shares
  under 3 (in a rise, 5).

Such a series ends there. **At which price** an open position is closed decides what a backtest gains by
it, so it is never the better one without proof. After a rise that is the price before. After a fall it
is the price after, the bar of the session itself, unless the fall is proven to be no loss: a split at
dollars up to 2, or trading that falls in mid-course to under a hundredth of its smallest day. (Better and
worse are meant for a holder; a short position may gain.)

Everything else is kept. A move beyond eightfold, or one that doubles or halves the price after 5
sessions without a bar, is told as a warning.

One thing needs hindsight and changes a name only: whether a wild price is called a spike or a splice
depends on whether it comes back, but the rows that are out are out from their own session on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feeds.quality_series import FACTOR_JUMP, MINIMUM_BARS, USUAL_VOLUME, Event, Moves, Treatment, missed_sessions

# Moves that are looked at more closely, and what must then be true of them.
LARGE_MOVE, LEVEL_JUMP = float(np.log(1.3)), float(np.log(8.0))
SPLICE_GAP_SESSIONS, SPLICE_MIN_STEPS = 20, 10.0
VOLUME_COLLAPSE, PROVEN_COLLAPSE = 0.01, 0.01
HALT_SESSIONS, HALT_MOVE = 5, float(np.log(2.0))
SPLIT_RATIOS = np.array([1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100, 1000])
UNIT_RATIOS = (10.0, 100.0, 1000.0)
ORDINARY_VOLUME, RISE_VOLUME, ORDINARY_RANGE, LEAST_VOLUME = 3.0, 5.0, 3.0, 0.1
SPLIT_MIN_STEPS, SPLIT_MIN_OF_LARGEST, RECENT_BARS = 12.0, 2.5, 21
SPIKE_BARS, SPIKE_RETURN = 5, float(np.log(1.2))


@dataclass(frozen=True)
class _Reason:
    """Why a move ends the series, and whether it is proven that a fall cost its holder nothing."""

    kind: str
    detail: str
    proven: bool


def price_events(moves: Moves) -> list[Event]:
    """Find the moves that this module describes; before 20 bars nothing is usual, and nothing is judged."""
    found: list[Event] = []
    large = np.flatnonzero(np.abs(moves.total) > LARGE_MOVE).tolist()
    missed = missed_sessions(moves.bars.dates) if large else np.zeros(0)
    resume = MINIMUM_BARS
    for k in large:
        if k < resume:
            continue
        halt = int(missed[k])
        reason = _splice(moves, k, halt) or _false_level(moves, k, halt)
        if reason is None:
            found += _kept(moves, k, halt)
            continue
        bars = _bars_until_back(moves, k)
        found += _ended_before(moves, k, halt)
        found.append(_spike(moves, k, bars, reason) if bars else _end(moves, k, reason))
        moves.wild[k : k + bars] = True
        resume = k + bars + 1  # the way back is no second event
    return found


def _end(moves: Moves, k: int, reason: _Reason) -> Event:
    """End the series at the worse of the prices before and after, or before it where that is proven right."""
    treatment: Treatment = "close" if moves.total[k] < 0 and not reason.proven else "exclude"
    return Event(k, 1, reason.kind, "error", reason.detail, treatment)


def _bars_until_back(moves: Moves, k: int) -> int:
    """Return after how many bars the price is back at its level before `k`; 0 where it is not soon."""
    later = moves.level[k + 1 : k + 1 + SPIKE_BARS] - moves.level[k - 1]
    back = np.flatnonzero(np.abs(later) < SPIKE_RETURN)
    return int(back[0]) + 1 if len(back) else 0


def _spike(moves: Moves, k: int, bars: int, reason: _Reason) -> Event:
    """Take out what `_end` would have taken out until the price is back."""
    after = "1 bar" if bars == 1 else f"{bars} bars"
    told = f"{_step_text(moves, k)}, back at {moves.bars.close[k + bars]:.6g} after {after}"
    if _end(moves, k, reason).treatment == "exclude":
        return Event(k, bars, "price spike", "error", told, "remove")
    return Event(k, bars, "price spike", "error" if bars > 1 else "warning", told, "remove after")


def _ended_before(moves: Moves, k: int, halt: int) -> list[Event]:
    if halt < SPLICE_GAP_SESSIONS:
        return []
    return [
        Event(k - 1, 1, "ends early", "info", f"last bar before {halt} sessions without one; another series follows")
    ]


def _kept(moves: Moves, k: int, halt: int) -> list[Event]:
    """Tell a move that looks like a defect and is not proven to be one."""
    halted = halt >= HALT_SESSIONS and abs(moves.total[k]) > HALT_MOVE
    adjusted = abs(moves.jump[k]) > FACTOR_JUMP  # `adjustment_events` judges these
    if adjusted or (not halted and abs(moves.total[k]) < LEVEL_JUMP):
        return []
    after = f" after {halt} sessions without a bar" if halt else ""
    told = f"{_step_text(moves, k)}{after} at {moves.share_ratio(k):.2g} times the usual shares: taken for true"
    return [Event(k, 1, "level jump", "warning", told)]


def _splice(moves: Moves, k: int, halt: int) -> _Reason | None:
    """Return why another company's stock goes on under the ticker, judged by gaps and vanished trading."""
    # A stock of a few cents jumps like this within its own range.
    if moves.beyond(k) < LARGE_MOVE / 2 and abs(moves.total[k]) < SPLICE_MIN_STEPS * moves.usual_step(k):
        return None
    if halt >= SPLICE_GAP_SESSIONS:
        return _Reason("spliced series", f"{_step_text(moves, k)} after {halt} sessions without a bar", proven=False)
    ratio = max(moves.volume_ratio(k), moves.share_ratio(k))
    if not 0 < ratio < VOLUME_COLLAPSE:
        return None
    told = f"{_step_text(moves, k)} and the traded value is {moves.volume_ratio(k):.2g} times the usual one"
    past = moves.bars.volume[moves.past(k)]
    vanished = moves.bars.volume[k] < PROVEN_COLLAPSE * float(np.min(past[past > 0]))
    return _Reason("spliced series", told, proven=bool(vanished) and halt == 0)


def _false_level(moves: Moves, k: int, halt: int) -> _Reason | None:
    """Return why a level is not the stock's: an unadjusted split, or another level at an ordinary day's trading."""
    if abs(moves.jump[k]) > FACTOR_JUMP and not moves.held[k]:
        return None
    if not moves.range_ratio(k) < ORDINARY_RANGE:
        return None
    ratio = _split_ratio(moves, k) if halt < HALT_SESSIONS else None
    if ratio is not None:
        told = f"{_step_text(moves, k)}, a ratio of {ratio:g}, at its usual traded value and without an adjustment"
        return _Reason("unadjusted split", told, proven=moves.volume_ratio(k) <= USUAL_VOLUME)
    shares, most = moves.share_ratio(k), ORDINARY_VOLUME if moves.total[k] < 0 else RISE_VOLUME
    if abs(moves.total[k]) < LEVEL_JUMP or moves.beyond(k) < LEVEL_JUMP / 2 or not 1 / most < shares < most:
        return None
    return _Reason("spliced series", f"{_step_text(moves, k)} at {shares:.2g} times the usual shares", proven=False)


def _split_ratio(moves: Moves, k: int) -> float | None:
    """Return the split that explains the move at `k`; None for a move with a trading day's marks."""
    size = abs(moves.total[k])
    ratio = float(SPLIT_RATIOS[np.argmin(np.abs(np.log(SPLIT_RATIOS) - size))])
    if not _near_ratio(moves, k, ratio) or not _sudden(moves, k):
        return None
    dollars, shares = moves.volume_ratio(k), moves.share_ratio(k)
    usual = dollars < ORDINARY_VOLUME and max(dollars, shares) > LEAST_VOLUME
    return ratio if usual or (ratio in UNIT_RATIOS and 1 / ORDINARY_VOLUME < shares < ORDINARY_VOLUME) else None


def _near_ratio(moves: Moves, k: int, ratio: float) -> bool:
    """Return whether open and close stand at the ratio; the open is nearer to it, before a day's trading."""
    step = np.sign(moves.total[k]) * np.log(ratio)
    tolerance = float(np.clip(1.5 * moves.volatility(k), 0.03, 0.04))
    overnight = moves.open[k] + moves.total[k] - moves.close[k]
    return bool(abs(overnight - step) < tolerance and abs(moves.total[k] - step) < 2 * tolerance)


def _sudden(moves: Moves, k: int) -> bool:
    """Return whether the move stands out of its past, and of the days just before it above all."""
    steps = moves.past_steps(k)
    if not len(steps):
        return True
    recent, size = steps[-RECENT_BARS:], abs(moves.total[k])
    usual = max(float(steps.mean()), float(recent.mean()))
    return bool(size > SPLIT_MIN_STEPS * usual and size > SPLIT_MIN_OF_LARGEST * recent.max())


def _step_text(moves: Moves, k: int) -> str:
    close = moves.bars.close
    return f"`close` {close[k - 1]:.6g} then {close[k]:.6g}"
