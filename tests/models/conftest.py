"""Shared by the tests of the model: histories cut short, features of a panel, and a predictor without training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from feeds.panel import BAR_FIELDS, Bars, FeaturePanel
from models.cross_section import cross_section_features
from models.features import panel_features
from models.folds import make_folds
from models.labels import ClassLimits
from models.preprocess import Scaler
from models.spec import resolve
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


def random_network(n_features: int, units: int, seed: int, layers: int = 1) -> Network:
    rng = np.random.default_rng(seed)
    sizes = [n_features] + [units] * layers
    stack = tuple(
        LSTMLayer(
            rng.normal(0, 0.5, (n, 4 * units)), rng.normal(0, 0.5, (units, 4 * units)), rng.normal(0, 0.5, 4 * units)
        )
        for n in sizes[:layers]
    )
    gamma, beta, kernel, bias = (rng.normal(size=shape) for shape in (units, units, (units, 4), 4))
    return Network(stack, gamma, beta, kernel, bias, temperature=1.3)


def untrained_predictor(panel, features: FeaturePanel, seeds: int = 2) -> WalkForwardPredictor:
    spec = resolve("tiny", SMALL | {"seeds": seeds})
    names = spec.columns_of(features.names)
    values = features.values[:, :, [features.names.index(n) for n in names]]
    limits = ClassLimits(-0.6, 0.7, (-1.2, -0.3, 0.4, 1.3), (0.25, 0.25, 0.25, 0.25))
    models = tuple(
        FoldModel(
            fold,
            Scaler.fit(names, values[fold.train_first : fold.test_first].reshape(-1, len(names))),
            limits,
            tuple(random_network(len(names), spec.units, 10 * fold.number + k) for k in range(seeds)),
        )
        for fold in make_folds(panel.sessions, spec)
    )
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
