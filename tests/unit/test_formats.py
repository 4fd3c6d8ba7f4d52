"""Reading and writing checkpoints: what goes in comes out, whatever the container."""

import io
import pickle
import re
import subprocess
import sys
import warnings
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from rmtviz import formats
from rmtviz.checkpoint import FLOATS, Checkpoint, Skipped
from rmtviz.errors import BadOption, ExtraMissing, FileRefused
from rmtviz.formats import _names, sources, wrappers
from rmtviz.words import catalogue

WEIGHTS = [name for name, form in formats.FORMATS.items() if not form.graph]
"""The formats that hold any weights; a graph holds those that it was read with."""

PLAIN = [np.dtype(code) for code in "?bBhHiIlLefd"]
FLOAT8 = [np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float8_e5m2)]
DTYPES = [*PLAIN, np.dtype(ml_dtypes.bfloat16), *FLOAT8, np.dtype("F")]
SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
RESERVED = ("__metadata__", "__rmtviz__", "__dtypes__")
NAMES = st.text(SIGNS, max_size=12).filter(lambda name: name not in RESERVED)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def arrays(draw):
    """An array of any bits, NaN and infinity among them."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(SHAPES)
    count = int(np.prod(shape)) * dtype.itemsize
    bits = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)
    return (bits & 1 if dtype.kind == "b" else bits).view(dtype).reshape(shape)


def bits(array):
    return np.ascontiguousarray(array).tobytes()


def assert_same(first: Checkpoint, second: Checkpoint):
    assert set(first) == set(second)
    for name, tensor in first.tensors.items():
        other = second.tensors[name]
        assert (tensor.shape, tensor.dtype) == (other.shape, other.dtype)
        assert (other.load().shape, other.load().dtype) == (tensor.shape, tensor.dtype)
        assert bits(tensor.load()) == bits(other.load())
    assert first.digest == second.digest


def saved(value, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def numpy_of(tensor: torch.Tensor) -> np.ndarray:
    return Checkpoint.of({"x": tensor}).tensors["x"].load()


def small() -> Checkpoint:
    rng = np.random.default_rng(1)
    arrays = {
        "0.weight": rng.normal(size=(5, 7)).astype("f4"),
        "0.bias": rng.normal(size=5).astype("f2"),
        "1.weight": rng.normal(size=(3, 5)).astype(ml_dtypes.bfloat16),
        "steps": np.array(7),
    }
    return Checkpoint.of(arrays).with_about(factored=["2"], network={"activation": "relu"})


@pytest.fixture
def reads(monkeypatch):
    """How many bytes each read of a source has taken."""
    taken = []
    read = sources.Source.read

    def counting(self, offset, count):
        taken.append(count)
        return read(self, offset, count)

    monkeypatch.setattr(sources.Source, "read", counting)
    return taken


class TestRoundTrip:
    @pytest.mark.parametrize("form", WEIGHTS)
    @settings(max_examples=60)
    @given(st.dictionaries(NAMES, arrays(), min_size=1, max_size=4), st.none() | st.text(SIGNS))
    @example({"": np.float32(1), "层.weight": np.ones((2, 3)), "<b>": np.zeros((0, 2))}, None)
    @example({"rng_state": np.ones(2), "exp_avg": np.ones(3)}, None)
    @example({"a/b": np.ones(2), "a.npy": np.ones(3), "x" * 300: np.ones((2, 1, 2))}, "")
    def test_what_goes_in_comes_out(self, form, arrays, note):
        assume(not all(name.startswith(_names.PREFIXES) for name in arrays))
        checkpoint = Checkpoint.of(arrays)
        if note is not None:
            checkpoint = checkpoint.with_about(note=note)
        again = formats.read(formats.write(checkpoint, form))
        assert_same(checkpoint, again)
        assert dict(again.metadata) == dict(checkpoint.metadata)
        assert (again.format, again.left_out) == (form, ())

    @pytest.mark.parametrize("form", WEIGHTS)
    @pytest.mark.parametrize("dtype", [*PLAIN, *FLOATS.values()], ids=lambda dtype: dtype.name)
    @pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)], ids=str)
    def test_every_number_type_and_shape(self, form, dtype, shape):
        values = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
        checkpoint = Checkpoint.of({"weight": values})
        assert_same(checkpoint, formats.read(formats.write(checkpoint, form)))

    def test_one_content_has_one_digest(self):
        files = {form: formats.write(small(), form) for form in WEIGHTS}
        read = {form: formats.read(content) for form, content in files.items()}
        assert {checkpoint.digest for checkpoint in read.values()} == {small().digest}
        assert {tuple(checkpoint.metadata.items()) for checkpoint in read.values()} == {
            tuple(small().metadata.items())
        }

    @pytest.mark.parametrize("form", WEIGHTS)
    def test_written_twice_is_the_same_file(self, form):
        assert formats.write(small(), form) == formats.write(small(), form)

    def test_all_metadata_stay_in_a_safetensors_header(self):
        notes = {"format": "pt", "author": "Gauß", "rmtviz": "{}"}
        checkpoint = Checkpoint.of({"w": np.ones(2)}, metadata=notes)
        assert dict(formats.read(formats.write(checkpoint, "safetensors")).metadata) == notes

    def test_names_that_belong_to_the_format_are_refused(self):
        reserved = [("safetensors", "__metadata__"), ("pytorch", "__rmtviz__")]
        reserved += [("npz", name) for name in ("__rmtviz__", "__dtypes__", "nul\0")]
        reserved += [(form, "half \ud800") for form in WEIGHTS]
        for form, name in reserved:
            with pytest.raises(BadOption) as refused:
                formats.write(Checkpoint.of({name: np.ones(2)}), form)
            assert refused.value.key == "write_name"

    @pytest.mark.parametrize("form", WEIGHTS)
    def test_numbers_without_a_name_in_the_format_are_refused(self, form):
        with pytest.raises(BadOption, match="int4"):
            formats.write(Checkpoint.of({"w": np.zeros(4, ml_dtypes.int4)}), form)

    def test_an_unknown_format_is_refused(self):
        with pytest.raises(BadOption, match="safetensors, pytorch, npz"):
            formats.write(small(), "tensorflow")

    def test_writing_for_pytorch_needs_torch(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(ExtraMissing, match=re.escape("rmtviz[torch]")):
            formats.write(small(), "pytorch")


class TestSource:
    @pytest.mark.parametrize("form", WEIGHTS)
    def test_a_file_and_its_bytes_are_the_same(self, form, tmp_path):
        content = formats.write(small(), form)
        path = tmp_path / "no suffix that helps.bin"
        path.write_bytes(content)
        from_path, from_text = formats.read(path), formats.read(str(path))
        from_bytes = formats.read(content, "upload.pt")
        assert_same(from_bytes, from_path)
        assert_same(from_bytes, from_text)
        assert (from_path.source, from_bytes.source) == (path.name, "upload.pt")

    @pytest.mark.parametrize("form", WEIGHTS)
    def test_opening_reads_the_header_and_asking_reads_one_layer(self, form, tmp_path, reads):
        big = {f"{k}.weight": np.full((256, 1024), k, "f4") for k in range(4)}
        path = tmp_path / "big"
        path.write_bytes(formats.write(Checkpoint.of(big), form))
        reads.clear()
        checkpoint = formats.read(path)
        assert checkpoint.parameters == 4 * 2**18
        assert sum(reads) < 2**18
        reads.clear()
        assert checkpoint["2.weight"][0, 0] == 2
        assert 2**20 <= sum(reads) < 2**20 + 2**10

    def test_a_view_of_a_large_storage_reads_only_its_part(self, tmp_path, reads):
        path = tmp_path / "view.pt"
        path.write_bytes(saved({"rows": torch.arange(2**20).reshape(1024, 1024)[5:7]}))
        checkpoint = formats.read(path)
        reads.clear()
        assert checkpoint["rows"].tolist()[1][0] == 6 * 1024
        assert sum(reads) < 2**15

    def test_a_file_of_five_gigabytes_opens_at_once(self, tmp_path, reads):
        path, side = tmp_path / "large.safetensors", 2**15
        header = (
            b'{"a":{"dtype":"F32","shape":[32768,40960],"data_offsets":[0,5368709120]},'
            b'"b":{"dtype":"F32","shape":[2,2],"data_offsets":[5368709120,5368709136]}}'
        )
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + 5 * 2**30)  # a hole, no bytes on the disk
            file.seek(0, io.SEEK_END)
            file.write(np.arange(4, dtype="f4").tobytes())
        checkpoint = formats.read(path)
        assert checkpoint.tensors["a"].shape == (side, 40960)
        assert checkpoint["b"].tolist() == [[0, 1], [2, 3]]
        assert sum(reads) < 2**18

    def test_a_file_that_changes_is_refused(self, tmp_path):
        path = tmp_path / "weights.npz"
        path.write_bytes(formats.write(small(), "npz"))
        checkpoint = formats.read(path)
        path.write_bytes(formats.write(Checkpoint.of({"other": np.ones(3)}), "npz"))
        with pytest.raises(FileRefused) as refused:
            checkpoint.digest  # noqa: B018
        assert refused.value.key == "file_changed"
        path.unlink()
        with pytest.raises(FileRefused):
            checkpoint["0.weight"]

    def test_what_is_no_file_is_refused(self, tmp_path):
        cases = [
            (tmp_path / "none.pt", "file_missing"),
            (tmp_path / ("long" * 100), "file_unreadable"),
            (Path("nul\0"), "file_missing"),
            (tmp_path, "file_folder"),
            (Path("/dev/null"), "file_special"),
        ]
        for path, key in cases:
            with pytest.raises(FileRefused) as refused:
                formats.read(path)
            assert refused.value.key == key

    @pytest.mark.parametrize("form", WEIGHTS)
    def test_tensors_are_read_only_and_can_be_sent_to_another_process(self, form):
        checkpoint = formats.read(formats.write(small(), form))
        for name, tensor in checkpoint.tensors.items():
            assert not checkpoint[name].flags.writeable
            assert bits(pickle.loads(pickle.dumps(tensor)).load()) == bits(tensor.load())

    def test_reading_needs_no_torch(self, tmp_path):
        path = tmp_path / "weights.pt"
        path.write_bytes(saved(nn.Linear(3, 2)))
        program = (
            "import sys; from rmtviz import formats; "
            f"formats.read({str(path)!r}).digest; print({{'torch', 'pickle'}} & set(sys.modules))"
        )
        run = [sys.executable, "-c", program]
        root = Path(__file__).parents[2]
        out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout
        assert "torch" not in out


class TestAgainstOtherReaders:
    def test_safetensors(self):
        tensors = {
            "a.weight": torch.randn(3, 4),
            "half": torch.randn(3).half(),
            "brain": torch.randn(2, 2).bfloat16(),
            "eight": torch.randn(4).to(torch.float8_e4m3fn),
            "five": torch.randn(4).to(torch.float8_e5m2),
            "many": torch.randn(2, 2, dtype=torch.complex64),
            "count": torch.tensor(3),
            "mask": torch.tensor([True, False]),
            "none": torch.zeros(0, 3),
            "u2": torch.arange(3).to(torch.uint16),
        }
        content = safetensors.torch.save(tensors, {"by": "test"})
        checkpoint = formats.read(content)
        assert dict(checkpoint.metadata) == {"by": "test"}
        assert set(checkpoint) == set(tensors)
        for name in set(tensors) - {"eight", "five"}:
            assert bits(checkpoint.tensors[name].load()) == bits(numpy_of(tensors[name]))
        for name in ("eight", "five"):
            expected = tensors[name].view(torch.uint8).numpy()
            assert bits(checkpoint.tensors[name].load()) == bits(expected)
        assert formats.write(checkpoint, "safetensors") == content

    @settings(max_examples=30)
    @given(st.dictionaries(NAMES, arrays(), min_size=1, max_size=6))
    def test_the_safetensors_library_writes_the_same_bytes(self, arrays):
        checkpoint = Checkpoint.of(arrays).with_about(rank=3)
        ours = formats.write(checkpoint, "safetensors")
        held = {name: np.require(array, requirements="C") for name, array in arrays.items()}
        assert ours == safetensors.numpy.save(held, dict(checkpoint.metadata))

    def test_pytorch(self):
        base_tensor = torch.arange(60.0).reshape(3, 4, 5)
        tied = torch.randn(4, 4)
        tensors = OrderedDict(
            transposed=base_tensor.transpose(0, 2),
            sliced=base_tensor[1:, ::2, 1],
            expanded=torch.ones(1, 3).expand(4, 3),
            tied=tied,
            twin=tied,
            part=tied[2:],
            scalar=torch.tensor(5),
            none=torch.zeros(0, 3),
            brain=torch.randn(3).bfloat16(),
            half=torch.randn(3).half(),
            double=torch.randn(3).double(),
            mask=torch.tensor([True, False]),
            wide=torch.arange(3).to(torch.uint32)[1:],
            complex=torch.randn(2, dtype=torch.complex64),
            parameter=nn.Parameter(torch.randn(2, 3)),
            tagged=torch.randn(2, 3).as_subclass(Tagged),
        )
        checkpoint = formats.read(saved(tensors))
        assert list(checkpoint) == list(tensors)
        for name, tensor in tensors.items():
            assert checkpoint.tensors[name].shape == tuple(tensor.shape)
            assert bits(checkpoint.tensors[name].load()) == bits(numpy_of(tensor))

    def test_pytorch_float8(self):
        tensor = torch.randn(5).to(torch.float8_e5m2)
        read = formats.read(saved({"w": tensor, "v": torch.ones(1)}))
        assert read.tensors["w"].dtype.name == "float8_e5m2"
        assert bits(read.tensors["w"].load()) == bits(tensor.view(torch.uint8).numpy())

    @pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_a_pytorch_file_of_a_big_endian_machine_packed_again(self, packing):
        tensors = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1.5]).bfloat16()}
        swapped = {"/data/0": "f4", "/data/1": "u2"}
        buffer = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(saved(tensors))) as old,
            zipfile.ZipFile(buffer, "w", packing) as new,
        ):
            for name in old.namelist():
                content = old.read(name)
                for end, code in swapped.items():
                    if name.endswith(end):
                        content = np.frombuffer(content, code).byteswap().tobytes()
                new.writestr(name, b"big" if name.endswith("byteorder") else content)
        checkpoint = formats.read(buffer.getvalue())
        assert checkpoint["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert checkpoint["b"].tolist() == [1.5]
        assert checkpoint.digest == formats.read(saved(tensors)).digest

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_npz(self, save):
        arrays = {
            "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "big": np.arange(4, dtype=">f4"),
            "bool": np.array([[True], [False]]),
            "scalar": np.array(2.5),
            "none": np.zeros((0, 2)),
            "cube": np.asfortranarray(np.arange(24, dtype=">i2").reshape(2, 3, 4)),
            "brain": np.arange(3).astype(ml_dtypes.bfloat16),
        }
        buffer = io.BytesIO()
        save(buffer, **arrays)
        checkpoint = formats.read(buffer.getvalue())
        assert set(checkpoint) == set(arrays)
        for name, array in arrays.items():
            assert checkpoint.tensors[name].dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(checkpoint.tensors[name].load(), array)

    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
    def test_npy(self, version):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.eye(3, 2), version)
        checkpoint = formats.read(buffer.getvalue())
        np.testing.assert_array_equal(checkpoint["tensor"], np.eye(3, 2))

    def test_others_read_what_is_written(self):
        pt = torch.load(io.BytesIO(formats.write(small(), "pytorch")), weights_only=True)
        npz = np.load(io.BytesIO(formats.write(small(), "npz")))
        st_ = safetensors.torch.load(formats.write(small(), "safetensors"))
        assert list(pt) == [*small(), "__rmtviz__"]
        assert pt["__rmtviz__"] == str(npz["__rmtviz__"]) == small().metadata["rmtviz"]
        for name, tensor in small().tensors.items():
            assert pt[name].dtype == st_[name].dtype
            assert bits(numpy_of(pt[name])) == bits(numpy_of(st_[name])) == bits(tensor.load())
            assert bits(npz[name].view(tensor.dtype)) == bits(tensor.load())


class Tagged(torch.Tensor):
    """A tensor of another class, as quantisation and tracing libraries make them."""


class Net(nn.Module):
    """A network whose layers stand in an attribute called as a wrapper is."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def trained() -> tuple[Net, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    return net, optimizer


def reasons(checkpoint: Checkpoint) -> dict[str, str]:
    return {skipped.name: skipped.reason for skipped in checkpoint.left_out}


class TestWrappers:
    def test_a_checkpoint_of_a_training_run(self):
        net, optimizer = trained()
        expected = formats.read(saved(net.state_dict()))
        assert list(expected) == list(net.state_dict())
        parallel = {f"module._orig_mod.{k}": v for k, v in net.state_dict().items()}
        state = optimizer.state_dict()
        aside = {
            "optimizer": state,
            "d_optim": state,
            "lr_scheduler": {"last_epoch": 3},
            "rng_state": torch.get_rng_state(),
            "epoch": 3,
            "best": np.float64(0.98),
            "args": Namespace(lr=0.1, out=Path("runs")),
            "mean": torch.ones(3),
        }
        for wrapped in (
            {"state_dict": parallel, "ema": net.state_dict(), **aside},
            {"model": net.state_dict(), **aside},
            {**aside, "model": net},
            {**aside, "net": nn.DataParallel(net)},
            {"model": {"state_dict": parallel}, **aside},
        ):
            checkpoint = formats.read(saved(wrapped))
            assert checkpoint.digest == expected.digest
            found = reasons(checkpoint)
            assert found.pop("ema", "copy") == "copy"
            assert found == {
                "optimizer": "optimizer",
                "d_optim": "optimizer",
                "lr_scheduler": "scheduler",
                "rng_state": "random_state",
                "epoch": "no_tensor",
                "best": "no_tensor",
                "args": "no_tensor",
                "mean": "beside",
            }
        assert Skipped("mean", (3,), "float32", "beside") in checkpoint.left_out

    @pytest.mark.parametrize("value", [Net(), nn.DataParallel(Net())], ids=["module", "parallel"])
    def test_a_whole_module_is_read_as_its_state_dict(self, value):
        expected = getattr(value, "module", value).state_dict()
        checkpoint = formats.read(saved(value))
        assert list(checkpoint) == list(expected)
        assert checkpoint.digest == formats.read(saved(expected)).digest

    def test_torchscript_is_read_as_its_state_dict(self):
        net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(torch.jit.script(net), buffer)
        checkpoint = formats.read(buffer.getvalue())
        assert checkpoint.digest == formats.read(saved(net.state_dict())).digest

    def test_two_networks_in_one_file_are_both_kept(self):
        one = {"fc.weight": torch.eye(2)}
        checkpoint = formats.read(saved({"net": one, "head": one, "epoch": 1}))
        assert list(checkpoint) == ["net.fc.weight", "head.fc.weight"]
        assert reasons(checkpoint) == {"epoch": "no_tensor"}

    def test_lists_and_single_tensors_get_names(self):
        assert list(formats.read(saved([torch.ones(2), [torch.ones(3)], 5]))) == ["0", "1.0"]
        assert list(formats.read(saved({3: torch.ones(2), (1, 2): torch.ones(2)}))) == ["3", "#1"]
        assert list(formats.read(saved(torch.ones(2)))) == ["tensor"]

    def test_tensors_of_another_kind_are_listed(self):
        odd = {"sparse": torch.eye(3).to_sparse(), "array": np.array([{}]), "w": torch.eye(2)}
        odd["conj"] = torch.ones(2, dtype=torch.complex64).conj()
        checkpoint = formats.read(saved(odd))
        assert list(checkpoint) == ["w"]
        assert set(reasons(checkpoint).values()) == {"tensor_kind"}

    @pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"a.weight": it, "step": 3}])
    @pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_sparse_tensors_alone_are_named_and_told_how_to_save(self, wrap, layout, zipped):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CS", UserWarning)
            tensor = torch.eye(3).to_sparse(layout=layout)
        buffer = io.BytesIO()
        torch.save(wrap(tensor), buffer, _use_new_zipfile_serialization=zipped)
        with pytest.raises(FileRefused, match=re.escape("(sparse_tensor)")) as caught:
            formats.read(buffer.getvalue())
        assert caught.value.key == "only_sparse"
        assert "to_dense" in caught.value.do
        dense = formats.read(saved(wrap(tensor.to_dense())))  # what it says to do works
        assert [it.shape for it in dense.tensors.values()] == [(3, 3)]

    def test_names_without_a_common_prefix_stay(self):
        names = ["module.a", "module", "module."]
        checkpoint = formats.read(saved({name: torch.ones(1) for name in names}))
        assert list(checkpoint) == names

    def test_an_optimiser_alone_holds_no_weights(self):
        for value in (trained()[1].state_dict(), {"optimizer": trained()[1].state_dict()}):
            with pytest.raises(FileRefused, match=re.escape("optimizer (dict)")):
                formats.read(saved(value))

    def test_a_file_without_tensors_says_what_it_holds(self):
        value = {"epoch": 3, "args": Namespace(a=1), **{f"k{k}": None for k in range(20)}}
        with pytest.raises(FileRefused, match=re.escape("epoch (int), args (Namespace), k0")):
            formats.read(saved(value))

    def test_arrays_that_need_a_pickle_are_listed_by_name(self):
        buffer = io.BytesIO()
        records = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])
        np.savez(
            buffer, w=np.eye(2), config=np.array({"a": 1}), text=np.array("hello"), rec=records
        )
        checkpoint = formats.read(buffer.getvalue())
        assert list(checkpoint) == ["w"]
        assert reasons(checkpoint) == {"config": "objects", "text": "no_number", "rec": "no_number"}


def test_every_key_has_its_words():
    folder = Path(formats.__file__).parent
    text = "\n".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    keys = set(re.findall(r'(?:refuse|FileRefused|BadOption|ExtraMissing)\(\s*"(\w+)"', text))
    keys |= set(re.findall(r'"(is_\w+)"', text))
    assert len(keys) > 50
    for key in keys:
        assert catalogue()[f"error.{key}.what"]
        assert catalogue()[f"error.{key}.do"]
    reasons = {*wrappers.ASIDE.values(), *wrappers.STATES.values(), "copy", "beside", "no_tensor"}
    reasons |= {"tensor_kind", "dtype", "objects", "no_number", "not_array"}
    assert all(catalogue()[f"skipped.{reason}"] for reason in reasons)
