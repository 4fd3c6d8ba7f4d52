"""The Tracy–Widom law: how far the largest eigenvalue of noise strays from the edge.

TW₁ is that of real matrices, TW₂ of complex ones (β = 1, 2). With the operator A of kernel
Ai(x + y + s) on L²(0, ∞),

    F₁(s) = det(I − A),    F₂(s) = det(I − A²),

where A² is the Airy kernel of Tracy and Widom.

Sources: Tracy and Widom, Commun. Math. Phys. 159 (1994) 151 and 177 (1996) 727; Ferrari and
Spohn, J. Phys. A 38 (2005) L557, for F₁; the determinants by Gauss–Legendre quadrature:
Bornemann, Math. Comp. 79 (2010) 871; centring and scale: Johnstone, Ann. Stat. 29 (2001) 295,
Ma, Bernoulli 18 (2012) 322 (β = 1), and Bornemann, arXiv 2403.07628 (β = 2).
"""

import functools
import math

import numpy as np


def cdf(s: float, beta: int = 1) -> float:
    """Return P(TW_β ≤ s), to about 1e-12 for s ≥ −10; 0 below."""
    if s < -10:
        return 0.0
    from scipy.special import airy

    nodes, weights = _quadrature()
    kernel: np.ndarray = airy(nodes[:, None] + nodes[None, :] + s)[0]
    root = np.sqrt(weights)
    airy_operator = root[:, None] * kernel * root[None, :]
    return float(np.linalg.det(np.eye(len(nodes)) - np.linalg.matrix_power(airy_operator, beta)))


@functools.lru_cache(maxsize=256)
def quantile(u: float, beta: int = 1) -> float:
    """Return the quantile of TW_β at probability u in [1e-8, 1 − 1e-8].

    Raises:
        ValueError: the probability lies outside.
    """
    if not 1e-8 <= u <= 1 - 1e-8:
        raise ValueError(f"the probability must lie in [1e-8, 1 − 1e-8], not {u}")
    from scipy.optimize import brentq

    return float(brentq(lambda s: cdf(s, beta) - u, -9.0, 14.0, xtol=1e-12))


def edge_width(ratio: float, n: int) -> float:
    """Return n^(−2/3) c^(−1/6) (1 + √c)^(4/3), the width of the edge of (1/n) W Wᵀ at σ = 1."""
    return math.pow(n, -2 / 3) * math.pow(ratio, -1 / 6) * math.pow(1 + math.sqrt(ratio), 4 / 3)


def edge_shift(p: int, n: int, kurtosis: float) -> float:
    """Return κ (1 + √c)²/√(pn): how far entries of excess kurtosis κ move the edge at σ = 1.

    Heavy tails move it out, light ones in: for Laplace entries (κ = 3) it takes the mean of the
    largest eigenvalue from 0.6–1.0 widths beyond that of Gaussian entries to within 0.1, over
    100 × 100 to 300 × 600 and c from 0.1 to 1. Its scatter grows too, which this leaves out.
    The effect: Hwang, Lee and Schnelli, Ann. Appl. Probab. 29 (2019) 3006, for sparse entries,
    whose few large values are an extreme kurtosis; `tests/law` checks the coefficient.
    """
    return kurtosis * (1 + math.sqrt(p / n)) ** 2 / math.sqrt(p * n)


def largest_eigenvalue(p: int, n: int, beta: int = 1) -> tuple[float, float]:
    """Return centring μ and scale s: (λ₁(W Wᴴ) − μ)/s → TW_β for unit entries, any p, n ≥ 1.

    Real matrices converge at the rate p^(−2/3) with Ma's n − ½ and p − ½ in the place of n
    and p, complex ones with n and p themselves.
    """
    a, b = _sides(p, n, beta)
    return (a + b) ** 2, (a + b) * (1 / a + 1 / b) ** (1 / 3)


def smallest_eigenvalue(p: int, n: int, beta: int = 1) -> tuple[float, float]:
    """Return the mirror of `largest_eigenvalue`: (μ − λ_p(W Wᴴ))/s → TW_β, for p < n."""
    a, b = _sides(p, n, beta)
    return (a - b) ** 2, (a - b) * max(1 / b - 1 / a, 0.0) ** (1 / 3)


def _sides(p: int, n: int, beta: int) -> tuple[float, float]:
    """Return √(n − δ) and √(p − δ), δ = 1/β − ½."""
    shift = 1 / beta - 1 / 2
    return math.sqrt(n - shift), math.sqrt(p - shift)


@functools.cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(100)
    return 8 * (x + 1), 8 * w
