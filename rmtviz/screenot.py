"""ScreeNOT: the best hard threshold where the noise is of no known shape.

Entries of noise may have correlated rows and columns or unequal variances: only the singular
values of the noise must fill one bounded bulk. Given a bound k on the rank of the signal, the
k largest values are replaced by what the bulk's edge would have put there (pseudo-noise z), and
the threshold t is where

    Ψ(t) = t D'(t)/D(t) = −4,    D(y) = φ(y) (c φ(y) + (1 − c)/y),    φ(y) = mean y/(y² − z²).

For Marchenko–Pastur noise this is λ*(c) of `spiked.hard_threshold`.

Source: Donoho, Gavish and Romanov, Ann. Stat. 51 (2023) 122, arXiv 2009.12297.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pseudo_noise(values: Array, bound: int) -> Array:
    """Return p descending values of noise alone, from those of signal plus noise.

    Below an edge where the density falls like a square root, the l-th largest value lies
    below it by a multiple of (l − 1)^⅔. With z₍ᵢ₎ the i-th largest of `values`, k the bound:

        z₍ₗ₎ = z₍ₖ₊₁₎ + (z₍ₖ₊₁₎ − z₍₂ₖ₊₁₎) (1 − ((l − 1)/k)^⅔)/(2^⅔ − 1),   l = 1 … k.

    Raises:
        ValueError: 2k + 1 is not below p, or k is negative.
    """
    if not 0 <= 2 * bound + 1 < len(values):
        raise ValueError(f"a bound of {bound} on the rank is too large for {len(values)} values")
    noise = np.array(values, dtype=np.float64)
    if bound:
        depth = 1 - (np.arange(bound) / bound) ** (2 / 3)
        step = (noise[bound] - noise[2 * bound]) / (2 ** (2 / 3) - 1)
        noise[:bound] = noise[bound] + depth * step
    return noise


def threshold(values: Array, ratio: float, bound: int) -> float:
    """Return the threshold t for p descending singular values of a matrix of aspect ratio c.

    On the scale of the values: t of the scaled matrix is the scaled t. 0 where the
    pseudo-noise is zero.

    Raises:
        ValueError: 2k + 1 is not below p for the bound k.
    """
    noise = pseudo_noise(values, bound)
    scale = float(noise[0])
    return scale * solve(noise / scale, ratio) if scale > 0 else 0.0


def solve(noise: Array, ratio: float) -> float:
    """Return the t > 1 at which Ψ(t) = −4, for noise whose largest value is 1.

    Ψ rises from −∞ at the largest value to −2 far away.
    """
    from scipy.optimize import brentq

    def excess(distance: float) -> float:
        return psi(1 + distance, noise, ratio) + 4

    low, high = 1.0, 1.0
    while excess(low) > 0 and low > 1e-12:
        low /= 2
    while excess(high) < 0:
        high *= 2
    if low <= 1e-12:
        return 1 + low
    return 1 + float(brentq(excess, low, high, xtol=1e-14, rtol=1e-12))


def psi(y: float, noise: Array, ratio: float) -> float:
    """Return Ψ(y) = y D'(y)/D(y) for y above all values of the noise."""
    gaps = (y - noise) * (y + noise)
    phi = float(np.mean(y / gaps))
    slope = -float(np.mean((y * y + noise * noise) / gaps**2))
    other = ratio * phi + (1 - ratio) / y
    other_slope = ratio * slope - (1 - ratio) / y**2
    return y * (slope / phi + other_slope / other)
