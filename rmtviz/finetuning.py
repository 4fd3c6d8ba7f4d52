"""A few epochs of training after a cut: the network keeps its form, its weights move.

Stopped early by the selection set: the answer is the epoch that reads most of it right, the cut
itself among them. As in training, all randomness comes from (seed, epoch).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softmax

from rmtviz import layers
from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.datasets import Samples
from rmtviz.errors import CannotRun
from rmtviz.evaluation import evaluate
from rmtviz.knobs import check, knob
from rmtviz.networks import HOLDERS, Choice, Runner, Tunable, one_thread


@dataclass(frozen=True, slots=True)
class Tuning:
    """Adam on cross-entropy from the cut weights, its rate falling to zero along a cosine.

    It ends after `epochs`, or when `patience` of them in a row have not read more right. Where
    there is a teacher, the targets are not the labels but its answers, both sides softened by
    `temperature` (Hinton, Vinyals and Dean, arXiv 1503.02531).
    """

    epochs: int = knob(5, low=1, high=100)
    patience: int = knob(2, low=1, high=100)
    learning_rate: float = knob(1e-3, low=1e-6, high=1.0)
    batch_size: int = knob(128, low=1, high=10_000)
    temperature: float = knob(3.0, low=1.0, high=100.0)
    seed: int = knob(0, low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The network after an epoch (0: as it was cut), and what it makes of the selection set."""

    epoch: int
    accuracy: float
    loss: float
    samples: int
    checkpoint: Checkpoint


def tune(
    recipe: Tuning,
    checkpoint: Checkpoint,
    choice: Choice,
    samples: Samples,
    selection: Samples,
    teacher: Runner | None = None,
) -> Iterator[Tuned]:
    """Yield the cut network as it is, then after each epoch of training on `samples`.

    The teacher, if any, is the network before the cut.

    Raises:
        CannotRun: the network cannot be trained here, or a weight is no longer finite.
    """
    network = choice(checkpoint)
    if not isinstance(network, Tunable):
        raise CannotRun("not_tunable")
    module = deepcopy(network.stages).eval()  # norms keep their statistics
    held = [stage for stage in module if isinstance(stage, HOLDERS)]
    parameters = [each.requires_grad_(True) for stage in held for each in stage.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=recipe.learning_rate)
    best = last = _tuned(0, checkpoint, choice, selection)
    yield last
    heat = recipe.temperature if teacher else 1.0
    goals = _goals(teacher, samples, heat)
    steps = math.ceil(len(samples) / recipe.batch_size)
    for epoch in range(1, recipe.epochs + 1):
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(samples))
        with one_thread():
            for step in range(steps):
                share = (epoch - 1 + step / steps) / recipe.epochs
                rate = recipe.learning_rate * (1 + math.cos(math.pi * share)) / 2
                optimiser.param_groups[0]["lr"] = rate
                batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
                images = network.enter(torch.from_numpy(samples.images[batch]))
                loss = heat**2 * cross_entropy(module(images) / heat, goals[batch])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
        if not all(bool(each.isfinite().all()) for each in parameters):
            raise CannotRun("diverged", epoch=epoch)
        last = _tuned(epoch, _holding(checkpoint, network, held), choice, selection)
        yield last
        best = chosen((best, last))
        if epoch - best.epoch >= recipe.patience:
            return


def chosen(records: Iterable[Tuned]) -> Tuned:
    """Return the epoch that reads most of the selection set right; of several the first."""
    return max(records, key=lambda each: (each.accuracy, -each.epoch))


def _goals(teacher: Runner | None, samples: Samples, heat: float) -> torch.Tensor:
    """Return the labels (N,), or a teacher's softened answers (N, classes)."""
    if teacher is None:
        return torch.tensor(samples.labels)
    return softmax(torch.from_numpy(teacher.logits(samples.images)) / heat, dim=1)


def _tuned(epoch: int, checkpoint: Checkpoint, choice: Choice, selection: Samples) -> Tuned:
    found = evaluate(choice(checkpoint), selection)
    return Tuned(epoch, found.accuracy, found.loss, found.samples, checkpoint)


def _holding(checkpoint: Checkpoint, network: Tunable, held: Sequence[nn.Module]) -> Checkpoint:
    """Return the checkpoint with the weights and biases that its layers' modules hold."""
    tensors = dict(checkpoint.tensors)
    for layer, stage in zip(network.layers, held, strict=True):
        parts = list(stage.children()) or [stage]
        for name, part in zip(layer.tensors, parts, strict=True):
            old, weight = tensors[name], part.get_parameter("weight").detach()
            matrix = weight.flatten(1).numpy().astype(old.dtype)
            tensors[name] = Tensor.of(layer.rule.from_matrix(matrix, old.shape))
        if (own := layers.bias(checkpoint, layer)) is not None:
            bias = parts[-1].get_parameter("bias").detach().numpy()
            tensors[own] = Tensor.of(bias.astype(tensors[own].dtype))
    return replace(checkpoint, tensors=tensors)
