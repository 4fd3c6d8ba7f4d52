"""Dropped entries: which stay, and what it takes to store them."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import pruning, sparse
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.cuts import PruningPlan
from rmtviz.pruning import Size
from rmtviz.rules import FixedRank


def two(seed: int = 0) -> Checkpoint:
    rng = np.random.default_rng(seed)
    return Checkpoint.of(
        {
            "0.weight": rng.normal(size=(30, 50)).astype(np.float32),
            "0.bias": np.zeros(30, np.float32),
            "2.weight": 3 * rng.normal(size=(10, 30)).astype(np.float32),
        }
    )


@given(st.floats(0.01, 1), st.integers(0, 9))
def test_the_largest_entries_of_all_tensors_together_stay(share: float, seed: int) -> None:
    whole = two(seed)
    cut = sparse.largest(whole, ["0.weight", "2.weight"], share)
    before, after = (
        np.concatenate([each[name].ravel() for name in ("0.weight", "2.weight")])
        for each in (whole, cut)
    )
    kept = after != 0
    assert kept.sum() == max(1, round(share * 1800))
    assert (after[kept] == before[kept]).all()
    assert kept.all() or np.abs(before[~kept]).max() <= np.abs(before[kept]).min()
    assert (cut["0.bias"] == whole["0.bias"]).all()


@pytest.mark.parametrize(("share", "form"), [(0.02, "rows"), (0.3, "bits"), (1.0, "dense")])
def test_bytes_are_those_of_the_smallest_form(share: float, form: str) -> None:
    tensor = sparse.largest(two(), ["0.weight"], share).tensors["0.weight"]
    rows = scipy.sparse.csr_array(tensor.read())
    forms = {
        "rows": 4 * rows.nnz + 2 * rows.nnz + 4 * (30 + 1),
        "bits": 4 * rows.nnz + len(np.packbits(tensor.read() != 0)),
        "dense": 30 * 50 * 4,
    }
    assert sparse.nbytes(tensor) == forms[form] == min(forms.values())


def test_a_vector_is_stored_as_it_is() -> None:
    assert sparse.nbytes(Tensor.of(np.zeros(30, np.float32))) == 120


def test_a_sparse_plan_says_what_it_saves() -> None:
    whole = two()
    plan = pruning.plan(analyze(whole), FixedRank(6))
    plan = PruningPlan(plan.digest, "x", "", plan.cuts, density=0.5)
    assert PruningPlan.from_json(plan.to_json()) == plan
    cut = pruning.apply(whole, plan)
    entries = 6 * (30 + 50)
    assert Size.of(cut).parameters == entries + 30 + 300
    found = Size.sparse(cut)
    assert found.parameters == entries // 2 + 30 + 300
    assert found.macs == entries // 2 + 300
    assert found.bytes == sum(map(sparse.nbytes, cut.tensors.values())) < Size.of(cut).bytes


def test_nothing_dropped_costs_what_it_is() -> None:
    assert Size.sparse(two()) == Size.of(two())
