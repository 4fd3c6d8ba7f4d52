"""A checkpoint of linear layers runs as it was trained, or it is said why it can't."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from rmtviz import datasets, networks
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST
from rmtviz.errors import BadOption, CannotRun, DataRefused, OrderUnknown
from rmtviz.networks import ACTIVATIONS, INPUTS, MLP, NETWORKS, detect, one_thread
from rmtviz.training import Training, train

WIDTHS = (20, 12, 9, 5)

FORMULAS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
}
SCALINGS = {
    "unit": lambda x: x / 255,
    "standard": lambda x: (x / 255 - 0.1307) / 0.3081,
    "symmetric": lambda x: (x / 255 - 0.5) / 0.5,
    "raw": lambda x: x,
}


def arrays(seed=0, widths=WIDTHS):
    """Return weights and biases under the names that a Sequential gives them."""
    draw = np.random.default_rng(seed)
    found = {}
    for place, (columns, rows) in enumerate(itertools.pairwise(widths)):
        found[f"{2 * place}.weight"] = draw.normal(size=(rows, columns)) / np.sqrt(columns)
        found[f"{2 * place}.bias"] = draw.normal(size=rows) / 3
    return {name: array.astype(np.float32) for name, array in found.items()}


def images(seed=1, count=50, pixels=WIDTHS[0]):
    return np.random.default_rng(seed).integers(0, 256, (count, pixels), dtype=np.uint8)


def reference(found, pixels, activation="relu", inputs="unit"):
    """The network in numpy and float64, from the formulas."""
    values = SCALINGS[inputs](pixels.astype(np.float64))
    names = [name for name in found if name.endswith("weight")]
    for name in names:
        bias = found.get(name.replace("weight", "bias"), 0)
        values = values @ found[name].T.astype(np.float64) + bias
        if name != names[-1]:
            values = FORMULAS[activation](values)
    return values


def factored(seed=0, rank=3):
    """Return a checkpoint whose first layer is factored, and the dense one it stands for."""
    dense = arrays(seed)
    draw = np.random.default_rng(seed + 1)
    first = draw.normal(size=(rank, WIDTHS[0])).astype(np.float32)
    second = draw.normal(size=(WIDTHS[1], rank)).astype(np.float32)
    dense["0.weight"] = second @ first
    rest = {name: array for name, array in dense.items() if not name.startswith("0.")}
    pair = {"0.0.weight": first, "0.1.weight": second, "0.1.bias": dense["0.bias"]}
    return Checkpoint.of({**pair, **rest}).with_about(factored=["0"]), dense


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_it_computes_what_the_formulas_say(activation, inputs):
    network = MLP(activation, inputs)(Checkpoint.of(arrays()))
    wanted = reference(arrays(), images(), activation, inputs)
    assert network.logits(images()).dtype == np.float32
    scale = max(1.0, float(abs(wanted).max()))
    assert abs(network.logits(images()) - wanted).max() < 1e-5 * scale


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-5), ("float16", 5e-3), (ml_dtypes.bfloat16, 5e-2)]
)
def test_weights_of_every_width_run_in_float32(dtype, tolerance):
    stored = {name: array.astype(dtype) for name, array in arrays().items()}
    logits = MLP()(Checkpoint.of(stored)).logits(images())
    exact = {name: array.astype(np.float64) for name, array in stored.items()}
    assert abs(logits - reference(exact, images())).max() < 1e-5
    assert abs(logits - reference(arrays(), images())).max() < tolerance


def test_layers_without_a_bias_run():
    found = {name: array for name, array in arrays().items() if "bias" not in name}
    network = MLP()(Checkpoint.of(found))
    assert abs(network.logits(images()) - reference(found, images())).max() < 1e-5
    assert not network.bias(0).any()


def test_a_factored_layer_is_its_product_and_a_relu_between_would_differ():
    checkpoint, dense = factored()
    network = MLP()(checkpoint)
    logits = network.logits(images())
    assert abs(logits - reference(dense, images())).max() < 1e-5
    between = {"0.0.weight": checkpoint["0.0.weight"]}
    between |= {"1.weight": checkpoint["0.1.weight"], "1.bias": checkpoint["0.1.bias"]}
    between |= {name: array for name, array in dense.items() if not name.startswith("0.")}
    assert abs(logits - reference(between, images())).max() > 0.1
    assert network.macs == 3 * (20 + 12) + 12 * 9 + 9 * 5


def test_what_may_be_factored_is_asked_about_and_an_answer_taken():
    checkpoint, dense = factored()
    silent = Checkpoint.of({name: checkpoint[name] for name in checkpoint})
    with pytest.raises(CannotRun, match="factored layer"):
        MLP()(silent)
    yes = MLP()(silent.with_about(factored=["0"])).logits(images())
    no = MLP()(silent.with_about(factored=[])).logits(images())
    assert abs(yes - reference(dense, images())).max() < 1e-5
    assert abs(no - yes).max() > 0.1


def test_hidden_and_rest_are_the_two_halves_of_logits():
    checkpoint, _ = factored()
    network = MLP("tanh")(checkpoint)
    logits = network.logits(images())
    for index, layer in enumerate(network.layers):
        given = network.hidden(images(), index)
        outputs = given @ layer.matrix(checkpoint).T.astype(np.float32) + network.bias(index)
        assert np.allclose(network.rest(outputs, index), logits, atol=1e-5)
    assert np.array_equal(network.hidden(images(), 3), logits)


def test_batches_do_not_show():
    network = MLP()(Checkpoint.of(arrays()))
    many = images(count=networks.base.BATCH + 3)
    apart = np.concatenate([network.logits(many[:7]), network.logits(many[7:])])
    assert network.logits(many).shape == (len(many), 5)
    assert np.allclose(network.logits(many), apart, atol=1e-6)
    assert network.logits(many[:0]).shape == (0, 5)


def test_a_module_of_its_own_is_the_same_network_in_plain_torch():
    checkpoint, _ = factored()
    network = MLP("gelu", "standard")(checkpoint)
    module = network.module()
    given = network.enter(torch.from_numpy(images()))
    assert np.allclose(module(given).detach().numpy(), network.logits(images()), atol=1e-6)
    assert set(module.state_dict()) == set(checkpoint)
    before = network.logits(images())
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    assert np.array_equal(network.logits(images()), before)


def test_entering_does_not_change_what_is_given():
    pixels = torch.full((2, 20), 7.0)
    MLP(inputs="symmetric")(Checkpoint.of(arrays())).enter(pixels)
    assert (pixels == 7).all()


def test_the_number_of_threads_and_the_random_state_are_left_alone():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    network = MLP()(Checkpoint.of(arrays()))
    network.logits(images())
    network.module()
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"1.weight": np.ones(12, np.float32), "1.bias": np.ones(12, np.float32)}, "1.weight"),
        ({"1.running_mean": np.ones(12, np.float32)}, "1.running_mean"),
        ({"conv.weight": np.ones((2, 1, 3, 3), np.float32)}, "conv.weight"),
        ({"tok_emb.weight": np.ones((20, 20), np.float32)}, "tok_emb.weight"),
        ({"temperature": np.ones((), np.float32)}, "temperature"),
        ({"6.weight": np.ones((5, 5), np.int8)}, "6.weight"),
        ({"2.scale": np.ones(9, ml_dtypes.bfloat16)}, "2.scale"),
    ],
)
def test_a_tensor_that_would_not_be_used_is_named_in_the_refusal(extra, named):
    with pytest.raises(CannotRun, match=named) as caught:
        MLP()(Checkpoint.of({**arrays(), **extra}))
    assert caught.value.key == "unused_tensors"


def test_a_bias_of_another_length_is_unused():
    with pytest.raises(CannotRun, match=r"2\.bias"):
        MLP()(Checkpoint.of({**arrays(), "2.bias": np.ones(8, np.float32)}))


def test_of_many_unused_tensors_a_few_are_named_and_all_are_counted():
    extra = {f"norm{place}.weight": np.ones(3, np.float32) for place in range(30)}
    with pytest.raises(CannotRun, match=r"30 of its tensors.*…"):
        MLP()(Checkpoint.of({**arrays(), **extra}))


def test_a_lone_counter_does_no_harm():
    found = {**arrays(), "steps": np.array(7)}
    assert MLP()(Checkpoint.of(found)).logits(images()).shape == (50, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_no_numbers_in_float32_are_refused_by_name(value):
    found = {name: array.astype(np.float64) for name, array in arrays().items()}
    found["2.weight"][1, 1] = value
    with pytest.raises(CannotRun, match=r"2\.weight"):
        MLP()(Checkpoint.of(found))


def test_shapes_decide_the_order_else_somebody_is_asked():
    square = Checkpoint.of({"first": np.eye(4), "b.weight": np.eye(4), "a.weight": 2 * np.eye(4)})
    with pytest.raises(OrderUnknown):
        MLP()(Checkpoint.of({"b.weight": np.ones((4, 6)), "a.weight": np.ones((6, 4))}))
    asked = MLP(order=("a", "b"))(
        Checkpoint.of({"b.weight": np.ones((4, 6)), "a.weight": np.ones((6, 4))})
    )
    assert [layer.name for layer in asked.layers] == ["a", "b"]
    with pytest.raises(CannotRun):
        MLP(order=("a", "c"))(square)
    with pytest.raises(CannotRun, match="fit together"):
        MLP()(Checkpoint.of({"a.weight": np.ones((3, 4)), "b.weight": np.ones((6, 7))}))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(BadOption, match="relu"):
        MLP(activation="step")
    with pytest.raises(BadOption, match="symmetric"):
        MLP(inputs="whitened")


def test_data_of_another_kind_are_refused_with_both_numbers():
    network = NETWORKS["mlp"]()(Checkpoint.of(arrays()))
    with pytest.raises(DataRefused, match=r"20 .* 784"):
        network.check(MNIST()())
    with pytest.raises(DataRefused, match=r"20 .* 21"):
        network.logits(images(pixels=21))
    with pytest.raises(DataRefused, match=r"7 .* 10"):
        detect(Checkpoint.of(arrays(widths=(784, 7))), MNIST()())


@pytest.fixture(scope="module")
def trained():
    """Small networks, each trained with its own activation and inputs, without their records."""
    pairs = [
        ("tanh", "standard"),
        ("relu", "unit"),
        ("identity", "raw"),
        ("elu", "symmetric"),
        ("silu", "standard"),
    ]
    found = {}
    for activation, inputs in pairs:
        recipe = Training(
            widths=(48, 32),
            epochs=3,
            train_samples=6_000,
            batch_size=50,
            learning_rate=1e-4 if inputs == "raw" else 3e-3,
            activation=activation,
            inputs=inputs,
        )
        *_, last = train(recipe)
        found[activation, inputs] = last.checkpoint
    return found


def test_activation_and_inputs_are_found(trained):
    for pair, checkpoint in trained.items():
        bare = Checkpoint.of({name: checkpoint[name] for name in checkpoint})
        dataset, foreign = datasets.of(bare)
        assert foreign
        found = detect(bare, dataset, foreign)
        assert (found.activation, found.inputs) == pair
        assert (found.mean, found.std) == (dataset.mean, dataset.std)


def test_what_is_asked_for_or_recorded_is_kept(trained):
    dataset = MNIST()()
    checkpoint = trained["tanh", "standard"]
    recorded = checkpoint.with_about(network={"activation": "silu", "inputs": "raw"})
    assert detect(recorded, dataset) == MLP("silu", "raw")
    assert detect(recorded, dataset, activation="elu") == MLP("elu", "raw")
    broken = checkpoint.with_about(network={"activation": ["tanh"], "inputs": "unknown"})
    assert detect(broken, dataset) == MLP("tanh", "standard")
    assert detect(broken, dataset, inputs="unit").inputs == "unit"
    with pytest.raises(BadOption):
        detect(checkpoint, dataset, activation="step")


def test_of_equals_the_first_in_the_tables_is_found():
    zeros = Checkpoint.of({"0.weight": np.zeros((8, 784)), "2.weight": np.zeros((10, 8))})
    assert detect(zeros, MNIST()()) == MLP("relu", "unit")


def test_the_stages_are_plain_torch_modules():
    network = MLP("silu")(factored()[0])
    kinds = [type(stage) for stage in network.stages]
    assert kinds == [nn.Sequential, nn.SiLU, nn.Linear, nn.SiLU, nn.Linear]
    assert not any(parameter.requires_grad for parameter in network.stages.parameters())
