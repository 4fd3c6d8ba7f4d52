"""Training runs: queued visibly, paused, stopped, resumed, found again, and not left behind."""

import gc
import re
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from rmtviz import lab, training
from rmtviz.errors import CannotRun
from rmtviz.schedules import Once
from rmtviz.training import Training
from rmtviz.ui import runs, work
from rmtviz.ui.jobs import KEPT, Registry
from rmtviz.ui.runs import Run
from rmtviz.words import say

RECIPE = Training(widths=(24,), epochs=3, train_samples=1_000)
PATIENCE = 30.0


def wait(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < end, "never seen"
        time.sleep(0.005)


def state(run: Run, name: str) -> None:
    wait(lambda: run.snapshot.state == name)


class Gate:
    """Holds every run after the epoch `at`, until it is opened."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.reached = threading.Event()
        self.open = threading.Event()
        self.checkpoints: list[weakref.ref] = []

    def train(self, *args, **options):
        for record in HONEST(*args, **options):
            self.checkpoints.append(weakref.ref(record.checkpoint))
            yield record
            if record.epoch == self.at:
                self.reached.set()
                assert self.open.wait(PATIENCE)


HONEST = training.train


def paused(registry: Registry, gate: Gate) -> Run:
    """A run that has come to the gate and is paused behind it."""
    run = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    run.pause()
    gate.open.set()
    state(run, "paused")
    return run


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path / "runs", slots=1)
    yield made
    for run in list(made._jobs.values()):
        run.stop()
    wait(lambda: all(run.snapshot.over for run in made._jobs.values()))


@pytest.fixture
def gate(monkeypatch):
    made = Gate(at=1)
    monkeypatch.setattr(training, "train", made.train)
    yield made
    made.open.set()


def test_a_run_goes_to_its_end(registry):
    run = registry.submit(RECIPE)
    state(run, "done")
    shot = run.snapshot
    assert [row["epoch"] for row in shot.rows] == [0, 1, 2, 3]
    assert [epoch for epoch, _ in shot.frames] == shot.looks
    assert shot.frames[-1][1]["0"].spectrum.p == 24
    assert shot.test_samples == 10_000
    assert 0 < shot.test_accuracy < 1
    assert shot.share == 1.0
    assert [place for place, _ in shot.losses] == sorted(place for place, _ in shot.losses)


def test_its_network_comes_with_its_beginning(registry):
    run = registry.submit(RECIPE)
    assert registry.model(run.token) is None
    state(run, "done")
    model = registry.model(run.token)
    assert registry.model(run.token) is model
    assert model.title == say("app.run_title", epochs=3)
    assert model.initial.digest == training.initial(RECIPE).digest
    assert model.checkpoint.digest == model.digest != model.initial.digest


def test_a_second_run_is_seen_to_wait_and_then_runs(registry, gate):
    first = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    second = registry.submit(RECIPE)
    assert (registry.ahead(first), registry.ahead(second)) == (0, 1)
    assert second.snapshot.state == "queued"
    gate.open.set()
    state(second, "done")
    assert first.snapshot.state == "done"
    assert registry.ahead(second) == 0


def test_runs_wait_their_turn(registry, gate):
    runs = [registry.submit(RECIPE) for _ in range(5)]
    assert gate.reached.wait(PATIENCE)
    assert [registry.ahead(run) for run in runs] == [0, 1, 2, 3, 4]
    seen: list[Run] = []

    def note() -> bool:
        at_work = [run for run in runs if run.snapshot.state in ("running", "done")]
        seen.extend(run for run in at_work if run not in seen)
        return len(seen) == len(runs)

    gate.open.set()
    wait(note)
    assert seen == runs


def test_two_slots_run_two(tmp_path, gate):
    registry = Registry(tmp_path / "runs", slots=2)
    runs = [registry.submit(RECIPE) for _ in range(3)]
    wait(lambda: [run.snapshot.state for run in runs] == ["running", "running", "queued"])
    gate.open.set()
    for run in runs:
        state(run, "done")


def test_pause_holds_it_and_go_on_continues(registry, gate):
    run = paused(registry, gate)
    held = run.snapshot
    time.sleep(3 * work.TICK)
    assert run.snapshot is held
    run.go_on()
    state(run, "done")
    assert len(run.snapshot.rows) == 4


def test_a_step_goes_to_the_end_of_an_epoch(registry, gate):
    run = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    run.pause()
    assert run.asked == "pausing"
    gate.open.set()
    state(run, "paused")
    assert (run.snapshot.epoch, run.asked) == (1, None)
    run.step()
    wait(lambda: run.snapshot.state == "paused" and run.snapshot.epoch == 2)
    assert run.snapshot.step == 0
    run.step()
    state(run, "done")


def test_a_branch_shares_the_epochs_and_then_goes_its_own_way(registry):
    origin = registry.submit(RECIPE)
    state(origin, "done")
    recipe = replace(RECIPE, epochs=2, optimiser="sgd", learning_rate=0.05, schedule=Once(epoch=2))
    branch = registry.branch(origin, 1, recipe)
    state(branch, "done")
    assert branch.snapshot.rows[:2] == origin.snapshot.rows[:2]
    assert branch.snapshot.rows[2] != origin.snapshot.rows[2]
    assert branch.about["origin"] == origin.token
    assert branch.weights(1).read_bytes() == origin.weights(1).read_bytes()


def test_a_comparison_waits_its_turn_among_the_runs(registry, gate, monkeypatch):
    few = {name: lab.CONTENDERS[name] for name in ("none", "early-stopping")}
    monkeypatch.setattr(lab, "CONTENDERS", few)
    first = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    contest = registry.compare(replace(RECIPE, epochs=1), 1)
    assert (contest.snapshot.state, registry.ahead(contest)) == ("queued", 1)
    gate.open.set()
    state(contest, "done")
    assert first.snapshot.state == "done"
    assert [each.contender for each in contest.snapshot.results] == list(few)
    assert registry.find(contest.token) is None
    assert registry.contest(first.token) is None
    (contest.folder / "results.json").write_text("broken")
    assert Registry(contest.folder.parent, slots=1).contest(contest.token) is None


def test_a_paused_run_keeps_nobody_waiting_and_waits_when_it_goes_on(registry, gate):
    first = paused(registry, gate)
    gate.open.clear()
    gate.reached.clear()
    second = registry.submit(RECIPE)
    state(second, "running")
    assert registry.ahead(first) == 1
    assert gate.reached.wait(PATIENCE)
    first.go_on()
    state(first, "queued")
    third = registry.submit(RECIPE)
    assert registry.ahead(third) == 2, "who goes on came before"
    gate.open.set()
    for run in (second, first, third):
        state(run, "done")
    assert len(first.snapshot.rows) == 4


def test_a_run_that_waits_to_go_on_can_be_stopped(registry, gate):
    first = paused(registry, gate)
    gate.open.clear()
    second = registry.submit(RECIPE)
    state(second, "running")
    first.go_on()
    state(first, "queued")
    first.stop()
    state(first, "stopped")
    gate.open.set()
    state(second, "done")


def test_a_paused_run_can_be_stopped(registry, gate):
    run = paused(registry, gate)
    run.stop()
    state(run, "stopped")


def test_a_waiting_run_can_be_stopped(registry, gate):
    registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    second, third = registry.submit(RECIPE), registry.submit(RECIPE)
    assert registry.ahead(third) == 2
    second.stop()
    state(second, "stopped")
    assert second.snapshot.rows == ()
    assert registry.ahead(third) == 1
    gate.open.set()
    state(third, "done")


def test_stop_keeps_the_finished_epochs(registry, gate):
    run = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    run.stop()
    gate.open.set()
    state(run, "stopped")
    assert [row["epoch"] for row in run.snapshot.rows] == [0, 1]
    model = registry.model(run.token)
    assert model.title == say("app.run_title", epochs=1)
    assert model.checkpoint.about["epoch"] == 1


def test_stopped_and_resumed_equals_uninterrupted(registry, gate):
    stopped = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    stopped.stop()
    gate.open.set()
    state(stopped, "stopped")
    registry.resume(stopped)
    again = registry.find(stopped.token)
    assert again is not stopped
    state(again, "done")
    assert [row["epoch"] for row in again.snapshot.rows] == [0, 1, 2, 3]
    straight = registry.submit(RECIPE)
    state(straight, "done")
    assert registry.model(again.token).digest == registry.model(straight.token).digest


def test_resumed_twice_it_runs_once(registry, gate):
    stopped = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    stopped.stop()
    gate.open.set()
    state(stopped, "stopped")
    gate.reached.clear()
    gate.open.clear()
    registry.resume(stopped)
    assert gate.reached.wait(PATIENCE)
    again = registry.find(stopped.token)
    registry.resume(stopped)
    assert registry.find(stopped.token) is again
    assert sum(thread.name == stopped.token for thread in threading.enumerate()) == 1


def test_a_finished_run_is_found_again_by_another_server(registry, tmp_path):
    run = registry.submit(RECIPE)
    state(run, "done")
    other = Registry(tmp_path / "runs", slots=1)
    found = other.find(run.token)
    assert found.snapshot.state == "done"
    assert found.snapshot.rows == run.snapshot.rows
    assert other.model(run.token).digest == registry.model(run.token).digest
    assert other.find(run.token) is found


def test_an_interrupted_run_is_found_again_and_resumed(registry, gate, tmp_path):
    run = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    other = Registry(tmp_path / "runs", slots=1)
    found = other.find(run.token)
    assert (found.snapshot.state, found.snapshot.epoch) == ("interrupted", 1)
    run.stop()
    gate.open.set()
    state(run, "stopped")
    other.resume(found)
    state(other.find(run.token), "done")


def test_a_run_whose_files_are_broken_is_not_found(registry, tmp_path):
    run = registry.submit(RECIPE)
    state(run, "done")
    (run.folder / "epoch-003.safetensors").write_bytes(b"broken")
    assert registry.model(run.token) is None
    for name in ("state.safetensors", "recipe.json"):
        (run.folder / name).write_bytes(b"broken")
        assert Registry(tmp_path / "runs", slots=1).find(run.token) is None
    assert Registry(tmp_path / "runs", slots=1).model(run.token) is None


@pytest.mark.parametrize(
    "token",
    [
        *(None, "", "run-", "run-../x", "run-..", "../runs", "cli-0123456789abcdef"),
        *("run-" + "a" * 300, "run-\0" + "a" * 15, "run-" + "ä" * 16, "run-" + "a" * 16),
    ],
)
def test_a_made_up_token_finds_nothing(registry, tmp_path, token):
    (tmp_path / "runs").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "recipe.json").write_text("{}")
    assert registry.find(token) is None
    assert registry.model(token or "") is None


def test_tokens_are_long_and_unlike_each_other(registry):
    runs = [registry.submit(RECIPE) for _ in range(3)]
    tokens = {run.token for run in runs}
    assert len(tokens) == 3
    assert all(re.fullmatch(r"run-[A-Za-z0-9_-]{16}", token) for token in tokens)


def test_the_disk_holds_only_so_many_runs_and_never_loses_one_at_work(registry, gate):
    working = registry.submit(RECIPE)
    assert gate.reached.wait(PATIENCE)
    folder = working.folder.parent
    for number in range(KEPT + 5):
        (folder / f"run-{number:016}").mkdir()
    queued = registry.submit(RECIPE)
    assert len(list(folder.glob("run-*"))) == KEPT
    assert working.folder.is_dir()
    assert queued.folder.is_dir()


def test_a_run_that_fails_says_so_and_makes_room(registry, monkeypatch, caplog):
    def fails(*args, **options):
        yield next(iter(HONEST(*args, **options)))
        raise RuntimeError("the machine room")

    monkeypatch.setattr(training, "train", fails)
    run = registry.submit(RECIPE)
    state(run, "failed")
    what, do = run.snapshot.problem
    assert re.fullmatch(re.escape(say("app.failed", number="")).replace(r"\ \)", r" \w{6}\)"), what)
    assert do == say("train.failed_do")
    assert [row["epoch"] for row in run.snapshot.rows] == [0]
    assert "the machine room" in caplog.text
    monkeypatch.undo()
    state(registry.submit(RECIPE), "done")


def test_a_refusal_is_passed_on_in_its_own_words(registry, monkeypatch):
    def diverges(*args, **options):
        raise CannotRun("diverged", epoch=1)
        yield

    monkeypatch.setattr(training, "train", diverges)
    run = registry.submit(RECIPE)
    state(run, "failed")
    assert run.snapshot.problem == (
        say("error.diverged.what", epoch=1),
        say("error.diverged.do"),
    )


def test_nothing_of_a_run_that_is_over_stays_in_memory(registry, gate):
    gate.open.set()
    run = registry.submit(RECIPE)
    state(run, "done")
    token, gone = run.token, weakref.ref(run)
    wait(lambda: token not in [thread.name for thread in threading.enumerate()])
    gc.collect()
    assert len(gate.checkpoints) == 4
    assert [weights() for weights in gate.checkpoints] == [None] * 4
    registry._jobs.clear()
    del run
    gc.collect()
    assert gone() is None
    assert registry.find(token).snapshot.state == "done"


def test_the_loss_curve_is_bounded(registry, monkeypatch):
    monkeypatch.setattr(work, "TICK", 0.0)
    monkeypatch.setattr(runs, "POINTS", 10)
    run = registry.submit(RECIPE)
    state(run, "done")
    assert 5 <= len(run.snapshot.losses) <= 10


def test_a_click_is_answered_when_the_run_has_followed_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(work, "PATIENCE", 60.0)
    run = Run("run-x", Training(), tmp_path)
    run.tell(state="running")
    follows = threading.Timer(0.05, lambda: run.tell(state="paused"))
    follows.start()
    run.pause()
    assert run.snapshot.state == "paused"
    monkeypatch.setattr(work, "PATIENCE", 0.0)
    run.go_on()  # nobody follows, and nobody waits
    assert run.snapshot.state == "paused"
    follows.join()
