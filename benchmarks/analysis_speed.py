"""Claim: analysing an MLP costs little more than the bare linear algebra beneath it.

The network is 784-1000-1000-500-10; the analysis is to stay below 0.5 s of CPU.

Side by side, in turns, in one process on one BLAS thread: the whole analysis (reading, digest,
singular values, both fits) and numpy's singular values of the same matrices alone, by SVD and
by the Gram matrix.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from rmtviz import Checkpoint, analyze

SIDES = (784, 1000, 1000, 500, 10)
TURNS = 7


def main() -> None:
    """Print CPU seconds (median of the turns) and ratios."""
    rng = np.random.default_rng()
    arrays = {
        f"{place}.weight": rng.uniform(-1, 1, (rows, columns)).astype(np.float32) / columns**0.5
        for place, (columns, rows) in enumerate(itertools.pairwise(SIDES))
    }

    def whole() -> None:
        analyze(Checkpoint.of(arrays))

    def gram() -> None:
        for array in arrays.values():
            wide = (array if array.shape[0] <= array.shape[1] else array.T).astype(np.float64)
            np.linalg.eigvalsh(wide @ wide.T)

    def svd() -> None:
        for array in arrays.values():
            np.linalg.svd(array.astype(np.float64), compute_uv=False)

    with threadpool_limits(1, "blas"):
        seconds: dict[str, list[float]] = {"analyze": [], "Gram alone": [], "SVD alone": []}
        for turn in range(TURNS + 1):
            for name, call in (("analyze", whole), ("Gram alone", gram), ("SVD alone", svd)):
                spent = cpu(call)
                if turn:
                    seconds[name].append(spent)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    for name, value in middle.items():
        print(f"{name:12} {value:.3f} s CPU   {value / middle['analyze']:.2f} of analyze")


def cpu(call: Callable[[], None]) -> float:
    """Return the CPU seconds of a call, all threads together."""
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
