"""Spectra survive their way through JSON, and a digest is that of the content."""

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmtviz import analysis, decomposition
from rmtviz.checkpoint import Checkpoint, Skipped
from rmtviz.decomposition import Spectra
from rmtviz.fits import METHODS

seeds = st.integers(0, 2**32)
DTYPES = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    rng = np.random.default_rng(draw(seeds))
    shapes = draw(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=4))
    scale = 10.0 ** draw(st.floats(-4, 3))
    arrays = {
        f"net.{i}.weight": (scale * rng.normal(size=shape)).astype(draw(st.sampled_from(DTYPES)))
        for i, shape in enumerate(shapes)
    }
    arrays |= {f"net.{i}.bias": np.zeros(shape[0]) for i, shape in enumerate(shapes)}
    left_out = (Skipped("odd ‘name’ 𝔫", (1, 2), "float8_e4m3fn", "not_floating"),)
    return Checkpoint.of(arrays, source="größe.npz", left_out=left_out)


@given(checkpoints())
@settings(max_examples=50)
def test_spectra_through_json_are_the_same(checkpoint: Checkpoint) -> None:
    spectra = decomposition.decompose(checkpoint, equalise=True)
    text = json.dumps(spectra.to_dict(), allow_nan=False)
    again = Spectra.from_dict(json.loads(text))
    assert again.model == spectra.model
    assert again.skipped == spectra.skipped
    assert len(again.layers) == len(spectra.layers)
    for one, other in zip(spectra.layers, again.layers, strict=True):
        assert (one.layer, one.parameters) == (other.layer, other.parameters)
        assert one.spectrum.shape == other.spectrum.shape
        assert one.spectrum.values.tolist() == other.spectrum.values.tolist()
        assert one.entries == other.entries
        assert (one.equalised is None) == (other.equalised is None)
    for make in METHODS.values():
        one, other = (analysis.fit(each, make(), checkpoint) for each in (spectra, again))
        assert one.to_dict() == other.to_dict()


@given(checkpoints(), seeds)
@settings(max_examples=50)
def test_digest_knows_the_content_and_not_the_container(checkpoint: Checkpoint, seed: int) -> None:
    names = [list(checkpoint)[i] for i in np.random.default_rng(seed).permutation(len(checkpoint))]
    arrays = {name: checkpoint[name] for name in names}
    same = Checkpoint.of(
        {k: np.asfortranarray(v) for k, v in arrays.items()}, source="b", format="x"
    )
    assert same.digest == checkpoint.digest
    if not names:
        return
    last, others = names[-1], {name: arrays[name] for name in names[:-1]}
    flipped = arrays[last].copy()
    flipped.view(np.uint8).reshape(-1)[seed % flipped.nbytes] ^= 1
    for different in (
        {**others, last: flipped},
        {**others, last + "x": arrays[last]},
        {**others, last: arrays[last].reshape(-1, 1, 1)},
        {**others, last: arrays[last].view(np.int16)},
        others,
    ):
        assert Checkpoint.of(different).digest != checkpoint.digest


def test_digest_is_the_sha256_of_what_it_says() -> None:
    import hashlib

    array = np.array([[1.0, -2.0]], np.float32)
    expected = hashlib.sha256(b'["w", "float32", [1, 2]]' + array.astype("<f4").tobytes())
    assert Checkpoint.of({"w": array}).digest == expected.hexdigest()
    swapped = Checkpoint.of({"w": array.astype(">f4")})
    assert swapped.digest == expected.hexdigest()


@given(checkpoints())
@settings(max_examples=30)
def test_counts_add_up(checkpoint: Checkpoint) -> None:
    spectra = decomposition.decompose(checkpoint)
    sizes = {name: checkpoint[name].size for name in checkpoint}
    assert checkpoint.parameters == sum(sizes.values())
    assert checkpoint.bytes == sum(checkpoint[name].nbytes for name in checkpoint)
    assert spectra.model.digest == checkpoint.digest
    counted = sum(x.parameters for x in spectra.layers)
    rest = sum(sizes[item.name] for item in spectra.skipped if item.name in sizes)
    assert counted + rest == checkpoint.parameters
    for layer in spectra.layers:
        w = layer.layer.matrix(checkpoint).astype(np.float64)
        assert layer.spectrum.energy == pytest.approx(np.sum(w**2), rel=1e-9)
