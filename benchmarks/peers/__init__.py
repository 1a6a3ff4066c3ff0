"""The rule of `benchmarks.engine_rule` on other engines, as their documentation tells to write it.

Each module runs in the environment of `benchmarks/requirements-peers.txt`. Where an engine checks
cash it begins with credit, which is taken off again wherever the rule looks.
"""
