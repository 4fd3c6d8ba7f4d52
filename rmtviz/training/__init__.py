"""Training a multilayer perceptron, epoch by epoch, so that it can be watched, stopped and resumed.

An epoch is a function from a state (weights and the optimiser's moments) to the next state, and
so is a cut after it. All randomness comes from (seed, epoch): there is no generator to save, and
a run that was killed and resumed equals one that was not, bit for bit on one machine. The
process-wide generators of torch and numpy are neither read nor moved.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from rmtviz.datasets import Dataset
from rmtviz.training import keeping
from rmtviz.training.keeping import FIXED, branch, keep, kept
from rmtviz.training.recipe import MOMENTS, RATES, Training, naming, widths
from rmtviz.training.records import EpochRecord, Progress, Stopped
from rmtviz.training.run import MEASURED, Run
from rmtviz.training.state import initial

__all__ = [
    "FIXED",
    "MEASURED",
    "MOMENTS",
    "RATES",
    "EpochRecord",
    "Progress",
    "Stopped",
    "Training",
    "best",
    "branch",
    "initial",
    "keep",
    "kept",
    "naming",
    "train",
    "warm",
    "widths",
]


def train(
    recipe: Training,
    folder: Path | None = None,
    resume: bool = False,
    on_batch: Callable[[Progress], None] | None = None,
    own: Dataset | None = None,
) -> Iterator[EpochRecord]:
    """Train, yielding a record before the first step and after every epoch.

    With a folder each epoch's network is kept there as `epoch-007.safetensors`, beside
    `state.safetensors`; every file is complete or absent. With `resume`, the epochs found
    there are yielded again from the first, and the run goes on after the last. Data of one's
    `own` are kept there as well, so that a run that is resumed need not be given them.

    Raises:
        BadOption: the folder holds a run of another recipe.
        FileRefused: a file of the folder is broken.
        CannotRun: the loss or the weights are no longer finite.
        DataRefused: the dataset is missing or broken, or can't be trained on.
    """
    run = Run.of(recipe, own or (keeping.kept(folder, recipe) if folder else None))
    found = keeping.restore(folder, recipe) if folder and resume else None
    state, epochs = found or (None, [])
    if folder and state is None:
        keeping.clear(folder, recipe)
    if folder:
        keeping.keep(folder, own)
    for row, weights in epochs:
        yield run.remember(row, weights)
    while state is None or not run.over():
        state, record = run.advance(state, on_batch)
        if folder:
            keeping.save(folder, state, recipe, run.rows)
        yield record


def best(records: Sequence[EpochRecord]) -> EpochRecord:
    """Return the first record with the largest selection accuracy: what early stopping keeps."""
    return max(records, key=lambda record: record.selection_accuracy)


def warm() -> None:
    """Let torch load what its first optimiser needs (1.6 s), so that no visitor waits for it."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)
