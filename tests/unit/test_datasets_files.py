"""Data of one's own in every form that is read, the smallest dataset, and one that is fetched."""

import functools
import hashlib
import http.server
import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmtviz import datasets
from rmtviz.datasets import DATASETS, Dataset, _idx, fashion
from rmtviz.errors import DataRefused
from rmtviz.words import catalogue

RNG = np.random.default_rng(0)
COUNT = 30


def grey(count: int = COUNT) -> np.ndarray:
    return RNG.integers(0, 256, size=(count, 6, 5), dtype=np.uint8)


def labels(count: int = COUNT) -> np.ndarray:
    return np.arange(count) % 3


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def same_samples(dataset: Dataset, images: np.ndarray, wanted: np.ndarray) -> None:
    """Assert that the test part holds these samples with these labels, in whatever order."""
    flat = images.reshape(len(images), -1)
    held = {(row.tobytes(), int(y)) for row, y in zip(flat, wanted, strict=True)}
    rows = zip(dataset.test_images, dataset.test_labels, strict=True)
    assert {(row.tobytes(), int(y)) for row, y in rows} == held


IMAGES, LABELS = grey(), labels()


def idx(array: np.ndarray) -> bytes:
    return _idx.write(array.astype(np.uint8))


def table(mark: str = ",") -> bytes:
    heads = mark.join(["label", *(f"p{i}" for i in range(30))])
    rows = (
        mark.join(map(str, [y, *row]))
        for y, row in zip(LABELS, IMAGES.reshape(COUNT, -1), strict=True)
    )
    return "\n".join([heads, *rows]).encode()


FORMS = {
    "npz": {"d.npz": npz(x=IMAGES, y=LABELS)},
    "npz of a test part": {"d.npz": npz(X_test=IMAGES, test_labels=LABELS)},
    "csv": {"d.csv": table()},
    "csv with semicolons": {"d.csv": table(";")},
    "idx": {"t-images-idx3-ubyte.gz": idx(IMAGES), "t-labels-idx1-ubyte.gz": idx(LABELS)},
    "idx in a zip": {
        "d.zip": zipped({"a/i-idx3-ubyte": idx(IMAGES), "a/l-idx1-ubyte": idx(LABELS)})
    },
    "pictures": {
        "d.zip": zipped(
            {
                f"all/{y}/{i}.png": png(x)
                for i, (x, y) in enumerate(zip(IMAGES, LABELS, strict=True))
            }
        )
    },
}


@pytest.mark.parametrize("files", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_samples(files: dict[str, bytes]) -> None:
    dataset = datasets.read(files)
    same_samples(dataset, IMAGES, LABELS)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.top == 255
    assert dataset.image_shape == ((1, 30) if next(iter(files)) == "d.csv" else (6, 5))
    selection, test = (dataset.split(x, foreign=True) for x in ("selection", "test"))
    assert (len(selection), len(test)) == (15, 15)
    assert len(set(selection.labels.tolist())) == 3  # a sorted file is shuffled
    assert datasets.read(files).test_images.tobytes() == dataset.test_images.tobytes()
    with pytest.raises(DataRefused):
        dataset.split("train")


def test_a_training_part_is_kept_apart() -> None:
    more = grey(20)
    files = {"d.npz": npz(x_train=more, y_train=labels(20), x_test=IMAGES, y_test=LABELS)}
    dataset = datasets.read(files)
    assert np.array_equal(dataset.train_images, more.reshape(20, -1))
    same_samples(dataset, IMAGES, LABELS)
    assert (len(dataset.split("train")), len(dataset.split("selection"))) == (16, 4)
    pictures = {f"d/train/{i % 2}/{i}.png": png(x) for i, x in enumerate(more)}
    pictures |= {f"d/test/{i % 2}/{i}.png": png(x) for i, x in enumerate(IMAGES)}
    dataset = datasets.read({"d.zip": zipped(pictures)})
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (20, 30)


def test_colours_come_channel_by_channel() -> None:
    colours = RNG.integers(0, 256, size=(9, 6, 5, 3), dtype=np.uint8)
    planes = colours.transpose(0, 3, 1, 2)
    pictures = {f"{i % 3}/{i}.png": png(x) for i, x in enumerate(colours)}
    for files in (
        {"d.npz": npz(x=colours, y=labels(9))},
        {"d.npz": npz(x=planes, y=labels(9))},
        {"d.zip": zipped(pictures)},
    ):
        dataset = datasets.read(files)
        assert dataset.image_shape == (3, 6, 5)
        same_samples(dataset, planes, labels(9))


def test_numbers_that_are_no_levels_stay_as_they_are() -> None:
    values = RNG.normal(size=(COUNT, 7))
    dataset = datasets.read({"d.npz": npz(x=values, y=LABELS)})
    assert (dataset.image_shape, dataset.top) == ((1, 7), 1.0)
    assert dataset.test_images.dtype == np.float32
    assert (dataset.mean, dataset.std) == pytest.approx((values.mean(), values.std()), abs=1e-6)


def test_labels_may_be_words_or_have_gaps() -> None:
    words = np.array(["cat", "dog", "ant"])[LABELS]
    rows = "\n".join(f"{i},{i + 1},{word}" for i, word in enumerate(words))
    dataset = datasets.read({"d.csv": f"a,b,Class\n{rows}\n".encode()})
    assert dataset.classes == ("ant", "cat", "dog")
    gaps = datasets.read({"d.npz": npz(x=IMAGES, y=2 * LABELS)})
    assert (gaps.outputs, sorted(set(gaps.test_labels.tolist()))) == (5, [0, 2, 4])


BAD = {
    "nothing": ({}, "data_unreadable"),
    "text": ({"d.txt": b"hello"}, "data_column"),
    "bytes": ({"d.bin": b"\xff\xfe\x00"}, "data_unreadable"),
    "empty": ({"d.csv": b""}, "data_column"),
    "no label column": ({"d.csv": b"a,b\n1,2\n3,4\n"}, "data_column"),
    "ragged": ({"d.csv": b"label,b\n1,2\n3\n"}, "data_rows"),
    "words": ({"d.csv": b"label,b\n1,x\n0,y\n"}, "data_numbers"),
    "one class": ({"d.csv": b"label,b\n0,2\n0,4\n"}, "data_labels"),
    "other names": ({"d.npz": npz(a=IMAGES, b=LABELS)}, "data_names"),
    "lengths": ({"d.npz": npz(x=IMAGES, y=LABELS[:5])}, "data_form"),
    "NaN": ({"d.npz": npz(x=np.full((COUNT, 3), np.nan), y=LABELS)}, "data_not_finite"),
    "half of idx": ({"i-idx3-ubyte": idx(IMAGES)}, "data_idx"),
    "two files": ({"a.csv": table(), "b.csv": table()}, "data_several"),
    "cut idx": ({"i": idx(IMAGES)[:-30], "l": idx(LABELS)}, "data_unreadable"),
    "one folder": ({"d.zip": zipped({"a/1.png": png(IMAGES[0])})}, "data_folders"),
    "sizes": (
        {"d.zip": zipped({"a/1.png": png(IMAGES[0]), "b/1.png": png(IMAGES[0][:3])})},
        "data_sizes",
    ),
    "no picture": ({"d.zip": zipped({"a/1.png": b"no", "b/1.png": b"no"})}, "data_unreadable"),
    "a large picture": (
        {"d.zip": zipped({"a/1.png": png(np.zeros((2, 2000), np.uint8)), "b/1.png": b""})},
        "data_large",
    ),
    "a broken zip": ({"d.zip": zipped({"a/1.png": b"x" * 99})[:60]}, "data_unreadable"),
}


@pytest.mark.parametrize(("files", "key"), BAD.values(), ids=BAD)
def test_a_wrong_file_is_refused_with_a_sentence(files: dict[str, bytes], key: str) -> None:
    with pytest.raises(DataRefused) as refusal:
        datasets.read(files)
    assert refusal.value.key == key
    assert f"error.{key}.do" in catalogue()
    assert refusal.value.what
    assert refusal.value.do


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zipped({"a/1.png": bytes(2**24), "b/1.png": b""})
    assert len(bomb) < 2**16
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "data_large"):
        datasets.read({"d.zip": bomb})


def test_digits_are_those_of_scikit_learn() -> None:
    digits = DATASETS["digits"]()()
    assert (len(digits.train_labels), len(digits.test_labels)) == (1_200, 597)
    assert (digits.image_shape, digits.outputs, digits.top) == ((8, 8), 10, 16.0)
    whole = np.concatenate([digits.train_images, digits.test_images])
    assert (whole.shape, whole.max()) == ((1_797, 64), 16)
    assert whole[0].reshape(8, 8)[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    every = np.concatenate([digits.train_labels, digits.test_labels])
    assert np.bincount(every).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    parts = [len(digits.split(x, foreign=True)) for x in ("selection", "test", "all")]
    assert parts == [298, 299, 597]


@pytest.fixture
def published(tmp_path: Path):
    """A server with four small files, and the sums that are known of them."""
    held = [grey(40)[:, :5], labels(40), grey(20)[:, :5], labels(20)]
    folder = tmp_path / "published"
    folder.mkdir()
    sums = {}
    for name, array in zip(fashion.FILES, held, strict=True):
        content = idx(array)
        (folder / name).write_bytes(content)
        sums[name] = f"md5:{hashlib.md5(content).hexdigest()}"

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", sums, folder, held
        server.shutdown()
        thread.join()


def test_fashion_is_fetched_checked_and_kept(published, tmp_path: Path) -> None:
    source, sums, folder, held = published
    kept = tmp_path / "kept"
    assert fashion.fetch(source, sums, kept) == kept
    dataset = fashion.dataset(fashion.arrays(kept))
    assert np.array_equal(dataset.train_images, held[0].reshape(40, -1))
    assert np.array_equal(dataset.test_labels, held[3])
    assert (dataset.mean, dataset.std) == pytest.approx(
        ((held[0] / 255).mean(), (held[0] / 255).std())
    )
    for name in sums:
        (folder / name).unlink()
    assert fashion.fetch(source, sums, kept) == kept  # nothing is asked for twice


def test_other_files_than_the_published_ones_are_refused(published, tmp_path: Path) -> None:
    source, sums, _, _ = published
    other = dict.fromkeys(sums, f"md5:{'0' * 32}")
    for where, known in ((source, other), ("http://127.0.0.1:9/", sums)):
        with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "data_download"):
            fashion.fetch(where, known, tmp_path / "kept")
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "data_missing"):
        fashion.arrays(tmp_path)


def test_fashion_of_debian() -> None:
    if not fashion.INSTALLED.is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    dataset = DATASETS["fashion-mnist"]()()
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (60_000, 10_000)
    assert np.bincount(dataset.test_labels).tolist() == [1_000] * 10
    assert (dataset.mean, dataset.std) == pytest.approx((0.2860, 0.3530), abs=1e-4)
