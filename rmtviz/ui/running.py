"""Calls behind the pages that run networks, each computed once and kept with its model."""

from dataclasses import dataclass

from rmtviz import datasets, evaluation, networks, pruning, tradeoff, trial
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset, Samples
from rmtviz.evaluation import Evaluation
from rmtviz.networks import Choice, Runner
from rmtviz.pruning import Factors, PruningPlan, Size
from rmtviz.tradeoff import Curve
from rmtviz.trial import Trial
from rmtviz.ui.library import Model


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A model that runs: its network, the choice that made it, and the data it is judged on."""

    model: Model
    choice: Choice
    network: Runner
    dataset: Dataset
    foreign: bool

    def samples(self, split: str) -> Samples:
        """Return the images of a split, as they belong to this model."""
        return self.dataset.split(split, foreign=self.foreign)


def running(
    model: Model,
    activation: str | None = None,
    inputs: str | None = None,
    order: tuple[str, ...] | None = None,
) -> Running:
    """Return the model as a network that runs, its open choices found on selection images.

    Raises:
        CannotRun: it cannot be run from its weights.
        DataRefused: no dataset fits it.
    """

    def make() -> Running:
        dataset, foreign = datasets.of(model.checkpoint)
        choice = networks.detect(
            model.checkpoint,
            dataset,
            foreign,
            activation=activation,
            inputs=inputs,
            order=order,
        )
        return Running(model, choice, choice(model.checkpoint), dataset, foreign)

    return model.memo(("running", activation, inputs, order), make)


def whole(run: Running) -> Evaluation:
    """Return how the unpruned network reads the selection images."""
    return run.model.memo(
        ("whole", run.choice), lambda: evaluation.evaluate(run.network, run.samples("selection"))
    )


def pruned(run: Running, plan: PruningPlan) -> Evaluation:
    """Return how the pruned network reads the selection images."""
    return run.model.memo(
        ("pruned", run.choice, plan),
        lambda: evaluation.evaluate(
            run.choice(checkpoint(run.model, plan)), run.samples("selection")
        ),
    )


def sizes(model: Model, plan: PruningPlan) -> tuple[Size, Size]:
    """Return what the model stores before and after a plan."""
    before = model.memo("size", lambda: Size.of(model.checkpoint))
    after = model.memo(("size", plan), lambda: Size.of(checkpoint(model, plan)))
    return before, after


def curve(run: Running, layer: str) -> Curve:
    """Return the layer's accuracy against rank on the selection images."""

    def make() -> Curve:
        names = [item.name for item in run.network.layers]
        parts = factors(run.model, layer)
        samples = run.samples("selection")
        return tradeoff.curve(run.network, names.index(layer), parts, samples)

    return run.model.memo(("curve", run.choice, layer), make)


def tested(run: Running, plan: PruningPlan) -> Trial:
    """Return the figures on the test images, the latencies and the three controls."""
    return run.model.memo(
        ("tested", run.choice, plan),
        lambda: trial.run(
            run.model.checkpoint, plan, run.choice, run.samples("test"), _cut(run.model, plan)
        ),
    )


def factors(model: Model, layer: str) -> Factors:
    """Return the factors of a layer."""

    def make() -> Factors:
        found = next(item.layer for item in model.spectra.layers if item.layer.name == layer)
        return pruning.factors(model.checkpoint, found)

    return model.memo(("factors", layer), make)


def checkpoint(model: Model, plan: PruningPlan) -> Checkpoint:
    """Return the pruned checkpoint."""
    return pruning.apply(model.checkpoint, plan, _cut(model, plan))


def recorded(model: Model, plan: PruningPlan, run: Running | None) -> Checkpoint:
    """Return the pruned checkpoint with how the whole network runs in its record."""
    pruned = checkpoint(model, plan)
    return pruned.with_about(network=run.choice.record()) if run else pruned


def _cut(model: Model, plan: PruningPlan) -> dict[str, Factors]:
    return {cut.name: factors(model, cut.name) for cut in plan.cuts if cut.form != "whole"}
