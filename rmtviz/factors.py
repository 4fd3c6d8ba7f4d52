"""A matrix in its singular directions, and what is left of it when some of them are cut."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A layer's matrix (m × n) in its singular directions: W = left · diag(values) · rightᵀ."""

    left: Array
    values: Array
    right: Array

    @classmethod
    def of(cls, matrix: Array) -> "Factors":
        """Decompose a matrix through the eigenvectors of the Gram matrix of its smaller side.

        The other side follows without an inverse where a value is zero: its direction is zero.
        All is computed at a largest entry between ½ and 1, so that no square underflows.
        """
        tall = matrix.shape[0] > matrix.shape[1]
        _, exponent = np.frexp(np.abs(matrix).max())
        wide = np.ldexp(matrix.T if tall else matrix, -exponent)
        _, vectors = np.linalg.eigh(wide @ wide.T)
        near = vectors[:, ::-1]
        scaled = near.T @ wide
        values = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
        far = (scaled / np.where(values > 0, values, 1.0)[:, None]).T
        left, right = (far, near) if tall else (near, far)
        return cls(left, np.ldexp(values, exponent), right)

    @classmethod
    def of_product(cls, second: Array, first: Array) -> "Factors":
        """Decompose the product B A (m × r and r × n) without making it: at most r directions."""
        (left, upper), (right, lower) = np.linalg.qr(second), np.linalg.qr(first.T)
        inner, values, outer = np.linalg.svd(upper @ lower.T)
        return cls(left @ inner[:, : len(values)], values, right @ outer[: len(values)].T)

    def truncated(
        self,
        rank: int,
        values: tuple[float, ...] | None = None,
        kept: tuple[int, ...] | None = None,
    ) -> Array:
        """Return the best approximation of this rank (Eckart and Young 1936), m × n.

        With `values` the kept directions have these new ones; with `kept` other directions
        than the first are kept, by their places.
        """
        left, values_kept, right = self._kept(rank, values, kept)
        return (left * values_kept) @ right.T

    def pair(
        self,
        rank: int,
        values: tuple[float, ...] | None = None,
        kept: tuple[int, ...] | None = None,
    ) -> tuple[Array, Array]:
        """Return (r × n, m × r), the same approximation with its values shared out evenly."""
        left, values_kept, right = self._kept(rank, values, kept)
        root = np.sqrt(values_kept)
        return root[:, None] * right.T, left * root

    def _kept(
        self, rank: int, values: tuple[float, ...] | None, kept: tuple[int, ...] | None
    ) -> tuple[Array, Array, Array]:
        """Return the left directions, values and right directions that are kept."""
        places = slice(rank) if kept is None else list(kept)
        found = self.values[places] if values is None else np.array(values)
        return self.left[:, places], found, self.right[:, places]
