"""What all of the paper's scripts share: rows to a committed file, with versions and seeds."""

import json
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rmtviz.fits import BEMA
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum
from rmtviz.version import __version__

FOLDER = Path(__file__).parent / "results"


def keep(name: str, rows: Iterable[Mapping[str, Any]], **about: Any) -> None:
    """Print each row as it comes, and write all of them so far to results/NAME.json.

    `cpu_minutes` says what they took, on all threads together.
    """
    found: list[Mapping[str, Any]] = []
    for row in rows:
        print(json.dumps(row), flush=True)
        found.append(row)
        spent = {"cpu_minutes": round(time.process_time() / 60, 1)}
        record = {**about, "versions": versions(), **spent, "rows": found}
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


def middle(spectrum: Spectrum) -> float:
    """Return the largest distance to the law over the middle half of the eigenvalues.

    That of the paper's section 4.3 (α = ¼), about the law of the whole matrix with BEMA's σ;
    the i-th of p smallest eigenvalues has the share (i − ½)/p below it.
    """
    p = spectrum.p
    variance, _ = BEMA(alpha=0.25).estimate(spectrum)
    shares = (np.arange(p) + 0.5) / p
    found = MarchenkoPastur(spectrum.ratio, variance).cdf(spectrum.eigenvalues[::-1])
    half = (shares >= 0.25) & (shares <= 0.75)
    return float(np.abs(found - shares)[half].max())


def quick() -> bool:
    """Return whether only a moment of the work is asked for, to see that it runs."""
    return "--quick" in sys.argv
