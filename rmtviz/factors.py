"""A matrix in directions, its own or those of its outputs, and what is left when some are cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import blas
from rmtviz.spectrum import shifted

Array = NDArray[np.float64]
Matrix = NDArray[Any]

UNSEEN = 1e-9
"""What is added to the second moment of each input, as a share of the mean one: of outputs that
the data never move, those with larger weights count as more."""

FEW = 4
"""Up to one in so many of a matrix's directions are found faster without the others."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The samples by which layers are cut in the directions of their outputs, and how.

    `samples` counts the first ones of a split of a dataset; `sequential` says whether a layer's
    inputs are those behind the layers that were cut before it, `affine` whether its bias makes
    up for the mean of what is cut.
    """

    dataset: str
    split: str
    samples: int
    sequential: bool = False
    affine: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A layer's matrix (m × n) in directions: W = left · diag(values) · rightᴴ.

    Made by `of`, they are its singular ones. Made by `seen`, `left` are those of its outputs on
    data, ordered by what the outputs carry; `right` has unit columns, at angles of any size,
    and `calibration` says by which data. `mean` (n,) is the mean input that the bias makes up for.
    """

    left: Matrix
    values: Array
    right: Matrix
    mean: Array | None = None
    calibration: Calibration | None = None

    @classmethod
    def of(cls, matrix: Matrix, count: int | None = None) -> "Factors":
        """Decompose a matrix through the eigenvectors of the Gram matrix of its smaller side.

        With a `count`, only its first so many directions. The other side follows without an
        inverse where a value is zero: its direction is zero. All is computed at a largest entry
        between ½ and 1, so that no square underflows.
        """
        tall = matrix.shape[0] > matrix.shape[1]
        _, exponent = np.frexp(np.abs(matrix).max())
        wide = shifted(matrix.conj().T if tall else matrix, -int(exponent))
        if count is not None and FEW * count <= len(wide) and not np.iscomplexobj(wide):
            gram = np.zeros((len(wide), len(wide)))
            blas.add_gram(gram, wide)
            near = blas.leading(gram, count)
        else:
            near = np.linalg.eigh(wide @ wide.conj().T)[1][:, ::-1][:, :count]
        scaled = near.conj().T @ wide
        values = np.linalg.norm(scaled, axis=1)
        far = (scaled / np.where(values > 0, values, 1.0)[:, None]).conj().T
        left, right = (far, near) if tall else (near, far)
        return cls(left, np.ldexp(values, exponent), right)

    @classmethod
    def seen(
        cls,
        matrix: Matrix,
        second: Array,
        mean: Array | None = None,
        calibration: Calibration | None = None,
    ) -> "Factors":
        """Turn a matrix (m × n) into the directions of its outputs on data: whitened truncation.

        With C = E[xxᵀ] (n × n) and the leading eigenvectors U_r of W C Wᵀ, the first r
        directions hold W_r = U_r U_rᵀ W, which of all matrices of rank r changes the outputs
        least: E‖(W − W_r)x‖² is the sum of the other eigenvalues. It is the optimum of SVD-LLM
        (Wang et al., arXiv 2403.07378) without the inverse of a factor of C, which may be
        singular. With `mean`, C is taken about it: the optimum over maps with a bias.
        """
        about = second if mean is None else second - np.outer(mean, mean)
        ridge = UNSEEN * float(np.trace(second)) / len(second)
        about = about + (ridge or 1.0) * np.eye(len(about))
        tall = matrix.shape[0] > matrix.shape[1]
        space, short = np.linalg.qr(matrix) if tall else (None, matrix)  # outputs fill no more
        _, vectors = np.linalg.eigh(short @ about @ short.conj().T)
        turned = vectors[:, ::-1]
        left = turned if space is None else space @ turned
        rows = turned.conj().T @ short
        values = np.linalg.norm(rows, axis=1)
        right = (rows / np.where(values > 0, values, 1.0)[:, None]).conj().T
        return cls(left, values, right, mean, calibration)

    def carried(self, second: Array) -> Array:
        """Return the share of the outputs' energy E‖Wx‖² that each direction carries (p,)."""
        about = second if self.mean is None else second - np.outer(self.mean, self.mean)
        rows = self.values[:, None] * self.right.conj().T
        energy = np.maximum(np.einsum("ij,ij->i", rows @ about, rows.conj()).real, 0.0)
        total = float(energy.sum())
        return energy / total if total else np.full(len(energy), 1 / len(energy))

    def shift(self, rank: int, kept: tuple[int, ...] | None = None) -> Matrix | None:
        """Return what the bias gains (m,) by a cut: (W − W_r) · mean; None: nothing."""
        if self.mean is None:
            return None
        carried = self.values * (self.right.conj().T @ self.mean)
        carried[slice(rank) if kept is None else list(kept)] = 0
        shift: Matrix = self.left @ carried
        return shift

    @classmethod
    def of_pair(cls, inner: Matrix, outer: Matrix) -> "Factors":
        """Decompose the product outer · inner (m × r by r × n) through its r × r core.

        With thin QR of both, W = Q₁ (R₁ R₂ᴴ) Q₂ᴴ: the r values of the core are those of W that
        are not zero, and no m × n matrix is made.
        """
        left, upper = np.linalg.qr(outer)
        right, lower = np.linalg.qr(inner.conj().T)
        u, values, vh = np.linalg.svd(upper @ lower.conj().T, full_matrices=False)
        return cls(left @ u, values, right @ vh.conj().T)

    def truncated(
        self,
        rank: int,
        values: tuple[float, ...] | None = None,
        kept: tuple[int, ...] | None = None,
    ) -> Matrix:
        """Return what the first `rank` directions hold, m × n.

        Of singular directions, the best approximation of this rank (Eckart and Young 1936).
        With `values` the kept directions have these new ones; with `kept` other directions
        than the first are kept, by their places.
        """
        left, values_kept, right = self._kept(rank, values, kept)
        product: Matrix = (left * values_kept) @ right.conj().T
        return product

    def pair(
        self,
        rank: int,
        values: tuple[float, ...] | None = None,
        kept: tuple[int, ...] | None = None,
    ) -> tuple[Matrix, Matrix]:
        """Return (r × n, m × r), the same approximation with its values shared out evenly."""
        left, values_kept, right = self._kept(rank, values, kept)
        root = np.sqrt(values_kept)
        return root[:, None] * right.conj().T, left * root

    def _kept(
        self, rank: int, values: tuple[float, ...] | None, kept: tuple[int, ...] | None
    ) -> tuple[Matrix, Array, Matrix]:
        """Return the left directions, values and right directions that are kept."""
        places = slice(rank) if kept is None else list(kept)
        found = self.values[places] if values is None else np.array(values)
        return self.left[:, places], found, self.right[:, places]
