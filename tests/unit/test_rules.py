"""Each rule on spectra whose answer can be read off, and the range of every knob."""

import dataclasses

import numpy as np
import pytest

from rmtviz import knobs
from rmtviz.analysis import LayerAnalysis
from rmtviz.errors import BadOption
from rmtviz.fits import BEMA, Bulk, Law, MPFit, Status
from rmtviz.layers import Layer
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.rules import RULES, EnergyShare, FixedRank, Keep, NoiseEdge, Off, Rule
from rmtviz.spectrum import Spectrum
from rmtviz.words import catalogue

rules = pytest.mark.parametrize("name", RULES)
KNOBS = [(name, knob) for name, kind in RULES.items() for knob in dataclasses.fields(kind)]


def layer(values: list[float], spikes: int | None = None, status: Status = Status.OK):
    """A square layer with these singular values, of which the fit found so many spikes."""
    p = len(values)
    bulk = None
    if spikes is not None:
        bulk = Bulk(MarchenkoPastur(1.0, 1.0), 4.0, spikes, 0.01, Law.CLOSE)
    return LayerAnalysis(
        Layer("fc", "linear", ("fc.weight",), (p, p)),
        p * p,
        Spectrum(np.array(values), (p, p)),
        MPFit(BEMA(), status, bulk),
        {"bema": spikes},
    )


@pytest.mark.parametrize(("spikes", "rank"), [(0, 1), (1, 1), (2, 2), (4, 4)])
def test_noise_edge_keeps_the_spikes_and_at_least_one(spikes: int, rank: int) -> None:
    assert NoiseEdge()(layer([4.0, 3.0, 2.0, 1.0], spikes)) == Keep(rank, "noise_edge")


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
@pytest.mark.parametrize("values", [[1.0], [3.0, 1.0], [0.0, 0.0], [2.0] * 30])
@pytest.mark.parametrize("spikes", [None, 0, 1])
def test_every_rule_keeps_some_and_gives_a_reason(name: str, values, spikes) -> None:
    status = Status.TOO_SMALL if spikes is None else Status.OK
    keep = RULES[name]()(layer(values, spikes, status))
    assert type(keep.rank) is int
    assert 1 <= keep.rank <= len(values)
    assert f"reason.{keep.reason}" in catalogue()


@pytest.mark.parametrize(("name", "knob"), KNOBS, ids=lambda item: getattr(item, "name", item))
def test_knobs_hold_their_range(name: str, knob: dataclasses.Field) -> None:
    low, high = knob.metadata["low"], knob.metadata["high"]
    for inside in (low, high, knob.default):
        assert getattr(RULES[name](**{knob.name: inside}), knob.name) == inside
        assert knobs.make(RULES, name, {knob.name: str(inside)}) == RULES[name](inside)
    for outside in (low - 1e-9, high + 1e-9, float("nan"), float("inf"), "1", None, True):
        with pytest.raises(BadOption, match=knob.name):
            RULES[name](**{knob.name: outside})
    with pytest.raises(BadOption, match=knob.name):
        knobs.make(RULES, name, {knob.name: "many"})


def test_the_ranges_themselves() -> None:
    ranges = {(name, knob.name): dict(knob.metadata) for name, knob in KNOBS}
    assert ranges == {
        ("energy", "share"): {"low": 0.0, "high": 1.0},
        ("rank", "rank"): {"low": 1, "high": 65536},
    }


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
