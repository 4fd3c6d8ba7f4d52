"""A run's folder: an ordinary checkpoint for each epoch, and the state that says how far it is.

Data of one's own lie beside them, under their key: they are read by the run alone, and are
deleted with it.
"""

import os
from pathlib import Path
from typing import Any

from rmtviz import datasets, formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import BadOption, DataRefused
from rmtviz.training.recipe import Training
from rmtviz.training.state import State, nothing

STATE = "state.safetensors"
"""The file of a run's folder that says how far the run is, with the optimiser's moments."""

FIXED = (
    "dataset",
    "widths",
    "activation",
    "inputs",
    "logits",
    "label_noise",
    "train_samples",
    "seed",
)
"""What a run that branches off another has in common with it."""


def keep(folder: Path, own: Dataset | None) -> None:
    """Keep data of one's own in the folder, where they are not there yet."""
    if own is not None and not (file := _data(folder, own.key)).exists():
        _replace(file, datasets.pack(own))


def kept(folder: Path, recipe: Training) -> Dataset | None:
    """Return the data of one's own that the folder keeps for this recipe; None: it needs none.

    Raises:
        DataRefused: they are gone, or no longer what they were.
    """
    if not recipe.own:
        return None
    try:
        content = _data(folder, recipe.dataset).read_bytes()
    except OSError:
        raise DataRefused("own_gone", dataset=recipe.dataset) from None
    return datasets.unpack(content, recipe.dataset)


def save(folder: Path, state: State, recipe: Training, rows: list[dict[str, Any]]) -> None:
    """Keep a state: its weights first, so that the file that names the epoch comes last."""
    moments = state.moments.with_about(trained=recipe.record(), since=state.since, rows=rows)
    _replace(_weights(folder, state.epoch), formats.write(state.weights, "safetensors"))
    _replace(folder / STATE, formats.write(moments, "safetensors"))


def restore(
    folder: Path, recipe: Training
) -> tuple[State, list[tuple[dict[str, Any], Checkpoint]]] | None:
    """Return the last state that was kept, with each epoch's row and weights; None: there is none.

    Raises:
        BadOption: the state is that of another recipe.
        FileRefused: a file is broken.
    """
    if not (folder / STATE).exists():
        return None
    moments = formats.read(folder / STATE)
    about = moments.about
    if about.get("trained") != recipe.record():
        raise BadOption("resume_recipe", folder=folder.name)
    kept = [(row, formats.read(_weights(folder, row["epoch"]))) for row in about["rows"]]
    epoch, weights = kept[-1][0]["epoch"], kept[-1][1]
    return State(epoch, weights, moments, about["since"]), kept


def branch(source: Path, epoch: int, recipe: Training, target: Path) -> None:
    """Make a folder from which `train(recipe, target, resume=True)` goes on after an epoch.

    The epochs up to that one are those of the run in `source`, which stays as it is. The
    recipe may differ in all but what those epochs were made and judged by (`FIXED`); the
    optimiser begins anew, since only a run's last state keeps what it remembers.

    Raises:
        BadOption: the run has no such epoch, or the recipe is of another network or data.
        FileRefused: a file of the run is broken.
        DataRefused: it was trained on data of somebody's own, which are gone.
    """
    about = formats.read(source / STATE).about
    rows = [row for row in about["rows"] if row["epoch"] <= epoch]
    if not rows or rows[-1]["epoch"] != epoch:
        raise BadOption("branch_epoch", epoch=epoch, last=about["rows"][-1]["epoch"])
    old, new = about["trained"], recipe.record()
    if different := [name for name in FIXED if old[name] != new[name]]:
        raise BadOption("branch_recipe", names=", ".join(different))
    own = kept(source, recipe)
    clear(target, recipe)
    keep(target, own)
    for row in rows:
        content = _weights(source, row["epoch"]).read_bytes()
        _replace(_weights(target, row["epoch"]), content)
    weights = formats.read(_weights(target, epoch))
    save(target, State(epoch, weights, nothing(weights, recipe), since=epoch), recipe, rows)


def clear(folder: Path, recipe: Training) -> None:
    """Make the folder, and take out what another run left, its state first."""
    folder.mkdir(parents=True, exist_ok=True)
    others = [path for path in folder.glob("own-*") if path != _data(folder, recipe.dataset)]
    for path in (folder / STATE, *folder.glob("epoch-*.safetensors*"), *others):
        path.unlink(missing_ok=True)


def _data(folder: Path, key: str) -> Path:
    return folder / f"{key}.npz"


def _weights(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:03}.safetensors"


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
