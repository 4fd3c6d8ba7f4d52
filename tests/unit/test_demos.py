"""The demo networks are what their cards say, and their shipped spectra are theirs."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from rmtviz import analysis, datasets, decomposition, evaluation, formats, networks
from rmtviz.decomposition import Spectra
from rmtviz.site import home
from rmtviz.ui.library import INITIALS, SAMPLES, sample

MODELS = home() / "assets" / "models"
FILES = sorted({*SAMPLES, *INITIALS.values()})


@pytest.mark.parametrize("name", FILES)
def test_shipped_spectra_are_those_of_the_weights(name):
    shipped = Spectra.from_dict(json.loads((MODELS / f"{name}.spectra.json").read_text("utf-8")))
    fresh = decomposition.decompose(formats.read(MODELS / f"{name}.safetensors"), equalise=True)
    assert shipped.model == fresh.model
    assert shipped.skipped == fresh.skipped
    for old, new in zip(shipped.layers, fresh.layers, strict=True):
        assert (old.layer, old.parameters) == (new.layer, new.parameters)
        largest = new.spectrum.values[0]
        np.testing.assert_allclose(old.spectrum.values, new.spectrum.values, atol=1e-9 * largest)
        assert asdict(old.entries) == pytest.approx(asdict(new.entries), abs=1e-9)
        assert (old.equalised is None) == (new.equalised is None)
        if new.equalised:
            scale = 1e-7 * new.equalised.values[0]
            np.testing.assert_allclose(old.equalised.values, new.equalised.values, atol=scale)


@pytest.mark.parametrize("name", FILES)
def test_the_card_tells_the_accuracy(name):
    card = json.loads((MODELS / f"{name}.json").read_text("utf-8"))
    checkpoint = formats.read(MODELS / f"{name}.safetensors")
    assert card["digest"] == checkpoint.digest
    data, foreign = datasets.of(checkpoint)
    assert not foreign
    network = networks.detect(checkpoint, data, foreign)(checkpoint)
    for split in ("selection", "test"):
        found = evaluation.evaluate(network, data.split(split))
        assert card["accuracy"][split]["samples"] == found.samples
        assert card["accuracy"][split]["accuracy"] == pytest.approx(found.accuracy, abs=5e-4)
        if data.text:
            assert card["accuracy"][split]["loss"] == pytest.approx(found.loss, abs=1e-4)


def test_the_demos_show_what_they_are_for():
    def accuracy(name: str, split: str) -> float:
        card = json.loads((MODELS / f"{name}.json").read_text("utf-8"))
        return float(card["accuracy"][split]["accuracy"])

    assert accuracy("clean", "test") >= 0.98
    assert accuracy("noisy", "train") >= 0.99
    assert 0.70 <= accuracy("noisy", "test") < 0.80
    assert accuracy("untrained", "test") < 0.3
    assert accuracy("language", "test") > 0.6


@pytest.mark.parametrize("name", INITIALS)
def test_training_began_where_the_initial_weights_are(name):
    model = sample(name)
    assert model.initial is not None
    assert model.initial.about["trained"] == model.checkpoint.about["trained"]
    assert model.initial.about["epoch"] == 0


def test_an_untrained_network_is_noise():
    layers = analysis.analyze(MODELS / "untrained.safetensors").layers
    assert [layer.spikes for layer in layers[:-1]] == [0, 0]
    assert all(layer.law == "exact" for layer in layers[:-1])
