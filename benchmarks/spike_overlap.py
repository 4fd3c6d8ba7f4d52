"""Claim: how much of a spike's direction was learnt can be told from the trained weights alone.

On the clean demo network, whose weights before training W₀ are kept: for the k spikes of the
trained W, the predicted share of each direction in the space of the signal's, on both sides of
the matrix, against its measured share in the space of the k leading directions of what training
changed, W − W₀. Beside it the best match with a single one of those directions, which says
little: close strengths mix. The prediction is asymptotic theory for noise that is independent of
the signal, made with the fit of W; W₀ and W − W₀ are neither Gaussian nor independent.
"""

import numpy as np
from numpy.typing import NDArray

from rmtviz import METHODS, Spectrum, spiked
from rmtviz.checkpoint import Checkpoint
from rmtviz.formats import read
from rmtviz.site import home

Array = NDArray[np.float64]

LAYERS = ("0.weight", "2.weight")
SHOWN = (1, 2, 3, 5, 9, 17, 25, 33, 49, 65, 81, 97)


def main() -> None:
    """Print a table a layer, and the mean gaps for every method."""
    folder = home() / "assets" / "models"
    trained, before = (read(folder / f"{name}.safetensors") for name in ("clean", "untrained"))
    gaps = []
    for name in LAYERS:
        w, learnt = matrices(trained, before, name)
        for label, made in METHODS.items():
            fit = made()(Spectrum.of(w), lambda w=w: w)
            bulk = fit.bulk
            if bulk is None or not bulk.spikes or fit.scaled:  # an equalised σ is not W's
                continue
            found = spiked.strengths(Spectrum.of(w), bulk.sigma, bulk.spikes)
            near, far, single = measured(w, learnt, bulk.spikes)
            if label == "kritchman-nadler":
                print(f"layer {name}, {label}: {bulk.spikes} spikes, σ {bulk.sigma:.4f}")
                print(
                    "spike      s  strength   near: predicted measured   far: predicted measured"
                    "   single"
                )
                for spike in SHOWN:
                    i = spike - 1
                    if i < bulk.spikes:
                        print(
                            f"{spike:5} {found.values[i]:6.2f} {found.strengths[i]:9.2f}"
                            f"{found.near[i]:18.2f} {near[i]:8.2f}{found.far[i]:17.2f}"
                            f" {far[i]:8.2f} {single[i]:8.2f}"
                        )
            gaps.append((name, label, bulk.spikes, found.near - near, found.far - far))
    print("\nlayer     method              spikes   near: mean gap, size   far: mean gap, size")
    for name, label, spikes, near, far in gaps:
        print(
            f"{name}  {label:20} {spikes:5} {near.mean():+16.3f} {np.abs(near).mean():6.3f}"
            f" {far.mean():+14.3f} {np.abs(far).mean():6.3f}"
        )


def matrices(trained: Checkpoint, before: Checkpoint, name: str) -> tuple[Array, Array]:
    """Return W and W − W₀, on their sides so that p ≤ n."""
    w, initial = (np.asarray(each[name], dtype=np.float64) for each in (trained, before))
    return (w, w - initial) if w.shape[0] <= w.shape[1] else (w.T, (w - initial).T)


def measured(w: Array, learnt: Array, spikes: int) -> tuple[Array, Array, Array]:
    """Return each spike's shares (near, far) in the learnt space, and its best single match."""
    left, _, right = np.linalg.svd(w, full_matrices=False)
    true_left, _, true_right = np.linalg.svd(learnt, full_matrices=False)
    near = (true_left[:, :spikes].T @ left[:, :spikes]) ** 2
    far = (true_right[:spikes] @ right[:spikes].T) ** 2
    return near.sum(axis=0), far.sum(axis=0), near.max(axis=0)


if __name__ == "__main__":
    main()
