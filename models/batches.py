"""What a gradient step sees: chunks of a stock's bars, or windows. Neither is ever copied but for its own batch.

**Chunks** (many to many): `chunk_bars` bars with a loss at every bar after the first `masked_bars`, which costs a
thirteenth of one window per label (MODEL.md 3.1). Borders move every epoch, and every labelled bar after the
window's first `masked_bars` is scored exactly once an epoch.

**Windows**: the `lookback_bars` bars that end at a labelled bar, with a loss at that bar alone, in random order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.labels import NO_CLASS
from models.sequences import Segments
from models.spec import ModelSpec

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class FitData:
    """What one fold's networks are fitted on.

    Attributes
    ----------
    inputs : ndarray of float32, shape [W, I]
        The network's inputs on the window's bars, ticker after ticker.
    classes : ndarray of int8, shape [W]
        0 to 3; -1 without a label.
    weights : ndarray of float64, shape [W]
        1 / (labels of that session); 0 without a label.
    class_weights : ndarray of float64, shape [4]
        What a label of each class weighs in training, not in validation.
    fit_first, fit_stop : ndarray of int64, shape [N]
        Each ticker's bars of the fit range, as positions.
    validation : Segments
        Positions of the validation bars and their warm-up.
    """

    inputs: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    class_weights: np.ndarray
    fit_first: np.ndarray
    fit_stop: np.ndarray
    validation: Segments

    @cached_property
    def training_weights(self) -> np.ndarray:
        """What each bar's label weighs in training, shape [W]."""
        return np.asarray(self.weights * self.class_weights[np.maximum(self.classes, 0)])

    @cached_property
    def fitted(self) -> np.ndarray:
        """True on the bars of the fit range, shape [W]."""
        edges = np.zeros(len(self.classes) + 1, dtype=int)
        np.add.at(edges, self.fit_first, 1)
        np.add.at(edges, self.fit_stop, -1)
        return np.cumsum(edges[:-1]) > 0


def draw_epoch(data: FitData, spec: ModelSpec, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the batches of one epoch: inputs [B, L, I], classes and weights, both [B, L], of windows [B].

    Weights are scaled so that those of a batch sum to 1 on average, so that a sum over it is a mean over sessions.
    """
    return _draw_windows(data, spec, rng) if spec.context == "windows" else _draw_chunks(data, spec, rng)


@dataclass(frozen=True)
class Chunks:
    """Chunks of one epoch: where each begins, which bars of it are scored, where its stock's bars end.

    All arrays have shape [C]; ``start + masked_bars <= scored positions < scored_stop <= stop``.
    """

    start: np.ndarray
    scored_stop: np.ndarray
    stop: np.ndarray


def draw_chunks(fit_first: np.ndarray, fit_stop: np.ndarray, spec: ModelSpec, rng: np.random.Generator) -> Chunks:
    """Cut every stock's fit range into chunks with a random first border, in random order.

    The first chunk of a stock scores between 1 and ``chunk_bars - masked_bars`` bars, each later one takes
    up where the one before ended.
    """
    long_enough = fit_stop - fit_first > spec.masked_bars
    first, stop = fit_first[long_enough], fit_stop[long_enough]
    scored = spec.chunk_bars - spec.masked_bars
    first_border = first + spec.masked_bars + rng.integers(1, scored + 1, len(first))
    count = 1 + np.maximum(np.ceil((stop - first_border) / scored).astype(int), 0)
    owner = np.repeat(np.arange(len(first)), count)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    scored_stop = np.minimum(first_border[owner] + scored * index, stop[owner])
    start = np.where(index == 0, first[owner], first_border[owner] + scored * (index - 1) - spec.masked_bars)
    order = rng.permutation(len(owner))
    return Chunks(start[order], scored_stop[order], stop[owner][order])


def batch_size(fit_first: np.ndarray, fit_stop: np.ndarray, spec: ModelSpec) -> int:
    """Return the chunks per gradient step: `batch_chunks`, or fewer so that an epoch has its least number of steps.

    It follows from the fewest chunks that any epoch can have, so that it is the same in all of them.
    """
    scored = np.maximum(fit_stop - fit_first - spec.masked_bars, 0)
    fewest = int(np.ceil(scored / (spec.chunk_bars - spec.masked_bars)).sum())
    return max(1, min(spec.batch_chunks, fewest // spec.min_steps_per_epoch))


def gather_batch(data: FitData, chunks: Chunks, which: slice, size: int, spec: ModelSpec) -> Batch:
    """Return inputs [size, L, I], classes [size, L] and weights [size, L] of some chunks.

    Bars that are masked, beyond the chunk's scored range or unlabelled weigh 0; a last batch that is not
    full is filled up with chunks that weigh 0, so that every batch has one shape.
    """
    start, scored_stop, stop = (
        _fill(values[which], size) for values in (chunks.start, chunks.scored_stop, chunks.stop)
    )
    at = start[:, None] + np.arange(spec.chunk_bars)
    real = np.arange(size) < len(chunks.start[which])
    scored = (at >= start[:, None] + spec.masked_bars) & (at < scored_stop[:, None]) & real[:, None]
    at = np.minimum(at, stop[:, None] - 1)
    weights = np.where(scored, data.training_weights[at], 0.0).astype(np.float32)
    return data.inputs[at], np.maximum(data.classes[at], 0), weights


def window_ends(data: FitData, spec: ModelSpec) -> np.ndarray:
    """Return the positions of the labelled bars of the fit range that have a whole window inside it."""
    first = np.repeat(data.fit_first, np.diff(data.fit_first, append=len(data.classes)))
    position = np.arange(len(data.classes))
    whole = position - first >= spec.lookback_bars - 1
    return np.flatnonzero(data.fitted & whole & (data.classes != NO_CLASS))


def _draw_chunks(data: FitData, spec: ModelSpec, rng: np.random.Generator) -> Iterator[Batch]:
    chunks = draw_chunks(data.fit_first, data.fit_stop, spec, rng)
    size = batch_size(data.fit_first, data.fit_stop, spec)
    steps = -(-len(chunks.start) // size)
    scale = steps / data.training_weights[data.fitted].sum()
    for step in range(steps):
        inputs, classes, weights = gather_batch(data, chunks, slice(step * size, (step + 1) * size), size, spec)
        yield inputs, classes, weights * scale


def _draw_windows(data: FitData, spec: ModelSpec, rng: np.random.Generator) -> Iterator[Batch]:
    ends = rng.permutation(window_ends(data, spec))
    # Whole batches as far as possible: the one that is left over is spread over the others.
    steps = max(len(ends) // spec.batch_windows, min(spec.min_steps_per_epoch, len(ends)))
    back = np.arange(1 - spec.lookback_bars, 1)
    scale = steps / data.training_weights[ends].sum()
    for at in np.array_split(ends, steps):
        weights = (data.training_weights[at] * scale).astype(np.float32)
        yield data.inputs[at[:, None] + back], data.classes[at], weights


def _fill(values: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([values, np.repeat(values[:1], size - len(values))])
