"""Plain convolutional networks from their weights: their layout is found, asked for, or refused."""

import numpy as np
import pytest
import torch
from torch import nn

from rmtviz import evaluation, formats, layers, networks, pruning, tradeoff
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST
from rmtviz.errors import BadOption, CannotRun, DataRefused
from rmtviz.networks import CNN, cnn
from rmtviz.networks._choosing import TIE
from rmtviz.networks._layout import Layout, possible
from rmtviz.rules import FixedRank, Off
from tests.hostile.making import hdf5_file

IMAGE = (1, 28, 28)


def pooled() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(12 * 36, 24), nn.ReLU(), nn.Linear(24, 10),
    )  # fmt: skip


def same() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(12 * 49, 10),
    )  # fmt: skip


def strided() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.Tanh(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12), nn.Tanh(),
        nn.Flatten(), nn.Linear(12 * 49, 10),
    )  # fmt: skip


NETS = {
    "same+max,valid+max/flatten": (pooled, "relu"),
    "same+max,same+max/flatten": (same, "relu"),
    "same+stride,same+stride/flatten": (strided, "tanh"),
}
CLEAR = list(NETS)[1:]
"""In the first a margin could as well be at the other convolution: too alike for little data."""


@pytest.fixture(scope="module")
def trained() -> dict[str, nn.Sequential]:
    """Small networks, trained for a few hundred steps on x/255."""
    samples = MNIST()().split("train").first(12_000)
    images = torch.tensor(samples.images).float().div(255).view(-1, *IMAGE)
    labels = torch.tensor(samples.labels)
    made = {}
    with networks.one_thread(), torch.random.fork_rng():
        for layout, (make, _) in NETS.items():
            torch.manual_seed(0)
            net = make()
            optimiser = torch.optim.Adam(net.parameters(), 3e-3)
            for start in range(0, len(images), 50):
                loss = nn.functional.cross_entropy(
                    net(images[start : start + 50]), labels[start : start + 50]
                )
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
            made[layout] = net.eval()
    return made


def weights(net: nn.Module) -> Checkpoint:
    return Checkpoint.of(net.state_dict())


@pytest.mark.parametrize("layout", CLEAR)
def test_layout_activation_and_inputs_are_found(layout: str, trained) -> None:
    dataset, net = MNIST()(), trained[layout]
    choice = networks.detect(weights(net), dataset)
    assert isinstance(choice, CNN)
    assert (choice.layout, choice.inputs) == (layout, "unit")
    true, tried = CNN(layout, NETS[layout][1]), dataset.split("selection", foreign=True)
    found, known = (
        evaluation.evaluate(x(weights(net)), tried.first(1_000)) for x in (choice, true)
    )
    assert found.loss <= TIE * known.loss  # little trained, some read better with another
    some = dataset.split("test", foreign=True).first(300)
    with torch.inference_mode():
        expected = net(torch.tensor(some.images).float().div(255).view(-1, *IMAGE)).numpy()
    network = true(weights(net))
    assert network.logits(some.images) == pytest.approx(expected, abs=1e-4)
    assert evaluation.evaluate(network, some).accuracy > 0.9
    told = weights(net).with_about(network=choice.record())
    assert networks.detect(told, dataset) == choice
    assert networks.detect(weights(net), dataset, layout=layout).layout == layout


@pytest.mark.parametrize("layout", NETS)
def test_a_cut_network_runs_the_same_dense_and_factored(layout: str, trained) -> None:
    whole, samples = weights(trained[layout]), MNIST()().split("test").first(200)
    choice = CNN(layout, NETS[layout][1])
    analysis = analyze(whole)
    outputs = []
    for form in ("dense", "factored"):
        pruned = pruning.apply(whole, pruning.plan(analysis, FixedRank(6), form=form))
        outputs.append(choice(pruned).logits(samples.images))
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-3)
    kept = pruning.apply(whole, pruning.plan(analysis, Off(), include_last=True))
    network = choice(whole)
    assert np.array_equal(choice(kept).logits(samples.images), network.logits(samples.images))
    curve = tradeoff.curve(network, 1, pruning.factors(whole, network.layers[1]), samples)
    assert curve.accuracy[-1] == evaluation.evaluate(network, samples).accuracy
    size = pruning.Size.of(whole, network.places)
    counted = sum(
        layer.parameters(whole) * network.places.get(layer.name, 1) for layer in network.layers
    )
    assert (size.macs, size.placeless, len(network.places)) == (counted, False, 2)


def test_places_are_those_of_the_convolutions(trained) -> None:
    network = CNN("same+max,valid+max/flatten")(weights(trained["same+max,valid+max/flatten"]))
    assert dict(network.places) == {"0": 28 * 28, "3": 12 * 12}


def test_keras_weights_run_alike(trained) -> None:
    layout = "same+max,valid+max/flatten"
    arrays = {name: value.numpy() for name, value in trained[layout].state_dict().items()}
    rows, flat = arrays["7.weight"].shape
    pixels = arrays["7.weight"].reshape(rows, 12, 6, 6).transpose(0, 2, 3, 1).reshape(rows, flat)
    keras = {
        "conv2d.kernel": arrays["0.weight"].transpose(2, 3, 1, 0),
        "conv2d.bias": arrays["0.bias"],
        "conv2d_1.kernel": arrays["3.weight"].transpose(2, 3, 1, 0),
        "conv2d_1.bias": arrays["3.bias"],
        "dense.kernel": pixels.T,
        "dense.bias": arrays["7.bias"],
        "dense_1.kernel": arrays["9.weight"].T,
        "dense_1.bias": arrays["9.bias"],
    }
    some = MNIST()().split("test").first(50).images
    one, other = CNN(layout)(weights(trained[layout])), CNN(layout)(Checkpoint.of(keras))
    assert one.logits(some) == pytest.approx(other.logits(some), abs=1e-4)
    assert [x.name for x in other.layers] == list(keras)[::2]


@pytest.mark.parametrize("form", ["h5", "safetensors"])
def test_a_keras_file_is_run_as_keras_flattens_pictures(form: str, trained) -> None:
    layout = "same+max,same+max/flatten"
    net, dataset = trained[layout], MNIST()()
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    rows, flat = arrays["7.weight"].shape
    pixels = arrays["7.weight"].reshape(rows, 12, 7, 7).transpose(0, 2, 3, 1).reshape(rows, flat)
    held = {
        "conv2d": (arrays["0.weight"].transpose(2, 3, 1, 0), arrays["0.bias"]),
        "conv2d_1": (arrays["3.weight"].transpose(2, 3, 1, 0), arrays["3.bias"]),
        "dense": (pixels.T, arrays["7.bias"]),
    }
    numbered = {
        f"layers/{name}/vars/{place}": array
        for name, both in held.items()
        for place, array in enumerate(both)
    }
    read = formats.read(hdf5_file(numbered), "net.weights.h5")
    if form != "h5":  # what a Keras file is written back as
        read = formats.read(formats.write(read, form), "net.safetensors")
    choice = networks.detect(read, dataset)
    some = dataset.split("selection", foreign=True).first(1_000)
    found = evaluation.evaluate(choice(read), some)
    assert found.accuracy > 0.9
    with torch.inference_mode():
        expected = net(torch.tensor(some.images).float().div(255).view(-1, *IMAGE)).numpy()
    assert CNN(layout)(read).logits(some.images) == pytest.approx(expected, abs=1e-4)
    assert choice.layout == layout


def test_a_batch_norm_of_keras_has_its_epsilon(trained) -> None:
    layout = "same+stride,same+stride/flatten"
    whole = weights(trained[layout])
    for told, epsilon in ((whole, 1e-5), (whole.with_about(conventions="keras"), 1e-3)):
        norms = [x for x in CNN(layout)(told).stages if isinstance(x, nn.BatchNorm2d)]
        assert [norm.eps for norm in norms] == [epsilon, epsilon]


def as_keras(picture: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Return what Keras's Conv2D(…, padding="same") makes of (height, width, channels).

    By TensorFlow's definition, place by place: each output is a window that may reach beyond the
    picture, the first one by half (rounded down) of all that the windows reach beyond it.
    """
    sides, window = picture.shape[:2], kernel.shape[:2]
    after = [-(-side // stride) for side in sides]
    beyond = [
        max((a - 1) * stride + k - s, 0) for a, k, s in zip(after, window, sides, strict=True)
    ]
    made = np.tile(bias, (*after, 1))
    for out in np.ndindex(*after):
        for at in np.ndindex(*window):
            place = [o * stride - b // 2 + x for o, b, x in zip(out, beyond, at, strict=True)]
            if all(0 <= x < side for x, side in zip(place, sides, strict=True)):
                made[out] += picture[tuple(place)] @ kernel[at]
    return made


@pytest.mark.parametrize("sides", [(8, 8), (7, 10)])
@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5)])
@pytest.mark.parametrize(("shrink", "stride"), [("keep", 1), ("stride", 2)])
@pytest.mark.parametrize("form", ["dense", "factored"])
def test_margins_of_keras_are_those_of_keras(
    form: str, shrink: str, stride: int, window: tuple[int, int], sides: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (*sides, 2)).astype("u1")
    pixels = picture.transpose(2, 0, 1).reshape(1, -1)
    low = rng.normal(size=(*window, 3, 2)) @ rng.normal(size=(2, 4))  # of rank 2
    kernels, biases = (
        [rng.normal(size=(*window, 2, 3)), low],
        [rng.normal(size=x) for x in (3, 4, 5)],
    )
    passed = [picture.astype(float)]
    for kernel, bias in zip(kernels, biases, strict=False):
        passed.append(np.maximum(as_keras(passed[-1], kernel, bias, stride), 0))
    dense = rng.normal(size=(passed[-1].size, 5))
    expected = passed[-1].ravel() @ dense + biases[2]
    arrays = {f"{i}.kernel": kernel for i, kernel in enumerate((*kernels, dense))}
    whole = Checkpoint.of(arrays | {f"{i}.bias": bias for i, bias in enumerate(biases)})
    plan = pruning.plan(analyze(whole), Off(), {"1.kernel": 2}, form=form)
    cut, image = pruning.apply(whole, plan), (2, *sides)
    layout = f"same+{shrink},same+{shrink}/flatten"
    network = CNN(layout, "relu", "raw", image)(cut)
    assert network.logits(pixels)[0] == pytest.approx(expected, rel=1e-4)
    (given,) = network.given(pixels, 1)
    multiplied = given @ network.layers[1].matrix(cut).T
    alone = as_keras(passed[1], low, np.zeros(4), stride).reshape(-1, 4)
    assert multiplied == pytest.approx(alone, rel=1e-4, abs=1e-3 * np.abs(alone).max())
    assert len(alone) == network.places[network.layers[1].name]
    assert layout in cnn.layouts(whole, image)


def zeros(**shapes: tuple[int, ...]) -> Checkpoint:
    named = {name.replace("_w", ".weight"): np.zeros(shape) for name, shape in shapes.items()}
    return Checkpoint.of({name: array.astype(np.float32) for name, array in named.items()})


def test_layouts_are_those_whose_sizes_fit() -> None:
    one = zeros(a_w=(4, 1, 3, 3), b_w=(10, 4 * 26 * 26))
    assert cnn.layouts(one, IMAGE) == ("valid+keep/flatten",)
    mean = zeros(a_w=(4, 1, 3, 3), b_w=(10, 4))
    assert all(words.endswith("/mean") for words in cnn.layouts(mean, IMAGE))
    assert cnn.layouts(zeros(a_w=(4, 3, 3, 3), b_w=(10, 4)), IMAGE) == ()  # a coloured picture


@pytest.mark.parametrize("count", [1, 2, 5])
def test_layouts_are_words_and_back(count: int) -> None:
    made = list(possible(count))
    assert [Layout.of(str(each)) for each in made] == made
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "words", ["", "max", "same+max", "same+max/none", "all+max/flatten", "same+/mean", "a+b+c/mean"]
)
def test_other_words_are_no_layout(words: str) -> None:
    with pytest.raises(BadOption):
        CNN(words)


@pytest.mark.parametrize(
    ("shapes", "key"),
    [
        ({"a_w": (4, 1, 3, 3), "b_w": (5, 3, 3, 3), "c_w": (10, 5)}, "no_plain_cnn"),
        ({"a_w": (4, 1, 3), "c_w": (10, 4)}, "no_plain_cnn"),
        ({"a_w": (4, 1, 3, 3)}, "no_plain_cnn"),
        ({"a_w": (4, 1, 3, 3), "b_w": (10, 7)}, "layout_none"),
        ({"a_w": (4, 1, 3, 3), "b_w": (4, 4, 3, 3), "c_w": (4, 4, 3, 3), "d_w": (10, 4)},
         "layout_many"),
        ({"a_w": (4, 1, 3, 3), "b_w": (10, 4 * 26 * 26)}, "layout_poor"),
        ({"a_w": (4, 1, 3, 3), "b_w": (10, 4 * 26 * 26), "norm_w": (4,)}, "unused_tensors"),
    ],
)  # fmt: skip
def test_what_is_no_plain_network_is_refused(shapes, key) -> None:
    with pytest.raises(CannotRun, check=lambda refusal: refusal.key == key):
        networks.detect(zeros(**shapes), MNIST()())


def test_two_layouts_that_read_alike_are_asked_about(monkeypatch, trained) -> None:
    layout = "same+max,valid+max/flatten"
    monkeypatch.setattr(cnn, "surely", lambda *_: False)
    with pytest.raises(CannotRun) as refusal:
        networks.detect(weights(trained[layout]), MNIST()())
    assert refusal.value.key == "layout_alike"
    assert layout in refusal.value.values["layouts"].split()
    assert networks.detect(weights(trained[layout]), MNIST()(), layout=layout).layout == layout


def test_a_layout_that_does_not_fit_is_refused() -> None:
    one = zeros(a_w=(4, 1, 3, 3), b_w=(10, 4 * 26 * 26))
    for words, key in (
        ("same+keep/flatten", "layout_size"),
        ("valid+keep,valid+keep/flatten", "layout_count"),
    ):
        with pytest.raises(CannotRun, check=lambda refusal, key=key: refusal.key == key):
            CNN(words)(one)
    with pytest.raises(DataRefused):
        CNN("valid+keep/flatten")(one).logits(np.zeros((2, 50), np.uint8))


def test_layers_keep_their_order() -> None:
    found = layers.find(zeros(z_w=(4, 1, 3, 3), b_w=(10, 8), a_w=(8, 4)))[0]
    assert [layer.name for layer in found] == ["z", "a", "b"]
