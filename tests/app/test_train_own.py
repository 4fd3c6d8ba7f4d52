"""The Train page on the visitor's own data: opened, divided, trained on, missing, refused."""

import io

import numpy as np
import pytest

from rmtviz import datasets, lab
from rmtviz.datasets import Dataset
from rmtviz.ui import data, jobs
from rmtviz.ui.jobs import Registry
from rmtviz.words import say, speaking

RNG = np.random.default_rng(0)
COUNT = 200
SETTINGS = {"widths": "16, 12", "epochs": "2"}


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


LABELS = np.arange(COUNT) % 4
VALUES = RNG.normal(size=(COUNT, 11)) + 4 * (LABELS[:, None] == range(11))
FILE = npz(x=VALUES, y=LABELS)
SETS = {"train": 128, "selection": 32, "test": 40, "batch": 8}


def give(visitor, content: bytes = FILE, name: str = "my_data.npz"):
    """Open a file of labelled data at the page's own choice of the data."""
    visitor.at.file_uploader[2].set_value([(name, content, "application/octet-stream")])
    return visitor.run()


def the_run(visitor):
    return jobs.registry().find(visitor.at.session_state["run"])


def done(visitor):
    return visitor.until(lambda: say("train.done", epochs=2) in visitor.words)


def key(visitor, field: str = "dataset") -> str:
    return visitor.at.query_params[field]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons of two contenders, so that they take a second or two."""
    few = ("none", "rmt-afterwards")
    monkeypatch.setattr(lab, "CONTENDERS", {name: lab.CONTENDERS[name] for name in few})


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch):
    """Another visit from now on: here all tabs are one to what is kept for a tab."""

    def arrive() -> None:
        held: dict[str, Dataset] = {}
        monkeypatch.setattr(data, "opened", lambda: held)

    arrive()
    return arrive


@pytest.fixture
def opened(visit):
    """A visitor who opened a file of their own, and has trained nothing yet."""
    return give(visit("train", **SETTINGS))


@pytest.fixture
def trained(opened):
    return done(opened.press("train.start"))


def test_what_is_opened_is_chosen_and_the_page_says_how_it_is_divided(opened):
    (name,) = [x for x in opened.at.get_by_key("dataset").options if x.startswith("my_data")]
    assert key(opened)[4:12] in name
    assert say("train.own_sets", **SETS) in opened.words
    assert say("train.own_columns", classes=4, columns=11) in opened.words
    opened.choose_by_label(say("train.label_noise"), 40)
    assert say("train.label_noise_wrong", share=0.3, classes=4) in opened.words


def test_of_many_samples_a_part_may_be_taken_and_a_batch_is_a_step_of_thirty(visit):
    count = 2_000
    many = npz(x=RNG.normal(size=(count, 5)).astype(np.float32), y=np.arange(count) % 2)
    visitor = give(visit("train", images="3000", **SETTINGS), many)
    slider = visitor.at.get_by_key("own_samples")
    assert slider.options == ["500", "1,000", "1,280"]
    visitor.choose("own_samples", 500)
    assert say("train.own_sets", train=1_280, selection=320, test=400, batch=42) in visitor.words
    run = the_run(visitor.press("train.start"))
    assert (run.recipe.train_samples, run.recipe.batch_size) == (500, 42)
    assert visitor.choose("dataset", "digits").at.get_by_key("images").value == 3_000


def test_a_run_learns_them_and_its_accuracies_say_on_how_many_samples(trained):
    run = the_run(trained)
    assert run.recipe.dataset == key(trained)
    accuracy = run.snapshot.rows[-1]["selection_accuracy"]
    assert trained.metrics[say("train.selection_accuracy")] == f"{accuracy:.2%}"
    assert f"{accuracy:.1%} of 32 selection samples are read right" in trained.words
    assert run.snapshot.test_samples == 40
    assert (run.folder / f"{run.recipe.dataset}.npz").is_file()
    assert "my_data.npz" in trained.at.text_input(key=f"name_{run.token}").value


def test_the_network_is_judged_by_what_was_held_out(trained):
    run = the_run(trained)
    trained.go("prune").choose("rule", "off")
    accuracy = say("prune.accuracy", samples=32, unit=say("unit.samples"))
    assert accuracy in trained.metrics
    assert say("prune.data_enter_columns", samples=32, columns=11) in trained.words
    row = run.snapshot.rows[-1]
    assert float(trained.metrics[accuracy].rstrip("%")) == pytest.approx(
        100 * row["selection_accuracy"], abs=0.06
    )
    trained.press("prune.test")
    assert "On 40 test samples:" in trained.words
    trained.go("explore")
    assert trained.errors == []


def test_data_opened_in_the_bar_may_be_trained_on(visit):
    visitor = visit("train", **SETTINGS)
    visitor.at.file_uploader[1].set_value([("bar.npz", FILE, "application/octet-stream")])
    visitor.run()
    choice = visitor.at.get_by_key("dataset")
    assert choice.value == "mnist"
    visitor.choose("dataset", datasets.read({"": FILE}).key)
    assert say("train.own_sets", **SETS) in visitor.words


def test_contenders_are_compared_on_them(visit):
    visitor = give(visit("train", show="side", lab_epochs="2", lab_widths="16, 12", lab_seeds="1"))
    visitor.press("train.compare_start")
    contest = jobs.registry().contest(visitor.at.session_state["lab"])
    visitor.until(lambda: contest.snapshot.state == "done")
    visitor.run()
    sizes = say(
        "train.compare_sizes",
        images=128,
        data=f"my_data.npz ({key(visitor, 'lab_dataset')[4:12]})",
        noise=0.4,
        wrong=0.3,
        widths="16 × 12",
        epochs=2,
        selection=32,
    )
    assert sizes in visitor.words
    again = Registry(contest.folder.parent, slots=1).contest(contest.token)
    assert again.snapshot.selection_samples == 32


FEW = npz(x=VALUES[::5], y=LABELS[::5])
REFUSED = {
    "own_few": FEW,
    "data_labels": npz(x=VALUES, y=np.ones(COUNT, int)),
    "own_measured": npz(x=VALUES, y=VALUES[:, 0]),
    "data_not_finite": npz(x=np.where(VALUES > 4, np.nan, VALUES), y=LABELS),
    "data_column": b"no labels here",
    "own_long": npz(x=np.zeros((COUNT, 5_000), np.uint8), y=LABELS),
}


TOLD_LATER = {"own_few", "own_measured", "own_long", "data_labels"}
"""What serves to measure accuracy, and can't be trained on."""


@pytest.mark.parametrize("refused", REFUSED)
def test_what_cannot_be_trained_on_is_refused_in_a_sentence(visit, sentence, refused: str):
    visitor = give(visit("train", widths="4096"), REFUSED[refused])
    ((what, do),) = visitor.errors
    assert sentence(f"error.{refused}.what").fullmatch(what)
    assert sentence(f"error.{refused}.do").fullmatch(do)
    # A file that can't be read is not chosen, and the data from before still are.
    chosen = visitor.at.get_by_key("dataset").value != "mnist"
    assert chosen is (refused in TOLD_LATER)
    assert visitor.button("train.start").disabled is chosen
    visitor.choose("dataset", "digits")
    assert visitor.errors == []
    assert not visitor.button("train.start").disabled


def test_a_link_to_data_of_somebody_else_says_what_is_missing_and_falls_back(
    opened, visit, elsewhere
):
    wanted = key(opened)
    elsewhere()
    other = visit("train", dataset=wanted, **SETTINGS)
    missing = say("train.own_missing", key=wanted, name="MNIST")
    assert missing in other.words
    assert other.at.get_by_key("dataset").value == "mnist"
    assert not any("my_data" in x for x in other.at.get_by_key("dataset").options)
    assert missing in other.run().words  # until something else is chosen, or the file is opened
    give(other, name="the same.npz")
    assert missing not in other.words
    assert key(other) == wanted
    elsewhere()
    third = visit("train", dataset=wanted).choose("dataset", "digits")
    assert missing not in third.words


def test_a_run_on_a_link_shows_its_figures_and_not_its_data(trained, visit, elsewhere):
    run = the_run(trained)
    elsewhere()
    other = visit("train", run=run.token, dataset=key(trained))
    assert other.metrics[say("train.test")] == f"{run.snapshot.test_accuracy:.2%}"
    other.go("prune")
    assert not [name for name in other.metrics if name.startswith("Accuracy on")]
    closed = say("error.own_closed.what", dataset=key(trained))
    assert closed in other.words
    other.go("explore")
    other.at.file_uploader[1].set_value([("same.npz", FILE, "application/octet-stream")])
    other.run().go("prune")
    assert say("prune.accuracy", samples=32, unit=say("unit.samples")) in other.metrics


def test_a_page_without_controls_takes_up_what_is_open(opened, visit):
    bare = visit("train", dataset=key(opened), controls="none", **SETTINGS)
    assert say("train.own_sets", **SETS) in bare.words
    assert say("train.own_open") not in bare.buttons()


def test_another_language_and_another_page_change_nothing_of_the_choice(opened):
    wanted = key(opened)
    opened.choose("lang", "ja")
    with speaking("ja"):
        assert say("train.own_sets", **SETS) in opened.words
    assert key(opened) == wanted
    opened.go("learn").go("train")
    assert key(opened) == wanted


def test_a_restarted_server_goes_on_with_a_run_and_one_whose_data_are_gone_says_so(
    opened, visit, elsewhere
):
    opened.choose_by_label(say("train.epochs"), 40)
    run = the_run(opened.press("train.start"))
    opened.until(lambda: len(run.snapshot.rows) > 2).press("train.stop")
    opened.until(lambda: run.snapshot.over)
    jobs.registry.cache_clear()  # as by a restart: what is kept is on disk
    elsewhere()
    again = visit("train", run=run.token)
    finished = the_run(again).snapshot.epoch
    again.press("train.resume").until(lambda: the_run(again).snapshot.epoch > finished)
    again.press("train.stop").until(lambda: the_run(again).snapshot.over)
    (run.folder / f"{run.recipe.dataset}.npz").unlink()
    jobs.registry.cache_clear()
    gone = visit("train", run=run.token)
    gone.press("train.resume").until(lambda: gone.errors != [])
    what, do = (say(f"error.own_gone.{x}", dataset=run.recipe.dataset) for x in ("what", "do"))
    assert gone.errors == [(what, do)]
    assert gone.metrics[say("train.selection_accuracy")] is not None


def test_the_data_are_deleted_with_the_run(trained, monkeypatch):
    run = the_run(trained)
    monkeypatch.setattr(jobs, "KEPT", 1)
    trained.choose("dataset", "digits").press("train.start")
    assert not run.folder.exists()
    done(trained)
