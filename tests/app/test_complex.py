"""A network of complex weights from upload to download: analysed, cut, not run."""

import numpy as np
import pytest

from rmtviz import formats, pruning, verdict
from rmtviz.analysis import analyze
from rmtviz.fits import BEMA, METHODS
from rmtviz.rules import NoiseEdge
from rmtviz.words import say


@pytest.fixture
def content(network, packed) -> bytes:
    """A file of a network for pictures of 784 pixels, whose weights are complex."""
    real, imaginary = network(784, 60, 24), network(784, 60, 24)
    turned = {name: real[name] + 1j * imaginary[name][::-1] for name in real}
    return packed(turned, "npz")


def test_explore_shows_a_complex_layer_and_the_law_of_its_edge(visit, content):
    visitor = visit().upload("mine.npz", content)
    assert visitor.errors == []
    found = analyze(formats.read(content), BEMA())
    layer = found["0"]
    assert layer.spectrum.beta == 2
    assert visitor.at.subheader[0].value == verdict.of_model(found)
    assert list(visitor.at.dataframe(key="layer_map").value["shape"]) == ["60 × 784", "24 × 60"]
    assert say("explore.formula_why", kind=say("explore.formula_complex")) in visitor.words
    assert say("explore.formula_real") not in visitor.words
    assert f"= {layer.spikes}" in " ".join(item.value for item in visitor.at.latex)
    assert say("error.weights_complex.what", name="0.weight") in visitor.words


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_shown_with_the_metrics(visit, content, method: str):
    visitor = visit().upload("mine.npz", content).choose("method", method)
    visitor.at.toggle(key="metrics").set_value(True)
    visitor.run()
    assert visitor.errors == []
    found = analyze(formats.read(content), METHODS[method]())["0"]
    assert verdict.of_layer(found) in visitor.words


def test_a_sample_says_that_its_edge_is_that_of_real_matrices(visit):
    assert say("explore.formula_why", kind=say("explore.formula_real")) in visit().words


def test_prune_cuts_it_and_gives_it_back(visit, content, downloads):
    prune = visit().upload("mine.npz", content).go("prune")
    assert prune.errors == []
    assert say("error.weights_complex.what", name="0.weight") in prune.words
    checkpoint = formats.read(content, "mine.npz")
    plan = pruning.plan(analyze(checkpoint, BEMA()), NoiseEdge())
    expected = pruning.apply(checkpoint, plan)
    again = formats.read(downloads["mine-pruned.npz"]())
    assert again.digest == expected.digest
    assert again.tensors["0.0.weight"].dtype == np.complex64
    prune.choose_by_label(say("prune.format"), "safetensors")
    assert formats.read(downloads["mine-pruned.safetensors"]()).digest == expected.digest
    prune.choose("rank", 7)
    assert prune.errors == []


@pytest.mark.parametrize("page", ["home", "studio", "train", "learn"])
def test_the_other_pages_bear_with_it(visit, content, page: str):
    visitor = visit().upload("mine.npz", content).go(page)
    refusals = [what for what, _ in visitor.errors]
    assert set(refusals) <= {say("error.weights_complex.what", name="0.weight")}


def test_a_format_that_cannot_hold_the_numbers_is_not_offered(visit, network, packed):
    wide = {name: it.astype("complex128") * (1 + 1j) for name, it in network(60, 40, 24).items()}
    prune = visit().upload("mine.npz", packed(wide, "npz")).go("prune")
    (choice,) = [each for each in prune.at.selectbox if each.label == say("prune.format")]
    titles = [say(f"prune.format_name.{name}") for name in ("safetensors", "npz", "pytorch")]
    assert [title in choice.options for title in titles] == [False, True, True]
