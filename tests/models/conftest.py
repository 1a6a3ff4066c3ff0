"""Shared by the tests of the model: histories cut short, features of a panel, and a predictor without training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from feeds.panel import BAR_FIELDS, Bars, FeaturePanel
from models.cross_section import cross_section_features
from models.features import panel_features
from models.folds import Fold, make_folds
from models.labels import ClassLimits
from models.preprocess import Preprocessor
from models.spec import ModelSpec, resolve
from models.stepper import LSTMLayer, Network
from models.walk_forward_predictor import FoldModel, WalkForwardPredictor

SMALL = {
    "units": 5,
    "train_sessions": 140,
    "validation_sessions": 40,
    "test_sessions": 45,
    "masked_bars": 15,
    "chunk_bars": 50,
    "warm_up_bars": 60,
}


def cut_bars(bars: Bars, count: int) -> Bars:
    arrays = {name: getattr(bars, name)[:count] for name in ("sessions", *BAR_FIELDS)}
    return replace(bars, columns={name: values[:count] for name, values in bars.columns.items()}, **arrays)


def features_of(panel) -> FeaturePanel:
    price = panel_features(panel)
    return FeaturePanel.concatenate([price, cross_section_features(panel, price)])


def random_network(n_features: int, units: int, seed: int, layers: int = 1, lookback: int | None = None) -> Network:
    rng = np.random.default_rng(seed)
    sizes = [n_features] + [units] * layers
    stack = tuple(
        LSTMLayer(
            rng.normal(0, 0.5, (n, 4 * units)), rng.normal(0, 0.5, (units, 4 * units)), rng.normal(0, 0.5, 4 * units)
        )
        for n in sizes[:layers]
    )
    gamma, beta, kernel, bias = (rng.normal(size=shape) for shape in (units, units, (units, 4), 4))
    return Network(stack, gamma, beta, kernel, bias, temperature=1.3, lookback=lookback)


def untrained_model(panel, values: np.ndarray, names: tuple[str, ...], fold: Fold, spec: ModelSpec) -> FoldModel:
    """A fold with random networks; the last ticker is left out, as if it came after the fit range."""
    window = values[fold.train_first : fold.test_first].reshape(-1, len(names))
    preprocess = Preprocessor.fit(names, window, panel.tickers[:-1], spec)
    inputs = preprocess.transform(window[:1], np.zeros(1, dtype=int)).shape[1]
    limits = ClassLimits(-0.6, 0.7, (-1.2, -0.3, 0.4, 1.3), (0.25, 0.25, 0.25, 0.25))
    lookback = spec.lookback_bars if spec.context == "windows" else None
    embedding = None
    if spec.ticker_code == "embedding":
        embedding = np.random.default_rng(fold.number).normal(size=(len(panel.tickers), spec.embedding_size))
        inputs += spec.embedding_size - 1
    networks = [random_network(inputs, spec.units, 10 * fold.number + k, lookback=lookback) for k in range(spec.seeds)]
    return FoldModel(fold, preprocess, limits, tuple(replace(n, embedding=embedding) for n in networks))


def untrained_predictor(
    panel, features: FeaturePanel, seeds: int = 2, options: dict | None = None
) -> WalkForwardPredictor:
    spec = resolve("tiny", SMALL | {"seeds": seeds} | (options or {}))
    names = spec.columns_of(features.names)
    values = features.values[:, :, [features.names.index(n) for n in names]]
    models = tuple(untrained_model(panel, values, names, fold, spec) for fold in make_folds(panel.sessions, spec))
    return WalkForwardPredictor(spec, names, panel.sessions, models)


@pytest.fixture(scope="session")
def cut():
    """``cut(bars, count)``: the first bars of a history."""
    return cut_bars


@pytest.fixture(scope="session")
def all_features():
    """``all_features(panel)``: price and cross-sectional features."""
    return features_of


@pytest.fixture(scope="session")
def make_network():
    return random_network


@pytest.fixture(scope="session")
def make_predictor():
    return untrained_predictor
