"""A live module and its owner's function: cuts on copies, that do what the plan says."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from rmtviz import pruning
from rmtviz.errors import CannotRun
from rmtviz.live import Live
from rmtviz.rules import EnergyShare, FixedRank, NoiseEdge


class Own(nn.Module):
    """Somebody's own: a convolution, a shortcut, and layers that no reader could put in order."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, 12, 5, stride=2, padding=2)
        self.inner = nn.Linear(12 * 49, 40)
        self.loop = nn.Linear(40, 40, bias=False)
        self.norm = nn.LayerNorm(40)
        self.end = nn.Linear(40, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.inner(torch.relu(self.look(x)).flatten(1)).tanh()
        return self.end(self.norm(h + self.loop(h)))


X = torch.linspace(-1, 1, 5 * 196).view(5, 1, 14, 14).sin()


def nearness(target: torch.Tensor):
    """How near the outputs are to some others: any metric will do."""

    def evaluate(module: nn.Module) -> float:
        assert not module.training
        with torch.inference_mode():
            return -float((module(X) - target).norm())

    return evaluate


@pytest.fixture(scope="module")
def live() -> Live:
    torch.manual_seed(0)
    module = Own()
    with torch.inference_mode():
        target = module.eval()(X)
    return Live(module.train(), nearness(target))


def test_the_whole_is_the_module_and_stays_as_it_is(live) -> None:
    before = deepcopy(live.module.state_dict())
    assert live.whole.value == 0
    assert live.whole.size.parameters == sum(each.numel() for each in live.module.parameters())
    list(live.rules({"rank": FixedRank(4), "edge": NoiseEdge()}))
    assert live.module.training
    assert all(torch.equal(before[name], now) for name, now in live.module.state_dict().items())


@pytest.mark.parametrize("form", ["dense", "factored"])
def test_a_cut_copy_does_what_the_plan_says(live, form) -> None:
    plan = pruning.plan(live.analysis, FixedRank(4), form=form, include_last=True)
    pruned = pruning.apply(live.checkpoint, plan)
    expected = deepcopy(live.module).eval()
    dense = pruning.plan(live.analysis, FixedRank(4), form="dense", include_last=True)
    held = pruning.apply(live.checkpoint, dense)
    expected.load_state_dict({name: torch.tensor(held[name]) for name in held})
    with torch.inference_mode():
        assert live.cut(plan)(X).numpy() == pytest.approx(expected(X).numpy(), abs=1e-5)
    found = live.judge(plan)
    assert found.size.parameters == pruned.parameters
    assert found.value < live.whole.value
    tensors = {name: tuple(t.shape) for name, t in live.cut(plan).state_dict().items()}
    assert tensors == {name: tensor.shape for name, tensor in pruned.tensors.items()}


def test_sensitivity_ends_at_the_whole(live) -> None:
    found = list(live.sensitivity("inner"))
    ranks = [each.plan["inner"].rank_after for each in found]
    assert ranks == sorted(set(ranks))
    assert found[-1].value == live.whole.value > found[0].value


def test_rules_are_judged_by_name(live) -> None:
    found = dict(live.rules({"half": EnergyShare(0.5), "all": EnergyShare(1.0)}))
    assert found["all"].value == 0 > found["half"].value
    assert found["half"].size.parameters < found["all"].size.parameters


def test_a_layer_that_is_no_module_of_its_name_is_refused() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.ParameterDict({"weight": nn.Parameter(torch.randn(40, 60))})
            self.end = nn.Linear(40, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.end(x @ self.inside["weight"].T)

    live = Live(Bare(), lambda module: 0.0)
    with pytest.raises(CannotRun) as refusal:
        live.judge(pruning.plan(live.analysis, FixedRank(4), form="factored"))
    assert refusal.value.key == "live_layers"
