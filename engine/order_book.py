"""The orders that may still fill, and which of them depend on each other.

- Orders linked with `oco` form a group: when one of them fills, even in part, or ends, the others are
  cancelled.
- A bracket is a parent and its children. The children wait until the parent has filled, even in part, and
  work from the session after; what the first of them fills cancels the rest, the parent's remainder
  included. A parent that ends without a fill takes them along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import backtrader as bt


class OrderBook:
    """Orders by number, oldest first.

    Parameters
    ----------
    end : callable (order, status)
        Called for each order that this book cancels because of another.
    """

    def __init__(self, end: Callable[[Any, int], None]) -> None:
        self.open: dict[int, Any] = {}
        self._end = end
        self._leader: dict[int, int] = {}
        self._groups: dict[int, list[Any]] = {}
        self._brackets: dict[int, list[Any]] = {}
        self._unsent: dict[int, list[Any]] = {}
        self._activated: list[Any] = []

    def __contains__(self, order: Any) -> bool:
        return order.ref in self.open

    def link(self, order: Any, other: Any) -> None:
        """Put an order into the group of another; alone where that one has ended."""
        leader = self._leader.get(other.ref, other.ref)
        if leader not in self._groups and other.alive():
            self._groups[leader] = [other]
            self._leader[other.ref] = leader
        if leader in self._groups:
            self._groups[leader].append(order)
            self._leader[order.ref] = leader

    def has_parent_of(self, order: Any) -> bool:
        """Tell whether an order is no child, or its parent is still there."""
        return order.parent is None or order.parent.ref in self._brackets

    def send(self, order: Any) -> list[Any]:
        """Take an order and return those that go to the market now: none while `transmit` is False."""
        if order.parent is None and order.transmit:
            return [order]
        parent = order if order.parent is None else order.parent
        if order.parent is not None:
            self._brackets[parent.ref].append(order)
        else:
            self._brackets[order.ref] = []
        waiting = self._unsent.setdefault(parent.ref, [])
        waiting.append(order)
        return self._unsent.pop(parent.ref) if order.transmit else []

    def remove(self, order: Any) -> bool:
        """Take an order out; False where it is not there."""
        return self.open.pop(order.ref, None) is not None

    def activate(self) -> None:
        """Let children work whose parent filled in an earlier session."""
        for order in self._activated:
            order.activate()
        self._activated.clear()

    def after_fill(self, order: Any) -> None:
        """Deal with what depends on an order that has just filled, in part or in full."""
        if not (self._groups or self._brackets):
            return
        self._cancel_group(order)
        if order.parent is not None:
            self._cancel_bracket(order)
        else:
            self._activated.extend(child for child in self._brackets.get(order.ref, ()) if not child.active())
            if not order.alive():
                self._close_bracket_when_done(order)

    def after_end(self, order: Any) -> None:
        """Deal with what depends on an order that was cancelled, refused or expired."""
        self._cancel_group(order)
        if order.parent is not None:
            self._cancel_bracket(order)
        elif not order.executed.size:
            for child in self._brackets.pop(order.ref, ()):
                self._cancel(child)

    def unsent(self) -> Iterator[Any]:
        """Yield orders that were never sent on, because none with `transmit` followed."""
        for orders in self._unsent.values():
            yield from orders

    def _close_bracket_when_done(self, order: Any) -> None:
        if not self._brackets.get(order.ref, True):
            del self._brackets[order.ref]

    def _cancel_group(self, order: Any) -> None:
        leader = self._leader.pop(order.ref, None)
        if leader is None:
            return
        for other in self._groups.pop(leader, ()):
            if other is not order:
                self._leader.pop(other.ref, None)
                self._cancel(other)

    def _cancel_bracket(self, order: Any) -> None:
        others = self._brackets.pop(order.parent.ref, ())
        for other in (order.parent, *others):
            if other is not order:
                self._cancel(other)

    def _cancel(self, order: Any) -> None:
        if self.remove(order):
            self._end(order, bt.Order.Canceled)
            self.after_end(order)
