"""GGUF files: what is read equals what the format's own library reads, rounded or not."""

import sys

import gguf
import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from rmtviz import formats, layers
from rmtviz.errors import ExtraMissing
from rmtviz.formats import Limits
from tests.hostile.making import FOUR, gguf_file, gguf_note, gguf_tensor, gguf_text

chance = np.random.default_rng(0)

ROUNDED = [kind for kind in Kind if kind in gguf.quants._type_traits and kind != Kind.BF16]


def codes(kind: Kind, blocks: int = 3, rows: int = 4) -> np.ndarray:
    """Blocks of random codes; their scales are random too."""
    return chance.integers(0, 256, (rows, blocks * gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)


def written(path, tensors: dict, **notes: str) -> bytes:
    """A file as the library writes it; a tensor is an array, or codes with their kind."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, text in notes.items():
        writer.add_string(f"general.{key}", text)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "d"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5])
    for name, held in tensors.items():
        array, kind = held if isinstance(held, tuple) else (held, None)
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("kind", ROUNDED, ids=lambda kind: kind.name)
def test_rounded_numbers_are_those_of_the_library(tmp_path, kind):
    held = codes(kind)
    found = formats.read(written(tmp_path / "x.gguf", {"w": (held, kind)}))
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(held, kind)
    assert found["w"].dtype == np.float32
    assert found.tensors["w"].shape == expected.shape
    assert np.array_equal(found["w"], expected, equal_nan=True)


@pytest.mark.parametrize("kind", [Kind.Q2_K, Kind.IQ2_XXS, Kind.Q4_0], ids=lambda kind: kind.name)
def test_no_kind_in_use_is_taken_for_a_bomb(tmp_path, kind):
    content = written(tmp_path / "x.gguf", {"w": (codes(kind, blocks=16, rows=64), kind)})
    assert len(formats.read(content, limits=Limits(spare=1))) == 1


def test_plain_numbers_need_no_package(tmp_path, monkeypatch):
    arrays = {
        "blk.0.attn_q.weight": chance.standard_normal((6, 4)).astype(np.float32),
        "half": chance.standard_normal((3, 5)).astype(np.float16),
        "double": chance.standard_normal((2, 5)),
        "whole": np.arange(4, dtype=np.int32),
    }
    bits = arrays["half"].astype(ml_dtypes.bfloat16)
    held = {**arrays, "short": (bits.view(np.uint8), Kind.BF16)}
    content = written(tmp_path / "x.gguf", held, name="mine")
    monkeypatch.setitem(sys.modules, "gguf", None)
    found = formats.read(content)
    assert set(found) == set(held)
    assert all((found[name] == array).all() for name, array in arrays.items())
    assert found["short"].dtype == ml_dtypes.bfloat16
    assert (found["short"] == bits).all()
    assert found.metadata == {"general.architecture": "llama", "general.name": "mine"}


def test_without_the_package_rounded_ones_name_the_extra(tmp_path, monkeypatch):
    content = written(tmp_path / "x.gguf", {"w": (codes(Kind.Q8_0), Kind.Q8_0)})
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ExtraMissing) as caught:
        formats.read(content)
    assert 'pip install "rmtviz[gguf]"' in caught.value.do


@pytest.mark.parametrize("code", [9, 15, 36, 99])
def test_codes_that_nobody_can_turn_into_numbers_are_listed(code):
    found = formats.read(
        gguf_file(FOUR + bytes(2000), gguf_tensor(), gguf_tensor("q", (1, 256), code))
    )
    assert set(found) == {"w"}
    assert [(item.name, item.reason) for item in found.left_out] == [("q", "rounded")]


def test_the_experts_of_a_mixture_are_matrices_of_their_own(tmp_path):
    stack = chance.standard_normal((3, 4, 64)).astype(np.float32)
    rounded = gguf.quantize(stack, Kind.Q8_0)
    held = {"blk.0.ffn_up_exps.weight": stack, "blk.0.ffn_gate_exps.weight": (rounded, Kind.Q8_0)}
    found = formats.read(written(tmp_path / "x.gguf", held))
    numbers = gguf.dequantize(rounded, Kind.Q8_0)
    for expert in range(3):
        assert (found[f"blk.0.ffn_up_exps.{expert}.weight"] == stack[expert]).all()
        assert (found[f"blk.0.ffn_gate_exps.{expert}.weight"] == numbers[expert]).all()
    assert {layer.shape for layer in layers.find(found)[0]} == {(4, 64)}


def test_tables_of_tokens_are_no_layers():
    found = formats.read(gguf_file(FOUR, gguf_tensor("token_embd.weight")))
    assert [item.reason for item in layers.find(found)[1]] == ["embedding"]


def test_it_comes_out_as_safetensors(tmp_path):
    found = formats.read(written(tmp_path / "x.gguf", {"w": (codes(Kind.Q4_K), Kind.Q4_K)}))
    assert "gguf" not in formats.offered(found)
    back = formats.read(formats.write(found, "safetensors"))
    assert back.digest == found.digest


def test_another_alignment():
    note = gguf_note("general.alignment", 4, b"\x80\0\0\0")
    content = gguf_file(b"", gguf_tensor(), notes=[note])
    content += bytes(-len(content) % 128) + FOUR
    assert list(formats.read(content)["w"].ravel()) == [0, 1, 2, 3]


def test_notes_in_any_language_are_kept():
    note = gguf_note("general.name", 8, gguf_text("σ 模型"))
    assert formats.read(gguf_file(FOUR, gguf_tensor(), notes=[note])).metadata == {
        "general.name": "σ 模型"
    }
