"""Run every benchmark of this folder: ``python -m benchmarks``."""

from __future__ import annotations

from benchmarks import demo

print("demo: the whole way on the embedded market\n")
demo.main()
