"""What all of the paper's scripts share: rows to a committed file, with versions and seeds."""

import json
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rmtviz.version import __version__

FOLDER = Path(__file__).parent / "results"


def keep(name: str, rows: Iterable[Mapping[str, Any]], **about: Any) -> None:
    """Print each row as it comes, and write all of them so far to results/NAME.json."""
    found: list[Mapping[str, Any]] = []
    for row in rows:
        print(json.dumps(row), flush=True)
        found.append(row)
        record = {**about, "versions": versions(), "rows": found}
        if quick():
            continue
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def versions() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "rmtviz": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def quick() -> bool:
    """Return whether only a moment of the work is asked for, to see that it runs."""
    return "--quick" in sys.argv
