"""Attention looked at head by head: each head's block of a projection is a layer of its own.

A view, and no other weights: tensors and digest stay, a cut of a head is written back into the
block that is its own, and stores no fewer numbers. How a file is looked at is not written to it.
"""

from collections.abc import Mapping
from dataclasses import asdict

from rmtviz import kinds, layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import BadOption
from rmtviz.heads import Heads, role, side


def projections(checkpoint: Checkpoint) -> Mapping[str, tuple[str, tuple[int, int]]]:
    """Return the projections that heads may share, by tensor: what each is, and its sides (m, n).

    See `heads.role` for what they are. None where no queries are among them.
    """
    found: dict[str, tuple[str, tuple[int, int]]] = {}
    for layer in layers.find(checkpoint)[0]:
        if layer.factored or layer.rule.window or layer.rule.leading > 1:
            continue
        whole = layer.whole(checkpoint)
        fused = kinds.fused(layer.tensors[0], whole.shape) == kinds.QKV
        what = role(layer.tensors[0], checkpoint.tensors, fused)
        if what:
            found[layer.tensors[0]] = what, whole.shape
    queries = {"alternating", "fused", "query"}
    return {} if queries.isdisjoint(what for what, _ in found.values()) else found


def by_heads(
    checkpoint: Checkpoint, count: int | None = None, shared: int | None = None
) -> Checkpoint:
    """Return the checkpoint with each head looked at alone; tensors and digest stay.

    `count` is the number of heads, `shared` that of keys and values where it is smaller. What
    is not given is what the checkpoint's own record says, or for `shared` the shapes.

    Raises:
        BadOption: no number is known, or it does not fit the projections, or there are none
            that can be taken apart.
    """
    found = projections(checkpoint)
    if not found:
        raise BadOption("heads_none")
    known = Heads.recorded(checkpoint.about)
    if count is not None:
        known = Heads.of({"count": count, "shared": shared or _shared(found, count)})
    if known is None:
        raise BadOption("heads_unknown")
    shared_sides = {name: side(what, shape, known) for name, (what, shape) in found.items()}
    for name, divided in shared_sides.items():
        if divided and divided[0] % divided[1]:
            raise BadOption("heads_divide", name=name, side=divided[0], count=divided[1])
    if not any(shared_sides.values()):
        raise BadOption("heads_mixed", name=next(iter(found)))
    return checkpoint.with_about(heads=asdict(known) | {"each": True})


def whole(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with its projections looked at whole; the number of heads stays."""
    known = Heads.of(checkpoint.about.get("heads"))
    if known is None or not known.each:
        return checkpoint
    return checkpoint.with_about(heads=asdict(known) | {"each": False})


def _shared(found: Mapping[str, tuple[str, tuple[int, int]]], count: int) -> int:
    """Return the number of heads of keys and values: all heads have as many rows."""
    rows = {what: shape[0] for what, shape in found.values()}
    if "query" not in rows or "shared" not in rows:
        return count
    return max(count * rows["shared"] // rows["query"], 1)
