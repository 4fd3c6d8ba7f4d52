"""Optional packages: each belongs to an extra of the project, which the refusal names."""

import importlib
from typing import Any

from rmtviz.errors import ExtraMissing


def package(name: str, extra: str) -> Any:
    """Return an optional package, or a part of one, by its dotted name.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        whole = name.partition(".")[0]
        raise ExtraMissing("extra_missing", package=whole, extra=extra) from None
