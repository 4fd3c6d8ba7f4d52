"""Training that is cut meanwhile, and the ways to hold a network back that it is compared with."""

import itertools

import numpy as np
import pytest
import torch

from rmtviz import formats, layers
from rmtviz.datasets import MNIST
from rmtviz.errors import BadOption
from rmtviz.evaluation import evaluate
from rmtviz.networks import MLP, detect
from rmtviz.rules import BulkShare, EnergyShare, FixedRank, Shrinkage
from rmtviz.schedules import Every, Falling, Once, Rising, Settled
from rmtviz.training import Stopped, Training, best, branch, train
from rmtviz.training.pacing import BUDGET, Pace

PLAIN = {"widths": (64, 32), "epochs": 4, "train_samples": 1_000, "batch_size": 50}
CUT = Training(
    **{**PLAIN, "widths": (128, 40)},
    schedule=Every(first=1, every=1, gate="none"),
    rule=BulkShare(0.5),
)
RUNS = {
    "cut": CUT,
    "restarted": Training(**PLAIN, schedule=Once(epoch=2, moments="restart", gate="none")),
    "falling": Training(**PLAIN, optimiser="sgd", schedule=Falling(every=1, over=4, gate="none")),
    "shrunken": Training(**PLAIN, schedule=Once(epoch=2, gate="none"), rule=Shrinkage("operator")),
    "dropped": Training(**PLAIN, dropout=0.3),
    "thinned": Training(**PLAIN, magnitude=0.9),
    "impatient": Training(**{**PLAIN, "epochs": 30}, patience=2, learning_rate=0.02),
    "published": Training(**PLAIN, logits="relu", optimiser="sgd", learning_rate=0.08),
}
runs = pytest.mark.parametrize("name", RUNS)


def content(records):
    """All that a run yields, but for how long it took."""
    timed = ("seconds", "spectra_seconds", "spectra_share")
    return [
        {name: value for name, value in record.row().items() if name not in timed}
        | {"digest": record.checkpoint.digest}
        for record in records
    ]


@pytest.fixture(scope="module")
def done():
    """The records of each run, made when asked for."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = list(train(RUNS[name]))
        return made[name]

    return of


@runs
def test_a_stopped_run_resumes_bit_for_bit(name, done, tmp_path) -> None:
    def stop(progress):
        if (progress.epoch, progress.step) == (3, 2):
            raise Stopped

    with pytest.raises(Stopped):
        list(train(RUNS[name], tmp_path, on_batch=stop))
    resumed = list(train(RUNS[name], tmp_path, resume=True))
    assert content(resumed) == content(done(name))
    assert content(train(RUNS[name], tmp_path, resume=True)) == content(resumed)


@runs
def test_every_file_runs_and_is_read_as_recorded(name, done) -> None:
    record = done(name)[-1]
    data = RUNS[name].data()
    read = formats.read(formats.write(record.checkpoint, "safetensors"), "x.safetensors")
    network = RUNS[name].network(data)(read)
    assert evaluate(network, data.split("selection")).accuracy == record.selection_accuracy
    assert detect(read, data).record() == RUNS[name].network(data).record()


def test_ranks_parameters_and_the_cut_say_what_was_stored(done) -> None:
    records = done("cut")
    assert [bool(record.cut) for record in records] == [False, True, True, False, False]
    for record in records:
        found = layers.find(record.checkpoint)[0]
        for layer in found:
            inner = record.checkpoint.tensors[layer.tensors[0]].shape[0]
            assert record.ranks[layer.name] == (inner if layer.factored else min(layer.shape))
        assert record.parameters == record.checkpoint.parameters
    cut = records[1].cut
    (first, second, last) = cut["layers"]
    assert (first["rank_before"], first["rank_after"]) == (128, records[1].ranks["0"])
    assert first["form"] == "factored"
    assert (last["form"], last["reason"]) == ("whole", "last")
    assert second["rank_after"] < 40
    assert 0 <= cut["selection_accuracy_before"] <= 1
    assert records[-1].parameters < records[0].parameters / 2


def test_the_optimiser_goes_on_through_a_cut(done) -> None:
    """A cut that removes almost nothing changes the next epoch almost not at all."""
    whole = list(train(Training(**PLAIN)))
    rule = FixedRank(64)
    same = list(train(Training(**PLAIN, schedule=Once(epoch=2, gate="none"), rule=rule)))
    digests = [[record.checkpoint.digest for record in records] for records in (same, whole)]
    assert digests[0] == digests[1]


def test_a_rule_without_a_fit_cuts_too_and_at_the_end() -> None:
    recipe = Training(**PLAIN, schedule=Once(epoch=4), rule=EnergyShare(0.5))
    *_, before, last = train(recipe)
    assert before.cut is None
    assert last.cut["layers"][0]["reason"] == "energy"
    assert last.selection_accuracy != last.cut["selection_accuracy_before"]


def test_before_the_first_step_random_weights_are_cut_to_the_papers_rank() -> None:
    """Of 784 random values 45 % are 352, or one more where one stands out by chance."""
    recipe = Training(
        widths=(1000,), epochs=1, train_samples=100, schedule=Once(epoch=0), rule=BulkShare(0.45)
    )
    record = next(train(recipe))
    assert record.ranks["0"] in (352, 353)
    assert record.checkpoint["0.0.weight"].size + record.checkpoint["0.1.weight"].size == (
        (784 + 1000) * record.ranks["0"]
    )


def test_shrinkage_gives_the_spikes_new_values(done) -> None:
    record = done("shrunken")[2]
    (pair, _, _) = record.analysis.layers
    assert record.cut["layers"][0]["reason"] == "shrinkage"
    assert record.ranks["0"] == np.count_nonzero(pair.spectrum.values)
    plain = Training(**PLAIN, schedule=Once(epoch=2, gate="none"), rule=BulkShare())
    (other, _, _) = list(train(plain))[2].analysis.layers
    assert pair.rank <= other.rank
    assert (pair.spectrum.values[: pair.rank] < other.spectrum.values[: pair.rank]).all()


def test_rising_errors_cut(done) -> None:
    recipe = Training(
        **{**PLAIN, "epochs": 15}, learning_rate=0.02, schedule=Rising(patience=2, gate="none")
    )
    records = list(train(recipe))
    errors = [1 - record.selection_accuracy for record in records]
    first = next(record.epoch for record in records if record.cut)
    assert min(errors[: first - 1]) <= 1 - records[first].cut["selection_accuracy_before"]


def test_momentum_steps_are_sgds() -> None:
    """One batch of everything, against stochastic gradients with momentum as it is written."""
    recipe = Training(
        widths=(),
        epochs=3,
        train_samples=50,
        batch_size=50,
        rate="constant",
        optimiser="sgd",
        learning_rate=0.1,
        momentum=0.8,
        weight_decay=0.01,
    )
    samples = recipe.data().split("train").first(50)
    images, targets = samples.images / 255, np.eye(10)[samples.labels]
    records = list(train(recipe))
    weights = records[0].checkpoint["0.weight"].astype(np.float64)
    bias = records[0].checkpoint["0.bias"].astype(np.float64)
    held, bias_held = np.zeros_like(weights), np.zeros_like(bias)
    for record in records[1:]:
        scores = np.exp(images @ weights.T + bias)
        error = (scores / scores.sum(axis=1, keepdims=True) - targets) / 50
        held = 0.8 * held + error.T @ images + 0.01 * weights
        bias_held = 0.8 * bias_held + error.sum(axis=0) + 0.01 * bias
        weights, bias = weights - 0.1 * held, bias - 0.1 * bias_held
        assert np.allclose(record.checkpoint["0.weight"], weights, atol=2e-6)
        assert np.allclose(record.checkpoint["0.bias"], bias, atol=2e-6)


def test_dropout_keeps_the_mean_and_its_own_random_numbers(done) -> None:
    from rmtviz.training.epoch import Dropout

    state = torch.get_rng_state()
    values = Dropout(0.3, torch.Generator().manual_seed(1))(torch.ones(100_000))
    assert torch.equal(torch.get_rng_state(), state)
    assert values.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert values.mean().item() == pytest.approx(1, abs=0.01)
    assert content(train(RUNS["dropped"]))[-1] == content(done("dropped"))[-1]
    assert done("dropped")[1].train_loss != next(
        record.train_loss for record in train(Training(**PLAIN)) if record.epoch == 1
    )


def test_magnitude_removes_the_share_and_what_is_gone_stays_gone(done) -> None:
    records = done("thinned")
    zeros = [record.checkpoint["0.weight"] == 0 for record in records]
    for earlier, later in itertools.pairwise(zeros):
        assert (later | ~earlier).all()
    for name in ("0.weight", "2.weight"):
        assert (records[-1].checkpoint[name] == 0).mean() == pytest.approx(0.9, abs=1e-3)
    hidden = 784 * 64 + 64 * 32
    assert records[0].parameters - records[-1].parameters == pytest.approx(0.9 * hidden, abs=2)
    assert (records[-1].checkpoint["4.weight"] != 0).all()


def test_patience_ends_a_run_and_the_best_epoch_is_found(done) -> None:
    records = done("impatient")
    scores = [record.selection_accuracy for record in records]
    assert len(records) < 31
    assert len(scores) - 1 - scores.index(max(scores)) == 2
    assert best(records).epoch == scores.index(max(scores))


def test_relu_on_the_logits_is_the_published_network(done) -> None:
    record = done("published")[-1]
    linear = MLP()(record.checkpoint)
    published = MLP(logits="relu")(record.checkpoint)
    images = MNIST()().split("selection").images[:100]
    assert np.array_equal(published.logits(images), np.maximum(linear.logits(images), 0))


def looked(pace: Pace) -> list[dict]:
    """The rows of a run in which nothing is cut, so far as a pace reads them."""
    rows = []
    for epoch in range(pace.epochs + 1):
        due = pace.due(rows)
        ranks = {str(place): min(shape) for place, shape in enumerate(pace.shapes)}
        latest = epoch if due else rows[-1]["looked"]
        row = {"epoch": epoch, "looked": latest, "ranks": ranks, "cut": None}
        rows.append({**row, "spikes": dict.fromkeys(ranks, 7)})
    return rows


@pytest.mark.parametrize("epochs", [1, 10, 37])
@pytest.mark.parametrize("samples", [500, 6_000, 55_000])
@pytest.mark.parametrize("shapes", [((128, 784), (10, 128)), ((512, 784), (512, 512), (10, 512))])
def test_looks_are_spread_over_the_run_within_their_budget(shapes, samples, epochs) -> None:
    pace = Pace(shapes, samples, epochs)
    rows = looked(pace)
    looks = [row["epoch"] for row in rows if row["looked"] == row["epoch"]]
    assert (looks[0], looks[-1]) == (0, epochs)
    ranks = [min(shape) for shape in shapes]
    allowed, look = BUDGET * epochs * pace.step(ranks), pace.look(ranks, [7] * len(ranks))
    assert pace.spent(rows) == pytest.approx(len(looks) * look)
    assert pace.spent(rows) <= allowed or len(looks) == 2
    if len(looks) <= epochs:
        gaps = np.diff(looks)
        assert max(gaps) - min(gaps) <= max(gaps) / 2
        assert pace.spent(rows) + look * (epochs / max(gaps)) > allowed


def test_the_work_of_a_run_is_counted_with_the_ranks_of_its_rows(done) -> None:
    rows = [record.row() for record in done("cut")]
    pace = Pace.of(CUT, CUT.data(), 1_000)
    assert pace.shapes == ((128, 784), (40, 128), (10, 40))
    first = 128 * 784 + 40 * 128 + 10 * 40
    ranks = [list(row["ranks"].values()) for row in rows]
    held = ranks[1][0] * (128 + 784) + ranks[1][1] * (40 + 128) + 10 * 40
    assert held < first
    assert pace.stepped(rows[:3]) == 3 * 1_000 * (first + held)
    whole = {**rows[1], "cut": None}
    looks = [
        pace.look(r, [k or 0 for k in row["spikes"].values()])
        for r, row in zip(ranks[:2], rows[:2], strict=True)
    ]
    assert pace.spent([rows[0], whole]) == pytest.approx(sum(looks))
    assert pace.spent(rows[:2]) > pace.look(ranks[0], [0, 0, 0]) + sum(looks)


def test_a_schedule_that_watches_has_its_looks_whatever_they_cost() -> None:
    recipe = Training(**{**PLAIN, "epochs": 12}, schedule=Settled(looks=3))
    pace = Pace.of(recipe, recipe.data(), 10)
    alone = Pace.of(Training(**{**PLAIN, "epochs": 12}), recipe.data(), 10)
    epochs = [
        [row["epoch"] for row in looked(x) if row["looked"] == row["epoch"]] for x in (alone, pace)
    ]
    assert epochs == [[0, 12], [0, 3, 6, 9, 12]]


def test_the_last_epoch_is_looked_at_and_the_time_is_told(done) -> None:
    for name in ("cut", "dropped", "impatient"):
        records = done(name)
        assert all(0 <= record.spectra_share <= 1 for record in records)
        assert all(record.looked <= record.epoch for record in records)
        assert records[-1].looked == records[-1].epoch


def test_a_branch_has_the_epochs_before_it_and_goes_its_own_way(tmp_path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    records = list(train(Training(**PLAIN), old))
    changed = Training(**PLAIN, optimiser="sgd", learning_rate=0.05, schedule=Once(epoch=3))
    branch(old, 2, changed, new)
    branched = list(train(changed, new, resume=True))
    assert content(branched)[:3] == content(records)[:3]
    assert [record.epoch for record in branched] == [0, 1, 2, 3, 4]
    assert branched[3].checkpoint.digest != records[3].checkpoint.digest
    assert branched[3].cut
    assert content(train(changed, new, resume=True)) == content(branched)
    assert content(train(Training(**PLAIN), old, resume=True)) == content(records)


def test_a_branch_of_another_network_or_epoch_is_refused(tmp_path) -> None:
    list(train(Training(**PLAIN), tmp_path / "old"))
    with pytest.raises(BadOption, match="from 0 to 4"):
        branch(tmp_path / "old", 5, Training(**PLAIN), tmp_path / "new")
    other = Training(**{**PLAIN, "widths": (64, 30)}, label_noise=0.1)
    with pytest.raises(BadOption, match="widths, label_noise"):
        branch(tmp_path / "old", 2, other, tmp_path / "new")
    assert not (tmp_path / "new").exists()
