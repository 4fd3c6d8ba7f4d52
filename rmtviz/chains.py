"""In which order layers follow each other, as far as their shapes and names tell."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from rmtviz.errors import CannotRun, OrderUnknown
from rmtviz.pairs import natural


class Sided(Protocol):
    """Something with a name that maps so many inputs to so many outputs."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int]: ...


L = TypeVar("L", bound=Sided)


def chain(layers: Iterable[L], order: Sequence[str] | None = None) -> tuple[L, ...]:
    """Return the layers so that each one's inputs are the outputs of the one before.

    Shapes decide; between equal shapes the natural order of the names. Where shapes allow
    several orders, names that differ only in their numbers decide; else somebody must be
    asked, and `order` (all layer names) is the answer.

    Raises:
        OrderUnknown: several orders, and the names do not decide.
        CannotRun: no order chains, or `order` does not.
    """
    by_name = {layer.name: layer for layer in sorted(layers, key=lambda x: natural(x.name))}
    if order is not None:
        if sorted(order) != sorted(by_name):
            raise CannotRun("order_names", order=", ".join(order), names=", ".join(by_name))
        given = tuple(by_name[name] for name in order)
        if not _chains(given):
            raise CannotRun("order_shapes", shapes=_shapes(given))
        return given
    named = tuple(by_name.values())
    if not named:
        raise CannotRun("no_layers")
    if _chains(named) and len({re.sub(r"\d+", "#", layer.name) for layer in named}) == 1:
        return named
    found = _orders(named, limit=2)
    if not found:
        raise CannotRun("no_chain", shapes=_shapes(named))
    if len(found) > 1:
        raise OrderUnknown("order_unknown", shapes=_shapes(named), names=", ".join(by_name))
    return found[0]


def _chains(layers: Sequence[L]) -> bool:
    return all(a.shape[0] == b.shape[1] for a, b in itertools.pairwise(layers))


def _orders(layers: Sequence[L], limit: int) -> list[tuple[L, ...]]:
    """Return up to `limit` chains that differ in their shapes; equal shapes go by name order."""
    left = Counter(layer.shape for layer in layers)
    by_inputs: dict[int, list[tuple[int, int]]] = {}
    for each in left:
        by_inputs.setdefault(each[1], []).append(each)
    found: list[tuple[L, ...]] = []
    path: list[tuple[int, int]] = []
    choices: list[Iterator[tuple[int, int]]] = [iter(left)]
    steps = 0
    while choices and len(found) < limit and steps < 20_000:
        shape = next(choices[-1], None)
        if shape is None:
            choices.pop()
            if path:
                left[path.pop()] += 1
        elif left[shape]:
            steps += 1
            left[shape] -= 1
            path.append(shape)
            choices.append(iter(by_inputs.get(shape[0], [])))
            if len(path) == len(layers):
                named: dict[tuple[int, int], list[L]] = {}
                for layer in reversed(layers):
                    named.setdefault(layer.shape, []).append(layer)
                found.append(tuple(named[each].pop() for each in path))
    return found


def _shapes(layers: Sequence[L]) -> str:
    return ", ".join(f"{layer.name} {layer.shape[0]}×{layer.shape[1]}" for layer in layers)
