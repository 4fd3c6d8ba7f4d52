"""What people really have on their disks, opened as its owner expects: the layers, and no more.

Each goes the way of an upload, in a process of its own where a library reads it; nothing runs.
"""

import argparse
import io
import pathlib
import pickle

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from rmtviz import analyze, formats, layers
from rmtviz.checkpoint import Checkpoint
from tests.hostile.making import Attributes, Call, graph_file, legacy_file

RNG = np.random.default_rng(0)
NET = nn.Sequential(nn.Linear(60, 40), nn.ReLU(), nn.Linear(40, 24))
STATE = NET.state_dict()
LAYERS = {"0": (40, 60), "2": (24, 40)}


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def draw(*sides: int) -> np.ndarray:
    return RNG.standard_normal(sides).astype(np.float32)


def trained() -> bytes:
    """All that a training script saves beside the weights."""
    optimizer = torch.optim.AdamW(NET.parameters())
    NET(torch.ones(1, 60)).sum().backward()
    optimizer.step()
    return saved(
        {
            "model": STATE,
            "optim": optimizer.state_dict(),
            "sched": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(),
            "args": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("/tmp/x")),
            "where": pathlib.PureWindowsPath("C:\\runs"),
            "epoch": np.int64(3),
            "best": np.float32(0.9),
            "rng": torch.get_rng_state(),
            "numpy": np.random.get_state(),
            "device": torch.device("cuda"),
            "notes": {1, 2},
            "harm": Call(print, "ran"),
        }
    )


def learnt() -> bytes:
    """A pickle of scikit-learn's network, which is not installed: weights have outputs last."""
    made = Attributes(
        coefs_=[draw(60, 40), draw(40, 24)],
        intercepts_=[draw(40), draw(24)],
        classes_=np.arange(24),
        _random_state=np.random.RandomState(0),
        loss_curve_=[1.0, 0.5],
    )
    own = f"c{Attributes.__module__}\nAttributes\n".encode()
    theirs = b"csklearn.neural_network._multilayer_perceptron\nMLPClassifier\n"
    return pickle.dumps(made, 2).replace(own, theirs)


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def handed_on() -> bytes:
    """A graph as tools around JAX leave it: constants handed on, turned, and of half the bytes."""
    node = helper.make_node
    model = onnx.load_model_from_string(graph_file())
    held = {"c": draw(30, 40), "h": draw(30, 24).astype(np.float16)}
    nodes = [
        node("Identity", ["c"], ["i"]),
        node("Transpose", ["i"], ["t"], perm=[1, 0]),
        node("MatMul", ["x", "t"], ["m"]),
        node("Cast", ["h"], ["f"], to=TensorProto.FLOAT),
        node("MatMul", ["m", "f"], ["y"]),
    ]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(it, name) for name, it in held.items())
    return model.SerializeToString()


def codes() -> bytes:
    """Weights in packed codes beside a plain one: their scales are no layer."""
    held = {
        "q.qweight": np.zeros((8, 64), "i4"),
        "q.qzeros": np.zeros((4, 8), "i4"),
        "q.scales": np.ones((4, 64), np.float16),
        "n.weight": draw(30, 40),
    }
    return formats.write(Checkpoint.of(held), "safetensors")


FILES: dict[str, tuple[bytes, dict[str, tuple[int, int]]]] = {
    "trained.pt": (trained(), LAYERS),
    "gpu.pt": (
        legacy_file(STATE).replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0"),
        LAYERS,
    ),
    "compiled.pt": (saved({f"_orig_mod.{key}": it for key, it in STATE.items()}), LAYERS),
    "wrapped.pt": (saved({"model": {"module": STATE}, "config": {"sizes": [60, 40]}}), LAYERS),
    "numbers.pt": (saved({7: torch.ones(30, 40)}), {"7": (30, 40)}),
    "signs.pt": (saved({"🔥.weight": torch.ones(30, 40)}), {"🔥": (30, 40)}),
    "list.pt": (saved([torch.ones(30, 40), torch.ones(20, 30)]), {"0": (30, 40), "1": (20, 30)}),
    "flat.pt": (saved({"conv.weight": torch.ones(64, 32, 1, 5)}), {"conv": (64, 160)}),
    "mask.pt": (
        saved({"attn.bias": torch.ones(1, 1, 64, 64), "attn.weight": torch.ones(30, 40)}),
        {"attn": (30, 40)},
    ),
    "learnt.pkl": (learnt(), {"coefs_.0": (40, 60), "coefs_.1": (24, 40)}),
    "gru.npz": (
        packed(**{"gru/kernel": draw(30, 90), "gru/bias": draw(2, 90)}),
        {"gru/kernel": (90, 30)},
    ),
    "jax.onnx": (handed_on(), {"c": (30, 40), "h": (24, 30)}),
    "packed.safetensors": (codes(), {"n": (30, 40)}),
}


@pytest.mark.parametrize("name", FILES)
def test_the_layers_are_those_that_its_owner_knows(name, capsys):
    content, expected = FILES[name]
    found = analyze(formats.together({name: content}, apart=True))
    assert {layer.name: layer.layer.shape for layer in found} == expected
    assert all(item.why for item in found.skipped)
    assert capsys.readouterr().out == ""


def test_the_biases_of_scikit_learn_are_those_of_its_layers():
    read = formats.read(FILES["learnt.pkl"][0])
    biases = [layers.bias(read, layer) for layer in layers.find(read)[0]]
    assert biases == ["intercepts_.0", "intercepts_.1"]
