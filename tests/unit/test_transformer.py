"""A small transformer runs from names and shapes alone, as its formulas say, cut or whole."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rmtviz import analysis, datasets, evaluation, networks, pruning, tradeoff
from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.datasets import MNIST, Digits, PythonHelp
from rmtviz.errors import BadOption, CannotRun, DataRefused
from rmtviz.networks import MLP, Transformer
from rmtviz.rules import FixedRank, Off
from rmtviz.training import Training
from rmtviz.ui.library import sample

WIDTH, HEADS, CONTEXT, BLOCKS, TOKENS = 12, 3, 7, 2, 9


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights in the layout, of no special size."""
    draw = np.random.default_rng(seed)

    def normal(*sides: int) -> np.ndarray:
        return draw.normal(size=sides) / math.sqrt(sides[-1])

    found = {"token_embedding.weight": normal(TOKENS, WIDTH), "head.weight": normal(TOKENS, WIDTH)}
    norms = ["norm"]
    for block in range(BLOCKS):
        stem = f"blocks.{block}"
        found[f"{stem}.distance_embedding.weight"] = draw.normal(size=(HEADS, CONTEXT))
        found |= {
            f"{stem}.{name}.weight": normal(WIDTH, WIDTH)
            for name in ("query", "key", "value", "output")
        }
        found |= {f"{stem}.up.weight": normal(20, WIDTH), f"{stem}.up.bias": normal(20)}
        found |= {f"{stem}.down.weight": normal(WIDTH, 20), f"{stem}.down.bias": normal(WIDTH)}
        norms += [f"{stem}.attention_norm", f"{stem}.mlp_norm"]
    for name in norms:
        found |= {
            f"{name}.weight": 1 + 0.1 * draw.normal(size=WIDTH),
            f"{name}.bias": normal(WIDTH),
        }
    return found


def by_hand(weights: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """The logits (places, TOKENS) of one window, place by place and head by head."""

    def normed(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["token_embedding.weight"][tokens]
    size = WIDTH // HEADS
    for block in range(BLOCKS):
        stem = f"blocks.{block}"
        h = normed(f"{stem}.attention_norm", x)
        q, k, v = (h @ weights[f"{stem}.{name}.weight"].T for name in ("query", "key", "value"))
        mixed = np.zeros_like(x)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            near = weights[f"{stem}.distance_embedding.weight"][head]
            for i in range(len(tokens)):
                scores = [
                    q[i, part] @ k[j, part] / math.sqrt(size) + near[i - j] for j in range(i + 1)
                ]
                shares = np.exp(scores) / np.exp(scores).sum()
                mixed[i, part] = shares @ v[: i + 1, part]
        x = x + mixed @ weights[f"{stem}.output.weight"].T
        h = normed(f"{stem}.mlp_norm", x)
        up = h @ weights[f"{stem}.up.weight"].T + weights[f"{stem}.up.bias"]
        up = up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2
        x = x + up @ weights[f"{stem}.down.weight"].T + weights[f"{stem}.down.bias"]
    return normed("norm", x) @ weights["head.weight"].T


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(1).integers(TOKENS, size=(5, CONTEXT)).astype(np.uint8)


def test_it_computes_what_the_formulas_say(windows):
    weights = arrays()
    network = Transformer()(Checkpoint.of(weights))
    expected = np.concatenate([by_hand(weights, window) for window in windows])
    assert network.logits(windows) == pytest.approx(expected, abs=1e-4)
    assert (network.width, network.outputs) == (CONTEXT, TOKENS)
    assert len(network.layers) == 6 * BLOCKS + 1
    assert network.layers[-1].name == "head"


def test_no_place_sees_what_comes_after_it(windows):
    network = Transformer()(Checkpoint.of(arrays()))
    other = windows.copy()
    other[:, 4:] = (other[:, 4:] + 1) % TOKENS
    one, two = (network.logits(each).reshape(5, CONTEXT, TOKENS) for each in (windows, other))
    assert one[:, :4] == pytest.approx(two[:, :4], abs=1e-6)
    assert np.abs(one[:, 4:] - two[:, 4:]).max() > 0.01


def test_a_cut_network_runs_the_same_dense_and_factored(windows):
    whole = Checkpoint.of(arrays())
    found = analysis.analyze(whole)
    outputs = []
    for form in ("dense", "factored"):
        plan = pruning.plan(found, FixedRank(3), form=form, include_last=True)
        outputs.append(Transformer()(pruning.apply(whole, plan)).logits(windows))
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-4)
    assert np.abs(outputs[0] - Transformer()(whole).logits(windows)).max() > 0.01
    kept = pruning.apply(whole, pruning.plan(found, Off()))
    assert np.array_equal(Transformer()(kept).logits(windows), Transformer()(whole).logits(windows))


@pytest.mark.parametrize("form", ["dense", "factored"])
def test_layers_are_given_what_they_multiply(windows, form):
    whole = Checkpoint.of(arrays())
    plan = pruning.plan(analysis.analyze(whole), FixedRank(3), form=form)
    checkpoint = pruning.apply(whole, plan)
    network = Transformer()(checkpoint)
    (head,) = network.given(windows, len(network.layers) - 1)
    assert head @ checkpoint["head.weight"].T == pytest.approx(network.logits(windows), abs=1e-5)
    (first,) = network.given(windows, 0)
    (query,) = network.given(windows[:2], 0)
    assert first.shape == (5 * CONTEXT, WIDTH)
    assert query == pytest.approx(first[: 2 * CONTEXT], abs=1e-6)
    (down,) = network.given(windows, 5)
    assert down.shape == (5 * CONTEXT, 20)


def without(name: str):
    return lambda tensors: tensors.pop(name)


def of_shape(name: str, *sides: int):
    return lambda tensors: tensors.update({name: Tensor.of(np.ones(sides, np.float32))})


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        (without("blocks.1.key.weight"), "transformer_layout"),
        (without("head.weight"), "transformer_layout"),
        (without("norm.bias"), "transformer_layout"),
        (of_shape("extra.weight", 4, 4), "unused_tensors"),
        (of_shape("extra.scale", 4), "unused_tensors"),
        (of_shape("blocks.0.key.weight", WIDTH, WIDTH + 1), "transformer_shapes"),
        (of_shape("blocks.0.distance_embedding.weight", 5, CONTEXT), "transformer_shapes"),
        (of_shape("blocks.1.distance_embedding.weight", 12), "transformer_shapes"),
        (of_shape("token_embedding.weight", TOKENS - 1, WIDTH), "transformer_shapes"),
        (of_shape("head.weight", TOKENS, WIDTH + 2), "transformer_shapes"),
        (of_shape("norm.weight", 3), "transformer_shapes"),
    ],
)
def test_what_is_not_of_the_layout_is_refused(spoil, key):
    checkpoint = Checkpoint.of(arrays())
    tensors = dict(checkpoint.tensors)
    spoil(tensors)
    with pytest.raises(CannotRun) as refusal:
        networks.blind(replace(checkpoint, tensors=tensors))(replace(checkpoint, tensors=tensors))
    assert refusal.value.key == key


def test_text_and_numbers_do_not_mix():
    language, digits = sample("language").checkpoint, sample("clean").checkpoint
    with pytest.raises(DataRefused) as refusal:
        networks.match(language, MNIST()())
    assert refusal.value.key == "data_no_text"
    with pytest.raises(DataRefused) as refusal:
        networks.match(digits, PythonHelp()())
    assert refusal.value.key == "data_text"
    with pytest.raises(BadOption):
        Training(dataset="python-help")


def test_the_demo_is_run_on_its_own_text_also_when_the_file_does_not_say():
    checkpoint = sample("language").checkpoint
    for given, foreign in (
        (checkpoint, False),
        (checkpoint.with_about(trained=None, network=None), True),
    ):
        choice, data, strange = networks.match(given)
        assert (choice, data.name, strange) == (Transformer(), "python-help", foreign)


def test_random_inputs_of_a_text_network_are_tokens():
    network = Transformer()(Checkpoint.of(arrays()))
    inputs = evaluation.random_inputs(network, 40)
    assert inputs.shape == (40, CONTEXT)
    assert set(np.unique(inputs)) == set(range(TOKENS))
    assert evaluation.output_error(network, network, inputs) == 0


def test_loss_perplexity_and_accuracy_are_those_of_the_places(windows):
    weights = arrays()
    following = np.roll(windows, -1, axis=1).astype(np.int64)
    text = datasets.Dataset(
        "text", windows[:0], following[:0], windows, following, following[:0],
        (1, CONTEXT), tuple(map(str, range(TOKENS))), 0.0, 1.0,
    )  # fmt: skip
    found = evaluation.evaluate(Transformer()(Checkpoint.of(weights)), text.split("all"))
    logits = np.stack([by_hand(weights, window) for window in windows])
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    own = np.take_along_axis(shares, following[..., None], -1)
    assert (found.samples, found.unit) == (5 * CONTEXT, "characters")
    assert found.loss == pytest.approx(-np.log(own).mean(), abs=1e-5)
    assert found.perplexity == pytest.approx(np.exp(-np.log(own).mean()), abs=1e-4)
    assert found.accuracy == (logits.argmax(-1) == following).mean()


def test_a_curve_counts_characters():
    checkpoint = sample("language").checkpoint
    network = Transformer()(checkpoint)
    some = PythonHelp()().split("selection").first(256)
    curve = tradeoff.curve(network, 0, pruning.factors(checkpoint, network.layers[0]), some)
    assert (curve.samples, curve.unit) == (256, "characters")
    assert curve.accuracy[-1] == evaluation.evaluate(network, some).accuracy


def test_other_networks_are_no_transformers():
    assert isinstance(networks.match(sample("clean").checkpoint)[0], MLP)
    assert Digits()().unit == MNIST()().unit == "images"
