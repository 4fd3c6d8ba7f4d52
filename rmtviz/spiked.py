"""Signal plus noise: where a spike lands, how far it is turned, and what it is worth.

W = S + N is p × n (p ≤ n, c = p/n): S of low rank with singular values σ√n · x, N noise with
independent entries of variance σ². As p grows at fixed c, a spike of strength x lands at
s = σ√n · y(x), and the singular directions of W lean towards those of S:

    detected       x > c^¼                        (else lost under the edge y = 1 + √c)
    landing        y(x)² = (x + 1/x)(x + c/x)
    near share     (x⁴ − c)/(x⁴ + c x²)           of the squared direction on the side of p
    far share      (x⁴ − c)/(x⁴ + x²)             on the side of n

All functions take and return normalised values y = s/(σ√n) and x of any shape. The shares are
those of a direction in the *space* of all true directions: directions of close strengths mix
freely among each other, so a match with any single one can be far smaller.

Sources: Baik, Ben Arous and Péché, Ann. Probab. 33 (2005) 1643 (the threshold); Benaych-Georges
and Nadakuditi, J. Multivariate Anal. 111 (2012) 120, arXiv 1103.2221, section 3.1 (landing and
shares); Gavish and Donoho, IEEE Trans. Inf. Theory 60 (2014) 5040, arXiv 1305.5870 (the optimal
hard threshold), and 63 (2017) 2137, arXiv 1405.7511 (shrinkage); Leeb, Stat. Probab. Lett. 186
(2022) 109472, arXiv 2005.11807 (shrinkage for the operator norm).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum

Array = NDArray[np.float64]


def detection(ratio: float) -> float:
    """Return c^¼: the strength up to which a spike leaves no trace at the edge."""
    return math.pow(ratio, 0.25)


def edge(ratio: float) -> float:
    """Return 1 + √c: the largest normalised singular value of noise."""
    return 1 + math.sqrt(ratio)


def landing(x: ArrayLike, ratio: float) -> Array:
    """Return y(x) = √((x + 1/x)(x + c/x)), where spikes of strengths x ≥ 0 land.

    1 + √c up to the detection threshold. Benaych-Georges and Nadakuditi (2012), section 3.1.
    """
    x = np.maximum(np.asarray(x, dtype=np.float64), detection(ratio))
    return np.sqrt((x + 1 / x) * (x + ratio / x))


def strength(y: ArrayLike, ratio: float) -> Array:
    """Return x(y) ≥ c^¼, the inverse of `landing`, for normalised values y; 0 up to the edge.

        x(y)² = ½ (y² − c − 1 + √((y² − c − 1)² − 4c))

    Gavish and Donoho (2017), table of the optimal shrinkers; also the "noise filtering" of
    Staats, Thamm and Rosenow, Phys. Rev. E 108 (2023) L022302.
    """
    y = np.asarray(y, dtype=np.float64)
    above = np.maximum(y, edge(ratio))
    # (y − a)(y + a) and not y² − a²: close to the edge a the difference of squares cancels
    low = 1 - math.sqrt(ratio)
    middle = (above - low) * (above + low) / 2 - math.sqrt(ratio)
    x = np.sqrt(np.maximum(middle + _gap(above, ratio) / 2, math.sqrt(ratio)))
    return np.where(y > edge(ratio), x, 0.0)


def shares(x: ArrayLike, ratio: float) -> tuple[Array, Array]:
    """Return the shares (near, far) of the found directions in the space of the true ones.

        near = (1 − c/x⁴)/(1 + c/x²),    far = (1 − c/x⁴)/(1 + 1/x²)

    `near` on the side of p, `far` on the side of n; 0 up to the detection threshold. Squared
    cosines. Benaych-Georges and Nadakuditi (2012), section 3.1.
    """
    lost = np.asarray(x, dtype=np.float64) <= detection(ratio)
    x = np.maximum(np.asarray(x, dtype=np.float64), detection(ratio))
    clear = np.where(lost, 0.0, np.maximum(1 - ratio / x**2 / x**2, 0.0))
    return clear / (1 + ratio / x**2), clear / (1 + 1 / x**2)


def frobenius(y: ArrayLike, ratio: float) -> Array:
    """Return η(y) = √((y² − c − 1)² − 4c)/y, best in Frobenius norm: ‖S − Ŝ‖²_F least.

    It equals x √(near · far). Gavish and Donoho (2017).
    """
    above = np.maximum(np.asarray(y, dtype=np.float64), edge(ratio))
    return _gap(above, ratio) / above


def operator(y: ArrayLike, ratio: float) -> Array:
    """Return η(y) = x √(far/near) = x √((x² + c)/(x² + 1)), best in operator norm.

    The largest singular value of S − Ŝ is then least, x √(1 − far): whatever the shrunken
    value, the part of S outside the found direction of the longer side is lost. Leeb
    (2022); the η = x(y) of Gavish and Donoho (2017) is best for square matrices only.
    """
    x = strength(y, ratio)
    return x * np.sqrt((x**2 + ratio) / (x**2 + 1))


def nuclear(y: ArrayLike, ratio: float) -> Array:
    """Return η(y) = (x⁴ − c − √c x y)₊/(x² y), best in nuclear norm: the sum of all values least.

    It equals x (√(near · far) − √((1 − near)(1 − far)))₊. Gavish and Donoho (2017).
    """
    y = np.maximum(np.asarray(y, dtype=np.float64), edge(ratio))
    x = np.maximum(strength(y, ratio), detection(ratio))
    return np.maximum((x**2 - ratio / x**2 - math.sqrt(ratio) * y / x) / y, 0.0)


LOSSES: Mapping[str, Callable[[ArrayLike, float], Array]] = {
    "frobenius": frobenius,
    "operator": operator,
    "nuclear": nuclear,
}
"""The optimal shrinker of normalised singular values for each loss; all are 0 up to the edge."""


def hard_threshold(ratio: float) -> float:
    """Return λ*(c): keep the normalised values above it for the least Frobenius error.

        λ*(c) = √(2(c + 1) + 8c/(c + 1 + √(c² + 14c + 1)))

    The best of all hard thresholds, for noise of known size. Gavish and Donoho (2014).
    """
    c = ratio
    return math.sqrt(2 * (c + 1) + 8 * c / (c + 1 + math.sqrt(c * c + 14 * c + 1)))


def hard_threshold_by_median(ratio: float) -> float:
    """Return ω(c) = λ*(c)/√μ_c, the same in units of the median singular value.

    μ_c is the median of the Marchenko–Pastur law, so the size of the noise need not be known,
    but the spikes must be few: they move the median as if the noise were larger. Gavish and
    Donoho (2014).
    """
    return hard_threshold(ratio) / math.sqrt(float(MarchenkoPastur(ratio).ppf(0.5)))


def beside(shape: tuple[int, int], sigma: float, spikes: int) -> tuple[float, float]:
    """Return the unit σ√(n − k) and the aspect ratio (p − k)/(n − k) of noise beside k spikes.

    The formulas hold for few spikes. Each of many competes only with the noise outside the
    others' directions, which is (p − k) × (n − k). Measured with 96 spikes in 512 × 784, from 6
    down to 1.3 times the threshold: the predicted shares are off by 0.005 in place of up to
    0.09 (the weakest eighth: by 0.06 in place of 0.37), and the Frobenius error after
    shrinkage is 0.2 % above the least that new values can reach in place of 1.5 %.

    Raises:
        ValueError: no noise is left, p ≤ k.
    """
    p, n = min(shape) - spikes, max(shape) - spikes
    if p < 1:
        raise ValueError(f"beside {spikes} spikes no noise is left in {shape}")
    return sigma * math.sqrt(n), p / n


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """What stands behind the k largest singular values, strongest first.

    `values` as measured and `strengths` as estimated for the signal alone, both as singular
    values; `near` and `far` the predicted shares of each direction in the space of the
    signal's, on the shorter and on the longer side of the matrix. A value that noise could
    reach has the strength and the shares 0.
    """

    values: Array
    strengths: Array
    near: Array
    far: Array

    def __len__(self) -> int:
        return len(self.values)


def strengths(spectrum: Spectrum, sigma: float, spikes: int | None = None) -> Strengths:
    """Return the strength and the shares of the k largest values, for noise of entries' σ.

    k is the number of `spikes` of a fit; None: of the values above the edge σ(√n + √p), between
    which and a fit's cut noise itself reaches by chance.
    """
    if spikes is None:
        top = sigma * (math.sqrt(spectrum.n) + math.sqrt(spectrum.p))
        spikes = min(int(np.count_nonzero(spectrum.values > top)), spectrum.p - 1)
    unit, ratio = beside(spectrum.shape, sigma, spikes)
    values = spectrum.values[:spikes].copy()
    x = strength(values / unit, ratio)
    found = Strengths(values, unit * x, *shares(x, ratio))
    for array in (found.values, found.strengths, found.near, found.far):
        array.flags.writeable = False
    return found


def _gap(y: Array, ratio: float) -> Array:
    """Return √((y² − c − 1)² − 4c) = √((y² − (1 + √c)²)(y² − (1 − √c)²)) for y ≥ 1 + √c."""
    high, low = edge(ratio), 1 - math.sqrt(ratio)
    return np.sqrt((y - high) * (y + high)) * np.sqrt((y - low) * (y + low))
