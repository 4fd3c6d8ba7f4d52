"""Training can be repeated, stopped and resumed, and disturbs nothing but its own folder."""

import itertools
import math
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from rmtviz import formats, training
from rmtviz.datasets import MNIST
from rmtviz.datasets import of as dataset_of
from rmtviz.errors import BadOption, CannotRun
from rmtviz.evaluation import evaluate
from rmtviz.networks import MLP, detect
from rmtviz.training import RATES, Progress, Stopped, Training, initial, train

SMALL = Training(widths=(16, 8), epochs=4, train_samples=700, batch_size=100, label_noise=0.2)
"""Seven steps an epoch, so that an epoch can be cut in the middle."""

CHILD = """
import os, signal, sys
from pathlib import Path
from rmtviz.training import Training, train

folder, resume, moment = Path(sys.argv[1]), sys.argv[2] == "resume", sys.argv[3]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def on_batch(progress):
    if moment == "within" and (progress.epoch, progress.step) == (2, 5):
        die()

moves = 0
def replace(path, target, move=Path.replace):
    global moves
    moves += 1
    if moment == "saving" and moves == 2:
        die()
    return move(path, target)

Path.replace = replace
recipe = Training(**{recipe})
for record in train(recipe, folder, resume, on_batch):
    if moment == "between" and record.epoch == 3:
        die()
"""


def content(records):
    """All that a run yields, but for how long it took."""
    return [
        {
            name: value
            for name, value in (record.row() | {"digest": record.checkpoint.digest}).items()
            if name not in ("seconds", "spectra_seconds", "spectra_share")
        }
        for record in records
    ]


@pytest.fixture(scope="module")
def whole():
    """The records of the small run, uninterrupted."""
    return list(train(SMALL))


def test_a_run_yields_the_untrained_network_and_one_for_each_epoch(whole):
    assert [record.epoch for record in whole] == [0, 1, 2, 3, 4]
    assert whole[0].checkpoint.digest == initial(SMALL).digest
    assert len({record.checkpoint.digest for record in whole}) == 5
    assert {record.parameters for record in whole} == {784 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10}
    assert list(whole[-1].checkpoint) == [
        f"{place}.{part}" for place in (0, 2, 4) for part in ("weight", "bias")
    ]


def test_it_learns():
    recipe = Training(
        widths=(32,), epochs=2, train_samples=4_000, batch_size=50, learning_rate=3e-3
    )
    first, *_, last = train(recipe)
    assert first.selection_accuracy < 0.3
    assert last.selection_accuracy > 0.85
    assert last.train_loss < 0.6 < first.train_loss


def test_loss_and_accuracies_are_those_of_the_epochs_last_weights(whole):
    record, dataset = whole[-1], SMALL.data()
    network = MLP()(record.checkpoint)
    seen = evaluate(network, dataset.split("train").first(SMALL.train_samples))
    assert (record.train_loss, record.train_accuracy) == (seen.loss, seen.accuracy)
    assert record.selection_accuracy == evaluate(network, dataset.split("selection")).accuracy


def test_the_same_seed_makes_the_same_run_and_another_seed_another(whole):
    assert content(train(SMALL)) == content(whole)
    other = Training(**{**SMALL.record(), "seed": 1})
    assert content(train(other))[0] != content(whole)[0]


def test_initial_weights_are_uniform_within_torchs_bounds():
    checkpoint = initial(Training())
    for name, columns in (("0.weight", 784), ("2.weight", 512), ("4.weight", 256), ("0.bias", 784)):
        assert checkpoint.tensors[name].dtype == np.float32
        entries = checkpoint[name] * np.sqrt(columns)
        assert 0.95 < abs(entries).max() <= 1.000001
        assert abs(entries.mean()) < 5 / np.sqrt(3 * entries.size)
        assert abs(entries.var() - 1 / 3) < 5 * np.sqrt(4 / 45 / entries.size)


def test_a_step_is_adams():
    """One batch of everything, against Adam as it is written (Kingma and Ba, ICLR 2015)."""
    recipe = Training(
        widths=(), epochs=2, train_samples=50, batch_size=50, weight_decay=0.1, rate="constant"
    )
    dataset = recipe.data()
    samples = dataset.split("train").first(50)
    images = samples.images / 255
    targets = np.eye(10)[samples.labels]
    records = list(train(recipe))
    weights = records[0].checkpoint["0.weight"].astype(np.float64)
    bias = records[0].checkpoint["0.bias"].astype(np.float64)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    bias_mean, bias_square = np.zeros_like(bias), np.zeros_like(bias)
    for step, record in enumerate(records[1:], start=1):
        scores = np.exp(images @ weights.T + bias)
        error = (scores / scores.sum(axis=1, keepdims=True) - targets) / 50
        slope, bias_slope = error.T @ images + 0.1 * weights, error.sum(axis=0) + 0.1 * bias
        mean, bias_mean = 0.9 * mean + 0.1 * slope, 0.9 * bias_mean + 0.1 * bias_slope
        square = 0.999 * square + 0.001 * slope**2
        bias_square = 0.999 * bias_square + 0.001 * bias_slope**2
        first, second = 1 - 0.9**step, 1 - 0.999**step
        weights -= 1e-3 * (mean / first) / (np.sqrt(square / second) + 1e-8)
        bias -= 1e-3 * (bias_mean / first) / (np.sqrt(bias_square / second) + 1e-8)
        assert np.allclose(record.checkpoint["0.weight"], weights, atol=2e-6)
        assert np.allclose(record.checkpoint["0.bias"], bias, atol=2e-6)


def test_the_falling_rate_begins_at_one_and_ends_near_zero():
    assert [RATES["cosine"](share) for share in (0, 0.5)] == [1, pytest.approx(0.5)]
    assert 0 < RATES["cosine"](0.99) < 0.001
    assert {RATES["constant"](share) for share in (0, 0.5, 0.99)} == {1}


def test_the_random_state_of_torch_and_numpy_is_neither_read_nor_moved(whole):
    torch.manual_seed(77)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    assert content(train(SMALL)) == content(whole)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_runs_in_turns_and_in_threads_do_not_disturb_each_other(whole):
    other = Training(**{**SMALL.record(), "seed": 5, "widths": [9]})
    alone = content(train(other))
    turns = list(zip(train(SMALL), train(other), strict=True))
    assert content(first for first, _ in turns) == content(whole)
    assert content(second for _, second in turns) == alone
    found = {}

    def work(name, recipe):
        found[name] = content(train(recipe, on_batch=lambda _: torch.rand(3)))

    threads = [
        threading.Thread(target=work, args=(name, recipe))
        for name, recipe in (("small", SMALL), ("other", other), ("again", SMALL))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"small": content(whole), "other": alone, "again": content(whole)}


def test_progress_counts_every_batch():
    seen: list[Progress] = []
    *_, last = train(SMALL, on_batch=seen.append)
    assert [(it.epoch, it.step) for it in seen] == list(
        itertools.product((1, 2, 3, 4), range(1, 8))
    )
    assert {it.steps for it in seen} == {7}
    assert all(it.loss > 0 for it in seen)
    assert last.epoch == 4


def test_a_batch_may_stop_the_run_and_what_was_kept_goes_on(tmp_path, whole):
    def stop(progress):
        if (progress.epoch, progress.step) == (3, 2):
            raise Stopped

    with pytest.raises(Stopped):
        list(train(SMALL, tmp_path, on_batch=stop))
    assert content(train(SMALL, tmp_path, resume=True)) == content(whole)
    assert content(train(SMALL, tmp_path, resume=True)) == content(whole)


def test_a_run_killed_three_times_equals_one_that_was_not(tmp_path, whole):
    script = CHILD.replace("{recipe}", repr(SMALL.record()))
    kept = []
    for resume, moment in (("", "within"), ("resume", "saving"), ("resume", "between")):
        command = [sys.executable, "-c", script, str(tmp_path), resume, moment]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        kept.append(sorted(path.name for path in tmp_path.glob("epoch-*.safetensors")))
    assert [len(names) for names in kept] == [2, 3, 4]
    resumed = list(train(SMALL, tmp_path, resume=True))
    assert content(resumed) == content(whole)
    for record, straight in zip(resumed, whole, strict=True):
        for name in straight.checkpoint:
            assert record.checkpoint[name].tobytes() == straight.checkpoint[name].tobytes()


def test_every_file_of_a_run_is_an_ordinary_checkpoint(tmp_path, whole):
    list(train(SMALL, tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"state.safetensors", *(f"epoch-00{epoch}.safetensors" for epoch in range(5))}
    last = formats.read(tmp_path / "epoch-004.safetensors")
    assert last.digest == whole[-1].checkpoint.digest
    dataset, foreign = dataset_of(last)
    assert not foreign
    assert np.array_equal(dataset.train_labels, SMALL.data().train_labels)
    assert detect(last, dataset, foreign) == MLP()


def test_a_new_run_takes_out_the_old_one_and_another_recipe_is_not_resumed(tmp_path):
    list(train(SMALL, tmp_path))
    with pytest.raises(BadOption, match="other options"):
        next(train(Training(), tmp_path, resume=True))
    short = Training(**{**SMALL.record(), "epochs": 1})
    list(train(short, tmp_path))
    assert len(list(tmp_path.glob("epoch-*"))) == 2


def test_resuming_where_nothing_was_kept_begins(tmp_path, whole):
    assert content(train(SMALL, tmp_path / "new", resume=True)) == content(whole)


def test_training_that_diverges_says_so_and_names_the_epoch(monkeypatch):
    def explode(outputs, labels):
        return outputs.sum() * (math.inf if outputs.detach().abs().max() > 0.9 else 1e3)

    monkeypatch.setattr(training.epoch, "cross_entropy", explode)
    with pytest.raises(CannotRun, match=r"epoch [1-4]") as caught:
        list(train(SMALL))
    assert caught.value.key == "diverged"


def test_a_recipe_survives_json():
    recipe = Training(widths=(30, 20), label_noise=0.25, seed=4)
    assert Training(**recipe.record()) == recipe
    assert hash(Training(**recipe.record())) == hash(recipe)


def test_noise_spoils_training_and_selection_labels_and_no_test_label():
    noisy, clean = SMALL.data(), MNIST()()
    assert np.array_equal(noisy.split("test").labels, clean.split("test").labels)
    for name in ("train", "selection"):
        wrong = (noisy.split(name).labels != clean.split(name).labels).mean()
        assert 0.16 < wrong < 0.2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"label_noise": 1.5}, "label_noise"),
        ({"train_samples": 60_000}, "train_samples"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"widths": (512, 0)}, "512, 0"),
        ({"widths": (8,) * 9}, "8, 8"),
        ({"dataset": "letters"}, "mnist"),
        ({"rate": "up"}, "cosine"),
        ({"schedule": "up"}, "falling"),
        ({"rule": "up"}, "bulk-share"),
        ({"logits": "up"}, "relu"),
        ({"magnitude": 0.5, "schedule": "once"}, "schedule"),
        ({"activation": "step"}, "relu"),
        ({"inputs": "white"}, "unit"),
    ],
)
def test_a_recipe_out_of_range_is_refused(options, said):
    with pytest.raises(BadOption, match=said):
        Training(**options)
