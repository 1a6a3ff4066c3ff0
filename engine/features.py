"""All columns that models and strategies see, from panel and filings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feeds.errors import InputError
from feeds.insider import INSIDER_COLUMNS, insider_features
from feeds.panel import FeaturePanel, PricePanel
from feeds.transactions import TransactionTable
from models.cross_section import cross_section_features
from models.features import panel_features
from models.level_features import panel_levels


@dataclass(frozen=True)
class Columns:
    """What is known at each session's close.

    Attributes
    ----------
    model : FeaturePanel
        Price, cross-sectional and insider columns: what a model may choose from.
    feed : FeaturePanel
        The cross-sectional and insider columns, which a stock's own bars cannot give, and the
        strategy's further insider columns: these arrive as lines of its feed.
    """

    model: FeaturePanel
    feed: FeaturePanel


def build_columns(
    panel: PricePanel, filings: TransactionTable | None, extra: Sequence[str] = (), levels: Sequence[str] = ()
) -> Columns:
    """Compute every column on the panel; without filings there are no insider columns.

    Parameters
    ----------
    extra : sequence of str
        Insider columns that a strategy reads beside the model's; they become feed lines only.
    levels : sequence of str
        Of `models.level_features.LEVEL_COLUMNS`, those that the model sees.

    Raises
    ------
    InputError
        For an insider column that does not exist, or one asked for without filings.
    """
    if filings is None and extra:
        raise InputError(
            f"`insider_columns` of the strategy: expected filings to make {extra[0]!r} from, received none; "
            "run with --filings"
        )
    price = panel_features(panel)
    levelled = [panel_levels(panel, levels)] if levels else []
    insider = wide = None
    if filings is not None:
        wide = insider_features(filings, panel, tuple(dict.fromkeys((*INSIDER_COLUMNS, *extra))))
        n = len(INSIDER_COLUMNS)
        insider = FeaturePanel(wide.sessions, wide.tickers, wide.names[:n], wide.values[:, :, :n])
    cross_section = cross_section_features(panel, price)
    model = [price, *levelled, cross_section] if insider is None else [price, *levelled, cross_section, insider]
    feed = [cross_section] if wide is None else [cross_section, wide]
    return Columns(FeaturePanel.concatenate(model), FeaturePanel.concatenate(feed))
