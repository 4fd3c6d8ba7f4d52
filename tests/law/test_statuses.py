"""Spectra without a bulk: each has a status, no number is made up, and JSON holds nulls."""

import json

import numpy as np
import pytest

from rmtviz import analysis, verdict
from rmtviz.fits import METHODS, Status

methods = pytest.mark.parametrize("name", METHODS)

NUMBERS = (
    "sigma",
    "bulk_edge",
    "bulk_edge_lower",
    "cut",
    "spikes",
    "ks",
    "law",
    "stable",
    "bulk_directions",
    "bulk_energy",
    "below_lower_edge",
)
"""What a layer without a bulk does not have."""


def product(rng: np.random.Generator, rank: int) -> np.ndarray:
    return rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 60))


CASES = {
    "19 rows": (Status.TOO_SMALL, lambda rng: rng.normal(size=(19, 500))),
    "19 columns": (Status.TOO_SMALL, lambda rng: rng.normal(size=(500, 19))),
    "one row": (Status.TOO_SMALL, lambda rng: rng.normal(size=(1, 500))),
    "one entry": (Status.TOO_SMALL, lambda rng: np.ones((1, 1))),
    "zero": (Status.DEGENERATE, lambda rng: np.zeros((30, 50))),
    "small zero": (Status.TOO_SMALL, lambda rng: np.zeros((3, 50))),
    "constant": (Status.DEGENERATE, lambda rng: np.full((30, 50), 0.7)),
    "rank one": (Status.DEGENERATE, lambda rng: np.outer(rng.normal(size=30), np.arange(1.0, 51))),
    "low rank": (Status.DEGENERATE, lambda rng: product(rng, 5)),
    "nine tenths of the rank": (Status.DEGENERATE, lambda rng: product(rng, 36)),
    "identity": (Status.DEGENERATE, lambda rng: np.eye(40)),
    "permutation": (Status.DEGENERATE, lambda rng: np.eye(40)[rng.permutation(40)]),
    "orthogonal": (Status.DEGENERATE, lambda rng: 3 * np.linalg.qr(rng.normal(size=(40, 40)))[0]),
    "orthogonal rows": (
        Status.DEGENERATE,
        lambda rng: np.linalg.qr(rng.normal(size=(60, 60)))[0][:30],
    ),
    "doubled rows": (Status.DEGENERATE, lambda rng: np.repeat(rng.normal(size=(20, 60)), 2, 0)),
    "log-uniform": (Status.NO_BULK, lambda rng: np.diag(np.logspace(0, -3, 50))),
    "almost orthogonal": (
        Status.NO_BULK,
        lambda rng: np.eye(40) + 1e-4 * rng.normal(size=(40, 40)),
    ),
    "squares below the smallest number": (
        Status.NO_BULK,
        lambda rng: 1e-180 * rng.normal(size=(30, 50)),
    ),
}


@methods
@pytest.mark.parametrize("case", CASES)
def test_without_a_bulk_there_is_a_status_and_no_number(rng, name: str, case: str) -> None:
    status, make = CASES[case]
    if name == "dyson" and case == "squares below the smallest number":
        pytest.skip("the equalised matrix has no scale, so nothing is too small for it")
    result = analysis.analyze({"a.weight": make(rng)}, METHODS[name]())
    (layer,) = result
    assert layer.status is status
    assert layer.fit.bulk is layer.fit.spikes is layer.edges is layer.law is layer.stable is None
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))["layers"][0]
    assert record["status"] == status.value
    assert [record[key] for key in NUMBERS] == [None] * len(NUMBERS)
    assert set(record["ranks"].values()) == {None}
    for sentence in (verdict.of_layer(layer), verdict.of_fit(layer), verdict.of_model(result)):
        assert sentence
        assert "None" not in sentence
    assert verdict.of_range(layer) == ""


@methods
def test_twenty_values_are_enough(rng, name: str) -> None:
    (layer,) = analysis.analyze({"a.weight": rng.normal(size=(20, 60))}, METHODS[name]())
    assert layer.status is Status.OK
    assert None not in layer.to_dict().values()


@methods
@pytest.mark.parametrize("scale", [1e-120, 1e-30, 1e30, 1e120])
def test_fits_at_the_ends_of_the_number_range(rng, name: str, scale: float) -> None:
    w = rng.normal(size=(40, 60))
    (plain,) = analysis.analyze({"a.weight": w}, METHODS[name]())
    (scaled,) = analysis.analyze({"a.weight": scale * w}, METHODS[name]())
    scale = 1.0 if plain.scaled else scale
    assert scaled.sigma == pytest.approx(scale * plain.sigma, rel=1e-9, abs=0)
    assert scaled.cut == pytest.approx(scale * plain.cut, rel=1e-9, abs=0)
    assert scaled.ks == pytest.approx(plain.ks, abs=1e-9)
    assert (scaled.spikes, scaled.ranks) == (plain.spikes, plain.ranks)


@methods
def test_entries_too_large_for_their_squares_are_skipped(rng, name: str) -> None:
    result = analysis.analyze({"a.weight": 1e200 * rng.normal(size=(40, 60))}, METHODS[name]())
    assert result.layers == ()
    assert [item.reason for item in result.skipped] == ["not_finite"]
