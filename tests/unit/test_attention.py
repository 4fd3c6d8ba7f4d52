"""Attention head by head: a view that changes no number, honest where heads are small."""

import numpy as np
import pytest
import torch
from torch import nn

from rmtviz import analyze, attention, formats, layers, networks, pruning, tradeoff, verdict
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import PythonHelp
from rmtviz.decomposition import decompose
from rmtviz.errors import BadOption
from rmtviz.fits import METHODS, Status
from rmtviz.fits.base import SMALLEST
from rmtviz.heads import Heads
from rmtviz.live import Live
from rmtviz.rules import FixedRank
from rmtviz.site import home
from rmtviz.whitening import moments
from rmtviz.words import say
from tests.unit.test_heads import FUSED, PROJECTIONS
from tests.unit.test_transformer import BLOCKS, HEADS, TOKENS, WIDTH, arrays, by_hand

EACH = WIDTH // HEADS
NAMES = ("query", "key", "value", "output")


def own(**about: object) -> Checkpoint:
    return Checkpoint.of(arrays()).with_about(**about)


def model_of(names: dict[str, np.ndarray]) -> Checkpoint:
    return Checkpoint.of({f"h.attn.{name}.weight": array for name, array in names.items()})


def demo() -> Checkpoint:
    return formats.read(home() / "assets" / "models" / "language.safetensors")


def test_the_demo_says_its_own_number_of_heads() -> None:
    found, seen = attention.projections(demo()), attention.by_heads(demo())
    assert set(found) == {f"blocks.{i}.{name}.weight" for i in (0, 1) for name in NAMES}
    assert seen.digest == demo().digest
    parts = [each for each in layers.find(seen)[0] if each.part]
    assert len(parts) == 4 * len(found)
    assert {min(each.shape) for each in parts} == {128 // 4}
    assert {each.stem for each in parts} == {name.removesuffix(".weight") for name in found}


def test_heads_share_out_the_energy_of_their_projection() -> None:
    whole, seen = analyze(demo()), analyze(attention.by_heads(demo()))
    energy: dict[str, float] = {}
    for each in seen:
        energy[each.layer.stem] = energy.get(each.layer.stem, 0) + each.spectrum.energy
    assert energy == pytest.approx({each.name: each.spectrum.energy for each in whole}, rel=1e-9)
    assert sum(each.parameters for each in seen) == sum(each.parameters for each in whole)


def test_what_heads_do_not_share_is_decomposed_once() -> None:
    known = decompose(demo()).layers
    seen = decompose(attention.by_heads(demo()), known=known).layers
    alone = decompose(attention.by_heads(demo())).layers
    assert [each.layer for each in seen] == [each.layer for each in alone]
    assert {each.layer.name for each in seen if each in known} == {
        each.layer.name for each in alone if each.layer.part is None
    }
    for one, other in zip(seen, alone, strict=True):
        np.testing.assert_allclose(one.spectrum.values, other.spectrum.values)


def test_the_network_of_heads_is_the_network() -> None:
    seen = attention.by_heads(own(), HEADS)
    tokens = np.arange(7)[None] % TOKENS
    whole, split = (networks.Transformer()(x) for x in (own(), seen))
    assert np.array_equal(whole.logits(tokens), split.logits(tokens))
    assert len(split.layers) == len(whole.layers) + BLOCKS * len(NAMES) * (HEADS - 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_of_a_head_cuts_that_head_alone_and_is_written_back(name: str) -> None:
    seen, head, tokens = attention.by_heads(own(), HEADS), 1, np.arange(7) % TOKENS
    label = f"blocks.1.{name}[{head}]"
    plan = pruning.plan(analyze(seen), FixedRank(WIDTH), {label: 1})
    (cut,) = [each for each in plan.cuts if each.form != "whole"]
    assert (cut.name, cut.form, cut.parameters_after) == (label, "dense", cut.parameters_before)
    pruned = pruning.apply(seen, plan)
    sizes = (pruning.Size.of(seen), pruning.Size.of(pruned))
    assert sizes[0] == sizes[1]
    assert verdict.of_plan(plan, *sizes, None) == say(
        "verdict.plan", share=1, after=sizes[1].parameters, before=sizes[0].parameters
    )
    weights = arrays()
    place = slice(head * EACH, (head + 1) * EACH)
    matrix = weights[f"blocks.1.{name}.weight"]
    block = matrix[:, place] if name == "output" else matrix[place]
    u, s, vt = np.linalg.svd(block)
    block[:] = s[0] * np.outer(u[:, 0], vt[0])  # a view: the network's own weights change
    assert {x: pruned[x] for x in pruned} == {x: pytest.approx(it) for x, it in weights.items()}
    expected = by_hand(weights, tokens)
    assert networks.Transformer()(pruned).logits(tokens[None]) == pytest.approx(expected, abs=1e-5)
    again = formats.read(formats.write(pruned, "safetensors"))
    assert again.digest == pruned.digest
    assert again.about["heads"] == {"count": HEADS, "shared": HEADS, "each": False}
    assert all(each.part is None for each in layers.find(again)[0])


def test_a_head_has_a_curve_and_is_given_what_it_multiplies() -> None:
    seen, dataset = attention.by_heads(demo()), PythonHelp()()
    network = networks.Transformer()(seen)
    some = dataset.split("selection").first(4)
    index = [each.name for each in network.layers].index("blocks.1.output[2]")
    layer = network.layers[index]
    whole = networks.Transformer()(demo())
    (given,) = network.given(some.images, index)
    (before,) = whole.given(some.images, [x.name for x in whole.layers].index("blocks.1.output"))
    assert np.array_equal(given, before[:, 64:96])
    assert moments(network, some, index).second.shape == (32, 32)
    curve = tradeoff.curve(network, index, pruning.factors(seen, layer), some)
    assert curve.points[-1].error == 0
    assert 0 < curve.points[0].error < 1


@pytest.mark.parametrize(
    ("names", "count", "key"),
    [
        ({"fc": np.ones((6, 4))}, 2, "heads_none"),
        ({"o_proj": np.ones((6, 4))}, 2, "heads_none"),
        ({"q_proj": np.ones((6, 4))}, None, "heads_unknown"),
        ({"q_proj": np.ones((6, 4))}, 4, "heads_divide"),
        ({"q_proj": np.ones((8, 4)), "o_proj": np.ones((4, 6))}, 4, "heads_divide"),
        ({"qkv": np.ones((24, 8))}, 3, "heads_divide"),
        ({"query_key_value": np.ones((24, 8))}, 3, "heads_divide"),
        ({"query_key_value": np.ones((12, 8))}, 4, "heads_mixed"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(names: dict, count: int | None, key: str) -> None:
    with pytest.raises(BadOption, check=lambda refusal: refusal.key == key):
        attention.by_heads(model_of(names), count)


def test_keys_and_values_with_fewer_heads_are_told_by_their_rows() -> None:
    names = {name: tensor for name, (tensor, _) in PROJECTIONS.items()}
    seen = attention.by_heads(Checkpoint.of(names | FUSED), 4)
    counts = dict.fromkeys(names, 0)
    for each in layers.find(seen)[0]:
        if each.tensors[0] in counts:
            counts[each.tensors[0]] += 1
    assert counts == {name: count for name, (_, count) in PROJECTIONS.items()}


def test_what_cannot_be_told_apart_stays_whole() -> None:
    falcon = np.random.default_rng(0).normal(size=(32, 24))
    found = model_of({"query_key_value": falcon, "q_proj": 2 * falcon})
    seen = attention.by_heads(found, 4)
    assert [x.name for x in layers.find(seen)[0] if not x.part] == ["h.attn.query_key_value"]


def test_the_view_can_be_taken_back() -> None:
    seen = attention.by_heads(own(), HEADS)
    assert Heads.recorded(attention.whole(seen).about) == Heads(HEADS, HEADS)
    assert layers.find(attention.whole(seen)) == layers.find(own())
    assert attention.whole(own()).about == {}


@pytest.mark.parametrize("method", METHODS)
def test_heads_with_few_values_are_not_judged(method: str) -> None:
    names = {name: np.random.default_rng(0).normal(size=(64, 64)) for name in ("q_proj", "k_proj")}
    for count in (2, 4):
        found = analyze(attention.by_heads(model_of(names), count), METHODS[method]())
        small = 64 // count < SMALLEST
        assert {each.status is Status.TOO_SMALL for each in found} == {small}
        assert {each.spikes is None for each in found} >= {small}


def test_heads_of_noise_are_noise_and_a_planted_direction_is_in_its_own_head() -> None:
    """At the model's level of 1 % a false spike is expected in 0.3 of 30 models of 24 heads."""
    false = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        noise = {f"{x}_proj": rng.normal(size=(256, 256)) for x in "qkv"}
        false += any(each.spikes for each in analyze(attention.by_heads(model_of(noise), 8)))
    assert false <= 3
    left, right = rng.normal(size=32), rng.normal(size=256)
    strength = 2 * (np.sqrt(32) + np.sqrt(256))  # twice the edge of one head
    planted = strength * np.outer(left, right) / np.linalg.norm(left) / np.linalg.norm(right)
    noise["k_proj"][5 * 32 : 6 * 32] += planted
    found = analyze(attention.by_heads(model_of(noise), 8))
    assert [each.name for each in found if each.spikes] == ["h.attn.k_proj[5]"]


def test_a_live_module_is_judged_head_by_head() -> None:
    torch.manual_seed(0)
    module, x = nn.MultiheadAttention(24, 4), torch.randn(3, 1, 24)

    def evaluate(copy: nn.Module) -> float:
        with torch.inference_mode():
            return float((copy(x, x, x)[0] - module(x, x, x)[0]).norm())

    live = Live(module, evaluate, heads=4)
    parts = [each.name for each in live.analysis if each.layer.part]
    assert len(parts) == 4 * 4
    assert live.whole.value == 0
    one = live.judge(pruning.plan(live.analysis, FixedRank(24), {"in_proj_weight[v.2]": 1}))
    assert one.value > 0
    assert one.size == live.whole.size
