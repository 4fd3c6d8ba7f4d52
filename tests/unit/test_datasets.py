"""MNIST is exact, its parts do not mix, and noise spoils what it says and nothing else."""

import hashlib
import struct

import numpy as np
import pytest

from rmtviz import datasets
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import DATASETS, MNIST, Dataset, mnist
from rmtviz.errors import BadOption, DataRefused

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return MNIST()()


def idx(array: np.ndarray) -> bytes:
    """Return a file of the IDX format: two zeros, the type uint8, the sides, the bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def test_the_four_original_files_come_back_byte_for_byte(data):
    files = {
        "train-images-idx3-ubyte": data.train_images.reshape(-1, *data.image_shape),
        "train-labels-idx1-ubyte": data.train_labels,
        "t10k-images-idx3-ubyte": data.test_images.reshape(-1, *data.image_shape),
        "t10k-labels-idx1-ubyte": data.test_labels,
    }
    assert {name: hashlib.md5(idx(array)).hexdigest() for name, array in files.items()} == MD5


def test_mean_and_std_are_those_of_the_training_file(data):
    assert data.mean == round(float(data.train_images.mean()) / 255, 4)
    assert data.std == round(float(data.train_images.std()) / 255, 4)


def test_it_is_loaded_once_and_read_only(data):
    assert DATASETS["mnist"]()() is data
    for array in (data.train_images, data.train_labels, data.test_images, data.test_labels):
        assert not array.flags.writeable
    assert not data.split("selection").images.flags.writeable


def test_splits_have_their_sizes_and_selection_never_overlaps_training(data):
    assert [len(data.split(name)) for name in ("train", "selection", "test", "all")] == [
        55_000,
        5_000,
        10_000,
        10_000,
    ]
    train, selection = data.split("train"), data.split("selection")
    assert not np.shares_memory(train.images, selection.images)
    assert np.array_equal(np.concatenate([train.images, selection.images]), data.train_images)
    assert np.array_equal(np.concatenate([train.labels, selection.labels]), data.train_labels)


def test_a_foreign_network_selects_and_reports_on_halves_of_the_test_file(data):
    parts = {name: data.split(name, foreign=True) for name in ("selection", "test", "all")}
    assert np.array_equal(parts["selection"].images, data.test_images[:5_000])
    assert np.array_equal(parts["test"].labels, data.test_labels[5_000:])
    assert np.array_equal(parts["all"].labels, data.test_labels)
    assert not np.shares_memory(parts["selection"].images, parts["test"].images)
    assert len(data.split("train", foreign=True)) == 55_000


def test_an_unknown_split_is_refused_with_the_known_ones(data):
    with pytest.raises(BadOption, match="train, selection, test, all"):
        data.split("validation")


def test_first_takes_no_more_than_there_are(data):
    some = data.split("test").first(7)
    assert (len(some), some.images.shape, some.name) == (7, (7, 784), "test")
    assert len(some.first(100)) == 7


@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
def test_label_noise_spoils_the_share_it_says(data, share):
    noisy = data.with_label_noise(share, seed=3)
    wrong = share * (1 - 1 / data.outputs)
    error = np.sqrt(wrong * (1 - wrong) / len(data.train_labels))
    assert abs(noisy.wrong_share - wrong) < 4 * error
    for name in ("train", "selection"):
        spoilt = noisy.split(name).labels != data.split(name).labels
        assert abs(spoilt.mean() - wrong) < 4 * np.sqrt(wrong * (1 - wrong) / len(spoilt))


def test_drawn_labels_are_uniform_over_the_classes(data):
    drawn = data.with_label_noise(1.0, seed=0).train_labels
    counts = np.bincount(drawn, minlength=10)
    assert abs(counts - 6_000).max() < 5 * np.sqrt(6_000 * 0.9)


def test_noise_leaves_test_labels_and_images_alone(data):
    noisy = data.with_label_noise(1.0, seed=0)
    assert noisy.test_labels is data.test_labels
    assert noisy.train_images is data.train_images
    assert np.array_equal(noisy.split("test").labels, data.split("test").labels)


def test_noise_depends_on_its_seed_alone(data):
    once = data.with_label_noise(0.4, seed=1)
    again = data.with_label_noise(0.2, seed=5).with_label_noise(0.4, seed=1)
    other = data.with_label_noise(0.4, seed=2)
    assert np.array_equal(once.train_labels, again.train_labels)
    assert not np.array_equal(once.train_labels, other.train_labels)
    assert data.wrong_share == 0
    assert data.with_label_noise(0.0, seed=1).noise is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(data, share):
    with pytest.raises(BadOption, match="label_noise"):
        data.with_label_noise(share, seed=0)


def test_a_network_that_we_trained_gets_the_labels_it_was_trained_on(data):
    recipe = {"dataset": "mnist", "label_noise": 0.4, "seed": 9}
    found, foreign = datasets.of(Checkpoint.of({}).with_about(trained=recipe))
    assert not foreign
    assert np.array_equal(found.train_labels, data.with_label_noise(0.4, 9).train_labels)


@pytest.mark.parametrize(
    "recipe",
    [
        None,
        "mnist",
        {},
        {"dataset": ["mnist"], "label_noise": 0.4, "seed": 0},
        {"dataset": "letters", "label_noise": 0.4, "seed": 0},
        {"dataset": "mnist", "label_noise": 4, "seed": 0},
        {"dataset": "mnist", "label_noise": "0.4", "seed": 0},
        {"dataset": "mnist", "label_noise": 0.4, "seed": -1},
        {"dataset": "mnist", "label_noise": 0.4, "seed": 0.5},
        {"dataset": "mnist", "seed": 0},
    ],
)
def test_a_record_that_makes_no_sense_is_foreign(data, recipe):
    found, foreign = datasets.of(Checkpoint.of({}).with_about(trained=recipe))
    assert foreign
    assert found is data


def test_a_missing_or_broken_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataRefused, match=r"mnist\.npz.* missing"):
        mnist._load(tmp_path / "mnist.npz")
    for content in (b"", b"no zip", b"PK\x03\x04 cut"):
        (tmp_path / "mnist.npz").write_bytes(content)
        with pytest.raises(DataRefused, match="can't be read"):
            mnist._load(tmp_path / "mnist.npz")
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(DataRefused, match="can't be read"):
        mnist._load(tmp_path / "mnist.npz")


def test_arrays_that_do_not_belong_together_are_no_dataset(data):
    parts = {name: getattr(data, name) for name in Dataset.__slots__}
    with pytest.raises(ValueError, match="labels"):
        Dataset(**{**parts, "test_labels": data.test_labels[:-1]})
    with pytest.raises(ValueError, match="labels"):
        Dataset(**{**parts, "classes": tuple("01234")})
