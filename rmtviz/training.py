"""Training a multilayer perceptron, epoch by epoch, so that it can be watched, stopped and resumed.

An epoch is a function from a state (weights and Adam's two moments) to the next state, and
all its randomness comes from (seed, epoch): there is no generator to save, and a run that was
killed and resumed equals one that was not, bit for bit on one machine. The process-wide
generators of torch and numpy are neither read nor moved.
"""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from rmtviz import formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import DATASETS, TEXTS, Dataset, Samples
from rmtviz.errors import BadOption, CannotRun
from rmtviz.evaluation import evaluate
from rmtviz.knobs import check, knob
from rmtviz.networks import MLP, one_thread

MEASURED = 10_000
"""Training loss and accuracy are those of the first so many training images."""

STATE = "state.safetensors"
"""The file of a run's folder that says how far the run is, with Adam's moments."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam remembers of each parameter besides the number of steps."""

RATES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
}
"""The learning rate in units of the first, from the share of the run that is over, by name."""


class Stopped(Exception):
    """What `on_batch` may raise to end a run; `train` lets it (and anything else) through."""


@dataclass(frozen=True, slots=True)
class Training:
    """Adam on cross-entropy, from torch's usual uniform initial weights.

    `widths` are those of the hidden layers; `schedule` is a key of `RATES`; `weight_decay`
    is the L2 penalty of `torch.optim.Adam`, added to the gradient; `label_noise` is the
    probability with which a label is re-drawn at random; the first `train_samples` training
    images are used; `activation` and `inputs` are those of `networks.MLP`.

    Raises:
        BadOption: names the knob, the value and what it may be.
    """

    dataset: str = "mnist"
    widths: tuple[int, ...] = (512, 256)
    epochs: int = knob(10, low=1, high=200)
    batch_size: int = knob(128, low=1, high=10_000)
    learning_rate: float = knob(1e-3, low=1e-6, high=1.0)
    schedule: str = "cosine"
    weight_decay: float = knob(0.0, low=0.0, high=1.0)
    label_noise: float = knob(0.0, low=0.0, high=1.0)
    train_samples: int = knob(55_000, low=1, high=55_000)
    activation: str = "relu"
    inputs: str = "unit"
    seed: int = knob(0, low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        check(self)
        numbers = [name for name in DATASETS if name not in TEXTS]
        for name, table in ((self.dataset, numbers), (self.schedule, RATES)):
            if name not in table:
                raise BadOption("unknown_name", name=name, known=", ".join(table))
        if len(self.widths) > 8 or not all(1 <= width <= 4096 for width in self.widths):
            raise BadOption("widths", widths=", ".join(map(str, self.widths)))
        MLP(self.activation, self.inputs)

    def __call__(self, **options: Any) -> Iterator["EpochRecord"]:
        """Train: see `train`, which takes the same options."""
        return train(self, **options)

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON; `Training(**record)` is the same recipe."""
        return {**asdict(self), "widths": list(self.widths)}

    def data(self) -> Dataset:
        """Return the dataset with this recipe's label noise."""
        return DATASETS[self.dataset]()().with_label_noise(self.label_noise, self.seed)

    def network(self, dataset: Dataset) -> MLP:
        """Return the choice that runs this recipe's checkpoints."""
        return MLP(
            self.activation, self.inputs, mean=dataset.mean, std=dataset.std, top=dataset.top
        )


def widths(words: str) -> tuple[int, ...]:
    """Return the widths in words such as "512, 256".

    Raises:
        BadOption: not whole numbers by commas.
    """
    parts = [part.strip() for part in words.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise BadOption("widths_word", word=words)
    return tuple(int(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: the batch just done (`step` of `steps` in `epoch`, from 1) and its loss."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class EpochRecord:
    """The network after an epoch, number 0 being the one before the first step.

    `train_loss` (cross-entropy, natural logarithm) and `train_accuracy` are those of the
    first `MEASURED` training images with the epoch's last weights, `selection_accuracy` that
    of the selection set; where labels are noisy, both are judged by the noisy ones.
    `seconds` is what the steps took.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    selection_accuracy: float
    parameters: int
    seconds: float
    checkpoint: Checkpoint

    def row(self) -> dict[str, Any]:
        """Return all but the checkpoint, as plain values for JSON."""
        names = [name for name in self.__slots__ if name != "checkpoint"]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """All that the next epoch depends on: weights, and Adam's moments as "exp_avg.0.weight"."""

    epoch: int
    weights: Checkpoint
    moments: Checkpoint


def initial(recipe: Training) -> Checkpoint:
    """Return the untrained network: weights and biases uniform in ±1/√columns, as torch's."""
    dataset, generator = recipe.data(), _stream(recipe.seed, 0)
    sides = (dataset.pixels, *recipe.widths, dataset.outputs)
    tensors: dict[str, torch.Tensor] = {}
    for place, (columns, rows) in enumerate(itertools.pairwise(sides)):
        for name, shape in (("weight", (rows, columns)), ("bias", (rows,))):
            draw = torch.empty(shape).uniform_(-1, 1, generator=generator)
            tensors[f"{2 * place}.{name}"] = draw / math.sqrt(columns)
    return _about(Checkpoint.of(tensors), recipe, epoch=0)


def train(
    recipe: Training,
    folder: Path | None = None,
    resume: bool = False,
    on_batch: Callable[[Progress], None] | None = None,
) -> Iterator[EpochRecord]:
    """Train, yielding a record before the first step and after every epoch.

    With a folder each epoch's network is kept there as `epoch-007.safetensors`, beside
    `state.safetensors`; every file is complete or absent. With `resume`, the epochs found
    there are yielded again from the first, and the run goes on after the last.

    Raises:
        BadOption: the folder holds a run of another recipe.
        FileRefused: a file of the folder is broken.
        CannotRun: the loss or the weights are no longer finite.
        DataRefused: the dataset is missing or broken.
    """
    dataset = recipe.data()
    samples = dataset.split("train").first(recipe.train_samples)
    selection = dataset.split("selection")
    choice = recipe.network(dataset)
    state, records = _restore(folder, recipe) if folder and resume else (None, [])
    if folder and state is None:
        _clear(folder)
    yield from records
    rows = [record.row() for record in records]
    while state is None or state.epoch < recipe.epochs:
        start = time.perf_counter()
        with one_thread():
            state = _epoch(recipe, choice, state, samples, on_batch) if state else _start(recipe)
        seconds = time.perf_counter() - start
        record = _measure(state, choice, samples, selection, seconds)
        rows.append(record.row())
        if folder:
            _save(folder, state, recipe, rows)
        yield record


def warm() -> None:
    """Let torch load what its first optimiser needs (1.6 s), so that no visitor waits for it."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)


def _start(recipe: Training) -> _State:
    """Return the state before the first step, Adam's moments all zero."""
    weights = initial(recipe)
    zeros = {
        f"{kind}.{name}": np.zeros(tensor.shape, np.float32)
        for name, tensor in weights.tensors.items()
        for kind in MOMENTS
    }
    return _State(0, weights, Checkpoint.of(zeros))


def _epoch(
    recipe: Training,
    choice: MLP,
    state: _State,
    samples: Samples,
    on_batch: Callable[[Progress], None] | None,
) -> _State:
    """Return the state after one more epoch."""
    network = choice(state.weights)
    module, epoch = network.module(), state.epoch + 1
    steps = math.ceil(len(samples) / recipe.batch_size)
    optimiser = torch.optim.Adam(
        module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    for name, parameter in module.named_parameters():
        moments = {kind: torch.tensor(state.moments[f"{kind}.{name}"]) for kind in MOMENTS}
        optimiser.state[parameter] = {"step": torch.tensor(float(state.epoch * steps)), **moments}
    order = torch.randperm(len(samples), generator=_stream(recipe.seed, epoch)).numpy()
    for step in range(steps):
        share = (state.epoch + step / steps) / recipe.epochs
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * RATES[recipe.schedule](share)
        batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        images = network.enter(torch.from_numpy(samples.images[batch]))
        loss = cross_entropy(module(images), torch.from_numpy(samples.labels[batch]))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
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
        for kind in MOMENTS
    }
    return _State(epoch, _about(Checkpoint.of(weights), recipe, epoch), Checkpoint.of(moments))


def _measure(
    state: _State, choice: MLP, samples: Samples, selection: Samples, seconds: float
) -> EpochRecord:
    """Return the record of a state."""
    network = choice(state.weights)
    seen, unseen = evaluate(network, samples.first(MEASURED)), evaluate(network, selection)
    return EpochRecord(
        state.epoch,
        seen.loss,
        seen.accuracy,
        unseen.accuracy,
        state.weights.parameters,
        seconds,
        state.weights,
    )


def _about(checkpoint: Checkpoint, recipe: Training, epoch: int) -> Checkpoint:
    """Return the checkpoint with what it takes to run it, judge it and make it again."""
    network = MLP(recipe.activation, recipe.inputs).record()
    return checkpoint.with_about(trained=recipe.record(), network=network, epoch=epoch)


def _stream(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of an epoch's order of images; that of epoch 0 draws the weights."""
    word = np.random.SeedSequence((seed, epoch)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(word))


def _weights(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:03}.safetensors"


def _save(folder: Path, state: _State, recipe: Training, rows: list[dict[str, Any]]) -> None:
    """Keep a state: its weights first, so that the file that names the epoch comes last."""
    moments = state.moments.with_about(trained=recipe.record(), rows=rows)
    _replace(_weights(folder, state.epoch), formats.write(state.weights, "safetensors"))
    _replace(folder / STATE, formats.write(moments, "safetensors"))


def _restore(folder: Path, recipe: Training) -> tuple[_State | None, list[EpochRecord]]:
    """Return the last state that was kept, and the records of all epochs; None where none was.

    Raises:
        BadOption: the state is that of another recipe.
        FileRefused: a file is broken.
    """
    if not (folder / STATE).exists():
        return None, []
    moments = formats.read(folder / STATE)
    if moments.about.get("trained") != recipe.record():
        raise BadOption("resume_recipe", folder=folder.name)
    records = [
        EpochRecord(**row, checkpoint=formats.read(_weights(folder, row["epoch"])))
        for row in moments.about["rows"]
    ]
    return _State(records[-1].epoch, records[-1].checkpoint, moments), records


def _clear(folder: Path) -> None:
    """Make the folder, and take out what an earlier run left, its state first."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / STATE, *folder.glob("epoch-*.safetensors*")):
        path.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that, whenever the process dies, it is the old one or the new one."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "posix":  # elsewhere a folder can't be opened, and needs no flush
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
