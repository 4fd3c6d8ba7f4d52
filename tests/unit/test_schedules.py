"""When to cut, on moments made by hand, and which cuts the gate lets through."""

import dataclasses
import json

import numpy as np
import pytest

from rmtviz import analysis, knobs
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import BadOption
from rmtviz.fits import BEMA
from rmtviz.rules import BulkShare, EnergyShare, NoiseEdge
from rmtviz.schedules import (
    SCHEDULES,
    Every,
    Falling,
    Look,
    Moment,
    Once,
    Rising,
    Saving,
    Settled,
)
from rmtviz.training import Training
from rmtviz.words import catalogue, say

schedules = pytest.mark.parametrize("name", SCHEDULES)
SHARED = {field.name for field in dataclasses.fields(Once)} - {"epoch"}


def moment(epoch: int, epochs: int = 30, errors=None, looks=(), cuts=()) -> Moment:
    falling = tuple(1 / (1 + e) for e in range(epoch + 1))
    return Moment(epoch, epochs, falling if errors is None else errors, tuple(looks), tuple(cuts))


def due(schedule, epochs: int = 12) -> list[int]:
    """The epochs after which it cuts, where every cut is made."""
    cuts: list[int] = []
    for epoch in range(epochs + 1):
        if schedule.due(moment(epoch, epochs, cuts=cuts)):
            cuts.append(epoch)
    return cuts


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [
        (Once(epoch=0), [0]),
        (Once(epoch=12), [12]),
        (Every(), [3, 6, 9]),
        (Every(first=0, every=5), [0, 5, 10]),
        (Every(first=2, every=4, most=2), [2, 6]),
        (Falling(every=4), [4, 8]),
        (Saving(every=5), [5, 10]),
        (Rising(), []),
        (Settled(), []),
    ],
    ids=str,
)
def test_each_is_due_when_it_says(schedule, epochs) -> None:
    assert due(schedule) == epochs


def test_a_falling_share_falls_to_nothing_and_leaves_other_rules_alone() -> None:
    schedule = Falling(over=20)
    shares = [schedule.rule(BulkShare(0.7), moment(epoch)).share for epoch in (4, 10, 20, 28)]
    assert shares == pytest.approx([0.8, 0.5, 0, 0])
    assert schedule.rule(EnergyShare(0.9), moment(4)) == EnergyShare(0.9)


def test_rising_waits_for_its_patience_and_begins_anew_after_a_cut() -> None:
    errors = (0.9, 0.3, 0.2, 0.25, 0.24)
    schedule = Rising(patience=2)
    assert not schedule.due(moment(3, errors=errors[:4]))
    assert schedule.due(moment(4, errors=errors))
    assert not schedule.due(moment(5, errors=(*errors, 0.3), cuts=(4,)))
    assert schedule.due(moment(6, errors=(*errors, 0.3, 0.26), cuts=(4,)))


@pytest.mark.parametrize(
    ("watched", "spikes", "distances", "rests"),
    [
        ("spikes", (20, 21, 20), (0.1, 0.2, 0.3), True),
        ("spikes", (20, 23, 20), (0.1, 0.1, 0.1), False),
        ("fit", (20, 40, 60), (0.1, 0.105, 0.1), True),
        ("spikes", (0, 0, 0), (0.1, 0.2, 0.3), True),
        ("spikes", (None, None, None), (0.1, 0.1, 0.1), False),
    ],
)
def test_settled_is_when_all_that_is_watched_has_come_to_rest(
    watched, spikes, distances, rests
) -> None:
    looks = [
        Look(epoch, {"0": spike, "2": None}, {"0": far, "2": None})
        for epoch, (spike, far) in enumerate(zip(spikes, distances, strict=True), start=4)
    ]
    schedule = Settled(watched=watched)
    assert schedule.due(moment(6, looks=looks)) is rests
    assert not schedule.due(moment(6, looks=looks, cuts=(4,)))
    assert not schedule.due(moment(6, looks=looks[1:]))


@schedules
def test_every_schedule_is_a_value_that_survives_json_and_words(name: str) -> None:
    schedule = SCHEDULES[name]()
    recipe = Training(schedule=schedule, rule=BulkShare(0.45))
    assert Training(**json.loads(json.dumps(recipe.record()))) == recipe
    assert hash(recipe) == hash(Training(**recipe.record()))
    values = {knob: str(value) for knob, value in knobs.values(schedule).items()}
    assert knobs.make(SCHEDULES, name, values) == schedule
    own = set(values) - SHARED
    for key in ("title", "help", *own):
        assert say(f"choice.{name}.{key}")
    for key in SHARED:
        assert say(f"choice.schedule.{key}")


@schedules
def test_no_schedule_looks_at_more_than_the_moment_and_none_but_once_cuts_at_the_end(name) -> None:
    schedule = SCHEDULES[name]()
    rest = [Look(epoch, {"0": 5}, {"0": 0.1}) for epoch in range(1, 13)]
    last = moment(12, 12, errors=(0.1, *[0.5] * 12), looks=rest)
    assert schedule.due(last) is False


@schedules
def test_knobs_hold_their_ranges(name: str) -> None:
    for field in dataclasses.fields(SCHEDULES[name]):
        low, high = field.metadata["low"], field.metadata["high"]
        wrong = "neither" if field.metadata["among"] else high + 1
        with pytest.raises(BadOption, match=field.name):
            SCHEDULES[name](**{field.name: wrong})
        if not field.metadata["among"]:
            assert dataclasses.replace(SCHEDULES[name](), **{field.name: low})


@pytest.fixture(scope="module")
def planted():
    """Three layers of noise, the first with four planted directions."""
    rng = np.random.default_rng(5)
    first = rng.standard_normal((80, 120)) / 10
    first += 3 * np.linalg.qr(rng.standard_normal((80, 4)))[0] @ rng.standard_normal((4, 120)) / 4
    others = {"2.weight": rng.standard_normal((60, 80)), "4.weight": rng.standard_normal((30, 60))}
    return analysis.analyze(Checkpoint.of({"0.weight": first, **others}), BEMA())


def forms(schedule, planted, rule=None):
    plan = schedule.plan(planted, rule or BulkShare(), moment(3))
    return [(cut.rank_after, cut.form, cut.reason) for cut in plan.cuts]


def test_the_gate_is_the_cuts_stability_or_the_papers_distance_or_open(planted) -> None:
    spikes = planted["0"].spikes
    assert spikes == 4
    assert forms(Once(), planted)[0] == (4, "factored", "bulk_share")
    assert forms(Once(gate="distance", distance=0.0), planted)[0] == (80, "whole", "far_from_law")
    assert forms(Once(gate="distance", distance=0.2), planted)[0][1] == "factored"
    broken = dataclasses.replace(planted["0"], ranks={"bema": 4, "kritchman-nadler": 40})
    doubtful = dataclasses.replace(planted, layers=(broken, *planted.layers[1:]))
    assert forms(Once(), doubtful)[0] == (80, "whole", "unstable")
    assert forms(Once(gate="none"), doubtful)[0][0] == 4
    assert forms(Once(), doubtful, EnergyShare(0.5))[0][2] == "energy"
    assert {reason for _, _, reason in forms(Once(), doubtful)} <= {
        key.removeprefix("reason.") for key in catalogue()
    }


def test_the_last_layer_is_left_unless_asked_for(planted) -> None:
    assert forms(Once(), planted)[-1] == (30, "whole", "last")
    assert forms(Once(last="cut"), planted)[-1][1] == "factored"


def test_a_cut_that_does_not_save_overwrites_and_saving_leaves_it(planted) -> None:
    rule = BulkShare(0.9)
    rank = 4 + int(0.9 * 76)
    assert forms(Once(), planted, rule)[0] == (rank, "dense", "bulk_share")
    assert forms(Saving(), planted, rule)[0] == (80, "whole", "not_worth")
    assert forms(Once(form="dense"), planted)[0][:2] == (4, "dense")


def test_with_no_share_kept_the_rule_is_the_noise_edge(planted) -> None:
    kept = [BulkShare()(layer).rank for layer in planted]
    assert kept == [NoiseEdge()(layer).rank for layer in planted]
    assert [BulkShare(1.0)(layer).rank for layer in planted] == [80, 60, 30]
    assert BulkShare(0.0, 100.0)(planted["0"]).rank == 1
