"""Planted signals: where they land, what share of a direction is signal, what shrinking saves."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from rmtviz import screenot, spiked
from rmtviz.fits import KritchmanNadler
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum

SHAPES = [(250, 250), (200, 400), (600, 150)]
EXCESS = (4.0, 2.5, 1.6)
"""Strengths in units of the detection threshold c^¼, well apart."""

shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
NORMS = {"frobenius": "fro", "operator": 2, "nuclear": "nuc"}


class Planted(NamedTuple):
    """A signal of rank k, the noisy matrix, and its singular value decomposition.

    All normalised: the noise has variance 1/n. `near` and `far` are the shares of the first
    k directions in the space of the true ones; `matches` the best with a single true one.
    """

    signal: np.ndarray
    left: np.ndarray
    values: np.ndarray
    right: np.ndarray
    near: np.ndarray
    far: np.ndarray
    matches: np.ndarray

    def shrunk(self, values: np.ndarray) -> np.ndarray:
        return (self.left[:, : len(values)] * values) @ self.right[:, : len(values)].T

    def loss(self, values: np.ndarray, norm: str) -> float:
        return float(np.linalg.norm(self.signal - self.shrunk(values), NORMS[norm]))


def planted(rng: np.random.Generator, shape: tuple[int, int], x: np.ndarray) -> Planted:
    """Spikes of strengths x in random directions."""
    m, n = shape
    truth = [np.linalg.qr(rng.normal(size=(side, len(x))))[0] for side in shape]
    signal = (truth[0] * x) @ truth[1].T
    w = signal + rng.normal(size=shape) / math.sqrt(max(shape))
    left, values, rows = np.linalg.svd(w, full_matrices=False)
    found = left[:, : len(x)], rows[: len(x)].T
    cosines = [true.T @ mine for true, mine in zip(truth, found, strict=True)]
    shares = [np.sum(each**2, axis=0) for each in cosines]
    near, far = shares if m <= n else shares[::-1]
    return Planted(signal, left, values, rows.T, near, far, np.max(cosines[0] ** 2, axis=0))


def ratio(shape: tuple[int, int]) -> float:
    return min(shape) / max(shape)


@shapes
def test_spikes_land_and_turn_as_predicted(rng, near, shape: tuple[int, int]) -> None:
    c = ratio(shape)
    x = c**0.25 * np.array(EXCESS)
    draws = [planted(rng, shape, x) for _ in range(30)]
    predicted = spiked.shares(x, c)
    for i, y in enumerate(spiked.landing(x, c)):
        assert near([draw.values[i] for draw in draws], float(y), slack=0.01)
        assert near([draw.near[i] for draw in draws], float(predicted[0][i]), slack=0.02)
        assert near([draw.far[i] for draw in draws], float(predicted[1][i]), slack=0.02)


@shapes
def test_strengths_are_estimated_from_the_matrix_alone(rng, near, shape: tuple[int, int]) -> None:
    c, sigma = ratio(shape), 0.3
    unit = sigma * math.sqrt(max(shape))
    x = c**0.25 * np.array(EXCESS)
    strengths, shares, measured = [], [], []
    for _ in range(30):
        draw = planted(rng, shape, x)
        spectrum = Spectrum(unit * draw.values, shape)
        bulk = KritchmanNadler(level=0.01)(spectrum).bulk
        assert bulk is not None
        found = spiked.strengths(spectrum, bulk.sigma, bulk.spikes)
        assert len(found) >= 3
        strengths.append(found.strengths[:3] / unit)
        shares.append([found.near[:3], found.far[:3]])
        measured.append([draw.near, draw.far])
    for i in range(3):
        assert near(np.array(strengths)[:, i], float(x[i]), slack=0.03)
    gap = np.mean(np.array(shares) - np.array(measured), axis=0)
    print(gap)
    assert abs(gap[:, :2]).max() < 0.02
    assert abs(gap).max() < 0.04  # the one closest to the threshold moves most with σ


def test_each_of_many_spikes_competes_with_the_noise_beside_the_others(rng) -> None:
    # 60 spikes of 300: without the correction, the weaker ones come out 0.03 and more too low
    shape, x = (300, 460), (300 / 460) ** 0.25 * np.linspace(6, 2, 60)
    gaps: dict[bool, list[np.ndarray]] = {True: [], False: []}
    losses: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):
        draw = planted(rng, shape, x)
        spectrum = Spectrum(math.sqrt(460) * draw.values, shape)
        right = spiked.strengths(spectrum, 1.0, 60)
        plain = spiked.shares(spiked.strength(draw.values[:60], 300 / 460), 300 / 460)
        gaps[True].append(np.array([right.near - draw.near, right.far - draw.far]))
        gaps[False].append(np.array([plain[0] - draw.near, plain[1] - draw.far]))
        for many in losses:
            unit, c = spiked.beside(shape, 1 / math.sqrt(460), 60 if many else 0)
            shrunk = unit * spiked.frobenius(draw.values[:60] / unit, c)
            losses[many].append(draw.loss(shrunk, "frobenius"))
    means = {many: np.mean(each, axis=0)[:, 40:].mean(axis=1) for many, each in gaps.items()}
    print(means, losses)
    assert np.abs(means[True]).max() < 0.01
    assert means[False].max() < -0.025
    assert all(many < few for many, few in zip(losses[True], losses[False], strict=True))


@shapes
def test_a_spike_below_the_threshold_leaves_no_trace(rng, shape: tuple[int, int]) -> None:
    c = ratio(shape)
    draws = [planted(rng, shape, np.array([0.5 * c**0.25])) for _ in range(15)]
    assert np.mean([draw.values[0] for draw in draws]) == pytest.approx(spiked.edge(c), abs=0.06)
    assert np.mean([draw.near[0] for draw in draws]) < 0.12
    assert np.mean([draw.far[0] for draw in draws]) < 0.12


def test_close_spikes_share_their_space_but_match_no_single_direction(rng, near) -> None:
    c = 0.5
    x = c**0.25 * np.linspace(2.6, 2.4, 8)
    draws = [planted(rng, (300, 600), x) for _ in range(15)]
    predicted = float(spiked.shares(x.mean(), c)[0])
    assert near([draw.near.mean() for draw in draws], predicted, slack=0.02)
    assert np.mean([draw.matches.mean() for draw in draws]) < predicted - 0.2


@shapes
@pytest.mark.parametrize("loss", spiked.LOSSES)
def test_each_shrinker_beats_truncation_and_the_others_in_its_own_loss(
    rng, shape: tuple[int, int], loss: str
) -> None:
    c = ratio(shape)
    losses: dict[str, list[float]] = {name: [] for name in ("truncation", *spiked.LOSSES)}
    for _ in range(20):
        draw = planted(rng, shape, c**0.25 * np.array(EXCESS))
        y = draw.values[draw.values > spiked.edge(c)][:3]
        losses["truncation"].append(draw.loss(y, loss))
        for name, shrink in spiked.LOSSES.items():
            losses[name].append(draw.loss(shrink(y, c), loss))
    means = {name: float(np.mean(each)) for name, each in losses.items()}
    print(means)
    assert (np.array(losses[loss]) < losses["truncation"]).all()
    assert means[loss] < 0.9 * means["truncation"]
    assert means[loss] <= 1.01 * min(means.values())


def test_undoing_the_landing_alone_is_not_best_in_operator_norm(rng) -> None:
    shape, c = (150, 1500), 0.1
    draws = [planted(rng, shape, np.array([1.2])) for _ in range(10)]
    best = [draw.loss(spiked.operator(draw.values[:1], c), "operator") for draw in draws]
    undone = [draw.loss(spiked.strength(draw.values[:1], c), "operator") for draw in draws]
    assert np.mean(best) == pytest.approx(1.2 * np.sqrt(1 - spiked.shares(1.2, c)[1]), rel=0.03)
    assert np.mean(undone) > 1.03 * np.mean(best)


@shapes
def test_hard_threshold_saves_error_where_spikes_are_weak(rng, shape: tuple[int, int]) -> None:
    # detected, but closer to the edge than to the threshold: dropped they cost less
    c = ratio(shape)
    weak = 0.5 * (1.2 * c**0.25 + float(spiked.strength(spiked.hard_threshold(c), c)))
    for _ in range(10):
        draw = planted(rng, shape, np.array([3.0, weak - 0.1]))
        kept = draw.values[draw.values > spiked.hard_threshold(c)]
        above = draw.values[draw.values > spiked.edge(c)]
        assert len(kept) == 1
        assert draw.loss(kept, "frobenius") <= draw.loss(above, "frobenius")


def unequal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise with two sizes of rows and of columns."""
    scales = (
        np.where(np.arange(side) % k, 1.0, 0.3) for side, k in zip(shape, (2, 3), strict=True)
    )
    return rng.normal(size=shape) * np.outer(*scales)


def correlated(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise in which neighbouring rows, and neighbouring columns, are correlated by ½."""
    roots = []
    for side in shape:
        places = np.arange(side)
        roots.append(np.linalg.cholesky(0.5 ** np.abs(places[:, None] - places)))
    return roots[0] @ rng.normal(size=shape) @ roots[1].T


def screened(
    rng: np.random.Generator, noise: np.ndarray, rank: int, share: float
) -> tuple[int, float]:
    """ScreeNOT's rank for a signal of this rank, and its error over that of the best rank."""
    strengths = np.linalg.norm(noise, 2) * np.linspace(3, 1.2, rank)
    truth = [np.linalg.qr(rng.normal(size=(side, rank)))[0] for side in noise.shape]
    signal = (truth[0] * strengths) @ truth[1].T
    left, values, rows = np.linalg.svd(signal + noise, full_matrices=False)
    bound = math.ceil(share * len(values))
    found = int(np.sum(values > screenot.threshold(values, ratio(noise.shape), bound)))
    gains = 2 * values * np.einsum("ik,ij,kj->k", left, signal, rows) - values**2
    errors = np.sum(strengths**2) - np.concatenate([[0], np.cumsum(gains)])
    return found, float(np.sqrt(errors[found] / errors.min()))


@pytest.mark.parametrize("make", [unequal, correlated])
@shapes
def test_screenot_needs_no_law_of_the_noise(rng, make, shape: tuple[int, int]) -> None:
    # its rank costs hardly more than the best of all ranks, which needs to know the signal
    draws = [screened(rng, make(rng, shape), 4, 0.05) for _ in range(10)]
    print(draws)
    assert np.mean([cost for _, cost in draws]) < 1.03
    assert np.mean([found for found, _ in draws]) == pytest.approx(4, abs=0.3)


def test_screenot_with_too_small_a_bound_loses_the_signal_and_by_default_does_not(rng) -> None:
    noises = [unequal(rng, (300, 500)) for _ in range(5)]
    for share, low, high in ((0.05, 0, 5), (0.25, 26, 31)):
        found = [screened(rng, noise, 30, share)[0] for noise in noises]
        print(share, found)
        assert low <= np.mean(found) <= high


@pytest.mark.parametrize("c", [0.1, 0.5, 1.0])
def test_the_default_bound_moves_the_threshold_by_three_per_cent_at_most(noise, c: float) -> None:
    ratios = []
    for spectrum in noise(200, c)[:50]:
        unit = math.sqrt(spectrum.n) * spiked.hard_threshold(spectrum.ratio)
        ratios.append(screenot.threshold(spectrum.values, spectrum.ratio, 50) / unit)
    print(np.mean(ratios))
    assert 1 <= np.mean(ratios) < 1.03


def test_median_threshold_is_right_for_few_spikes_and_too_high_for_many(rng) -> None:
    unit = math.sqrt(400)
    few, many = (
        spiked.hard_threshold_by_median(0.5)
        * np.median(unit * planted(rng, (200, 400), np.full(k, 8.0)).values)
        / (unit * spiked.hard_threshold(0.5))
        for k in (2, 60)
    )
    assert few == pytest.approx(1, abs=0.02)
    assert many > 1.1
    assert MarchenkoPastur(0.5).ppf(0.5) == pytest.approx(0.8304658816)
