"""Cached calls behind the pages that run networks: one model, one choice, one plan at a time.

Keys are digests and frozen values, never arrays; what has a leading underscore is no key.
"""

from dataclasses import dataclass

import streamlit as st

from rmtviz import datasets, evaluation, networks, pruning, tradeoff, trial
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset, Samples
from rmtviz.evaluation import Evaluation
from rmtviz.networks import MLP, Network
from rmtviz.pruning import Factors, PruningPlan
from rmtviz.tradeoff import Curve
from rmtviz.trial import Trial
from rmtviz.ui.library import Model


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A model that runs: its network, the choice that made it, and the data it is judged on."""

    model: Model
    choice: MLP
    network: Network
    dataset: Dataset
    foreign: bool

    def samples(self, split: str) -> Samples:
        """Return the images of a split, as they belong to this model."""
        return self.dataset.split(split, foreign=self.foreign)


def running(model: Model, activation: str | None = None, inputs: str | None = None) -> Running:
    """Return the model as a network that runs, its open choices found on selection images.

    Raises:
        CannotRun: it cannot be run from its weights.
        DataRefused: no dataset fits it.
    """
    return _running(model.spectra.model.digest, activation, inputs, model)


def pruned(run: Running, plan: PruningPlan) -> Evaluation:
    """Return how the pruned network reads the selection images."""
    return _pruned(plan.to_json(), run.choice, run, plan)


def whole(run: Running) -> Evaluation:
    """Return how the unpruned network reads the selection images."""
    return _whole(run.model.spectra.model.digest, run.choice, run)


def curve(run: Running, layer: str) -> Curve:
    """Return the layer's accuracy against rank on the selection images."""
    return _curve(run.model.spectra.model.digest, run.choice, layer, run)


def tested(run: Running, plan: PruningPlan) -> Trial:
    """Return the figures on the test images, the latencies and the three controls."""
    return _tested(plan.to_json(), run.choice, run, plan)


def factors(model: Model, plan_or_layer: PruningPlan | str) -> dict[str, Factors]:
    """Return the factors of a layer, or of all layers that a plan cuts, by name."""
    names = (
        [plan_or_layer]
        if isinstance(plan_or_layer, str)
        else [cut.name for cut in plan_or_layer.cuts if cut.form != "whole"]
    )
    return {name: _factors(model.spectra.model.digest, name, model) for name in names}


def checkpoint(model: Model, plan: PruningPlan) -> Checkpoint:
    """Return the pruned checkpoint."""
    return pruning.apply(model.checkpoint, plan, factors(model, plan))


@st.cache_resource(max_entries=16, show_spinner=False)
def _running(digest: str, activation: str | None, inputs: str | None, _model: Model) -> Running:
    dataset, foreign = datasets.of(_model.checkpoint)
    choice = networks.detect(
        _model.checkpoint, dataset, foreign, activation=activation, inputs=inputs
    )
    return Running(_model, choice, choice(_model.checkpoint), dataset, foreign)


@st.cache_resource(max_entries=64, show_spinner=False)
def _factors(digest: str, layer: str, _model: Model) -> Factors:
    found = next(item.layer for item in _model.spectra.layers if item.layer.name == layer)
    return pruning.factors(_model.checkpoint, found)


@st.cache_resource(max_entries=128, show_spinner=False)
def _pruned(plan_json: str, choice: MLP, _run: Running, _plan: PruningPlan) -> Evaluation:
    network = choice(checkpoint(_run.model, _plan))
    return evaluation.evaluate(network, _run.samples("selection"))


@st.cache_resource(max_entries=32, show_spinner=False)
def _whole(digest: str, choice: MLP, _run: Running) -> Evaluation:
    return evaluation.evaluate(_run.network, _run.samples("selection"))


@st.cache_resource(max_entries=64, show_spinner=False)
def _curve(digest: str, choice: MLP, layer: str, _run: Running) -> Curve:
    names = [item.name for item in _run.network.layers]
    parts = factors(_run.model, layer)[layer]
    return tradeoff.curve(_run.network, names.index(layer), parts, _run.samples("selection"))


@st.cache_resource(max_entries=32, show_spinner=False)
def _tested(plan_json: str, choice: MLP, _run: Running, _plan: PruningPlan) -> Trial:
    known = factors(_run.model, _plan)
    return trial.run(_run.model.checkpoint, _plan, choice, _run.samples("test"), known)
