"""Which part of a network did it learn, which can't be told from noise, what if it is cut?

The pipeline, in order: `read` a checkpoint, `analyze` its layers' spectra.
Everything is loaded when first used: importing this package loads neither torch,
streamlit nor plotly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmtviz.analysis import Analysis, analyze
    from rmtviz.checkpoint import Checkpoint
    from rmtviz.errors import RmtvizError
    from rmtviz.fits import BEMA, METHODS, KritchmanNadler, MPFit
    from rmtviz.formats import FORMATS, read, write
    from rmtviz.marchenko_pastur import MarchenkoPastur
    from rmtviz.spectrum import Spectrum

_HOMES = {
    "Checkpoint": "checkpoint",
    "FORMATS": "formats",
    "read": "formats",
    "write": "formats",
    "Spectrum": "spectrum",
    "MarchenkoPastur": "marchenko_pastur",
    "METHODS": "fits",
    "BEMA": "fits",
    "KritchmanNadler": "fits",
    "MPFit": "fits",
    "analyze": "analysis",
    "Analysis": "analysis",
    "RmtvizError": "errors",
}

__all__ = [
    "BEMA",
    "FORMATS",
    "METHODS",
    "Analysis",
    "Checkpoint",
    "KritchmanNadler",
    "MPFit",
    "MarchenkoPastur",
    "RmtvizError",
    "Spectrum",
    "analyze",
    "read",
    "write",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
