"""Chains of linear layers: a multilayer perceptron from nothing but its weights.

The weights do not say which activation ran between the layers, nor how the pixels were
scaled; both are choices of `MLP`, and `detect` finds the pair that reads the images best.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rmtviz import layers as layer
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset, Samples
from rmtviz.errors import CannotRun
from rmtviz.networks._choosing import SLACK, TIE, recorded
from rmtviz.networks._weights import all_used, linear
from rmtviz.networks.base import ACTIVATIONS, INPUTS, Network, known, one_thread

DETECTED_ON = 1_000
"""The number of selection images on which activation and inputs are found."""

LOGITS: Mapping[str, tuple[nn.Module, ...]] = {"linear": (), "relu": (nn.ReLU(),)}
"""What runs behind the last layer. ReLU there is a fault of a published network, kept to show it:
a class whose logit is never positive has no gradient, and is never predicted.
"""


@dataclass(frozen=True, slots=True)
class MLP:
    """Linear layers, dense or factored, with one activation between them, at the end none or ReLU.

    `activation` and `inputs` are keys of `ACTIVATIONS` and `INPUTS`; `order` names all
    layers from first to last where shapes and names do not tell; `mean` and `std` are those
    of the grey levels / 255, used by the inputs "standard"; `top` is that 255. `logits` is a key
    of `LOGITS`: what runs behind the last layer.
    """

    activation: str = "relu"
    inputs: str = "unit"
    order: tuple[str, ...] | None = None
    mean: float = 0.1307
    std: float = 0.3081
    top: float = 255.0
    logits: str = "linear"

    def __post_init__(self) -> None:
        known(self.activation, ACTIVATIONS)
        known(self.inputs, INPUTS)
        known(self.logits, LOGITS)

    def record(self) -> dict[str, str]:
        """Return what a checkpoint's record says under "network": how it runs."""
        record = {"name": "mlp", "activation": self.activation, "inputs": self.inputs}
        return record if self.logits == "linear" else record | {"logits": self.logits}

    def __call__(self, checkpoint: Checkpoint) -> Network:
        """Return the network of these weights, computed in float32 whatever they are stored in.

        Raises:
            OrderUnknown: the layers fit together in more than one order.
            CannotRun: a tensor that would not be used, weights that are not finite, two
                layers that may be one factored layer, or shapes that do not chain.
        """
        if "factored" not in checkpoint.about and (pairs := layer.suspected_pairs(checkpoint)):
            raise CannotRun("perhaps_factored", names=", ".join(pairs))
        found = [each for each in layer.every(checkpoint) if _plain(each)]
        all_used(checkpoint, found)
        chain = layer.chain(found, self.order)
        stages: list[nn.Module] = []
        for each in chain:
            stages += [linear(checkpoint, each), ACTIVATIONS[self.activation]()]
        centre, scale = INPUTS[self.inputs](self.mean, self.std, self.top)
        stages[-1:] = LOGITS[self.logits]
        module = nn.Sequential(*stages).requires_grad_(False).eval()
        return Network(chain, self.activation, self.inputs, centre, scale, module)


def detect(
    checkpoint: Checkpoint,
    dataset: Dataset,
    foreign: bool = True,
    *,
    activation: str | None = None,
    inputs: str | None = None,
    order: tuple[str, ...] | None = None,
) -> MLP:
    """Return the activation and inputs with which the weights read the selection images best.

    What is given is kept, then what the checkpoint's record says (key "network"); the rest is
    tried out on the first 1,000. Activations of one family read almost the same, so a pair
    counts as well as the best if it gets only a few images less right (`SLACK`). Of those the
    one with the least loss is taken, or with the same inputs the first activation of the table
    whose loss is hardly larger (`TIE`).

    Raises:
        DataRefused: the dataset's images or classes do not fit the network.
        CannotRun, BadOption: as `MLP` and its call.
    """
    words = recorded(checkpoint, activation, "activation", list(ACTIVATIONS))
    ways = recorded(checkpoint, inputs, "inputs", list(INPUTS))
    ends = recorded(checkpoint, None, "logits", list(LOGITS))
    choice = MLP(
        words[0],
        ways[0],
        order,
        mean=dataset.mean,
        std=dataset.std,
        top=dataset.top,
        logits=ends[0],
    )
    network = choice(checkpoint)
    network.check(dataset)
    if len(words) == len(ways) == 1:
        return choice
    scores = _scores(network, dataset, dataset.split("selection", foreign=foreign), words, ways)
    enough = max(right for right, _ in scores.values()) - SLACK
    candidates = [pair for pair, (right, _) in scores.items() if right >= enough]
    best = min(candidates, key=lambda pair: scores[pair][1])
    way, most = best[1], TIE * scores[best][1]
    word = next(word for word, its in candidates if its == way and scores[word, its][1] <= most)
    return replace(choice, activation=word, inputs=way)


def _scores(
    network: Network, dataset: Dataset, samples: Samples, words: list[str], ways: list[str]
) -> Mapping[tuple[str, str], tuple[int, float]]:
    """Return the number read right and the loss, by activation and inputs, in the tables' order."""
    some = samples.first(DETECTED_ON)
    images, labels = torch.tensor(some.images), torch.tensor(some.labels)
    stages = list(network.stages)[::2]
    scores: dict[tuple[str, str], tuple[int, float]] = {}
    with one_thread(), torch.inference_mode():
        firsts = {}
        for way in ways:
            centre, scale = INPUTS[way](dataset.mean, dataset.std, dataset.top)
            firsts[way] = stages[0](replace(network, centre=centre, scale=scale).enter(images))
        for word, way in itertools.product(words, ways):
            values, activate = firsts[way], ACTIVATIONS[word]()
            for stage in stages[1:]:
                values = stage(activate(values))
            loss = cross_entropy(values, labels).item()
            right = int((values.argmax(1) == labels).sum())
            scores[word, way] = right, loss if math.isfinite(loss) else math.inf
    return scores


def _plain(each: layer.Layer) -> bool:
    """Return whether a layer is a whole matrix that multiplies its inputs, or two of them."""
    return each.part is None and not each.rule.window and each.rule.pairs
