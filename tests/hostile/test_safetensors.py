"""Headers of safetensors that are broken, that lie, or that overlap."""

import pytest

from rmtviz import formats
from rmtviz.formats import Limits
from tests.hostile.making import header_file, refused


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
