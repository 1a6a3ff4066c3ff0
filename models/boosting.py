"""Gradient boosted trees on the features of six bars, fitted by scikit-learn and evaluated in numpy.

What is kept are the trees' arrays: no pickle, and no scikit-learn where predictions are made. The number
of rounds is the one of least validation log-loss. Inputs are cut into bins here: scikit-learn's own way with
weighted rows takes minutes where this takes a second, and draws rows at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import softmax

from models.batches import FitData
from models.labels import CLASS_NAMES
from models.lagged import Lagged, lagged_rows
from models.network import FittedNetwork, Validation
from models.spec import ModelSpec
from models.stepper import weighted_log_loss
from models.tabular import LAGS, labelled_rows

ROUNDS, LEARNING_RATE, LEAVES, BINS = 100, 0.05, 8, 63
_RIDGE, _FEWEST_IN_LEAF, _LEAF_SHARE = 1.0, 20, 0.002
_ROWS_AT_ONCE = 2_048


@dataclass(frozen=True)
class TreeEnsemble(Lagged):
    """Trees whose values add up to the logits.

    All trees' nodes stand one after the other, Q in all; `left` and `right` are positions in them, and a
    leaf is its own child.

    Attributes
    ----------
    feature, left, right : ndarray of int64, shape [Q]
    threshold, value : ndarray of float64, shape [Q]
        A row goes left where its feature is at most `threshold`.
    roots, classes : ndarray of int64, shape [E]
        Each tree's first node, and the class to whose logit it adds.
    depth : int
        Of the deepest tree.
    start : ndarray of float64, shape [4]
        The logits before the first tree.
    seen : int
        Bars before the present one.
    temperature : float
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    classes: np.ndarray
    depth: int
    start: np.ndarray
    seen: int = 0
    temperature: float = 1.0

    @property
    def lags(self) -> int:
        """Bars before the present one."""
        return self.seen

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return logits, shape [B, 4]."""
        pieces = [self._logits(rows[at : at + _ROWS_AT_ONCE]) for at in range(0, max(len(rows), 1), _ROWS_AT_ONCE)]
        return np.concatenate(pieces)

    def leaf_values(self, rows: np.ndarray) -> np.ndarray:
        """Return what each tree adds for each row, shape [B, E]."""
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        bar = np.arange(len(rows))[:, None]
        for _ in range(self.depth):
            node = np.where(rows[bar, self.feature[node]] <= self.threshold[node], self.left[node], self.right[node])
        return np.asarray(self.value[node])

    def _logits(self, rows: np.ndarray) -> np.ndarray:
        values = self.leaf_values(rows)
        return self.start + np.stack([values[:, self.classes == k].sum(axis=1) for k in range(len(self.start))], axis=1)

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities."""
        return np.asarray(softmax(raw / self.temperature, axis=-1))

    def expected(self, raw: np.ndarray, probabilities: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the expected target."""
        return np.asarray(probabilities @ means)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the trees by name."""
        return {"family": np.array("gradient_boosting"), **{name: np.asarray(v) for name, v in vars(self).items()}}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> TreeEnsemble:
        """Build the model from what `arrays` returned."""
        scalars: dict[str, type] = {"depth": int, "seen": int, "temperature": float}
        values: dict[str, Any] = {
            name: scalars.get(name, np.asarray)(arrays[name]) for name in TreeEnsemble.__dataclass_fields__
        }
        return TreeEnsemble(**values)


def bin_edges(inputs: np.ndarray) -> np.ndarray:
    """Return the upper edges of at most 63 bins of equal size for each column, [W, F] to [F, 62].

    Columns with fewer distinct values have edges that no value lies between.
    """
    return np.quantile(inputs, np.linspace(0, 1, BINS + 1)[1:-1], axis=0, method="lower").T


def binned(inputs: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each value, float32, same shape: a value lies in bin b or below if it is at most edge b."""
    columns = [np.searchsorted(edge, column, side="left") for edge, column in zip(edges, inputs.T, strict=True)]
    return np.stack(columns, axis=1).astype(np.float32)


def read_trees(model: Any, rounds: int, edges: np.ndarray, seen: int) -> TreeEnsemble:
    """Copy the first `rounds` rounds of a HistGradientBoostingClassifier that was fitted on bins.

    Two classes make one tree a round, which adds to the logit of the later one. A class that the fit never
    saw has no chance.

    Parameters
    ----------
    edges : ndarray of float64, shape [F, 62]
        As `bin_edges`: the trees' thresholds lie between bins and become values.
    seen : int
        Bars before the present one; each has the same columns.
    """
    came = np.asarray(model.classes_)
    adds_to = came if len(came) > 2 else came[1:]
    trees = [(tree, k) for row in model._predictors[:rounds] for tree, k in zip(row, adds_to, strict=True)]
    sizes = np.array([len(tree.nodes) for tree, _ in trees])
    nodes = np.concatenate([tree.nodes for tree, _ in trees])
    offsets = np.cumsum(sizes) - sizes
    own, leaf = np.repeat(offsets, sizes), nodes["is_leaf"].astype(bool)
    feature = np.where(leaf, 0, nodes["feature_idx"].astype(np.int64))
    between = np.where(leaf, 0, nodes["num_threshold"]).astype(np.int64)
    start = np.full(len(CLASS_NAMES), -30.0)
    start[came] = 0.0
    start[adds_to] = np.ravel(model._baseline_prediction)
    return TreeEnsemble(
        feature=feature,
        threshold=edges[feature % len(edges), between],
        left=np.where(leaf, np.arange(len(nodes)), own + nodes["left"]),
        right=np.where(leaf, np.arange(len(nodes)), own + nodes["right"]),
        value=np.where(leaf, nodes["value"], 0.0),
        roots=offsets,
        classes=np.array([int(k) for _, k in trees]),
        depth=int(nodes["depth"].max()),
        start=start,
        seen=seen,
    )


def fit_trees(rows: np.ndarray, classes: np.ndarray, weights: np.ndarray, seed: int) -> Any:
    """Return the fitted classifier of binned rows [L, D]; one thread, so that the sums have one order."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        learning_rate=LEARNING_RATE,
        max_iter=ROUNDS,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=max(_FEWEST_IN_LEAF, int(_LEAF_SHARE * len(rows))),
        l2_regularization=_RIDGE,
        max_bins=BINS,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):
        return model.fit(rows, classes, sample_weight=weights / weights.mean())


def fit_boosting(data: FitData, spec: ModelSpec, seed: int) -> FittedNetwork:
    """Return the trees, as many rounds of them as suit the validation sessions best."""
    edges = bin_edges(data.inputs[data.fitted].astype(np.float64))
    rows, classes, weights = labelled_rows(replace(data, inputs=binned(data.inputs, edges)), LAGS)
    model = fit_trees(rows, classes, weights, seed)
    validation = Validation.of(data, spec)
    losses = losses_by_round(read_trees(model, ROUNDS, edges, LAGS), validation, ROUNDS)
    best = int(np.argmin(losses))
    fitted = read_trees(model, best + 1, edges, LAGS)
    return FittedNetwork(replace(fitted, temperature=validation.temperature(fitted)), ROUNDS, best + 1, losses[best])


def losses_by_round(model: TreeEnsemble, validation: Validation, rounds: int) -> list[float]:
    """Return the validation log-loss after each round, at the cost of one evaluation."""
    segments = validation.segments
    first = np.repeat(segments.offsets, segments.lengths)
    at = np.flatnonzero(validation.labelled)
    losses = np.zeros(rounds)
    for begin in range(0, len(at), _ROWS_AT_ONCE):
        part = slice(begin, begin + _ROWS_AT_ONCE)
        values = model.leaf_values(lagged_rows(validation.inputs, first, at[part], model.lags))
        classes, weights = validation.classes[part], validation.weights[part]
        losses += [weights.sum() * weighted_log_loss(x, classes, weights) for x in _staged(model, values, rounds)]
    return [float(loss) for loss in losses / validation.weights.sum()]


def _staged(model: TreeEnsemble, values: np.ndarray, rounds: int) -> Iterator[np.ndarray]:
    """Yield the logits after each round."""
    logits = np.tile(model.start, (len(values), 1))
    each = len(model.roots) // rounds
    for begin in range(0, len(model.roots), each):
        part = slice(begin, begin + each)
        logits[:, model.classes[part]] += values[:, part]
        yield logits
