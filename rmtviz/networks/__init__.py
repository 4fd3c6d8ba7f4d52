"""How a checkpoint becomes something that runs, by name: a choice, called with the checkpoint.

To add one: a file beside this one with a frozen choice whose call returns a `Runner`, a line
in the table, and the way to it in `detect`. This package imports torch.
"""

from collections.abc import Mapping
from dataclasses import replace

from rmtviz import layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.networks import cnn, mlp
from rmtviz.networks._choosing import best, recorded, score
from rmtviz.networks.base import ACTIVATIONS, INPUTS, Choice, Network, Runner, one_thread
from rmtviz.networks.cnn import CNN
from rmtviz.networks.mlp import DETECTED_ON, MLP, SLACK
from rmtviz.networks.onnx import ONNX

NETWORKS: Mapping[str, type[MLP] | type[CNN] | type[ONNX]] = {
    "mlp": MLP,
    "cnn": CNN,
    "onnx": ONNX,
}
"""The kinds of network, by name."""

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "INPUTS",
    "MLP",
    "NETWORKS",
    "ONNX",
    "Choice",
    "Network",
    "Runner",
    "detect",
    "one_thread",
]


def detect(
    checkpoint: Checkpoint,
    dataset: Dataset,
    foreign: bool = True,
    *,
    activation: str | None = None,
    inputs: str | None = None,
    order: tuple[str, ...] | None = None,
    layout: str | None = None,
) -> Choice:
    """Return how the checkpoint is run, what it leaves open being found on selection images.

    An ONNX file runs as its graph says. Else see `cnn.detect` where there is a convolution,
    and `mlp.detect` where there is none. What is given is kept.

    Raises:
        DataRefused: the dataset's images or classes do not fit the network.
        CannotRun, BadOption: as the choices and their calls.
    """
    if checkpoint.graph is not None:
        return _graph(checkpoint, dataset, foreign, inputs)
    if any(each.rule.window for each in layers.find(checkpoint)[0]):
        return cnn.detect(
            checkpoint, dataset, foreign, activation=activation, inputs=inputs, layout=layout
        )
    return mlp.detect(
        checkpoint, dataset, foreign, activation=activation, inputs=inputs, order=order
    )


def _graph(checkpoint: Checkpoint, dataset: Dataset, foreign: bool, inputs: str | None) -> ONNX:
    """Return the choice that runs a graph, with the inputs that read the most images right."""
    ways = recorded(checkpoint, inputs, "inputs", list(INPUTS))
    choices = [ONNX(way, dataset.mean, dataset.std, dataset.top) for way in ways]
    network = choices[0](checkpoint)
    network.check(dataset)
    if len(choices) == 1:
        return choices[0]
    some = dataset.split("selection", foreign=foreign).first(DETECTED_ON)
    scores = {}
    for choice in choices:
        centre, scale = INPUTS[choice.inputs](choice.mean, choice.std, choice.top)
        scores[choice] = score(replace(network, centre=centre, scale=scale), some)
    return best(scores, SLACK)
