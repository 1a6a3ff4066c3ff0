"""All columns that models and strategies see, from panel and filings."""

from __future__ import annotations

from dataclasses import dataclass

from feeds.insider import insider_features
from feeds.panel import FeaturePanel, PricePanel
from feeds.transactions import TransactionTable
from models.cross_section import cross_section_features
from models.features import panel_features


@dataclass(frozen=True)
class Columns:
    """What is known at each session's close.

    Attributes
    ----------
    model : FeaturePanel
        Price, cross-sectional and insider columns: what a model may choose from.
    feed : FeaturePanel
        The cross-sectional and insider columns, which a stock's own bars cannot give: these arrive
        as lines of its feed.
    """

    model: FeaturePanel
    feed: FeaturePanel


def build_columns(panel: PricePanel, filings: TransactionTable | None) -> Columns:
    """Compute every column on the panel; without filings there are no insider columns."""
    price = panel_features(panel)
    insider = insider_features(filings, panel) if filings is not None else None
    cross_section = cross_section_features(panel, price, insider)
    feed = FeaturePanel.concatenate([cross_section] if insider is None else [cross_section, insider])
    return Columns(FeaturePanel.concatenate([price, feed]), feed)
