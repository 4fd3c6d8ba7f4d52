"""Copies of the weights beside them in a file, such as averages (EMA): which tensor is whose.

A copy's tensors go by the names of the weights; by these names without their dots (Stable
Diffusion's); or by the order of the trained tensors alone (`shadow_params` of diffusers and
torch_ema). Only what matches in every shape is a copy: nothing is guessed.
"""

from collections.abc import Iterator, Mapping

from rmtviz.checkpoint import BUFFERS, Tensor
from rmtviz.formats._names import COPIES, stripped

_INSIDE = ("shadow_params.", "ema_model.", "averaged_model.", "state_dict.", "module.")
"""What stands inside a copy before the names of its tensors."""

_BEFORE = ("", "model.", "module.", "net.", "network.", "online_model.")
"""What the names of the weights may have before those of a copy."""

_COUNTERS = ("decay", "num_updates", "n_averaged", "step", "initted", "optimization_step")
"""What is counted beside a copy, as tensors."""

Tensors = Mapping[str, Tensor]


def split(tensors: Tensors, beside: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensors]]:
    """Return the weights without copies of them, and these by name, under the weights' names.

    `beside` are the tensors of the file that are not among the weights, by their full names.
    A copy that leaves some tensors out has those of the weights.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in (*beside.items(), *tensors.items()):
        parts = name.split(".")
        place = next((i for i, part in enumerate(parts[:-1]) if part in COPIES), None)
        if place is not None:
            group = groups.setdefault(".".join(parts[: place + 1]), {})
            group[".".join(parts[place + 1 :])] = tensor
    found: dict[str, Tensors] = {}
    for path, group in groups.items():
        plain = {name: it for name, it in tensors.items() if not name.startswith(f"{path}.")}
        matched = _matched(plain, _inside(group))
        if matched:
            tensors, found[path] = plain, {**plain, **matched}
    names = dict.fromkeys(tensors)
    return dict(tensors), {
        path: {name: copy[name] for name in names} for path, copy in found.items()
    }


def _inside(group: Tensors) -> Tensors:
    """Return the tensors of a group by the names that the copy gives them, without its counters."""
    for prefix in _INSIDE:
        inner = {n.removeprefix(prefix): it for n, it in group.items() if n.startswith(prefix)}
        if inner:
            return _inside(inner)
    return stripped({name: it for name, it in group.items() if name not in _COUNTERS})


def _matched(tensors: Tensors, copy: Tensors) -> dict[str, Tensor]:
    """Return a copy's tensors under the names of the weights; none where any has no place."""
    for names in _orders(tensors, copy):
        pairs = zip(names, copy.values(), strict=True)
        if all(name in tensors and tensors[name].shape == it.shape for name, it in pairs):
            return dict(zip(names, copy.values(), strict=True))
    return {}


def _orders(tensors: Tensors, copy: Tensors) -> Iterator[list[str]]:
    """Yield the names that a copy's tensors may have among the weights."""
    if not copy:
        return
    trained = [
        name
        for name, it in tensors.items()
        if it.floating and name.rpartition(".")[2] not in BUFFERS
    ]
    if all(name.isdecimal() for name in copy):
        if len(trained) == len(copy):
            yield trained
        return
    for before in _BEFORE:
        yield [before + name for name in copy]
        known = {
            n.removeprefix(before).replace(".", ""): n for n in tensors if n.startswith(before)
        }
        yield [known.get(name, "") for name in copy]
