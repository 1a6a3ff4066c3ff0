"""What luck alone could give, in sentences: for the card, the report, evaluation.md and the screen.

All take the manifest's ``model`` entry as `engine.model_stage` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHO_COUNTS = (
    "Baselines, ablations and placebo fits are not counted, nor are other settings of a strategy. Whoever tries many "
    "and keeps the best must expect less."
)


def placebo_sentence(model: Mapping[str, Any]) -> str:
    """Say what the same model scored on labels without meaning, and whether the real one did better; empty without."""
    found = model.get("placebo")
    if not found:
        return ""
    head = (
        f"Placebo: {found['draws']} fits of the same model on labels dealt out anew within each session reached a "
        f"rank correlation of {_number(found['mean'])} on average (standard deviation {_number(found['sd'])})"
    )
    if found["beats"] is None:
        return f"{head}: there is nothing to compare with."
    word = "above" if found["beats"] else "not above"
    told = (
        f"{head}; luck alone exceeds {_number(found['bound_95'])} once in twenty times. The model's "
        f"{_number(found['information_coefficient'])} is {word} that: {found['at_least_as_high']} of the "
        f"{found['draws']} did as well or better."
    )
    return told if found["centred"] else f"{told} {_off_centre(found)}"


def holdout_sentence(model: Mapping[str, Any]) -> str:
    """Say from when on sessions are sealed, or what an opened holdout alone showed; empty without a holdout."""
    found = model.get("holdout")
    if not found:
        return ""
    if found["status"] == "sealed":
        return f"Sealed from {found['from']} on: nothing here was learned from, traded on or measured on what follows."
    alone = found["measures"]
    told = (
        f"Holdout (opened {found['opened_at'][:10]}), the sessions from {found['from']} on alone: rank correlation "
        f"{_number(alone['information_coefficient'])} (t {_number(alone['information_coefficient_t'], 1)}), log-loss "
        f"{_number(alone['log_loss'])} against {_number(alone['prior_log_loss'])} of the class prior. Figures over all "
        "test sessions contain it."
    )
    many = f" This is look {found['look']} of {found['looks']}: what was chosen after a look is not out of sample."
    return told + many if found["look"] and found["looks"] > 1 else told


def trials_sentence(model: Mapping[str, Any]) -> str:
    """Say how many specifications were tried on these prices, or that nobody counts."""
    trials = model.get("trials") or {}
    if not trials.get("of"):
        return "Trials: not counted. Whoever tries many and keeps the best must expect less."
    number, total = trials.get("number"), trials["of"]
    known = "on these prices, as far as this cache folder knows"
    if number is None:
        counted = "one specification was" if total == 1 else f"{total} specifications were"
        return f"Trials: {counted} tried {known}. {_WHO_COUNTS}"
    which = "the only specification" if total == 1 else f"the {_ordinal(number)} of {total} specifications"
    return f"Trials: this is {which} tried {known}. {_WHO_COUNTS}"


def _off_centre(found: Mapping[str, Any]) -> str:
    return (
        f"The placebo's own mean lies more than three of its standard errors from 0 ({_number(found['mean'])}, HAC t "
        f"{found['common_t']:.1f}): what all its fits have in common ranks the stocks, or something is wrong with the "
        "method. Compare the model with the bound, not with 0."
    )


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _number(value: float | None, digits: int = 4) -> str:
    if value is None or value != value:
        return "-"
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")
