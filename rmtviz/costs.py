"""What a checkpoint costs: stored numbers, bytes, and multiply–accumulates of one input."""

from collections.abc import Mapping
from dataclasses import dataclass

from rmtviz import layers, sparse
from rmtviz.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Size:
    """What a checkpoint costs, counted from what is stored.

    Parameters, bytes of all tensors, and the multiply–accumulates of one input through all
    layers: one for each stored weight of a layer, for a convolution at each place of its
    output. Where those are not known, `placeless` is true and one place is counted.
    """

    parameters: int
    bytes: int
    macs: int
    placeless: bool = False

    @classmethod
    def of(cls, checkpoint: Checkpoint, places: Mapping[str, int] | None = None) -> "Size":
        """Count a checkpoint; `places` are the output places of layers by name."""
        found = [x for x in layers.find(checkpoint)[0] if x.kind != "embedding"]
        known = places or {}
        macs = sum(x.uses * x.parameters(checkpoint) * known.get(x.name, 1) for x in found)
        placeless = any(x.rule.window and x.name not in known for x in found)
        return cls(checkpoint.parameters, checkpoint.bytes, macs, placeless)

    @classmethod
    def sparse(cls, checkpoint: Checkpoint, places: Mapping[str, int] | None = None) -> "Size":
        """Count what is left where entries were dropped: a zero saves nothing while it is stored.

        Parameters and multiply–accumulates are those of entries that are not zero, bytes those
        of the smallest form of each tensor, with the places of its entries: see `sparse.nbytes`.
        """
        kept = {name: sparse.held(tensor) for name, tensor in checkpoint.tensors.items()}
        dense, known = cls.of(checkpoint, places), places or {}
        macs = sum(
            sum(kept[name] for name in x.tensors) // (x.part or (0, 1))[1] * known.get(x.name, 1)
            for x in layers.find(checkpoint)[0]
            if x.kind != "embedding"
        )
        matrices = {n: t for n, t in checkpoint.tensors.items() if t.floating and len(t.shape) > 1}
        dropped = sum(tensor.size - kept[name] for name, tensor in matrices.items())
        stored = sum(map(sparse.nbytes, checkpoint.tensors.values()))
        return cls(checkpoint.parameters - dropped, stored, macs, dense.placeless)
