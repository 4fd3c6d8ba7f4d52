"""Each rule on spectra whose answer can be read off, and the range of every knob."""

import dataclasses
import math

import numpy as np
import pytest

from rmtviz import knobs, screenot, spiked
from rmtviz.analysis import LayerAnalysis
from rmtviz.errors import BadOption
from rmtviz.fits import BEMA, Bulk, Law, MPFit, Status
from rmtviz.layers import Layer
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.rules import (
    RULES,
    EnergyShare,
    FixedRank,
    Keep,
    NoiseEdge,
    Off,
    OptimalThreshold,
    Rule,
    ScreeNOT,
    Shrinkage,
    TwoSided,
)
from rmtviz.spectrum import Spectrum
from rmtviz.words import catalogue

rules = pytest.mark.parametrize("name", RULES)
KNOBS = [(name, knob) for name, kind in RULES.items() for knob in dataclasses.fields(kind)]


def layer(values: list[float], spikes: int | None = None, status: Status = Status.OK):
    """A square layer with these singular values, of which the fit found so many spikes."""
    p = len(values)
    bulk = None
    if spikes is not None:
        bulk = Bulk(1.0, MarchenkoPastur(1.0, 1.0), 4.0, spikes, 0.01, Law.CLOSE)
    return LayerAnalysis(
        Layer("fc", "linear", ("fc.weight",), (p, p)),
        p * p,
        Spectrum(np.array(values), (p, p)),
        MPFit(BEMA(), status, bulk),
        {"bema": spikes},
    )


@pytest.mark.parametrize(("spikes", "rank"), [(0, 1), (1, 1), (2, 2), (4, 4)])
def test_noise_edge_keeps_the_spikes_and_at_least_one(spikes: int, rank: int) -> None:
    reason = "noise_edge" if spikes else "none_above"
    assert NoiseEdge()(layer([4.0, 3.0, 2.0, 1.0], spikes)) == Keep(rank, reason)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_noise_edge_leaves_a_layer_without_a_bulk_whole_and_says_why(status: Status) -> None:
    keep = NoiseEdge()(layer([4.0, 3.0, 0.0], None, status))
    assert keep == Keep(3, status.value)


@pytest.mark.parametrize(
    ("values", "share", "rank"),
    [
        ([2, 2, 2, 2], 0.0, 1),
        ([2, 2, 2, 2], 0.25, 1),
        ([2, 2, 2, 2], 0.2500001, 2),
        ([2, 2, 2, 2], 0.5, 2),
        ([2, 2, 2, 2], 0.75, 3),
        ([2, 2, 2, 2], 0.9, 4),
        ([2, 2, 2, 2], 1.0, 4),
        ([3, 2, 1], 0.6, 1),  # 9 of 14 is 0.643
        ([3, 2, 1], 0.7, 2),  # 13 of 14 is 0.929
        ([3, 2, 1], 0.93, 3),
        ([5, 0, 0], 0.0, 1),
        ([5, 0, 0], 0.999, 1),
        ([5, 0, 0], 1.0, 3),
        ([0, 0, 0], 0.0, 3),
        ([0, 0, 0], 0.5, 3),
    ],
)
def test_energy_keeps_the_fewest_values_that_hold_the_share(values, share, rank) -> None:
    assert EnergyShare(share)(layer([float(value) for value in values])) == Keep(rank, "energy")


@pytest.mark.parametrize(("rank", "kept"), [(1, 1), (2, 2), (3, 3), (4, 3), (65536, 3)])
def test_a_fixed_rank_is_that_rank_or_all(rank: int, kept: int) -> None:
    assert FixedRank(rank)(layer([3.0, 2.0, 1.0])) == Keep(kept, "fixed_rank")


def test_off_keeps_all() -> None:
    assert Off()(layer([3.0, 0.0, 0.0], 1)) == Keep(3, "off")


@rules
@pytest.mark.parametrize("values", [[1.0], [3.0, 1.0], [0.0, 0.0]])
def test_every_rule_keeps_some_of_a_tiny_layer_and_gives_a_reason(name: str, values) -> None:
    keep = RULES[name]()(layer(values, None, Status.TOO_SMALL))
    assert type(keep.rank) is int
    assert 1 <= keep.rank <= len(values)
    assert f"reason.{keep.reason}" in catalogue()


@rules
@pytest.mark.parametrize("spikes", [0, 1, 5])
def test_every_rule_keeps_some_of_a_fitted_layer_and_gives_a_reason(name: str, spikes) -> None:
    values = [*np.linspace(90, 60, spikes), *np.linspace(15.4, 0.1, 60 - spikes)]
    keep = RULES[name]()(layer(values, spikes))
    assert type(keep.rank) is int
    assert 1 <= keep.rank <= 60
    assert f"reason.{keep.reason}" in catalogue()


@pytest.mark.parametrize(("name", "knob"), KNOBS, ids=lambda item: getattr(item, "name", item))
def test_knobs_hold_their_range(name: str, knob: dataclasses.Field) -> None:
    low, high, among = (knob.metadata[key] for key in ("low", "high", "among"))
    inside = among or (low, high, knob.default)
    outside = () if among else (low - 1e-9, high + 1e-9, float("nan"), float("inf"), "1", True)
    for value in inside:
        choice = RULES[name](**{knob.name: value})
        assert getattr(choice, knob.name) == value
        assert knobs.make(RULES, name, {knob.name: str(value)}) == choice
    for value in (*outside, None, "many"):
        with pytest.raises(BadOption, match=knob.name):
            RULES[name](**{knob.name: value})
    with pytest.raises(BadOption, match=knob.name):
        knobs.make(RULES, name, {knob.name: "many"})


def test_the_ranges_themselves() -> None:
    ranges = {
        (name, knob.name): (knob.metadata["low"], knob.metadata["high"]) for name, knob in KNOBS
    }
    assert ranges["energy", "share"] == (0.0, 1.0)
    assert ranges["rank", "rank"] == (1, 65536)


@rules
def test_a_rule_is_a_value_with_words(name: str) -> None:
    kind = RULES[name]
    assert issubclass(kind, Rule)
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert knobs.label(RULES, kind()) == name
    assert {f"choice.{name}.title", f"choice.{name}.help"} <= set(catalogue())
    for knob in dataclasses.fields(kind):
        assert f"choice.{name}.{knob.name}" in catalogue()
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), knob.name, knob.default)


@pytest.mark.parametrize(
    ("rank", "values", "kept"),
    [
        (0, None, None),
        (2, (1.0,), None),
        (2, (1.0, 2.0, 3.0), None),
        (1, (-1.0,), None),
        (1, (math.nan,), None),
        (1, (math.inf,), None),
        (2, None, (0,)),
        (2, None, (1, 0)),
        (2, None, (1, 1)),
        (1, None, (-1,)),
        (0, (), ()),
    ],
)
def test_what_is_no_set_of_values_cannot_be_kept(rank, values, kept) -> None:
    with pytest.raises(ValueError, match="keeps no set"):
        Keep(rank, "off", values, kept)


def test_new_values_and_places_belong_to_the_value() -> None:
    keep = Keep(2, "off", (2.0, 0.0), (0, 3))
    assert keep == Keep(2, "off", values=(2.0, 0.0), kept=(0, 3))
    assert (
        len({keep, Keep(2, "off"), Keep(2, "off", (2.0, 0.0)), Keep(2, "off", None, (0, 3))}) == 4
    )


WIDE = (30, 120)
"""c = ¼: the edges are at ½ and 3/2 of σ√n, the optimal threshold is at 1.758 of it."""

UNIT = 0.2 * math.sqrt(120)
SPIKES = [3.0, 1.9, 1.66, 1.6]
BULK = list(np.linspace(1.4, 0.5, 26))


def wide(values: list[float], spikes: int | None = None) -> LayerAnalysis:
    """A wide layer with these normalised values, σ = 0.2, and a fit that found the spikes."""
    found = layer([1.0])
    spikes = sum(value > 1.5 for value in values) if spikes is None else spikes
    bulk = Bulk(0.2, MarchenkoPastur(0.25, 0.04), 0.04 * 1.55**2, spikes, 0.01, Law.CLOSE)
    return dataclasses.replace(
        found,
        layer=Layer("fc", "linear", ("fc.weight",), WIDE),
        spectrum=Spectrum(UNIT * np.array(values), WIDE),
        fit=MPFit(BEMA(), Status.OK, bulk),
    )


def test_optimal_threshold_drops_spikes_close_to_the_edge() -> None:
    # beside four spikes, noise is 26 × 116, and the threshold 1.731 · √116/√120
    assert spiked.hard_threshold(26 / 116) * math.sqrt(116 / 120) == pytest.approx(1.702, abs=1e-3)
    assert OptimalThreshold()(wide(SPIKES + BULK)) == Keep(2, "optimal_threshold")
    assert NoiseEdge()(wide(SPIKES + BULK)).rank == 4
    assert OptimalThreshold()(wide([1.6, *BULK, 0.4, 0.3, 0.2])).rank == 1


def test_optimal_threshold_by_the_median_needs_no_sigma() -> None:
    values = SPIKES + BULK
    middle = np.median(values) * spiked.hard_threshold_by_median(0.25)
    rank = sum(value > middle for value in values)
    assert OptimalThreshold("median")(wide(values)) == Keep(rank, "optimal_threshold")


@pytest.mark.parametrize("loss", spiked.LOSSES)
def test_shrinkage_gives_the_spikes_the_values_of_its_loss(loss: str) -> None:
    keep = Shrinkage(loss)(wide(SPIKES + BULK))
    unit = 0.2 * math.sqrt(116)
    shrunk = unit * spiked.LOSSES[loss](UNIT * np.array(SPIKES) / unit, 26 / 116)
    expected = [value for value in shrunk if value > 0]
    assert keep.reason == "shrinkage"
    assert keep.values == pytest.approx(expected)
    assert keep.rank == len(expected) == 4
    assert keep.kept is None
    assert all(new < UNIT * old for new, old in zip(keep.values, SPIKES, strict=False))


def test_shrinkage_drops_spikes_that_shrink_to_nothing() -> None:
    values = [3.0, 1.9, 1.7, 1.49, *BULK]
    ranks = {loss: Shrinkage(loss)(wide(values, 4)).rank for loss in spiked.LOSSES}
    assert ranks == {"frobenius": 4, "operator": 4, "nuclear": 3}


def test_shrinkage_keeps_the_largest_where_all_shrink_to_nothing() -> None:
    assert Shrinkage()(wide([*BULK, 0.4, 0.3, 0.2, 0.1], spikes=0)) == Keep(1, "none_above")
    assert Shrinkage()(wide([*BULK, 0.4, 0.3, 0.2, 0.1], spikes=2)) == Keep(1, "none_above")


def test_screenot_keeps_what_is_above_its_threshold() -> None:
    values = np.array(SPIKES + BULK)
    for share, bound in ((0.01, 1), (0.1, 3), (0.25, 8), (0.45, 14)):
        threshold = screenot.threshold(values, 0.25, bound)
        rank = max(int((values > threshold).sum()), 1)
        assert ScreeNOT(share)(wide(SPIKES + BULK)) == Keep(rank, "screenot")


def test_screenot_needs_values_but_no_law() -> None:
    values = [60.0, *np.linspace(15, 1, 39)]
    assert ScreeNOT()(layer(values, None, Status.NO_BULK)) == Keep(1, "screenot")
    for status in (Status.TOO_SMALL, Status.DEGENERATE):
        assert ScreeNOT()(layer(values, None, status)) == Keep(40, status.value)


def test_two_sided_keeps_what_is_below_the_lower_edge() -> None:
    found = wide([*SPIKES, *BULK[:22], 0.3, 0.2, 0.1, 0.0])
    assert found.below == 4
    keep = TwoSided()(found)
    assert keep == Keep(8, "two_sided", kept=(0, 1, 2, 3, 26, 27, 28, 29))
    assert TwoSided()(wide(SPIKES + BULK)) == Keep(4, "two_sided")
    assert TwoSided()(wide([*BULK, 0.3, 0.2, 0.1, 0.0])).kept == (0, 26, 27, 28, 29)
    assert TwoSided()(layer([4.0, 3.0, 2.0, 0.0], 2)) == Keep(2, "two_sided")  # square


@pytest.mark.parametrize("rule", [OptimalThreshold, Shrinkage, TwoSided])
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_rules_that_need_the_law_leave_a_layer_without_one_whole(rule, status: Status) -> None:
    assert rule()(layer([4.0, 3.0, 0.0], None, status)) == Keep(3, status.value)


def test_where_only_the_equalised_matrix_has_a_law_values_are_not_changed() -> None:
    found = wide(SPIKES + BULK)
    scaled = Spectrum(np.array([9.0, 8.0, 7.0, *BULK, 0.4]) * math.sqrt(120), WIDE)
    bulk = dataclasses.replace(found.bulk, sigma=1.0, law=MarchenkoPastur(0.25), spikes=3)
    found = dataclasses.replace(found, fit=MPFit(BEMA(), Status.OK, bulk, scaled))
    assert OptimalThreshold()(found) == Keep(3, "optimal_threshold")
    assert Shrinkage()(found) == TwoSided()(found) == Keep(30, "equalised")


@pytest.mark.parametrize("rule", [OptimalThreshold, Shrinkage])
def test_what_is_optimal_for_the_matrix_says_that_it_is_not_for_the_accuracy(rule) -> None:
    words = catalogue()[f"choice.{knobs.label(RULES, rule())}.help"]
    assert "not for the accuracy" in words


def test_a_knob_of_words_takes_those_only() -> None:
    with pytest.raises(BadOption, match="frobenius, operator, nuclear") as refusal:
        knobs.make(RULES, "shrinkage", {"loss": "schatten"})
    assert refusal.value.key == "knob_among"
    for name, knob in KNOBS:
        for word in knob.metadata["among"] or ():
            assert f"choice.{name}.{knob.name}_{word}" in catalogue()
