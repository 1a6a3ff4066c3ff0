"""What of backtrader's inside we rely on: a version that changes it fails here, by name."""

from __future__ import annotations

import array
import ast
import hashlib
import importlib
import inspect
import re
import textwrap
import warnings
from functools import cache
from pathlib import Path

import backtrader as bt
import numpy as np
import pytest

from feeds.adapter.clock import NOT_LISTED, Clock, ClockedLines
from feeds.adapter.guards import guard
from feeds.adapter.lines import SafeLine, fill
from feeds.adapter.loop import OwnLoop
from feeds.adapter.naming import describe, parameter_values, root_feed
from feeds.stock_feed import make_feeds
from tests.conftest import build_panel


def test_line_is_an_array_an_index_and_a_count():
    line = bt.linebuffer.LineBuffer()
    assert (line._idx, line.lencount, line.extension, line.mode) == (-1, 0, 0, line.UnBounded)
    assert isinstance(line.array, array.array)
    line.array.extend([5.0, 6.0, 7.0])
    line.advance(2)
    assert (line._idx, line.lencount, line[0], line[-1]) == (1, 2, 6.0, 5.0)
    line._idx, line.lencount = 2, 3
    assert (line.idx, len(line), line[0]) == (2, 3, 7.0)
    assert not any("__slots__" in vars(kind) for kind in type(line).__mro__)  # its class can be changed


def test_lines_know_their_owner_and_indicators_their_clock():
    class Look(bt.Strategy):
        def __init__(self):
            self.average = bt.ind.SMA(self.data.close, period=2)
            self.above = self.data.close > self.average
            self.of_average = bt.ind.EMA(self.average, period=2)

    cerebro = bt.Cerebro(stdstats=False)
    feed = make_feeds(build_panel(20, 1))[0]
    cerebro.adddata(feed)
    cerebro.addstrategy(Look)
    strategy = cerebro.run()[0]
    assert feed.close._owner is feed
    assert strategy.average.lines.sma._owner is strategy.average
    for found in (strategy.average, strategy.above, strategy.of_average, feed.close, strategy.average.lines.sma):
        assert root_feed(found) is feed
    assert root_feed(strategy) is None
    assert describe(strategy.average.lines.sma) == "line `sma` of SMA of T000"
    assert {*strategy._lineiterators[strategy.IndType]} >= {strategy.average, strategy.above}
    assert strategy._minperiods == [3]


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (bt.Cerebro, ["_runonce", "_runnext", "_brokernotify", "_check_timers", "_next_writers", "runstrategies"]),
        (
            bt.Strategy,
            [
                "_oncepost",
                "_oncepost_open",
                "_notify",
                "_addnotification",
                "_next_analyzers",
                "_next_observers",
                "_once",
            ],
        ),
        (bt.feed.DataBase, ["_load", "_tick_fill", "_tick_nullify", "advance_peek", "preload"]),
    ],
)
def test_methods_that_we_call_or_replace_exist(owner, names):
    assert [name for name in names if not callable(getattr(owner, name, None))] == []


# What ours repeats of backtrader 1.9.78.123, by the sha256 of its source. Where one differs, compare
# the two versions, change ours, and put the new digest here.
REPEATED = {
    bt.Cerebro._runonce: "c13179923cde2641",
    bt.Cerebro._brokernotify: "69e93a0f90550b6c",
    bt.Strategy._oncepost: "980361d4a31f0eb5",
    bt.Strategy._oncepost_open: "67791d7f067888d4",
    bt.Strategy._addnotification: "56496c442d3bdc59",
    bt.Strategy._getminperstatus: "fad88e260175334d",
    bt.lineiterator.LineIterator._once: "95cbfefb2044f10c",
    bt.order.OrderBase.__init__: "cb05e0f0f97837a3",
    bt.order.OrderBase.clone: "cd9b4081457d83d7",
}


def digest(function) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("function", "known"), REPEATED.items(), ids=lambda each: getattr(each, "__qualname__", ""))
def test_backtraders_code_that_ours_repeats_is_the_version_that_we_know(function, known):
    assert digest(function) == known


def test_clock_counts_traded_bars_and_knows_nothing_before_listing():
    feeds = make_feeds(build_panel(5, 2, late={1: 2}, halts={0: [3]}))
    for feed in feeds:
        feed.setenvironment(bt.Cerebro())
        feed._start()
        feed.preload()
    clock = Clock(feeds)
    assert list(clock.rows(feeds[0])) == [0, 1, 2, 2, 3, NOT_LISTED]
    assert list(clock.rows(feeds[1])) == [NOT_LISTED, NOT_LISTED, 0, 1, 2, NOT_LISTED]
    assert list(clock.counts(feeds[1])) == [0, 0, 1, 2, 3, 0]
    assert clock.missing_bars(feeds, [1, 2]) == [2, 2, 1, 0, -1]


def test_clocked_line_is_where_the_clock_says_and_stays_there_when_released():
    feeds = make_feeds(build_panel(4, 1))
    feeds[0].setenvironment(bt.Cerebro())
    feeds[0]._start()
    feeds[0].preload()
    clock, lines, line = Clock(feeds), ClockedLines(), feeds[0].close
    values = line.array.tolist()
    guard(line)
    lines.put(line, clock, feeds[0], clock.now)
    clock.now[0] = 2
    assert (len(line), line.idx, line[0], line[-2], line.get(0, 2).tolist()) == (
        3,
        2,
        values[2],
        values[0],
        values[1:3],
    )
    with pytest.raises(ValueError, match="received \\[1\\], 1 bar after the present"):
        line[1]
    lines.release()
    assert (len(line), line.idx, line[0], isinstance(line, SafeLine)) == (3, 2, values[2], True)
    line.advance()
    assert line[0] == values[3]


def test_fill_keeps_the_places_that_look_ahead():
    line = bt.linebuffer.LineBuffer()
    line.extend(size=2)
    fill(line, np.array([1.0, 2.0]))
    assert (line.buflen(), line.array[:2].tolist(), np.isnan(line.array[2:]).all()) == (2, [1.0, 2.0], True)


ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = sorted((ROOT / "feeds" / "adapter").glob("*.py"))
# What backtrader's documentation tells to use: a feed's name, and the methods that a feed and a commission replace.
DOCUMENTED = {"_name", "_load", "_getcommission"}
# Our broker's value of the account is backtrader's own, which its `set_cash` sets.
SHARED = {"_value"}


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _names_of(nodes) -> set[str]:
    """Return private attributes, methods and annotations that code names."""
    found = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    found += [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return {name for name in found if _private(name)}


@cache
def _inside_backtrader() -> set[str]:
    files = Path(inspect.getfile(bt)).parent.rglob("*.py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in its docstrings
        return set().union(*(_names_of(list(ast.walk(ast.parse(file.read_text())))) for file in files))


def _touched(source: str, inside: set[str]) -> set[str]:
    """Return the private names of backtrader that code uses of anything but an object of its own.

    Inside a class that is made from one of backtrader's, `self` is no object of its own, unless backtrader's
    name is one that the class itself gives a value.
    """
    nodes = list(ast.walk(ast.parse(source)))
    written = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    own = {node.attr for node in written if isinstance(node.value, ast.Name) and node.value.id == "self"}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    used = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr in inside]
    of_self = {node.attr for node in used if isinstance(node.value, ast.Name) and node.value.id == "self"}
    of_others = {node.attr for node in used} - of_self
    return (of_others | of_self - own) - DOCUMENTED


def _ours() -> list[Path]:
    folders = ("feeds", "indicators", "strategies", "analyzers", "engine")
    texts = {path: path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")}
    return sorted(path for path, text in texts.items() if "import backtrader" in text or "feeds.adapter" in text)


@pytest.mark.parametrize("path", [path for path in _ours() if path not in ADAPTERS], ids=lambda path: path.name)
def test_private_attributes_of_backtrader_are_touched_in_the_adapter_only(path):
    assert _touched(path.read_text(), _inside_backtrader()) == set()


def test_search_for_private_attributes_finds_them():
    text = "class A(bt.Cerebro):\n  def x(self):\n    self._mine = 1\n    self._runonce(self._mine, data._filters)"
    assert _touched(text, _inside_backtrader()) == {"_runonce", "_filters"}
    touched = set().union(*(_touched(adapter.read_text(), _inside_backtrader()) for adapter in ADAPTERS))
    assert touched >= {"_owner", "_tzinput", "_filters", "_oncepost", "_minperiods", "_event_stop"}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _made_from_backtraders() -> list[type]:
    modules = [importlib.import_module(_module(path)) for path in _ours()]
    found = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    ours = [each for each in found if each.__module__ in {module.__name__ for module in modules}]
    return sorted((each for each in ours if _parents(each)), key=lambda each: each.__qualname__)


def _parents(kind: type) -> list[type]:
    return [parent for parent in kind.__mro__ if parent.__module__.startswith("backtrader.")]


@pytest.mark.parametrize("kind", _made_from_backtraders(), ids=lambda kind: kind.__name__)
def test_class_made_from_backtraders_takes_none_of_its_private_names(kind):
    if kind.__module__ in set(map(_module, ADAPTERS)):
        return
    text = "\n".join(inspect.getsource(each) for parent in _parents(kind) for each in (parent, type(parent)))
    theirs = set(re.findall(r"\b_[a-z]\w*", text))
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(kind)))))
    written = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    taken = _names_of(written) | {name for name in vars(kind) if _private(name)}
    assert taken & theirs - DOCUMENTED - SHARED == set()


def test_broker_keeps_the_accounts_value_in_an_attribute():
    broker = bt.brokers.BackBroker(cash=7.0)
    broker.init()
    assert (broker._value, broker.getvalue()) == (7.0, 7.0)
    broker.set_cash(5.0)
    assert broker._value == 5.0


def test_parameters_have_their_names():
    class Two(bt.Strategy):
        params = (("a", 1), ("b", 2))

    assert {"a": 1, "b": 2}.items() <= parameter_values(Two.params).items()
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(make_feeds(build_panel(5, 1))[0])
    cerebro.addstrategy(Two, b=3)
    assert {"a": 1, "b": 3}.items() <= parameter_values(cerebro.run()[0].params).items()


def test_feed_with_a_filter_or_a_time_zone_is_loaded_bar_by_bar():
    feed, filtered = (make_feeds(build_panel(5, 1))[0] for _ in range(2))
    filtered.addfilter_simple(lambda data: False)
    cerebro = bt.Cerebro(stdstats=False)
    for each in (feed, filtered):
        cerebro.adddata(each)
    cerebro.run()
    assert (feed.is_plain, feed.is_changed_bar_by_bar) == (True, False)
    assert (filtered.is_plain, filtered.is_changed_bar_by_bar) == (False, True)


def test_stopped_run_says_so():
    class Stopping(bt.Strategy):
        def next(self):
            if len(self) == 3:
                self.env.runstop()

    for kind in (OwnLoop, bt.Cerebro):
        cerebro = kind(stdstats=False)
        cerebro.adddata(make_feeds(build_panel(9, 1))[0])
        cerebro.addstrategy(Stopping)
        assert len(cerebro.run()[0]) == 3
        assert cerebro._event_stop is True
