"""How well a network reads labelled data, whether two differ, and how long an answer takes."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import markup
from rmtviz.datasets import Samples
from rmtviz.errors import CannotRun, DataRefused
from rmtviz.networks import TOKENS, Runner
from rmtviz.words import say

Z95 = 1.959963984540054
"""The 0.975 quantile of the normal law."""

WARM, ROUNDS = 3, 31
"""Rounds of a latency measurement that do not count, and rounds that do."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a network made of some samples.

    `accuracy` is the share read right, `loss` the mean cross-entropy (natural logarithm: nats),
    `unit` what `samples` counts, a key under `unit` (of text each character is one),
    `predictions` (N,) the class with the largest logit, `never_predicted` the classes that
    no sample was taken for, `commonest` the share of the most frequent label, which is what
    somebody reads right who always names that class, `design` the factor by which the standard
    error is wider than that of independent answers: those within a window of text are not.
    """

    dataset: str
    split: str
    samples: int
    accuracy: float
    loss: float
    predictions: NDArray[np.int64]
    never_predicted: tuple[int, ...]
    activation: str
    inputs: str
    commonest: float
    unit: str = "images"
    design: float = 1.0

    @property
    def perplexity(self) -> float:
        """The exponential of the loss: among how many equally likely classes it would hesitate."""
        return math.exp(self.loss)

    @property
    def standard_error(self) -> float:
        """The standard error of the accuracy: the binomial one times `design`."""
        return self.design * math.sqrt(self.accuracy * (1 - self.accuracy) / self.samples)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how much was read right, with its standard error."""
        head = say(
            "cli.read",
            accuracy=self.accuracy,
            samples=self.samples,
            dataset=self.dataset,
            unit=say(f"unit.{self.unit}"),
            split=self.split,
            loss=self.loss,
            activation=self.activation,
            inputs=self.inputs,
        )
        return markup.shown(head, note=say("notebook.error", points=100 * self.standard_error))


def evaluate(network: Runner, samples: Samples) -> Evaluation:
    """Return what the network makes of the samples.

    Raises:
        DataRefused: the samples' pixels or classes are not those of the network.
        CannotRun: outputs that are NaN or infinite.
    """
    if samples.classes != network.outputs:
        raise DataRefused(
            "data_classes", dataset=samples.dataset, given=samples.classes, wanted=network.outputs
        )
    logits = network.logits(samples.images).astype(np.float64)
    if not np.isfinite(logits).all():
        raise CannotRun("outputs_not_finite")
    predictions = logits.argmax(axis=1).astype(np.int64)
    predictions.flags.writeable = False
    return Evaluation(
        dataset=samples.dataset,
        split=samples.name,
        samples=len(samples),
        accuracy=float((predictions == samples.labels).mean()),
        loss=float(cross_entropies(logits, samples.labels).mean()),
        predictions=predictions,
        never_predicted=tuple(sorted({*range(samples.classes)} - {*predictions.tolist()})),
        activation=network.activation,
        inputs=network.inputs,
        commonest=float(np.bincount(samples.labels).max() / len(samples)),
        unit=samples.unit,
        design=_design(predictions == samples.labels, len(samples.images)),
    )


@dataclass(frozen=True, slots=True)
class Paired:
    """Two networks on the same samples: answers that flipped, and the change in accuracy.

    `difference` is after − before, `low` and `high` its 95 % interval.
    """

    flipped_to_right: int
    flipped_to_wrong: int
    difference: float
    low: float
    high: float


def compare(before: Evaluation, after: Evaluation, labels: NDArray[np.int64]) -> Paired:
    """Return how the second evaluation differs from the first, on the same samples.

    Raises:
        ValueError: the two are not of the same samples; a fault of the caller.
    """
    if (before.dataset, before.split) != (after.dataset, after.split):
        raise ValueError(f"{before.dataset} {before.split} is not {after.dataset} {after.split}")
    if not before.predictions.shape == after.predictions.shape == labels.shape:
        raise ValueError("the evaluations and the labels differ in length")
    was, now = before.predictions == labels, after.predictions == labels
    gained, lost = int((now & ~was).sum()), int((was & ~now).sum())
    low, high = paired_interval(gained, lost, len(labels))
    return Paired(gained, lost, (gained - lost) / len(labels), low, high)


def paired_interval(gained: int, lost: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of two accuracies on the same samples.

    The Wald interval with the adjustment of Bonett and Price (J. Educ. Behav. Stat. 37(4),
    2012): one flip is added to either side. Fagerland, Lydersen and Laake (Statistics in
    Medicine 33, 2014) recommend it; unlike the plain one it has a width where nothing flips.
    """
    total = samples + 2
    up, down = (gained + 1) / total, (lost + 1) / total
    half = Z95 * math.sqrt((up + down - (up - down) ** 2) / total)
    return max(-1.0, up - down - half), min(1.0, up - down + half)


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds for one batch: the median of many runs, and their 10th and 90th percentiles."""

    median: float
    low: float
    high: float


def latency(network: Runner, images: NDArray[Any], batch: int) -> Latency:
    """Return how long the network takes for the first `batch` images."""
    return latencies({"": network}, images, batch)[""]


def latencies(
    networks: Mapping[str, Runner], images: NDArray[Any], batch: int
) -> Mapping[str, Latency]:
    """Return how long each network takes for the first `batch` images (N, pixels).

    All are warm, run on one thread and take turns, so that whatever else the machine does
    meets them alike.
    """
    some = images[:batch]
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(WARM + ROUNDS):
        for name, network in networks.items():
            start = time.perf_counter()
            network.logits(some)
            if turn >= WARM:
                seconds[name].append(time.perf_counter() - start)
    return {
        name: Latency(*(float(q) for q in np.quantile(times, (0.5, 0.1, 0.9))))
        for name, times in seconds.items()
    }


def cross_entropies(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return −log softmax(logits) at the labels, of each sample: (N, classes), (N,) to (N,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    found: NDArray[np.float64] = np.log(np.exp(shifted).sum(axis=1)) - own
    return found


def output_error(before: Runner, after: Runner, inputs: NDArray[Any]) -> float:
    """Return how far a cut moves a network's outputs: ‖f'(x) − f(x)‖ / ‖f(x)‖ over all inputs.

    Inputs are (N, numbers); `inf` where the outputs of the first are all zero and move.

    Raises:
        DataRefused: inputs of another length than the network's.
        CannotRun: outputs that are NaN or infinite.
    """
    whole, cut = (each.logits(inputs).astype(np.float64) for each in (before, after))
    if not (np.isfinite(whole).all() and np.isfinite(cut).all()):
        raise CannotRun("outputs_not_finite")
    moved, size = float(np.linalg.norm(cut - whole)), float(np.linalg.norm(whole))
    return moved / size if size else (math.inf if moved else 0.0)


def random_inputs(network: Runner, count: int = 1_000, seed: int = 0) -> NDArray[Any]:
    """Return inputs (count, numbers) of independent standard normal numbers, or of tokens."""
    rng = np.random.default_rng(seed)
    if network.inputs == TOKENS:
        return rng.integers(network.outputs, size=(count, network.width))
    return rng.standard_normal((count, network.width), dtype=np.float32)


def _design(right: NDArray[np.bool_], images: int) -> float:
    """Return by how much dependence within an image widens the accuracy's standard error.

    The root of the design effect (Kish, Survey Sampling, 1965): the standard error from the
    means of the images, over the binomial one. 1 where an image has one label.
    """
    share = float(right.mean())
    if len(right) == images or images < 2 or share in (0, 1):
        return 1.0
    between = float(right.reshape(images, -1).mean(axis=1).std(ddof=1)) / math.sqrt(images)
    return between / math.sqrt(share * (1 - share) / len(right))
