"""One network in every container is one network: the same layers, the same matrices."""

import numpy as np
import pytest
import torch

from rmtviz import formats, layers
from tests.hostile.making import (
    WEIGHTS,
    gguf_file,
    gguf_tensor,
    graph_of,
    hdf5_file,
    legacy_file,
    pt2_file,
    weight,
)

MATRIX = np.random.default_rng(0).standard_normal((24, 40)).astype(np.float32)


def containers() -> dict[str, bytes]:
    checkpoint = formats.read(formats.write(formats.read(graph_of(MATRIX)), "safetensors"))
    state = torch.nn.Linear(40, 24, bias=False)
    state.weight.data = torch.from_numpy(MATRIX.copy())
    return {
        **{form: formats.write(checkpoint, form) for form in WEIGHTS},
        "legacy": legacy_file(state.state_dict()),
        "onnx": graph_of(MATRIX),
        "keras": hdf5_file({"layers/dense/vars/0": MATRIX.T}),
        "keras, old": hdf5_file({"model_weights/dense/dense/kernel:0": MATRIX.T}),
        "hdf5": hdf5_file({"dense/weight": MATRIX}),
        "gguf": gguf_file(MATRIX.tobytes(), gguf_tensor("weight", MATRIX.shape)),
    }


@pytest.mark.parametrize("title", containers())
def test_its_layer_is_the_same_matrix(title):
    checkpoint = formats.read(containers()[title])
    (layer,), skipped = layers.find(checkpoint)
    assert skipped == ()
    assert np.array_equal(layer.matrix(checkpoint), MATRIX)


def test_every_format_is_among_them():
    read = {formats.read(content).format for content in containers().values()}
    read.add(formats.read(pt2_file(weight())).format)
    assert read == set(formats.READ)
