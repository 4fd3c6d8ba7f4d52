"""What every schedule sees of a run, and says: whether to cut now, and which cuts to make."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rmtviz import knobs, pruning
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.pruning import LayerCut, PruningPlan
from rmtviz.rules import BulkShare, Rule


@dataclass(frozen=True, slots=True)
class Look:
    """What the spectra said after an epoch: spikes and Kolmogorov distance by layer."""

    epoch: int
    spikes: Mapping[str, int | None]
    distances: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Moment:
    """A run up to the end of an epoch, as far as a schedule may look at it.

    `errors` are those on the selection set after epochs 0 … `epoch`; `looks` those at the
    spectra so far, `cuts` the epochs after which layers were cut. Test images are not in it.
    """

    epoch: int
    epochs: int
    errors: tuple[float, ...]
    looks: tuple[Look, ...] = ()
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule(abc.ABC):
    """When to cut during training, and where a cut is made; its fields are its knobs.

    `gate` says which layers may be cut: those on whose cut the methods agree ("stable"), those
    whose bulk is no farther than `distance` from the law ("distance", the paper's way), or all
    ("none"). The null band of an exact law would never let a trained layer be cut. `form` is
    how a cut layer is stored: as two where that is smaller ("auto"), or as one ("dense").
    `last` is whether the layer that names the classes is cut too, and `moments` whether the
    optimiser's memory is carried through the cut by projection, or begins anew as the paper's.
    """

    gate: str = knob("stable", among=("stable", "distance", "none"))
    distance: float = knob(0.15, low=0.0, high=1.0)
    form: str = knob("auto", among=("auto", "dense"))
    last: str = knob("whole", among=("whole", "cut"))
    moments: str = knob("project", among=("project", "restart"))

    def __post_init__(self) -> None:
        knobs.check(self)

    @abc.abstractmethod
    def due(self, moment: Moment) -> bool:
        """Return whether to cut after this epoch; 0 is the moment before the first step."""

    @property
    def needs(self) -> int:
        """How many looks at the spectra it takes to know when; 0: it is known without."""
        return 0

    def rule(self, rule: Rule, moment: Moment) -> Rule:
        """Return what to keep at this moment, where the run was told `rule`: as told."""
        return rule

    def worth(self, cut: LayerCut) -> bool:
        """Return whether a cut is worth making: always."""
        return True

    def plan(self, analysis: Analysis, rule: Rule, moment: Moment) -> PruningPlan:
        """Return the cuts at this moment; a layer that the gate holds back is whole, and says why.

        A layer is never made larger than it was.
        """
        rule = self.rule(rule, moment)
        found = pruning.plan(analysis, rule, form=self.form, include_last=self.last == "cut")
        cuts = tuple(self._passed(cut, analysis[cut.name], rule) for cut in found.cuts)
        return replace(found, cuts=cuts)

    def _passed(self, cut: LayerCut, layer: LayerAnalysis, rule: Rule) -> LayerCut:
        if cut.form == "whole":
            return cut
        if rule.fitted and self.gate == "stable" and not layer.stable:
            return _whole(cut, "unstable")
        far = layer.ks is None or layer.ks > self.distance
        if rule.fitted and self.gate == "distance" and far:
            return _whole(cut, "far_from_law")
        larger = cut.parameters_after > cut.parameters_before
        return cut if self.worth(cut) and not larger else _whole(cut, "not_worth")


@dataclass(frozen=True, slots=True)
class Repeated(Schedule):
    """A schedule that may cut again and again: at most `most` times, never after the last epoch."""

    most: int = knob(1_000, low=1, high=1_000)

    def due(self, moment: Moment) -> bool:
        """Return whether another cut is allowed, and `ready`."""
        allowed = len(moment.cuts) < self.most and moment.epoch < moment.epochs
        return allowed and self.ready(moment)

    @abc.abstractmethod
    def ready(self, moment: Moment) -> bool:
        """Return whether the moment has come."""


def since(moment: Moment) -> int:
    """Return the epoch of the latest cut, or 0."""
    return max(moment.cuts, default=0)


def share_left(rule: Rule, share: float) -> Rule:
    """Return the rule with another share of the bulk kept, where it keeps one."""
    return replace(rule, share=share) if isinstance(rule, BulkShare) else rule


def _whole(cut: LayerCut, reason: str) -> LayerCut:
    """Return the cut not made, for a reason."""
    return replace(
        cut,
        rank_after=cut.rank_before,
        parameters_after=cut.parameters_before,
        form="whole",
        reason=reason,
        values=None,
        kept=None,
    )
