"""The adapter of backtrader: all that we know of its inside, and the only place that touches its private attributes.

```
naming   what a line belongs to, and what it is called
lines    lines and feeds that are filled in one copy
guards   lines that refuse to be read outside the bars that have been
clock    one clock for all lines
loop     what happens to strategies, indicators and news on each session
audit    whether whole columns know what comes later
```

A test holds that no other module touches private attributes (but `_name`, which backtrader's documentation uses), and
that each of them still means what we take it for: tests/feeds/test_adapter.py.
"""
