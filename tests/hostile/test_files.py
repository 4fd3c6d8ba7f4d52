"""Files of no format, odd contents, and every format cut or changed at each byte."""

import pickle
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmtviz import analyze, formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import FileRefused
from tests.hostile.making import (
    BY_LIBRARY,
    SMALL,
    WEIGHTS,
    Part,
    archive,
    digest,
    header_file,
    outcome,
    pickled,
    refused,
    torch_file,
)


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("content", "key"),
        [
            (b"", "is_empty"),
            (b"<!DOCTYPE html>\n<html><title>404</title>", "is_html"),
            (b"\xef\xbb\xbf \n<HTML>", "is_html"),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "is_xml"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "is_lfs"),
            (zlib.compress(b"x" * 99, wbits=31), "is_compressed"),
            (b"\x28\xb5\x2f\xfd\x04", "is_compressed"),
            (b"\x89HDF\r\n\x1a\n" + bytes(99), "hdf5_damaged"),
            (b"GGUF\3\0\0\0" + bytes(99), "no_tensor"),
            (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:\x80", "onnx_damaged"),
            (b"sys_info" + bytes(249) + b"ustar\x0000" + bytes(99), "is_tar"),
            (b"\x89PNG\r\n\x1a\n", "is_image"),
            (pickle.dumps({"w": [1.0]}), "is_pickle"),
            (b'{"metadata": {}, "weight_map": {"a": "model-00001.safetensors"}}', "is_index"),
            (b'{"weight_map": {}}', "is_index"),
            (b'{"architectures": ["Bert"]}', "is_settings"),
            (b"[1, 2]", "is_json"),
            (b"[" * 100_000, "is_text"),
            (b"{not json", "is_text"),
            (b'{"meta":{not json', "is_text"),
            (b"w1,w2\n0.5,0.25\n", "is_text"),
            ("größe\n".encode() * 1000, "is_text"),
            (b"\0", "is_unknown"),
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

    @pytest.mark.parametrize(("dtype", "bits"), [("f2", 0x7C01), ("f4", 0x7F800001)])
    def test_a_nan_that_signals_is_listed(self, dtype, bits):
        weight = np.ones((30, 40), dtype)
        weight.view(f"u{weight.itemsize}")[3, 3] = bits
        found = analyze(Checkpoint.of({"w": weight, "v": np.eye(30, 40)}))
        assert [layer.name for layer in found] == ["v"]
        assert [item.reason for item in found.skipped] == ["not_finite"]

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
            for mask in (0x01, 0x80, 0xFF)[: 1 if title in BY_LIBRARY else 3]:
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
