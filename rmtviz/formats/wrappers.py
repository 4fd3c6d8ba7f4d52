"""From what training scripts save to the weights alone: wrappers off, optimiser state aside.

A training checkpoint holds the weights as one entry among others. Which entry is told by its
name; where two could be meant, all are kept under their full names, and nothing is guessed.
All that is not taken is listed with its reason.
"""

import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats._names import COPIES, stripped
from rmtviz.formats.base import Contents, Leaf, Node, flat
from rmtviz.formats.sources import Limits, Source, short

STRONG = ("state_dict", "model_state_dict")
"""Entries that hold the weights whatever stands beside them."""

WEAK = ("model", "module", "net", "network", "weights", "params")
"""Entries that hold the weights if no other group of tensors stands beside them."""

ASIDE: Mapping[str, str] = MappingProxyType(
    {
        "optimizer": "optimizer",
        "optimizers": "optimizer",
        "optimizer_state": "optimizer",
        "optimizer_states": "optimizer",
        "optimizer_state_dict": "optimizer",
        "optim": "optimizer",
        "optim_state_dict": "optimizer",
        "opt_state": "optimizer",
        "scheduler": "scheduler",
        "scheduler_state_dict": "scheduler",
        "lr_scheduler": "scheduler",
        "lr_schedulers": "scheduler",
        "lr_scheduler_state_dict": "scheduler",
        "scaler": "scheduler",
        "grad_scaler": "scheduler",
        "rng_state": "random_state",
        "rng_states": "random_state",
        "random_state": "random_state",
        "cuda_rng_state": "random_state",
    }
)
"""Groups that are state of the training, and the reason why they are left out."""

STATES: Mapping[str, str] = MappingProxyType(
    {
        "exp_avg": "optimizer",
        "exp_avg_sq": "optimizer",
        "max_exp_avg_sq": "optimizer",
        "momentum_buffer": "optimizer",
        "rng_state": "random_state",
        "cuda_rng_state": "random_state",
    }
)
"""Single tensors that are state of the training, where an entry is called exactly so."""


SPARSE = ("sparse_tensor", "sparse_csr_tensor")
"""What torch calls a tensor of which only some numbers are stored, with their places."""


def unwrap(
    source: Source, contents: Contents, limits: Limits
) -> tuple[dict[str, Tensor], tuple[Skipped, ...], dict[str, Tensor]]:
    """Return the weights of a file by name, what was left out, and the tensors that stood beside.

    A group of tensors and nothing else is taken as it stands, whatever their names.

    Raises:
        FileRefused: no tensor is among them, too many are, or two have one name.
    """
    tree, left, prefix = contents.tree, list(contents.left_out), ""
    beside: dict[str, Tensor] = {}
    while (inner := wrapper(tree)) is not None:
        name, group = inner
        others = {key: node for key, node in tree.items() if key != name}
        left += [_skipped(prefix + key, key, node) for key, node in others.items()]
        groups = {key: node for key, node in others.items() if _aside(key, node) is None}
        for key, end in itertools.islice(flat(groups), limits.tensors):
            if isinstance(end, Tensor):
                beside[prefix + key] = end
        prefix, tree = f"{prefix}{name}.", group
    tensors: dict[str, Tensor] = {}
    plain = all(isinstance(node, Tensor) for node in tree.values())
    for name, key, node in _ends(tree if _aside("", tree) is None else {"optimizer": tree}):
        if not isinstance(node, Tensor) or (not plain and _aside(key, node)):
            left.append(_skipped(prefix + name, key, node))
        elif name in tensors:
            raise source.refuse("name_twice", name=short(name))
        else:
            tensors[name] = node
        if len(tensors) + len(left) > limits.tensors:
            raise source.refuse("limit_tensors", limit=limits.tensors)
    if not tensors:
        sparse = any(it.reason == "tensor_kind" and it.dtype in SPARSE for it in left)
        raise source.refuse("only_sparse" if sparse else "no_tensor", held=_held(left))
    return stripped(tensors), tuple(left), beside


def wrapper(tree: Mapping[str, Node]) -> tuple[str, Mapping[str, Node]] | None:
    """Return the entry that holds the weights, or None where the tree itself holds them."""
    groups = {
        name: node
        for name, node in tree.items()
        if isinstance(node, Mapping) and _aside(name, node) is None
    }
    rivals = [name for name, node in groups.items() if name not in COPIES and _weighty(node)]
    weak = rivals if len(rivals) == 1 and rivals[0] in WEAK else []
    return next(((name, groups[name]) for name in (*STRONG, *weak) if name in groups), None)


def _weighty(group: Mapping[str, Node]) -> bool:
    """Return whether a group may hold weights: a matrix is in it."""
    ends = (end for _, end in flat(group))
    return any(isinstance(end, Tensor) and end.floating and len(end.shape) > 1 for end in ends)


def _ends(tree: Mapping[str, Node], prefix: str = "") -> Iterator[tuple[str, str, Node]]:
    """Yield tensors, and what is left out as a whole: its full name, its own name, the node."""
    for key, node in tree.items():
        if isinstance(node, Mapping) and _aside(key, node) is None:
            yield from _ends(node, f"{prefix}{key}.")
        else:
            yield prefix + key, key, node


def _aside(key: str, node: Node) -> str | None:
    """Return why an entry is no part of the weights, or None where it may be one."""
    if isinstance(node, Tensor):
        return STATES.get(key)
    if isinstance(node, Mapping) and {"state", "param_groups"} <= node.keys():
        return "optimizer"
    return ASIDE.get(key)


def _skipped(name: str, key: str, node: Node) -> Skipped:
    """Return the row of something that is left out: for its name, or for where it stands."""
    reason = _aside(key, node)
    if isinstance(node, Tensor):
        return Skipped(name, node.shape, node.dtype.name, reason or "beside")
    if isinstance(node, Leaf):
        return Skipped(name, (), node.kind, reason or node.reason)
    return Skipped(name, (), "dict", reason or ("copy" if key in COPIES else "beside"))


def _held(left: list[Skipped], most: int = 8) -> str:
    """Return a short list of what a file without weights holds."""
    words = [f"{short(it.name, 30)} ({it.dtype})" for it in left[:most]]
    return ", ".join(words + ["…"] * (len(left) > most)) or "–"
