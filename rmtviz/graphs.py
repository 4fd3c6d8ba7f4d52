"""ONNX graphs: what their tensors are to the layers, and the same graph with other weights.

A checkpoint that was read from an ONNX file keeps the file's bytes (`Checkpoint.graph`), for
the graph says what the weights alone do not: which tensor multiplies and from which side, how
many groups a convolution has, how large its output is. Weights that it holds as codes are what
`codes` makes of them. Needs the extra `onnx`. Nothing here runs a graph.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtviz import codes, layers, protos
from rmtviz.checkpoint import FLOATS, Checkpoint, double
from rmtviz.errors import CannotRun
from rmtviz.kinds import KINDS
from rmtviz.protos import inferred as inferred
from rmtviz.protos import parse as parse

TWICE = ("Gemm", "MatMul", "Conv", "ConvTranspose")
"""Operators whose weight can become two, the operator running twice."""

RECURRENT = ("RNN", "GRU", "LSTM")
"""Operators whose second and third input are matrices for each gate and direction."""

FLIPPED = {"linear": "transposed", "transposed": "linear"}
"""The kind of a tensor that is transposed before its use, by that of what is used."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What a graph does with its tensors, by their names.

    `kinds` are keys of `kinds.SINGLE`, `groups` those of convolutions in more than one,
    `others` keys under `skipped` for tensors with sides that are no layer's matrix; `places`
    the number of places at which a layer's matrix is applied for one sample, where known.
    """

    kinds: Mapping[str, str]
    groups: Mapping[str, int]
    others: Mapping[str, str]
    places: Mapping[str, int]


def described(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint that has a graph with what the graph says of its tensors on record.

    Raises:
        FileRefused, ExtraMissing: as `parse`.
    """
    if checkpoint.graph is None:
        return checkpoint
    found = roles(parse(checkpoint.graph, checkpoint.source))
    told = {"kinds": found.kinds, "groups": found.groups, "others": found.others}
    return checkpoint.with_about(**{key: dict(value) for key, value in told.items()})


def write(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint's graph with the checkpoint's weights, as an ONNX file.

    A factored layer becomes two operators in place of one; where the graph uses its tensor
    in a way that cannot be doubled, the product is written, dense. Codes stay as they are
    where the weight is as it was.

    Raises:
        CannotRun: the checkpoint has no graph.
        ExtraMissing: the package onnx is not installed.
    """
    if checkpoint.graph is None:
        raise CannotRun("no_graph")
    model = parse(checkpoint.graph, checkpoint.source)
    pairs = layers.factored_pairs(checkpoint)
    coded, _ = codes.find(model)
    same = {each.name for each in coded if _same(checkpoint, each)}
    codes.plain(model, [each for each in coded if each.name not in same])
    for name, proto in list(protos.tensors(model)):
        label = next((x for x in (name, name.removesuffix(".weight")) if x in pairs), None)
        moved = f"{name.removesuffix('.bias')}.1.bias"
        if name in same:
            continue
        if name in checkpoint:
            protos.put(proto, checkpoint[name])
        elif label is not None:
            _factor(model, name, proto, checkpoint, pairs[label])
        elif name.endswith(".bias") and moved in checkpoint:
            protos.put(proto, checkpoint[moved])
            protos.rename(model.graph, name, moved)
    notes = [entry for entry in model.metadata_props if entry.key != "rmtviz"]
    del model.metadata_props[:]
    model.metadata_props.extend(notes)
    model.metadata_props.add(key="rmtviz", value=json.dumps(dict(checkpoint.about)))
    return bytes(model.SerializeToString())


def roles(model: Any) -> Roles:
    """Return what a model's graph does with its tensors."""
    kinds: dict[str, str] = {}
    groups: dict[str, int] = {}
    others: dict[str, str] = {}
    places: dict[str, int] = {}
    model = _without_codes(model)
    held = dict(protos.tensors(model))
    sources = _sources(model, held)
    shapes = inferred(model)
    for node in protos.nodes(model.graph):
        for place, given in enumerate(node.input):
            name, turned = sources.get(given, (given, False))
            if node.output[0] in sources or name not in held or len(held[name].dims) < 2:
                continue
            kind = _kind(node, place, len(held[name].dims))
            kind = FLIPPED.get(kind or "") if turned else kind
            if kind is None or kinds.get(name, kind) != kind:
                others.setdefault(name, _other(node, place))
                continue
            kinds[name] = kind
            count = protos.attribute(node, "group", 1)
            if count > 1:
                groups[name] = count
            if (times := _places(node, shapes)) is not None:
                places[name] = places.get(name, 0) + times
    layered = {name: kind for name, kind in kinds.items() if name not in others}
    return Roles(layered, groups, others, places)


def _kind(node: Any, place: int, sides: int) -> str | None:
    """Return the kind of the tensor that is this input of a node; None: it is no layer's."""
    if sides == 2 and node.op_type == "Gemm" and place == 1:
        return "linear" if protos.attribute(node, "transB", 0) else "transposed"
    if sides == 2 and node.op_type == "MatMul":
        return "transposed" if place == 1 else "linear"
    if node.op_type in RECURRENT:
        return node.op_type.lower() if sides == 3 and place in (1, 2) else None
    if sides > 5 or place != 1:
        return None
    backwards = node.op_type == "ConvTranspose" and protos.attribute(node, "group", 1) == 1
    named = {"Conv": "convolution", "ConvTranspose": "transposed_convolution"}
    return named[node.op_type] if node.op_type == "Conv" or backwards else None


def _sources(model: Any, held: Mapping[str, Any]) -> Mapping[str, tuple[str, bool]]:
    """Return the matrix that the model holds and each of these values is, and if it is turned.

    Those are the values that come of a matrix by handing it on, transposing it, or giving its
    numbers another floating-point type.
    """
    found: dict[str, tuple[str, bool]] = {}
    for node in model.graph.node:
        given = node.input[0] if node.input else ""
        name, turned = found.get(given, (given, False))
        turns = node.op_type == "Transpose" and all(list(x.ints) == [1, 0] for x in node.attribute)
        hands = node.op_type == "Identity" or _converts(node)
        if name in held and (hands or (turns and len(held[name].dims) == 2)):
            found[node.output[0]] = name, turned != turns
    return found


def _converts(node: Any) -> bool:
    """Return whether a node does nothing but give numbers another floating-point type."""
    code = protos.attribute(node, "to", 0)
    return node.op_type == "Cast" and protos.numbers(code).name in FLOATS


def _without_codes(model: Any) -> Any:
    """Return a model whose weights stand as numbers where codes stood, without these numbers."""
    found, _ = codes.find(model)
    if not found:
        return model
    other = type(model)()
    other.CopyFrom(model)
    codes.plain(other, found, hollow=True)
    return other


def _same(checkpoint: Checkpoint, coded: codes.Coded) -> bool:
    """Return whether a weight is what the codes in the graph stand for."""
    tensor = checkpoint.tensors.get(coded.name)
    whole = tensor is not None and tensor.shape == tuple(coded.proto.dims)
    return whole and np.array_equal(checkpoint[coded.name], coded.numbers(), equal_nan=True)


def _places(node: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> int | None:
    """Return at how many places of one sample a node applies its weight, from the shapes.

    The first side is the batch; the channels are the second of a convolution, else the last.
    A recurrent node applies its weights once for each step of what it is given.
    """
    if node.op_type in RECURRENT:
        given = shapes.get(node.input[0], ())
        return given[protos.attribute(node, "layout", 0) == 1] if len(given) == 3 else None
    shape = shapes.get(node.output[0], ())
    if len(shape) < 2:
        return None
    sides = shape[2:] if "Conv" in node.op_type else shape[1:-1]
    known = [side for side in sides if side is not None]
    return math.prod(known) if len(known) == len(sides) else None


def _other(node: Any, place: int) -> str:
    """Return why this input of a node is no layer, as a key under `skipped`."""
    if node.op_type in RECURRENT and place == 3:
        return "bias"
    return "embedding" if node.op_type == "Gather" else "constant"


def _factor(
    model: Any, name: str, proto: Any, checkpoint: Checkpoint, pair: tuple[str, str]
) -> None:
    """Run each operator with this weight twice, with the pair; else write the pair's product."""
    graph = model.graph
    users = [node for node in graph.node if name in node.input]
    initial = any(x.name == name for x in graph.initializer)
    if not (users and initial and all(_doubles(node, name) for node in users)):
        told = layers.told_kinds(checkpoint).get(pair[1], "")
        kind = KINDS[told if told in KINDS else "linear" if len(proto.dims) == 2 else "convolution"]
        first, second = (double(kind.to_matrix(checkpoint[x])) for x in pair)
        protos.put(proto, kind.from_matrix(second @ first, tuple(proto.dims)))
        return
    dtype = protos.dtype(proto)
    protos.drop(graph, [name])
    protos.hold(model, {each: checkpoint[each].astype(dtype) for each in pair})
    for count, node in enumerate(users):
        _double(graph, node, pair, f"{pair[0]}.{count}")


def _doubles(node: Any, name: str) -> bool:
    """Return whether a node can run twice in place of once, for its weight of this name."""
    inputs = list(node.input)
    plain = protos.attribute(node, "transA", 0) == 0 and protos.attribute(node, "group", 1) == 1
    return node.op_type in TWICE and plain and inputs.count(name) == 1 and inputs[1:2] == [name]


def _double(graph: Any, node: Any, pair: tuple[str, str], label: str) -> None:
    """Put a node before this one that goes through the first of the pair; this takes the second."""
    first = protos.library().NodeProto()
    first.CopyFrom(node)
    first.name = label
    del first.input[2:]
    first.input[1] = pair[0]
    first.output[0] = f"{label}.out"
    own = [x for x in first.attribute if x.name not in ("alpha", "beta")]
    del first.attribute[:]
    first.attribute.extend(own)
    node.input[0] = first.output[0]
    node.input[1] = pair[1]
    if "Conv" in node.op_type:
        sides = next((len(x.ints) for x in node.attribute if x.name == "kernel_shape"), None)
        del node.attribute[:]
        if sides:
            node.attribute.append(
                protos.library().helper.make_attribute("kernel_shape", [1] * sides)
            )
    place = next(i for i, each in enumerate(graph.node) if each is node or each == node)
    graph.node.insert(place, first)
