"""Limits as settings, and files that are tried in a process of their own."""

import json
import shutil
import sys

import numpy as np
import pytest

from rmtviz import formats
from rmtviz.errors import BadOption, ExtraMissing, FileRefused, RmtvizError
from rmtviz.formats import Limits, _rehearsal
from tests.hostile.making import MEGABYTE, SMALL, graph_of, hdf5_file

LIBRARY = [title for title in SMALL if title in ("onnx", "hdf5", "keras")]


def refusal(content: bytes, **options: object) -> RmtvizError:
    with pytest.raises(RmtvizError) as caught:
        formats.read(content, "mine", **options)
    return caught.value


def test_each_limit_is_a_setting():
    usual = Limits()
    for name in Limits.__dataclass_fields__:
        found = Limits.configured({f"RMTVIZ_LIMIT_{name.upper()}": " 7 "})
        assert getattr(found, name) == 7
        assert found != usual
    assert Limits.configured({"RMTVIZ_LIMIT_TENSORS": "", "RMTVIZ_LIMIT": "5"}) == usual


@pytest.mark.parametrize("word", ["0", "-3", "1e6", "many", "9" * 30, "٣"])
def test_a_setting_that_is_no_number_is_named(word):
    with pytest.raises(BadOption) as caught:
        Limits.configured({"RMTVIZ_LIMIT_TENSORS": word})
    assert "RMTVIZ_LIMIT_TENSORS" in caught.value.what
    assert "RMTVIZ_LIMIT_TENSORS=" in caught.value.do


@pytest.mark.parametrize(
    ("name", "titles"),
    {
        "header_bytes": ["safetensors", "npz", "gguf"],
        "tensors": ["safetensors", "npz", "hdf5", "gguf", "pytorch"],
        "steps": ["pytorch", "legacy"],
        "elements": ["safetensors", "npz", "hdf5", "gguf", "pytorch"],
    }.items(),
)
def test_a_refusal_names_the_setting_that_would_help(monkeypatch, name, titles):
    setting = f"RMTVIZ_LIMIT_{name.upper()}"
    monkeypatch.setenv(setting, "1")
    for title in titles:
        if title == "hdf5" and name == "tensors":
            content = hdf5_file({"a": np.zeros((2, 2)), "b": np.zeros((2, 2))})
        else:
            content = SMALL[title]
        assert setting in refusal(content).do, title


@pytest.mark.parametrize("title", LIBRARY)
def test_a_good_file_is_the_same_apart(title):
    found = formats.read(SMALL[title], apart=True)
    assert found.digest == formats.read(SMALL[title]).digest


@pytest.mark.parametrize("title", LIBRARY)
def test_a_refusal_is_the_same_apart(title):
    cut = SMALL[title][: len(SMALL[title]) // 2]
    here, there = refusal(cut), refusal(cut, apart=True)
    assert (type(there), str(there)) == (type(here), str(here))


def test_a_file_at_a_path_is_tried_where_it_is(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(SMALL["hdf5"])
    found = formats.read(path, apart=True)
    assert (found.source, found.digest) == ("mine.h5", formats.read(SMALL["hdf5"]).digest)


def test_our_own_readers_start_no_process(monkeypatch):
    monkeypatch.setattr(_rehearsal, "rehearse", lambda *_: pytest.fail("a process"))
    for title in SMALL.keys() - {"onnx", "hdf5", "keras"}:
        formats.read(SMALL[title], apart=True)


@pytest.mark.parametrize("title", LIBRARY)
def test_one_that_takes_too_long_is_stopped(title):
    found = refusal(SMALL[title], limits=Limits(seconds=0), apart=True)
    assert found.key == "limit_seconds"
    assert "RMTVIZ_LIMIT_SECONDS" in found.do


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to the limit on memory")
def test_one_that_takes_too_much_is_stopped():
    graph = graph_of(np.zeros((1000, 40_000), np.float32))
    found = refusal(graph, limits=Limits(memory=256 * MEGABYTE), apart=True)
    assert found.key == "limit_memory"
    assert "RMTVIZ_LIMIT_MEMORY" in found.do


@pytest.mark.skipif(shutil.which("false") is None, reason="there is no program that fails")
def test_a_reader_that_crashes_takes_nothing_with_it(monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert refusal(SMALL["hdf5"], apart=True).key == "reader_failed"


@pytest.mark.parametrize(
    "refused",
    [
        FileRefused("file_cut", source="a\ud800“b”\n", length=3),
        ExtraMissing("extra_missing", package="h5py", extra="keras"),
    ],
)
def test_a_refusal_survives_the_way_between_processes(refused):
    with pytest.raises(type(refused)) as caught:
        _rehearsal.raise_told(json.loads(_rehearsal.told(refused)))
    assert str(caught.value) == str(refused)
    _rehearsal.raise_told(json.loads(_rehearsal.told(None)))
