"""The orders that may still fill, and which of them depend on each other.

- Orders linked with `oco` form a group: when one of them fills, even in part, or ends, the others are
  cancelled, as in backtrader.
- A bracket is a parent and its children. The children wait until the parent has filled, even in part, and
  work from the session after. What one of them fills cancels the parent's remainder; the other children stay,
  for the shares that are left (`unprotected`), until one of them has done its work. A parent that ends without a
  fill takes them along.
- A child that is cancelled, or expires, takes the rest of its bracket along, as in backtrader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import backtrader as bt

LINK_FILLED, LINK_ENDED = "a linked order filled", "a linked order ended"
EXIT_FILLED, EXIT_ENDED, ENTRY_ENDED = "its bracket's exit filled", "its bracket's exit ended", "its entry ended"


@dataclass(slots=True)
class _Bracket:
    parent: Any
    children: list[Any] = field(default_factory=list)

    def left(self) -> float:
        """Return the shares that the parent has filled and no child has."""
        return abs(self.parent.executed.size) - sum(abs(child.executed.size) for child in self.children)


class OrderBook:
    """Orders by number, oldest first.

    Parameters
    ----------
    end : callable (order, status, why)
        Called for each order that this book cancels, because of another or because it was asked to.
    """

    def __init__(self, end: Callable[[Any, int, str], None]) -> None:
        self.open: dict[int, Any] = {}
        self._end = end
        self._leader: dict[int, int] = {}
        self._groups: dict[int, list[Any]] = {}
        self._brackets: dict[int, _Bracket] = {}
        self._unsent: dict[int, list[Any]] = {}
        self._activated: list[Any] = []

    def __contains__(self, order: Any) -> bool:
        return order.ref in self.open

    def parent_of(self, order: Any) -> Any:
        """Return an order's parent as this book knows it (a strategy may name the copy it was told of), else None."""
        bracket = self._brackets.get(order.parent.ref)
        return self.open.get(order.parent.ref) if bracket is None else bracket.parent

    def send(self, order: Any) -> list[Any]:
        """Take an order and return those that go to the market now: none while `transmit` is False."""
        if order.oco is not None:
            self._link(order, order.oco)
        if order.parent is None and order.transmit:
            return [order]
        parent = order if order.parent is None else order.parent
        bracket = self._brackets.setdefault(parent.ref, _Bracket(parent))
        if order is not parent:
            bracket.children.append(order)
            if parent.executed.size:
                self._activated.append(order)
        waiting = self._unsent.setdefault(parent.ref, [])
        waiting.append(order)
        return self._unsent.pop(parent.ref) if order.transmit else []

    def _link(self, order: Any, other: Any) -> None:
        """Put an order into the group of another; alone where that one has ended."""
        leader = self._leader.get(other.ref, other.ref)
        if leader not in self._groups and other.alive():
            self._groups[leader] = [other]
            self._leader[other.ref] = leader
        if leader in self._groups:
            self._groups[leader].append(order)
            self._leader[order.ref] = leader

    def unprotected(self, order: Any) -> float:
        """Return the shares that are left for a bracket's child."""
        return self._brackets[order.parent.ref].left()

    def remove(self, order: Any) -> bool:
        """Take an order out; False where it is not there."""
        return self.open.pop(order.ref, None) is not None

    def cancel(self, order: Any, why: str = "") -> bool:
        """End an order, sent or not, and deal with what depends on it; False where it has ended."""
        waiting = self.open.pop(order.ref, None)
        ended = self._take_back(order) if waiting is None else [waiting]
        for each in ended:
            self._end(each, bt.Order.Canceled, why)
            self.after_end(each)
        return bool(ended)

    def _take_back(self, order: Any) -> list[Any]:
        """Take an order out that was not sent yet, its children too, and return them; none where it was sent."""
        ref = order.ref if order.parent is None else order.parent.ref
        waiting = self._unsent.get(ref, [])
        if all(each.ref != order.ref for each in waiting):
            return []
        taken = waiting if order.parent is None else [each for each in waiting if each.ref == order.ref]
        for each in taken:
            self._forget(each)
        kept = [each for each in waiting if each not in taken]
        if kept:
            self._unsent[ref] = kept
        else:
            del self._unsent[ref]
        return taken

    def _forget(self, order: Any) -> None:
        if order.parent is None:
            del self._brackets[order.ref]
        elif order.parent.ref in self._brackets:
            self._brackets[order.parent.ref].children.remove(order)

    def activate(self) -> None:
        """Let children work whose parent filled in an earlier session."""
        for order in self._activated:
            order.activate()
        self._activated.clear()

    def after_fill(self, order: Any) -> None:
        """Deal with what depends on an order that has just filled, in part or in full."""
        if not (self._groups or self._brackets):
            return
        self._cancel_group(order, LINK_FILLED)
        if order.parent is not None:
            self._after_exit(order)
        elif order.ref in self._brackets:
            children = self._brackets[order.ref].children
            self._activated.extend(child for child in children if not child.active())
            if not (children or order.alive()):
                del self._brackets[order.ref]

    def _after_exit(self, order: Any) -> None:
        self.cancel(order.parent, EXIT_FILLED)
        if not order.alive() or self.unprotected(order) <= 0:
            self._cancel_bracket(order, EXIT_FILLED)

    def after_end(self, order: Any) -> None:
        """Deal with what depends on an order that was cancelled or expired, or could not be paid."""
        self._cancel_group(order, LINK_ENDED)
        if order.parent is not None:
            self._cancel_bracket(order, EXIT_ENDED)
        elif not order.executed.size and order.ref in self._brackets:
            for child in self._brackets.pop(order.ref).children:
                self.cancel(child, ENTRY_ENDED)

    def unsent(self) -> Iterator[Any]:
        """Yield orders that were never sent on, because none with `transmit` followed."""
        for orders in self._unsent.values():
            yield from orders

    def _cancel_group(self, order: Any, why: str) -> None:
        leader = self._leader.pop(order.ref, None)
        if leader is None:
            return
        for other in self._groups.pop(leader, ()):
            self._leader.pop(other.ref, None)
            if other.ref != order.ref and not _are_siblings(order, other):
                self.cancel(other, why)

    def _cancel_bracket(self, order: Any, why: str) -> None:
        bracket = self._brackets.pop(order.parent.ref, None)
        for other in () if bracket is None else (bracket.parent, *bracket.children):
            if other is not order:
                self.cancel(other, why)


def _are_siblings(one: Any, other: Any) -> bool:
    """Tell whether two orders are children of one bracket, which decides between them."""
    return one.parent is not None and other.parent is not None and one.parent.ref == other.parent.ref
