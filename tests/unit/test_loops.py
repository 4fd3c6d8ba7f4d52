"""`RMTPruner` in loops of plain torch, its adapters beside fakes, and the examples."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rmtviz.errors import ExtraMissing
from rmtviz.factors import Factors
from rmtviz.loops import Factored, RMTPruner, lightning, shape_like, transformers
from rmtviz.rules import BulkShare, FixedRank
from rmtviz.schedules import Every, Once, Rising, Settled
from rmtviz.training import looking

NOW = Once(epoch=1, gate="none")
EXAMPLES = Path(__file__).parents[2] / "examples"

OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, amsgrad=True),
    "adamw": torch.optim.AdamW,
    "rmsprop": lambda p: torch.optim.RMSprop(p, momentum=0.5),
}


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 50), nn.ReLU(), nn.Linear(50, 5)
    )


@pytest.fixture
def model():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 50), nn.ReLU(), nn.Linear(50, 5)
    )


def steps(model, optimiser, count=3):
    """A few steps on random targets, the same each time."""
    draw = torch.Generator().manual_seed(5)
    for _ in range(count):
        optimiser.zero_grad()
        inputs = torch.randn(32, 40, generator=draw)
        model(inputs).square().mean().backward()
        optimiser.step()


def test_a_cut_layer_becomes_two_and_computes_the_truncated_one(model) -> None:
    weight = model[0].weight.detach().double().numpy()
    bias = model[0].bias
    inputs = torch.randn(7, 40)
    plan = RMTPruner(model, None, NOW, FixedRank(8)).step()
    assert [(cut.name, cut.rank_after) for cut in plan.cuts] == [("0", 8), ("2", 8)]
    assert isinstance(model[0], Factored)
    assert model[0].bias is bias
    assert type(model[4]) is nn.Linear
    best = torch.tensor(Factors.of(weight).truncated(8)).float()
    expected = inputs @ best.T + bias
    assert torch.allclose(model[0](inputs), expected, atol=1e-5)
    assert torch.allclose(model[0].weight, best, atol=1e-5)
    assert (model[0].in_features, model[0].out_features) == (40, 60)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_optimiser_goes_on_with_the_new_parameters_and_what_it_knew(model, name) -> None:
    optimiser = OPTIMISERS[name](model.parameters())
    steps(model, optimiser)
    before = dict(optimiser.state[model[0].weight])
    pruner = RMTPruner(model, optimiser, Every(first=1, every=1, gate="none"), FixedRank(8))
    pruner.step()
    held = [each for group in optimiser.param_groups for each in group["params"]]
    assert {id(each) for each in held} == {id(each) for each in model.parameters()}
    assert set(optimiser.state) == set(model.parameters())
    inner, outer = model[0].pair
    for kind, value in before.items():
        state = optimiser.state[inner][kind], optimiser.state[outer][kind]
        if not torch.is_tensor(value) or value.shape != (60, 40):
            assert state[0] == state[1] == value
        elif kind in ("exp_avg", "momentum_buffer"):
            assert torch.allclose(state[0], outer.T @ value, atol=1e-5)
            assert torch.allclose(state[1], value @ inner.T, atol=1e-5)
        else:
            assert (state[0] >= 0).all()
            assert state[0].shape == inner.shape
    weight = outer.detach().clone()
    steps(model, optimiser)
    assert not torch.equal(model[0].pair[1], weight)
    pruner.step()
    assert model[0].pair[0].shape == (8, 40)


def test_a_restart_forgets(model) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    steps(model, optimiser)
    RMTPruner(model, optimiser, Once(epoch=1, gate="none", moments="restart"), FixedRank(8)).step()
    assert all(each not in optimiser.state for each in model[0].pair)
    steps(model, optimiser)


def test_a_pair_is_cut_again_as_one_and_no_chain_grows(model) -> None:
    optimiser = torch.optim.Adam(model.parameters())
    pruner = RMTPruner(model, optimiser, Every(first=1, every=1, gate="none"), FixedRank(12))
    pruner.step()
    steps(model, optimiser)
    product = model[0].weight.detach().double().numpy()
    pruner.rule = FixedRank(5)
    plan = pruner.step()
    assert plan["0"].rank_before == 12
    assert model[0].pair[0].shape == (5, 40)
    best = Factors.of(product).truncated(5)
    assert np.allclose(model[0].weight.detach().numpy(), best, atol=1e-5)
    assert sum(isinstance(each, nn.Linear) for each in model.modules()) == 5


def test_only_plain_layers_that_are_wanted_and_not_shared_are_cut(model) -> None:
    class Own(nn.Linear):
        pass

    embedding, head = nn.Embedding(30, 20), nn.Linear(20, 30, bias=False)
    head.weight = embedding.weight
    whole = nn.ModuleDict(
        {"a": nn.Linear(20, 30), "own": Own(20, 30), "e": embedding, "head": head, "body": model}
    )
    assert list(RMTPruner(whole).layers()) == ["a", "body.0", "body.2"]
    asked = RMTPruner(whole, wanted=lambda name: name.startswith("body"))
    assert list(asked.layers()) == ["body.0", "body.2"]
    assert list(RMTPruner(whole, schedule=Once(last="cut")).layers())[-1] == "body.4"
    assert RMTPruner(nn.Sequential(nn.ReLU())).step() is None


def test_a_cut_that_does_not_save_overwrites(model) -> None:
    weight = model[0].weight
    RMTPruner(model, None, NOW, FixedRank(35)).step()
    assert model[0].weight is weight
    values = np.linalg.svd(weight.detach().numpy(), compute_uv=False)
    assert values[35] < 1e-5 < values[34]


def test_errors_decide_where_the_schedule_watches_them(model) -> None:
    pruner = RMTPruner(model, None, Rising(patience=2, gate="none"), BulkShare(0.3))
    plans = [pruner.step(error) for error in (0.3, 0.2, 0.25, 0.24)]
    assert [plan is not None for plan in plans] == [False, False, False, True]
    assert pruner.epoch == 4


def test_spectra_are_looked_at_only_where_the_schedule_asks(model, monkeypatch) -> None:
    looks = []
    honest = looking.look
    monkeypatch.setattr(looking, "look", lambda *given: looks.append(given[1]) or honest(*given))
    plain = RMTPruner(model, None, Every(first=3, every=3, gate="none"), FixedRank(8))
    for _ in range(4):
        plain.step()
    assert looks == [3]
    watching = RMTPruner(small(), None, Settled(looks=2, tolerance=1.0, gate="none"), FixedRank(8))
    plans = [watching.step() for _ in range(3)]
    assert looks == [3, 1, 2, 3]
    assert [plan is not None for plan in plans] == [False, True, False]


def test_what_was_cut_can_be_loaded_into_a_fresh_model(model) -> None:
    RMTPruner(model, None, NOW, FixedRank(8)).step()
    fresh = small()
    shape_like(fresh, model.state_dict()).load_state_dict(model.state_dict())
    inputs = torch.randn(3, 40)
    assert torch.equal(fresh(inputs), model(inputs))


def test_half_precision_keeps_its_kind(model) -> None:
    model.bfloat16()
    RMTPruner(model, None, NOW, FixedRank(8)).step()
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}


def fake(monkeypatch, name: str, attribute: str) -> None:
    """Put a package in place whose callback base class does nothing."""
    module = types.ModuleType(name)
    setattr(module, attribute, type(attribute, (), {}))
    for part in [name.split(".")[0], name]:
        monkeypatch.setitem(sys.modules, part, module)


def test_the_lightning_callback_prunes_the_fit(model, monkeypatch) -> None:
    fake(monkeypatch, "lightning.pytorch", "Callback")
    optimiser = torch.optim.Adam(model.parameters())
    trainer = types.SimpleNamespace(
        optimizers=[optimiser], max_epochs=4, callback_metrics={"val_loss": torch.tensor(0.5)}
    )
    callback = lightning.callback(NOW, FixedRank(8), monitor="val_loss")
    callback.on_fit_start(trainer, model)
    steps(model, optimiser)
    callback.on_train_epoch_end(trainer, model)
    assert isinstance(model[0], Factored)
    assert callback.pruner.epochs == 4
    steps(model, optimiser)


def test_the_transformers_callback_prunes_the_run(model, monkeypatch) -> None:
    fake(monkeypatch, "transformers", "TrainerCallback")
    optimiser = torch.optim.AdamW(model.parameters())
    state = types.SimpleNamespace(num_train_epochs=3, log_history=[{"eval_loss": 0.4}, {"x": 1}])
    callback = transformers.callback(NOW, FixedRank(8), monitor="eval_loss")
    callback.on_train_begin(None, state, None, model=model, optimizer=optimiser)
    steps(model, optimiser)
    callback.on_epoch_end(None, state, None, model=model, optimizer=optimiser)
    assert isinstance(model[0], Factored)
    steps(model, optimiser)


@pytest.mark.parametrize("adapter", [lightning, transformers])
def test_without_the_package_the_extra_is_named(adapter, monkeypatch) -> None:
    name = adapter.__name__.rpartition(".")[2]
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, f"{name}.pytorch", None)
    with pytest.raises(ExtraMissing, match=name):
        adapter.callback()


@pytest.mark.parametrize(
    ("name", "size", "better"),
    [
        ("mlp", {"epochs": 10, "width": 64, "cut_after": 6}, lambda accuracy: accuracy > 0.8),
        ("cnn", {"epochs": 12, "channels": 4, "width": 32}, lambda accuracy: accuracy > 0.8),
        (
            "transformer",
            {"epochs": 2, "width": 32, "depth": 1, "length": 16, "steps": 50},
            lambda bits: bits < 5,
        ),
    ],
)
def test_the_examples_learn_and_shrink(name, size, better) -> None:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.random.fork_rng():
        figure, share = module.main(**size)
    assert better(figure)
    assert share < 0.9
