"""The SEC's quarterly Insider Transactions Data Sets as a source of filings, and as an index of them."""

from __future__ import annotations

from feeds.quarterly_files import Quarter, TradeIndex, accessions_with_trades

__all__ = ["Quarter", "TradeIndex", "accessions_with_trades"]
