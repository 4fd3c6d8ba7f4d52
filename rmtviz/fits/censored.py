"""The law fitted to what an earlier cut has left of a bulk: BEMA on the values that are known.

No member of the table: it needs to be told how many of the values are stored.
"""

import math

import numpy as np

from rmtviz import tracy_widom
from rmtviz.fits.base import CLOSE, SMALLEST, Bulk, Law, MPFit, Status
from rmtviz.fits.bema import BEMA
from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles
from rmtviz.spectrum import Spectrum

FARTHEST = 0.2
"""Beyond this Kolmogorov distance no bulk is claimed."""


def fit(spectrum: Spectrum, known: int, method: BEMA) -> MPFit:
    """Fit the law to the `known` largest values of a spectrum whose others were cut away.

    A cut at a rank keeps the largest values, so that what is left of the bulk is its upper
    part. BEMA matches it with the same quantiles as it would have before the cut: with q_j
    and λ_j the j-th largest of p,

        σ̂² = Σ q_j λ_j / Σ q_j²  over the central share 1 − 2α of j, as far as it is known.

    Fewer than 20 such values are no bulk: `degenerate`. With all values known this is BEMA.
    The distance is sup |F(λ_j) − (1 − (j − ½)/p)| over the known values below the cut.
    """
    p, c = spectrum.p, spectrum.ratio
    if p < SMALLEST:
        return MPFit(method, Status.TOO_SMALL)
    first = p - math.floor((1 - method.alpha) * p)
    window = slice(first, min(p - math.ceil(method.alpha * p) + 1, known))
    q, values = midpoint_quantiles(p, c)[::-1], spectrum.eigenvalues
    if window.stop - first < SMALLEST or spectrum.hard_rank < window.stop:
        return MPFit(method, Status.DEGENERATE)
    variance = float(q[window] @ values[window] / (q[window] @ q[window]))
    margin = tracy_widom.quantile(1 - method.level, spectrum.beta) * tracy_widom.edge_width(
        c, spectrum.n
    )
    law = MarchenkoPastur(c, variance)
    cut = law.support[1] + variance * margin
    spikes = int(np.count_nonzero(values > cut))
    places = 1 - (np.arange(spikes, known) + 0.5) / p
    ks = float(np.abs(law.cdf(values[spikes:known]) - places).max()) if known > spikes else 0.0
    if spikes > p // 2 or ks > FARTHEST:
        return MPFit(method, Status.NO_BULK)
    return MPFit(method, Status.OK, Bulk(math.sqrt(variance), law, cut, spikes, ks, _verdict(ks)))


def _verdict(ks: float) -> Law:
    """Return how well the law holds; never exactly, since part of the bulk is not there to see."""
    return Law.CLOSE if ks <= CLOSE else Law.NO
