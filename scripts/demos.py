"""Train the demo networks again and decompose them: what assets/models/ holds.

    clean       784-512-256-10 on all 55,000 training images
    noisy       the same shape on 6,000 images, 40 % of their labels re-drawn at random
    untrained   the weights that clean began with
    noisy.initial   the weights that noisy began with

Each is a safetensors file with a card beside it (recipe, accuracies, versions, digest), and
its singular values as `NAME.spectra.json`. A remake on the same machine is the same to the last
bit. Elsewhere sums round differently, training carries that on, and the accuracy ends within
0.3 points: small steps keep the noisy network there, which at the usual rate strays twice as far.
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rmtviz import decomposition, formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.evaluation import evaluate
from rmtviz.site import home
from rmtviz.training import Training, train

RECIPES = {
    "clean": Training(epochs=15),
    "noisy": Training(
        epochs=100,
        batch_size=64,
        learning_rate=3e-4,
        train_samples=6_000,
        label_noise=0.4,
        seed=1,
    ),
}
"""The recipe of each trained network; what is not said is the default."""

INITIAL = {"clean": "untrained", "noisy": "noisy.initial"}
"""The names under which the networks before training are kept."""


def main() -> None:
    """Make every file of assets/models/, and print the accuracies.

    With `--spectra` no network is trained: those that are there are decomposed again.
    """
    folder = home() / "assets" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    if "--spectra" in sys.argv:
        for name in (*RECIPES, *INITIAL.values()):
            decompose(folder, name)
        return
    for name, recipe in RECIPES.items():
        for record in train(recipe):
            progress(f"{name} {record.epoch}/{recipe.epochs}: loss {record.train_loss:.4f}")
            if record.epoch == 0:
                keep(folder, INITIAL[name], record.checkpoint, recipe)
        keep(folder, name, record.checkpoint, recipe)


def keep(folder: Path, name: str, checkpoint: Checkpoint, recipe: Training) -> None:
    """Write a network, its card and its spectra."""
    path = folder / f"{name}.safetensors"
    path.write_bytes(formats.write(checkpoint, "safetensors"))
    about = card(formats.read(path), recipe)
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    decompose(folder, name)
    progress("")
    print(name, about["accuracy"])


def decompose(folder: Path, name: str) -> None:
    """Write the spectra of a network that is there."""
    checkpoint = formats.read(folder / f"{name}.safetensors")
    spectra = decomposition.decompose(checkpoint, equalise=True).to_dict()
    (folder / f"{name}.spectra.json").write_text(json.dumps(spectra) + "\n", "utf-8")


def card(checkpoint: Checkpoint, recipe: Training) -> dict[str, Any]:
    """Return what there is to say of a network: how it was made, and how well it reads."""
    dataset = recipe.data()
    network = recipe.network(dataset)(checkpoint)
    samples = {
        "train": dataset.split("train").first(recipe.train_samples),
        "selection": dataset.split("selection"),
        "test": dataset.split("test"),
    }
    clean = dataset.clean_labels[: recipe.train_samples]
    return {
        "network": checkpoint.about["network"],
        "epoch": checkpoint.about["epoch"],
        "recipe": recipe.record(),
        "wrong_labels": float((samples["train"].labels != clean).mean()),
        "accuracy": {
            name: {"samples": len(part), "accuracy": evaluate(network, part).accuracy}
            for name, part in samples.items()
        },
        "parameters": checkpoint.parameters,
        "digest": checkpoint.digest,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }


def progress(text: str) -> None:
    """Say where the work is, on one line, where a person is watching."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
