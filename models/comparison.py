"""A model beside its baselines and without some of its columns: the same folds, labels, purges and bars.

Whether a network is worth its trouble is a question of pairs: on each session its information coefficient
less the baseline's, and whether the mean of that differs from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from feeds.errors import InputError
from models.evaluation import Evaluation, PairedDifference, paired_difference
from models.features import PRICE_COLUMNS
from models.spec import INSIDER_PREFIX, PERSISTENCE_HORIZONS, SIMPLE_BASELINES, ModelSpec, baseline_of
from models.training import WalkForwardResult

CERTAIN_T = 1.96
Trained = Callable[[ModelSpec], WalkForwardResult]


@dataclass(frozen=True)
class Rival:
    """A baseline or a variant beside the model.

    Attributes
    ----------
    name : str
    evaluation : Evaluation
        Over all test sessions.
    advantage : PairedDifference
        The model's daily coefficients less this one's.
    """

    name: str
    evaluation: Evaluation
    advantage: PairedDifference

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON holds it but for NaN."""
        return {"name": self.name, "pooled": self.evaluation.as_dict(), "advantage": asdict(self.advantage)}


def rivals(result: WalkForwardResult, against: Sequence[str], train: Trained) -> list[Rival]:
    """Return the simple baselines and those of `against`, trained on the model's own folds by `train`.

    Raises
    ------
    InputError
        For a name that is no baseline.
    """
    spec = result.predictor.spec
    names = [name for name in (*SIMPLE_BASELINES, *against) if name != spec.family]
    if spec.horizon not in PERSISTENCE_HORIZONS:
        names = [name for name in names if name != "persistence"]
    return [_rival(name, result, train(baseline_of(spec, name))) for name in dict.fromkeys(names)]


def check_ablation(spec: ModelSpec, available: tuple[str, ...]) -> None:
    """Refuse an ablation of a model that sees none of the filings' columns; raises InputError."""
    if not spec.insider:
        raise InputError(
            f"`ablation`: expected a model that sees filings, received {spec.name}, which sees prices alone; "
            "leave it out, or choose another `--model`"
        )
    if not any(name.startswith(INSIDER_PREFIX) for name in available):
        raise InputError(
            f"`ablation`: expected columns of filings (`{INSIDER_PREFIX}...`) for the model {spec.name}, received "
            "prices alone; leave it out, or name filings with `--filings`"
        )


def ablation(result: WalkForwardResult, train: Trained) -> list[Rival]:
    """Return the model on prices alone and on filings alone; raises InputError where it sees no filings."""
    spec = result.predictor.spec
    check_ablation(spec, result.predictor.columns)
    variants = {
        "prices only": replace(spec, insider=False),
        # A model must have a price column; this one only says whether a stock is old enough.
        "filings only": replace(spec, price_columns=(PRICE_COLUMNS[-1],), cross_section=False),
    }
    return [_rival(name, result, train(variant)) for name, variant in variants.items()]


def _rival(name: str, ours: WalkForwardResult, theirs: WalkForwardResult) -> Rival:
    horizon = ours.predictor.spec.horizon
    advantage = paired_difference(ours.measured.coefficients, theirs.measured.coefficients, horizon)
    return Rival(name, theirs.measured.pooled, advantage)


def verdict(found: Sequence[Rival], against: Sequence[str]) -> str:
    """Say in one line whether the model beats the baselines of `against`, by paired daily coefficients."""
    rows = {rival.name: rival.advantage for rival in found}
    told = [_against(name, rows[name]) for name in against if name in rows]
    if not told:
        return ""
    return "; ".join(told) + "."


def _against(name: str, advantage: PairedDifference) -> str:
    if not advantage.n_sessions:
        return f"cannot be compared with {name}: no session has a rank correlation of both"
    word = "beats" if advantage.t >= CERTAIN_T else "is beaten by" if advantage.t <= -CERTAIN_T else "does not beat"
    return f"{word} {name} (paired daily rank correlation {advantage.mean:+.4f}, HAC t {advantage.t:.1f})"
