"""An ONNX graph with weights as plain numbers where it held codes: the others stay as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import protos
from rmtviz.codes import Coded, dynamic
from rmtviz.protos import Flow


def plain(model: Any, chosen: Iterable[Coded], *, hollow: bool = False) -> None:
    """Hold weights as plain numbers in place of codes, under their names; `hollow` without them.

    What made numbers of the codes goes, with all that nothing uses any more. Operators that took
    codes become ordinary ones, between what makes numbers of their other codes and what rounds
    their output, where there is any.
    """
    change, weights = _Change.of(model), tuple(chosen)
    for coded in weights:
        for value in coded.values:
            change.undo(value, coded.name)
        for output in coded.operators:
            change.operate(output, coded.name)
    arrays = change.arrays if hollow else change.arrays | {x.name: x.numbers() for x in weights}
    change.make(model)
    if hollow:
        for coded in weights:
            code = protos.code(coded.grid.scale.dtype)
            model.graph.initializer.add(name=coded.name, dims=coded.proto.dims, data_type=code)
    protos.hold(model, arrays)


@dataclass(slots=True)
class _Change:
    """What a graph is to become.

    The nodes in the place of each one, other names for values, numbers that it is to hold, and
    the names of values that may be of no use any more.
    """

    flow: Flow
    nodes: list[list[Any]]
    renamed: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, model: Any) -> "_Change":
        """Return the change of a model's graph that changes nothing."""
        flow = Flow.of(model)
        return cls(flow, [[node] for node in flow.nodes])

    def undo(self, value: str, name: str) -> None:
        """Take out what makes this value of codes: the weight of this name stands for it."""
        at = self.flow.makers[value]
        self.renamed[value] = name
        self.loose += [value, *self.flow.nodes[at].input]
        self.nodes[at] = []

    def operate(self, output: str, name: str) -> None:
        """Let the operator with this output work on numbers, with the weight of this name."""
        at, weight = self.flow.makers[output], f"{output}.weight"
        node = self.flow.nodes[at]
        self.renamed[weight] = name
        self.loose += node.input
        if (product := dynamic(self.flow, node)) is not None:
            self.nodes[at], self.nodes[product.cast] = [], []
            last = self.flow.nodes[product.last]
            self.loose += last.input
            self.nodes[product.last] = [_ordinary(node, [product.given, weight], last.output[0])]
            return
        bias = _bias(self.flow, node)
        if bias is not None:
            self.arrays[f"{output}.bias"] = bias
        self.nodes[at] = list(_between(node, weight, bias is not None))

    def make(self, model: Any) -> None:
        """Change the graph of the model that it was made of."""
        del model.graph.node[:]
        model.graph.node.extend(node for group in self.nodes for node in group)
        protos.sweep(model, self.loose)
        protos.reroute(model.graph, self.renamed)
        protos.drop(model.graph, self.renamed)


def _between(node: Any, weight: str, biased: bool) -> Iterator[Any]:
    """Yield an operator on numbers in place of one on codes, and what is before and after it."""
    make, output = protos.library().helper.make_node, node.output[0]
    given, made = f"{output}.given", f"{output}.made"
    bias = [f"{output}.bias"] if biased else []
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
