"""Files that are broken, that lie, or that would do harm: refused with a sentence, or read right.

Whatever a file holds, opening it and reading every tensor ends in a `Checkpoint` or in a
`FileRefused`; nothing in it runs, and nothing is allocated on its word.
"""

import contextlib
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zlib
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from rmtviz import formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import FileRefused
from rmtviz.formats import Limits

WEIGHTS = [name for name, form in formats.FORMATS.items() if not form.graph]
"""The formats that hold any weights; a graph holds those that it was read with."""

MEGABYTE = 2**20
RAN: list[str] = []
"""What hostile pickles managed to run in this process."""


def refused(content: bytes, name: str | None = None, limits: Limits | None = None) -> str:
    """Return the key of the refusal; its sentences name the file and say what to do."""
    with pytest.raises(FileRefused) as caught:
        digest(formats.read(content, name, limits or Limits()))
    what, do = str(caught.value).split("\n")
    assert (name or "bytes") in what
    assert len(do) > 10
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    return caught.value.key


def digest(checkpoint: Checkpoint) -> str:
    """Read every tensor, and check that each is what it was said to be."""
    for tensor in checkpoint.tensors.values():
        array = tensor.load()
        assert (array.shape, array.dtype) == (tensor.shape, tensor.dtype)
    return checkpoint.digest


def outcome(content: bytes) -> str:
    """Return the digest or the key of the refusal; anything else is an error."""
    try:
        return digest(formats.read(content))
    except FileRefused as refusal:
        return refusal.key if refusal.what and refusal.do else ""


@contextlib.contextmanager
def memory_below(limit: int):
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes"


# Archives, made by hand so that they can lie.


@dataclass
class Part:
    """One entry of an archive; what is None is told truthfully."""

    name: str
    data: bytes
    packed: bytes | None = None
    length: int | None = None
    size: int | None = None
    crc: int | None = None
    flags: int = 0
    method: int | None = None
    offset: int | None = None
    extra: bytes = b""


def archive(*parts: Part, comment: bytes = b"", count: int | None = None) -> bytes:
    body, directory = b"", b""
    for part in parts:
        stored = part.data if part.packed is None else part.packed
        method = (0 if part.packed is None else 8) if part.method is None else part.method
        crc = zlib.crc32(part.data) if part.crc is None else part.crc
        length = len(part.data) if part.length is None else part.length
        size = len(stored) if part.size is None else part.size
        offset = len(body) if part.offset is None else part.offset
        name = part.name.encode()
        facts = (20, part.flags | 0x800, method, 0, 0, crc, size, length, len(name))
        body += struct.pack("<4s5H3L2H", b"PK\3\4", *facts, 0) + name + stored
        rest = (len(part.extra), 0, 0, 0, 0, offset)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *facts, *rest) + name + part.extra
    number = len(parts) if count is None else count
    end = (0, 0, number, number, len(directory), len(body), len(comment))
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", *end) + comment


def deflated(data: bytes, *, end: bool = True) -> bytes:
    """Return a deflate stream; without an end, another may follow."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(data) + machine.flush(zlib.Z_FINISH if end else zlib.Z_FULL_FLUSH)


def zeros(chunks: int) -> bytes:
    """Return a deflate stream of 16 MB of zeros as many times, made without making them."""
    return deflated(bytes(16 * MEGABYTE), end=False) * chunks + deflated(b"")


BOMB = 200 * 16 * MEGABYTE
"""The bytes to which `zeros(200)`, a file of 3 MB, inflates."""


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npy_header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode("latin-1") + data


def described(descr: object = "<f4", shape: object = (2,), order: object = False) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': {order!r}, 'shape': {shape!r}, }}"


def torch_file(pickled: bytes, **storages: bytes) -> bytes:
    return archive(
        Part("x/data.pkl", pickled),
        *(Part(f"x/data/{name[1:]}", data) for name, data in storages.items()),
    )


class Storage:
    """A storage that a pickle refers to."""

    def __init__(self, kind: object, key: str, count: object):
        self.id = ("storage", kind, key, "cpu", count)


class Call:
    """An object that is pickled as a call of this function with these arguments."""

    def __init__(self, function: object, *args: object):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.id if isinstance(obj, Storage) else None


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def tensor(
    offset: object = 0,
    shape: object = (2, 2),
    strides: object = (2, 1),
    *,
    kind: object = torch.FloatStorage,
    count: object = 4,
    key: str = "0",
) -> Call:
    """A tensor on a storage of four floats, unless told otherwise."""
    storage = Storage(kind, key, count)
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, {})


FOUR = np.arange(4, dtype="f4").tobytes()
GOOD = pickled({"w": tensor()})


def graph_of(weight: np.ndarray) -> bytes:
    """An ONNX graph of one product, y = x Wᵀ."""
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, side])
        for name, side in (("x", weight.shape[1]), ("y", weight.shape[0]))
    ]
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    held = [onnx.numpy_helper.from_array(weight, "w")]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:], held)
    made = onnx.helper.make_model(graph, producer_name="us", ir_version=8)
    return made.SerializeToString()


def legacy_file(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def weight(**changes: object) -> dict:
    """An entry in the list of a .pt2 file's weights: four floats."""
    meta = {
        "dtype": 7,
        "sizes": [{"as_int": 2}, {"as_int": 2}],
        "strides": [{"as_int": 2}, {"as_int": 1}],
        "storage_offset": {"as_int": 0},
    }
    entry = {"path_name": "weight_0", "use_pickle": False, "tensor_meta": meta}
    for key, value in changes.items():
        (entry if key in entry else meta)[key] = value
    return entry


def pt2_file(*entries: object) -> bytes:
    listed = {"config": dict(enumerate(entries or [weight()]))}
    return archive(
        Part("m/data/weights/model_weights_config.json", json.dumps(listed).encode()),
        Part("m/data/weights/weight_0", FOUR),
    )


def graph_file(weight: np.ndarray | None = None, **changes: object) -> bytes:
    """Return a graph of one product, with fields of its weight changed."""
    array = np.arange(6, dtype="f4").reshape(2, 3) if weight is None else weight
    proto = numpy_helper.from_array(array, "w")
    for field, value in changes.items():
        if isinstance(value, list):
            del getattr(proto, field)[:]
            getattr(proto, field).extend(value)
        else:
            setattr(proto, field, value)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    made = helper.make_graph([node], "g", ends[:1], ends[1:], [proto])
    return helper.make_model(made, ir_version=8).SerializeToString()


def small_files() -> dict[str, bytes]:
    arrays = {
        "0.weight": np.arange(6, dtype="f4").reshape(2, 3),
        "b": np.ones(2, ml_dtypes.bfloat16),
    }
    checkpoint = Checkpoint.of(arrays)
    files = {form: formats.write(checkpoint, form) for form in WEIGHTS}
    files["npy"] = npy(np.asfortranarray(arrays["0.weight"]))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"0.weight": arrays["0.weight"]})
    files["npz, compressed"] = buffer.getvalue()
    files["onnx"] = graph_of(arrays["0.weight"])
    module = io.BytesIO()
    torch.save({"model": torch.nn.Linear(2, 2), "epoch": 3}, module)
    files["pytorch, module"] = module.getvalue()
    files["by hand"] = torch_file(GOOD, _0=FOUR)
    files["legacy"] = legacy_file({"w": torch.arange(6.0).reshape(2, 3), "n": np.ones(2)})
    files["pickle"] = pickle.dumps({"w": arrays["0.weight"]})
    files["pt2"] = pt2_file()
    return files


SMALL = small_files()


class TestNothingRuns:
    """Pickles that run code where they are loaded: here their calls are written down."""

    def test_calls_of_os_system(self, tmp_path):
        trace = tmp_path / "ran"
        command = f"echo ran > '{trace}'".encode()
        text = b"X" + struct.pack("<I", len(command)) + command
        programs = {
            "GLOBAL, REDUCE": b"\x80\x02cos\nsystem\n(" + text + b"tR.",
            "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.",
            "INST": b"(" + text + b"ios\nsystem\n.",
            "OBJ": b"(cos\nsystem\n" + text + b"o.",
            "getattr": b"cbuiltins\ngetattr\n(cos\n__dict__\nX\x03\0\0\0gettR" + b".",
            "eval": b"cbuiltins\neval\n(X\x0f\0\0\0__import__('o')tR.",
            "in a state": b"ccollections\nOrderedDict\n)R}X\x01\0\0\0acos\nsystem\n"
            + text
            + b"\x85Rsb.",
            "in a key": b"}cos\nsystem\n" + text + b"\x85RK\x01s.",
            "in a storage": b"cos\nsystem\n" + text + b"\x85RQ.",
        }
        for title, program in programs.items():
            runs = title in ("GLOBAL, REDUCE", "STACK_GLOBAL", "INST", "OBJ", "in a state")
            if runs:
                pickle.loads(program)
                assert trace.exists(), "the pickle is harmless, so it shows nothing"
                trace.unlink()
            assert refused(torch_file(program)) == "no_tensor", title
            assert not trace.exists()

    def test_weights_beside_a_call_are_read(self, tmp_path):
        trace = tmp_path / "ran"
        value = {"w": tensor(), "callback": Call(os.system, f"touch '{trace}'")}
        checkpoint = formats.read(torch_file(pickled(value), _0=FOUR))
        assert checkpoint["w"].tolist() == [[0, 1], [2, 3]]
        assert [skipped.name for skipped in checkpoint.left_out] == ["callback"]
        assert not trace.exists()

    def test_objects_whose_classes_would_run_code(self):
        trap = f"{Trap.__module__}\n{Trap.__name__}\n".encode()
        programs = {
            "NEWOBJ": b"\x80\x02c" + trap + b")\x81.",
            "NEWOBJ_EX": b"\x80\x04c" + trap + b")}\x92.",
            "REDUCE": b"\x80\x02c" + trap + b")R.",
            "BUILD": b"\x80\x02c" + trap + b")\x81}b.",
            "BUILD, slots": b"\x80\x02c" + trap + b")\x81N}\x86b.",
            "APPEND": b"\x80\x02c" + trap + b")\x81K\x01a.",
            "APPENDS": b"\x80\x02c" + trap + b")\x81(K\x01K\x02e.",
            "SETITEM": b"\x80\x02c" + trap + b")\x81K\x01K\x02s.",
            "ADDITEMS": b"\x80\x04c" + trap + b")\x81(K\x01\x90.",
            "hashed": b"\x80\x04}c" + trap + b")\x81K\x01s.",
        }
        for title, program in programs.items():
            RAN.clear()
            with contextlib.suppress(Harm, TypeError):
                pickle.loads(program)
            assert RAN, title
            RAN.clear()
            assert refused(torch_file(program)) == "no_tensor", title
            assert not RAN, title

    def test_a_tensor_rebuilt_by_a_function_of_the_file(self):
        harm = Call(torch._tensor._rebuild_from_type_v2, os.abort, object, (), {})
        content = torch_file(pickled({"w": tensor(), "harm": harm}), _0=FOUR)
        assert list(formats.read(content)) == ["w"]


class Harm(Exception):
    """Code of the file has run."""


class Trap:
    """Every way in which unpickling can enter a class, sprung."""

    def _spring(self, *args: object, **kwargs: object) -> None:
        RAN.append("sprung")
        raise Harm

    def __new__(cls, *args: object, **kwargs: object):
        RAN.append("made")
        return object.__new__(cls)

    __init__ = __setstate__ = __setitem__ = __setattr__ = __hash__ = _spring
    append = extend = add = __call__ = __reduce_ex__ = _spring


class TestPickles:
    """Pickles that are broken, or built to take memory and time."""

    @pytest.mark.parametrize(
        "program",
        [
            b"",
            b".",
            b"\x80\x02",
            b"\x80\x02K\x01",
            b"N(.",
            b"0.",
            b"(((1.",
            b"t.",
            b"R.",
            b"h\x07.",
            b"K\x01K\x02a.",
            b"}(K\x01u.",
            b"K\x01\x93.",
            b"]]\x93.",
            b"\x97.",
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
            b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
            b"\x8b\xff\xff\xff\x7fabc.",
            b"I" + b"9" * 5000 + b"\n.",
            b"Fnumber\n.",
            b"S'\\q'\n(u.",
            b"Vhalf \\ud800\n(u.",
            b"\xff.",
        ],
    )
    def test_broken(self, program):
        assert refused(torch_file(program)) == "pickle_damaged"

    def test_nothing_is_allocated_on_a_pickles_word(self):
        programs = [
            b"\x80\x02Nr\xff\xff\xff\xff.",
            b"\x80\x02Np4294967295\n.",
            b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00.",
            b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        ]
        for program in programs:
            with memory_below(4 * MEGABYTE):
                outcome(torch_file(program))

    def test_groups_that_double_at_each_level(self):
        lists = b"](K\x01K\x02e" + b"".join(b"q%c](h%ch%ce" % (k, k, k) for k in range(100))
        tuples = b"K\x01\x85" + b"".join(b"q%c0h%ch%c\x86" % (k, k, k) for k in range(100))
        objects = b"ca\nb\n)R" + b"".join(
            b"q%c0ca\nb\n)\x81}(X\1\0\0\0ah%cX\1\0\0\0bh%cub" % (k, k, k) for k in range(90)
        )
        for program in (lists, tuples, b"}" + tuples + b"K\x01s", objects):
            start = time.process_time()
            assert refused(torch_file(b"\x80\x02" + program + b".")) == "no_tensor"
            assert time.process_time() - start < 2

    def test_tensors_that_double_at_each_level(self):
        for wrap in (lambda v: {"a": v, "b": v}, lambda v: [v, v], lambda v: Attributes(a=v, b=v)):
            value = tensor()
            for _ in range(40):
                value = wrap(value)
            content = torch_file(pickled(value), _0=FOUR)
            assert refused(content, limits=Limits(tensors=1000)) == "limit_tensors"

    def test_a_group_that_holds_itself(self):
        ring: dict[str, object] = {"w": tensor()}
        ring["self"] = ring
        ring["list"] = [ring]
        ring["object"] = Attributes(parent=ring, w=tensor())
        checkpoint = formats.read(torch_file(pickled(ring), _0=FOUR))
        assert set(checkpoint) == {"w", "object.w"}

    def test_deep_nesting(self):
        for opening in (b"]", b"}K\x01", b"ca\nb\n"):
            closing = {b"]": b"a", b"}K\x01": b"s", b"ca\nb\n": b"\x85R"}[opening]
            program = opening * 20_000 + b"N" + closing * 20_000 + b"."
            assert refused(torch_file(program)) == "limit_depth"

    def test_modules_within_parameters(self):
        opening = b"ca\nb\n)\x81}X\x08\0\0\0_modules}sX\x0b\0\0\0_parameters"
        program = b"\x80\x02" + opening * 20_000 + b"}" + b"sb" * 20_000 + b"."
        assert refused(torch_file(program)) in ("limit_depth", "no_tensor")

    def test_states_within_states(self):
        program = b"\x80\x02" + b"ca\nb\n)\x81" * 20_000 + b"N" + b"b" * 20_000 + b"."
        assert refused(torch_file(program)) in ("limit_depth", "no_tensor")

    def test_a_state_that_is_a_tuple(self):
        content = pickled([tensor(), tensor()])[2:-1]
        program = b"\x80\x02ca\nb\n)\x81" + content + b"b."
        checkpoint = formats.read(torch_file(program, _0=FOUR))
        assert list(checkpoint) == ["0", "1"]

    def test_too_many_steps(self):
        content = torch_file(b"\x80\x02" + b"N0" * 600 + b"N.")
        assert refused(content, limits=Limits(steps=1000)) == "limit_steps"

    def test_keys_of_every_kind(self):
        keys = [None, b"bytes", (1, (2, 3)), 1.5, True, 10**5000, "text", frozenset([1]), ""]
        content = torch_file(pickled({key: tensor() for key in keys}), _0=FOUR)
        assert len(formats.read(content)) == len(keys)

    def test_half_a_character_in_a_name(self):
        assert refused(torch_file(pickled({"half \ud800": tensor()}), _0=FOUR)) == "name_broken"

    def test_half_a_character_in_what_is_left_out(self):
        value = {"half \ud800": 1, "w": tensor()}
        checkpoint = formats.read(torch_file(pickled(value), _0=FOUR))
        assert [skipped.name for skipped in checkpoint.left_out] == ["half ?"]

    def test_two_tensors_of_one_name(self):
        value = {"a.b": tensor(), "a": {"b": tensor()}}
        assert refused(torch_file(pickled(value), _0=FOUR)) == "name_twice"


class Attributes:
    """An object with these attributes."""

    def __init__(self, **attributes: object):
        self.__dict__.update(attributes)


class TestPyTorch:
    def test_the_file_by_hand_is_good(self):
        assert formats.read(SMALL["by hand"])["w"].tolist() == [[0, 1], [2, 3]]

    @pytest.mark.parametrize(
        ("wrong", "key"),
        [
            (tensor(offset=1), "tensor_bounds"),
            (tensor(offset=-1), "tensor_bounds"),
            (tensor(offset=2**70), "tensor_bounds"),
            (tensor(strides=(3, 1)), "tensor_bounds"),
            (tensor(strides=(-2, 1)), "tensor_bounds"),
            (tensor(strides=(2,)), "tensor_bounds"),
            (tensor(strides=(2**62, 2**62)), "tensor_bounds"),
            (tensor(strides=("2", 1)), "tensor_bounds"),
            (tensor(shape=(3, 2)), "tensor_bounds"),
            (tensor(shape=(-1, 2)), "tensor_shape"),
            (tensor(shape=(True, 2)), "tensor_shape"),
            (tensor(shape=(None, 2)), "tensor_shape"),
            (tensor(shape=(10**5000, 2)), "tensor_shape"),
            (tensor(shape=(0, 2**62, 2**62), strides=(0, 0, 0)), "tensor_shape"),
            (tensor(shape=(1,) * 65, strides=(0,) * 65), "tensor_shape"),
            (tensor(shape=(2**20, 2**20), strides=(0, 0)), "limit_growth"),
            (tensor(shape=(2**15, 2**15), strides=(0, 0)), "limit_growth"),
            (tensor(count=5), "pytorch_storage"),
            (tensor(count=10**5000), "pytorch_storage"),
            (tensor(count=3), "tensor_bounds"),
            (tensor(count=-3), "tensor_bounds"),
            (tensor(count="4"), "pytorch_tensor"),
            (tensor(key="1"), "pytorch_storage"),
            (tensor(key="../data.pkl"), "pytorch_storage"),
            (tensor(kind=torch.DoubleStorage), "pytorch_storage"),
            (tensor(kind="FloatStorage"), "pytorch_tensor"),
            (tensor(kind=os.system), "no_tensor"),
            (tensor(shape=4, strides=1), "pytorch_tensor"),
            (Call(torch._utils._rebuild_tensor_v2), "pytorch_tensor"),
            (Call(torch._utils._rebuild_parameter), "no_tensor"),
            (Call(torch._utils._rebuild_tensor_v2, 1, 0, (), ()), "pytorch_tensor"),
        ],
    )
    def test_tensors_that_do_not_fit_their_storage(self, wrong, key):
        assert refused(torch_file(pickled({"w": wrong}), _0=FOUR)) == key

    def test_strides_of_sides_of_one_mean_nothing(self):
        odd = tensor(shape=(1, 4, 1), strides=(2**62, 1, 2**70 >> 8))
        checkpoint = formats.read(torch_file(pickled({"w": odd}), _0=FOUR))
        assert checkpoint["w"].reshape(-1).tolist() == [0, 1, 2, 3]

    def test_byte_orders(self):
        parts = [Part("x/data.pkl", GOOD), Part("x/data/0", FOUR)]
        for order in (b"middle", b"", b"little\n"):
            assert refused(archive(*parts, Part("x/byteorder", order))) == "pytorch_order"

    def test_a_storage_that_inflates_to_something_else(self):
        def with_storage(**lies: object) -> bytes:
            return archive(Part("x/data.pkl", GOOD), Part("x/data/0", FOUR, **lies))

        good = with_storage(packed=deflated(FOUR))
        assert outcome(good) == formats.read(SMALL["by hand"]).digest
        assert refused(with_storage(packed=deflated(FOUR + FOUR))) == "zip_damaged"
        assert refused(with_storage(packed=deflated(FOUR[:-1]))) == "zip_damaged"
        assert refused(with_storage(packed=b"\xff" * 16)) == "zip_damaged"
        assert refused(with_storage(packed=b"")) == "zip_damaged"

    def test_a_bomb_in_the_pickle(self):
        with memory_below(20 * MEGABYTE):
            assert (
                refused(archive(Part("x/data.pkl", b"", zeros(200), BOMB, crc=0))) == "limit_header"
            )

    def test_a_bomb_in_a_storage(self):
        count = BOMB // 4
        bomb = Part("x/data/0", b"", zeros(200), BOMB, crc=0)
        value = {"w": tensor(shape=(count,), strides=(1,), count=count)}
        small = {"w": tensor(offset=count - 1, shape=(1,), strides=(1,), count=count)}
        for content in (value, small):
            with memory_below(20 * MEGABYTE):
                assert (
                    refused(archive(Part("x/data.pkl", pickled(content)), bomb)) == "limit_growth"
                )

    def test_a_bomb_whose_size_is_a_lie(self):
        packed = zeros(8)
        for length in (4, 16, 1000):
            part = Part("x/data/0", b"", packed=packed, length=length, crc=0)
            with memory_below(20 * MEGABYTE):
                assert outcome(archive(Part("x/data.pkl", GOOD), part)) != ""
            part = Part("x/data.pkl", b"", packed=packed, length=length, crc=0)
            with memory_below(20 * MEGABYTE):
                assert refused(archive(part)) == "zip_damaged"


class TestArchives:
    def test_what_the_directory_may_not_say(self):
        data = Part("w.npy", npy(np.ones(2)))
        overlap = Part("v.npy", npy(np.ones(2)), offset=0)
        cases = [
            (archive(data, overlap), "zip_overlap"),
            (archive(data, Part("v.npy", b"", length=2**31, size=2**31)), "zip_overlap"),
            (archive(Part("w.npy", b"", size=2**32 - 2, length=2**32 - 2)), "zip_overlap"),
            (archive(data, data), "zip_twice"),
            (archive(data, Part("w", b"")), "zip_twice"),
            (archive(Part("w.npy", npy(np.ones(2)), flags=1)), "zip_encrypted"),
            (archive(Part("w.npy", npy(np.ones(2)), method=14)), "zip_method"),
            (archive(Part("w.npy", npy(np.ones(2)), length=7)), "zip_damaged"),
            (archive(Part("w.npy", npy(np.ones(2)), crc=7)), "zip_damaged"),
            (archive(Part("w.npy", npy(np.ones(2)), offset=2**32 - 1)), "zip_directory"),
            (archive(Part("w.npy", npy(np.ones(2)), offset=5)), "zip_overlap"),
            (archive(data) + b"\n", "file_cut"),
            (archive(data)[:-1], "file_cut"),
            (b"PK\3\4", "file_cut"),
            (b"PK\3\4" + bytes(100), "file_cut"),
            (archive(), "is_zip"),
            (archive(Part("word/document.xml", b"<a/>")), "is_zip"),
            (archive(Part("config.json", b"{}"), Part("model.weights.h5", b"")), "is_keras"),
            (archive(Part("m/archive_format", b"pt2")), "is_zip"),
        ]
        for content, key in cases:
            assert refused(content) == key

    def test_a_directory_that_begins_beyond_the_file(self):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**31, 2**31, 0)
        assert refused(b"PK\3\4" + bytes(40) + end) == "zip_directory"
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**63, 2**63)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, 4, 1)
        assert refused(b"PK\3\4" + wide + locator + end) == "zip_directory"

    def test_a_comment_is_no_harm(self):
        content = archive(Part("w.npy", npy(np.ones(2))), comment=b"made by hand", count=7)
        assert formats.read(content)["w"].tolist() == [1, 1]

    def test_sizes_and_offsets_of_eight_bytes(self):
        content, big = npy(np.ones(2)), 2**32 - 1
        numbers = struct.pack("<HHQQQ", 1, 24, len(content), len(content), 0)
        other = struct.pack("<HH4s", 0x5455, 4, b"time")
        for extra in (numbers, other + numbers):
            part = Part("w.npy", content, length=big, size=big, offset=big, extra=extra)
            assert formats.read(archive(part))["w"].tolist() == [1, 1]
        for extra in (numbers[:-1], numbers[:4], other, b"\1", numbers.replace(b"\1", b"\2", 1)):
            part = Part("w.npy", content, length=big, size=big, offset=big, extra=extra)
            assert refused(archive(part)) == "zip_directory"

    def test_limits(self):
        parts = [Part(f"{k}.npy", npy(np.ones(1))) for k in range(11)]
        assert refused(archive(*parts), limits=Limits(tensors=10)) == "limit_tensors"
        assert refused(archive(*parts), limits=Limits(header_bytes=100)) == "limit_header"


class TestNpz:
    @pytest.mark.parametrize(
        ("header", "key"),
        [
            ("", "npy_header"),
            ("{}", "npy_header"),
            ("(" * 9000, "npy_header"),
            ("-" * 9000 + "1", "npy_header"),
            ("[" * 5000 + "]" * 5000, "npy_header"),
            (described(shape="(2,)"), "npy_header"),
            (described(shape=(-2,)), "npy_header"),
            (described(shape=2), "npy_header"),
            (described(shape=(10**50,)), "npy_header"),
            (described(order=0), "npy_header"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1" * 9000, "npy_header"),
            (described(shape=(3,)), "tensor_bounds"),
            (described(shape=(1,)), "npy_size"),
            (described(shape=(10**17,)), "tensor_shape"),
            (described(shape=(0, 10**17, 10**17)), "tensor_shape"),
            (described(shape=(2,) + (1,) * 64), "tensor_shape"),
            (described(descr="|O"), "npz_objects"),
            (described(descr="<U2"), "no_tensor"),
            (described(descr="<i3"), "no_tensor"),
            (described(descr="|V1"), "no_tensor"),
            (described(descr="<M8[ns]"), "no_tensor"),
            (described(descr="__import__(os)"), "no_tensor"),
            (described(descr=[("a", "<f4"), ("b", "|O")]), "no_tensor"),
        ],
    )
    def test_headers_that_lie(self, header, key):
        content = npy_header(header, bytes(8))
        assert refused(content) == key
        assert refused(archive(Part("w.npy", content))) == key

    def test_a_header_longer_than_any(self):
        text = described() + " " * 60_000
        assert refused(npy_header(text, bytes(8))) == "npy_header"

    def test_an_object_array_is_refused_by_name(self):
        buffer = io.BytesIO()
        np.savez(buffer, secrets=np.array([Call(os.abort)]))
        with pytest.raises(FileRefused, match="secrets"):
            formats.read(buffer.getvalue())

    def test_an_entry_that_is_no_array_is_listed(self):
        content = archive(Part("w.npy", npy(np.ones(2))), Part("README.md", b"# weights"))
        checkpoint = formats.read(content)
        assert [(skipped.name, skipped.reason) for skipped in checkpoint.left_out] == [
            ("README.md", "not_array")
        ]

    def test_entries_of_our_own_that_are_not_ours(self):
        good = Part("w.npy", npy(np.ones(2)))
        for data in (b"text", npy(np.ones(2)), npy_header(described("<U1", ()), b"\xff" * 4)):
            assert refused(archive(good, Part("__rmtviz__.npy", data))) == "npy_header"
        for text in ("[", "[]", '{"w": 3}', "[" * 100_000, '{"w": "float4"}'):
            part = Part("__dtypes__.npy", npy(np.array(text)))
            assert formats.read(archive(good, part))["w"].tolist() == [1, 1]

    def test_a_bomb(self):
        header = npy_header(described("|u1", (BOMB,)))
        packed = deflated(header, end=False) + zeros(200)
        content = archive(Part("w.npy", b"", packed, len(header) + BOMB, crc=0))
        with memory_below(20 * MEGABYTE):
            assert refused(content) == "limit_growth"

    def test_compressed_zeros_of_an_honest_size_are_read(self):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, w=np.zeros((1000, 1000)))
        assert len(buffer.getvalue()) < 10_000
        assert formats.read(buffer.getvalue())["w"].shape == (1000, 1000)


def header_file(header: object, data: bytes = b"", count: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if count is None else count) + text + data


def entry(dtype: object = "F32", shape: object = (2,), begin: object = 0, end: object = 8) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


LAYOUT = "safetensors_layout"
BROKEN = "name_broken"


class TestSafetensors:
    @pytest.mark.parametrize(
        ("content", "key"),
        [
            (header_file({"w": entry()}, bytes(7)), "file_cut"),
            (header_file({"w": entry()}, bytes(9)), "safetensors_rest"),
            (header_file({"w": entry(begin=4, end=12)}, bytes(12)), LAYOUT),
            (header_file({"w": entry(begin=8, end=0)}, bytes(8)), "safetensors_size"),
            (header_file({"w": entry(begin=-8, end=0)}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=(3,))}, bytes(8)), "safetensors_size"),
            (header_file({"w": entry(shape=(-2,))}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=(2.0,))}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=(True, 2))}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=2)}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=[1] * 65 + [2])}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=[2**63, 2])}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(shape=[2**62] * 64)}, bytes(8)), "safetensors_size"),
            (header_file({"w": entry(shape=[0, 2**62], end=0)}), "tensor_shape"),
            (header_file({"w": entry(dtype="F128")}, bytes(8)), "safetensors_dtype"),
            (header_file({"w": entry(dtype=["F32"])}, bytes(8)), "safetensors_entry"),
            (header_file({"w": {}}, bytes(8)), "safetensors_entry"),
            (header_file({"w": None}, bytes(8)), "safetensors_entry"),
            (header_file({"w": [0, 8]}, bytes(8)), "safetensors_entry"),
            (header_file({"w": entry(), "v": entry()}, bytes(8)), LAYOUT),
            (header_file({"w": entry(), "v": entry("F32", (2,), 4, 12)}, bytes(12)), LAYOUT),
            (header_file({"w": entry(), "v": entry("F32", (2,), 12, 20)}, bytes(20)), LAYOUT),
            (header_file(b'{"w":' * 2 + b"1}}", bytes(8)), "safetensors_entry"),
            (header_file(b'{"w":{},"w":{}}'), "safetensors_header"),
            (header_file(b'{"w":{"dtype":"F32","dtype":"F16"}}'), "safetensors_header"),
            (header_file(b'{"w":NaN}'), "safetensors_header"),
            (header_file(b'{"w":1' + b"0" * 5000 + b"}"), "safetensors_header"),
            (header_file(b'{"w":'), "safetensors_header"),
            (header_file(b"{" + b"\xff" * 8), "safetensors_header"),
            (header_file(b'{"w":' + b"[" * 100_000), "safetensors_header"),
            (header_file({}), "no_tensor"),
            (header_file({"__metadata__": {"a": "b"}}), "no_tensor"),
            (header_file({"__metadata__": {"a": 1}}), "safetensors_metadata"),
            (header_file({"__metadata__": []}), "safetensors_metadata"),
            (header_file({"half \ud800": entry()}, bytes(8)), BROKEN),
            (header_file({"__metadata__": {"a": "\ud800"}, "w": entry()}, bytes(8)), BROKEN),
            (header_file({"w": entry()}, bytes(8), count=10**6), "file_cut"),
            (header_file({"w": entry()}, bytes(8), count=2**40), "limit_header"),
            (header_file({"w": entry()}, bytes(8), count=2**64 - 1), "limit_header"),
            (header_file({"w": entry()}, bytes(8), count=0), "safetensors_header"),
            (header_file({"w": entry()}, bytes(8), count=10), "safetensors_header"),
        ],
    )
    def test_headers_that_lie(self, content, key):
        assert refused(content) == key

    def test_numbers_of_less_than_a_byte_are_listed(self):
        header = {"w": entry(), "v": entry("F4", (2, 3), 8, 11)}
        checkpoint = formats.read(header_file(header, bytes(11)))
        assert [(it.name, it.shape, it.dtype) for it in checkpoint.left_out] == [
            ("v", (2, 3), "F4")
        ]

    def test_limits(self):
        header = {str(k): entry(begin=8 * k, end=8 * k + 8) for k in range(11)}
        content = header_file(header, bytes(88))
        assert len(formats.read(content)) == 11
        assert refused(content, limits=Limits(tensors=10)) == "limit_tensors"
        assert refused(content, limits=Limits(header_bytes=100)) == "limit_header"


class TestPt2:
    """Lists of weights that lie."""

    @pytest.mark.parametrize(
        ("entry", "key"),
        [
            (weight(sizes=[{"as_int": 3}, {"as_int": 2}]), "tensor_bounds"),
            (weight(sizes=[{"as_expr": "s0"}, {"as_int": 2}]), "tensor_shape"),
            (weight(sizes=[{"as_int": -2}, {"as_int": 2}]), "tensor_shape"),
            (weight(sizes=[2, 2]), "tensor_shape"),
            (weight(strides=[{"as_int": 2**40}, {"as_int": 1}]), "tensor_bounds"),
            (weight(storage_offset={"as_int": 1}), "tensor_bounds"),
            (weight(storage_offset={"as_int": -1}), "tensor_bounds"),
            (weight(path_name="../../etc/passwd"), "pytorch_storage"),
            (weight(dtype=99), "no_tensor"),
            (weight(dtype="7"), "pt2_weights"),
            (weight(use_pickle=True), "no_tensor"),
            (None, "no_tensor"),
        ],
    )
    def test_refused(self, entry, key):
        assert refused(pt2_file(entry)) == key

    @pytest.mark.parametrize("text", [b"", b"[" * 10**5, b"[]", b'{"config": []}'])
    def test_a_list_that_is_none(self, text):
        name = "m/data/weights/model_weights_config.json"
        assert refused(archive(Part(name, text))) == "pt2_weights"


class TestLegacy:
    """Files of torch from before 1.6, and plain pickles."""

    def test_a_storage_that_lies_about_its_length(self):
        content = legacy_file({"w": torch.ones(2)})
        assert content[-16:] == struct.pack("<q2f", 2, 1, 1)
        for count in (1, 3, -1, 2**62):
            lying = content[:-16] + struct.pack("<q", count) + content[-8:]
            assert refused(lying) in ("file_cut", "pytorch_storage", "tensor_bounds")

    @pytest.mark.parametrize("wrong", ["magic", "version"])
    def test_another_beginning(self, wrong):
        content = legacy_file({"w": torch.ones(2)})
        old, new = {"magic": (b"\x50\x19", b"\x51\x19"), "version": (b"M\xe9\3", b"M\xe8\3")}[wrong]
        assert refused(content.replace(old, new, 1)) in ("pickle_damaged", "is_pickle")

    def test_arrays_are_read_and_the_trap_beside_them_is_not_sprung(self):
        RAN.clear()
        trap = Call(RAN.append, "sprung")
        for protocol in (2, 3, 4, 5):
            checkpoint = formats.read(pickle.dumps({"w": np.eye(2), "t": trap}, protocol))
            np.testing.assert_array_equal(checkpoint["w"], np.eye(2))
        assert not RAN

    def test_an_array_whose_bytes_are_too_few(self):
        content = pickle.dumps({"w": np.eye(2)})
        assert refused(content.replace(b"K\2K\2", b"K\2K\3")) == "tensor_bounds"


ENDS = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]


class TestONNX:
    """Graphs whose fields lie."""

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"dims": [3, 3]}, "tensor_bounds"),
            ({"dims": [2**40, 2**40]}, "tensor_bounds"),
            ({"dims": [-2, -3]}, "tensor_bounds"),
            ({"raw_data": b"abc"}, "tensor_bounds"),
            ({"data_type": 99}, "tensor_bounds"),
            ({"data_location": TensorProto.EXTERNAL}, "onnx_external"),
        ],
    )
    def test_refused(self, changes, key):
        assert refused(graph_file(**changes)) == key

    def test_no_file_beside_a_graph_is_opened(self, monkeypatch):
        held = [TensorProto(name="w", dims=[2, 2], data_type=1, data_location=1)]
        held[0].external_data.add(key="location", value="/etc/passwd")
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        made = helper.make_graph([node], "g", [], ENDS, held)
        content = helper.make_model(made).SerializeToString()
        monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("opened"))
        assert refused(content) == "onnx_external"

    def test_a_node_without_outputs(self):
        node = helper.make_node("MatMul", ["x", "w"], [])
        held = [numpy_helper.from_array(np.ones((2, 2), "f4"), "w")]
        made = helper.make_graph([node], "g", [], ENDS, held)
        assert refused(helper.make_model(made).SerializeToString()) == "onnx_damaged"


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("content", "key"),
        [
            (b"", "is_empty"),
            (b"<!DOCTYPE html>\n<html><title>404</title>", "is_html"),
            (b"\xef\xbb\xbf \n<HTML>", "is_html"),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "is_html"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "is_lfs"),
            (zlib.compress(b"x" * 99, wbits=31), "is_compressed"),
            (b"\x28\xb5\x2f\xfd\x04", "is_compressed"),
            (b"\x89HDF\r\n\x1a\n" + bytes(99), "is_hdf5"),
            (b"GGUF\3\0\0\0" + bytes(99), "is_gguf"),
            (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:\x80", "onnx_damaged"),
            (b"sys_info" + bytes(249) + b"ustar\x0000" + bytes(99), "is_tar"),
            (b"\x89PNG\r\n\x1a\n", "is_image"),
            (pickle.dumps({"w": [1.0]}), "is_pickle"),
            (b'{"metadata": {}, "weight_map": {"a": "model-00001.safetensors"}}', "is_index"),
            (b'{"weight_map": {}}', "is_index"),
            (b'{"architectures": ["Bert"]}', "is_json"),
            (b"[1, 2]", "is_json"),
            (b"[" * 100_000, "is_text"),
            (b"{not json", "is_text"),
            (b'{"meta":{not json', "is_text"),
            (b"w1,w2\n0.5,0.25\n", "is_text"),
            ("größe\n".encode() * 1000, "is_text"),
            (b"\0", "is_unknown"),
            (b"\x7fELF\x02\x01\x01" + bytes(99), "is_unknown"),
            (bytes(range(256)), "is_unknown"),
        ],
    )
    def test_each_has_its_own_sentence(self, content, key):
        assert refused(content, "model.pt") == key

    def test_a_refusal_shows_nothing_that_could_steer_a_terminal(self):
        content = b"\x1b]0;title\x07 text"
        assert refused(content) in ("is_unknown", "is_text")
        with pytest.raises(FileRefused) as caught:
            formats.read(torch_file(pickled({"\x1b[2J\n" * 40: 1})))
        assert "\x1b" not in str(caught.value)
        assert str(caught.value).count("\n") == 1


class TestWhatIsOdd:
    """Files that are odd and good."""

    @pytest.mark.parametrize("form", WEIGHTS)
    def test_numbers_that_are_not_finite(self, form):
        values = np.array([[np.nan, np.inf], [-np.inf, -0.0]], "f4")
        checkpoint = formats.read(formats.write(Checkpoint.of({"w": values}), form))
        np.testing.assert_array_equal(checkpoint["w"], values)

    @pytest.mark.parametrize("form", WEIGHTS)
    def test_six_hundred_layers_and_long_names(self, form):
        arrays = {f"{'层' * 300}<script>{k}": np.full((1, 2), k, "f2") for k in range(600)}
        checkpoint = formats.read(formats.write(Checkpoint.of(arrays), form))
        assert digest(checkpoint) == Checkpoint.of(arrays).digest


class TestDamage:
    """Every small file, cut and changed at every byte."""

    @pytest.mark.parametrize("title", SMALL)
    def test_cut_at_every_byte(self, title):
        content = SMALL[title]
        whole = digest(formats.read(content))
        for length in range(len(content)):
            assert outcome(content[:length]) != whole

    @pytest.mark.parametrize("title", SMALL)
    def test_changed_at_every_byte(self, title):
        content = SMALL[title]
        for position in range(len(content)):
            for mask in (0x01, 0x80, 0xFF):
                changed = bytearray(content)
                changed[position] ^= mask
                outcome(bytes(changed))

    @given(st.data())
    @settings(max_examples=300)
    def test_spliced(self, data):
        first = SMALL[data.draw(st.sampled_from(sorted(SMALL)))]
        second = SMALL[data.draw(st.sampled_from(sorted(SMALL)))]
        start, stop = sorted(data.draw(st.integers(0, len(first))) for _ in range(2))
        at = data.draw(st.integers(0, len(second)))
        outcome(first[:start] + second[at : at + data.draw(st.integers(0, 64))] + first[stop:])

    @given(
        st.sampled_from([b"", b"PK\3\4", b"\x93NUMPY\1\0", b"\x80\2", bytes(7) + b"{", b"\x08\7"]),
        st.binary(max_size=200),
    )
    @settings(max_examples=300)
    def test_random_bytes(self, magic, noise):
        outcome(magic + noise)

    @given(
        st.lists(st.sampled_from(range(256)) | st.sampled_from(b"(.0aebtl}])RQhq\x85\x81\x93cus"))
    )
    @settings(max_examples=300)
    def test_random_pickles(self, program):
        outcome(torch_file(b"\x80\x04" + bytes(program) + b"."))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["w", "dtype", "shape", "data_offsets", "__metadata__", ""]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ),
        st.binary(max_size=16),
    )
    @settings(max_examples=300)
    def test_random_headers(self, header, data):
        outcome(header_file({"w": header} if not isinstance(header, dict) else header, data))

    @given(st.dictionaries(st.text(max_size=3), st.binary(max_size=20), max_size=4))
    @settings(max_examples=100)
    def test_random_archives(self, parts):
        named = {f"{name.encode('utf-8', 'replace').decode()}.npy": parts[name] for name in parts}
        outcome(archive(*(Part(name, data) for name, data in named.items())))
