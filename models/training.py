"""Walk-forward training: fold after fold, every prediction made by a model that had not seen its session.

Parallel over folds and seeds in spawned processes; the parent never loads TensorFlow. The same data, settings
and seed give the same bytes, whatever the number of processes and whether or not networks came from the cache.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feeds.panel import FeaturePanel, PricePanel
from feeds.progress import Progress, silent
from models.evaluation import Evaluation
from models.fold_report import FoldReport
from models.fold_training import PreparedFold, TrainingData, train_folds
from models.folds import usable_sessions
from models.labels import CLASS_NAMES
from models.measured import Measured, Question
from models.network import FittedNetwork
from models.predictions import SavedPredictions
from models.spec import ModelSpec
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor

COVERAGE_COLUMN = "ins_known"


@dataclass(frozen=True)
class WalkForwardResult:
    """What `walk_forward` returns.

    Attributes
    ----------
    predictor : WalkForwardPredictor
    predictions : SavedPredictions
        Out of sample only.
    folds : list of FoldReport
    measured : Measured
        The predictions beside what came.
    seeds : list of Evaluation
        Each seed's own predictions over all test blocks; empty with one seed.
    warnings : list of str
    """

    predictor: WalkForwardPredictor
    predictions: SavedPredictions
    folds: list[FoldReport]
    measured: Measured
    seeds: list[Evaluation]
    warnings: list[str]

    @property
    def pooled(self) -> Evaluation:
        """Measures over all test blocks."""
        return self.measured.pooled


def walk_forward(
    panel: PricePanel,
    features: FeaturePanel,
    spec: ModelSpec,
    *,
    seed: int = 0,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress = silent,
) -> WalkForwardResult:
    """Train every fold and predict every test block.

    .. warning:: **Look-ahead.** Row t of `features` must hold only what was known at the close of session t:
       this function purges labels and fits on training windows only, but it cannot see how a column was made.

    Parameters
    ----------
    panel : PricePanel
        T sessions, N tickers. Sessions from the spec's `holdout_from` on are dropped first: no label, and no
        measure of a prediction, reaches into them.
    features : FeaturePanel
        At least the spec's price columns; ``xs_`` and ``ins_`` columns are used if there and wanted.
    spec : ModelSpec
    seed : int
        The same seed gives the same bytes on the same machine.
    jobs : int
        Training processes at most.
    cache : Path or None
        Finished networks are kept in and taken from ``cache/folds``; None trains all of them.
    progress : Progress
        Shows a bar per fold.

    Raises
    ------
    InputError
        If the history is too short, the names are too few for the model, or a training diverges.
    EnvironmentFailure
        If a training process is killed.
    """
    spec.require_names(len(panel.tickers))
    panel, features = unsealed(panel, features, spec)
    data = TrainingData.of(panel, features, spec)
    fit = fit_folds(data, panel, features, spec, seed=seed, jobs=jobs, cache=cache, progress=progress)
    return WalkForwardResult(
        predictor=fit.predictor,
        predictions=fit.predictions,
        folds=[FoldReport.of(fold, networks, fit.measured) for fold, networks in fit.trained],
        measured=fit.measured,
        seeds=_each_seed(fit.predictor, panel, features, fit.question),
        warnings=[
            *_held_warnings([fold for fold, _ in fit.trained]),
            *_unlearnt_warnings(fit.trained, spec),
            *_coverage_warnings(data, spec),
        ],
    )


@dataclass(frozen=True)
class Fit:
    """Trained folds, and what they predict out of sample beside what came."""

    trained: list[tuple[PreparedFold, list[FittedNetwork]]]
    predictor: WalkForwardPredictor
    predictions: SavedPredictions
    question: Question
    measured: Measured


def fit_folds(
    data: TrainingData,
    panel: PricePanel,
    features: FeaturePanel,
    spec: ModelSpec,
    *,
    seed: int,
    jobs: int,
    cache: Path | None,
    progress: Progress,
) -> Fit:
    """Train every fold of `data` and predict `panel`; `data` may have other labels than the panel's own."""
    with tempfile.TemporaryDirectory(prefix="insider-swing-") as folder:
        scratch = Path(folder)
        results = (cache or scratch) / "folds"
        trained = train_folds(data, spec, seed=seed, jobs=jobs, results=results, scratch=scratch, progress=progress)
    models = tuple(FoldModel(f.fold, f.preprocess, f.limits, tuple(n.network for n in nets)) for f, nets in trained)
    predictor = WalkForwardPredictor(spec, data.names, panel.sessions, models)
    predictions = predictor.predict_panel(panel, features)
    question = Question(spec.horizon, spec.gap_sessions, spec.label, {m.fold.number: m.limits for m in models})
    return Fit(trained, predictor, predictions, question, Measured.of(panel, predictions, question))


def _each_seed(
    predictor: WalkForwardPredictor, panel: PricePanel, features: FeaturePanel, question: Question
) -> list[Evaluation]:
    """Measure every seed alone: how much of the result is the draw of a seed."""
    if predictor.spec.seeds == 1:
        return []
    alone = (predictor.with_seed(k) for k in range(predictor.spec.seeds))
    return [Measured.of(panel, one.predict_panel(panel, features), question).pooled for one in alone]


def unsealed(panel: PricePanel, features: FeaturePanel, spec: ModelSpec) -> tuple[PricePanel, FeaturePanel]:
    """Drop the sessions that `holdout_from` seals, as if they had not happened yet."""
    count = usable_sessions(panel.sessions, spec)
    if count in (0, len(panel.sessions)):  # of none, the folds say what is missing
        return panel, features
    cut = FeaturePanel(features.sessions[:count], features.tickers, features.names, features.values[:count])
    return panel.until(panel.sessions[count - 1]), cut


def _held_warnings(folds: Sequence[PreparedFold]) -> list[str]:
    """Return one warning for each set of folds in which columns are held, with their names."""
    folds_of: dict[str, list[str]] = {}
    for prepared in folds:
        for name in prepared.preprocess.held:
            folds_of.setdefault(name, []).append(str(prepared.fold.number))
    held: dict[str, list[str]] = {}
    for name, numbers in folds_of.items():
        held.setdefault(", ".join(numbers), []).append(f"`{name}`")
    return [
        f"held at 0 in fold {numbers}, because they do not vary in the training window: {', '.join(names)}"
        for numbers, names in held.items()
    ]


def _unlearnt_warnings(trained: Sequence[tuple[PreparedFold, list[FittedNetwork]]], spec: ModelSpec) -> list[str]:
    """Return one warning that names the LSTMs whose every epoch was worse than where their training began."""
    if spec.family != "lstm":
        return []
    start = float(np.log(len(CLASS_NAMES)))  # the output layer's weights begin at zero
    worse = [
        f"fold {prepared.fold.number} seed {number} ({fitted.validation_log_loss:.4f})"
        for prepared, networks in trained
        for number, fitted in enumerate(networks, start=1)
        if not fitted.validation_log_loss < start
    ]
    if not worse:
        return []
    return [
        f"no epoch was better than equal probabilities (validation log-loss {start:.4f}) in {', '.join(worse)}: "
        "there was nothing to learn, or `learning_rate` is too high"
    ]


def _coverage_warnings(data: TrainingData, spec: ModelSpec) -> list[str]:
    if COVERAGE_COLUMN not in data.names:
        return []
    known = data.values[:, data.names.index(COVERAGE_COLUMN)] > 0
    covered = len(np.unique(data.table.session_row[known]))
    if covered >= spec.train_sessions:
        return []
    return [
        f"effect of filings not measurable on this data: filings cover {covered} sessions, "
        f"one training window has {spec.train_sessions}"
    ]
