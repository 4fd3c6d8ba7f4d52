"""How well a network does on a few samples: what open choices are decided by."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Samples
from rmtviz.networks.base import Runner

Key = TypeVar("Key")

SLACK = 5
"""Of 1,000 images, so few that are read right less make no difference between two choices."""

TIE = 1.03
"""Nor does a loss that is so little larger, between two activations. Both were set on 19 networks
of linear layers trained with plain torch, whose activation they then name 19 times, and the most
images read right alone 13 times."""

SURE = 3.0
"""Standard errors by which the loss of one network must be below another's to decide."""


def score(network: Runner, samples: Samples) -> tuple[int, float]:
    """Return how many samples are read right, and the mean cross-entropy (inf: not finite)."""
    logits = network.logits(samples.images).astype(np.float64)
    right = int((logits.argmax(axis=1) == samples.labels).sum())
    loss = float(_losses(logits, samples.labels).mean())
    return (right, loss) if math.isfinite(loss) else (0, math.inf)


def losses(network: Runner, samples: Samples) -> NDArray[np.float64]:
    """Return the cross-entropy of each sample."""
    return _losses(network.logits(samples.images).astype(np.float64), samples.labels)


def surely(better: NDArray[np.float64], worse: NDArray[np.float64]) -> bool:
    """Return whether the mean loss differs by more than `SURE` of its standard errors, paired."""
    gain = worse - better
    return bool(gain.mean() > SURE * gain.std() / math.sqrt(len(gain)))


def _losses(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return −log softmax(logits) at the labels, for each sample."""
    with np.errstate(invalid="ignore"):
        shifted = logits - logits.max(axis=1, keepdims=True)
        own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
        losses: NDArray[np.float64] = np.log(np.exp(shifted).sum(axis=1)) - own
    return losses


def best(scores: Mapping[Key, tuple[int, float]], slack: int) -> Key:
    """Return, of those that read about as many right as the best, the one with the least loss."""
    enough = max(right for right, _ in scores.values()) - slack
    near = {key: loss for key, (right, loss) in scores.items() if right >= enough}
    return min(near, key=lambda key: near[key])


def recorded(
    checkpoint: Checkpoint, asked: str | None, key: str, table: Sequence[str]
) -> list[str]:
    """Return the words to try: the one asked for, else the one on record, else all."""
    if asked is not None:
        return [asked]
    record = checkpoint.about.get("network")
    word = record.get(key) if isinstance(record, dict) else None
    return [word] if isinstance(word, str) and word in table else list(table)
