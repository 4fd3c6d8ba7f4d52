"""Every kind is a bijection tensor ⇄ matrix; cuts of every kind keep their promises."""

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmtviz import formats, layers, pruning
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.decomposition import Spectra, decompose
from rmtviz.kinds import KINDS, PAIRS, SINGLE, STACKED
from rmtviz.pruning import Factors
from rmtviz.rules import FixedRank, Off

kinds = pytest.mark.parametrize("kind", KINDS)
singles = pytest.mark.parametrize("kind", [kind for kind in SINGLE if kind not in STACKED])
stacks = pytest.mark.parametrize("kind", STACKED)
pairs = pytest.mark.parametrize("kind", PAIRS)
few = settings(max_examples=25)
seeds = st.integers(0, 2**32)
functional = torch.nn.functional


@st.composite
def shapes(draw: st.DrawFn, kind: str) -> tuple[int, ...]:
    low, high = KINDS[kind].sides
    sides = draw(st.integers(low, high))
    return tuple(draw(st.integers(1, 5)) for _ in range(sides))


def checkpoint(kind: str, array: np.ndarray, bias: int = 0) -> Checkpoint:
    """A checkpoint of one layer "x" that its record says to be of this kind."""
    arrays = {"x.weight": array} | ({"x.bias": np.ones(bias, array.dtype)} if bias else {})
    return Checkpoint.of(arrays).with_about(kinds={"x.weight": kind})


@kinds
@given(data=st.data())
def test_a_kind_is_a_bijection(kind: str, data: st.DataObject) -> None:
    shape, rule = data.draw(shapes(kind)), KINDS[kind]
    tensor = np.arange(np.prod(shape)).reshape(shape)
    matrix = rule.to_matrix(tensor)
    assert matrix.shape == rule.shape(shape)
    assert sorted(matrix.ravel()) == sorted(tensor.ravel())
    assert np.array_equal(rule.from_matrix(matrix, shape), tensor)
    other = np.arange(matrix.size)[::-1].reshape(matrix.shape)
    assert np.array_equal(rule.to_matrix(rule.from_matrix(other, shape)), other)


@pairs
@given(data=st.data())
def test_the_shape_of_a_pair_tells_the_shape_of_the_whole(kind: str, data: st.DataObject) -> None:
    shape, rank, rule = data.draw(shapes(kind)), data.draw(st.integers(1, 7)), KINDS[kind]
    first, second = rule.pair(shape, rank)
    assert rule.whole(first, second) == shape
    (r, n), (m, inner) = rule.shape(first), rule.shape(second)
    assert (r, inner, m, n) == (rank, rank, *rule.shape(shape))
    assert rule.whole(first, (*second, 1)) is None


@stacks
@few
@given(ways=st.integers(1, 2), hidden=st.integers(2, 4), inputs=st.integers(2, 5), seed=seeds)
def test_a_gate_is_cut_and_the_others_stay(
    kind: str, ways: int, hidden: int, inputs: int, seed: int
) -> None:
    count = ways * len(STACKED[kind])
    blocks = np.random.default_rng(seed).normal(size=(count, hidden, inputs)).astype(np.float32)
    shape = (ways, count // ways * hidden, inputs)
    whole = checkpoint(kind, blocks.reshape(shape))
    analysis = analyze(whole)
    assert len({layer.name for layer in analysis}) == len(analysis.layers) == count
    name = analysis.layers[0].name
    plan = pruning.plan(analysis, Off(), {name: 1}, form="factored")
    after = pruning.apply(whole, plan)["x.weight"]
    assert after.shape == shape
    ranks = np.linalg.matrix_rank(after.reshape(blocks.shape), tol=1e-4)
    assert (ranks == 1).sum() == 1
    stay = ranks > 1
    assert np.array_equal(after.reshape(blocks.shape)[stay], blocks[stay])


@singles
@few
@given(data=st.data(), seed=seeds)
def test_cuts_of_every_kind(kind: str, data: st.DataObject, seed: int) -> None:
    shape, rule = data.draw(shapes(kind)), KINDS[kind]
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    m, n = rule.shape(shape)
    whole = checkpoint(kind, array, m)
    analysis = analyze(whole)
    assert (analysis["x"].layer.shape, analysis["x"].layer.kind) == ((m, n), kind)
    kept = pruning.plan(analysis, Off(), {"x": min(m, n)})
    assert pruning.apply(whole, kept).digest == whole.digest
    if min(m, n) < 2:
        return
    rank = data.draw(st.integers(1, min(m, n) - 1))
    best = Factors.of(rule.to_matrix(array).astype(np.float64)).truncated(rank)
    for form in pruning.FORMS:
        plan = pruning.plan(analysis, Off(), {"x": rank}, form=form)
        pruned = pruning.apply(whole, plan)
        (layer,), _ = layers.find(pruned)
        assert layer.matrix(pruned) == pytest.approx(best, abs=1e-5)
        assert layer.parameters(pruned) == plan["x"].parameters_after
        assert layer.factored == (plan["x"].form == "factored")
        assert layers.bias(pruned, layer) is not None
        if layer.factored:
            assert rule.pairs
            assert [pruned[name].shape for name in layer.tensors] == [*rule.pair(shape, rank)]
            assert not any(name == "x.0.bias" for name in pruned)
        else:
            assert pruned["x.weight"].shape == shape
        assert {pruned[name].dtype for name in pruned} == {np.dtype(np.float32)}
        again = formats.read(formats.write(pruned, "safetensors"))
        assert layers.find(again)[0] == (layer,)
        if layer.factored and rank > 1:
            back = pruning.plan(analyze(pruned), Off(), {"x": 1}, form="dense")
            assert pruning.apply(pruned, back)["x.weight"].shape == shape


@pytest.mark.parametrize("sides", [1, 2, 3])
@pytest.mark.parametrize("backwards", [False, True])
@few
@given(seed=seeds, stride=st.integers(1, 2), padding=st.integers(0, 1))
def test_a_cut_convolution_is_two(sides, backwards, seed, stride, padding) -> None:
    rng = np.random.default_rng(seed)
    kind = "transposed_convolution" if backwards else "convolution"
    array = rng.normal(size=(5, 4, *(3,) * sides)).astype(np.float32)
    whole = checkpoint(kind, array)
    dense, pair = (
        pruning.apply(whole, pruning.plan(analyze(whole), FixedRank(2), form=form))
        for form in ("dense", "factored")
    )
    name = f"conv{'_transpose' if backwards else ''}{sides}d"
    convolve = getattr(functional, name)
    image = torch.tensor(rng.normal(size=(2, array.shape[0 if backwards else 1], *(7,) * sides)))
    image = image.to(torch.float32)
    bias = torch.tensor(rng.normal(size=array.shape[1 if backwards else 0]).astype(np.float32))
    one = convolve(image, torch.tensor(dense["x.weight"]), bias, stride=stride, padding=padding)
    first, second = (torch.tensor(pair[f"x.{i}.weight"]) for i in (0, 1))
    two = convolve(convolve(image, first, stride=stride, padding=padding), second, bias)
    assert torch.allclose(one, two, atol=1e-4)


def found(**arrays: np.ndarray) -> dict[str, tuple[str, tuple[int, int]]]:
    """The kind and the shape of each layer in these tensors."""
    named = {name.replace("__", "."): array for name, array in arrays.items()}
    return {x.name: (x.kind, x.shape) for x in layers.find(Checkpoint.of(named))[0]}


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_kinds_are_told_by_names_and_biases() -> None:
    transformer = found(
        h__attn__c_attn__weight=zeros(4, 12),
        h__attn__c_attn__bias=zeros(12),
        h__attn__c_proj__weight=zeros(4, 4),
        h__attn__c_proj__bias=zeros(4),
    )
    parts = {f"h.attn.c_attn[{part}]": ("transposed", (4, 4)) for part in "qkv"}
    assert transformer == parts | {"h.attn.c_proj": ("transposed", (4, 4))}
    plain = found(h__c_attn__weight=zeros(12, 4), h__c_proj__weight=zeros(4, 4))
    assert plain["h.c_proj"] == ("linear", (4, 4))
    assert found(dense__kernel=zeros(4, 7)) == {"dense.kernel": ("transposed", (7, 4))}
    assert found(c__kernel=zeros(3, 3, 2, 7)) == {"c.kernel": ("convolution_outputs_last", (7, 18))}
    assert found(up__weight=zeros(4, 6, 2, 2), up__bias=zeros(6)) == {
        "up": ("transposed_convolution", (6, 16))
    }
    assert found(deconv1__weight=zeros(4, 6, 2, 2))["deconv1"][0] == "transposed_convolution"
    assert found(b__bilinear__weight=zeros(4, 3, 2))["b.bilinear"] == ("bilinear", (4, 6))
    assert found(c__weight=zeros(4, 3, 2))["c"] == ("convolution", (4, 6))


@pytest.mark.parametrize(
    "name", ["in_proj_weight", "qkv.weight", "attn.qkv_proj.weight", "Wqkv.weight", "c_attn.weight"]
)
def test_fused_attention_is_split_into_its_three(name: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(36, 12)).astype(np.float32)
    whole = Checkpoint.of({name: array})
    parts, skipped = layers.find(whole)
    assert skipped == ()
    assert [layer.name[-3:] for layer in parts] == ["[k]", "[q]", "[v]"]
    for layer in parts:
        block = array["qkv".index(layer.name[-2]) * 12 :][:12]
        assert np.array_equal(layer.matrix(whole), block)
        assert layer.parameters(whole) == 144
    wanted = {layer.name: rank for layer, rank in zip(parts, (12, 3, 1), strict=True)}
    for form in pruning.FORMS:
        pruned = pruning.apply(whole, pruning.plan(analyze(whole), Off(), wanted, form=form))
        assert {key: pruned[key].shape for key in pruned} == {name: (36, 12)}
        for layer in parts:
            rank = wanted[layer.name]
            best = Factors.of(layer.matrix(whole).astype(np.float64)).truncated(rank)
            assert layer.matrix(pruned) == pytest.approx(best, abs=1e-5)


def test_heads_that_alternate_are_not_split() -> None:
    assert list(found(query_key_value__weight=zeros(12, 4))) == ["query_key_value"]
    assert list(found(qkv__weight=zeros(20, 4))) == ["qkv"]  # grouped queries: sizes differ


@pytest.mark.parametrize(("cell", "gates"), [("LSTM", "ifgo"), ("GRU", "rzn"), ("RNN", "")])
@pytest.mark.parametrize("more", [{}, {"num_layers": 2, "bidirectional": True}])
def test_gates_are_split(cell: str, gates: str, more: dict[str, object]) -> None:
    module = getattr(torch.nn, cell)(5, 7, **more)
    whole = Checkpoint.of(module.state_dict())
    layers_found, skipped = layers.find(whole)
    assert all(item.reason in ("bias", "vector") for item in skipped)
    assert len(layers_found) == max(1, len(gates)) * len(module.all_weights) * 2
    for layer in layers_found:
        assert layer.shape[0] == 7
        weight = getattr(module, layer.tensors[0]).detach().numpy()
        start = 7 * gates.index(layer.name[-2]) if gates else 0
        assert np.array_equal(layer.matrix(whole), weight[start : start + 7])


def test_a_projected_lstm_is_split_too() -> None:
    module = torch.nn.LSTM(5, 8, proj_size=3)
    names = {x.name: x.shape for x in layers.find(Checkpoint.of(module.state_dict()))[0]}
    assert names["weight_hh_l0[g]"] == (8, 3)
    assert names["weight_ih_l0[o]"] == (8, 5)
    assert names["weight_hr_l0"] == (3, 8)


def test_groups_are_told_by_the_record_or_by_what_the_file_shows() -> None:
    block = {"conv1.weight": zeros(32, 16, 1, 1), "conv2.weight": zeros(32, 2, 3, 3)}
    names = [x.name for x in layers.find(Checkpoint.of(block))[0]]
    assert names == ["conv1", *(f"conv2[{i}]" for i in range(16))]
    shortcut = block | {"a.weight": zeros(2, 5)}  # another layer gives two channels
    assert "conv2" in {x.name for x in layers.find(Checkpoint.of(shortcut))[0]}
    told = Checkpoint.of({"c.weight": zeros(8, 3, 3, 3)}).with_about(groups={"c.weight": 2})
    assert [x.shape for x in layers.find(told)[0]] == [(4, 27), (4, 27)]
    for wrong in (3, -1, 10**12, "2", None, True):
        told = told.with_about(groups={"c.weight": wrong})
        assert [x.name for x in layers.find(told)[0]] == ["c"]


def test_depthwise_is_listed_with_its_reason_and_grey_pictures_are_not_depthwise() -> None:
    arrays = {
        "0.weight": zeros(8, 1, 3, 3),
        "1.weight": zeros(8, 1, 3, 3),
        "2.weight": zeros(4, 8, 1, 1),
    }
    found_, skipped = layers.find(Checkpoint.of(arrays))
    assert [x.name for x in found_] == ["0", "2"]
    assert [(x.name, x.reason) for x in skipped] == [("1.weight", "depthwise")]


def test_an_embedding_is_a_layer_where_the_record_says_so() -> None:
    whole = Checkpoint.of({"wte.weight": np.eye(9, 4)})
    assert layers.find(whole)[0] == ()
    (layer,), _ = layers.find(whole.with_about(kinds={"wte.weight": "embedding"}))
    assert (layer.kind, layer.shape) == ("embedding", (9, 4))


@pytest.mark.parametrize("record", [3, ["x"], {"x.weight": 3}, {"x.weight": "none"}, None])
def test_a_strange_record_of_kinds_breaks_nothing(record: object) -> None:
    whole = Checkpoint.of({"x.weight": np.eye(5, 4)})
    told = whole.with_about(kinds=record, groups=record)
    assert layers.find(told) == layers.find(whole)
    plan = pruning.plan(analyze(told), FixedRank(1))
    assert pruning.apply(told, plan)["x.0.weight"].shape == (1, 4)


def test_spectra_of_parts_survive_json() -> None:
    spectra = decompose(Checkpoint.of({"qkv.weight": np.eye(12, 4)}))
    again = Spectra.from_dict(spectra.to_dict())
    assert [item.layer for item in again.layers] == [item.layer for item in spectra.layers]


def test_parts_that_are_not_finite_are_listed_once() -> None:
    array = np.eye(12, 4)
    array[0, 0] = array[5, 1] = np.nan
    spectra = decompose(Checkpoint.of({"qkv.weight": array}))
    assert [item.layer.name for item in spectra.layers] == ["qkv[v]"]
    assert [item.name for item in spectra.skipped] == ["qkv.weight"]


def test_a_convolution_without_places_is_counted_at_one() -> None:
    whole = Checkpoint.of({"c.weight": zeros(8, 3, 3, 3), "d.weight": zeros(4, 8)})
    size = pruning.Size.of(whole)
    assert (size.macs, size.placeless) == (216 + 32, True)
    known = pruning.Size.of(whole, {"c": 100})
    assert (known.macs, known.placeless) == (21_600 + 32, False)


def test_number_types_survive_a_part() -> None:
    array = np.random.default_rng(0).normal(size=(12, 4)).astype(ml_dtypes.bfloat16)
    whole = Checkpoint.of({"qkv.weight": array})
    pruned = pruning.apply(whole, pruning.plan(analyze(whole), Off(), {"qkv[k]": 1}))
    assert pruned["qkv.weight"].dtype == array.dtype
    assert np.array_equal(pruned["qkv.weight"][:4], array[:4])
