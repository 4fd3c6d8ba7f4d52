"""How to find the bulk: each method is a frozen value that maps a Spectrum to an MPFit."""

from collections.abc import Mapping

from rmtviz.fits.base import Bulk, Law, Method, MPFit, Status
from rmtviz.fits.bema import BEMA
from rmtviz.fits.kritchman_nadler import KritchmanNadler

METHODS: Mapping[str, type[Method]] = {
    "bema": BEMA,
    "kritchman-nadler": KritchmanNadler,
}

__all__ = ["BEMA", "METHODS", "Bulk", "KritchmanNadler", "Law", "MPFit", "Method", "Status"]
