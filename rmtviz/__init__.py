"""Which part of a network did it learn, which can't be told from noise, what if it is cut?

The pipeline, in order: `read` a checkpoint, `analyze` its layers' spectra, `plan` a cut,
`apply` it, `write` the result.
Everything is loaded when first used: importing this package loads neither torch,
streamlit nor plotly.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rmtviz.version import __version__ as __version__

if TYPE_CHECKING:
    from rmtviz.analysis import Analysis, analyze
    from rmtviz.attention import by_heads
    from rmtviz.checkpoint import Checkpoint
    from rmtviz.errors import RmtvizError
    from rmtviz.fits import BEMA, METHODS, KritchmanNadler, MPFit
    from rmtviz.formats import FORMATS, read, write
    from rmtviz.marchenko_pastur import MarchenkoPastur
    from rmtviz.pruning import PruningPlan, apply, plan
    from rmtviz.rules import RULES, EnergyShare, FixedRank, NoiseEdge
    from rmtviz.spectrum import Spectrum
    from rmtviz.ui.serving import studio

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
    "by_heads": "attention",
    "Analysis": "analysis",
    "RULES": "rules",
    "NoiseEdge": "rules",
    "EnergyShare": "rules",
    "FixedRank": "rules",
    "plan": "pruning",
    "PruningPlan": "pruning",
    "apply": "pruning",
    "RmtvizError": "errors",
    "studio": "ui.serving",
}

__all__ = [
    "BEMA",
    "FORMATS",
    "METHODS",
    "RULES",
    "Analysis",
    "Checkpoint",
    "EnergyShare",
    "FixedRank",
    "KritchmanNadler",
    "MPFit",
    "MarchenkoPastur",
    "NoiseEdge",
    "PruningPlan",
    "RmtvizError",
    "Spectrum",
    "analyze",
    "apply",
    "by_heads",
    "plan",
    "read",
    "studio",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
