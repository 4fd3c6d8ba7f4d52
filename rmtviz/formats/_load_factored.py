"""Load the factored weights beside this file into the network that they came from.

    from load_factored import load

    network = load(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)), folder)

Each factored layer becomes two; every other name is as it was. Needs torch and safetensors only.
"""

from pathlib import Path
from typing import Any


def load(network: Any, folder: str | Path) -> Any:
    """Return the network with the weights in a folder; none may be missing or left over."""
    import json

    from safetensors import safe_open
    from torch import nn

    class Pair(nn.Sequential):
        """Two layers for one; programs ask a layer for the type of its weights."""

        weight = property(lambda self: self[1].weight)
        bias = property(lambda self: self[1].bias)

    with safe_open(Path(folder) / "factored.safetensors", "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        record = json.loads(file.metadata()["rmtviz"])
    for name in record["factored"]:
        old, names = network.get_submodule(name), (f"{name}.0.weight", f"{name}.1.weight")
        if record.get("kinds", {}).get(names[0]) == "transposed":  # GPT-2 has its inputs first
            weights |= {each: weights[each].T.contiguous() for each in names}
        first, second = (weights[each] for each in names)
        if isinstance(old, nn.Embedding):  # a table that is looked up stays one
            weights[f"{name}.weight"] = weights.pop(names[1]) @ weights.pop(names[0])
            continue
        like: dict[str, Any] = {"device": old.weight.device, "dtype": old.weight.dtype}
        last: dict[str, Any] = {**like, "bias": f"{name}.1.bias" in weights}
        if first.ndim == 2:
            (rank, inputs), outputs = first.shape, len(second)
            pair = nn.Linear(inputs, rank, bias=False, **like), nn.Linear(rank, outputs, **last)
        else:
            window = {x: getattr(old, x) for x in ("stride", "padding", "dilation", "padding_mode")}
            rank, inputs, *sides = first.shape
            conv = type(old)(inputs, rank, tuple(sides), bias=False, **window, **like)
            pair = conv, type(old)(rank, len(second), 1, **last)
        network.set_submodule(name, Pair(*pair))
    named = network.state_dict(keep_vars=True)
    known = {id(it): weights[name] for name, it in named.items() if name in weights}
    tied = {name: known[id(it)] for name, it in named.items() if id(it) in known}
    network.load_state_dict({**tied, **weights}, strict=True)
    return network
