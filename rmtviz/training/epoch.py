"""One epoch: from a state to the next, all randomness from (seed, epoch)."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Samples
from rmtviz.errors import CannotRun
from rmtviz.networks import MLP
from rmtviz.training.recipe import MOMENTS, RATES, Training
from rmtviz.training.records import Progress
from rmtviz.training.state import State, hidden, stream

MASKS = 1
"""The stream of an epoch that drops hidden values."""


class Dropout(nn.Module):
    """Zeros for a share of the values, drawn from a generator of its own; the others scaled up."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        kept = torch.empty_like(values).bernoulli_(1 - self.share, generator=self.generator)
        return values * kept / (1 - self.share)


def advance(
    recipe: Training,
    choice: MLP,
    state: State,
    samples: Samples,
    on_batch: Callable[[Progress], None] | None,
) -> State:
    """Return the state after one more epoch.

    Raises:
        CannotRun: the loss or the weights are no longer finite.
    """
    network = choice(state.weights)
    module, epoch = network.module(), state.epoch + 1
    steps = math.ceil(len(samples) / recipe.batch_size)
    optimiser = _optimiser(recipe, module, state, steps)
    run = _dropping(module, recipe, epoch)
    masks = _masks(module, recipe)
    order = torch.randperm(len(samples), generator=stream(recipe.seed, epoch)).numpy()
    for step in range(steps):
        share = (state.epoch + step / steps) / recipe.epochs
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * RATES[recipe.rate](share)
        batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        images = network.enter(torch.from_numpy(samples.images[batch]))
        loss = cross_entropy(run(images), torch.from_numpy(samples.labels[batch]))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        for parameter, mask in masks:
            parameter.data.mul_(mask)
        value = loss.item()
        if not math.isfinite(value):
            raise CannotRun("diverged", epoch=epoch)
        if on_batch is not None:
            on_batch(Progress(epoch, step + 1, steps, value))
    weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise CannotRun("diverged", epoch=epoch)
    moments = {
        f"{kind}.{name}": optimiser.state[parameter][kind]
        for name, parameter in module.named_parameters()
        for kind in MOMENTS[recipe.optimiser]
    }
    kept = Checkpoint.of(weights, metadata=state.weights.metadata)
    return State(epoch, recipe.about(kept, epoch), Checkpoint.of(moments), state.since)


def _optimiser(
    recipe: Training, module: nn.Module, state: State, steps: int
) -> torch.optim.Optimizer:
    """Return the optimiser with all that it remembers at the beginning of the epoch."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimiser: torch.optim.Optimizer
    if recipe.optimiser == "sgd":
        optimiser = torch.optim.SGD(
            module.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay, fused=True
        )
    else:
        optimiser = torch.optim.Adam(module.parameters(), lr=rate, weight_decay=decay, fused=True)
    done = torch.tensor(float((state.epoch - state.since) * steps))
    for name, parameter in module.named_parameters():
        optimiser.state[parameter] = {
            kind: torch.tensor(state.moments[f"{kind}.{name}"])
            for kind in MOMENTS[recipe.optimiser]
        }
        if recipe.optimiser == "adam":
            optimiser.state[parameter]["step"] = done.clone()
    return optimiser


def _dropping(module: nn.Sequential, recipe: Training, epoch: int) -> nn.Module:
    """Return the module with dropout after each activation; its layers are the same ones."""
    if not recipe.dropout:
        return module
    generator = stream(recipe.seed, epoch, MASKS)
    stages: list[nn.Module] = []
    for place, stage in enumerate(module):
        stages.append(stage)
        if place % 2 and place < len(module) - 1:
            stages.append(Dropout(recipe.dropout, generator))
    return nn.Sequential(*stages)


def _masks(module: nn.Module, recipe: Training) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Return the parameters whose zeros stay zero, with 0 there and 1 elsewhere."""
    if not recipe.magnitude:
        return []
    named = dict(module.named_parameters())
    wanted = hidden(Checkpoint.of({name: each.detach() for name, each in named.items()}))
    return [(named[name], (named[name].detach() != 0).to(torch.float32)) for name in wanted]
