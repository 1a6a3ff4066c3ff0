"""The card that lies beside saved weights: what the model is for, what it was tested on, and how it failed.

After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from models.luck_wording import holdout_sentence, placebo_sentence, trials_sentence
from models.spec import ModelSpec

_LABELS = {
    "relative": "volatility-scaled return less the session's median",
    "scaled": "volatility-scaled return",
    "absolute": "return",
    "intraday": "return from the next open to that bar's close",
}


def model_card(model_id: str, spec: ModelSpec, about: Mapping[str, Any]) -> str:
    """Return MODEL_CARD.md.

    Parameters
    ----------
    model_id : str
    spec : ModelSpec
    about : mapping
        ``evaluation`` (the manifest's ``model`` entry), ``notes`` and ``warnings`` (lists of str)
        and ``panel_sha256``, each optional.
    """
    evaluation = about.get("evaluation") or {}
    parts = [
        f"# Model {model_id}",
        f"Preset {spec.name} ({spec.family}), label {spec.label}: {_LABELS[spec.label]} over {_bars(spec.horizon)}, "
        "from the open after the decision, in four classes cut at the training medians of losses and of profits.",
        "## Use",
        "Research on whether daily prices and filings of insiders foretell returns. It is no investment advice, and "
        "was not tested on anything but what stands below. Predictions exist outside training windows only.",
        "## Data",
        _bullets(about.get("notes") or ["Universe: not stated."]),
        f"sha256 of the prices: {about.get('panel_sha256', 'not stated')}.",
        "## Windows",
        _windows(evaluation.get("folds") or []),
        f"Labels that reach over a boundary are left out: {_bars(spec.purged_bars)} before each.",
        "## Out of sample",
        _measures(evaluation),
        f"Verdict: the model {evaluation['verdict']}" if evaluation.get("verdict") else "Verdict: none was asked for.",
        holdout_sentence(evaluation) or "Holdout: none.",
        trials_sentence(evaluation),
        placebo_sentence(evaluation) or "Placebo: none was asked for (`train --placebo 20`).",
        "## Known weaknesses",
        _bullets(about.get("warnings") or ["None was noticed in training."]),
    ]
    return "\n\n".join(parts) + "\n"


def _bars(count: int) -> str:
    return f"{count} bar{'s' if count > 1 else ''}"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _windows(folds: Sequence[Mapping[str, Any]]) -> str:
    heads = {"fold": "fold", "fit_first": "fitted from", "fit_last": "to", "validation_last": "validated to",
             "test_first": "predicts from", "test_last": "to"}  # fmt: skip
    rows = [[fold.get(name, "") for name in heads] for fold in folds]
    return (
        tabulate(rows, headers=list(heads.values()), tablefmt="pipe", disable_numparse=True) if rows else "Not stated."
    )


def _measures(evaluation: Mapping[str, Any]) -> str:
    if not evaluation.get("pooled"):
        return "Not measured."
    rows = [_row(str(evaluation.get("name", "model")), evaluation["pooled"])]
    rows += [_row(rival["name"], rival["pooled"]) for rival in evaluation.get("baselines") or ()]
    heads = ["", "log-loss", "skill", "balanced accuracy", "rank correlation", "95 % interval", "t"]
    return tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)


def _row(name: str, pooled: Mapping[str, Any]) -> list[str]:
    low, high = (_number(pooled.get(f"information_coefficient_{end}"), 4) for end in ("low", "high"))
    return [
        name,
        _number(pooled.get("log_loss"), 4),
        _number(pooled.get("log_loss_skill"), 4),
        _number(pooled.get("balanced_accuracy"), 3),
        _number(pooled.get("information_coefficient"), 4),
        f"{low} to {high}",
        _number(pooled.get("information_coefficient_t"), 1),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"
