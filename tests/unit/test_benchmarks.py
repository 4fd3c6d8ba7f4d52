"""The benchmarks against peers: conversions with known answers, and the page they write."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rmtviz import METHODS, MarchenkoPastur
from rmtviz.frontier import FAMILIES
from rmtviz.ranking import GUESSES

ROOT = Path(__file__).parents[2]


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


accuracy = load("benchmarks/peer_accuracy.py")
page = load("scripts/benchmarks_page.py")


def exact(shape: tuple[int, int], sigma: float, *spikes: float) -> np.ndarray:
    """A matrix whose singular values lie as the law says, and spikes above them."""
    p, n = min(shape), max(shape)
    law = MarchenkoPastur(p / n, sigma**2)
    bulk = np.sqrt(n * law.ppf((np.arange(p - len(spikes)) + 0.5) / (p - len(spikes))))
    edge = sigma * (math.sqrt(n) + math.sqrt(p))
    values = np.r_[[edge * times for times in spikes], bulk]
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((m, p)))[0] for m in (p, n))
    matrix = left * values @ right.T
    return matrix if shape == (p, n) else matrix.T


@pytest.mark.parametrize("shape", [(300, 784), (784, 300), (300, 300)])
def test_weightwatchers_numbers_in_our_terms(shape: tuple[int, int]):
    sigma = 0.02
    w = exact(shape, sigma)
    p, n = min(shape), max(shape)
    scale = math.sqrt(p) / np.linalg.norm(w)  # it makes the mean of its eigenvalues 1
    fitted = sigma * math.sqrt(n) * scale
    top = (fitted * (1 + math.sqrt(p / n)) / scale) ** 2
    row = {"sigma_mp": fitted, "W_scale": scale, "N": n, "bulk_max": top, "num_spikes": 3}
    found = accuracy.from_weightwatcher(row)
    assert found.sigma == pytest.approx(sigma, rel=1e-12)
    assert found.edge == pytest.approx(sigma * (math.sqrt(n) + math.sqrt(p)), rel=1e-12)
    assert found.spikes == 3
    assert fitted == pytest.approx(1, abs=0.01), "for noise alone it fits 1"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(300, 784), (784, 300), (300, 300)])
def test_own_methods_in_these_terms(name: str, shape: tuple[int, int]):
    sigma = 0.02
    found = accuracy.own(METHODS[name])(exact(shape, sigma))
    if found.sigma is not None:
        assert found.sigma == pytest.approx(sigma, rel=0.02)
        edge = sigma * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
        assert found.edge == pytest.approx(edge, rel=0.02)
    else:
        assert name == "dyson"


@pytest.mark.parametrize("name", ["optht", "screenot"])
@pytest.mark.parametrize("shape", [(300, 784), (784, 300)])
def test_thresholds_count_what_is_above(name: str, shape: tuple[int, int]):
    pytest.importorskip(name)
    tool = accuracy.PEERS[name]()
    assert tool(exact(shape, 0.02)).spikes == 0
    assert tool(exact(shape, 0.02, 2.0, 3.0, 4.0)).spikes == 3


def test_cells_average_over_the_draws_that_answer():
    noise, spiked = accuracy.CASES[0], accuracy.CASES[-1]
    draws = [accuracy.Found(1.1, 50.0, 22), accuracy.Found(0.9, 50.0, 18), accuracy.Found()]
    assert accuracy.sigma_error(spiked, draws) == "+0.00% (2 of 3)"
    assert accuracy.edge_error(spiked, draws[:2]) == f"{50 / spiked.edge - 1:+.2%}"
    assert accuracy.spike_counts(spiked, draws[:2]) == "19.0, 1.00"
    assert accuracy.spike_counts(noise, draws) == "20.00 false (2 of 3)"
    assert accuracy.sigma_error(noise, [accuracy.Found(spikes=1)]) == "–"
    assert accuracy.spike_counts(noise, [accuracy.Found()]) == "no bulk"


def test_the_drawn_noise_and_spikes_are_as_said():
    rng = np.random.default_rng(0)
    for case in accuracy.CASES:
        w = case.draw(rng)
        values = np.linalg.svd(w, compute_uv=False)
        assert w.shape == case.shape
        assert np.count_nonzero(values > 1.02 * case.edge) == case.spikes


def test_a_section_replaces_only_itself(tmp_path: Path):
    file = tmp_path / "benchmarks.md"
    page.put("speed", ["## Speed", "", "old"], file)
    page.put("accuracy", ["## Accuracy", "", "first"], file)
    page.put("speed", ["## Speed", "", "new"], file)
    text = file.read_text("utf-8")
    assert text.startswith(page.HEAD)
    assert page.body(text, "accuracy") == "## Accuracy\n\nfirst"
    assert page.body(text, "speed") == "## Speed\n\nnew"
    assert "old" not in text


def test_the_page_holds_both_sections_and_every_method():
    text = page.PAGE.read_text("utf-8")
    sections = {name: page.body(text, name) for name in page.SECTIONS}
    for name, section in sections.items():
        assert section is not None, f"no section {name}"
        assert "weightwatcher 0.7.7" in section
    assert all(f"| {name} |" in sections["accuracy"] for name in METHODS)
    assert all(case.title in sections["accuracy"] for case in accuracy.CASES)


def test_the_page_of_sizes_holds_three_networks_and_every_family():
    text = (ROOT / "docs" / "tradeoff.md").read_text("utf-8")
    _, *networks = text.split("\n## ")
    assert [each.partition(":")[0] for each in networks] == [
        "Clean demo",
        "Noisy-label demo",
        "Small CNN",
    ]
    for each in networks:
        assert all(f"\n| {family} |" in each for family in (*FAMILIES, "channels"))
        assert all(f"\n| {guess} |" in each for guess in GUESSES)
        assert "\n| loses at most 0.5 points | search(" in each
