"""Results as sentences: the numbers in them are those of the analysis."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from rmtviz import analysis, verdict
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.decomposition import Model
from rmtviz.entries import Entries
from rmtviz.evaluation import Evaluation
from rmtviz.fits import BEMA, Bulk, Law, MPFit, Status
from rmtviz.fits.base import null_band
from rmtviz.layers import Layer
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum
from rmtviz.words import say


def layer(
    spikes: int = 2,
    law: Law = Law.CLOSE,
    ranks: Mapping[str, int | None] | None = None,
    status: Status = Status.OK,
) -> LayerAnalysis:
    """A 20 × 50 layer of twenty equal values, so that shares are easy to count."""
    spectrum = Spectrum(np.full(20, 3.0), (20, 50))
    bulk = Bulk(1.0, MarchenkoPastur(0.4), 1.0, spikes, 0.04, law) if status is Status.OK else None
    fit = MPFit(BEMA(), status, bulk)
    ranks = ranks if ranks is not None else {"bema": spikes, "kritchman-nadler": spikes}
    return LayerAnalysis(Layer("l", "linear", ("l",), (20, 50)), 1000, spectrum, fit, ranks)


def model(*layers: LayerAnalysis) -> Analysis:
    return Analysis(Model("x", "0", "arrays", 0, 0), BEMA(), layers, (), 0.1)


def test_an_estimated_spectrum_is_called_so() -> None:
    exact = layer()
    estimated = replace(exact, spectrum=replace(exact.spectrum, estimated=0.0021))
    sentence = say("verdict.noise_estimated", error=0.0021)
    assert "0.21%" in sentence
    assert verdict.of_noise(exact) == ()
    assert verdict.of_noise(estimated) == (sentence,)


def test_some_of_the_directions() -> None:
    assert verdict.of_layer(layer(spikes=5)) == say(
        "verdict.layer_some", bulk=15, spikes=5, p=20, directions=0.75, energy=0.25
    )
    assert "15 of 20" in verdict.of_layer(layer(spikes=5))
    assert "75%" in verdict.of_layer(layer(spikes=5))
    assert "25%" in verdict.of_layer(layer(spikes=5))


def test_none_and_all_of_the_directions() -> None:
    assert verdict.of_layer(layer(spikes=0)) == say("verdict.layer_none", p=20)
    assert verdict.of_layer(layer(spikes=20)) == say("verdict.layer_all", p=20)


@pytest.mark.parametrize("status", [x for x in Status if x is not Status.OK])
def test_a_layer_without_a_fit_says_why_and_what_to_do(status: Status) -> None:
    unfitted = layer(status=status, ranks={"bema": None, "kritchman-nadler": None})
    assert verdict.of_layer(unfitted) == say(f"status.{status}", p=20, rank=20)
    assert verdict.of_fit(unfitted) == say(f"advice.{status}") != ""
    assert verdict.of_range(unfitted) == ""


@pytest.mark.parametrize("law", Law)
def test_a_fit_says_how_good_it_is(law: Law) -> None:
    assert verdict.of_fit(layer(law=law)) == say(f"law.{law}", ks=0.04, band=null_band(18))


@pytest.mark.parametrize(
    ("ranks", "key"),
    [
        ({"bema": 2, "kritchman-nadler": 2}, "same"),
        ({"bema": 0, "kritchman-nadler": 0}, "same"),
        ({"bema": 2, "kritchman-nadler": 3}, "stable"),
        ({"bema": 9, "kritchman-nadler": 2}, "unstable"),
        ({"bema": 2, "kritchman-nadler": None}, "unstable"),
    ],
)
def test_the_range_is_that_of_the_methods(ranks: dict[str, int | None], key: str) -> None:
    found = [rank for rank in ranks.values() if rank is not None]
    expected = say(f"verdict.range_{key}", low=min(found), high=max(found))
    assert verdict.of_range(layer(ranks=ranks)) == expected


def test_a_model_counts_the_directions_of_its_fitted_layers() -> None:
    unfitted = layer(status=Status.TOO_SMALL, ranks={"bema": None, "kritchman-nadler": None})
    result = model(layer(spikes=5), unfitted, layer(spikes=3))
    assert verdict.of_model(result) == say(
        "verdict.model", layers=2, of=3, bulk=32, directions=40, share=0.8
    )


def test_a_model_warns_of_poor_and_of_unstable_layers_once_each() -> None:
    both = layer(law=Law.NO, ranks={"bema": 1, "kritchman-nadler": 9})
    result = model(
        layer(), layer(law=Law.NO), layer(ranks={"bema": 2, "kritchman-nadler": 9}), both
    )
    assert verdict.of_model(result).endswith(say("verdict.model_poor", poor=3))
    assert say("verdict.model_poor", poor=0) not in verdict.of_model(model(layer()))


def test_a_model_without_a_fit_and_one_without_layers() -> None:
    unfitted = layer(status=Status.NO_BULK, ranks={"bema": None, "kritchman-nadler": None})
    assert verdict.of_model(model(unfitted, unfitted)) == say("verdict.model_unfitted", layers=2)
    assert verdict.of_model(model()) == say("verdict.model_empty")


def test_verdicts_of_a_real_analysis_name_no_missing_value() -> None:
    rng = np.random.default_rng(0)
    result = analysis.analyze({"a.weight": rng.normal(size=(30, 60)), "b.weight": np.eye(30)})
    sentences = [verdict.of_model(result)]
    for each in result:
        sentences += [verdict.of_layer(each), verdict.of_fit(each), verdict.of_range(each)]
    assert not [text for text in sentences if re.search(r"None(?! of)|\bnan\b|[{}]", text)]


def test_one_layer_is_not_spoken_of_as_many() -> None:
    assert verdict.of_model(model(layer(law=Law.NO))) == " ".join(
        (
            say("verdict.model_one", layers=1, of=1, bulk=18, directions=20, share=0.9),
            say("verdict.model_poor_one"),
        )
    )
    unfitted = layer(status=Status.NO_BULK, ranks={"a": None})
    assert verdict.of_model(model(unfitted)) == say("verdict.model_unfitted_one")


@pytest.mark.parametrize(("accuracy", "said"), [(0.11, True), (0.125, True), (0.98, False)])
def test_a_network_that_only_guesses_is_told_so(accuracy: float, said: bool) -> None:
    found = Evaluation(
        "mnist", "selection", 5000, accuracy, 2.3, np.zeros(5000), (), "relu", "unit", 0.1135
    )
    assert bool(verdict.of_guessing(found)) is said
    assert not said or "11.35%" in verdict.of_guessing(found)


@pytest.mark.parametrize(
    ("entries", "key"),
    [
        (Entries(0.0, 0.0, 0.0), None),
        (Entries(3.0, 0.0, 0.0), "noise_corrected"),
        (Entries(40.0, 0.0, 0.0), "noise_extreme"),
        (Entries(0.0, 0.1, 0.9), "noise_uneven"),
    ],
)
def test_entries_that_the_law_does_not_know_are_named(entries: Entries, key: str | None) -> None:
    said = verdict.of_noise(replace(layer(), entries=entries))
    opening = say(f"verdict.{key}", kurtosis=0, rows=0, columns=0)[:30] if key else None
    assert [words[:30] for words in said] == ([opening] if key else [])


def test_a_fit_of_the_equalised_matrix_says_so_and_needs_no_other_excuse() -> None:
    found = layer()
    fit = replace(found.fit, equalised=found.spectrum)
    said = verdict.of_noise(replace(found, fit=fit, entries=Entries(40.0, 0.9, 0.9)))
    assert said == (say("verdict.noise_scaled"),)
