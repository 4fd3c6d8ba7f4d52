"""HDF5 and Keras files that lie, that inflate, or whose numbers lie in other files."""

import io
import struct
import zlib

import h5py
import numpy as np
import pytest

from rmtviz import formats
from rmtviz.formats import Limits
from tests.hostile.making import (
    MEGABYTE,
    Part,
    archive,
    deflated,
    digest,
    hdf5_file,
    memory_below,
    outcome,
    refused,
    zeros,
)


def made(build) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        build(file)
    return buffer.getvalue()


def reasons(content: bytes) -> dict[str, str]:
    found = formats.read(content)
    digest(found)
    return {item.name: item.reason for item in found.left_out}


@pytest.fixture
def secret(tmp_path):
    """A file beside, which no upload may reach."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.full((3, 3), 7.0)
    return path


def test_other_files_are_never_followed(secret):
    raw = secret.with_name("raw")
    raw.write_bytes(bytes(36))

    def build(file):
        file["own"] = np.zeros((2, 2))
        file["external"] = h5py.ExternalLink(str(secret), "/w")
        file["soft"] = h5py.SoftLink("/own")
        file["nowhere"] = h5py.SoftLink("/no/such/thing")
        file.create_dataset("stored", (3, 3), "f4", external=[(str(raw), 0, 36)])
        layout = h5py.VirtualLayout((3, 3), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "w", (3, 3))
        file.create_virtual_dataset("virtual", layout)

    content = made(build)
    assert set(formats.read(content)) == {"own"}
    told = reasons(content)
    assert set(told) == {"external", "soft", "nowhere", "stored", "virtual"}
    assert set(told.values()) == {"elsewhere"}


def test_what_is_no_number():
    def build(file):
        file["own"] = np.zeros((2, 2))
        file["text"] = "words"
        file["objects"] = np.array(["a", "bc"], object).astype(h5py.string_dtype())
        file.create_dataset("ragged", (3,), h5py.vlen_dtype(np.float32))
        file["table"] = np.zeros(3, [("a", "f4"), ("b", "i4")])
        file["reference"] = np.array([file["own"].ref], h5py.ref_dtype)
        file["nothing"] = h5py.Empty("f4")
        file["enum"] = np.zeros(3, h5py.enum_dtype({"A": 0, "B": 1}, "i1"))
        file["type"] = np.dtype("f4")

    told = reasons(made(build))
    assert set(told.values()) == {"no_number"}
    assert set(told) >= {"text", "objects", "ragged", "table", "reference", "nothing"}


def test_numbers_of_other_widths_are_not_read_as_if_they_were_plain():
    def build(file):
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_ebias(126)
        space = h5py.h5s.create_simple((2, 2))
        h5py.h5d.create(file.id, b"odd", kind, space).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.ones((2, 2), "f4")
        )
        file["own"] = np.zeros((2, 2))

    assert reasons(made(build)) == {"odd": "no_number"}


@pytest.mark.parametrize("options", [{}, {"chunks": (1024, 1024)}, {"fillvalue": 1.0}])
def test_huge_shapes_without_numbers(options):
    content = made(lambda file: file.create_dataset("w", (2**28, 2**10), "f4", **options))
    with memory_below(4 * MEGABYTE):
        assert refused(content) in ("tensor_bounds", "limit_growth")
    content = made(lambda file: file.create_dataset("w", (2**40, 2**20), "f4", chunks=(1024, 1024)))
    with memory_below(4 * MEGABYTE):
        assert refused(content) in ("limit_steps", "tensor_shape")


def chunked(packed: bytes, shape=(64, 64), mask: int = 0) -> bytes:
    def build(file):
        held = file.create_dataset("w", shape, "u1", chunks=shape, compression="gzip")
        held.id.write_direct_chunk((0, 0), packed, mask)

    return made(build)


def test_pieces_that_inflate():
    for packed in (zlib.compress(bytes(32 * MEGABYTE)), b"\x78\xda" + zeros(20) + bytes(4)):
        content = chunked(packed)
        with memory_below(MEGABYTE):
            assert refused(content) == "tensor_bounds"


def test_pieces_that_are_too_short_or_no_pieces():
    right = zlib.compress(bytes(64 * 64))
    assert digest(formats.read(chunked(right)))
    for wrong in (zlib.compress(bytes(64 * 63)), right[:10], b"nonsense", b""):
        assert refused(chunked(wrong or b"\0")) == "tensor_bounds"
    assert refused(chunked(right, mask=1)) == "tensor_bounds"  # said to be left as it is


def test_other_filters_are_listed():
    def build(file):
        file["own"] = np.zeros((2, 2))
        file.create_dataset("w", data=np.zeros((64, 64)), compression="lzf")

    assert reasons(made(build)) == {"w": "packed"}


def test_groups_in_a_ring_and_deep_ones():
    def ring(file):
        file["a/b/w"] = np.zeros((2, 2))
        file["a/b/again"] = file["a"]
        file["a/b/root"] = file["/"]

    assert set(formats.read(made(ring))) == {"a.b.w"}
    deep = hdf5_file({"/".join("g" * 150) + "/w": np.zeros((2, 2))})
    assert refused(deep) == "limit_depth"


def test_limits():
    content = hdf5_file({f"w{n}": np.zeros((2, 2)) for n in range(20)})
    assert refused(content, limits=Limits(tensors=10)) == "limit_tensors"
    many = made(lambda file: file.create_dataset("w", data=np.zeros((64, 64)), chunks=(1, 1)))
    assert refused(many, limits=Limits(steps=1000)) == "limit_steps"
    assert refused(content, limits=Limits(elements=3)) == "limit_elements"


def test_a_keras_archive_that_inflates():
    bomb = Part("model.weights.h5", b"", packed=zeros(100), length=100 * 16 * MEGABYTE)
    content = archive(bomb)
    with memory_below(MEGABYTE):
        assert refused(content) == "limit_growth"
    small = Part("model.weights.h5", b"x", packed=deflated(b"no HDF5"), length=7)
    assert refused(archive(small)) in ("hdf5_damaged", "zip_damaged")


def test_headers_that_lie_about_places():
    content = hdf5_file({"w": np.arange(12, dtype="f4").reshape(3, 4)})
    start = content.find(struct.pack("<f", 5.0)) - 20
    at = content.find(struct.pack("<Q", start))
    assert at > 0
    for wrong in (len(content), len(content) - 8, 2**40, 2**63, 2**64 - 1):
        changed = content[:at] + struct.pack("<Q", wrong) + content[at + 8 :]
        assert outcome(changed) in ("tensor_bounds", "hdf5_damaged", "file_cut")
