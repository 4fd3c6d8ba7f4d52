"""Train: a run starts, is watched, paused, stopped and taken over; a failed one keeps its rows."""

import json
import os

import pytest

from rmtviz import training
from rmtviz.errors import CannotRun
from rmtviz.ui import jobs
from rmtviz.ui.library import SAMPLES
from rmtviz.words import say


@pytest.fixture
def train(visit):
    """The page with settings for a run of a second or two."""
    visitor = visit("train")
    visitor.choose_by_label(say("train.samples"), 1_000)
    visitor.choose_by_label(say("train.widths"), "64, 32")
    return visitor.choose_by_label(say("train.epochs"), 2)


@pytest.fixture
def long(train):
    """The same with a run that goes on until it is stopped."""
    train.choose_by_label(say("train.samples"), 12_000)
    return train.choose_by_label(say("train.epochs"), 40)


def the_run(visitor):
    return jobs.registry().find(visitor.at.session_state["run"])


def state(visitor, name: str, **values: object) -> bool:
    return say(f"train.{name}", **values) in visitor.words


def test_before_the_first_run_the_page_says_what_to_do(visit):
    assert say("train.empty") in visit("train").words


def test_a_run_goes_to_its_end_and_becomes_the_current_network(train):
    train.press("train.start")
    run = the_run(train)
    assert train.at.query_params["run"] == run.token
    train.until(lambda: state(train, "done", epochs=2))
    assert train.model == run.token
    assert train.at.query_params["model"] == run.token
    row = run.snapshot.rows[-1]
    assert train.metrics[say("train.loss")] == f"{row['train_loss']:.4f}"
    assert train.metrics[say("train.selection_accuracy")] == f"{row['selection_accuracy']:.2%}"
    assert train.metrics[say("train.test")] == f"{run.snapshot.test_accuracy:.2%}"
    assert row["selection_accuracy"] > run.snapshot.rows[0]["selection_accuracy"]
    assert say("app.run_title", epochs=2) in str(train.at.get_by_key("model_choice").options)


def test_what_was_trained_can_be_explored_and_pruned(train):
    train.press("train.start").until(lambda: state(train, "done", epochs=2))
    token = train.model
    train.go("explore")
    assert list(train.at.dataframe(key="layer_map").value["shape"])[:1] == ["64 × 784"]
    train.choose("view", "learnt")
    assert train.spectrum["values"]
    initial = jobs.registry().model(token).initial
    assert initial.digest == training.initial(the_run(train).recipe).digest
    train.go("prune")
    assert say("prune.accuracy", samples=5_000, unit=say("unit.images")) in train.metrics


def test_the_spectra_are_those_of_the_latest_epoch(train):
    train.press("train.start").until(lambda: state(train, "done", epochs=2))
    assert say("train.spectrum_of", epoch=2) in train.words
    counts = next(t for t in train.figure("live-spectrum")["data"] if t["type"] == "bar")
    assert 0 < sum(counts["y"]) <= 64
    assert train.choose("live_layer", "2").figure("live-spectrum")["data"]


def test_while_it_runs_the_curves_grow(long):
    long.press("train.start").until(lambda: len(the_run(long).snapshot.rows) >= 3)
    long.run()
    charts = [json.loads(chart.proto.spec) for chart in long.at.get("vega_lite_chart")]
    assert len(charts) == 6
    assert long.button("train.start").disabled
    assert say("train.pause") in long.buttons()
    long.press("train.stop")


def test_a_run_can_be_paused_continued_and_stopped(long):
    long.press("train.start").until(lambda: say("train.pause") in long.buttons())
    long.press("train.pause").until(lambda: "Paused " in long.words)
    assert say("train.go_on") in long.buttons()
    before = the_run(long).snapshot
    assert the_run(long.run()).snapshot is before
    long.press("train.go_on").until(lambda: the_run(long).snapshot.epoch > before.epoch)
    long.press("train.stop").until(lambda: say("train.resume") in long.buttons())
    epoch = the_run(long).snapshot.epoch
    assert state(long, "stopped", epoch=epoch, epochs=40)
    assert long.model == the_run(long).token
    assert long.figure("live-spectrum")["data"]


def test_a_stopped_run_can_be_resumed(long):
    long.press("train.start").until(lambda: say("train.stop") in long.buttons())
    long.press("train.stop").until(lambda: say("train.resume") in long.buttons())
    stopped = the_run(long).snapshot.epoch
    long.press("train.resume").until(lambda: the_run(long).snapshot.epoch > stopped)
    assert the_run(long).snapshot.state == "running"


def test_the_link_leads_back_to_the_run(long, visit):
    token = the_run(long.press("train.start")).token
    again = visit("train", run=token)
    assert say("train.stop") in again.buttons()
    assert the_run(again) is the_run(long)


def test_it_goes_on_while_another_page_is_looked_at(long):
    long.press("train.start").go("explore")
    seen = the_run(long).snapshot.epoch
    long.until(lambda: the_run(long).snapshot.epoch > seen)
    assert say("train.stop") in long.go("train").buttons()


@pytest.mark.parametrize(
    ("words", "key"),
    [("many", "widths_word"), ("", "widths_word"), ("0", "widths"), ("99999, 3", "widths")],
)
def test_widths_that_make_no_sense_are_refused(train, sentence, words: str, key: str):
    train.choose_by_label(say("train.widths"), words)
    ((what, do),) = train.errors
    assert sentence(f"error.{key}.what").fullmatch(what)
    assert say(f"error.{key}.do") == do
    assert train.button("train.start").disabled
    train.choose_by_label(say("train.widths"), "20")
    assert train.errors == []


def test_label_noise_says_how_many_labels_are_wrong(train):
    train.choose_by_label(say("train.label_noise"), 40)
    assert say("train.label_noise_wrong", share=0.36, classes=10) in train.words


def test_a_run_that_breaks_says_so_and_keeps_its_rows(train, monkeypatch):
    honest = training.train

    def breaks(*args, **options):
        for record in honest(*args, **options):
            yield record
            if record.epoch == 1:
                raise RuntimeError("secret of the machine room")

    monkeypatch.setattr(training, "train", breaks)
    train.press("train.start").until(lambda: train.errors != [])
    assert state(train, "failed", epoch=1, epochs=2)
    ((what, do),) = train.errors
    assert what.startswith("Something in rmtviz broke")
    assert do == say("train.failed_do")
    assert "secret" not in train.words
    assert train.metrics[say("train.selection_accuracy")] is not None
    assert train.model == the_run(train).token
    monkeypatch.undo()
    train.press("train.resume").until(lambda: state(train, "done", epochs=2))


def test_a_run_that_diverges_says_what_to_do(train, monkeypatch):
    def diverges(*args, **options):
        raise CannotRun("diverged", epoch=1)
        yield

    monkeypatch.setattr(training, "train", diverges)
    train.press("train.start").until(lambda: train.errors != [])
    assert train.errors == [(say("error.diverged.what", epoch=1), say("error.diverged.do"))]


def test_label_noise_is_that_of_the_recipe(train):
    train.choose_by_label(say("train.label_noise"), 40)
    train.press("train.start")
    assert the_run(train).recipe.label_noise == 0.4
    assert the_run(train).recipe.widths == (64, 32)


def test_two_visitors_do_not_see_each_others_runs(long, visit):
    long.press("train.start")
    other = visit("train")
    assert say("train.empty") in other.words
    other.choose_by_label(say("train.samples"), 1_000)
    other.choose_by_label(say("train.epochs"), 1)
    other.press("train.start")
    if (os.cpu_count() or 1) <= 2:
        assert say("train.queued_one") in other.words
    long.press("train.stop")
    other.until(lambda: state(other, "done", epochs=1))
    assert the_run(other) is not the_run(long)
    assert len(other.at.get_by_key("model_choice").options) == len(SAMPLES) + 1
