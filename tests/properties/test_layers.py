"""Which tensors are layers and in which order: rules that hold for any checkpoint."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import layers
from rmtviz.checkpoint import COMPLEX, FLOATS, Checkpoint, Skipped
from rmtviz.errors import CannotRun, OrderUnknown
from rmtviz.layers import KINDS, Layer
from rmtviz.words import catalogue

seeds = st.integers(0, 2**32)
widths = st.lists(st.integers(1, 9), min_size=2, max_size=9)

NAMES = st.from_regex(r"(?:[ab]\.)?(?:wte|fc|fc[0-9]{1,2}|01|1|l)", fullmatch=True)
LAST = st.sampled_from(["", ".weight", ".bias", ".running_mean", ".0.weight", ".1.weight"])
DTYPES = st.sampled_from(
    [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.complex64, np.int64, bool]
)
SHAPES = st.lists(st.integers(0, 4), max_size=6).map(tuple)
ARRAYS = st.dictionaries(
    st.builds(str.__add__, NAMES, LAST),
    st.builds(np.zeros, SHAPES | st.tuples(st.integers(1, 4), st.integers(1, 4)), DTYPES),
    max_size=12,
)


def linear(name: str, outputs: int, inputs: int) -> Layer:
    return Layer(name, "linear", (f"{name}.weight",), (outputs, inputs))


def network(dims: list[int], form: str = "layers.{}") -> list[Layer]:
    """The layers of a network of these widths, input first."""
    sides = itertools.pairwise(dims)
    return [linear(form.format(i), outputs, inputs) for i, (inputs, outputs) in enumerate(sides)]


def shuffled(items, seed: int) -> list:
    items = list(items)
    return [items[i] for i in np.random.default_rng(seed).permutation(len(items))]


def checkpoint(items: list[Layer], **about: object) -> Checkpoint:
    return Checkpoint.of({x.tensors[0]: np.zeros(x.shape, np.float32) for x in items}, **about)


@given(widths, st.sampled_from(["layers.{}", "{}", "net.{}.fc", "fc{}", "block_0{}_x"]), seeds)
def test_numbered_names_decide(dims: list[int], form: str, seed: int) -> None:
    expected = network(dims, form)
    assert layers.chain(shuffled(expected, seed)) == tuple(expected)
    found, skipped = layers.find(checkpoint(shuffled(expected, seed)))
    assert (found, skipped) == (tuple(expected), ())


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8, unique=True), seeds)
def test_shapes_decide_where_names_say_nothing(dims: list[int], seed: int) -> None:
    words = shuffled(["query", "head", "stem", "neck", "tail", "body", "top"], seed)
    expected = [linear(name, *x.shape) for x, name in zip(network(dims), words, strict=False)]
    assert layers.chain(shuffled(expected, seed + 1)) == tuple(expected)


@given(seeds)
def test_equal_shapes_go_by_the_natural_order_of_names(seed: int) -> None:
    expected = [linear("stem", 8, 20), *(linear(f"h{i}", 8, 8) for i in (2, 9, 10, 11))]
    expected.append(linear("a_head", 3, 8))
    assert layers.chain(shuffled(expected, seed)) == tuple(expected)


@given(st.integers(1, 9), st.integers(10, 20), seeds)
def test_an_autoencoder_is_asked_about(code: int, data: int, seed: int) -> None:
    encoder, decoder = linear("encoder", code, data), linear("decoder", data, code)
    both = shuffled([encoder, decoder], seed)
    with pytest.raises(OrderUnknown) as refusal:
        layers.chain(both)
    assert "encoder" in refusal.value.do
    for order in (("encoder", "decoder"), ("decoder", "encoder")):
        assert [x.name for x in layers.chain(both, order)] == list(order)
    assert [x.name for x in layers.find(checkpoint(both))[0]] == ["decoder", "encoder"]


@given(widths, seeds)
def test_shuffled_containers_give_the_same_layers_in_the_same_order(
    dims: list[int], seed: int
) -> None:
    words = shuffled(["q", "k", "l1", "l01", "l10", "v", "o.0", "o.00"], seed)
    given_layers = [linear(name, *x.shape) for x, name in zip(network(dims), words, strict=False)]
    first = layers.find(checkpoint(given_layers))
    assert first == layers.find(checkpoint(shuffled(given_layers, seed)))


@given(ARRAYS, seeds, st.lists(NAMES, max_size=4))
def test_every_tensor_is_in_a_layer_or_skipped_for_a_known_reason(
    arrays: dict[str, np.ndarray], seed: int, factored: list[str]
) -> None:
    left_out = (Skipped("elsewhere", (2,), "float8", "not_floating"),)
    ordered = Checkpoint.of(arrays, left_out=left_out).with_about(factored=factored)
    found, skipped = layers.find(ordered)
    used = {name for layer in found for name in layer.tensors}
    assert sorted([*used, *(x.name for x in skipped)]) == sorted([*arrays, "elsewhere"])
    assert len({layer.name for layer in found}) == len(found)
    assert all(f"skipped.{item.reason}" in catalogue() for item in skipped)
    for layer in found:
        assert layer.kind in KINDS
        matrix = layer.matrix(ordered)
        assert matrix.shape == layer.shape
        assert matrix.dtype.name in (*FLOATS, *COMPLEX)
        stored = sum(arrays[name].size for name in layer.tensors)
        assert layer.parameters(ordered) == stored // (layer.part[1] if layer.part else 1)
        bias = layers.bias(ordered, layer)
        assert bias is None or ordered[bias].shape == (layer.shape[0],)
    other = Checkpoint.of(dict(shuffled(arrays.items(), seed)), left_out=left_out)
    assert layers.find(other.with_about(factored=factored)) == (found, skipped)
    assert other.digest == ordered.digest


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("fc.bias", np.zeros(3), "bias"),
        ("norm.weight", np.zeros(3), "vector"),
        ("scale", np.zeros(()), "vector"),
        ("norm.running_mean", np.zeros(3), "buffer"),
        ("norm.num_batches_tracked", np.zeros((), int), "buffer"),
        ("ids", np.zeros((3, 4), int), "not_floating"),
        ("fc.weight", np.zeros((0, 4)), "empty"),
        ("conv.weight", np.zeros((3, 4, 5, 5)), None),
        ("dw.weight", np.zeros((3, 1, 5, 5)), "depthwise"),
        ("cls_token", np.zeros((1, 1, 9)), "vector"),
        ("pos_embed", np.zeros((1, 5, 9)), "embedding"),
        ("odd", np.zeros((1, 2, 1, 2, 1, 2)), "many_sides"),
        ("transformer.wte.weight", np.zeros((9, 4)), "embedding"),
        ("tok_embeddings.weight", np.zeros((9, 4)), "embedding"),
        ("model.embed_tokens.weight", np.zeros((9, 4)), "embedding"),
        ("embeddings.0.weight", np.zeros((9, 4)), "embedding"),
        ("pos_embed", np.zeros((9, 4)), "embedding"),
        ("time_embedding.linear_1.weight", np.zeros((9, 4)), None),
        ("0.weight", np.zeros((9, 4)), None),
        ("member.weight", np.zeros((9, 4)), None),
        ("fc.weight", np.zeros((9, 4), np.float16), None),
    ],
)
def test_reasons(name: str, array: np.ndarray, reason: str | None) -> None:
    found, skipped = layers.find(Checkpoint.of({name: array}))
    assert [item.reason for item in skipped] == ([reason] if reason else [])
    assert len(found) == (reason is None)


def test_a_recorded_pair_is_one_layer_and_an_unrecorded_one_is_suspected() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(2, 7)), rng.normal(size=(5, 2))
    plain = Checkpoint.of({"fc.0.weight": small, "fc.1.weight": large, "fc.1.bias": np.ones(5)})
    assert layers.suspected_pairs(plain) == ("fc",)
    assert [x.kind for x in layers.find(plain)[0]] == ["linear", "linear"]
    known = plain.with_about(factored=["fc"])
    assert layers.suspected_pairs(known) == ()
    (layer,), (bias,) = layers.find(known)
    assert (layer.name, layer.kind, layer.shape) == ("fc", "factored", (5, 7))
    assert layer.matrix(known) == pytest.approx(large @ small)
    assert layer.parameters(known) == 24
    assert layers.bias(known, layer) == "fc.1.bias" == bias.name


@pytest.mark.parametrize(
    ("first", "second", "bias", "expected"),
    [
        ((2, 7), (5, 2), False, True),
        ((2, 7), (5, 2), True, False),  # a bias between the two: two layers
        ((5, 7), (5, 5), False, False),  # no narrower than its ends
        ((7, 7), (9, 7), False, False),
        ((2, 7), (5, 3), False, False),
        ((2, 7, 1), (5, 2), False, False),
    ],
)
def test_a_suspected_pair_is_narrow_and_without_a_bias(
    first: tuple[int, ...], second: tuple[int, ...], bias: bool, expected: bool
) -> None:
    arrays = {"x.0.weight": np.zeros(first), "x.1.weight": np.zeros(second)}
    if bias:
        arrays["x.0.bias"] = np.zeros(first[0])
    assert layers.suspected_pairs(Checkpoint.of(arrays)) == (("x",) if expected else ())


@pytest.mark.parametrize(
    "record", [["fc"], "fc", None, 3, [["fc"]], [{"fc": 1}], ["other", "fc"], {"fc": 1}]
)
def test_a_strange_record_breaks_nothing(record: object) -> None:
    arrays = {"fc.0.weight": np.zeros((2, 7)), "fc.1.weight": np.zeros((5, 2))}
    found, skipped = layers.find(Checkpoint.of(arrays).with_about(factored=record))
    assert sorted(name for x in found for name in x.tensors) == sorted(arrays)
    assert skipped == ()


@pytest.mark.parametrize(
    ("order", "key"),
    [
        (["0", "1"], "order_names"),
        (["0", "1", "1"], "order_names"),
        (["0", "1", "3"], "order_names"),
        (["2", "1", "0"], "order_shapes"),
    ],
)
def test_a_wrong_answer_about_the_order_is_refused(order: list[str], key: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        layers.chain(network([4, 5, 6, 7], "{}"), order)
    assert refusal.value.key == key


def test_no_layers_and_no_chain_are_refused() -> None:
    with pytest.raises(CannotRun) as refusal:
        layers.chain([])
    assert refusal.value.key == "no_layers"
    with pytest.raises(CannotRun) as refusal:
        layers.chain([linear("q", 3, 4), linear("k", 5, 6)])
    assert refusal.value.key == "no_chain"
    assert not isinstance(refusal.value, OrderUnknown)
    assert len(layers.find(checkpoint([linear("q", 3, 4), linear("k", 5, 6)]))[0]) == 2


def test_thousands_of_layers_are_ordered() -> None:
    blocks = [linear(f"h.{i}.{part}", 8, 8) for i in range(2000) for part in "kq"]
    assert layers.chain(shuffled(blocks, 0)) == tuple(blocks)


def test_a_hopeless_puzzle_ends() -> None:
    hub = [linear(f"in{k}", 100, k) for k in range(1, 16)]
    hub += [linear(f"out{k}", k, 100) for k in range(1, 16)]
    with pytest.raises(CannotRun) as refusal:
        layers.chain([*hub, linear("island", 777, 888)])
    assert refusal.value.key == "no_chain"


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_natural_order_is_that_of_the_numbers(a: int, b: int) -> None:
    first, second = layers.natural(f"l{a}.w"), layers.natural(f"l{b}.w")
    assert (first < second) == (a < b)


@given(st.lists(st.text(alphabet="a.0129٣_", max_size=6), max_size=8, unique=True), seeds)
def test_natural_order_is_total(names: list[str], seed: int) -> None:
    key = layers.natural
    assert sorted(names, key=key) == sorted(shuffled(names, seed), key=key)


def test_natural_order_of_names() -> None:
    names = ["l", "l1", "l2", "l9", "l10", "l10.a", "l10.b", "l" + "9" * 5000]
    assert sorted(shuffled(names, 0), key=layers.natural) == names
