"""Numbers that sum up a layer's spectrum, each shown beside the same number of two nulls.

A number alone says little: on pure noise a power-law fit reports an exponent as well. So
`measure` gives each metric for the layer, for its *shuffled copy* (the same entries, permuted:
what the entries' distribution alone would give) and for its *untrained copy* (its weights
before training, or a fresh initialisation of the same shape).

Throughout, s₁ ≥ … ≥ s_p are the singular values of a p × n matrix, λ_i = s_i²/n.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.errors import ExtraMissing
from rmtviz.fits import Method, MPFit
from rmtviz.spectrum import Spectrum, symmetry
from rmtviz.words import say

Array = NDArray[np.float64]
Matrix = NDArray[Any]

FEWEST = 10
"""No power law is fitted to fewer eigenvalues than this."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, with its Kolmogorov distance where a law was fitted to find it."""

    value: float
    distance: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a metric is computed from: a spectrum, its fit, and eigenvalues of parts of the matrix.

    `parts` are those of `subsampled`; None: a power law is fitted to the spectrum itself.
    """

    spectrum: Spectrum
    fit: MPFit
    parts: Array | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One number: its name, its formula in LaTeX, and how it is computed.

    `function` returns None where the number does not exist for a spectrum.
    """

    name: str
    formula: str
    function: Callable[[Subject], Quantity | None]

    def __call__(self, subject: Subject) -> Quantity | None:
        """Return the number; None for a matrix of zeros, too."""
        return self.function(subject) if subject.spectrum.values[0] > 0 else None

    @property
    def title(self) -> str:
        """Its name for people."""
        return say(f"metric.{self.name}.title")

    @property
    def reading(self) -> str:
        """What it says, and what it does not."""
        return say(f"metric.{self.name}.reading")


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric of a layer, of its shuffled copy and of its untrained copy."""

    metric: str
    value: Quantity | None
    shuffled: Quantity | None
    untrained: Quantity | None


def measure(
    matrix: Matrix,
    method: Method,
    rng: np.random.Generator,
    *,
    initial: Matrix | None = None,
    names: Iterable[str] | None = None,
    aspect: float | None = None,
) -> tuple[Reading, ...]:
    """Return the metrics of these names (None: all) for a matrix m × n and for its nulls.

    `initial` are the layer's weights before training; without them a fresh initialisation
    is drawn. With `aspect`, the power law is fitted to the eigenvalues of parts of this
    aspect ratio (`subsampled`), from their median on.

    Raises:
        ExtraMissing: the exponent is asked for and powerlaw is not installed.
    """
    before = initial
    if before is None:
        before = untrained((matrix.shape[0], matrix.shape[1]), rng, symmetry(matrix))
    subjects = [_subject(copy, method, aspect) for copy in (matrix, shuffled(matrix, rng), before)]
    return tuple(
        Reading(name, *(METRICS[name](subject) for subject in subjects))
        for name in (METRICS if names is None else names)
    )


def shuffled(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """Return the shuffled copy: the same entries in random order."""
    return rng.permutation(matrix.reshape(-1)).reshape(matrix.shape)


def untrained(shape: tuple[int, int], rng: np.random.Generator, beta: int = 1) -> Matrix:
    """Return a fresh initialisation of shape (outputs, inputs): PyTorch's, U(±1/√inputs).

    For complex weights (β = 2) both parts are drawn so, over √2: the variance is the same.
    """
    bound = 1 / math.sqrt(beta * shape[1])
    drawn: Matrix = rng.uniform(-bound, bound, shape)
    return drawn if beta == 1 else drawn + 1j * rng.uniform(-bound, bound, shape)


def subsampled(matrix: Matrix, aspect: float = 0.5, rows: int = 100, windows: int = 4) -> Array:
    """Return the eigenvalues of parts of one aspect ratio, pooled and descending (FARMS).

    Exponents depend on the aspect ratio p/n even on pure noise (measured, tail from the median
    on: 2.1 at 1, 4.9 at 0.1); those of parts of one ratio can be compared between layers of
    any shape (2.7 at ½, from matrices of every ratio). A part has `rows` rows (fewer where the
    matrix is smaller; on its shorter side) and rows/aspect columns, and `windows` places along
    each side, spread evenly from end to end.

    Source: Hu, Goel, Killiakov and Yang, ICML 2025, arXiv 2506.06280; 100 rows, the ratio ½
    and a tail that starts at the median are those of its code.

    Raises:
        ValueError: an aspect ratio outside (0, 1].
    """
    if not 0 < aspect <= 1:
        raise ValueError(f"the aspect ratio must lie in (0, 1], not {aspect}")
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    p, n = wide.shape
    height = max(min(rows, p, math.floor(aspect * n)), 1)
    width = min(round(height / aspect), n)
    pooled = [
        Spectrum.of(wide[top : top + height, left : left + width]).eigenvalues
        for top in np.unique(np.linspace(0, p - height, windows).astype(int))
        for left in np.unique(np.linspace(0, n - width, windows).astype(int))
    ]
    return np.sort(np.concatenate(pooled))[::-1]


def frobenius_norm(subject: Subject) -> Quantity:
    """Return ‖W‖_F = √Σ s²."""
    return Quantity(math.sqrt(subject.spectrum.energy))


def spectral_norm(subject: Subject) -> Quantity:
    """Return ‖W‖₂ = s₁."""
    return Quantity(float(subject.spectrum.values[0]))


def stable_rank(subject: Subject) -> Quantity:
    """Return Σ s²/s₁². Rudelson and Vershynin, J. ACM 54 (2007) 21."""
    relative = subject.spectrum.values / subject.spectrum.values[0]
    return Quantity(float(relative @ relative))


def effective_rank(subject: Subject) -> Quantity:
    """Return exp(−Σ q ln q), q = s/Σ s. Roy and Vetterli, EUSIPCO 2007."""
    return Quantity(math.exp(_entropy(subject.spectrum.values)))


def entropy(subject: Subject) -> Quantity:
    """Return −Σ q ln q / ln rank(W), q = s²/Σ s²; 0 for rank one. As WeightWatcher's."""
    rank = subject.spectrum.hard_rank
    relative = subject.spectrum.values / subject.spectrum.values[0]
    return Quantity(_entropy(relative**2) / math.log(rank) if rank > 1 else 0.0)


def hard_rank(subject: Subject) -> Quantity:
    """Return the number of values above rounding."""
    return Quantity(subject.spectrum.hard_rank)


def soft_rank(subject: Subject) -> Quantity | None:
    """Return λ₊/λ₁ with the fitted edge λ₊. Martin and Mahoney, JMLR 22 (2021) 165."""
    fit = subject.fit
    if fit.bulk is None:
        return None
    fitted = subject.spectrum if fit.equalised is None else fit.equalised
    return Quantity(float(fit.bulk.law.support[1] / fitted.eigenvalues[0]))


def spike_energy(subject: Subject) -> Quantity | None:
    """Return Σ_{i≤k} s_i²/Σ s², k the number of spikes of the fit."""
    if subject.fit.spikes is None:
        return None
    relative = subject.spectrum.values / subject.spectrum.values[0]
    spikes = relative[: subject.fit.spikes]
    return Quantity(float(spikes @ spikes / (relative @ relative)))


def determinant_tail(subject: Subject) -> Quantity:
    """Return the least k with Π_{i≤k} μ_i < 1, μ_i = λ_i/mean λ; p where all are equal.

    The tail that ends where its log-determinant falls below zero: WeightWatcher's `detX`, the
    ERG condition of Martin and Hinrichs, arXiv 2507.17912.
    """
    relative = (subject.spectrum.values / subject.spectrum.values[0]) ** 2
    with np.errstate(divide="ignore"):
        determinant = np.cumsum(np.log(relative / relative.mean()))
    below = np.flatnonzero(determinant < -1e-9)
    return Quantity(int(below[0]) + 1 if below.size else len(relative))


def exponent(subject: Subject) -> Quantity | None:
    """Return α of p(λ) ∝ λ^(−α) for λ ≥ λ_min, with the Kolmogorov distance of the tail.

    α = 1 + m/Σ ln(λ_i/λ_min) over the m eigenvalues of the tail, λ_min the start with the
    smallest distance; for parts of the matrix, among whose many values that start wanders,
    the median. Fitted by the package powerlaw. None for fewer than ten eigenvalues above
    rounding, or equal ones. The standard errors for independent values do not hold for
    eigenvalues, which repel each other, so none is given.

    Source: Clauset, Shalizi and Newman, SIAM Review 51 (2009) 661, eqs. 3.1 and 3.9.

    Raises:
        ExtraMissing: powerlaw is not installed.
    """
    try:
        import powerlaw
    except ImportError:
        raise ExtraMissing("extra_missing", package="powerlaw", extra="tails") from None
    eigenvalues = subject.spectrum.eigenvalues if subject.parts is None else subject.parts
    relative = eigenvalues / eigenvalues[0]
    relative = relative[relative > 1e-12]
    if len(relative) < FEWEST or relative[0] - relative[-1] <= 1e-6:
        return None
    start = None if subject.parts is None else float(np.median(relative))
    # left alone, powerlaw 2 takes no exponent above 3, and silently fits another tail
    fit = powerlaw.Fit(relative, xmin=start, verbose=0, parameter_ranges={"alpha": (1.0, None)})
    law = fit.power_law
    return Quantity(float(law.alpha), float(law.D))


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "frobenius_norm",
            r"\lVert W \rVert_F = \sqrt{\textstyle\sum_i s_i^2}",
            frobenius_norm,
        ),
        Metric("spectral_norm", r"\lVert W \rVert_2 = s_1", spectral_norm),
        Metric("stable_rank", r"\sum_i s_i^2 \,/\, s_1^2", stable_rank),
        Metric(
            "effective_rank",
            r"\exp\bigl(-\textstyle\sum_i q_i \ln q_i\bigr), \quad q_i = s_i / \sum_j s_j",
            effective_rank,
        ),
        Metric(
            "entropy",
            r"-\textstyle\sum_i q_i \ln q_i \,/\, \ln \operatorname{rank} W,"
            r" \quad q_i = s_i^2 / \sum_j s_j^2",
            entropy,
        ),
        Metric("hard_rank", r"\#\{i : s_i > s_1 \, n \, 2^{-52}\}", hard_rank),
        Metric("soft_rank", r"\lambda_+ / \lambda_1", soft_rank),
        Metric(
            "spike_energy",
            r"\textstyle\sum_{i \le k} s_i^2 \,/\, \sum_i s_i^2",
            spike_energy,
        ),
        Metric(
            "determinant_tail",
            r"\min\bigl\{k : \textstyle\prod_{i \le k} \lambda_i / \bar\lambda < 1\bigr\}",
            determinant_tail,
        ),
        Metric(
            "exponent",
            r"\alpha = 1 + m \,\big/ \textstyle\sum_{i \le m} \ln(\lambda_i / \lambda_{\min}),"
            r" \quad D = \sup_{\lambda \ge \lambda_{\min}} \lvert F_m(\lambda) - F_\alpha(\lambda)"
            r" \rvert",
            exponent,
        ),
    )
}


def _subject(matrix: Matrix, method: Method, aspect: float | None) -> Subject:
    spectrum = Spectrum.of(matrix)
    parts = None if aspect is None else subsampled(matrix, aspect)
    return Subject(spectrum, method(spectrum, lambda: matrix), parts)


def _entropy(weights: Array) -> float:
    """Return −Σ q ln q of non-negative weights, q their shares; 0 ln 0 = 0."""
    shares = weights / weights.sum()
    shares = shares[shares > 0]
    return float(-(shares @ np.log(shares)))
