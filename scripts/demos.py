"""Train the demo networks again and decompose them: what assets/models/ holds.

    clean       784-512-256-10 on all 55,000 training images
    noisy       the same shape on 6,000 images, 40 % of their labels re-drawn at random
    untrained   the weights that clean began with
    noisy.initial   the weights that noisy began with
    language    a transformer of two blocks on Python's help texts, in float16
    language.initial   the weights that language began with

Each is a safetensors file with a card beside it (recipe, accuracies, versions, digest), and
its singular values as `NAME.spectra.json`. A remake on the same machine is the same to the last
bit. Elsewhere sums round differently, training carries that on, and the accuracy ends within
0.3 points: small steps keep the noisy network there, which at the usual rate strays twice as far.
"""

import json
import math
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rmtviz import datasets, decomposition, formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.evaluation import evaluate
from rmtviz.networks import Transformer, one_thread
from rmtviz.networks.transformer import LINEAR, NORMS
from rmtviz.site import home
from rmtviz.training import Training, train


@dataclass(frozen=True)
class Language:
    """A transformer trained with Adam on random windows of the training text.

    The rate rises for `warm` steps and falls to zero along a cosine. It begins, and ends, in
    numbers of float16, in which it is kept.
    """

    dataset: str = "python-help"
    label_noise: float = 0.0
    width: int = 128
    heads: int = 4
    blocks: int = 2
    steps: int = 1_200
    warm: int = 100
    batch_size: int = 32
    learning_rate: float = 3e-3
    seed: int = 0

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def data(self) -> Dataset:
        return datasets.DATASETS[self.dataset]()()

    def network(self, dataset: Dataset) -> Transformer:
        return Transformer()

    def initial(self, dataset: Dataset) -> Checkpoint:
        """Return the network before training: matrices uniform in ±1/√columns, as torch's."""
        generator, d = torch.Generator().manual_seed(self.seed), self.width
        sides = dict.fromkeys(LINEAR, (d, d)) | {"up": (4 * d, d), "down": (d, 4 * d)}
        tensors = {"token_embedding.weight": torch.randn(dataset.outputs, d, generator=generator)}
        tensors["token_embedding.weight"] *= 0.02
        stems = [f"blocks.{block}" for block in range(self.blocks)]
        for stem in stems:
            tensors[f"{stem}.distance_embedding.weight"] = torch.zeros(self.heads, dataset.pixels)
        shapes = {f"{stem}.{name}": sides[name] for stem in stems for name in LINEAR}
        for name, (rows, columns) in {**shapes, "head": (dataset.outputs, d)}.items():
            draw = torch.empty(rows, columns).uniform_(-1, 1, generator=generator)
            tensors[f"{name}.weight"] = draw / math.sqrt(columns)
            if name.endswith(("up", "down")):
                tensors[f"{name}.bias"] = torch.zeros(rows)
        for name in [*(f"{stem}.{norm}" for stem in stems for norm in NORMS), "norm"]:
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = torch.ones(d), torch.zeros(d)
        return self.kept(tensors, epoch=0)

    def kept(self, tensors: dict[str, torch.Tensor], epoch: int) -> Checkpoint:
        """Return these weights in float16, with what it takes to run and judge them."""
        halves = {name: tensor.detach().half() for name, tensor in tensors.items()}
        about = {"trained": self.record(), "network": Transformer().record(), "epoch": epoch}
        return Checkpoint.of(halves).with_about(**about)


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

LANGUAGE = Language()

INITIAL = {"clean": "untrained", "noisy": "noisy.initial", "language": "language.initial"}
"""The names under which the networks before training are kept."""


def main() -> None:
    """Make every file of assets/models/, and print the accuracies.

    With `--spectra` no network is trained: those that are there are decomposed again. With
    `--language` only the transformer is made again.
    """
    folder = home() / "assets" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    if "--spectra" in sys.argv:
        for name in (*INITIAL, *INITIAL.values()):
            decompose(folder, name)
        return
    for name, recipe in () if "--language" in sys.argv else RECIPES.items():
        for record in train(recipe):
            progress(f"{name} {record.epoch}/{recipe.epochs}: loss {record.train_loss:.4f}")
            if record.epoch == 0:
                keep(folder, INITIAL[name], record.checkpoint, recipe)
        keep(folder, name, record.checkpoint, recipe)
    for checkpoint in language(LANGUAGE):
        name = "language" if checkpoint.about["epoch"] else "language.initial"
        keep(folder, name, checkpoint, LANGUAGE)


def language(recipe: Language) -> Iterator[Checkpoint]:
    """Train a transformer; yield its weights before the first step and after the last."""
    dataset = recipe.data()
    text = dataset.split("train")
    tokens = torch.tensor(np.append(text.images.reshape(-1), text.labels[-1]).astype(np.int64))
    start = recipe.initial(dataset)
    yield start
    module = recipe.network(dataset)(start).module.requires_grad_(True).train()
    optimiser = torch.optim.Adam(module.parameters(), fused=True)
    generator = torch.Generator().manual_seed(recipe.seed)
    window = torch.arange(dataset.pixels + 1)
    with one_thread():
        for step in range(recipe.steps):
            fall = (1 + math.cos(math.pi * step / recipe.steps)) / 2
            rise = min(1, (step + 1) / recipe.warm)
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * rise * fall
            places = torch.randint(
                len(tokens) - dataset.pixels, (recipe.batch_size, 1), generator=generator
            )
            some = tokens[places + window]
            logits = module(some[:, :-1]).flatten(0, 1)
            loss = nn.functional.cross_entropy(logits, some[:, 1:].flatten())
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            progress(f"language {step + 1}/{recipe.steps}: loss {loss.item():.4f}")
    yield recipe.kept(module.state_dict(), epoch=1)


def keep(folder: Path, name: str, checkpoint: Checkpoint, recipe: Training | Language) -> None:
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


def card(checkpoint: Checkpoint, recipe: Training | Language) -> dict[str, Any]:
    """Return what there is to say of a network: how it was made, and how well it reads."""
    dataset = recipe.data()
    network = recipe.network(dataset)(checkpoint)
    samples = {name: dataset.split(name) for name in ("train", "selection", "test")}
    wrong = 0.0
    if isinstance(recipe, Training):
        samples["train"] = samples["train"].first(recipe.train_samples)
        clean = dataset.clean_labels[: recipe.train_samples]
        wrong = float((samples["train"].labels != clean).mean())
    found = {name: evaluate(network, part) for name, part in samples.items()}
    return {
        "network": checkpoint.about["network"],
        "epoch": checkpoint.about["epoch"],
        "recipe": recipe.record(),
        "wrong_labels": wrong,
        "accuracy": {
            name: {"samples": each.samples, "accuracy": each.accuracy, "loss": each.loss}
            for name, each in found.items()
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
