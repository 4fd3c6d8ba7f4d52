"""Calls behind the pages that run networks, each computed once and kept with its model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rmtviz import ablation, evaluation, networks, pruning, tradeoff, trial, whitening
from rmtviz.ablation import Ablation
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset, Samples
from rmtviz.evaluation import Evaluation, Paired
from rmtviz.factors import Calibration
from rmtviz.fits import BEMA, Method
from rmtviz.networks import Choice, Network, Runner
from rmtviz.pruning import Factors, PruningPlan, Size
from rmtviz.tradeoff import Curve
from rmtviz.trial import Trial
from rmtviz.ui.library import Model
from rmtviz.workpiece import Workpiece

SUPPLIED = 1_000
"""So many samples are used where each is looked at often, or labels do not fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A model that runs: its network, the choice that made it, and the data it is judged on."""

    model: Model
    choice: Choice
    network: Runner
    dataset: Dataset
    foreign: bool

    @property
    def key(self) -> tuple[Choice, str]:
        """What its results are kept under: how it runs, and on what."""
        return self.choice, self.dataset.key

    @property
    def entering(self) -> tuple[float, float]:
        """How a level x enters the network: centre and scale of (x − centre) / scale."""
        data = self.dataset
        return networks.INPUTS[self.choice.inputs](data.mean, data.std, data.top)

    def samples(self, split: str) -> Samples:
        """Return the images of a split, as they belong to this model."""
        return self.dataset.split(split, foreign=self.foreign)


def running(
    model: Model,
    activation: str | None = None,
    inputs: str | None = None,
    order: tuple[str, ...] | None = None,
    layout: str | None = None,
    data: Dataset | None = None,
) -> Running:
    """Return the model as a network that runs, its open choices found on selection images.

    On the data given, else on those that suit it: see `networks.match`.

    Raises:
        CannotRun: it cannot be run from its weights.
        DataRefused: no dataset fits it.
    """

    def make() -> Running:
        choice, dataset, foreign = networks.match(
            model.checkpoint,
            data,
            activation=activation,
            inputs=inputs,
            order=order,
            layout=layout,
        )
        if data is None:
            model.memo("data", lambda: dataset.name)
        return Running(model, choice, choice(model.checkpoint), dataset, foreign)

    key = data.key if data else None
    return model.memo(("running", activation, inputs, order, layout, key), make)


def whole(run: Running) -> Evaluation:
    """Return how the unpruned network reads the selection images."""
    return run.model.memo(
        ("whole", run.key), lambda: evaluation.evaluate(run.network, run.samples("selection"))
    )


def pruned(run: Running, plan: PruningPlan) -> Evaluation:
    """Return how the pruned network reads the selection images."""
    return run.model.memo(
        ("pruned", run.key, plan),
        lambda: evaluation.evaluate(
            run.choice(checkpoint(run.model, plan, run)), run.samples("selection")
        ),
    )


def paired(run: Running, plan: PruningPlan) -> Paired:
    """Return how the pruned network differs from the whole one, on the selection images."""
    return evaluation.compare(whole(run), pruned(run, plan), run.samples("selection").labels)


def sizes(model: Model, plan: PruningPlan, run: Running | None = None) -> tuple[Size, Size]:
    """Return what the model stores and computes before and after a plan."""
    places = run.network.places if run else {}
    key = run.key if run else None
    before = whole_size(model, run)
    after = model.memo(("size", key, plan), lambda: Size.of(checkpoint(model, plan, run), places))
    return before, after


def whole_size(model: Model, run: Running | None = None) -> Size:
    """Return what the model stores and computes as it is."""
    places, key = (run.network.places, run.key) if run else ({}, None)
    return model.memo(("size", key), lambda: Size.of(model.checkpoint, places))


def moved(
    model: Model, plan: PruningPlan, activation: str | None, own: Dataset | None
) -> tuple[Choice, float, float | None]:
    """Return how the model runs without data that fit, and how far a plan moves its outputs.

    Over random inputs, and over data of the visitor's own where these are of its length.

    Raises:
        CannotRun: without data it cannot be run.
    """

    def make() -> tuple[Choice, float, float | None]:
        choice = networks.blind(model.checkpoint, activation)
        whole, cut = choice(model.checkpoint), choice(checkpoint(model, plan))
        error = evaluation.output_error(whole, cut, evaluation.random_inputs(whole))
        if own is None or own.pixels != whole.width or whole.inputs == networks.TOKENS:
            return choice, error, None
        levels = own.test_images[:SUPPLIED] / np.float32(own.top)
        return choice, error, evaluation.output_error(whole, cut, levels.astype(np.float32))

    return model.memo(("moved", plan, activation, own.key if own else None), make)


def without(run: Running, layer: str, count: int) -> tuple[Ablation, ...]:
    """Return what the layer's strongest directions do, each taken out of the whole network alone.

    Nothing where the network is no chain of layers: it would have to be run as a whole.
    """
    network = run.network
    if not isinstance(network, Network) or not count:
        return ()

    def make() -> tuple[Ablation, ...]:
        index = [item.name for item in network.layers].index(layer)
        samples = run.samples("selection").first(SUPPLIED)
        return ablation.ablations(network, index, factors(run.model, layer), samples, count)

    return run.model.memo(("without", run.key, layer, count), make)


def curve(
    run: Running,
    layer: str,
    others: PruningPlan | None = None,
    how: Calibration | None = None,
) -> Curve:
    """Return the layer's accuracy against rank on the selection images.

    The other layers are as they are, or as a plan has them in which this layer is whole; the
    layer is cut in its singular directions, or in those of its outputs.
    """

    def make() -> Curve:
        network = run.network
        if others is not None and not others.nothing:
            network = run.choice(checkpoint(run.model, others))
        names = [item.name for item in network.layers]
        parts = _by_data(run, layer, how) if how else factors(run.model, layer)
        return tradeoff.curve(network, names.index(layer), parts, run.samples("selection"))

    return run.model.memo(("curve", run.key, layer, others, how), make)


def tested(run: Running, plan: PruningPlan) -> Trial:
    """Return the figures on the test images, the latencies and the three controls."""
    return run.model.memo(
        ("tested", run.key, plan),
        lambda: trial.run(
            run.model.checkpoint, plan, run.choice, run.samples("test"), _cut(run.model, plan, run)
        ),
    )


def factors(model: Model, layer: str) -> Factors:
    """Return the factors of a layer."""

    def make() -> Factors:
        found = next(item.layer for item in model.spectra.layers if item.layer.name == layer)
        return pruning.factors(model.checkpoint, found)

    return model.memo(("factors", layer), make)


def checkpoint(model: Model, plan: PruningPlan, run: Running | None = None) -> Checkpoint:
    """Return the pruned checkpoint.

    Raises:
        PlanRefused: the plan was made by data, and the network does not run on them.
    """
    return pruning.apply(model.checkpoint, plan, _cut(model, plan, run))


def recorded(model: Model, plan: PruningPlan, run: Running | None) -> Checkpoint:
    """Return the pruned checkpoint with how the whole network runs in its record."""
    pruned = checkpoint(model, plan, run)
    return pruned.with_about(network=run.choice.record()) if run else pruned


def piece(run: Running, method: Method | None = None) -> Workpiece:
    """Return the network as something to be cut, with the samples that say how."""
    fitted = method or BEMA()

    def make() -> Workpiece:
        model = run.model
        analysis = model.analysed(fitted)
        return Workpiece.of(model.checkpoint, run.choice, run.dataset, run.foreign, analysis)

    return run.model.memo(("piece", run.key, fitted), make)


def _cut(model: Model, plan: PruningPlan, run: Running | None) -> Mapping[str, Factors]:
    if plan.calibration is None or run is None:
        return {cut.name: factors(model, cut.name) for cut in plan.cuts if cut.form != "whole"}
    return model.memo(
        ("whitened", run.key, plan),
        lambda: whitening.factors(model.checkpoint, plan, run.choice, piece(run).calibration),
    )


def _by_data(run: Running, layer: str, how: Calibration) -> Factors:
    """Return a layer's factors in the directions of its outputs, none before it cut."""
    return piece(run).factors(layer, replace(how, sequential=False))
