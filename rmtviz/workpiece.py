"""A network to be cut and the samples that say how: what a plan costs, and what it reads right."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rmtviz import evaluation, markup, pruning, whitening
from rmtviz.analysis import Analysis, analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.costs import Size
from rmtviz.cuts import PruningPlan
from rmtviz.datasets import Dataset, Samples
from rmtviz.evaluation import Evaluation, Latency, Paired
from rmtviz.factors import Calibration, Factors
from rmtviz.networks import Choice, Runner, Transparent
from rmtviz.rules import Off
from rmtviz.tradeoff import SLOW
from rmtviz.whitening import Moments
from rmtviz.words import say

CALIBRATED = 5_000
"""The number of samples on which the directions of outputs are found.

Where layers are applied at many places of each, `SLOW` samples are enough.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan that was tried: what it costs, what it reads right, how it differs from the whole.

    `family` is the kind of rule; `accuracy` and `loss` are those on `samples` samples of the
    split that choices are made on.
    """

    family: str
    plan: PruningPlan
    size: Size
    samples: int
    accuracy: float
    loss: float
    paired: Paired

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the rule, what it reads right, what it costs."""
        row = {
            "read": f"{self.accuracy:.2%}",
            "interval": f"{100 * self.paired.low:+.2f} … {100 * self.paired.high:+.2f}",
            "loss": f"{self.loss:.4f}",
            "parameters": f"{self.size.parameters:,}",
            "macs": f"{self.size.macs:,}",
        }
        head = say("notebook.outcome", rule=self.plan.rule, samples=self.samples)
        return markup.shown(head, [row])


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A plan on samples that nothing was chosen on: before, after, and the answers that flipped."""

    before: Evaluation
    after: Evaluation
    paired: Paired


@dataclass(frozen=True, eq=False)
class Workpiece:
    """A network to be cut, how it runs, and its samples, never changed.

    Directions of outputs are found on `calibration`, whose labels are not looked at; choices
    are made on `selection`. What is slow is made when it is first asked for, and kept.
    """

    checkpoint: Checkpoint
    analysis: Analysis
    choice: Choice
    calibration: Samples
    selection: Samples

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        choice: Choice,
        data: Dataset,
        foreign: bool = False,
        analysis: Analysis | None = None,
    ) -> "Workpiece":
        """Return the workpiece of a checkpoint and the dataset that it is judged by.

        Calibrated on training images, or on selection images where there is no training file.
        """
        selection = data.split("selection", foreign=foreign)
        training = data.split("train") if len(data.train_labels) else selection
        found = analysis or analyze(checkpoint)
        count = SLOW if choice(checkpoint).places else CALIBRATED
        return cls(checkpoint, found, choice, training.first(count), selection)

    @functools.cached_property
    def network(self) -> Runner:
        """The whole network."""
        return self.choice(self.checkpoint)

    @functools.cached_property
    def whole(self) -> Outcome:
        """The whole network as an outcome: nothing cut."""
        return self.judge("whole", pruning.plan(self.analysis, Off()))

    @functools.cached_property
    def calibrated(self) -> Calibration | None:
        """How layers are cut by data; None where the network hides what its layers are given."""
        if not isinstance(self.network, Transparent):
            return None
        seen = self.calibration
        return Calibration(seen.dataset, seen.name, len(seen))

    @functools.cached_property
    def _before(self) -> Evaluation:
        return evaluation.evaluate(self.network, self.selection)

    @functools.cached_property
    def _kept(self) -> dict[tuple[str, Calibration | None], Factors]:
        return {}

    @functools.cached_property
    def _seen(self) -> dict[str, Moments]:
        return {}

    def seen(self, name: str) -> Moments:
        """Return what a layer of the whole network is given on the calibration samples.

        Raises:
            CannotRun: the network does not show it.
        """
        if name not in self._seen:
            index = [layer.name for layer in self.network.layers].index(name)
            self._seen[name] = whitening.moments(self.network, self.calibration, index)
        return self._seen[name]

    def factors(self, name: str, how: Calibration | None = None) -> Factors:
        """Return a layer's factors: in its singular directions, or those of its outputs."""
        key = name, how
        if key not in self._kept:
            layer = self.analysis[name].layer
            self._kept[key] = (
                whitening.turned(self.checkpoint, layer, self.seen(name), how)
                if how
                else pruning.factors(self.checkpoint, layer)
            )
        return self._kept[key]

    def cut(self, plan: PruningPlan) -> Checkpoint:
        """Return the network cut by a plan.

        Raises:
            PlanRefused: the plan is of another network or of other samples.
        """
        return pruning.apply(self.checkpoint, plan, self._known(plan))

    def recut(self, ranks: Mapping[str, int], how: Calibration | None, rule: str) -> PruningPlan:
        """Return the plan that cuts these layers to these ranks, and leaves the others whole."""
        plan = pruning.plan(self.analysis, Off(), ranks)
        return replace(plan, rule=rule, calibration=how)

    def judge(self, family: str, plan: PruningPlan) -> Outcome:
        """Return what a plan costs, and what it reads right of the selection samples."""
        cut = self.cut(plan)
        found = evaluation.evaluate(self.choice(cut), self.selection)
        count = Size.of if plan.density == 1 else Size.sparse
        paired = evaluation.compare(self._before, found, self.selection.labels)
        size = count(cut, self.network.places)
        return Outcome(family, plan, size, found.samples, found.accuracy, found.loss, paired)

    def report(self, plan: PruningPlan, samples: Samples) -> Report:
        """Return what a plan does on samples that nothing was chosen on."""
        before, after = (
            evaluation.evaluate(network, samples)
            for network in (self.network, self.choice(self.cut(plan)))
        )
        return Report(before, after, evaluation.compare(before, after, samples.labels))

    def latencies(self, plans: Mapping[str, PruningPlan], batch: int) -> Mapping[str, Latency]:
        """Return how long a batch takes the whole network ("whole") and each plan's, in turns."""
        cut = {name: self.choice(self.cut(plan)) for name, plan in plans.items()}
        return evaluation.latencies({"whole": self.network, **cut}, self.selection.images, batch)

    def _known(self, plan: PruningPlan) -> Mapping[str, Factors]:
        how = plan.calibration
        if how is not None and (how.sequential or how != self._like(how)):
            return whitening.factors(self.checkpoint, plan, self.choice, self.calibration)
        names = [cut.name for cut in plan.cuts if cut.form != "whole"]
        return {name: self.factors(name, how) for name in names}

    def _like(self, how: Calibration) -> Calibration | None:
        """Return the calibration on these samples that is done in the same way."""
        return self.calibrated and replace(self.calibrated, affine=how.affine)
