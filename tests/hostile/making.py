"""What hostile files are made of, and what reading one may end in.

Whatever a file holds, opening it and reading every tensor ends in a `Checkpoint` or in a
`FileRefused`; nothing in it runs, and nothing is allocated on its word.
"""

import contextlib
import io
import json
import pickle
import struct
import tracemalloc
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
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
    body, directory = bytearray(), bytearray()
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
    return bytes(body + directory) + struct.pack("<4s4H2LH", b"PK\5\6", *end) + comment


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


def header_file(header: object, data: bytes = b"", count: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if count is None else count) + text + data


class Attributes:
    """An object with these attributes."""

    def __init__(self, **attributes: object):
        self.__dict__.update(attributes)


def hdf5_file(arrays: Mapping[str, object], names: Mapping[str, str] | None = None) -> bytes:
    """An HDF5 file of these datasets by path, and of groups with a name by attribute."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, array in arrays.items():
            file[path] = array
        for path, name in (names or {}).items():
            file.require_group(path).attrs["name"] = name
    return buffer.getvalue()


def gguf_text(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_note(key: str, kind: int, value: bytes) -> bytes:
    return gguf_text(key) + struct.pack("<I", kind) + value


def gguf_tensor(
    name: str = "w", shape: Sequence[int] = (2, 2), code: int = 0, offset: int = 0
) -> bytes:
    """An entry in the list of a GGUF file's tensors: four floats, unless told otherwise."""
    sides = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
    return gguf_text(name) + sides + struct.pack("<IQ", code, offset)


def gguf_file(
    data: bytes,
    *listed: bytes,
    notes: Sequence[bytes] = (),
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    numbers = counts or (len(listed), len(notes))
    head = b"GGUF" + struct.pack("<I2Q", version, *numbers) + b"".join((*notes, *listed))
    return head + bytes(-len(head) % 32) + data


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
    kernel = arrays["0.weight"]
    files["hdf5"] = hdf5_file({"kernel": kernel})
    files["keras"] = archive(Part("model.weights.h5", hdf5_file({"vars/0": kernel})))
    name = gguf_note("general.name", 8, gguf_text("small"))
    listed = [gguf_tensor(), gguf_tensor("q", (1, 32), 8, 32)]  # floats, and a block of Q8_0
    block = np.float16(0.5).tobytes() + bytes(range(32))
    files["gguf"] = gguf_file(FOUR.ljust(32, b"\0") + block, *listed, notes=[name])
    return files


SMALL = small_files()
BY_LIBRARY = ("hdf5", "keras")
"""The small files that take a library some time to read."""
