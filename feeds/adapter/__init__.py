"""The adapter of backtrader: all that we know of its inside, and the only place that touches its private attributes.

`feeds.adapter.lines` has the lines and their clock, `feeds.adapter.loop` what happens on each session. A test holds
that no other module touches them (but `_name`, which backtrader's documentation uses), and that each of them still
means what we take it for: tests/feeds/test_adapter.py.
"""
