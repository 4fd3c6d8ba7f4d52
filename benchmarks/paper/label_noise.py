"""Claim: with wrong labels, cutting far above the edge helps; early stopping helps as much or more.

MNIST, 6,000 images of which 40 % have their label re-drawn, 784-512-512-10, SGD (momentum 0.9,
rate 0.05, batch 64), 56 epochs, which memorise the labels: every contender of `rmtviz.lab`, on
the 10,000 clean test images, all choices made on 5,000 selection images with labels as noisy.
`--dataset fashion-mnist` for the other set, `--noise 0` for clean labels, `--seeds 5`;
`--all` adds the contenders that are about size.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from _results import keep

from rmtviz import lab
from rmtviz.training import Training

SIZE = ("magnitude", "energy", "rmt-during", "rmt-recovery")
"""The contenders that are about size, not about wrong labels."""


def rows(words: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each contender and seed."""
    recipe = Training(
        dataset=words.dataset,
        widths=(512, 512),
        epochs=4 if words.quick else 56,
        batch_size=64,
        optimiser="sgd",
        learning_rate=0.05,
        rate="constant",
        train_samples=300 if words.quick else 6_000,
        label_noise=words.noise,
    )
    contenders = {
        name: each for name, each in lab.CONTENDERS.items() if words.all or name not in SIZE
    }
    for result in lab.run(recipe, range(words.seeds), contenders):
        yield asdict(result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--noise", type=float, default=0.4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    name = f"label_noise_{given.dataset}_{round(100 * given.noise)}"
    about = {"noise": given.noise, "seeds": [*range(given.seeds)]}
    keep(name, rows(given), claim=__doc__.splitlines()[0], **about)
