"""What a model is: every choice that changes its predictions.

`ModelSpec` holds the settings, `PRESETS` the complete ones that have a name; `resolve` lays a user's overrides
over a preset and refuses what it does not know. Nothing here looks at data: the number of names never changes a
label or a column.
"""

from __future__ import annotations

from models.model_spec import CROSS_SECTION_PREFIX, FEWEST_NAMES, INSIDER_PREFIX, ModelSpec
from models.presets import PRESETS, baseline_of, resolve
from models.spec_choices import (
    FULL_BASELINES,
    PERSISTENCE_HORIZONS,
    RAW_LABELS,
    SIMPLE_BASELINES,
    ClassWeights,
    Context,
    Family,
    Holdout,
    Label,
    Normalisation,
    Standardise,
    TickerCode,
    Window,
)  # fmt: skip

__all__ = [
    "CROSS_SECTION_PREFIX", "FEWEST_NAMES", "FULL_BASELINES", "INSIDER_PREFIX", "PERSISTENCE_HORIZONS", "PRESETS",
    "RAW_LABELS", "SIMPLE_BASELINES", "ClassWeights", "Context", "Family", "Holdout", "Label", "ModelSpec",
    "Normalisation", "Standardise", "TickerCode", "Window", "baseline_of", "resolve",
]  # fmt: skip
