"""What the next epoch depends on, the first such state, and what a cut makes of one."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.pruning import PruningPlan
from rmtviz.training import cutting
from rmtviz.training.recipe import MOMENTS, Training


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Weights, and the optimiser's moments as "exp_avg.0.weight", counted since an epoch."""

    epoch: int
    weights: Checkpoint
    moments: Checkpoint
    since: int = 0


def initial(recipe: Training, data: Dataset | None = None) -> Checkpoint:
    """Return the untrained network: weights and biases uniform in ±1/√columns, as torch's.

    `data` are the recipe's, to be given where they are somebody's own.
    """
    dataset, generator = data or recipe.data(), stream(recipe.seed, 0)
    sides = (dataset.pixels, *recipe.widths, dataset.outputs)
    tensors: dict[str, torch.Tensor] = {}
    for place, (columns, rows) in enumerate(itertools.pairwise(sides)):
        for name, shape in (("weight", (rows, columns)), ("bias", (rows,))):
            draw = torch.empty(shape).uniform_(-1, 1, generator=generator)
            tensors[f"{2 * place}.{name}"] = draw / math.sqrt(columns)
    return recipe.about(Checkpoint.of(tensors), epoch=0)


def begin(weights: Checkpoint, recipe: Training) -> State:
    """Return the state before the first step, all moments zero."""
    return State(0, weights, nothing(weights, recipe))


def nothing(weights: Checkpoint, recipe: Training) -> Checkpoint:
    """Return moments of zero: what an optimiser remembers before its first step."""
    zeros = {
        f"{kind}.{name}": np.zeros(tensor.shape, np.float32)
        for name, tensor in weights.tensors.items()
        for kind in MOMENTS[recipe.optimiser]
    }
    return Checkpoint.of(zeros)


def after_cut(state: State, recipe: Training, plan: PruningPlan) -> State:
    """Return the state with the plan's cuts made, its moments projected or begun anew."""
    weights = cutting.cut(state.weights, plan)
    if recipe.schedule is None or recipe.schedule.moments == "restart":
        return State(state.epoch, weights, nothing(weights, recipe), since=state.epoch)
    held = {name: state.moments[name] for name in state.moments}
    new = cutting.carried(held, state.weights, weights, MOMENTS[recipe.optimiser])
    single = {name: np.ascontiguousarray(array, np.float32) for name, array in new.items()}
    return State(state.epoch, weights, Checkpoint.of(single), state.since)


def after_magnitude(state: State, recipe: Training) -> State:
    """Return the state with the smallest entries of its hidden layers at zero.

    After epoch e of E their share is s (1 − (1 − e/E')³) with E' = ¾ E, and s from there on.
    Source: Zhu and Gupta, arXiv 1710.01878.
    """
    over = min(1.0, state.epoch / (0.75 * recipe.epochs))
    share = recipe.magnitude * (1 - (1 - over) ** 3)
    tensors = {name: np.array(state.weights[name]) for name in state.weights}
    for name in hidden(state.weights):
        array = tensors[name]
        count = round(share * array.size)
        if count:
            smallest = np.argpartition(np.abs(array), count - 1, axis=None)[:count]
            array.reshape(-1)[smallest] = 0
    weights = Checkpoint.of(tensors, metadata=state.weights.metadata)
    return State(state.epoch, weights, state.moments, state.since)


def hidden(weights: Checkpoint) -> list[str]:
    """Return the names of the matrices of all layers but the last."""
    matrices = [name for name in weights if name.endswith("weight")]
    return matrices[:-1]


def stream(seed: int, epoch: int, use: int | None = None) -> torch.Generator:
    """Return the generator of an epoch's order of images; that of epoch 0 draws the weights.

    Another `use` of randomness in the same epoch has a stream of its own.
    """
    key = (seed, epoch) if use is None else (seed, epoch, use)
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
