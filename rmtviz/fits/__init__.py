"""How to find the bulk: each method is a frozen value that maps a Spectrum to an MPFit."""

from collections.abc import Mapping

from rmtviz.fits.base import Bulk, Law, Method, MPFit, Promises, Status
from rmtviz.fits.bema import BEMA
from rmtviz.fits.dyson import Dyson
from rmtviz.fits.iterated import Iterated
from rmtviz.fits.kolmogorov import Kolmogorov
from rmtviz.fits.kritchman_nadler import KritchmanNadler
from rmtviz.fits.median import Median
from rmtviz.fits.permutation import Permutation

METHODS: Mapping[str, type[Method]] = {
    "bema": BEMA,
    "kritchman-nadler": KritchmanNadler,
    "iterated": Iterated,
    "median": Median,
    "kolmogorov": Kolmogorov,
    "permutation": Permutation,
    "dyson": Dyson,
}

COMPARED = ("bema", "kritchman-nadler", "dyson")
"""The methods whose ranks say whether a cut is stable: for few spikes, many, uneven noise."""

__all__ = [
    "BEMA",
    "COMPARED",
    "METHODS",
    "Bulk",
    "Dyson",
    "Iterated",
    "Kolmogorov",
    "KritchmanNadler",
    "Law",
    "MPFit",
    "Median",
    "Method",
    "Permutation",
    "Promises",
    "Status",
]
