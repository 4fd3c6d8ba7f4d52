"""What words on the command line say of a file: kinds, pairs, data, and how the network runs."""

import importlib.util
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmtviz.errors import BadOption, CannotRun, DataRefused, ExtraMissing


def declared(checkpoint: Any, factored: str | None) -> Any:
    """Return the checkpoint with the layers declared factored: names by commas, or "none".

    Raises:
        BadOption: a name of no two tensors that can be one layer.
    """
    if factored is None:
        return checkpoint
    from rmtviz import layers

    names = [] if factored == "none" else [name.strip() for name in factored.split(",")]
    told = checkpoint.with_about(factored=names)
    pairs = layers.factored_pairs(told)
    for name in names:
        if name not in pairs:
            asked = [*layers.factored_pairs(checkpoint), *layers.suspected_pairs(checkpoint)]
            raise BadOption("unknown_layer", name=name, known=", ".join(asked) or "–")
    return told


def copied(checkpoint: Any, word: str | None) -> Any:
    """Return the checkpoint with the copy of its weights of this name, or of which it is a part.

    Raises:
        BadOption: no such copy, or several.
    """
    if word is None:
        return checkpoint
    names = [name for name in checkpoint.copies if word.lower() in name.lower()]
    return checkpoint.taking(
        names[0] if len(names) == 1 and word not in checkpoint.copies else word
    )


def headed(checkpoint: Any, word: str | None) -> Any:
    """Return the checkpoint with each head looked at alone: "12", "32:8" or "config".

    Raises:
        BadOption: not of that form, or as `attention.by_heads`.
    """
    if word is None:
        return checkpoint
    from rmtviz import attention

    if word == "config":
        return attention.by_heads(checkpoint)
    counts = [int(part) if part.isdecimal() else 0 for part in word.split(":")]
    if len(counts) > 2 or 0 in counts:
        raise BadOption("heads_form", option=word)
    return attention.by_heads(checkpoint, *counts)


def told(checkpoint: Any, words: Sequence[str]) -> Any:
    """Return the checkpoint with the kinds of tensors that words such as "x.weight=linear" tell.

    Raises:
        BadOption: not of that form, no such tensor or kind, or one that its shape rules out.
    """
    if not words:
        return checkpoint
    from rmtviz import layers
    from rmtviz.kinds import SINGLE

    record = dict(layers.told_kinds(checkpoint))
    for word in words:
        name, _, kind = word.rpartition("=")
        if kind not in SINGLE:
            raise BadOption("unknown_name", name=kind, known=", ".join(SINGLE))
        tensor = checkpoint.tensors.get(name)
        if tensor is None or not layers.holds(kind, tensor):
            raise BadOption("kind_form", option=word)
        record[name] = kind
    return checkpoint.with_about(kinds=record)


def as_operators(
    checkpoint: Any, word: str | None, analysed: Container[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the convolutions with so many sides as "28x28" has, taken as operators on it.

    Only those of these names: a layer with NaN has no singular values.

    Raises:
        BadOption: the word is no size, or a window is larger than the picture.
    """
    if word is None:
        return
    from rmtviz import layers, operators

    parts = word.split("x")
    if not all(part.isdecimal() and 0 < int(part) < 10_000 for part in parts):
        raise BadOption("operator_form", option=word)
    sides = tuple(map(int, parts))
    for layer in layers.find(checkpoint)[0]:
        fits = len(operators.window(checkpoint, layer)) == len(sides)
        if fits and layer.name in analysed:
            values = operators.values(checkpoint, layer, sides)
            low, high = float(values[-1]), float(values[0])
            found = {"sides": word, "count": len(values), "low": low, "high": high}
            yield layer.name, found


def labelled(word: str | None) -> Any:
    """Return the dataset of this name, or in the file at this path; None for None.

    Raises:
        BadOption: neither a name nor a file.
        DataRefused: the file holds no labelled data.
    """
    from rmtviz import datasets, knobs

    if word is None:
        return None
    path = Path(word)
    if word in datasets.DATASETS or not path.is_file():
        return knobs.make(datasets.DATASETS, word)()
    return datasets.read({path.name: path.read_bytes()})


def frozen(
    pruned: Any, whole: Any, dataset: str | None, given: Mapping[str, str | None]
) -> tuple[Any, Mapping[str, int]]:
    """Return the pruned checkpoint with how the whole network runs in its record, and its places.

    Found on the whole network, so that the cut cannot change it; what was named is recorded
    as named, and nothing where torch or a dataset that fits is missing.
    """
    data = labelled(dataset)
    if importlib.util.find_spec("torch") is None:
        return pruned, {}
    from rmtviz import networks

    try:
        choice, _, _ = networks.match(whole, data, **given)
        return pruned.with_about(network=choice.record()), choice(whole).places
    except (CannotRun, DataRefused, ExtraMissing):
        if not (given["activation"] and given["inputs"]):
            return pruned, {}
        record = networks.MLP(given["activation"], given["inputs"]).record()
        return pruned.with_about(network=record), {}
