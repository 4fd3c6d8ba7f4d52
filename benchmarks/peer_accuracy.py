"""Claim: of the tools that install side by side, each σ, edge and spike count is as tabled.

Every method of rmtviz, WeightWatcher, optht and ScreeNOT on the same matrices of Gaussian noise
with σ = 1, alone and with 20 planted spikes, wide, tall and square. A peer that is not installed
is skipped, and said to be. Seeds vary by run and are printed.

`--write` puts the tables into docs/benchmarks.md.
"""

import contextlib
import importlib.metadata
import io
import logging
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz import METHODS, Spectrum
from rmtviz.fits import Method
from rmtviz.version import __version__
from scripts.benchmarks_page import put

Array = NDArray[np.float64]

DRAWS = 20
SPIKES = 20
BOUND = 40
"""The bound on the rank that ScreeNOT asks for: twice the number of planted spikes."""


@dataclass(frozen=True, slots=True)
class Case:
    """Noise of a shape, and spikes spread evenly over `strengths` times the threshold."""

    title: str
    shape: tuple[int, int]
    strengths: tuple[float, float] | None = None

    @property
    def spikes(self) -> int:
        """The number of planted spikes."""
        return SPIKES if self.strengths else 0

    @property
    def edge(self) -> float:
        """σ(√n + √p), where the singular values of the noise end."""
        return math.sqrt(self.shape[0]) + math.sqrt(self.shape[1])

    def draw(self, rng: np.random.Generator) -> Array:
        """Return a matrix of unit noise plus the spikes, in random directions."""
        noise = rng.standard_normal(self.shape)
        if self.strengths is None:
            return noise
        left, right = (np.linalg.qr(rng.standard_normal((m, SPIKES)))[0] for m in self.shape)
        strengths = np.linspace(*self.strengths, SPIKES) * math.prod(self.shape) ** 0.25
        return noise + left * strengths @ right.T


CASES = (
    Case("300 × 784, noise", (300, 784)),
    Case("300 × 300, noise", (300, 300)),
    Case("300 × 300, 5 to 20", (300, 300), (5, 20)),
    Case("300 × 300, 1.5 to 4", (300, 300), (1.5, 4)),
    Case("300 × 784, 1.5 to 4", (300, 784), (1.5, 4)),
    Case("784 × 300, 1.5 to 4", (784, 300), (1.5, 4)),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a tool says of a matrix: σ of the entries, the edge as a singular value, the spikes.

    None is what it does not say.
    """

    sigma: float | None = None
    edge: float | None = None
    spikes: int | None = None


Tool = Callable[[Array], Found]


def own(kind: type[Method]) -> Tool:
    """Return a method of rmtviz with its default knobs."""

    def fit(w: Array) -> Found:
        found = kind()(Spectrum.of(w), lambda: w)
        if found.bulk is None or found.scaled:  # an equalised σ is not that of W
            return Found(spikes=found.spikes)
        edge = math.sqrt(max(w.shape) * found.bulk.edges[1])
        return Found(found.bulk.sigma, edge, found.bulk.spikes)

    return fit


def weightwatcher() -> Tool:
    """Return WeightWatcher's `analyze(mp_fit=True)`."""
    with silence():
        import torch
        import weightwatcher as peer
    logging.disable(logging.CRITICAL)

    def fit(w: Array) -> Found:
        model = {"layer.weight": torch.from_numpy(w.astype(np.float32))}
        with silence():
            details = peer.WeightWatcher(model=model).analyze(mp_fit=True)
        return from_weightwatcher(details.iloc[0].to_dict())

    return fit


def from_weightwatcher(row: Mapping[str, float]) -> Found:
    """Return a row of WeightWatcher's details in our terms.

    Its eigenvalues are s², without 1/n, and `sigma_mp` is that of W multiplied by `W_scale`:
    σ = sigma_mp/(W_scale √N), N the longer side; `bulk_max` is already scaled back.
    """
    sigma = row["sigma_mp"] / (row["W_scale"] * math.sqrt(row["N"]))
    return Found(sigma, math.sqrt(row["bulk_max"]), int(row["num_spikes"]))


def optht() -> Tool:
    """Return optht's rank for noise of unknown σ: it says neither σ nor an edge."""
    from optht import optht as peer

    def fit(w: Array) -> Found:
        values = np.linalg.svd(w, compute_uv=False)
        try:
            return Found(spikes=int(peer(min(w.shape) / max(w.shape), values)))
        except ValueError:  # the largest of no value: optht's answer where none is above
            return Found(spikes=0)

    return fit


def screenot() -> Tool:
    """Return ScreeNOT's rank, with the bound it asks for: it says neither σ nor an edge."""
    from screenot import adaptiveHardThresholding as peer  # noqa: N813

    def fit(w: Array) -> Found:
        return Found(spikes=int(peer(w, BOUND)[2]))

    return fit


PEERS: Mapping[str, Callable[[], Tool]] = {
    "weightwatcher": weightwatcher,
    "optht": optht,
    "screenot": screenot,
}


def main() -> None:
    """Print the tables, and write them where that is asked for."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    tools = {name: own(kind) for name, kind in METHODS.items()}
    versions, missing = [f"rmtviz {__version__}"], []
    for name, make in PEERS.items():
        try:
            tools[name] = make()
        except ImportError:
            missing.append(name)
        else:
            versions.append(f"{name} {importlib.metadata.version(name)}")
    versions.append(f"numpy {np.__version__}")
    lines = list(section(measure(tools, np.random.default_rng(seed)), seed, versions, missing))
    print("\n".join(lines))
    if "--write" in sys.argv:
        put("accuracy", lines)


Results = Mapping[str, Sequence[Sequence[Found]]]
"""What each tool found, by case and draw."""


def measure(tools: Mapping[str, Tool], rng: np.random.Generator) -> Results:
    """Return what every tool finds in the same draws of every case."""
    found: dict[str, list[list[Found]]] = {name: [] for name in tools}
    for case in CASES:
        draws = [case.draw(rng) for _ in range(DRAWS)]
        for name, tool in tools.items():
            found[name].append([tool(w) for w in draws])
    return found


def section(
    results: Results, seed: int, versions: Iterable[str], missing: Iterable[str]
) -> Iterator[str]:
    """Yield the section of the page, a line at a time."""
    yield "## Accuracy"
    yield ""
    yield "Made by `benchmarks/peer_accuracy.py --write`: " + ", ".join(versions) + "."
    yield f"{DRAWS} draws a column, seed {seed}; every tool sees the same matrices and is used"
    yield "with its defaults."
    for name in missing:
        yield f"Skipped, for it was not installed: {name}."
    yield NOTE
    for title, cell in (
        ("Mean error of σ", sigma_error),
        ("Mean error of the edge, against σ(√n + √p)", edge_error),
        ("Spikes found, and false ones, on average", spike_counts),
    ):
        yield f"### {title}\n"
        yield "| | " + " | ".join(case.title for case in CASES) + " |"
        yield "|---|" + "---|" * len(CASES)
        for name, cases in results.items():
            cells = [cell(case, draws) for case, draws in zip(CASES, cases, strict=True)]
            yield f"| {name} | " + " | ".join(cells) + " |"
        yield ""


def sigma_error(case: Case, draws: Sequence[Found]) -> str:
    """Return the mean relative error of σ, whose truth is 1."""
    return error([found.sigma for found in draws], 1.0)


def edge_error(case: Case, draws: Sequence[Found]) -> str:
    """Return the mean relative error of the edge."""
    return error([found.edge for found in draws], case.edge)


def error(values: Sequence[float | None], truth: float) -> str:
    """Return the mean relative error, and of how many draws where it is not all of them."""
    said = [value for value in values if value is not None]
    if not said:
        return "–"
    few = "" if len(said) == len(values) else f" ({len(said)} of {len(values)})"
    return f"{statistics.fmean(said) / truth - 1:+.2%}{few}"


def spike_counts(case: Case, draws: Sequence[Found]) -> str:
    """Return the mean numbers of spikes found and of false ones: those above the planted number."""
    counts = [found.spikes for found in draws if found.spikes is not None]
    if not counts:
        return "no bulk"
    few = "" if len(counts) == len(draws) else f" ({len(counts)} of {len(draws)})"
    right = statistics.fmean(min(count, case.spikes) for count in counts)
    false = statistics.fmean(max(count - case.spikes, 0) for count in counts)
    return f"{right:.1f}, {false:.2f}{few}" if case.spikes else f"{false:.2f} false{few}"


def silence() -> contextlib.ExitStack:
    """Return a context in which nothing is printed."""
    stack = contextlib.ExitStack()
    stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
    return stack


NOTE = f"""
Entries of the noise are Gaussian with σ = 1. Columns with “a to b” have {SPIKES} spikes, spread
evenly over a to b times the detection threshold σ(pn)^¼, and there a cell of the last table
reads “found, false”: found counts up to {SPIKES}, false what is above. A dash: the tool does not
say. rmtviz cuts at a level of 0.10: one draw of noise in ten is to have a false spike.

Beside k spikes the noise ends at σ(√(n − k) + √(p − k)), where the laws of most methods of
rmtviz end: for {SPIKES} spikes that is 3.4 % below σ(√n + √p) in 300 × 300, 2.1 % in 300 × 784.

dyson rescales rows and columns, so that its σ is not the matrix's. WeightWatcher's σ is
sigma_mp/(W_scale √N), its edge √bulk_max, its spikes num_spikes. optht and ScreeNOT place the
threshold that is best for the matrix error, above the edge of the noise, and so leave out
spikes that are barely above it; ScreeNOT was given a bound of {BOUND} on the rank, and where
optht raises a ValueError because no value is above, that is counted as none.

Not here: scikit-rmt 2.1.1 (needs numpy ≤ 1.26), diffract-core 0.3.1 (needs Python ≥ 3.12);
laserRMT and Spectrum are scripts and not packages.
"""


if __name__ == "__main__":
    main()
