"""Random numbers that differ from run to run, and what a rate or a mean may be by chance.

The seed stands at the end of every run and beside every failure; to repeat one:
LAW_SEED=… pytest tests/law. Each test draws from a generator of its own, so that it can be
repeated alone. A tolerance here lets a true law fail once in about 100,000 tests.
"""

import os
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import bdtr, bdtrc

from rmtviz.spectrum import Spectrum

SEED = int(os.environ.get("LAW_SEED") or int.from_bytes(os.urandom(4), "big"))

CHANCE = 1e-5
SIGMAS = 4.5
"""So many standard errors are passed with a chance of 7e-6."""

Draws = Callable[[int, float], list[Spectrum]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"tests of laws drew from LAW_SEED={SEED}")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator for this test, from the run's seed and the test's name."""
    print(f"LAW_SEED={SEED}")  # shown where the test fails
    return np.random.default_rng([SEED, zlib.crc32(request.node.nodeid.encode())])


@pytest.fixture(scope="session")
def generator() -> Callable[..., np.random.Generator]:
    """A generator from the run's seed and some words, for what several tests share."""

    def make(*words: object) -> np.random.Generator:
        print(f"LAW_SEED={SEED}")
        return np.random.default_rng([SEED, zlib.crc32(repr(words).encode())])

    return make


@pytest.fixture(scope="session")
def noise() -> Draws:
    """Spectra of Gaussian noise, σ = 1, by p and c: drawn once, fewer where p is large."""
    drawn: dict[tuple[int, float], list[Spectrum]] = {}

    def draws(p: int, c: float) -> list[Spectrum]:
        print(f"LAW_SEED={SEED}")
        if (p, c) not in drawn:
            rng = np.random.default_rng([SEED, p, round(1000 * c)])
            shape, count = (p, round(p / c)), {200: 1500, 500: 700, 1000: 250}.get(p, 2000)
            drawn[p, c] = [Spectrum.gaussian(shape, rng) for _ in range(count)]
        return drawn[p, c]

    return draws


@pytest.fixture(scope="session")
def plausible() -> Callable[[int, int, float, float], bool]:
    """Whether a count of hits in so many draws may come of some rate from low to high."""

    def check(hits: int, draws: int, low: float, high: float) -> bool:
        print(f"{hits} of {draws} = {hits / draws:.4f}, allowed {low} to {high}")
        return bool(bdtr(hits, draws, low) > CHANCE and bdtrc(hits - 1, draws, high) > CHANCE)

    return check


@pytest.fixture(scope="session")
def near() -> Callable[..., bool]:
    """Whether the mean of a sample may be the expected one; `slack` allows a known bias."""

    def check(sample: np.ndarray, expected: float, slack: float = 0.0) -> bool:
        sample = np.asarray(sample, dtype=np.float64)
        error = sample.std(ddof=1) / np.sqrt(len(sample))
        print(f"mean {sample.mean():.6g} ± {error:.2g}, expected {expected:.6g} ± {slack:.2g}")
        return bool(abs(sample.mean() - expected) <= SIGMAS * error + slack)

    return check
