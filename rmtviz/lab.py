"""Runs side by side: several ways to hold a network back, several seeds, one honest table.

Everything that a contender leaves open (how much weight decay, how far above the edge) is
decided on the selection set, whose labels are as noisy as those of the training set. Test
images are read once for each result, and decide nothing.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from rmtviz import analysis, knobs, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset, Samples
from rmtviz.evaluation import evaluate
from rmtviz.networks import MLP
from rmtviz.rules import BulkShare, EnergyShare, Rule
from rmtviz.schedules import Every, Once
from rmtviz.training import EpochRecord, Training, best, train

TIMES = tuple(2 ** (step / 3) for step in range(13))
"""Multiples of the noise edge at which `Chosen` cuts: 1 to 16."""

Candidates = Iterator[tuple[str, Checkpoint]]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Of a run, the last epoch and the first of those that read the selection set best."""

    last: EpochRecord
    best: EpochRecord

    @classmethod
    def of(cls, records: Iterable[EpochRecord]) -> "Trained":
        """Return both of a run's records, of which no more are held at a time."""
        found = None
        for record in records:
            found = cls(record, best([found.best, record]) if found else record)
        if found is None:
            raise ValueError("a run has at least one record")
        return found


def last(trained: Trained) -> Candidates:
    """Yield the network at the end."""
    yield "", trained.last.checkpoint


def stopped(trained: Trained) -> Candidates:
    """Yield the network of the epoch that reads the selection set best: early stopping."""
    yield f"epoch {trained.best.epoch}", trained.best.checkpoint


@dataclass(frozen=True, slots=True)
class Cut:
    """The network at the end, its hidden layers cut by a rule."""

    rule: Rule

    def __call__(self, trained: Trained) -> Candidates:
        """Yield that network."""
        weights = trained.last.checkpoint
        plan = pruning.plan(analysis.analyze(weights), self.rule)
        yield _ranks(plan), pruning.apply(weights, plan)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The network at the end, cut above a multiple of the edge: in one hidden layer, or in all."""

    times: tuple[float, ...] = TIMES

    def candidates(self, recipe: Training) -> int:
        """Return how many networks it yields at most for a recipe."""
        hidden = len(recipe.widths)
        return len(self.times) * (hidden + (hidden > 1)) + 1

    def __call__(self, trained: Trained) -> Candidates:
        """Yield one for each multiple and each layer, and for all layers together; last, no cut."""
        weights = trained.last.checkpoint
        found = analysis.analyze(weights)
        for times in self.times:
            plan = pruning.plan(found, BulkShare(times=times))
            cut = [each for each in plan.cuts if each.form != "whole"]
            alone = [(each,) for each in cut]
            for cuts in alone + [tuple(cut)] * (len(cut) > 1):
                one = replace(plan, cuts=cuts)
                yield f"{times:.2f} edges, {_ranks(one)}", pruning.apply(weights, one)
        yield "nothing cut", weights


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to train and to finish: changes to a recipe, and what is made of what was trained.

    Of several changes, and of several networks that the finish gives, the one that reads the
    selection set best counts, the first of equals.
    """

    changes: Callable[[Training], Iterable[Mapping[str, Any]]] = lambda recipe: ({},)
    finish: Callable[[Trained], Candidates] = last


CONTENDERS: Mapping[str, Contender] = {
    "none": Contender(),
    "weight-decay": Contender(lambda _: ({"weight_decay": x} for x in (1e-3, 5e-3))),
    "dropout": Contender(lambda _: ({"dropout": 0.5},)),
    "early-stopping": Contender(finish=stopped),
    "magnitude": Contender(lambda _: ({"magnitude": 0.9},)),
    "energy": Contender(finish=Cut(EnergyShare(0.9))),
    "rmt-during": Contender(lambda r: ({"schedule": Every(first=_part(r, 4), every=_part(r, 4))},)),
    "rmt-afterwards": Contender(finish=Cut(BulkShare())),
    "rmt-recovery": Contender(lambda r: ({"schedule": Once(epoch=r.epochs - _part(r, 5))},)),
    "rmt-chosen": Contender(finish=Chosen()),
}
"""The ways that are compared, by name; in `rmt-during` and `rmt-recovery` the edge decides."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one contender reached with one seed, and `chosen`, what the selection set decided.

    `train_accuracy` is on the labels trained on, `selection_accuracy` on labels as noisy,
    `test_accuracy` on `test_samples` clean ones; `never_predicted` counts classes.
    """

    contender: str
    seed: int
    train_accuracy: float
    selection_accuracy: float
    test_accuracy: float
    test_samples: int
    parameters: int
    never_predicted: int
    chosen: str


@dataclass(frozen=True, slots=True)
class Line:
    """A contender over its seeds: mean and sample standard deviation of the test accuracy.

    `spread` is None for one seed. `gain` and `gain_spread` are those of the difference to the
    first contender, seed by seed.
    """

    contender: str
    seeds: int
    test_accuracy: float
    spread: float | None
    gain: float
    gain_spread: float | None
    train_accuracy: float
    parameters: float


def run(
    recipe: Training,
    seeds: Iterable[int],
    contenders: Mapping[str, Contender] = CONTENDERS,
    on_epoch: Callable[[str, EpochRecord], None] | None = None,
    own: Dataset | None = None,
) -> Iterator[Result]:
    """Yield each contender's result for each seed; what trains alike is trained once a seed.

    Data of one's `own` are divided anew for each seed.

    Raises what `train` raises.
    """
    for seed in seeds:
        known: dict[Training, Trained] = {}
        base = replace(recipe, seed=seed)
        for name, contender in contenders.items():
            found = [
                (_named(change, words), weights, each)
                for change in contender.changes(base)
                for each in (replace(base, **change),)
                for words, weights in contender.finish(_trained(each, known, name, on_epoch, own))
            ]
            yield _result(name, seed, found, own)


def table(results: Iterable[Result]) -> list[Line]:
    """Return a line for each contender, in the order in which they first appear."""
    by_name: dict[str, dict[int, Result]] = {}
    for result in results:
        by_name.setdefault(result.contender, {})[result.seed] = result
    first = next(iter(by_name.values()), {})
    lines = []
    for name, found in by_name.items():
        scores = [result.test_accuracy for result in found.values()]
        gains = [
            result.test_accuracy - first[seed].test_accuracy
            for seed, result in found.items()
            if seed in first
        ]
        lines.append(
            Line(
                name,
                len(found),
                statistics.fmean(scores),
                _spread(scores),
                statistics.fmean(gains) if gains else math.nan,
                _spread(gains),
                statistics.fmean(result.train_accuracy for result in found.values()),
                statistics.fmean(result.parameters for result in found.values()),
            )
        )
    return lines


def _trained(
    recipe: Training,
    known: dict[Training, Trained],
    name: str,
    on_epoch: Callable[[str, EpochRecord], None] | None,
    own: Dataset | None,
) -> Trained:
    """Return what a recipe trains, trained now if it is not known."""

    def told() -> Iterator[EpochRecord]:
        for record in train(recipe, own=own):
            yield record
            if on_epoch is not None:
                on_epoch(name, record)

    if recipe not in known:
        known[recipe] = Trained.of(told())
    return known[recipe]


def _result(
    name: str, seed: int, found: list[tuple[str, Checkpoint, Training]], own: Dataset | None
) -> Result:
    """Return the result of the candidate that reads the selection set best."""
    data = found[0][2].data(own)
    choice = found[0][2].network(data)
    selection = data.split("selection")
    scores = [_accuracy(choice, weights, selection) for _, weights, _ in found]
    place = scores.index(max(scores))
    words, weights, recipe = found[place]
    test = evaluate(choice(weights), data.split("test"))
    samples = data.split("train").first(recipe.train_samples)
    zeros = sum(int((weights[each] == 0).sum()) for each in weights) if recipe.magnitude else 0
    return Result(
        name,
        seed,
        _accuracy(choice, weights, samples),
        scores[place],
        test.accuracy,
        test.samples,
        weights.parameters - zeros,
        len(test.never_predicted),
        words,
    )


def _accuracy(choice: MLP, weights: Checkpoint, samples: Samples) -> float:
    return evaluate(choice(weights), samples).accuracy


def _named(change: Mapping[str, Any], words: str) -> str:
    """Return what was chosen: the changed settings, and how the run was finished."""
    settings = [
        f"{name}={knobs.brief(value) if is_dataclass(value) else value}"
        for name, value in change.items()
    ]
    return ", ".join([*settings, words] if words else settings)


def _ranks(plan: pruning.PruningPlan) -> str:
    cuts = [f"{each.name}: {each.rank_after}" for each in plan.cuts if each.form != "whole"]
    return "ranks " + ", ".join(cuts) if cuts else "nothing cut"


def _part(recipe: Training, of: int) -> int:
    return max(1, recipe.epochs // of)


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
