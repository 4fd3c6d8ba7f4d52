"""GGUF files that lie about counts, sizes and places."""

import struct

import gguf  # noqa: F401 - a first import takes memory of its own
import pytest

from rmtviz.formats import Limits
from tests.hostile.making import (
    FOUR,
    MEGABYTE,
    gguf_file,
    gguf_note,
    gguf_tensor,
    gguf_text,
    memory_below,
    refused,
)

HUGE = (2**31, 2**63, 2**64 - 1)


def array(kind: int, count: int, held: bytes = b"") -> bytes:
    return gguf_note("a", 9, struct.pack("<IQ", kind, count) + held)


@pytest.mark.parametrize("count", HUGE)
def test_counts_that_lie(count):
    with memory_below(MEGABYTE):
        assert refused(gguf_file(FOUR, counts=(count, 0))) == "limit_tensors"
        assert refused(gguf_file(FOUR, counts=(0, count))) == "limit_tensors"
        assert refused(gguf_file(FOUR, counts=(2, 2))) in ("file_cut", "limit_header")
        for kind in (0, 4, 10, 12):  # numbers
            ends = ("limit_header", "file_cut")
            assert refused(gguf_file(FOUR, gguf_tensor(), notes=[array(kind, count)])) in ends
        for kind in (8, 9):  # texts, arrays
            assert refused(gguf_file(FOUR, notes=[array(kind, count)])) == "limit_steps"
        text = gguf_note("a", 8, struct.pack("<Q", count))
        assert refused(gguf_file(FOUR, notes=[text])) in ("limit_header", "file_cut")


def test_arrays_in_arrays():
    deep = struct.pack("<IQ", 9, 1) * 50
    assert refused(gguf_file(FOUR, notes=[gguf_note("a", 9, deep)])) == "gguf_damaged"
    assert refused(gguf_file(FOUR, notes=[gguf_note("a", 77, b"")])) == "gguf_damaged"


@pytest.mark.parametrize("code", [0, 1, 8, 12])
@pytest.mark.parametrize("shape", [(2**31, 256), (2**63, 256), (2**32, 2**32, 256)])
def test_shapes_that_lie(shape, code):
    with memory_below(MEGABYTE):
        content = gguf_file(FOUR, gguf_tensor(shape=shape, code=code))
        assert refused(content) in ("tensor_shape", "tensor_bounds")


def test_shapes_that_no_codes_can_have():
    assert refused(gguf_file(FOUR, gguf_tensor(shape=(2, 31), code=8))) == "tensor_shape"
    assert refused(gguf_file(FOUR, gguf_tensor(shape=(), code=8))) == "tensor_shape"
    assert refused(gguf_file(FOUR, gguf_tensor(shape=(1,) * 65))) == "tensor_shape"


@pytest.mark.parametrize("offset", [1, 16, 2**40, 2**64 - 32])
def test_places_outside_the_file(offset):
    assert refused(gguf_file(FOUR, gguf_tensor(offset=offset))) == "tensor_bounds"


@pytest.mark.parametrize("step", [0, 2**31])
def test_alignments_that_cannot_be(step):
    note = gguf_note("general.alignment", 4, struct.pack("<I", step))
    assert refused(gguf_file(FOUR, gguf_tensor(), notes=[note])) == "gguf_damaged"


def test_other_versions_and_broken_names():
    assert refused(gguf_file(FOUR, gguf_tensor(), version=1)) == "gguf_version"
    assert refused(gguf_file(FOUR, gguf_tensor(), gguf_tensor())) == "name_twice"
    broken = gguf_text(b"\xff\xfe") + gguf_tensor("")[8:]
    assert refused(gguf_file(FOUR, broken)) == "name_broken"


def test_one_place_under_many_names_is_a_bomb():
    block = bytes(34 * 32 * 256)
    listed = [gguf_tensor(f"w{n}", (256, 1024), 8) for n in range(2000)]
    assert refused(gguf_file(block, *listed), limits=Limits(spare=0)) == "limit_growth"
