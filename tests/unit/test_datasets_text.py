"""The help texts are windows of one text, whose held-out end repeats nothing of the rest."""

import hashlib
import lzma

import numpy as np
import pytest

from rmtviz.datasets import Dataset, PythonHelp, python_help
from rmtviz.datasets.python_help import CHARACTERS, CONTEXT, TESTED, encode
from rmtviz.errors import DataRefused
from rmtviz.site import home

FILE = home() / "assets" / "data" / "python-help.txt.xz"
SHA256 = "0288cbf3f2664463312a8ded37412b904752e3df2596d2b3181ed250f260c500"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return PythonHelp()()


@pytest.fixture(scope="module")
def text() -> str:
    return lzma.decompress(FILE.read_bytes()).decode("ascii")


def decoded(tokens: np.ndarray) -> str:
    return "".join(CHARACTERS[token] for token in tokens.reshape(-1))


def test_the_text_is_the_one_that_was_trained_on(text):
    assert hashlib.sha256(text.encode()).hexdigest() == SHA256
    assert decoded(encode(text)) == text


def test_windows_follow_each_other_and_labels_are_the_next_characters(data, text):
    windows = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    assert decoded(windows) == text[: windows.size]
    assert decoded(labels) == text[1 : windows.size + 1]
    assert len(text) - windows.size <= CONTEXT


def test_splits_count_characters(data):
    counts = {name: len(data.split(name)) for name in ("train", "selection", "test")}
    assert counts == {"train": 347_648, "selection": 4_992, "test": TESTED * CONTEXT}
    some = data.split("test").first(1_000)
    assert (len(some), some.images.shape) == (1_024, (8, CONTEXT))
    assert np.array_equal(some.labels[:CONTEXT], data.test_labels[0])
    assert (data.text, data.unit, data.outputs) == (True, "characters", 96)


def test_no_long_paragraph_stands_in_two_places(text):
    paragraphs = [" ".join(each.split()) for each in text.split("\n\n")]
    long = [each for each in paragraphs if len(each) > 40]
    assert len(set(long)) == len(long) > 1_000


def test_a_missing_or_broken_file_is_refused(tmp_path):
    with pytest.raises(DataRefused, match="missing"):
        python_help._load(tmp_path / "none.xz")
    for content in (b"no xz", lzma.compress(b"tab\there"), lzma.compress("ß".encode())):
        (tmp_path / "bad.xz").write_bytes(content)
        with pytest.raises(DataRefused, match="can't be read"):
            python_help._load(tmp_path / "bad.xz")
        python_help._load.cache_clear()
