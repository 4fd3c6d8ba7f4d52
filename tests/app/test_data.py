"""The Prune page on other data and other networks: chosen, found, opened, or missing."""

import io
import itertools

import numpy as np
import pytest
import safetensors.numpy
import torch
from onnx import TensorProto, helper, numpy_helper

from rmtviz import formats
from rmtviz.datasets import DATASETS
from rmtviz.ui import data, session
from rmtviz.words import say

RNG = np.random.default_rng(0)


def network(*widths: int) -> bytes:
    """A file of random linear layers of these widths."""
    arrays = {
        f"{2 * i}.weight": RNG.normal(size=(m, n)).astype(np.float32) / np.sqrt(n)
        for i, (n, m) in enumerate(itertools.pairwise(widths))
    }
    return safetensors.numpy.save(arrays)


def learnt(name: str, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """Two layers (inputs × hidden, hidden × classes) that read a dataset: random ones, fitted."""
    dataset = DATASETS[name]()()
    first = RNG.normal(size=(dataset.pixels, hidden)) / np.sqrt(dataset.pixels)
    held = np.maximum(dataset.train_images[:5_000] / dataset.top @ first, 0)
    wanted = np.eye(dataset.outputs)[dataset.train_labels[:5_000]]
    return first, np.linalg.lstsq(held, wanted)[0]


def reading(name: str, hidden: int) -> bytes:
    """A file of two layers that read a dataset."""
    first, second = learnt(name, hidden)
    arrays = {"0.weight": first.T, "2.weight": second.T}
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    )


def graph(a: np.ndarray, b: np.ndarray) -> bytes:
    """An ONNX file of two linear layers, inputs first."""
    held = {"a": a, "b": b}
    inputs, outputs = len(a), b.shape[1]
    node, value = helper.make_node, helper.make_tensor_value_info
    made = helper.make_graph(
        [node("MatMul", ["x", "a"], ["h"]), node("Relu", ["h"], ["r"]),
         node("MatMul", ["r", "b"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["n", inputs])],
        [value("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in held.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


def samples(numbers: int, classes: int, count: int = 60) -> bytes:
    """A file of random labelled samples."""
    file = io.BytesIO()
    labels = np.arange(count) % classes
    np.savez(file, x=RNG.normal(size=(count, numbers)), y=labels)
    return file.getvalue()


def give(visitor, name: str, content: bytes) -> None:
    """Open a file of labelled data in the page's second uploader."""
    visitor.at.file_uploader[1].set_value([(name, content, "application/octet-stream")])
    visitor.run()


def accuracy(visitor) -> list[str]:
    return [name for name in visitor.metrics if name.startswith("Accuracy on")]


@pytest.fixture
def prune(visit):
    return visit("prune")


def test_the_data_that_fit_are_found(prune):
    prune.upload("small.safetensors", reading("digits", 100))
    assert accuracy(prune) == [say("prune.accuracy", samples=298, unit="images")]
    prune.choose("rule", "off")
    assert float(prune.metrics[accuracy(prune)[0]].rstrip("%")) > 80
    prune.choose("run_inputs", "unit")
    assert say("prune.data_enter", samples=298, form="8 × 8", centre=0, scale=16) in prune.words
    assert say("prune.test_help_foreign", samples=299, selection=298, unit="images") in prune.words


def test_a_network_that_reads_none_of_the_data_is_not_judged_by_them(prune):
    prune.upload("strange.safetensors", network(64, 40, 10))
    assert accuracy(prune) == []
    assert say("error.data_unread.do") in prune.words
    assert say("prune.output_error", samples=1_000) in prune.metrics
    prune.choose("data", "digits")
    assert accuracy(prune) == [say("prune.accuracy", samples=298, unit="images")]


def test_other_data_may_be_chosen(prune, monkeypatch):
    digits = DATASETS["digits"]()()
    monkeypatch.setattr(data, "DATASETS", {**DATASETS, "fashion-mnist": lambda: lambda: digits})
    prune.choose("data", "fashion-mnist")  # of another form: said, and nothing breaks
    assert accuracy(prune) == []
    assert say("error.data_pixels.what", wanted=784, dataset="digits", given=64) in prune.words
    assert say("prune.unknown_help") in prune.words
    prune.choose("data", None)
    assert accuracy(prune) == [say("prune.accuracy", samples=5_000, unit="images")]


def test_without_data_the_page_says_how_far_the_outputs_move(prune):
    prune.upload("odd.safetensors", network(17, 30, 30, 5))
    assert accuracy(prune) == []
    moved = say("prune.output_error", samples=1_000)
    assert say("prune.unknown") in prune.words
    before = prune.metrics[moved]
    assert before.endswith("%")
    prune.choose("rule", "off")
    assert prune.metrics[moved] == "0.0%"
    give(prune, "mine.npz", samples(17, 3))  # of its length, but of other classes
    assert prune.metrics[say("prune.output_error_own", samples=60)] == "0.0%"
    give(prune, "mine.npz", samples(17, 5))
    assert accuracy(prune) == [say("prune.accuracy", samples=30, unit="samples")]


def test_data_that_cannot_be_read_are_refused_in_a_sentence(prune):
    give(prune, "notes.txt", b"no labels here")
    assert say("error.data_column.what", source="notes.txt") in prune.words.replace("\\", "")
    assert accuracy(prune) == [say("prune.accuracy", samples=5_000, unit="images")]


def test_a_graph_runs_as_it_is(visit):
    model = session.library().add(formats.read(graph(*learnt("mnist", 200)), "net.onnx"))
    prune = visit("prune", model=model.key)
    assert accuracy(prune) == [say("prune.accuracy", samples=5_000, unit="images")]
    (popover,) = [x for x in prune.at.selectbox if x.key == "run_inputs"]
    assert popover.options[0] == say("prune.auto")
    assert not [x for x in prune.at.selectbox if x.key == "run_activation"]
    prune.press("prune.test")
    assert "On 5,000 test images:" in prune.words


def test_a_convolution_that_does_not_run_is_counted_at_one_place(prune):
    weights = {
        "a.weight": RNG.normal(size=(32, 3, 3, 3)).astype(np.float32),
        "b.weight": RNG.normal(size=(40, 24, 3, 3)).astype(np.float32),
    }
    prune.upload("conv.safetensors", safetensors.numpy.save(weights))
    assert say("error.no_plain_cnn.what") in prune.words
    assert say("prune.unknown_still") in prune.words
    assert say("prune.export_code") in [each.value for each in prune.at.code]
    assert say("prune.places") in prune.words


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_lines_that_export_a_program_work(tmp_path, monkeypatch, prune):
    first, second = (torch.tensor(each.T, dtype=torch.float32) for each in learnt("mnist", 100))

    class Program(torch.nn.Module):
        """A network that its weights alone do not tell: its outputs are scaled."""

        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(784, 100, bias=False)
            self.second = torch.nn.Linear(100, 10, bias=False)
            self.scale = torch.nn.Parameter(torch.ones(10))
            self.first.weight.data, self.second.weight.data = first, second

        def forward(self, x):
            return self.second(torch.relu(self.first(x))) * self.scale

    torch.save(Program().state_dict(), tmp_path / "program.pt")
    prune.upload("program.pt", (tmp_path / "program.pt").read_bytes())
    assert say("error.unused_tensors.what", count=1, names="scale") in prune.words
    (lines,) = [each.value for each in prune.at.code if "onnx" in each.value]
    monkeypatch.chdir(tmp_path)
    exec(lines, {"torch": torch, "model": Program(), "example": torch.zeros(1, 784)})
    prune.upload("model.onnx", (tmp_path / "model.onnx").read_bytes())
    assert accuracy(prune) == [say("prune.accuracy", samples=5_000, unit="images")]
