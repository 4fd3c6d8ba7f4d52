"""Broken and hostile .npz and .npy files."""

import io
import os

import numpy as np
import pytest

from rmtviz import formats
from rmtviz.errors import FileRefused
from tests.hostile.making import (
    BOMB,
    MEGABYTE,
    Call,
    Part,
    archive,
    deflated,
    described,
    memory_below,
    npy,
    npy_header,
    refused,
    zeros,
)


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
