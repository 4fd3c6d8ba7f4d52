"""`RMTPruner`: after every epoch it looks whether the linear layers of a module are to be cut."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from rmtviz.checkpoint import Checkpoint, double
from rmtviz.layers import Layer
from rmtviz.layers import find as find_layers
from rmtviz.pruning import PruningPlan
from rmtviz.rules import BulkShare, Rule
from rmtviz.schedules import Every, Look, Moment, Schedule
from rmtviz.training import cutting, looking

Array = NDArray[Any]

EDGE = BulkShare()
REPEATED = Every()


class Factored(nn.Sequential):
    """Two linear layers in the place of one: x ↦ B (A x) + b, named 0 (A) and 1 (B, with b).

    `weight` and `bias` are those of the layer in whose place it stands, for code that asks.
    """

    def __init__(self, inner: nn.Parameter, outer: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__(_linear(inner, None), _linear(outer, bias))
        self.in_features, self.out_features = int(inner.shape[1]), int(outer.shape[0])

    @property
    def weight(self) -> torch.Tensor:
        """The product B A."""
        inner, outer = self.pair
        return outer @ inner

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, which the second layer holds."""
        return dict(self[1].named_parameters()).get("bias")

    @property
    def pair(self) -> tuple[nn.Parameter, nn.Parameter]:
        """The factors (A, B)."""
        return self[0].get_parameter("weight"), self[1].get_parameter("weight")


class RMTPruner:
    """Cuts a module's linear layers while somebody else's loop trains it.

        pruner = RMTPruner(model, optimiser)
        for epoch in range(epochs):
            ...
            pruner.step()

    `schedule` and `rule` are those of `rmtviz.schedules` and `rmtviz.rules`; schedules that
    watch the error want it in `step`. Cut are plain `nn.Linear` modules (no subclasses, no
    shared weights), for which `wanted(name)` is true, if given; the last of the module's stays
    whole unless the schedule says otherwise. Where that is smaller, a cut layer is replaced by
    a `Factored`, else overwritten. The optimiser goes on: its groups get the new parameters,
    and what it remembers is projected (or, with moments "restart", forgotten). Layers that
    hold several matrices side by side, such as a fused q, k, v, are cut as one: leave them out.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer | None = None,
        schedule: Schedule = REPEATED,
        rule: Rule = EDGE,
        *,
        epochs: int = 10**6,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self.model, self.optimiser = model, optimiser
        self.schedule, self.rule, self.epochs = schedule, rule, epochs
        self.wanted = wanted or (lambda name: True)
        self._errors: list[float] = []
        self._looks: list[Look] = []
        self._cuts: list[int] = []

    @property
    def epoch(self) -> int:
        """The number of epochs that were told of."""
        return len(self._errors)

    def step(self, error: float = 0.0) -> PruningPlan | None:
        """Tell that an epoch is over, with its validation error; return what was cut, or None."""
        self._errors.append(error)
        modules = self.layers()
        if not modules:
            return None
        seen = self._look(modules) if self.schedule.needs else None
        moment = Moment(
            self.epoch,
            self.epochs,
            (self._errors[0], *self._errors),
            tuple(self._looks),
            tuple(self._cuts),
        )
        if not self.schedule.due(moment):
            return None
        seen = seen or self._look(modules)
        everything = replace(self.schedule, last="cut")  # the last one is not among the modules
        plan = everything.plan(seen.found, self.rule, moment)
        if plan.nothing:
            return None
        self._apply(plan, modules)
        self._cuts.append(self.epoch)
        return plan

    def layers(self) -> dict[str, nn.Module]:
        """Return the modules that may be cut, by name, in the order in which they were made."""
        counts: dict[int, int] = {}
        for module in self.model.modules():
            for parameter in module.parameters(recurse=False):
                counts[id(parameter)] = counts.get(id(parameter), 0) + 1
        found = {
            name: module
            for name, module in self.model.named_modules()
            if type(module) in (nn.Linear, Factored)
        }
        inside = {f"{name}.{i}" for name, each in found.items() for i in (0, 1) if _pair(each)}
        plain = {name: module for name, module in found.items() if name and name not in inside}
        if self.schedule.last != "cut" and len(plain) > 1:
            plain.popitem()
        return {
            name: module
            for name, module in plain.items()
            if self.wanted(name) and all(counts[id(p)] == 1 for p in module.parameters())
        }

    def _look(self, modules: Mapping[str, nn.Module]) -> looking.Seen:
        """Return what the layers' spectra say now, and remember it for the schedule."""
        seen = looking.look(_checkpoint(modules), self.epoch)
        self._looks.append(seen.look)
        return seen

    def _apply(self, plan: PruningPlan, modules: Mapping[str, nn.Module]) -> None:
        weights = _checkpoint(modules)
        after = cutting.cut(weights, plan)
        old = {layer.name: layer for layer in find_layers(weights)[0]}
        new = {layer.name: layer for layer in find_layers(after)[0]}
        for cut in plan.cuts:
            if cut.form == "whole":
                continue
            module, layer = modules[cut.name], new[cut.name]
            arrays = _arrays(after, layer)
            if len(arrays) == 1:
                _fill(module.get_parameter("weight"), arrays[0])
                continue
            before = _parameters(module)
            pair = [_like(before[0], array) for array in arrays]
            bias: Any = module.bias
            factored = Factored(pair[0], pair[1], bias).train(module.training)
            self._put(cut.name, factored)
            if self.optimiser is not None:
                self._renew(before, pair, _arrays(weights, old[cut.name]), arrays)

    def _put(self, name: str, module: nn.Module) -> None:
        parent, _, leaf = name.rpartition(".")
        setattr(self.model.get_submodule(parent), leaf, module)

    def _renew(
        self,
        before: list[nn.Parameter],
        after: list[nn.Parameter],
        old: list[Array],
        new: list[Array],
    ) -> None:
        """Put the new parameters in the place of the old, and carry over what was remembered."""
        assert self.optimiser is not None
        for group in self.optimiser.param_groups:
            if any(each is before[0] for each in group["params"]):
                gone = {id(each) for each in before}
                group["params"] = [each for each in group["params"] if id(each) not in gone]
                group["params"] += after
        states = [self.optimiser.state.pop(each, {}) for each in before]
        if self.schedule.moments == "restart" or not all(states):
            return
        for kind, value in states[0].items():
            held = [state[kind] for state in states]
            shaped = all(
                torch.is_tensor(x) and x.shape == p.shape for x, p in zip(held, before, strict=True)
            )
            if not shaped:  # a count of steps, or nothing yet
                for each in after:
                    copied = value.clone() if torch.is_tensor(value) else value
                    self.optimiser.state[each][kind] = copied
                continue
            arrays = [_array(x) for x in held]
            moved = cutting.projected(arrays, old, new, kind in cutting.SQUARES)
            for each, array in zip(after, moved, strict=True):
                self.optimiser.state[each][kind] = _like(each, array).data


def shape_like(model: nn.Module, state: Mapping[str, Any]) -> nn.Module:
    """Give a freshly made model the factored layers of a state dict, so that it can be loaded.

    Returns the model itself, whose parameters are those that it will be given.
    """
    for name, module in list(model.named_modules()):
        inner, outer = state.get(f"{name}.0.weight"), state.get(f"{name}.1.weight")
        if type(module) is not nn.Linear or inner is None or outer is None:
            continue
        pair = [_like(module.weight, _array(each)) for each in (inner, outer)]
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, Factored(pair[0], pair[1], module.bias))
    return model


def _checkpoint(modules: Mapping[str, nn.Module]) -> Checkpoint:
    """Return the weights of the modules, a pair's as one factored layer."""
    tensors: dict[str, Array] = {}
    for name, module in modules.items():
        held = _parameters(module)
        names = [f"{name}.0.weight", f"{name}.1.weight"] if len(held) == 2 else [f"{name}.weight"]
        tensors |= {each: _array(p) for each, p in zip(names, held, strict=True)}
    pairs = [name for name, module in modules.items() if _pair(module)]
    kinds = dict.fromkeys(tensors, "linear")
    return Checkpoint.of(tensors).with_about(factored=pairs, kinds=kinds)


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return a layer's matrices as parameters, in the order in which they are applied."""
    return list(module.pair) if isinstance(module, Factored) else [module.get_parameter("weight")]


def _pair(module: nn.Module) -> bool:
    return isinstance(module, Factored)


def _array(tensor: torch.Tensor) -> Array:
    exact = torch.promote_types(tensor.dtype, torch.float64)  # complex numbers stay complex
    return tensor.detach().to("cpu", exact).numpy()


def _arrays(checkpoint: Checkpoint, layer: Layer) -> list[Array]:
    return [double(checkpoint[name]) for name in layer.tensors]


def _like(parameter: torch.Tensor, array: Array) -> nn.Parameter:
    """Return a new parameter of these numbers, of another's kind and in its place."""
    tensor = torch.tensor(array).to(parameter.device, parameter.dtype)
    return nn.Parameter(tensor, requires_grad=parameter.requires_grad)


def _fill(parameter: nn.Parameter, array: Array) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(array))


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    rows, columns = weight.shape
    made = nn.Linear(columns, rows, bias=False, device="meta")
    made.weight = weight
    if bias is not None:
        made.bias = bias
    return made
