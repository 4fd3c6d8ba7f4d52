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
and Nadakuditi, J. Multivariate Anal. 111 (2012) 120, section 3.1 (landing and shares); Gavish
and Donoho, IEEE Trans. Inf. Theory 63 (2017) 2137, arXiv 1405.7511 (shrinkage), and 60 (2014)
5040, arXiv 1305.5870 (the optimal hard threshold).
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

    1 + √c up to the detection threshold. Benaych-Georges and Nadakuditi (2012), eq. 9.
    """
    x = np.maximum(np.asarray(x, dtype=np.float64), detection(ratio))
    return np.sqrt((x + 1 / x) * (x + ratio / x))


def strength(y: ArrayLike, ratio: float) -> Array:
    """Return x(y) ≥ c^¼, the inverse of `landing`, for normalised values y; 0 up to the edge.

        x(y)² = ½ (y² − c − 1 + √((y² − c − 1)² − 4c))

    Gavish and Donoho (2017), eq. 4.
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
    cosines. Benaych-Georges and Nadakuditi (2012), eq. 10; Gavish and Donoho (2017), eq. 5.
    """
    x = np.maximum(np.asarray(x, dtype=np.float64), detection(ratio))
    clear = np.maximum(1 - ratio / x**4, 0.0)
    return clear / (1 + ratio / x**2), clear / (1 + 1 / x**2)


def frobenius(y: ArrayLike, ratio: float) -> Array:
    """Return η(y) = √((y² − c − 1)² − 4c)/y, best in Frobenius norm: ‖S − Ŝ‖²_F least.

    It equals x √(near · far). Gavish and Donoho (2017), eq. 7.
    """
    above = np.maximum(np.asarray(y, dtype=np.float64), edge(ratio))
    return _gap(above, ratio) / above


def operator(y: ArrayLike, ratio: float) -> Array:
    """Return η(y) = x(y), best in operator norm: the largest singular value of S − Ŝ least.

    The landing undone; also the "noise filtering" of Staats, Thamm and Rosenow, Phys. Rev. E
    108 (2023) L022302. Gavish and Donoho (2017), eq. 8.
    """
    return strength(y, ratio)


def nuclear(y: ArrayLike, ratio: float) -> Array:
    """Return η(y) = (x⁴ − c − √c x y)₊/(x² y), best in nuclear norm: the sum of all values least.

    Gavish and Donoho (2017), eq. 9.
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

    The best of all hard thresholds, for noise of known size. Gavish and Donoho (2014), eq. 11.
    """
    c = ratio
    return math.sqrt(2 * (c + 1) + 8 * c / (c + 1 + math.sqrt(c * c + 14 * c + 1)))


def hard_threshold_by_median(ratio: float) -> float:
    """Return ω(c) = λ*(c)/√μ_c, the same in units of the median singular value.

    μ_c is the median of the Marchenko–Pastur law, so the size of the noise need not be known,
    but the spikes must be few: r of them move the median as if noise were larger. Gavish
    and Donoho (2014), eqs. 4 and 5.
    """
    return hard_threshold(ratio) / math.sqrt(float(MarchenkoPastur(ratio).ppf(0.5)))


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """What stands behind the singular values above the law's edge, strongest first.

    `values` as measured and `strengths` as estimated for the signal alone, both as singular
    values; `near` and `far` the predicted shares of each direction in the space of the
    signal's, on the shorter and on the longer side of the matrix.
    """

    values: Array
    strengths: Array
    near: Array
    far: Array

    def __len__(self) -> int:
        return len(self.values)


def strengths(spectrum: Spectrum, law: MarchenkoPastur) -> Strengths:
    """Return the strength and the shares of each singular value above the law's edge.

    The first values of a fit are its spikes; between the edge and the fit's cut, noise
    itself reaches by chance.
    """
    unit = law.sigma * math.sqrt(spectrum.n)
    normalised = spectrum.values / unit
    y = normalised[normalised > edge(law.ratio)]
    x = strength(y, law.ratio)
    near, far = shares(x, law.ratio)
    found = Strengths(spectrum.values[: len(y)].copy(), unit * x, near, far)
    for array in (found.values, found.strengths, found.near, found.far):
        array.flags.writeable = False
    return found


def _gap(y: Array, ratio: float) -> Array:
    """Return √((y² − c − 1)² − 4c) = √((y² − (1 + √c)²)(y² − (1 − √c)²)) for y ≥ 1 + √c."""
    high, low = edge(ratio), 1 - math.sqrt(ratio)
    return np.sqrt((y - high) * (y + high)) * np.sqrt((y - low) * (y + low))
