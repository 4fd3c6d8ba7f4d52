"""Training on data of one's own: divided in three, named by content, kept with the run."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from rmtviz import datasets, formats, lab, networks, training
from rmtviz.cli import main
from rmtviz.datasets import Dataset, divided, pack, unpack
from rmtviz.errors import BadOption, DataRefused
from rmtviz.evaluation import evaluate
from rmtviz.training import Stopped, Training, branch, naming, train
from rmtviz.words import say

RNG = np.random.default_rng(0)
SEEDS = (0, 1, 2**32 - 1)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def given(name: str = "mine.npz", **arrays: np.ndarray) -> Dataset:
    return datasets.read({name: npz(**arrays)})


def table(count: int = 300, columns: int = 7) -> dict[str, np.ndarray]:
    """Two classes to three to five, sorted, told apart by columns of very unlike sizes."""
    labels = np.repeat([3, 5, 9], [count // 5, count // 2, count - count // 5 - count // 2])
    values = RNG.normal(size=(count, columns)) + 3 * (labels[:, None] % columns == range(columns))
    return {"x": values * np.logspace(-3, 4, columns) + 50, "y": labels}


def pictures(count: int = 200) -> dict[str, np.ndarray]:
    levels = RNG.integers(0, 60, size=(count, 9, 8), dtype=np.uint8)
    labels = np.arange(count) % 4
    levels[:, :4, 0] += (180 * (labels[:, None] == range(4))).astype(np.uint8)
    return {"x": levels, "y": labels}


TABLE, PICTURES = table(), pictures()
FORMS = {"table": given(**TABLE), "pictures": given(**PICTURES)}
HELD = given(
    **{f"{name}_train": array for name, array in TABLE.items()},
    **{f"{name}_test": array[::4] for name, array in TABLE.items()},
)
"""Data that bring their own test samples."""

SPLITS = ("train", "selection", "test")


def recipe(own: Dataset, **settings: object) -> Training:
    base = {"widths": (12, 8), "epochs": 3, "batch_size": 32, "learning_rate": 0.01}
    return Training(**(naming(own) | base | settings))


def rows(images: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in images]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("own", FORMS.values(), ids=FORMS)
def test_every_sample_is_in_one_of_three_sets_the_same_each_time(own: Dataset, seed: int) -> None:
    made, again = divided(own, seed), divided(own, seed)
    parts = [made.split(name) for name in SPLITS]
    wanted = [round(share * len(own.test_labels)) for share in (0.64, 0.16, 0.2)]
    assert [len(part) for part in parts] == list(datasets.sizes(own)) == wanted
    held = [row for part in parts for row in rows(part.images)]
    assert len(set(held)) == len(own.test_labels)
    for name, part in zip(SPLITS, parts, strict=True):
        assert rows(again.split(name).images) == rows(part.images)
        assert np.array_equal(again.split(name).labels, part.labels)
    other = divided(own, 7)
    assert set(rows(other.split("test").images)) != set(rows(parts[2].images))


@pytest.mark.parametrize("seed", SEEDS)
def test_each_class_is_in_each_set_in_its_share(seed: int) -> None:
    own = FORMS["table"]
    made = divided(own, seed)
    assert made.classes == ("3", "5", "9")
    whole = np.bincount(own.test_labels)[[3, 5, 9]]
    for name in SPLITS:
        part = made.split(name)
        wanted = whole * len(part) / len(own.test_labels)
        found = np.bincount(part.labels, minlength=3)
        # A stretch has two ends, and each is off by one for the class and one for each class.
        assert (abs(found - wanted) <= 2 * (1 + 3 * wanted / len(part))).all()


def test_the_labels_stay_with_their_samples() -> None:
    own = FORMS["pictures"]
    known = dict(zip(rows(own.test_images), own.test_labels, strict=True))
    made = divided(own, 0)
    for name in SPLITS:
        part = made.split(name)
        assert [known[row] for row in rows(part.images)] == part.labels.tolist()


def test_test_samples_of_the_file_stay_the_test_samples() -> None:
    made = divided(HELD, 3)
    assert [len(made.split(name)) for name in SPLITS] == list(datasets.sizes(HELD)) == [240, 60, 75]
    assert np.array_equal(made.test_labels, np.searchsorted([3, 5, 9], HELD.test_labels))
    assert set(made.split("selection").labels.tolist()) == {0, 1, 2}  # the file is sorted


def test_columns_are_scaled_each_by_its_own_and_pictures_by_one_scale() -> None:
    made = divided(FORMS["table"], 0)
    assert made.scaled
    assert np.allclose(made.train_images.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(made.train_images.std(axis=0), 1, atol=1e-4)
    assert (made.mean, made.std, made.top) == (0, 1, 1)
    shown = divided(FORMS["pictures"], 0)
    assert not shown.scaled
    network = recipe(FORMS["pictures"]).network(shown)(training.initial(Training(widths=(3,))))
    entered = (shown.train_images - network.centre) / network.scale
    assert (entered.mean(), entered.std()) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize(("count", "batch"), [(100, 8), (2_000, 42), (20_000, 128)])
def test_a_batch_is_so_small_that_an_epoch_has_thirty_steps(count: int, batch: int) -> None:
    labels = np.arange(count) % 2
    assert naming(given(x=labels[:, None] * [1.0, 2, 3], y=labels))["batch_size"] == batch


def test_a_constant_column_is_no_fault() -> None:
    values = TABLE["x"].copy()
    values[:, 2] = 4.5
    made = divided(given(x=values, y=TABLE["y"]), 0)
    assert (made.train_images[:, 2] == 0).all()


@pytest.mark.parametrize("own", [*FORMS.values(), HELD], ids=[*FORMS, "held"])
def test_a_packed_file_gives_the_same_data(own: Dataset) -> None:
    found = unpack(pack(own), own.key)
    assert (found.key, found.name, found.image_shape) == (own.key, own.name, own.image_shape)
    for name in SPLITS:
        one, two = divided(found, 5).split(name), divided(own, 5).split(name)
        assert one.images.tobytes() == two.images.tobytes()
        assert np.array_equal(one.labels, two.labels)


def test_the_key_is_that_of_the_content() -> None:
    own = FORMS["table"]
    assert datasets.KEY.fullmatch(own.key)
    assert given("other.npz", **TABLE).key == own.key
    assert given(x=TABLE["x"], y=TABLE["y"][::-1]).key != own.key
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "own_gone"):
        unpack(pack(FORMS["pictures"]), own.key)
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "own_gone"):
        unpack(pack(own)[:-200], own.key)


MEASURED = np.linspace(0, 1, 300)
BAD = {
    "own_few": given(x=TABLE["x"][::6], y=TABLE["y"][::6]),
    "data_labels": given(x=TABLE["x"], y=np.full(300, 4)),
    "own_measured": given(x=TABLE["x"], y=MEASURED),
    "own_measured in steps": given(x=TABLE["x"], y=np.round(MEASURED * 3, 1)),
    "own_measured in whole numbers": given(x=TABLE["x"], y=np.arange(300) // 2),
}


@pytest.mark.parametrize("key", BAD)
def test_data_that_cannot_be_trained_on_are_refused(key: str) -> None:
    with pytest.raises(DataRefused) as refusal:
        recipe(BAD[key]).data(BAD[key])
    assert refusal.value.key == key.split()[0]


@pytest.mark.parametrize("labels", [np.round(MEASURED, 1) * 5, np.arange(300) // 6])
def test_a_few_steps_and_many_whole_numbers_are_classes(labels: np.ndarray) -> None:
    assert divided(given(x=TABLE["x"], y=labels), 0).outputs == len(np.unique(labels))


def test_a_first_layer_too_large_is_refused_and_the_width_that_fits_is_not() -> None:
    own = given(x=RNG.normal(size=(80, 20_000)).astype(np.float32), y=np.arange(80) % 2)
    with pytest.raises(DataRefused) as refusal:
        recipe(own, widths=(1_000,)).data(own)
    assert refusal.value.key == "own_long"
    most = refusal.value.values["most"]
    assert recipe(own, widths=(most,)).data(own).pixels == 20_000
    with pytest.raises(DataRefused):
        recipe(own, widths=(most + 1,)).data(own)


def test_data_larger_than_an_upload_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMTVIZ_LIMIT_UPLOAD_BYTES", "1000")
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "own_large"):
        divided(FORMS["table"], 0)


def content(records) -> list[tuple[float, str]]:
    return [(each.train_loss, each.selection_accuracy, each.checkpoint.digest) for each in records]


@pytest.mark.parametrize("own", [*FORMS.values(), HELD], ids=[*FORMS, "held"])
def test_it_learns_and_a_stopped_run_resumed_from_its_folder_equals_one_that_was_not(
    own: Dataset, tmp_path
) -> None:
    wanted = recipe(own, epochs=8, label_noise=0.1, schedule="once")

    def stop(progress) -> None:
        if (progress.epoch, progress.step) == (5, 2):
            raise Stopped

    whole = content(train(wanted, own=own))
    with pytest.raises(Stopped):
        list(train(wanted, tmp_path, on_batch=stop, own=own))
    assert (tmp_path / f"{own.key}.npz").is_file()
    assert content(train(wanted, tmp_path, resume=True)) == whole
    assert whole[-1][1] > 1.5 * whole[0][1]


def test_a_run_whose_data_are_gone_says_so(tmp_path) -> None:
    own = FORMS["table"]
    wanted = recipe(own)
    list(train(wanted, tmp_path, own=own))
    file = tmp_path / f"{own.key}.npz"
    for left in (pack(FORMS["pictures"]), b"", None):
        file.unlink() if left is None else file.write_bytes(left)
        with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "own_gone"):
            next(train(wanted, tmp_path, resume=True))
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "own_gone"):
        next(train(wanted, own=FORMS["pictures"]))
    with pytest.raises(BadOption):
        Training(dataset="own-letters")


def test_a_new_run_in_a_folder_takes_out_the_data_of_the_last(tmp_path) -> None:
    for own in FORMS.values():
        list(train(recipe(own, epochs=1), tmp_path, own=own))
        assert [path.name for path in tmp_path.glob("own-*")] == [f"{own.key}.npz"]
    *_, last = train(recipe(own, epochs=1), tmp_path)  # what is kept serves to begin anew as well
    assert last.epoch == 1


def test_a_branch_takes_the_data_along(tmp_path) -> None:
    own = FORMS["table"]
    wanted = recipe(own)
    list(train(wanted, tmp_path / "one", own=own))
    branch(tmp_path / "one", 2, recipe(own, epochs=4), tmp_path / "two")
    *_, last = train(recipe(own, epochs=4), tmp_path / "two", resume=True)
    assert last.epoch == 4


def test_the_network_is_judged_by_the_samples_that_were_held_out() -> None:
    own = FORMS["table"]
    wanted = recipe(own, seed=3, label_noise=0.2)
    *_, last = train(wanted, own=own)
    data = wanted.data(own)
    choice, found, foreign = networks.match(last.checkpoint, own)
    assert not foreign
    for name in SPLITS:
        assert rows(found.split(name).images) == rows(data.split(name).images)
        assert np.array_equal(found.split(name).labels, data.split(name).labels)
    assert (
        evaluate(choice(last.checkpoint), found.split("selection")).accuracy
        == last.selection_accuracy
    )
    with pytest.raises(DataRefused, check=lambda refusal: refusal.key == "own_closed"):
        networks.match(last.checkpoint)


def test_contenders_side_by_side_train_on_them() -> None:
    own = FORMS["table"]
    some = {name: lab.CONTENDERS[name] for name in ("none", "rmt-afterwards")}
    results = list(lab.run(recipe(own), [0, 1], some, own=own))
    assert [(each.contender, each.seed) for each in results] == [
        (name, seed) for seed in (0, 1) for name in some
    ]
    assert {each.test_samples for each in results} == {60}


def said(*words: object) -> str:
    result = CliRunner().invoke(main, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return result.stdout


def trained(*words: object) -> list[dict[str, object]]:
    return [json.loads(line) for line in said("train", *words).splitlines()]


def test_the_command_line_trains_on_a_file_and_evaluates_what_was_held_out(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMTVIZ_HOME", str(tmp_path / "home"))
    file, output = tmp_path / "mine.npz", tmp_path / "net.safetensors"
    file.write_bytes(npz(**TABLE))
    settings = ("--widths", "12,8", "--epochs", 2, "--seed", 4)
    *epochs, end = trained(file, "-o", output, *settings)
    assert [row["epoch"] for row in epochs] == [1, 2]
    own = FORMS["table"]
    assert (end["dataset"], end["selection_samples"], end["test_samples"]) == (own.key, 48, 60)
    assert formats.read(output).about["trained"]["seed"] == 4
    read = json.loads(said("evaluate", output, "--dataset", file))
    assert (read["samples"], read["accuracy"]) == (60, end["test_accuracy"])
    same = trained("--dataset", file, "-o", tmp_path / "again.safetensors", *settings)
    assert same[-1]["digest"] == end["digest"]
    assert list((tmp_path / "home" / "runs").iterdir()) == []  # the data go with the run


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (
            ("digits", "--dataset", "mnist"),
            say("error.data_twice.what", one="digits", other="mnist"),
        ),
        (("nowhere.csv",), say("error.unknown_name.what", name="nowhere.csv")),
    ],
)
def test_the_command_line_refuses_in_two_lines(words, refusal: str, tmp_path) -> None:
    result = CliRunner().invoke(main, ["train", *words, "-o", str(tmp_path / "net.npz")])
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert (first, bool(second)) == (refusal, True)
