"""Run every benchmark of this folder: ``python -m benchmarks``."""

from __future__ import annotations

from benchmarks import demo, engine, filings, insider_features, prices, quality, training

print("prices: 464 stocks with 2,693 sessions\n")
prices.main()
print("quality: the same prices judged, and defects planted in embedded markets\n")
quality.main()
print("filings: a tree of 20,000\n")
filings.main()
print("insider features: 464 stocks, 600,000 transactions\n")
insider_features.main()
print("training and predicting: 464 stocks with 2,693 sessions\n")
training.main()
print("engine: one rule on ours, on stock backtrader and on the peers that are there\n")
engine.main([])
print("demo: the whole way on the embedded market\n")
demo.main()
