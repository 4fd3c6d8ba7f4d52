"""Weights that an ONNX graph holds as codes, as the numbers that the network computes with.

A code q stands for s (q − z); scale s and zero point z are one for all, one for each place along
an axis, or one for each block along it. Three ways lead from codes to a layer: DequantizeLinear,
which makes numbers of them; the same behind QuantizeLinear, which rounds numbers to codes, as
training that knows of the rounding leaves it; and operators that take codes as they are. A weight
that is to change becomes plain numbers in the graph, see `plain`; the others stay as they are.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import protos
from rmtviz.checkpoint import Tensor
from rmtviz.grids import INTEGERS, READ, SCALES, Grid
from rmtviz.protos import Flow

ORDINARY = ("", "ai.onnx")
"""The domain of the operators that the standard names."""

CODES = {
    "DequantizeLinear": 0,
    **{"MatMulInteger": 1, "ConvInteger": 1, "QLinearMatMul": 3, "QLinearConv": 3},
}
"""Operators that take codes, and at which place those of a weight stand."""

SUFFIX = re.compile(r"[._](quantized|quant)$")
"""What tools add to a weight's name where they put its codes."""

KINDS = ("MatMul", "Gemm", "Conv")
"""What the last part of an operator's name begins with where it says only what it is."""

TELLING = re.compile(r"weight|kernel|bias|embed")
"""Names that say what a tensor is; for others the name of what it feeds says more."""


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A weight that a graph holds as codes of the type `dtype`.

    `name` is what it is called as a weight, `tensor` what the graph calls the codes; with
    `rounding` the graph holds numbers there, which become codes first. `values` are the names
    of the numbers that are made of the codes, `operators` the first outputs of operators that
    take the codes as they are.
    """

    name: str
    tensor: str
    proto: Any
    dtype: np.dtype
    grid: Grid
    rounding: Grid | None
    values: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of scales and zero points."""
        return self.grid.names + (self.rounding.names if self.rounding else ())

    @property
    def key(self) -> tuple[object, ...]:
        """What is the same for uses of one weight, and for no other."""
        grids = (self.grid, self.rounding or self.grid)
        return self.tensor, *((it.names, it.axis, it.block) for it in grids)

    def numbers(self) -> NDArray[Any]:
        """Return the numbers that the network computes with."""
        held = protos.array(self.proto)
        codes = self.rounding.rounded(held, self.dtype) if self.rounding else held
        return self.grid.numbers(codes)

    def weights(self) -> Tensor:
        """Return the numbers as a tensor that is made when it is read."""
        sides, stored = tuple(self.proto.dims), protos.nbytes(self.proto)
        return Tensor(sides, self.grid.scale.dtype, self.numbers, self.dtype.name, stored)


def find(model: Any) -> tuple[tuple[Coded, ...], tuple[str, ...]]:
    """Return the weights that a graph holds as codes, and the names of codes nobody can read.

    Those go where codes go, but their scale is not in the file, or does not fit; or they go into
    an operator that the standard does not name.
    """
    flow = Flow.of(model)
    found: dict[tuple[object, ...], Coded] = {}
    unknown: dict[str, None] = {}
    for node in model.graph.node:
        if node.domain not in ORDINARY:
            unknown |= dict.fromkeys(name for name in node.input if _whole(flow, name))
        place = CODES.get(node.op_type, len(node.input))
        if place >= len(node.input) or node.domain not in ORDINARY:
            continue
        coded = _coded(flow, node, node.input[place])
        if coded is None:
            unknown |= dict.fromkeys({node.input[place]} & flow.held.keys())
            continue
        first = found.setdefault(coded.key, coded)
        if first is not coded:
            values, operators = first.values + coded.values, first.operators + coded.operators
            found[coded.key] = replace(first, values=values, operators=operators)
    named: dict[str, Coded] = {}
    for coded in found.values():
        name = next(x for x in _names(flow, coded) if x not in named)
        named[name] = replace(coded, name=name)
    known = {coded.tensor for coded in named.values()}
    return tuple(named.values()), tuple(name for name in unknown if name not in known)


def plain(model: Any, chosen: Iterable[Coded], *, hollow: bool = False) -> None:
    """Hold weights as plain numbers in place of codes, under their names; `hollow` without them.

    What made numbers of the codes goes, with all that nothing uses any more. Operators that took
    codes become ordinary ones, between what makes numbers of their other codes and what rounds
    their output, where there is any.
    """
    flow = Flow.of(model)
    nodes = [[node] for node in flow.nodes]
    renamed: dict[str, str] = {}
    arrays: dict[str, NDArray[Any]] = {}
    loose: list[str] = []
    made: list[tuple[Coded, Any]] = []
    for coded in chosen:
        for value in coded.values:
            at = flow.makers[value]
            renamed[value] = coded.name
            loose += [value, *flow.nodes[at].input]
            nodes[at] = []
        for output in coded.operators:
            at = flow.makers[output]
            weight = f"{output}.weight"
            renamed[weight] = coded.name
            loose += flow.nodes[at].input
            dynamic = _dynamic(flow, flow.nodes[at])
            if dynamic:
                nodes[at], nodes[dynamic.cast] = [], []
                last = flow.nodes[dynamic.last]
                loose += last.input
                nodes[dynamic.last] = [
                    _ordinary(flow.nodes[at], [dynamic.given, weight], last.output[0])
                ]
            else:
                bias = _bias(flow, flow.nodes[at])
                arrays |= {f"{output}.bias": bias} if bias is not None else {}
                nodes[at] = list(_between(flow, flow.nodes[at], weight))
        made.append((coded, None if hollow else coded.numbers()))
    kept = [node for group in nodes for node in group]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    protos.sweep(model, loose)
    protos.reroute(model.graph, renamed)
    protos.drop(model.graph, renamed)
    for coded, numbers in made:
        if numbers is not None:
            arrays[coded.name] = numbers
        else:
            code = protos.code(coded.grid.scale.dtype)
            model.graph.initializer.add(name=coded.name, dims=coded.proto.dims, data_type=code)
    protos.hold(model, arrays)


@dataclass(frozen=True, slots=True)
class _Dynamic:
    """A product of codes that are made of numbers as it runs.

    The names of these numbers and of the weight's scale; the places of the two nodes that make
    numbers of the product.
    """

    given: str
    scale: str
    cast: int
    last: int


def _dynamic(flow: Flow, node: Any) -> _Dynamic | None:
    """Return how x and W are multiplied in (q(x) q(W)) · (s(x) s(W)); None: not in this way."""
    source = flow.maker(node.input[0])
    cast = flow.user(node.output[0], "Cast")
    last = flow.user(cast.output[0], "Mul") if cast else None
    if source is None or source.op_type != "DynamicQuantizeLinear" or not (cast and last):
        return None
    whole = source.input and [*source.output[::2]] == [node.input[0], *node.input[2:3]]
    for product in map(flow.maker, last.input):
        if product is None or product.op_type != "Mul" or not whole:
            continue
        others = [name for name in product.input if name != source.output[1]]
        at, end = (flow.makers.get(each.output[0]) for each in (cast, last))
        if len(others) == 1 and others[0] in flow.held and at is not None and end is not None:
            return _Dynamic(source.input[0], others[0], at, end)
    return None


def _between(flow: Flow, node: Any, weight: str) -> Iterator[Any]:
    """Yield an operator on numbers in place of one on codes, and what is before and after it."""
    make, output = protos.library().helper.make_node, node.output[0]
    given, made = f"{output}.given", f"{output}.made"
    bias = [f"{output}.bias"] if _bias(flow, node) is not None else []
    yield make("DequantizeLinear", node.input[:3], [given])
    yield _ordinary(node, [given, weight, *bias], made)
    yield make("QuantizeLinear", [made, *node.input[6:8]], [output])


def _ordinary(node: Any, inputs: Iterable[str], output: str) -> Any:
    """Return the operator on numbers that stands for one on codes."""
    made = type(node)()
    made.CopyFrom(node)
    made.op_type = "Conv" if "Conv" in node.op_type else "MatMul"
    del made.input[:], made.output[:]
    made.input.extend(inputs)
    made.output.append(output)
    return made


def _bias(flow: Flow, node: Any) -> NDArray[Any] | None:
    """Return the bias of a QLinearConv as numbers: its scale is that of x times that of W."""
    if len(node.input) < 9 or not node.input[8]:
        return None
    codes, given, weight = (protos.array(flow.held[node.input[at]]) for at in (8, 1, 4))
    unit = given.astype(np.float64).reshape(-1) * weight.astype(np.float64).reshape(-1)
    made: NDArray[Any] = (codes * unit).astype(weight.dtype)
    return made


def _coded(flow: Flow, node: Any, value: str) -> Coded | None:
    """Return the weight whose codes are this input of a node; None where they can't be read."""
    before = flow.maker(value)
    rounds = before is not None and before.op_type == "QuantizeLinear"
    tensor = next(iter(before.input), "") if before is not None and rounds else value
    grid = _grid(flow, node)
    rounding = _grid(flow, before) if rounds else None
    whole = node.output[0] and grid is not None and (rounding is not None or not rounds)
    if tensor not in flow.held or grid is None or not whole:
        return None
    proto = flow.held[tensor]
    dtype, shape = protos.dtype(proto), tuple(proto.dims)
    if rounding is not None:
        numbers, dtype = dtype, _rounded_type(before, rounding)
        if numbers.name not in SCALES or dtype.name not in INTEGERS or not rounding.fits(shape):
            return None
    if dtype.name not in READ or not grid.fits(shape) or flow.ends & {*node.output}:
        return None
    if node.op_type.startswith("QLinear") and not _bounded(flow, node, shape):
        return None
    made = Coded("", tensor, proto, dtype, grid, rounding)
    use = (node.output[0],)
    one = node.op_type == "DequantizeLinear"
    return replace(made, values=use) if one else replace(made, operators=use)


def _rounded_type(node: Any, grid: Grid) -> np.dtype:
    """Return the type of the codes that a QuantizeLinear makes."""
    said = protos.attribute(node, "output_dtype", 0)
    usual = np.dtype(np.uint8) if grid.zero is None else grid.zero.dtype
    return protos.numbers(said) if said else usual


def _bounded(flow: Flow, node: Any, shape: tuple[int, ...]) -> bool:
    """Return whether an operator on codes has one scale for its input, and a bias that fits."""
    scale, bias = (flow.held.get(name) for name in (*node.input[1:2], *(*node.input[8:9], "")[:1]))
    fits = bias is None or tuple(bias.dims) == shape[:1]
    whole = bias is not None or not any(node.input[8:9])
    return scale is not None and math.prod(scale.dims) == 1 and fits and whole


def _whole(flow: Flow, name: str) -> bool:
    """Return whether a graph holds whole numbers with sides under a name."""
    proto = flow.held.get(name)
    return proto is not None and len(proto.dims) > 1 and protos.dtype(proto).name in INTEGERS


def _grid(flow: Flow, node: Any) -> Grid | None:
    """Return scale and zero point of what a node does; None where they are not in the file."""
    op, block = node.op_type, 0
    axis = 0 if "Conv" in op else -1
    if op.endswith("Linear"):
        names = [*node.input[1:3]]
        axis, block = (protos.attribute(node, *it) for it in (("axis", 1), ("block_size", 0)))
    elif op.endswith("Integer"):
        dynamic = _dynamic(flow, node)
        names = [dynamic.scale if dynamic else "", *node.input[3:4]]
    else:
        names = [*node.input[4:6]]
    if not names or not flow.held.keys() >= {names[0], *filter(None, names)}:
        return None
    scale, *zero = (protos.array(flow.held[name]) for name in names if name)
    return Grid(tuple(filter(None, names)), scale, zero[0] if zero else None, axis, block)


def _names(flow: Flow, coded: Coded) -> Iterator[str]:
    """Yield names for a weight, the most telling first, that nothing else in the graph has."""
    uses = {*coded.values, *coded.operators}
    steps = {out for user in flow.users[coded.tensor] for out in user.output}
    if coded.rounding:
        steps = {out for step in steps for user in flow.users[step] for out in user.output}
    own, fed = SUFFIX.sub("", coded.tensor), _fed(flow, coded)
    mine = {*coded.values} | ({coded.tensor} if steps <= uses else set())
    first = (own, fed) if coded.rounding or TELLING.search(own) else (fed, own)
    numbered = (f"{own}.{number}" for number in itertools.count(1))
    for name in itertools.chain(first, [coded.tensor, *coded.values], numbered):
        if name and (name in mine or not flow.known(name)):
            yield name


def _fed(flow: Flow, coded: Coded) -> str:
    """Return the name of the operator that a weight feeds, without its kind; empty: it has none."""
    users = [user for value in coded.values for user in flow.users[value]]
    user = users[0] if users else flow.maker(next(iter(coded.operators), ""))
    path = user.name.strip("/").split("/") if user is not None else []
    if len(path) > 1 and path[-1].startswith(KINDS):
        path.pop()
    return SUFFIX.sub("", ".".join(path))
