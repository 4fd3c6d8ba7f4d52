"""Weights under two names: counted once, analysed once, cut together."""

import io

import numpy as np
import pytest
import torch

from rmtviz import analyze, formats, layers, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.decomposition import Spectra, decompose
from rmtviz.networks import MLP
from rmtviz.rules import FixedRank

RNG = np.random.default_rng(0)
W = RNG.normal(size=(60, 30)).astype("f4")
V = RNG.normal(size=(30, 30)).astype("f4")
TRANSFORMER = {"wte.weight": W, "h.0.fc.weight": V, "lm_head.weight": W, "lm_head.bias": W[:, 0]}


def as_torch(arrays: dict, shared: bool) -> bytes:
    known: dict[int, torch.Tensor] = {}
    state = {
        name: known.setdefault(id(array) if shared else len(known), torch.from_numpy(array.copy()))
        for name, array in arrays.items()
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


CERTAIN = ("one storage", "arrays")
"""What keeps weights in one place; elsewhere that they are tied is a guess."""

FILES = {
    "one storage": lambda: formats.read(as_torch(TRANSFORMER, True)),
    "two storages": lambda: formats.read(as_torch(TRANSFORMER, False)),
    "arrays": lambda: Checkpoint.of(TRANSFORMER),
    **{
        form: lambda form=form: formats.read(formats.write(Checkpoint.of(TRANSFORMER), form))
        for form in ("safetensors", "npz")
    },
}
files = pytest.mark.parametrize("file", FILES)


@files
def test_they_are_counted_and_analysed_once_and_listed_with_the_other_name(file: str) -> None:
    checkpoint = FILES[file]()
    assert {*checkpoint.twins, *checkpoint.twins.values()} == {"lm_head.weight", "wte.weight"}
    assert checkpoint.parameters == W.size + V.size + len(W)
    assert checkpoint.buffers == 0
    found = analyze(checkpoint)
    assert [each.name for each in found] == ["h.0.fc", "lm_head"]
    listed = {item.name: item for item in found.skipped}
    assert listed.keys() == {"wte.weight", "lm_head.bias"}
    assert listed["wte.weight"].reason == ("tied" if file in CERTAIN else "alike")
    assert "lm_head.weight" in listed["wte.weight"].why


@files
@pytest.mark.parametrize("form", pruning.FORMS)
def test_a_cut_changes_both_and_keeps_them_tied(file: str, form: str) -> None:
    checkpoint = FILES[file]()
    plan = pruning.plan(analyze(checkpoint), FixedRank(5), form=form, include_last=True)
    assert plan["lm_head"].form == "dense"  # a table that is looked up is no pair
    pruned = pruning.apply(checkpoint, plan)
    assert np.array_equal(pruned["wte.weight"], pruned["lm_head.weight"])
    assert np.linalg.matrix_rank(pruned["lm_head.weight"]) == 5
    assert len(pruned.twins) == 1
    again = formats.read(formats.write(pruned, "pytorch"))
    assert again.parameters == pruned.parameters


def test_layers_of_one_matrix_are_stored_as_the_same_pair() -> None:
    shared = Checkpoint.of({"a.weight": V, "b.weight": V, "a.bias": V[0], "b.bias": V[1]})
    plan = pruning.plan(analyze(shared), FixedRank(5))
    assert [cut.name for cut in plan.cuts] == ["a"]
    pruned = pruning.apply(shared, plan)
    assert sorted(pruned) == [f"{x}.{y}" for x in "ab" for y in ("0.weight", "1.bias", "1.weight")]
    for x in (0, 1):
        assert np.array_equal(pruned[f"a.{x}.weight"], pruned[f"b.{x}.weight"])
    assert np.array_equal(pruned["b.1.bias"], V[1])
    assert pruned.parameters == 2 * 5 * 30 + 60 == shared.parameters - 900 + 300
    (layer,) = layers.find(pruned)[0]
    assert (layer.name, layer.twins) == ("a", ("b.0.weight",))
    whole, cut = pruning.Size.of(shared), pruning.Size.of(pruned)
    assert (whole.macs, cut.macs) == (2 * 900, 2 * 300)  # both names are multiplied by
    dense = pruning.apply(pruned, pruning.plan(analyze(pruned), FixedRank(2), form="dense"))
    assert np.array_equal(dense["a.weight"], dense["b.weight"])


def test_fused_parts_are_tied_part_by_part() -> None:
    fused = RNG.normal(size=(90, 30)).astype("f4")
    both = Checkpoint.of({"x.in_proj_weight": fused, "y.in_proj_weight": fused})
    found, skipped = layers.find(both)
    assert [each.name for each in found] == [f"x.in_proj_weight[{x}]" for x in "kqv"]
    assert [item.name for item in skipped] == ["y.in_proj_weight"]
    names = {each.name for each in layers.every(both)}
    assert names == {f"{x}.in_proj_weight[{y}]" for x in "xy" for y in "qkv"}
    pruned = pruning.apply(both, pruning.plan(analyze(both), FixedRank(3)))
    assert np.array_equal(pruned["x.in_proj_weight"], pruned["y.in_proj_weight"])
    assert np.linalg.matrix_rank(pruned["y.in_proj_weight"][30:60]) == 3


@pytest.mark.parametrize(
    "other",
    [V.T, V.astype("f8"), np.where(np.eye(30) > 0, 0, V).astype("f4"), V.copy().reshape(90, 10)],
)
def test_what_is_not_the_same_is_not_tied(other: np.ndarray) -> None:
    assert Checkpoint.of({"a.weight": V, "b.weight": other}).twins == {}


@pytest.mark.parametrize("start", [np.zeros((30, 30)), np.full((30, 30), 0.5), np.eye(30)])
def test_what_begins_equal_is_tied_only_where_it_is_one(start: np.ndarray) -> None:
    arrays = {"a.weight": start, "b.weight": start, "a.bias": V[0], "b.bias": V[0]}
    shared = Checkpoint.of(arrays)
    assert shared.parameters == 900 + 30
    assert {name: shared.shares(name, other) for name, other in shared.twins.items()} == {
        "b.weight": True,
        "b.bias": True,
    }
    apart = Checkpoint.of({name: array.copy() for name, array in arrays.items()})
    assert apart.twins == {}
    assert apart.parameters == 2 * 900 + 60


def test_a_module_tells_which_weights_it_ties() -> None:
    net = torch.nn.Sequential(*(torch.nn.Linear(30, 30) for _ in range(3)))
    net[1].weight = net[0].weight
    net[2].load_state_dict(net[0].state_dict())
    found = {item.name: item.reason for item in analyze(net).skipped}
    assert found["1.weight"] == "tied"
    assert found["2.weight"] == "alike"


def test_spectra_keep_the_twins_in_json() -> None:
    made = decompose(Checkpoint.of(TRANSFORMER))
    again = Spectra.from_dict(made.to_dict())
    assert [x.layer for x in again.layers] == [x.layer for x in made.layers]
    assert again.skipped == made.skipped
    assert any(x.layer.twins for x in again.layers)


def test_a_network_runs_a_tied_layer_under_each_of_its_names() -> None:
    tied = Checkpoint.of({"0.weight": V, "2.weight": V, "4.weight": V[:3]})
    network = MLP("relu", "raw")(tied)
    assert [each.name for each in network.layers] == ["0", "2", "4"]
    pixels = RNG.integers(0, 255, (4, 30), dtype="u1")
    x = pixels.astype("f4")
    expected = np.maximum(np.maximum(x @ V.T, 0) @ V.T, 0) @ V[:3].T
    assert np.allclose(network.logits(pixels), expected, rtol=1e-3, atol=1e-1)


def test_a_table_is_tied_to_one_of_two_layers_that_hold_its_numbers_in_two_ways() -> None:
    both = Checkpoint.of({"a.weight": V, "c/kernel": V, "wte.weight": V})
    found, skipped = layers.find(both)
    assert {layer.name: layer.twins for layer in found} == {"a": ("wte.weight",), "c/kernel": ()}
    assert [(item.name, item.other) for item in skipped] == [("wte.weight", "a.weight")]
    plan = pruning.plan(analyze(both), FixedRank(2), form="dense", include_last=True)
    pruned = pruning.apply(both, plan)
    assert {np.linalg.matrix_rank(pruned[name]) for name in pruned} == {2}
