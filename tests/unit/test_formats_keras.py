"""Keras files: what a layer computes is the same with the tensors in PyTorch's layout."""

import io
import itertools
import json
import zipfile

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rmtviz import formats, layers
from rmtviz.errors import ExtraMissing
from tests.hostile.making import hdf5_file

chance = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return chance.standard_normal(shape).astype(np.float32)


def numbered(**groups: list[np.ndarray]) -> bytes:
    """A file of Keras 3's: the variables of each layer by number."""
    arrays = {
        f"layers/{path.replace('__', '/')}/vars/{number}": array
        for path, held in groups.items()
        for number, array in enumerate(held)
    }
    return hdf5_file(arrays)


def tensors(content: bytes, **only: str) -> dict[str, torch.Tensor]:
    checkpoint = formats.read(content)
    return {name: torch.from_numpy(checkpoint[name].copy()) for name in checkpoint}


def test_dense():
    kernel, bias, x = normal(5, 3), normal(3), normal(7, 5)
    found = tensors(numbered(dense=[kernel, bias]))
    y = functional.linear(torch.from_numpy(x), found["dense.weight"], found["dense.bias"])
    assert np.allclose(y, x @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("sides", [1, 2, 3])
def test_convolutions(sides):
    kernel, x = normal(*(3, 2, 4)[:sides], 5, 6), normal(2, *(8, 7, 9)[:sides], 5)
    found = tensors(numbered(**{f"conv{sides}d": [kernel, normal(6)]}))
    weight = found[f"conv{sides}d.weight"]
    run = (functional.conv1d, functional.conv2d, functional.conv3d)[sides - 1]
    y = run(torch.from_numpy(np.moveaxis(x, -1, 1).copy()), weight).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(
        x, kernel.shape[:sides], tuple(range(1, sides + 1))
    )  # (batch, places…, inputs, window…)
    moved = np.moveaxis(kernel, -2, 0)  # (inputs, window…, outputs)
    expected = np.tensordot(windows, moved, axes=sides + 1)
    assert np.allclose(np.moveaxis(y, 1, -1), expected, atol=1e-4)


def test_transposed_convolution():
    kernel, x = normal(3, 3, 4, 6), normal(2, 5, 5, 6)  # (window, outputs, inputs)
    found = tensors(numbered(conv2d_transpose=[kernel, normal(4)]))
    weight = found["conv2d_transpose.weight"]
    y = functional.conv_transpose2d(torch.from_numpy(np.moveaxis(x, -1, 1).copy()), weight)
    expected = np.zeros((2, 7, 7, 4), np.float32)
    for row, column in itertools.product(range(5), repeat=2):
        stamp = np.einsum("bi,hwoi->bhwo", x[:, row, column], kernel)
        expected[:, row : row + 3, column : column + 3] += stamp
    assert np.allclose(np.moveaxis(y.numpy(), 1, -1), expected, atol=1e-4)
    checkpoint = formats.read(numbered(conv2d_transpose=[kernel, normal(4)]))
    assert layers.find(checkpoint)[0][0].kind == "transposed_convolution"


@pytest.mark.parametrize("times", [1, 2])
def test_depthwise_and_separable_convolutions(times):
    kernel, point, x = normal(3, 3, 5, times), normal(1, 1, 5 * times, 4), normal(2, 6, 6, 5)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    deep = np.einsum("bxyihw,hwim->bxyim", windows, kernel).reshape(2, 4, 4, 5 * times)
    moved = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    content = numbered(depthwise_conv2d=[kernel, normal(5 * times)])
    weight = tensors(content)["depthwise_conv2d.weight"]
    y = functional.conv2d(moved, weight, groups=5)
    assert np.allclose(np.moveaxis(y.numpy(), 1, -1), deep, atol=1e-4)
    reasons = {item.name: item.reason for item in layers.find(formats.read(content))[1]}
    assert reasons["depthwise_conv2d.weight"] == "depthwise"
    found = tensors(numbered(separable_conv2d=[kernel, point, normal(4)]))
    first, second = (
        found[f"separable_conv2d.{part}.weight"] for part in ("depthwise", "pointwise")
    )
    y = functional.conv2d(functional.conv2d(moved, first, groups=5), second)
    assert np.allclose(np.moveaxis(y.numpy(), 1, -1), deep @ point[0, 0], atol=1e-4)
    assert "separable_conv2d.pointwise.bias" in found


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run(cell: nn.Module, found: dict, stem: str, x: np.ndarray) -> np.ndarray:
    own = {name.removeprefix(stem): it for name, it in found.items() if name.startswith(stem)}
    for name in cell.state_dict().keys() - own.keys():
        own[name] = torch.zeros_like(cell.state_dict()[name])
    cell.load_state_dict(own)
    with torch.no_grad():
        return cell(torch.from_numpy(x))[0].numpy()


def test_lstm():
    kernel, recurrent, bias = normal(4, 12), normal(3, 12), normal(12)
    x = normal(2, 5, 4)
    h = c = np.zeros((2, 3))
    for step in range(5):
        gates = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
        i, f, o = (sigmoid(gates[place]) for place in (0, 1, 3))
        c = f * c + i * np.tanh(gates[2])
        h = o * np.tanh(c)
    found = tensors(numbered(lstm__cell=[kernel, recurrent, bias]))
    y = run(nn.LSTM(4, 3, batch_first=True), found, "lstm.", x)
    assert np.allclose(y[:, -1], h, atol=1e-5)


def test_gru():
    kernel, recurrent, bias = normal(4, 9), normal(3, 9), normal(2, 9)
    x, h = normal(2, 5, 4), np.zeros((2, 3))
    for step in range(5):
        xz, xr, xn = np.split(x[:, step] @ kernel + bias[0], 3, axis=1)
        hz, hr, hn = np.split(h @ recurrent + bias[1], 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        h = z * h + (1 - z) * np.tanh(xn + r * hn)
    content = numbered(gru__cell=[kernel, recurrent, bias])
    y = run(nn.GRU(4, 3, batch_first=True), tensors(content), "gru.", x)
    assert np.allclose(y[:, -1], h, atol=1e-5)
    names = [layer.name for layer in layers.find(formats.read(content))[0]]
    assert "gru.weight_ih_l0[r]" in names


def test_both_directions_and_a_plain_cell():
    cell = [normal(4, 12), normal(3, 12), normal(12)]
    found = formats.read(
        numbered(
            bidirectional__forward_layer__cell=cell,
            bidirectional__backward_layer__cell=cell,
            simple_rnn__cell=[normal(4, 3), normal(3, 3), normal(3)],
        )
    )
    assert "bidirectional.backward_layer.weight_hh_l0_reverse" in found
    assert "bidirectional.forward_layer.weight_hh_l0" in found
    assert found["simple_rnn.weight_hh_l0"].shape == (3, 3)


def test_attention():
    query, out = normal(6, 2, 5), normal(2, 5, 6)  # inputs, heads, width; heads, width, outputs
    x = normal(3, 6)
    found = tensors(
        numbered(
            multi_head_attention__query_dense=[query, normal(2, 5)],
            multi_head_attention__output_dense=[out, normal(6)],
        )
    )
    q = x @ found["multi_head_attention.query_dense.weight"].numpy().T
    assert np.allclose(q, np.einsum("bi,ihd->bhd", x, query).reshape(3, 10), atol=1e-5)
    assert found["multi_head_attention.query_dense.bias"].shape == (10,)
    y = q @ found["multi_head_attention.output_dense.weight"].numpy().T
    assert np.allclose(y, np.einsum("bhd,hdo->bo", q.reshape(3, 2, 5), out), atol=1e-4)


def test_norms_and_embeddings():
    found = formats.read(
        numbered(
            batch_normalization=[np.full(4, float(n)) for n in range(4)],
            layer_normalization=[np.zeros(4), np.ones(4)],
            embedding=[normal(50, 8)],
        )
    )
    for number, own in enumerate(("weight", "bias", "running_mean", "running_var")):
        assert (found[f"batch_normalization.{own}"] == number).all()
    assert (found["layer_normalization.bias"] == 1).all()
    reasons = {item.name: item.reason for item in layers.find(found)[1]}
    assert reasons["embedding.weight"] == "embedding"


def test_one_network_in_keras_files_of_three_kinds_is_one():
    weights = {"fc1": [normal(6, 5), normal(5)], "fc2": [normal(5, 3), normal(3)]}
    new, old, bare = {}, {}, {}
    for number, (name, held) in enumerate(weights.items()):
        for place, (own, array) in enumerate(zip(("kernel", "bias"), held, strict=True)):
            new[f"layers/dense{f'_{number}' if number else ''}/vars/{place}"] = array
            old[f"model_weights/{name}/{name}/{own}:0"] = array
            bare[f"{name}/{name}/{own}:0"] = array
    old["optimizer_weights/adam/fc1/kernel/m:0"] = normal(6, 5)
    names = {"layers/dense/vars": "fc1", "layers/dense_1/vars": "fc2"}
    inside = hdf5_file(new, names)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", inside)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.weights.h5", inside)
    every = [archive.getvalue(), packed.getvalue(), inside, hdf5_file(old), hdf5_file(bare)]
    found = [formats.read(content) for content in every]
    assert {each.format for each in found} == {"keras"}
    assert len({each.digest for each in found}) == 1
    assert (found[0]["fc1.weight"] == weights["fc1"][0].T).all()
    assert [item.reason for item in found[3].left_out] == ["optimizer"]
    assert "keras" not in formats.offered(found[0])
    back = formats.read(formats.write(found[0], "safetensors"))
    assert back.digest == found[0].digest
    assert [layer.kind for layer in layers.find(back)[0]] == ["linear"] * 2


def test_names_that_would_be_equal_are_kept_apart():
    names = {"layers/dense/vars": "same", "layers/dense_1/vars": "same"}
    arrays = {f"layers/{it}/vars/0": normal(4, 3) for it in ("dense", "dense_1")}
    assert set(formats.read(hdf5_file(arrays, names))) == {"dense.weight", "dense_1.weight"}


def test_variables_that_nobody_knows_stay_as_they_are():
    arrays = {
        "layers/mine/vars/0": normal(3),
        "layers/mine/vars/1": normal(4, 3),
        "top": normal(2, 3),
    }
    found = formats.read(hdf5_file(arrays))
    assert {name: found[name].shape for name in found} == {
        "mine.0": (3,),
        "mine.1": (4, 3),
        "top": (2, 3),
    }


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (5, 4)},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (7, 3)},
        {"chunks": (20, 30), "maxshape": (None, None)},
    ],
)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i2", "<c8", "?"])
def test_packed_pieces_of_any_number_type(options, dtype):
    array = (normal(13, 11) * 10).astype(dtype)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("w", data=array, **options)
    found = formats.read(buffer.getvalue())["w"]
    assert found.dtype == array.dtype.newbyteorder("=")
    assert (found == array).all()


def test_small_and_half_numbers():
    import ml_dtypes

    array = normal(4, 3).astype(ml_dtypes.bfloat16)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["half"] = array.view("V2")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        made = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plist)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(3, dtype="f4"))
    found = formats.read(buffer.getvalue())
    assert found["half"].dtype == ml_dtypes.bfloat16
    assert (found["half"] == array).all()
    assert list(found["compact"]) == [0, 1, 2]


def test_without_h5py_the_extra_is_named(monkeypatch):
    content = hdf5_file({"w": normal(3, 3)})
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ExtraMissing) as caught:
        formats.read(content)
    assert 'pip install "rmtviz[keras]"' in caught.value.do


def test_the_record_says_what_was_found():
    found = formats.read(numbered(dense=[normal(4, 4)]))
    assert json.loads(found.metadata["rmtviz"]) == {
        "conventions": "keras",
        "kinds": {"dense.weight": "linear"},
    }
