"""A live module, judged by a function of its owner's: perplexity, F1, a loss, whatever it gives.

Nothing leaves the process, and the module is never changed: cuts are made on copies.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from rmtviz import markup, pruning, tradeoff
from rmtviz.analysis import Analysis, analyze, checkpoint_of
from rmtviz.attention import by_heads
from rmtviz.checkpoint import Checkpoint
from rmtviz.costs import Size
from rmtviz.cuts import PruningPlan
from rmtviz.errors import CannotRun
from rmtviz.factors import Factors
from rmtviz.rules import Off, Rule
from rmtviz.words import say


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan that was tried: what it costs, and what the owner's function says of it."""

    plan: PruningPlan
    size: Size
    value: float

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the rule, the value, what is stored."""
        head = say(
            "notebook.judged",
            rule=self.plan.rule,
            value=self.value,
            parameters=self.size.parameters,
            bytes=self.size.bytes,
        )
        return markup.shown(head)


@dataclass(frozen=True, eq=False)
class Live:
    """A live module, and the function that judges it by a number: a loss, perplexity, F1.

    The function is given a copy in eval mode, of the same structure but for cut layers, which
    are two in a Sequential. With a number of `heads`, each is looked at and cut alone.
    """

    module: nn.Module
    evaluate: Callable[[nn.Module], float]
    heads: int | None = None

    @functools.cached_property
    def checkpoint(self) -> Checkpoint:
        """The module's tensors as they were when first asked for."""
        found = checkpoint_of(self.module)
        return found if self.heads is None else by_heads(found, self.heads)

    @functools.cached_property
    def analysis(self) -> Analysis:
        """The analysis of its layers."""
        return analyze(self.checkpoint)

    @functools.cached_property
    def whole(self) -> Judged:
        """The module as it is."""
        return self.judge(pruning.plan(self.analysis, Off()))

    @functools.cached_property
    def _factors(self) -> dict[str, Factors]:
        return {}

    def judge(self, plan: PruningPlan) -> Judged:
        """Return what a plan costs, and what the function says of the cut copy.

        Raises:
            CannotRun: the module does not hold its layers as its tensors' names say.
            PlanRefused: the plan is of another network.
        """
        pruned = pruning.apply(self.checkpoint, plan, self._known(plan))
        return Judged(plan, Size.of(pruned), float(self.evaluate(self._copy(plan, pruned))))

    def rules(self, rules: Mapping[str, Rule]) -> Iterator[tuple[str, Judged]]:
        """Yield what each rule gives, by its name."""
        for name, rule in rules.items():
            yield name, self.judge(pruning.plan(self.analysis, rule))

    def sensitivity(self, layer: str) -> Iterator[Judged]:
        """Yield what the module is worth with one layer cut to the ranks of `tradeoff.grid`."""
        for rank in tradeoff.grid(self.analysis[layer].spectrum.p):
            yield self.judge(pruning.plan(self.analysis, Off(), {layer: rank}))

    def cut(self, plan: PruningPlan) -> nn.Module:
        """Return a copy of the module, cut by a plan, in eval mode."""
        return self._copy(plan, pruning.apply(self.checkpoint, plan, self._known(plan)))

    def _copy(self, plan: PruningPlan, pruned: Checkpoint) -> nn.Module:
        copy = deepcopy(self.module).eval()
        try:
            for each in plan.cuts:
                if each.form == "factored":
                    pair = _pair(copy.get_submodule(each.name), each.rank_after)
                    copy.set_submodule(each.name, pair)
            copy.load_state_dict({name: torch.tensor(pruned[name]) for name in pruned})
        except (AttributeError, TypeError, ValueError, RuntimeError):
            raise CannotRun("live_layers") from None
        return copy

    def _known(self, plan: PruningPlan) -> Mapping[str, Factors]:
        for cut in plan.cuts:
            if cut.form != "whole" and cut.name not in self._factors:
                layer = self.analysis[cut.name].layer
                self._factors[cut.name] = pruning.factors(self.checkpoint, layer)
        return self._factors


def _pair(layer: nn.Module, rank: int) -> nn.Sequential:
    """Return two layers of this rank in the place of a Linear or a convolution, weights unset.

    Raises:
        TypeError: a layer of another kind.
    """
    if isinstance(layer, nn.Linear):
        bias = layer.bias is not None
        return nn.Sequential(
            nn.Linear(layer.in_features, rank, False, layer.weight.device, layer.weight.dtype),
            nn.Linear(rank, layer.out_features, bias, layer.weight.device, layer.weight.dtype),
        )
    if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros":
        margins = layer.padding
        first = nn.Conv2d(
            layer.in_channels,
            rank,
            (layer.kernel_size[0], layer.kernel_size[1]),
            (layer.stride[0], layer.stride[1]),
            margins if isinstance(margins, str) else (margins[0], margins[1]),
            (layer.dilation[0], layer.dilation[1]),
            bias=False,
            device=layer.weight.device,
            dtype=layer.weight.dtype,
        )
        second = nn.Conv2d(
            rank,
            layer.out_channels,
            1,
            bias=layer.bias is not None,
            device=layer.weight.device,
            dtype=layer.weight.dtype,
        )
        return nn.Sequential(first, second)
    raise TypeError(type(layer).__name__)
