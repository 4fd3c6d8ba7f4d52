"""The spectra of many layers at once: side by side on all cores, within a budget of memory."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from rmtviz import blas
from rmtviz.checkpoint import Checkpoint
from rmtviz.layers import Layer
from rmtviz.spectrum import BLOCK, Gram, NotFiniteError, Spectrum

MEMORY = 3 * 2**28
"""Bytes that all layers at work may take together. A layer that needs more is worked on alone."""


class Room:
    """Bytes that tasks share: each waits until its own fit in, or until nobody else is inside."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: list[int] = []
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Hold so many bytes, once they are free."""
        with self._changed:
            self._changed.wait_for(
                lambda: sum(self._taken, count) <= self._total or not self._taken
            )
            self._taken.append(count)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(count)
                self._changed.notify_all()

    def _fits(self, count: int) -> bool:
        return sum(self._taken) + count <= self._total


def spectra(
    layers: Sequence[Layer],
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] | None = None,
    memory: int = MEMORY,
) -> tuple[Spectrum | None, ...]:
    """Return the spectrum of each layer; None where entries are NaN or infinite.

    One layer a core and one BLAS thread a layer, largest first: threads inside one
    decomposition lose on a busy machine, layers side by side do not. A layer is read when its
    turn comes and dropped when its Gram matrix is made. The checkpoint's digest, which every
    result carries, is made on the side. `progress(done, of)` counts weights.
    """
    total, done = sum(layer.parameters(checkpoint) for layer in layers), 0
    room = Room(memory)
    found: dict[Layer, Spectrum | None] = {}
    with threadpool_limits(1, "blas"), _pool(len(layers) + 1) as pool:
        digest = pool.submit(_digest, checkpoint, room)
        tasks = {
            pool.submit(_spectrum, layer, checkpoint, room): layer
            for layer in sorted(layers, key=_work, reverse=True)
        }
        for task in as_completed(tasks):
            layer = tasks[task]
            found[layer] = task.result()
            done += layer.parameters(checkpoint)
            if progress:
                progress(done, total)
        digest.result()
    return tuple(found[layer] for layer in layers)


def gram_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes that a layer's spectrum takes by its Gram matrix, the matrix included."""
    p = min(layer.shape)
    block = 8 * max(BLOCK, p * p // 8)
    copies = 1 if p >= blas.TWO_STAGE else 2
    return _matrix_bytes(layer, checkpoint) + block + copies * 8 * p * p


def svd_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes that a layer's spectrum takes by a full SVD, the matrix included."""
    return _matrix_bytes(layer, checkpoint) + 2 * 8 * layer.shape[0] * layer.shape[1]


def _matrix_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes of the matrix: as stored, or of float64 where it has to be made."""
    stored = sum(checkpoint.tensors[name].nbytes for name in layer.tensors)
    return stored if layer.kind == "linear" else stored + 8 * layer.shape[0] * layer.shape[1]


def _work(layer: Layer) -> int:
    """Return a number that grows with the time that a layer takes."""
    p, n = sorted(layer.shape)
    return p * p * (n + p)


def _spectrum(layer: Layer, checkpoint: Checkpoint, room: Room) -> Spectrum | None:
    try:
        with room.take(gram_bytes(layer, checkpoint)):
            found = Gram.of(layer.matrix(checkpoint)).spectrum()
        if found is None:
            with room.take(svd_bytes(layer, checkpoint)):
                found = Spectrum.by_svd(layer.matrix(checkpoint))
    except NotFiniteError:
        return None
    return found


def _digest(checkpoint: Checkpoint, room: Room) -> str:
    with room.take(max((tensor.nbytes for tensor in checkpoint.tensors.values()), default=0)):
        return checkpoint.digest


@contextmanager
def _pool(tasks: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads, one a core; leaving early drops the tasks that have not begun."""
    pool = ThreadPoolExecutor(min(tasks, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
